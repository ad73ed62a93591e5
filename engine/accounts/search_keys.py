"""Translates a search query into keys of IMAP's SEARCH (RFC 9051 section 6.4.4). Pure.

Texts become `bytes`, which are sent as strings; keywords become `str`. A member that needs an extension that the server
lacks raises `Problem` 422 with EmailEngine's code, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec import UNSET

from engine.errors import Problem
from engine.imap.mailboxes import encode_name
from engine.schema.search import LabelSearch, SearchQuery

GMAIL = "X-GM-EXT-1"
OBJECT_IDS = "OBJECTID"
NOTHING = ("NOT", "ALL")
"""Matches no message."""
_FLAGS = ("answered", "deleted", "draft", "flagged", "seen")
_TEXTS = (("author", "FROM"), ("to", "TO"), ("cc", "CC"), ("bcc", "BCC"), ("body", "BODY"), ("subject", "SUBJECT"))
_DATES = (("before", "BEFORE"), ("since", "SINCE"), ("sent_before", "SENTBEFORE"), ("sent_since", "SENTSINCE"))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OBJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_GMAIL_ID = re.compile(r"[0-9]{1,20}", re.ASCII)

Keys = list[str | bytes]


def search_keys(query: SearchQuery, capabilities: Collection[str]) -> Keys:
    """The keys for a server with these capabilities, without `thread_id` if the server has no thread ids.

    Raises `Problem` 422.
    """
    keys: Keys = []
    keys += [query.seq] if query.seq is not UNSET else []
    keys += ["UID", query.uid] if query.uid is not UNSET else []
    keys += _flags(query)
    for name, key in _TEXTS:
        if (text := getattr(query, name)) is not UNSET:
            keys += [key, text.encode("utf-8", "replace")]
    keys += ["LARGER", str(query.larger)] if query.larger is not UNSET else []
    keys += ["SMALLER", str(query.smaller)] if query.smaller is not UNSET else []
    if query.modseq is not UNSET:
        _need(capabilities, "modseq", "CONDSTORE")
        keys += ["MODSEQ", str(query.modseq)]
    for name, key in _DATES:
        if (moment := getattr(query, name)) is not UNSET:
            keys += [key, _day(moment)]
    keys += _ids(query, capabilities)
    for name, value in query.header.items() if query.header is not UNSET else ():
        keys += ["HEADER", name.encode(), value.encode("utf-8", "replace")]
    if query.gmail_raw is not UNSET:
        _need(capabilities, "gmailRaw", GMAIL)
        keys += ["X-GM-RAW", query.gmail_raw.encode("utf-8", "replace")]
    if query.labels is not UNSET:
        _need(capabilities, "labels", GMAIL)
        keys += _labels(query.labels)
    return keys or ["ALL"]


def needs_threads(query: SearchQuery, capabilities: Collection[str], *, by_message: bool = False) -> str | None:
    """The server's threading algorithm, if it is needed to find `thread_id`; None if it is not.

    `by_message`: the id is that of a message, by which it is found also where threads have ids, since a server may have
    none for its own (Cyrus without `conversations`). Raises `Problem` 422 if the server has neither thread ids nor
    THREAD.
    """
    if query.thread_id is UNSET or GMAIL in capabilities or (OBJECT_IDS in capabilities and not by_message):
        return None
    for algorithm in ("REFERENCES", "REFS"):
        if f"THREAD={algorithm}" in capabilities:
            return algorithm
    if OBJECT_IDS in capabilities:
        return None
    raise missing("threadId", f"{OBJECT_IDS} or THREAD=REFERENCES")


def lower_uids(uid: int) -> Keys:
    """Messages with a lower UID."""
    return [f"UID 1:{uid - 1}"] if uid > 1 else list(NOTHING)


def missing(member: str, extension: str) -> Problem:
    """The answer if a member needs an extension that the server lacks."""
    return Problem(422, f"{member} needs {extension}, which the server does not have", code="MissingServerExtension")


def _need(capabilities: Collection[str], member: str, extension: str) -> None:
    if extension not in capabilities:
        raise missing(member, extension)


def _flags(query: SearchQuery) -> Keys:
    keys: Keys = []
    for name in _FLAGS:
        wanted = getattr(query, name)
        if wanted is not UNSET:
            keys.append(name.upper() if wanted else f"UN{name.upper()}")
    if query.unseen is not UNSET:
        keys.append("UNSEEN" if query.unseen else "SEEN")
    return keys


def _ids(query: SearchQuery, capabilities: Collection[str]) -> Keys:
    keys: Keys = []
    for member, several in (("emailId", query.email_id), ("emailIds", query.email_ids)):
        if several is UNSET:
            continue
        gmail = GMAIL in capabilities
        if not gmail:
            _need(capabilities, member, OBJECT_IDS)
        wanted = (several,) if isinstance(several, str) else several
        keys += _any_of(_id("X-GM-MSGID" if gmail else "EMAILID", wanted, gmail=gmail))
    if query.thread_id is not UNSET and GMAIL in capabilities:
        keys += _any_of(_id("X-GM-THRID", (query.thread_id,), gmail=True))
    elif query.thread_id is not UNSET and OBJECT_IDS in capabilities:
        keys += _any_of(_id("THREADID", (query.thread_id,), gmail=False))
    return keys


def _id(key: str, wanted: Sequence[str], *, gmail: bool) -> list[str]:
    form = _GMAIL_ID if gmail else _OBJECT_ID
    return [f"{key} {each}" for each in dict.fromkeys(wanted) if form.fullmatch(each)]


def _any_of(keys: Sequence[str]) -> Keys:
    """One key that matches if any of several does, as a balanced tree, so that its nesting is minimal."""
    if not keys:
        return list(NOTHING)

    def joined(some: Sequence[str]) -> str:
        middle = len(some) // 2
        return f"OR {joined(some[:middle])} {joined(some[middle:])}" if middle else some[0]

    return [joined(keys)]


def _labels(labels: LabelSearch) -> Keys:
    keys: Keys = []
    for label in labels.has:
        keys += ["X-GM-LABELS", encode_name(label, utf8=False)]
    for label in labels.lacks:
        keys += ["NOT", "X-GM-LABELS", encode_name(label, utf8=False)]
    return keys


def _day(moment: datetime) -> str:
    return f"{moment.day}-{_MONTHS[moment.month - 1]}-{moment.year:04d}"
