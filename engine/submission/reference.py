"""What a draft takes from the message that it replies to or forwards, and from files in the mailbox.

It only computes; `reference_reading` reads what it needs. What the caller gave takes precedence: the recipients of a
reply to all are added, everything else is filled in only if it is absent.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from engine.mail.compose import AttachedFile, Draft
from engine.mail.quoting import Texts, with_quoted
from engine.mail.replying import Original, Own, following_ids, following_subject, joined, recipients
from engine.model.registration import ImapServer, Login, Registration, SmtpServer
from engine.schema.reference import Action, ReferenceShown


class Place(NamedTuple):
    """Where a message is: the number of its mailbox, and its UID."""

    mailbox: int
    uid: int


class Referenced(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for a message. `shown` is its reference as the answer shows it.

    `original` is None if there is no reference, or none was found; `place` is where it is, `delivered_to` the address
    at which it arrived. `quote` goes below the text, `pictures` are the files that its HTML shows. `carried` are the
    files to send along in any case, `attached` those that stand for attachments of the request, by their number.
    """

    shown: ReferenceShown | UnsetType = UNSET
    original: Original | None = None
    action: Action = "reply"
    place: Place | None = None
    delivered_to: str = ""
    quote: Texts | None = None
    pictures: tuple[AttachedFile, ...] = ()
    carried: tuple[AttachedFile, ...] = ()
    attached: dict[int, AttachedFile] = {}

    @property
    def size(self) -> int:
        """About how many octets it adds to a message."""
        files = (*self.pictures, *self.carried, *self.attached.values())
        return sum(len(each.content) for each in files) + sum(map(len, self.quote or ()))


NOTHING = Referenced()


def followed(draft: Draft, found: Referenced, record: Registration) -> Draft:
    """The draft with what it takes from the message that it refers to. Takes time in proportion to the texts."""
    original = found.original
    if original is None:
        return draft
    to, cc = recipients(original, found.action, _own(draft, found, record))
    if found.action == "reply-all":
        to = joined(draft.to, to, (*draft.cc, *draft.bcc))
        cc = joined(draft.cc, cc, (*to, *draft.bcc))
    given = {name.lower() for name, _ in draft.headers}
    ids = [each for each in following_ids(original, found.action) if each[0].lower() not in given]
    texts = Texts(draft.text or "", draft.html or "")
    if found.quote is not None:
        texts = with_quoted(texts, found.quote)
    return msgspec.structs.replace(
        draft,
        subject=following_subject(original, found.action) if draft.subject is None else draft.subject,
        to=to if found.action == "reply-all" else draft.to or to,
        cc=cc if found.action == "reply-all" else draft.cc,
        headers=(*ids, *draft.headers),
        text=texts.plain or None,
        html=texts.html or None,
        attachments=(*draft.attachments, *(found.pictures if texts.html else ()), *found.carried),
    )


def _own(draft: Draft, found: Referenced, record: Registration) -> Own:
    """The addresses of the account: the author's, its own, its logins, and the one at which the original arrived."""
    servers = [each for each in (record.imap, record.smtp) if isinstance(each, ImapServer | SmtpServer)]
    logins = [each.auth.user for each in servers if isinstance(each.auth, Login)]
    return Own([each for each in (draft.sender.address, record.email, found.delivered_to, *logins) if each])
