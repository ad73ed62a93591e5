"""Submits what came in at the SMTP door, as the HTTP API does: the same checks, the same queue, durable before the 250.

The message is sent as it came in, except: control headers and Bcc are removed, a missing From, Date or Message-ID is
added. The envelope of the dialogue decides who gets it, whatever its header says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from engine.accounts.account import Account
from engine.errors import Problem
from engine.field_errors import invalid
from engine.http.client_disconnect import carry_through
from engine.isotime import iso
from engine.mail.addresses import Address, parse_address
from engine.mail.compose import Composed, Draft
from engine.mail.fields import fields
from engine.mail.headers import one_address
from engine.mail.whole import from_raw, name_of, split_fields
from engine.model.registration import Registration
from engine.msa.logins import Login
from engine.msa.reception import Received
from engine.schema.stored_json import shown
from engine.schema.submit import SubmitAccepted
from engine.smtp.server_commands import MailFrom
from engine.store.bodies import Spool
from engine.store.idempotency_keys import Kept
from engine.submission.control_headers import ACCOUNT, Control, taken_out
from engine.submission.submissions import Submissions, refuse_unless_ready
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

    def ready(self, account: str) -> Account:
        """The account, if it can take a message now. Raises `Problem`: 404 or 503."""
        found = self._account(account)
        if found is None:
            raise Problem(404, f"there is no account {account}: it was removed")
        refuse_unless_ready(found)
        return found

    async def submit(
        self, login: Login | None, mail: MailFrom, recipients: Sequence[str], received: Received
    ) -> SubmitAccepted:
        """Queue the message; return what the HTTP API would answer.

        Without a `login` the message names its account. Raises like `Submissions.accept`, then nothing is queued.
        Cancelled: it is carried through.
        """
        handed = False
        try:
            header, control = taken_out(received.header)
            account = self.ready(_account_of(login, control))
            now = self._world.now()
            terms = _terms(control, mail, recipients, now)
            header = _with_author(header, account.record)
            whole, message_id = self._completed(header, mail.sender or account.record.email or "", terms.send_at)
            composed = Composed(
                whole.header,
                whole.bcc_header,
                received.body or b"",
                mail.smtputf8 and not whole.header.isascii(),
                mail.eight_bit,
            )
            draft = Draft(sender=Address(mail.sender), subject=_subject(whole.header))
            incoming = self._submissions.incoming(account, draft, composed, message_id, terms)
            incoming.message.size = len(composed.header) + 2 + received.body_size
            answer = SubmitAccepted(
                message_id=message_id, send_at=iso(terms.send_at), queue_id=incoming.message.queue_id
            )
            key = control.idempotency_key
            kept = Kept(_fingerprint(mail.sender, recipients), msgspec.json.encode(answer)) if key is not None else None
            handed = True
            first = await carry_through(
                self._submissions.accept(incoming._replace(spooled=received.spooled), key=key, kept=kept)
            )
        finally:
            if not handed and received.spooled is not None:
                self._spool.remove(received.spooled)
        return answer if first is None else shown(SubmitAccepted, msgspec.json.decode(first))

    def _completed(self, header: bytes, author: str, date: float) -> tuple[Composed, str]:
        """The header with a Message-ID and a Date, Bcc apart, and the Message-ID."""
        if not fields(header).get("message-id"):
            # An empty one would stay in the way of a new one.
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


def _terms(control: Control, mail: MailFrom, recipients: Sequence[str], now: float) -> Terms:
    send_at = now if control.send_at is None else max(control.send_at, now)
    return Terms(
        now=now,
        send_at=send_at,
        sender=mail.sender,
        recipients=tuple(recipients),
        attempts=control.attempts,
        gateway=control.gateway,
    )


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


def _fingerprint(sender: str, recipients: Sequence[str]) -> bytes:
    """What two submissions with one key must have in common: the envelope.

    A program that submits a message again often makes it anew, with another Date, Message-ID and boundary.
    """
    return hashlib.sha256(msgspec.json.encode(("smtp", sender, sorted(recipients)))).digest()
