"""What a reply or a forward takes from the original: who gets it, its subject, the ids of the conversation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from engine.mail.addresses import Address
from engine.mail.subjects import subject_of_forward, subject_of_reply

Action = Literal["reply", "reply-all", "forward"]
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,900}>")
_BARE_ID = re.compile(r"[!-;=?A-~]{1,450}@[!-;=?A-~]{1,450}")
"""An id whose program forgot the brackets; other programs add them, too."""
MOST_REFERENCES = 50
"""Maximum ids in References; of more, the first and the last ones are kept (RFC 5537 section 3.4.4)."""


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The original. `references` and `in_reply_to` are these fields, undecoded.

    `reply_to` is its author if it has no such field. `mail_reply_to` and `mail_followup_to` are the fields of these
    names, in which an author says who gets a reply and who a reply to all. `date` is in seconds since 1970.

    These are addresses that can be sent to; `shown_author`, `shown_to` and `shown_cc` are the fields as written, for
    display: they may contain no address at all.
    """

    subject: str = ""
    message_id: str = ""
    references: str = ""
    in_reply_to: str = ""
    author: Sequence[Address] = ()
    reply_to: Sequence[Address] = ()
    to: Sequence[Address] = ()
    cc: Sequence[Address] = ()
    shown_author: Sequence[Address] = ()
    shown_to: Sequence[Address] = ()
    shown_cc: Sequence[Address] = ()
    mail_reply_to: Sequence[Address] = ()
    mail_followup_to: Sequence[Address] = ()
    date: float | None = None


class Recipients(NamedTuple):
    """Who gets a message."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]


class Own:
    """The addresses of an account, to which no reply goes; `me+anything@x` is the same as `me@x` (RFC 5233)."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._addresses = frozenset(each.lower() for each in addresses)

    def __contains__(self, address: Address) -> bool:
        local, _, domain = address.address.lower().rpartition("@")
        return bool({f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}"} & self._addresses)


def following_subject(original: Original, action: Action) -> str:
    """The subject that follows from the original's."""
    return subject_of_forward(original.subject) if action == "forward" else subject_of_reply(original.subject)


def following_ids(original: Original, action: Action) -> tuple[tuple[str, str], ...]:
    """In-Reply-To and References as RFC 5322 section 3.6.4 orders them, as pairs of name and value."""
    mine = f"<{original.message_id}>" if _BARE_ID.fullmatch(original.message_id) else original.message_id
    mine = mine if _MESSAGE_ID.fullmatch(mine) else ""
    before = _MESSAGE_ID.findall(original.references)
    if not before and len(given := _MESSAGE_ID.findall(original.in_reply_to)) == 1:
        before = given
    ids = [*(each for each in dict.fromkeys(before) if each != mine), *([mine] if mine else ())]
    if len(ids) > MOST_REFERENCES:
        ids = [ids[0], *ids[1 - MOST_REFERENCES :]]
    headers = [("References", " ".join(ids))] if ids else []
    if mine and action != "forward":
        headers.insert(0, ("In-Reply-To", mine))
    return tuple(headers)


def recipients(original: Original, action: Action, own: Own) -> Recipients:
    """Who gets a reply or a reply to all; a forward has no recipients of its own.

    A reply to one's own message goes to that message's recipients.
    """
    if action == "forward":
        return Recipients((), ())
    answers_to = original.mail_reply_to or original.reply_to or original.author
    if all(each in own for each in answers_to):
        answers_to = _others(original.to, own) or _others(original.cc, own) or answers_to
    if action == "reply":
        return Recipients(_once(answers_to), ())
    if wanted := _others(original.mail_followup_to, own):
        return Recipients(wanted, ())
    to = _others((*answers_to, *original.to), own)
    cc = _others(original.cc, own, besides=to)
    return Recipients(to if to or cc else _once(answers_to), cc)


def joined(given: Sequence[Address], more: Sequence[Address], besides: Collection[Address] = ()) -> tuple[Address, ...]:
    """The given addresses, then those of `more` that are neither among them nor in `besides`."""
    known = {each.address.lower() for each in (*given, *besides)}
    return (*given, *(each for each in _once(more) if each.address.lower() not in known))


def _others(addresses: Sequence[Address], own: Own, besides: Collection[Address] = ()) -> tuple[Address, ...]:
    return joined((), [each for each in addresses if each not in own], besides)


def _once(addresses: Sequence[Address]) -> tuple[Address, ...]:
    first: dict[str, Address] = {}
    for each in addresses:
        first.setdefault(each.address.lower(), each)
    return tuple(first.values())
