"""One message as described by a FETCH, typed.

A meaningless value, or one that the server did not send, is absent; nothing here raises. Only the UID is required.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

import msgspec

from engine.imap import limits
from engine.imap.envelope import ImapEnvelope, read_envelope
from engine.imap.nodes import Node, number, octets, text, words
from engine.imap.responses import Fetch
from engine.imap.structure import Structure, read_structure

_DATE = re.compile(
    r" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
LONGEST_DATE = 40
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RECENT = {"\\Recent", "\\recent", "\\RECENT"}
_NONE: frozenset[str] = frozenset()
_SECTION = re.compile(r"(?:BODY|BINARY)\[([^]]*)\](?:<[0-9]+>)?")


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one message; None or empty for what the server did not send.

    `flags` are without `\\Recent`, which belongs to the session. `internal_date` is in seconds since 1970, `size` in
    octets. `sections` are by upper-case name (`1.2`, `HEADER.FIELDS (SUBJECT)`, empty for the whole message); `cut` are
    those that arrived in part, as requested; a server may ignore such a request. `labels` are Gmail's; `email_id` and
    `thread_id` come from RFC 8474 or from Gmail.
    """

    uid: int
    number: int = 0
    flags: frozenset[str] | None = None
    modseq: int | None = None
    internal_date: float | None = None
    size: int | None = None
    envelope: ImapEnvelope | None = None
    structure: Structure | None = None
    sections: dict[str, bytes] = {}
    cut: frozenset[str] = frozenset()
    email_id: str | None = None
    thread_id: str | None = None
    labels: tuple[bytes, ...] | None = None
    decoded_sizes: dict[str, int] = {}
    """Octets of parts after decoding their transfer encoding (RFC 3516), by section number."""

    @property
    def placeholder(self) -> bool:
        """Whether it has no octets and dates from 1970: as Dovecot shows a message that another session just removed.

        A message that exists can look like this too, though hardly ever. RFC 2180 section 4.1 allows such answers.
        """
        return self.size == 0 and self.internal_date == 0

    @property
    def described(self) -> bool:
        """Whether this answers a FETCH: it is neither an unsolicited report of flags nor a placeholder."""
        told = (self.size, self.internal_date, self.envelope, self.structure)
        shown = bool(self.sections or self.decoded_sizes) or any(each is not None for each in told)
        return shown and not self.placeholder

    @property
    def header(self) -> bytes:
        """The header, or the requested fields of it."""
        return next((value for name, value in self.sections.items() if name.startswith("HEADER")), b"")


def read_fetch(response: Fetch) -> Fetched | None:
    """The message of a FETCH; None without a UID."""
    items = response.items
    uid = number(items.get("UID"), limits.UID_BITS)
    if not uid:
        return None
    sections, cut = _sections(items)
    return Fetched(
        uid=uid,
        number=response.number,
        flags=read_flags(items["FLAGS"]) if "FLAGS" in items else None,
        modseq=_modseq(items.get("MODSEQ")),
        internal_date=read_date(items.get("INTERNALDATE")),
        size=number(items.get("RFC822.SIZE"), 63),
        envelope=read_envelope(items.get("ENVELOPE")),
        structure=read_structure(items.get("BODYSTRUCTURE")),
        sections=sections,
        cut=frozenset(cut) if cut else _NONE,
        email_id=_identifier(items.get("EMAILID", items.get("X-GM-MSGID"))),
        thread_id=_identifier(items.get("THREADID", items.get("X-GM-THRID"))),
        labels=_labels(items.get("X-GM-LABELS")),
        decoded_sizes=_decoded_sizes(items),
    )


def read_flags(node: Node) -> frozenset[str] | None:
    """The flags of a list, or of NIL for an empty one; None for anything else."""
    if node is not None and not isinstance(node, list):
        return None
    return frozenset(words(node)) - _RECENT


def read_date(node: Node) -> float | None:
    """An INTERNALDATE in seconds since 1970; None if there is no valid one."""
    text = octets(node)
    return _read_date(text) if len(text) <= LONGEST_DATE else None


@lru_cache(maxsize=64)  # messages fetched together often have the same one
def _read_date(text: bytes) -> float | None:
    match = _DATE.fullmatch(text.decode("ascii", "replace"))
    if match is None or match[2].lower() not in _MONTHS or not 1900 <= int(match[3]) < 9000:
        return None
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    zone = timedelta(hours=int(match[8]), minutes=int(match[9])) * (-1 if match[7] == "-" else 1)
    try:
        month = _MONTHS.index(match[2].lower()) + 1
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone(zone)).timestamp()
    except (ValueError, OverflowError):
        return None


def _sections(items: dict[str, Node]) -> tuple[dict[str, bytes], list[str]]:
    """The sections by name, and the names of those that arrived as a part."""
    found, cut = {}, []
    for name, value in items.items():
        match = _SECTION.fullmatch(name) if "[" in name else None
        if match is not None:
            section = match[1].upper()
            found[section] = octets(value)
            if name.endswith(">"):
                cut.append(section)
    return found, cut


def _decoded_sizes(items: dict[str, Node]) -> dict[str, int]:
    found = {}
    for name, value in items.items():
        if name.startswith("BINARY.SIZE[") and (size := number(value, 63)) is not None:
            found[name[len("BINARY.SIZE[") : -1]] = size
    return found


def _modseq(node: Node) -> int | None:
    return number(node[0] if isinstance(node, list) and node else node, 63)


def _identifier(node: Node) -> str | None:
    if isinstance(node, list):
        node = node[0] if node else None
    return text(node) or None


def _labels(node: Node) -> tuple[bytes, ...] | None:
    return tuple(octets(label) for label in node) if isinstance(node, list) else None
