"""IMAP commands as bytes: one function per command, and the rules for quoting and literals (RFC 9051 sections 6 and 4).

Arguments cannot inject commands: text is sent as a quoted string, or as a literal if it contains a line end or anything
outside ASCII; flags must be atoms. What IMAP cannot carry at all (NUL, a flag with a space) raises `ValueError` before
a byte is written. A command's `shown` form, which appears in transcripts, leaves out secrets.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from engine.imap import limits
from engine.imap.responses import (
    ESearch,
    Exists,
    Fetch,
    Flags,
    Id,
    ListEntry,
    MailboxStatus,
    Namespace,
    Recent,
    Search,
    StatusResponse,
    Subscribed,
    Thread,
    Vanished,
)
from engine.sasl import Mechanism

SECRET = "[secret]"

_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")
_QUOTABLE_UTF8 = re.compile(rb"[^\x00\r\n]*")
_SPECIAL = re.compile(rb'(["\\])')
_FLAG = re.compile(r"\\?[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ID_KEY_BYTES, _ID_VALUE_BYTES = 30, 1024


class Later(msgspec.Struct, frozen=True):
    """Bytes that are read only when they are sent, so that they need not be in memory. `read` gives `size` of them."""

    read: Callable[[], Iterator[bytes]]
    size: int


Chunk: TypeAlias = bytes | Later


class Literal(msgspec.Struct, frozen=True):
    """An argument sent as counted bytes, in one or more pieces."""

    chunks: tuple[Chunk, ...]
    size: int


Piece: TypeAlias = bytes | Literal


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command without its tag.

    `pieces` are sent as they are, after the name and a space. `takes` are the untagged responses that belong to the
    answer. `shown` is the arguments as a transcript shows them. `mechanism` answers the server's challenges, but
    `initial`, unless None, answers the first. `at_once`: `initial` was sent with the command, and is sent again only to
    a server that ignored it.
    """

    name: str
    pieces: tuple[Piece, ...] = ()
    takes: tuple[type, ...] = ()
    shown: str = ""
    mechanism: Mechanism | None = None
    initial: bytes | None = None
    at_once: bool = False


def encode(command: Command, tag: str, unasked: int) -> list[list[Chunk]]:
    """The command as groups of chunks to send; each group but the first must wait for a continuation request.

    Literals of at most `unasked` bytes do not wait (LITERAL+ and LITERAL-, RFC 7888); -1: the server offers neither.
    """
    group: list[Chunk] = [f"{tag} {command.name}{' ' if command.pieces else ''}".encode("ascii")]
    groups = [group]
    for piece in command.pieces:
        if isinstance(piece, bytes):
            group.append(piece)
            continue
        waits = piece.size > unasked
        group.append(b"{%d}\r\n" % piece.size if waits else b"{%d+}\r\n" % piece.size)
        if waits:
            group = []
            groups.append(group)
        group.extend(piece.chunks)
    group.append(b"\r\n")
    return groups


def unasked_limit(capabilities: Collection[str]) -> int:
    """The maximum bytes of a literal that may be sent without a continuation request; -1: not even an empty one."""
    if "LITERAL+" in capabilities:
        return limits.UNASKED_LITERAL_BYTES
    if "LITERAL-" in capabilities or "IMAP4REV2" in capabilities:
        return limits.LITERAL_MINUS_BYTES
    return -1


def string(value: str | bytes, *, utf8: bool = False) -> Piece:
    """`value` as a quoted string if possible, else as a literal. `utf8`: quoted strings may contain UTF-8.

    Raises `ValueError` for NUL and lone surrogates.
    """
    data = value.encode() if isinstance(value, str) else value
    if (_QUOTABLE_UTF8 if utf8 else _QUOTABLE).fullmatch(data):
        return b'"' + _SPECIAL.sub(rb"\\\1", data) + b'"'
    if b"\0" in data:
        raise ValueError("IMAP cannot carry a NUL character")
    return Literal((data,), len(data))


def is_system_flag(name: str) -> bool:
    """Whether it is written as one of the server's own flags or labels, such as `\\Starred`."""
    return name.startswith("\\") and _FLAG.fullmatch(name) is not None


def flag_list(flags: Sequence[str]) -> bytes:
    """`(\\Seen $Label1)`. Raises `ValueError` for what is not a flag."""
    for flag in flags:
        if not _FLAG.fullmatch(flag):
            raise ValueError(f"not an IMAP flag: {flag!r}")
    return b"(" + " ".join(flags).encode("ascii") + b")"


def search_date(seconds: float) -> str:
    """The day of a moment (seconds since 1970), in UTC, as SEARCH has it (RFC 9051 section 9, `date`)."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment.day}-{_MONTHS[moment.month - 1]}-{moment.year:04d}"


def date_time(seconds: float) -> bytes:
    """Seconds since 1970 as IMAP's date-time, in UTC. Raises `ValueError` outside the years 1 to 9999."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"no date: {seconds!r}") from error
    return (
        f'"{moment.day:2d}-{_MONTHS[moment.month - 1]}-{moment.year:04d}'
        f' {moment.hour:02d}:{moment.minute:02d}:{moment.second:02d} +0000"'
    ).encode("ascii")


def capability() -> Command:
    """CAPABILITY: its answer replaces the protocol machine's `capabilities`."""
    return Command(name="CAPABILITY")


def noop() -> Command:
    """NOOP: lets the server report news."""
    return Command(name="NOOP")


def logout() -> Command:
    """LOGOUT: the server says BYE and closes."""
    return Command(name="LOGOUT")


def start_tls() -> Command:
    """STARTTLS."""
    return Command(name="STARTTLS")


def idle() -> Command:
    """IDLE (RFC 2177): lasts until `Protocol.done`."""
    return Command(name="IDLE")


def login(user: str, password: str) -> Command:
    """LOGIN. Raises `ValueError` for credentials that IMAP cannot carry."""
    name = string(user)
    return Command(name="LOGIN", pieces=(name, b" ", string(password)), shown=f"{_show(name)} {SECRET}")


def authenticate(mechanism: Mechanism, *, at_once: bool) -> Command:
    """AUTHENTICATE. `at_once`: the first response goes in the command itself (SASL-IR, RFC 4959)."""
    name = mechanism.name.encode("ascii")
    initial = mechanism.initial()
    if initial is None or not at_once:
        return Command(name="AUTHENTICATE", pieces=(name,), shown=mechanism.name, mechanism=mechanism, initial=initial)
    encoded = binascii.b2a_base64(initial, newline=False) or b"="
    return Command(
        name="AUTHENTICATE",
        pieces=(name, b" ", encoded),
        shown=f"{mechanism.name} {SECRET}",
        mechanism=mechanism,
        initial=initial,
        at_once=True,
    )


def identify(fields: Mapping[str, str]) -> Command:
    """ID (RFC 2971). Raises `ValueError` beyond 30 fields, keys of 30 bytes or values of 1,024 bytes."""
    if len(fields) > limits.ID_FIELDS:
        raise ValueError(f"more than {limits.ID_FIELDS} ID fields")
    pieces: list[Piece] = []
    for key, value in fields.items():
        if len(key.encode()) > _ID_KEY_BYTES or len(value.encode()) > _ID_VALUE_BYTES:
            raise ValueError(f"ID field too long: {key[:_ID_KEY_BYTES]!r}")
        pieces += [b" ", string(key), b" ", string(value)]
    return _shown("ID", [b"(", *pieces[1:], b")"] if pieces else [b"NIL"], Id)


def list_mailboxes(*, special_use: bool, subscribed: bool = False, status: Sequence[str] = ()) -> Command:
    """LIST of all mailboxes; `special_use` and `subscribed` request these flags (RFC 6154, RFC 5258: LIST-EXTENDED).

    `status` are the STATUS items to return for each mailbox (RFC 5819).
    """
    wanted = [*(["SPECIAL-USE"] if special_use else []), *(["SUBSCRIBED"] if subscribed else [])]
    if status:
        wanted.append(f"STATUS ({' '.join(status)})")
    options = f" RETURN ({' '.join(wanted)})" if wanted else ""
    return _shown("LIST", [f'"" "*"{options}'.encode("ascii")], ListEntry, MailboxStatus)


def list_subscribed() -> Command:
    """LSUB: all subscribed mailboxes."""
    return _shown("LSUB", [b'"" "*"'], Subscribed)


def enable(names: Sequence[str]) -> Command:
    """ENABLE (RFC 5161): its answer switches extensions on in the protocol machine."""
    return _shown("ENABLE", [" ".join(names).encode("ascii")])


def namespace() -> Command:
    """NAMESPACE (RFC 2342)."""
    return Command(name="NAMESPACE", takes=(Namespace,))


def compress() -> Command:
    """COMPRESS (RFC 4978): everything after the OK is deflated, in both directions."""
    return _shown("COMPRESS", [b"DEFLATE"])


def status(name: bytes, items: Sequence[str], *, utf8: bool = False) -> Command:
    """STATUS of a mailbox. Raises `ValueError` for NUL."""
    return _shown("STATUS", [string(name, utf8=utf8), f" ({' '.join(items)})".encode("ascii")], MailboxStatus)


def on_mailbox(verb: str, name: bytes, *, utf8: bool = False) -> Command:
    """CREATE, DELETE, SUBSCRIBE or UNSUBSCRIBE. Raises `ValueError` for NUL."""
    return _shown(verb, [string(name, utf8=utf8)])


def rename(old: bytes, new: bytes, *, utf8: bool = False) -> Command:
    """RENAME. Raises `ValueError` for NUL."""
    return _shown("RENAME", [string(old, utf8=utf8), b" ", string(new, utf8=utf8)])


def select(
    name: bytes,
    *,
    read_only: bool = False,
    utf8: bool = False,
    condstore: bool = False,
    known: tuple[int, int] | None = None,
) -> Command:
    """SELECT or EXAMINE of the mailbox with this name on the wire. Raises `ValueError` for NUL.

    `condstore` requests the highest MODSEQ (RFC 7162), which some servers report only then. `known` are the UIDVALIDITY
    and MODSEQ up to which changes are known: the server then adds later changes (QRESYNC).
    """
    pieces = [string(name, utf8=utf8)]
    if known is not None:
        pieces.append(b" (QRESYNC (%d %d))" % known)
    elif condstore:
        pieces.append(b" (CONDSTORE)")
    takes = (Flags, Exists, Recent, StatusResponse, Vanished, Fetch)
    return _shown("EXAMINE" if read_only else "SELECT", pieces, *takes)


def uid_fetch(numbers: str, items: Sequence[str], *, changed_since: int | None = None) -> Command:
    """UID FETCH of a sequence set; `changed_since`: only of messages changed after this MODSEQ (RFC 7162)."""
    text = f"{numbers} ({' '.join(items)})"
    if changed_since is not None:
        text += f" (CHANGEDSINCE {changed_since})"
    return _shown("UID FETCH", [text.encode("ascii")], Fetch)


def fetch(numbers: str, items: Sequence[str]) -> Command:
    """FETCH of a set of sequence numbers."""
    return _shown("FETCH", [f"{numbers} ({' '.join(items)})".encode("ascii")], Fetch)


def uid_search(criteria: Sequence[Piece], *, wanted: str = "", charset: bool = False) -> Command:
    """UID SEARCH. `wanted` are the return options (`ALL`; RFC 4731); `charset`: declare the criteria as UTF-8."""
    options = [f"RETURN ({wanted}) ".encode("ascii")] if wanted else []
    return _shown(
        "UID SEARCH", [*options, *([b"CHARSET UTF-8 "] if charset else []), *_apart(criteria)], Search, ESearch
    )


def uid_thread(algorithm: str, criteria: Sequence[Piece]) -> Command:
    """UID THREAD (RFC 5256), which always names the charset of its criteria."""
    return _shown("UID THREAD", [f"{algorithm} UTF-8 ".encode("ascii"), *_apart(criteria)], Thread)


def uid_store(numbers: str, how: str, flags: Sequence[str]) -> Command:
    """UID STORE without an answer; `how` is `+`, `-` or empty (exactly these). Raises `ValueError` for a bad flag."""
    return _shown("UID STORE", [f"{numbers} {how}FLAGS.SILENT ".encode("ascii"), flag_list(flags)])


def uid_store_labels(numbers: str, how: str, labels: Sequence[str | bytes], *, utf8: bool = False) -> Command:
    """UID STORE of Gmail's labels: its own (`\\Inbox`) as `str`, others as `bytes`. Raises `ValueError` for none."""
    pieces: list[Piece] = [f"{numbers} {how}X-GM-LABELS.SILENT (".encode("ascii")]
    given = [flag_list([each])[1:-1] if isinstance(each, str) else string(each, utf8=utf8) for each in labels]
    return _shown("UID STORE", [*pieces, *_apart(given), b")"])


def uid_copy(numbers: str, name: bytes, *, move: bool = False, utf8: bool = False) -> Command:
    """UID COPY or UID MOVE (RFC 6851). Raises `ValueError` for NUL."""
    verb = "UID MOVE" if move else "UID COPY"
    return _shown(verb, [f"{numbers} ".encode("ascii"), string(name, utf8=utf8)], StatusResponse)


def expunge(numbers: str | None = None) -> Command:
    """EXPUNGE of all messages marked as deleted, or UID EXPUNGE of a sequence set (UIDPLUS, RFC 4315)."""
    return Command(name="EXPUNGE") if numbers is None else _shown("UID EXPUNGE", [numbers.encode("ascii")])


def unselect() -> Command:
    """UNSELECT (RFC 3691): leaves the mailbox without expunging anything."""
    return Command(name="UNSELECT")


def append(
    name: bytes, flags: Sequence[str], date: float | None, message: Sequence[Chunk], *, utf8: bool = False
) -> Command:
    """APPEND of a message in pieces. Raises `ValueError` for NUL in the name, an invalid flag or date."""
    pieces: list[Piece] = [string(name, utf8=utf8), b" "]
    if flags:
        pieces += [flag_list(flags), b" "]
    if date is not None:
        pieces += [date_time(date), b" "]
    pieces.append(Literal(tuple(message), size_of(message)))
    return _shown("APPEND", pieces)


def size_of(message: Sequence[Chunk]) -> int:
    """The bytes of a message in pieces."""
    return sum(each.size if isinstance(each, Later) else len(each) for each in message)


def _apart(pieces: Sequence[Piece]) -> list[Piece]:
    return [part for number, piece in enumerate(pieces) for part in ((b" ", piece) if number else (piece,))]


def _shown(name: str, pieces: list[Piece], *takes: type) -> Command:
    return Command(name=name, pieces=tuple(pieces), takes=takes, shown="".join(map(_show, pieces)))


def _show(piece: Piece) -> str:
    return piece.decode("utf-8", "replace") if isinstance(piece, bytes) else f"[{piece.size} bytes]"
