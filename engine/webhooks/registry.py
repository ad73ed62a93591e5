"""All webhook endpoints: the one of the settings, and any number created through the API.

`default` is the endpoint of the settings, with one URL for all accounts. If an account has its own URL, its events go
there instead, in the same order and by the same rules. The other endpoints are stored sealed, since they contain
secrets. Each endpoint runs in its own task (`engine.webhooks.endpoint`), independently of the others.

An endpoint created with a token for one account gets only that account's events and never posts to a private address.
What such a token sets for the endpoint of the settings is restricted, too (`engine.webhooks.account_targets`).

An endpoint whose stored record cannot be read is listed, posts nothing, and can only be removed. An enabled endpoint
that selects no events, or has no URL, stays at its position, so that nothing is skipped until that changes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

import msgspec
import trio

from engine import config
from engine.egress import Egress
from engine.errors import DamagedSecret, Problem, StorageFull
from engine.events.journal import Journal
from engine.model.webhook import EndpointSettings, Header, Headers
from engine.schema.events import EVENT_DATA
from engine.store import webhooks
from engine.store.sealed import endpoint_field
from engine.store.vault import Vault
from engine.store.webhooks import EndpointRow
from engine.store.writer import Store
from engine.webhooks import signing
from engine.webhooks.account_targets import AccountTargets
from engine.webhooks.endpoint import Endpoint
from engine.webhooks.event_waits import EventWaits
from engine.webhooks.expressions import Expression
from engine.webhooks.inbox_filter import IN_INBOX
from engine.webhooks.plan import Plan
from engine.webhooks.post import Answer, PostCounts
from engine.webhooks.target import WebhookTarget, parse
from engine.world import World

log = logging.getLogger("engine.webhooks")


TEST_EVENT = "webhookTest"


class _Dated(msgspec.Struct):
    """The date of an event."""

    date: str


class _Settings(msgspec.Struct, frozen=True):
    enabled: bool = False
    events: frozenset[str] = frozenset({"*"})
    inbox_only: bool = False


class Made:
    """One endpoint created through the API, while the engine runs."""

    def __init__(
        self, row: EndpointRow, record: EndpointSettings, endpoint: Endpoint, *, unreadable: bool = False
    ) -> None:
        self.unreadable = unreadable
        self.id = row.id
        self.owner = row.owner
        self.created = row.created
        self.updated = row.updated
        self.record = record
        self.endpoint = endpoint
        self.scope = trio.CancelScope()


class EndpointRegistry:
    """The service that owns every endpoint."""

    def __init__(
        self, journal: Journal, store: Store, vault: Vault, config: config.WebhooksConfig, world: World, egress: Egress
    ) -> None:
        self._journal = journal
        self._store = store
        self._vault = vault
        self._config = config
        self._world = world
        self._egress = egress
        self.waits, self.posts = EventWaits(world), PostCounts()
        self._nursery: trio.Nursery | None = None
        self._settings = _Settings()
        self._setting = trio.Lock()
        self._paused = False
        self._targets = AccountTargets(store)
        rows = {row.id: row for row in webhooks.every(store.reader)}
        self._new_default = webhooks.DEFAULT not in rows
        now = world.now()
        self._default_row = rows.pop(
            webhooks.DEFAULT, EndpointRow(webhooks.DEFAULT, None, b"", journal.last, b"{}", now, now)
        )
        self.default = self._endpoint(self._default_row)
        self.default_created = self._default_row.created
        self.made: dict[str, Made] = {}
        for row in rows.values():
            self.made[row.id] = self._loaded(row)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Post until cancelled. Raises `StorageFailed` if the journal cannot be written.

        Cancelled: posts under way are aborted and may be repeated after a restart; positions are still stored.
        """
        if self._new_default:
            await self._store.commit(lambda tx: webhooks.add(tx, self._default_row))
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.default.run)
            for made in self.made.values():
                nursery.start_soon(self._run, made)
            task_status.started()
            await trio.sleep_forever()

    # The endpoint of the settings.

    def configure(
        self,
        url: str | None,
        enabled: bool,
        events: Sequence[str],
        headers: Sequence[Header] = (),
        secret: str | None = None,
        *,
        inbox_only: bool = False,
    ) -> None:
        """Configure the endpoint of the settings: post events with these names (`*`: all) to `url` if `enabled`.

        When it is first enabled, it begins with events from then on. An unusable URL is logged and ignored.
        """
        self._settings = _Settings(enabled, frozenset(events), inbox_only)
        self._targets.configure(url, tuple((each.key, each.value) for each in headers), secret)
        self._follow(always=True)

    def pause(self, paused: bool) -> None:
        """Hold back the events of all endpoints, or let them go; what waits is posted later."""
        if paused != self._paused:
            self._paused = paused
            self._follow(always=True)
            for made in self.made.values():
                if not made.unreadable:
                    self._plan(made)

    def jobs(self) -> tuple[int, int]:
        """How many events an endpoint has yet to examine, and how many accounts wait for another attempt."""
        waiting = delayed = 0
        endpoints = [self.default, *(made.endpoint for made in self.made.values() if made.record.enabled)]
        for endpoint in endpoints:
            if endpoint is not self.default or self._settings.enabled:
                waiting += max(0, self._journal.last - endpoint.position)
                delayed += sum(1 for line in endpoint.lines.values() if line.attempts)
        return waiting, delayed

    def positions(self) -> Iterator[tuple[str | None, int]]:
        """The id of each endpoint at work, None for those of tokens for one account, and the last event it has seen."""
        if self._settings.enabled:
            yield webhooks.DEFAULT, self.default.position
        for made in self.made.values():
            if made.record.enabled:
                yield (made.id if made.owner is None else None), made.endpoint.position

    def oldest(self) -> str | None:
        """When the oldest event happened that an endpoint has not examined yet; None: there is none."""
        positions = [made.endpoint.position for made in self.made.values() if made.record.enabled]
        if self._settings.enabled:
            positions.append(self.default.position)
        waiting = self._journal.read(min(positions, default=self._journal.last), 1)
        return msgspec.json.decode(waiting[0][2], type=_Dated).date if waiting else None

    def waiting_since(self) -> float | None:
        """When the oldest event happened, or was first tried, that an endpoint has not accepted; None: none waits."""
        endpoints = [made.endpoint for made in self.made.values() if made.record.enabled]
        if self._settings.enabled:
            endpoints.append(self.default)
        found = [line.since for each in endpoints for line in each.lines.values() if line.since is not None]
        if (oldest := self.oldest()) is not None:
            found.append(datetime.fromisoformat(oldest).timestamp())
        return min(found, default=None)

    def account(self, account: str, url: str | None, headers: Headers = ()) -> None:
        """Send an account's events to this URL (None: the one of the settings), with `headers` in either case."""
        if self._targets.assign(account, url, headers):
            self._follow(always=False)
            self.default.nudge(account)

    def forget_account(self, account: str) -> None:
        """End a removed account's endpoints; events of it that are still due go to the URL of the settings."""
        self._targets.unbind(account)
        self.account(account, None)
        for made in [each for each in self.made.values() if each.owner == account]:
            del self.made[made.id]
            made.scope.cancel()

    @asynccontextmanager
    async def setting(self, account: str, *parts: webhooks.Bound, bound: bool) -> AsyncIterator[None]:
        """Wrap a block that sets an account's URL or headers; `bound`: with a token for that account alone.

        Only one such block runs at a time, so that a value set with one kind of token is never taken for the other.
        """
        async with self._setting:
            before = self._targets.bound(account, parts)
            if bound:
                await self._bind(account, parts, parts)
            try:
                yield
            except (Problem, StorageFull, ValueError):
                # The change was refused, so the earlier value is still set.
                await self._bind(account, parts, before)
                raise
            await self._bind(account, parts, parts if bound else ())

    async def _bind(self, account: str, parts: Iterable[webhooks.Bound], bound: Collection[webhooks.Bound]) -> None:
        if await self._targets.bind(account, parts, bound):
            self._follow(always=False)
            self.default.nudge(account)

    def _follow(self, *, always: bool) -> None:
        settings = self._settings
        if not settings.enabled or not self._targets:
            if always or self.default.active:
                self.default.follow(None)
            return
        if not always and self.default.active:
            return
        self.default.begin(self._journal.last)
        names = _wanted(settings.events)
        if self._paused or names == frozenset():
            self.default.follow(None)
            return
        self.default.follow(
            Plan(
                names=names,
                accounts=None,
                target_of=self._targets.of,
                filter=Expression(IN_INBOX) if settings.inbox_only else None,
            )
        )

    # The endpoints of the API.

    def get(self, endpoint: str) -> Made | None:
        """The endpoint with this id that was created through the API; None if there is none."""
        return self.made.get(endpoint)

    async def create(self, record: EndpointSettings, owner: str | None, after: int) -> Made:
        """Create an endpoint that begins after the event `after`, and a secret for it if `record` has none."""
        if not record.secrets:
            record = msgspec.structs.replace(
                record, secrets=(signing.secret_of(self._world.token_bytes(signing.KEY_BYTES)),)
            )
        name, now = f"wh_{self._world.token_bytes(8).hex()}", self._world.now()
        row = EndpointRow(name, owner, self._sealed(name, record), after, b'{"started":true}', now, now)
        await self._store.commit(lambda tx: webhooks.add(tx, row))
        made = self.made[name] = Made(row, record, self._endpoint(row))
        self._plan(made)
        assert self._nursery is not None
        self._nursery.start_soon(self._run, made)
        return made

    async def update(self, made: Made, record: EndpointSettings) -> None:
        """Replace the record of an endpoint, which continues from its position at once."""
        now, sealed = self._world.now(), self._sealed(made.id, record)
        await self._store.commit(lambda tx: webhooks.change(tx, made.id, sealed, now))
        if record.filter != made.record.filter:
            made.endpoint.health.forget_filter()
        made.record, made.updated = record, now
        self._plan(made)

    async def remove(self, made: Made) -> None:
        """Remove an endpoint; a post under way is aborted."""
        made.endpoint.hold()
        try:
            await self._store.commit(lambda tx: webhooks.remove(tx, made.id))
        except BaseException:
            made.endpoint.release()
            raise
        self.made.pop(made.id, None)
        made.scope.cancel()

    async def replay(self, endpoint: Endpoint, after: int) -> None:
        """Make an endpoint post everything after `after` again."""
        endpoint.hold()
        try:
            await self._store.commit(lambda tx: webhooks.move(tx, endpoint.id, after))
        except BaseException:
            endpoint.release()
            raise
        endpoint.moved(after)

    async def test(self, endpoint: Endpoint, target: WebhookTarget) -> tuple[Answer, bool | None]:
        """Post a test event outside the journal; return the answer and whether the receiver checks signatures.

        If the first post is accepted, a second one with a wrong signature finds that out; None: unknown.
        """
        answer = await self._test(endpoint, target, "This is a test. It is not in the journal, and its number is 0.")
        if not (answer.taken and target.secrets):
            return answer, None
        other = msgspec.structs.replace(
            target, secrets=(signing.secret_of(self._world.token_bytes(signing.KEY_BYTES)),)
        )
        text = "This test is signed with another secret: a receiver that checks signatures refuses it."
        forged = await self._test(endpoint, other, text)
        if forged.taken:
            return answer, False
        return answer, True if forged.status is not None and 400 <= forged.status < 500 else None

    async def _test(self, endpoint: Endpoint, target: WebhookTarget, text: str) -> Answer:
        body = self._journal.encode(TEST_EVENT, None, {"webhook": endpoint.id, "text": text}, 0, self._world.now())
        return await endpoint.post_now(target, body, 0)

    async def retry(self, endpoint: Endpoint, seqs: Sequence[int] | None) -> int:
        """Post parked events (None: all) again; return how many there are."""
        count = await self._store.commit(lambda tx: webhooks.retry(tx, endpoint.id, seqs))
        endpoint.retry_parked()
        return count

    async def skip(self, endpoint: Endpoint, seqs: Sequence[int] | None) -> int:
        """Remove parked events (None: all); return how many there were."""
        return await self._store.commit(lambda tx: webhooks.skip(tx, endpoint.id, seqs))

    def waits_for(self, made: Made | None) -> Literal["no url", "no events", "paused"] | None:
        """Why an enabled endpoint posts nothing; `made` None: the endpoint of the settings."""
        lacks = self._lacks(made)
        return "paused" if lacks is None and self._paused else lacks

    def _lacks(self, made: Made | None) -> Literal["no url", "no events"] | None:
        if made is not None:
            return None if _tells(made.record) else "no events"
        if not self._targets:
            return "no url"
        return "no events" if _wanted(self._settings.events) == frozenset() else None

    def target(self, made: Made | None) -> WebhookTarget | None:
        """Where an endpoint (None: the one of the settings) posts events that belong to no account."""
        if made is not None:
            return self._target(made)
        return self._targets.of_all

    async def check(self, url: str, *, restricted: bool) -> None:
        """Raise `EgressRefused` if a URL leads to a forbidden address, ValueError if it is malformed.

        A name that cannot be resolved now passes, since each connection is checked too.
        """
        target = parse(url)
        await self._egress.check(target.host, target.port or 443, restricted=restricted)

    def _loaded(self, row: EndpointRow) -> Made:
        endpoint = self._endpoint(row)
        try:
            text = self._vault.open("", endpoint_field(row.id), row.record.decode())
            made = Made(row, msgspec.json.decode(text, type=EndpointSettings), endpoint)
            self._plan(made)
        except (DamagedSecret, AttributeError, TypeError, ValueError, RecursionError) as error:
            why = f"the stored endpoint cannot be read: {error}"
            log.error("the endpoint is disabled: %s", why, extra={"webhook": row.id, "account": row.owner})
            return Made(row, EndpointSettings(url="", enabled=False, stopped=why), endpoint, unreadable=True)
        return made

    def _endpoint(self, row: EndpointRow) -> Endpoint:
        parts = self._journal, self._store, self._config, self._world, self._egress, self.waits, self.posts
        return Endpoint(row, *parts, self._gone, self._done)

    async def _run(self, made: Made) -> None:
        with made.scope:
            await made.endpoint.run()

    def _sealed(self, name: str, record: EndpointSettings) -> bytes:
        return self._vault.seal("", endpoint_field(name), msgspec.json.encode(record).decode()).encode()

    def _target(self, made: Made) -> WebhookTarget:
        record = made.record
        return parse(record.url, record.headers, record.secrets, restricted=made.owner is not None)

    def _plan(self, made: Made) -> None:
        record = made.record
        if self._paused or not (record.enabled and _tells(record)):
            made.endpoint.follow(None)
            return
        target = self._target(made)
        made.endpoint.follow(
            Plan(
                names=_wanted(record.events),
                accounts=None if record.accounts is None else frozenset(record.accounts),
                target_of=lambda account: target,
                filter=None if record.filter is None else Expression(record.filter),
                map=None if record.map is None else Expression(record.map),
                until=record.until,
                route=made.id,
            )
        )

    def _gone(self, name: str) -> None:
        """The receiver answered 410."""
        if name == webhooks.DEFAULT:
            log.warning(
                "the webhooks of the settings are off because the receiver answered 410 Gone; they resume when POST "
                "/v1/settings sets `webhooks` again",
                extra={"webhook": name},
            )
            return
        made = self.made.get(name)
        log.warning(
            "the endpoint is disabled because the receiver answered 410 Gone; PUT /v1/webhooks/{webhook} with "
            "`enabled` true enables it again",
            extra={"webhook": name, "account": made.owner if made is not None else None},
        )
        self._stop(name, "the receiver answered 410 Gone")

    def _done(self, name: str) -> None:
        """A replay is complete: remove it, unless events are parked."""
        made = self.made.get(name)
        if made is None or self._nursery is None:
            return
        if webhooks.parked_count(self._store.reader, name):
            self._stop(name, "the replay is done, but some events were not accepted")
        else:
            self._nursery.start_soon(self.remove, made)

    def _stop(self, name: str, reason: str) -> None:
        made = self.made.get(name)
        if made is not None and self._nursery is not None:
            record = msgspec.structs.replace(made.record, enabled=False, stopped=reason)
            self._nursery.start_soon(self.update, made, record)


def _wanted(names: Collection[str] | None) -> frozenset[str] | None:
    """The event names selected by `names`; None: all of them."""
    return None if names is None or "*" in names else frozenset(names) & EVENT_DATA.keys()


def _tells(record: EndpointSettings) -> bool:
    """Whether the endpoint selects any event at all."""
    return _wanted(record.events) != frozenset() and record.accounts != ()
