"""The links in mail that lead back to the engine: for leaving a list, for opens and clicks.

What all messages of a request share is determined once (`MailLinks.of`): where links lead, what is tracked, the key. If
no URL is known that leads here, links for tracking are left out, and mail to a list is refused. If a message has no
plain text of its own, one is made from the HTML before its links change.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from engine.accounts.account import Account
from engine.accounts.registration import is_sandbox
from engine.field_errors import invalid
from engine.mail.addresses import Address
from engine.mail.compose import Composed, Draft
from engine.mail.header_reading import raw_fields
from engine.mail.header_writing import HeaderError
from engine.mail.html_text import html_to_text
from engine.mail.whole_html import with_html
from engine.model.registration import SmtpServer
from engine.settings import SettingsBook
from engine.signed_links import LinkKeys, query_of
from engine.store import blocklists
from engine.store.writer import Store
from engine.submission.envelope import envelope_of
from engine.submission.gateway_choice import GatewayChoice
from engine.submission.mailing_lists import (
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

_IN_BRACKETS = re.compile("<([^<>]*)>")


class OwnLinks(NamedTuple):
    """The links that the messages of one request get. `base` is None if no link is needed."""

    account: str
    terms: Terms
    base: str | None
    opens: bool
    clicks: bool
    sign: Sign

    @property
    def tracks(self) -> bool:
        """Whether anything is tracked."""
        return self.base is not None and (self.opens or self.clicks)

    def put_into(self, draft: Draft, message_id: str) -> Draft:
        """The draft with its links; the same draft if it gets none. Raises `HeaderError`."""
        if self.terms.list_id is not None:
            draft = self._with_list(draft, self.terms.list_id, message_id)
        return self._with_tracking(draft, message_id)

    def with_text(self, draft: Draft) -> Draft:
        """The draft with a plain text, if its HTML will get links that no reader of plain text should see."""
        if not self.tracks or draft.text or not draft.html:
            return draft
        return replace(draft, text=html_to_text(draft.html))

    def put_into_whole(self, message: Composed, message_id: str) -> Composed:
        """A whole message with the tracking in its HTML; unchanged if it is signed or has no HTML.

        The picture goes into its first text.
        """
        if not self.tracks:
            return message
        values = [(name, value.decode("utf-8", "replace")) for name, value in raw_fields(message.header)]
        what = self._tracked(values, message_id)

        def change(html: str) -> str:
            nonlocal what
            html, what = tracked(html, what), what._replace(opens=False)
            return html

        return with_html(message, change)

    def unsubscribe_url(self, recipient: str, message_id: str) -> str | None:
        """The link with which `recipient` leaves the list; None if there is no list. Raises `HeaderError`."""
        if self.terms.list_id is None or self.base is None:
            return None
        leaving = Leaving("unsub", self.account, self.terms.list_id, recipient, message_id, self.terms.own_list)
        return unsubscribe_link(self.base, leaving, self.sign)

    def variables(self, recipient: Address, message_id: str) -> dict[str, str]:
        """What templates may name as `rcpt`. Raises `HeaderError` as `unsubscribe_url` does."""
        found = {"name": recipient.name, "address": recipient.address}
        url = self.unsubscribe_url(recipient.address, message_id)
        return found if url is None else found | {"unsubscribeUrl": url}

    def only_recipient(self, draft: Draft) -> Address:
        """The recipient of a message to a list. Raises `HeaderError` if there is none, or several."""
        recipients = envelope_of(draft, self.terms).recipients
        if len(recipients) != 1:
            raise HeaderError(FIELD, "needs exactly one recipient: the link for unsubscribing is for one")
        shown = (each for each in (*draft.to, *draft.cc, *draft.bcc) if each.address == recipients[0])
        return next(shown, Address(recipients[0]))

    def _with_list(self, draft: Draft, list_id: str, message_id: str) -> Draft:
        link = self.unsubscribe_url(self.only_recipient(draft).address, message_id)
        if self.base is None or link is None:
            return draft
        return replace(draft, headers=with_list_fields(draft.headers, list_fields(list_id, self.base, link)))

    def _with_tracking(self, draft: Draft, message_id: str) -> Draft:
        if not draft.html or not self.tracks:
            return draft
        return replace(self.with_text(draft), html=tracked(draft.html, self._tracked(draft.headers, message_id)))

    def _tracked(self, headers: Sequence[tuple[str, str]], message_id: str) -> Tracked:
        left = frozenset(
            url for name, value in headers if name.lower() == "list-unsubscribe" for url in _IN_BRACKETS.findall(value)
        )
        return Tracked(self.opens, self.clicks, self.base or "", self.account, message_id, self.sign, left)


class MailLinks:
    """Knows where links lead, and signs them with the engine's own key, which no change of settings invalidates."""

    def __init__(self, settings: SettingsBook, keys: LinkKeys, gateways: GatewayChoice, store: Store) -> None:
        self._settings = settings
        self._keys = keys
        self._gateways = gateways
        self._store = store

    async def of(self, account: Account, terms: Terms) -> OwnLinks:
        """The links for messages on these terms.

        Raises `Problem` 400 if they go to a list and no URL leads here; the first time, what `Store.admit` raises.
        """
        values = self._settings.values
        url = terms.base_url or values.service_url
        tracks = bool(url) and not terms.rehearsal
        opens = tracks and _first(terms.track_opens, values.track_opens, values.track_sent_messages)
        clicks = tracks and _first(terms.track_clicks, values.track_clicks, values.track_sent_messages)
        if terms.list_id is None and not (opens or clicks):
            return OwnLinks(account.id, terms, None, False, False, _no_sign)
        base = base_of(url or "") if terms.list_id is None else self._list_base(account, terms, url)
        sign = functools.partial(query_of, key=await self._keys.own())
        return OwnLinks(account.id, terms, base, opens, clicks, sign)

    def _list_base(self, account: Account, terms: Terms, url: str | None) -> str:
        host = self._gateways.host(terms.gateway)
        near = bool(host) and not is_public(host or "")
        if host is None:
            server = account.record.smtp
            near = is_sandbox(account.record) or (isinstance(server, SmtpServer) and not is_public(server.host))
        try:
            return public_base(url, near=near)
        except HeaderError as error:
            raise invalid(error.field, error.reason) from error

    def skipped(self, account: str, terms: Terms, recipients: Sequence[str]) -> dict[str, str]:
        """Those of `recipients` who get no mail of the account on these terms, and why."""
        if terms.list_id is None:
            return {}
        return blocklists.reasons(self._store.reader, account, terms.list_id, recipients)


def _first(*choices: bool | None) -> bool:
    return next((each for each in choices if each is not None), False)


def _no_sign(data: bytes) -> str:
    raise AssertionError("no link is signed")
