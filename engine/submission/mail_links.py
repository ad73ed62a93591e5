"""Puts the links into mail that lead back to the engine: for leaving a list, for opens and clicks.

Links for tracking are left out where no URL is known that could lead here; a list without one is refused. The text of a
message without a text of its own is made from the HTML before its links change.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from msgspec.structs import replace

from engine.accounts.account import Account
from engine.accounts.registration import is_sandbox
from engine.field_errors import invalid
from engine.mail.compose import Draft
from engine.mail.headers import HeaderError
from engine.mail.html_text import html_to_text
from engine.model.registration import SmtpServer
from engine.settings import SettingsBook
from engine.signed_links import LinkKeys, query_of
from engine.store import blocklists
from engine.store.writer import Store
from engine.submission.composer import HERE
from engine.submission.envelope import envelope_of
from engine.submission.lists import (
    FIELD,
    Leaving,
    is_public,
    list_fields,
    public_base,
    unsubscribe_link,
    with_list_fields,
)
from engine.submission.terms import Terms
from engine.submission.tracking import Sign, Tracked, base_of, tracked
from engine.world import World

_IN_BRACKETS = re.compile("<([^<>]*)>")


class MailLinks:
    """Knows where links lead to, and signs them with the engine's own key, which no change of settings voids."""

    def __init__(self, settings: SettingsBook, keys: LinkKeys, store: Store, world: World) -> None:
        self._settings = settings
        self._keys = keys
        self._store = store
        self._world = world

    def skipped(self, account: str, list_id: str, recipients: Sequence[str]) -> dict[str, str]:
        """Those of `recipients` to whom no mail of this list is sent, and why."""
        return blocklists.reasons(self._store.reader, account, list_id, recipients)

    async def unsubscribe_url(self, account: Account, recipient: str, message_id: str, terms: Terms) -> str:
        """The link by which `recipient` leaves the list of the terms.

        Raises `Problem` 400 where no public URL is set or the link would be too long, and what `Store.admit` raises.
        """
        leaving = Leaving("unsub", account.id, terms.list_id or "", recipient, message_id, terms.own_list)
        try:
            return unsubscribe_link(self._list_base(account, terms), leaving, await self._sign())
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error

    async def put_into(self, account: Account, draft: Draft, message_id: str, terms: Terms, size: int) -> Draft:
        """The draft, of about `size` octets, with its links. Raises as `unsubscribe_url` does."""
        if terms.list_id is not None:
            draft = await self._with_list(account, draft, message_id, terms)
        what = None if terms.rehearsal or not draft.html else await self._tracked(account.id, draft, message_id, terms)
        if what is None:
            return draft
        work = functools.partial(_with_tracking, draft, what)
        return await self._world.in_thread(work) if size > HERE else work()

    async def _with_list(self, account: Account, draft: Draft, message_id: str, terms: Terms) -> Draft:
        recipients = envelope_of(draft, terms).recipients
        if len(recipients) != 1:
            raise invalid(FIELD, "needs mailMerge, or exactly one recipient: the link for unsubscribing is for one")
        link = await self.unsubscribe_url(account, recipients[0], message_id, terms)
        try:
            ours = list_fields(terms.list_id or "", self._list_base(account, terms), link)
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error
        return replace(draft, headers=with_list_fields(draft.headers, ours))

    async def _tracked(self, account: str, draft: Draft, message_id: str, terms: Terms) -> Tracked | None:
        """What is tracked of a message; None: nothing."""
        values, base = self._settings.values, self._base(terms)
        by_default = values.track_sent_messages
        opens = _first(terms.track_opens, values.track_opens, by_default)
        clicks = _first(terms.track_clicks, values.track_clicks, by_default)
        if not base or not (opens or clicks):
            return None
        left = frozenset(
            url
            for name, value in draft.headers
            if name.lower() == "list-unsubscribe"
            for url in _IN_BRACKETS.findall(value)
        )
        return Tracked(opens, clicks, base_of(base), account, message_id, await self._sign(), left)

    def _base(self, terms: Terms) -> str | None:
        return terms.base_url or self._settings.values.service_url

    def _list_base(self, account: Account, terms: Terms) -> str:
        server = account.record.smtp
        near = isinstance(server, SmtpServer) and not is_public(server.host)
        return public_base(self._base(terms), near=near or is_sandbox(account.record))

    async def _sign(self) -> Sign:
        return functools.partial(query_of, key=await self._keys.own())


def _with_tracking(draft: Draft, what: Tracked) -> Draft:
    html = draft.html or ""
    return replace(draft, text=draft.text or html_to_text(html), html=tracked(html, what))


def _first(*choices: bool | None) -> bool:
    return next((each for each in choices if each is not None), False)
