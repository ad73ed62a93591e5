"""Submits what arrived at the SMTP door, as the HTTP API does: the same checks, the same queue, durable before the 250.

The message is sent as it came in, except: control headers and Bcc are removed, a missing From, Date or Message-ID is
added, and links are changed where they are tracked. The envelope of the dialogue decides who gets it, whatever its
header says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from engine.accounts.account import Account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.field_errors import invalid
from engine.isotime import iso
from engine.mail.addresses import Address, parse_address
from engine.mail.compose import Composed, Draft
from engine.mail.header_reading import fields
from engine.mail.header_writing import one_address
from engine.mail.raw_message import from_raw, name_of, split_fields
from engine.mail.whole_html import may_have_html
from engine.model.message import Dsn
from engine.model.registration import Registration
from engine.msa.logins import Login
from engine.msa.reception import Received
from engine.schema.stored_json import shown
from engine.schema.submit_answers import SubmitAccepted
from engine.smtp.server_commands import MailFrom, RcptTo
from engine.store.bodies import Spool
from engine.store.idempotency_keys import Kept
from engine.submission.account_readiness import refuse_unless_ready
from engine.submission.composer import LARGE
from engine.submission.control_headers import ACCOUNT, Control, taken_out
from engine.submission.submissions import Submissions
from engine.submission.terms import Terms
from engine.world import World


class HandOver:
    """Makes submissions of received messages. `account` returns the account with an id."""

    def __init__(
        self, submissions: Submissions, account: Callable[[str], Account | None], spool: Spool, world: World
    ) -> None:
        self._submissions = submissions
        self._account = account
        self._spool = spool
        self._world = world

    def account(self, account: str) -> Account:
        """The account with this id. Raises `Problem` 404."""
        found = self._account(account)
        if found is None:
            raise Problem(404, f"there is no account {account}: it was removed")
        return found

    async def submit(
        self, login: Login | None, mail: MailFrom, recipients: Sequence[RcptTo], received: Received
    ) -> SubmitAccepted:
        """Queue the message; return what the HTTP API would answer.

        Without a `login` the message names its account. Raises like `Submissions.accept`, then nothing is queued.
        Cancelled: it is carried through.
        """
        handed = False
        try:
            header, control = taken_out(received.header)
            account = self.account(_account_of(login, control))
            if self._submissions.gateways.of(control.gateway) is None:
                refuse_unless_ready(account)
            now = self._world.now()
            terms = _terms(control, mail, recipients, now)
            header = _with_author(header, account.record)
            whole, message_id = self._completed(header, mail.sender or account.record.email or "", terms.send_at)
            composed = Composed(
                whole.header,
                whole.bcc_header,
                received.body or b"",
                mail.smtputf8 and not whole.header.isascii(),
                received.eight_bit,
            )
            draft = Draft(sender=Address(mail.sender), subject=_subject(whole.header))
            composed, spooled = await self._tracked(account, composed, received.spooled, message_id, terms)
            incoming = self._submissions.incoming(account, draft, composed, message_id, terms)
            incoming.message.size = len(composed.header) + 2
            incoming.message.size += len(composed.body) if spooled is None else received.body_size
            answer = SubmitAccepted(
                message_id=message_id, send_at=iso(terms.send_at), queue_id=incoming.message.queue_id
            )
            key = control.idempotency_key
            kept = Kept(_fingerprint(terms), msgspec.json.encode(answer)) if key is not None else None
            handed = True
            first = await carry_through(
                self._submissions.accept(incoming._replace(spooled=spooled), key=key, kept=kept)
            )
        finally:
            if received.spooled is not None and not (handed and spooled is not None):
                self._spool.remove(received.spooled)
        return answer if first is None else shown(SubmitAccepted, msgspec.json.decode(first))

    async def _tracked(
        self, account: Account, composed: Composed, spooled: str | None, message_id: str, terms: Terms
    ) -> tuple[Composed, str | None]:
        """The message with its links tracked, and the file with its body if the message itself does not contain it."""
        links = await self._submissions.links.of(account, terms)
        if not (links.tracks and may_have_html(composed)):
            return composed, spooled
        size = len(composed.body) if spooled is None else LARGE

        def work() -> Composed:
            body = composed.body if spooled is None else b"".join(self._spool.blocks(spooled))
            whole = msgspec.structs.replace(composed, body=body)
            made = links.put_into_whole(whole, message_id)
            return composed if made is whole else made

        made = await self._submissions.composer.run(work, size=size)
        return made, spooled if made is composed else None

    def _completed(self, header: bytes, author: str, date: float) -> tuple[Composed, str]:
        """The header with a Message-ID and a Date, Bcc apart, and the Message-ID."""
        if not fields(header).get("message-id"):
            # An empty one would prevent a new one.
            header = b"".join(each for each in split_fields(header) if name_of(each) != b"message-id")
        whole = from_raw(header + b"\r\n", self._submissions.composer.message_id(author), date)
        return whole, fields(whole.header)["message-id"][0]


def _account_of(login: Login | None, control: Control) -> str:
    if login is None:
        if control.account is None:
            raise Problem(403, f"log in, or name the account in {ACCOUNT}")
        return control.account
    if control.account not in (None, login.account):
        raise Problem(403, f"{ACCOUNT} names another account than the login: log in as that account, or remove it")
    return login.account


def _terms(control: Control, mail: MailFrom, recipients: Sequence[RcptTo], now: float) -> Terms:
    send_at = now if control.send_at is None else max(control.send_at, now)
    return Terms(
        now=now,
        send_at=send_at,
        sender=mail.sender,
        recipients=tuple(dict.fromkeys(each.recipient for each in recipients)),
        attempts=control.attempts,
        gateway=control.gateway,
        track_opens=control.tracking,
        track_clicks=control.tracking,
        dsn=_dsn(mail, recipients),
    )


def _dsn(mail: MailFrom, recipients: Sequence[RcptTo]) -> Dsn | None:
    """The delivery reports to request; if recipients differ, everything requested for any of them."""
    asked = {each.notify for each in recipients}
    if not (mail.returned or mail.envelope_id or asked != {()}):
        return None
    if len(asked) == 1:
        (notify,) = asked
    else:
        # If none are requested, a server reports failures.
        notify = tuple(sorted({word for each in asked for word in each or ("FAILURE",)} - {"NEVER"}))
    original = recipients[0].original if len(recipients) == 1 else ""
    return Dsn(
        full=mail.returned == "FULL",
        id=_decoded(mail.envelope_id) or None,
        notify=notify,
        recipient=_decoded(original.partition(";")[2]) if original[:7].lower() == "rfc822;" else None,
    )


def _decoded(xtext: str) -> str:
    """The text, decoded from the xtext of RFC 3461 section 4."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext)


def _with_author(header: bytes, record: Registration) -> bytes:
    """The header, with the account as its author if it names none. Raises `Problem` 400."""
    if fields(header).get("from"):
        return header
    if record.email is UNSET:
        raise invalid("From", "is required because the account has no email address")
    kept = b"".join(each for each in split_fields(header) if name_of(each) != b"from")
    return one_address("From", Address(parse_address(record.email), record.name), "From").encode() + kept


def _subject(header: bytes) -> str | None:
    found = fields(header).get("subject")
    return " ".join(found[0].split()) or None if found else None


def _fingerprint(terms: Terms) -> bytes:
    """What two submissions with one key must have in common: the envelope.

    A program that submits a message again often builds it again, with another Date, Message-ID and boundary.
    """
    return hashlib.sha256(msgspec.json.encode(("smtp", terms.sender, sorted(terms.recipients)))).digest()
