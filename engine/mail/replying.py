"""What a reply or forward takes from the original: subject, recipients, the ids of the conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from engine.mail.addresses import Address

Action = Literal["reply", "reply-all", "forward"]
_PREFIXED = {"reply": re.compile(r"re\s*:", re.IGNORECASE), "forward": re.compile(r"fwd?\s*:", re.IGNORECASE)}
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,994}>")
MOST_REFERENCES = 50
"""Most ids in References; of more, the first and the last ones are kept (RFC 5537 section 3.4.4)."""


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The original. `references` are its raw References and In-Reply-To."""

    subject: str
    message_id: str
    references: str
    author: Sequence[Address]
    reply_to: Sequence[Address]
    to: Sequence[Address]
    cc: Sequence[Address]


class Following(msgspec.Struct, frozen=True, kw_only=True):
    """What the new message takes from it; recipients only if the new message has none."""

    subject: str
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    headers: tuple[tuple[str, str], ...]


def following(original: Original, action: Action, own: str) -> Following:
    """Derive it from the original. `own` is the author's address, which a reply to all leaves out."""
    kind = "forward" if action == "forward" else "reply"
    subject = original.subject
    if not _PREFIXED[kind].match(subject):
        subject = f"{'Fwd' if kind == 'forward' else 'Re'}: {subject}".rstrip()
    ids = list(dict.fromkeys(_MESSAGE_ID.findall(f"{original.references} {original.message_id}")))
    if len(ids) > MOST_REFERENCES:
        ids = [ids[0], *ids[1 - MOST_REFERENCES :]]
    headers = [("References", " ".join(ids))] if ids else []
    if kind == "reply" and _MESSAGE_ID.fullmatch(original.message_id):
        headers.insert(0, ("In-Reply-To", original.message_id))
    to = list(original.reply_to or original.author) if kind == "reply" else []
    cc: list[Address] = []
    if action == "reply-all":
        known = {each.address.lower() for each in to} | {own.lower()}
        to += [each for each in original.to if each.address.lower() not in known]
        known |= {each.address.lower() for each in to}
        cc = [each for each in original.cc if each.address.lower() not in known]
    return Following(subject=subject, to=tuple(to), cc=tuple(cc), headers=tuple(headers))
