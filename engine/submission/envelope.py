"""The sender and recipients of a message in SMTP, and where its copy goes."""

from __future__ import annotations

from typing import NamedTuple

from engine.mail.addresses import needs_smtputf8
from engine.mail.compose import Draft
from engine.model.registration import Registration
from engine.submission.terms import Terms


class MessageEnvelope(NamedTuple):
    """The address for bounces ("" for none), and who gets the message, each once and in order."""

    sender: str
    recipients: tuple[str, ...]

    @property
    def smtputf8(self) -> bool:
        """Whether an address requires SMTPUTF8."""
        return any(map(needs_smtputf8, (self.sender, *self.recipients)))


def envelope_of(draft: Draft, terms: Terms) -> MessageEnvelope:
    """The envelope of a message: as requested, else from its own addresses."""
    sender = draft.sender.address if terms.sender is None else terms.sender
    own = (each.address for each in (*draft.to, *draft.cc, *draft.bcc))
    return MessageEnvelope(sender, tuple(dict.fromkeys(terms.recipients or own)))


def copy_path_of(record: Registration, terms: Terms, *, has_imap: bool) -> str | None:
    """The folder for the copy, "" for the account's Sent folder; None: no copy is filed."""
    wanted = record.copy if terms.copy is None else terms.copy
    if wanted is False or not has_imap:
        return None
    return terms.copy_path or ""
