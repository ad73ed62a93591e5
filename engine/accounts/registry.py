"""All accounts: registers, changes, removes and finds them, and runs each in one nursery.

Every change is committed with its event before anything acts on it, and only if the account still exists. An account
whose stored registration cannot be read is listed but not run until it is registered again or removed. Removing an
account cancels its open messages, except one whose final dot is on its way, for which it waits within the grace time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio
from msgspec import UnsetType
from msgspec.structs import replace

from engine.accounts import registration as records
from engine.accounts import registration_changes
from engine.accounts.account import Account
from engine.accounts.oauth_registration import SigningIn
from engine.errors import AccountGone, AccountUnreadable, Problem
from engine.events.journal import Journal
from engine.field_errors import invalid
from engine.model.message import LaneId
from engine.model.registration import Registration, Unreadable
from engine.oauth.keepers import Keepers
from engine.queue.outbox import Outbox
from engine.schema.account import AccountCreate, AccountUpdate
from engine.store import accounts, grants, mailboxes, messages
from engine.store.accounts import AccountRow
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.webhooks.registry import EndpointRegistry
from engine.world import World

log = logging.getLogger("engine.account")

SWEEP = 1000
"""Maximum rows removed in one commit."""
SWEEP_SECONDS = 3600.0


class Registry:
    """The accounts of this engine. `run` is the service that owns their tasks."""

    def __init__(
        self,
        make: Callable[[AccountRow, Registration, str | None], Account],
        store: Store,
        vault: Vault,
        journal: Journal,
        outbox: Outbox,
        webhooks: EndpointRegistry,
        keepers: Keepers,
        world: World,
        grace: float,
    ) -> None:
        """Load all accounts.

        `make` makes an account from its row, its registration, and the reason why that cannot be read, if any.
        `grace`: seconds that a removed account has for its current message.
        """
        self._make = make
        self._store = store
        self._vault = vault
        self._journal = journal
        self._outbox = outbox
        self._webhooks = webhooks
        self._keepers = keepers
        self._world = world
        self._grace = grace
        self._accounts: dict[str, Account] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._changing = trio.Lock()
        self._sweeper = trio.Event()
        self._flushing: set[str] = set()
        for account in self._load():
            self._accounts[account.id] = account
            self._tell_webhooks(account)

    def get(self, account: str) -> Account | None:
        """The account with this id."""
        return self._accounts.get(account)

    def every(self) -> list[Account]:
        """All accounts, oldest first."""
        return list(self._accounts.values())

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run every account until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._sweep)
            for account in self._accounts.values():
                self._start(account)
            task_status.started()
            await trio.sleep_forever()

    async def stop_lanes(self, grace: float) -> None:
        """Stop all lanes; return when the last current message is done, at most `grace` seconds later."""
        with trio.move_on_after(grace):
            async with trio.open_nursery() as nursery:
                for account in self._accounts.values():
                    nursery.start_soon(account.stop_lane)

    async def register(
        self,
        given: AccountCreate,
        *,
        narrowed: bool = False,
        signing_in: SigningIn | None = None,
        also: Callable[[Tx, str], object] | None = None,
    ) -> tuple[str, bool]:
        """Add an account, or change the one with this id. Returns its id and whether it is new.

        `narrowed`: the caller's token is for this account alone. `also` runs in the same commit, with the account's id;
        if it raises, nothing is changed and the exception propagates. `signing_in`: how it signs in from now on, None:
        as before. Raises `Problem` 400 (`AccountAlreadyExists`) when another account is this mailbox.
        """
        async with self._changing:
            account = self._accounts.get(given.account) if given.account is not None else None
            if account is not None and account.unreadable is None:
                again = registration_changes.registered_again(account.record, given)
                await self._save(account, again, given, narrowed, signing_in, also)
                return account.id, False
            name = given.account or self._world.letters(16)
            record = registration_changes.registered(given, name)
            if signing_in is not None:
                record = signing_in.applied(record)
            if narrowed:
                _refuse_loan(None, record, signing_in)
            restricted = registration_changes.restricted(given, None, record, was=frozenset(), narrowed=narrowed)
            sealed = records.seal(record, self._vault)
            now = self._world.now()

            def change(tx: Tx) -> None:
                accounts.save(tx, name, sealed, now, restricted)
                if signing_in is not None:
                    self._keep_grant(tx, record, signing_in)
                self._journal.append(tx, "accountAdded", name, {"account": name})
                if also is not None:
                    also(tx, name)

            await self._store.admit(change)
            row = accounts.get(self._store.reader, name)
            assert row is not None
            if account is not None:
                self._scopes.pop(name).cancel()
            account = self._accounts[name] = self._make(row, record, None)
            self._tell_webhooks(account)
            self._start(account)
            return name, True

    async def update(
        self,
        account: Account,
        update: AccountUpdate,
        *,
        narrowed: bool = False,
        signing_in: SigningIn | None = None,
    ) -> None:
        """Change an account. Raises `ValueError` that names a required member that would be missing, and `Problem`.

        Raises `AccountGone` if it has been removed in the meantime, `AccountUnreadable` if its record cannot be read.
        """
        async with self._changing:
            record = registration_changes.updated(account.record, update)
            await self._save(account, record, update, narrowed, signing_in)

    async def pause_queue(self, account: Account, paused: bool) -> None:
        """Pause or resume one account's mail."""
        async with self._changing:
            self._must_be_there(account)
            await self._store.commit(lambda tx: accounts.remember(tx, account.id, queue_paused=paused))
            account.pause_queue(paused)

    def change_routes(self) -> None:
        """Apply changed settings for proxies or local addresses."""
        for account in self._accounts.values():
            account.change_routes()

    async def flush(self, account: Account, notify_from: datetime | UnsetType | None, indexer: Any) -> bool:
        """Discard everything known about the account's mailboxes and start over; False if that is already under way.

        `notify_from` absent means now. Existing messages are noted without events, as at registration. Raises like
        `update`.
        """
        if account.id in self._flushing:
            return False
        self._flushing.add(account.id)
        try:
            await account.pause()
            now = self._world.now()
            since = datetime.fromtimestamp(now, UTC) if isinstance(notify_from, UnsetType) else notify_from
            update = AccountUpdate(notify_from=since, imap_indexer=indexer)
            async with self._changing:
                self._must_be_there(account)
                await self._store.commit(lambda tx: mailboxes.drop_account(tx, account.id))
                await self._save(account, registration_changes.updated(account.record, update), update, False)
        finally:
            self._flushing.discard(account.id)
            account.resume()
            self._sweeper.set()
        return True

    async def remove(self, account: Account) -> None:
        """Remove an account and everything that belongs to it; its open messages are cancelled."""
        with trio.move_on_after(self._grace):
            await account.stop_lane()
        async with self._changing:
            if self._accounts.get(account.id) is not account:
                return
            now = self._world.now()

            def change(tx: Tx) -> None:
                self._journal.append(tx, "accountDeleted", account.id, {"account": account.id})
                self._outbox.end_account(tx, account.id, now)
                accounts.remove(tx, account.id)

            await self._store.commit(change)
            self._accounts.pop(account.id, None)
            self._webhooks.forget_account(account.id)
            account.forget()
            self._scopes.pop(account.id).cancel()
        self._sweeper.set()

    async def _sweep(self) -> None:
        """Remove the messages of removed mailboxes, a few at a time."""
        while True:
            self._sweeper = trio.Event()
            while await self._store.commit(lambda tx: mailboxes.sweep(tx, SWEEP)):
                pass
            with trio.move_on_after(SWEEP_SECONDS):
                await self._sweeper.wait()

    def _must_be_there(self, account: Account) -> None:
        """Check, while holding `_changing`, that the account was not removed (and perhaps added again) before."""
        if self._accounts.get(account.id) is not account:
            raise AccountGone(f"account {account.id} was removed")
        if account.unreadable is not None:
            raise AccountUnreadable(account.unreadable)

    async def _save(
        self,
        account: Account,
        record: Registration,
        given: AccountCreate | AccountUpdate,
        narrowed: bool,
        signing_in: SigningIn | None = None,
        also: Callable[[Tx, str], object] | None = None,
    ) -> None:
        self._must_be_there(account)
        if signing_in is not None:
            record = signing_in.applied(record)
        if narrowed:
            _refuse_loan(account.record, record, signing_in)
        restricted = registration_changes.restricted(
            given, account.record, record, was=account.restricted, narrowed=narrowed
        )
        sealed = records.seal(record, self._vault)
        now = self._world.now()
        elsewhere = account.way_out(record) != account.way_out(account.record)

        def change(tx: Tx) -> None:
            accounts.save(tx, account.id, sealed, now, restricted)
            if signing_in is not None:
                self._keep_grant(tx, record, signing_in)
            if elsewhere:
                accounts.remember(tx, account.id, sending=None)
            if also is not None:
                also(tx, account.id)
            for message, _ in messages.hasten(tx, LaneId(account.id), now):
                tx.after_commit(partial(account.hasten, message, now))

        await self._store.admit(change)
        account.change(record, restricted)
        self._tell_webhooks(account)

    def _keep_grant(self, tx: Tx, record: Registration, signing_in: SigningIn) -> None:
        """Have the account's tokens on disk. Raises `Problem` when the mailbox is that of another account."""
        app, sign_in, grant = signing_in.app, signing_in.sign_in, signing_in.grant
        if app is None or sign_in is None:
            grants.remove(tx, record.account)
            return
        for other in grants.of_user(tx, app.id, sign_in.auth.user):
            theirs = records.sign_in_of(self._accounts[other].record) if other in self._accounts else None
            if other == record.account or theirs is None or theirs.mailbox.casefold() != sign_in.mailbox.casefold():
                continue
            text = "Another account exists for the same OAuth2 user"
            raise Problem(400, text, code="AccountAlreadyExists", existingAccount=other)
        if grant is not None:
            grant = replace(grant, account=record.account)
            if app.of.refresh_tokens == "rotated" and (holder := self._keepers.holder(tx, grant)) is not None:
                text = f"is that of the account {holder}, and {app.of.name} takes each one once: sign in once more"
                raise invalid("oauth2.refreshToken", text, code="RefreshTokenInUse")
            self._keepers.save(tx, grant, keeps_refresh_token=signing_in.keeps_refresh_token)

    def _load(self) -> list[Account]:
        vault, rows = self._vault, accounts.every(self._store.reader)
        read: dict[str, Registration] = {}
        failed: dict[str, Unreadable] = {}
        for row in rows:
            try:
                record = records.unseal(row.record, vault)
                if record.account != row.id:
                    raise Unreadable("it is that of another account")
                read[row.id] = record
            except Unreadable as error:
                failed[row.id] = error
        return [self._loaded(row, read.get(row.id), failed.get(row.id)) for row in rows]

    def _loaded(self, row: AccountRow, record: Registration | None, error: Exception | None) -> Account:
        if record is not None:
            return self._make(row, record, None)
        why = f"The stored registration cannot be read: {error}"
        log.error("the account is disabled. %s", why, extra={"account": row.id})
        return self._make(row, Registration(account=row.id, name=row.id), why)

    def _tell_webhooks(self, account: Account) -> None:
        record = account.record
        headers = record.webhooks_custom_headers or ()
        pairs = tuple((each.key, each.value) for each in headers)
        self._webhooks.account(account.id, record.webhooks or None, pairs)

    def _start(self, account: Account) -> None:
        assert self._nursery is not None
        scope = self._scopes[account.id] = trio.CancelScope()

        async def run() -> None:
            with scope:
                await account.run()

        self._nursery.start_soon(run, name=f"account {account.id}")


def _refuse_loan(before: Registration | None, after: Registration, signing_in: SigningIn | None) -> None:
    """Raise `Problem` 403 if a caller with a token for one account would get something that is not theirs.

    That is a mailbox of an app that opens all of them; or, for a server that the caller names, logins of the auth
    server or access tokens that another party provided.
    """
    app = signing_in.app if signing_in is not None else None
    if app is not None and not app.signs_in and records.mailbox_of(before) != records.mailbox_of(after):
        raise Problem(
            403,
            f"A token for one account cannot choose a mailbox of {app.of.name} (oauth2.auth): "
            "its owner would not be asked",
            code="OAuth2AppNotAllowed",
        )
    brought = signing_in is not None and signing_in.grant is not None and app is not None and app.signs_in
    server = registration_changes.lent(before, after, tokens=not brought)
    if server is not None and registration_changes.lends(after, server, tokens=False):
        raise Problem(
            403,
            f"A token for one account cannot send logins from authServer to a server ({server}.useAuthServer)",
            code="AuthServerNotAllowed",
        )
    if server is not None:
        raise Problem(
            403,
            f"A token for one account cannot send the account's access tokens to another server ({server}.host)",
            code="OAuth2ServerNotAllowed",
        )
