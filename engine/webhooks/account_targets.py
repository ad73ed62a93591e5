"""Where the endpoint of the settings posts the events of each account: to the account's own URL, or to the one of all.

An account may have headers of its own too. What was set with a token for that account alone is *bound*. A bound URL may
not lead to a private address, and gets neither the operator's headers nor the signature of the settings, which are
secrets of the operator. Bound headers never replace the operator's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import get_args

from engine.model.webhook import Headers
from engine.store import webhooks
from engine.store.writer import Store, Tx
from engine.webhooks.target import WebhookTarget, parse

log = logging.getLogger("engine.webhooks")


class AccountTargets:
    """The targets. True if there is one at all.

    A URL that cannot be used is logged, and its account, or all accounts, have no target.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bound = {part: webhooks.of_accounts(store.reader, part) for part in get_args(webhooks.Bound)}
        self._url: str | None = None
        self._headers: Headers = ()
        self._secret: str | None = None
        self._accounts: dict[str, tuple[str | None, Headers]] = {}
        self._targets: dict[str, WebhookTarget] = {}
        self.of_all: WebhookTarget | None = None

    def __bool__(self) -> bool:
        return self.of_all is not None or bool(self._targets)

    def of(self, account: str) -> WebhookTarget | None:
        """The target of an account's events; None: it has none."""
        return self._targets.get(account, self.of_all)

    def configure(self, url: str | None, headers: Headers, secret: str | None) -> None:
        """Apply the settings for all accounts."""
        self._url, self._headers, self._secret = url, headers, secret
        self.of_all = self._parsed(url, None) if url else None
        for account in self._accounts:
            self._retarget(account)

    def assign(self, account: str, url: str | None, headers: Headers) -> bool:
        """Set an account's URL (None: the one of all) and headers; return whether its target has changed."""
        before = self._targets.get(account)
        self._accounts[account] = (url or None, headers)
        if not url and not headers:
            del self._accounts[account]
        self._retarget(account)
        return self._targets.get(account) != before

    def bound(self, account: str, parts: Iterable[webhooks.Bound]) -> set[webhooks.Bound]:
        """Those of `parts` that are bound."""
        return {part for part in parts if account in self._bound[part]}

    async def bind(self, account: str, parts: Iterable[webhooks.Bound], bound: Collection[webhooks.Bound]) -> bool:
        """Store which of an account's `parts` are bound; return whether that is a change."""
        changed = [part for part in parts if (part in bound) != (account in self._bound[part])]
        if not changed:
            return False

        def change(tx: Tx) -> None:
            for part in changed:
                webhooks.mark_account(tx, account, part, part in bound)

        await self._store.commit(change)
        for part in changed:
            (self._bound[part].add if part in bound else self._bound[part].discard)(account)
        self._retarget(account)
        return True

    def unbind(self, account: str) -> None:
        """Forget what is bound of a removed account; its rows are gone with it."""
        for accounts in self._bound.values():
            accounts.discard(account)

    def _retarget(self, account: str) -> None:
        self._targets.pop(account, None)
        own, _ = self._accounts.get(account, (None, ()))
        url = own or self._url
        if account in self._accounts and url and (target := self._parsed(url, account, own=own is not None)):
            self._targets[account] = target

    def _parsed(self, url: str, account: str | None, *, own: bool = False) -> WebhookTarget | None:
        headers = self._accounts[account][1] if account is not None else ()
        tenants = account in self._bound["headers"]
        try:
            if own and account in self._bound["url"]:
                return parse(url, headers if tenants else (), restricted=True)
            secrets = (self._secret,) if self._secret else ()
            if tenants:
                return parse(url, self._headers, secrets, under=headers)
            return parse(url, self._headers + headers, secrets)
        except ValueError as error:
            about = {"webhook": webhooks.DEFAULT, "account": account}
            log.warning("webhooks are off because the URL cannot be used: %s", error, extra=about)
            return None
