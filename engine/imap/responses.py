"""An IMAP server's responses as typed values, and the one function (`parse`) that makes them from frames.

Known responses are validated here, once. The valid parts of a response are used and the rest is left out; a useless or
unknown response becomes `Other`, which the engine ignores. So no response is an error. Texts are decoded leniently
(what is not UTF-8 becomes U+FFFD), names of capabilities, codes and data items are in upper case, and numbers are
range-checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import chain, islice, takewhile
from typing import TypeAlias

import msgspec

from engine.imap import limits
from engine.imap.nodes import Node, items, number, octets, text, words
from engine.imap.tokens import Frame, parse_text


class StatusKind(StrEnum):
    """The first word of a status response (RFC 9051 section 7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    PREAUTH = "PREAUTH"


class Code(msgspec.Struct, frozen=True):
    """A response code: `[APPENDUID 38505 3955]` is name `APPENDUID` and two atoms."""

    name: str
    arguments: tuple[Node, ...] = ()

    def number(self, index: int = 0) -> int | None:
        """The argument at `index` as an unsigned 63-bit number; None if it is absent or not a number."""
        return number(self.arguments[index], 63) if index < len(self.arguments) else None

    def ranges(self, index: int) -> tuple[tuple[int, int], ...]:
        """The argument at `index` as a set of UIDs, in its own order; empty if it is absent or none."""
        return _ranges(self.arguments[index]) if index < len(self.arguments) else ()


class StatusResponse(msgspec.Struct, frozen=True):
    """`A3 NO [AUTHENTICATIONFAILED] Authentication failed.`

    `tag` is None for an untagged one. `line` is the whole line and `text` the part after the code, each cut to
    `limits.STATUS_TEXT` characters.
    """

    tag: str | None
    kind: StatusKind
    code: Code | None
    text: str
    line: str


class Continuation(msgspec.Struct, frozen=True):
    """`+ text`: the server waits for more of the command in flight."""

    text: bytes


class Capability(msgspec.Struct, frozen=True):
    """The server's capabilities, in upper case."""

    names: frozenset[str]


class ListEntry(msgspec.Struct, frozen=True):
    """One mailbox of a LIST. `name` is as sent, not decoded; `delimiter` is None for a flat namespace."""

    flags: frozenset[str]
    delimiter: str | None
    name: bytes


class Subscribed(msgspec.Struct, frozen=True):
    """One subscribed mailbox of an LSUB: its name as sent."""

    name: bytes


class Flags(msgspec.Struct, frozen=True):
    """The flags defined in the selected mailbox."""

    flags: tuple[str, ...]


class Exists(msgspec.Struct, frozen=True):
    """The selected mailbox now contains `count` messages."""

    count: int


class Recent(msgspec.Struct, frozen=True):
    """`count` messages are new to this session."""

    count: int


class Expunge(msgspec.Struct, frozen=True):
    """The message with this sequence number was removed; later ones move up. 0: an unknown message was removed."""

    number: int


class Vanished(msgspec.Struct, frozen=True):
    """Messages with these UIDs were removed (RFC 7162). `ranges` are inclusive; never expand them without a limit."""

    earlier: bool
    ranges: tuple[tuple[int, int], ...]


class Fetch(msgspec.Struct, frozen=True):
    """Data items of the message with sequence number `number` (0: unknown), each still a tree."""

    number: int
    items: dict[str, Node]


class Search(msgspec.Struct, frozen=True):
    """Sequence numbers or UIDs found, in the server's order; `modseq` if the server sent one (RFC 7162)."""

    numbers: tuple[int, ...]
    modseq: int | None


class ESearch(msgspec.Struct, frozen=True):
    """The reply to an extended SEARCH (RFC 4731). Ranges are inclusive; never expand them without a limit.

    `part` are the matches that were requested by position (PARTIAL, RFC 9394).
    """

    ranges: tuple[tuple[int, int], ...]
    count: int | None
    modseq: int | None
    part: tuple[tuple[int, int], ...] = ()


class Thread(msgspec.Struct, frozen=True):
    """The reply to THREAD (RFC 5256): the messages of each conversation, without its tree."""

    threads: tuple[tuple[int, ...], ...]


class MailboxStatus(msgspec.Struct, frozen=True):
    """The reply to STATUS. `name` is as sent; items that are not unsigned numbers are left out.

    `mailbox_id`: the server's own id for it, which a new name does not change (RFC 8474); None if it does not say.
    """

    name: bytes
    items: dict[str, int]
    mailbox_id: str | None = None


class Id(msgspec.Struct, frozen=True):
    """How the server identifies itself (RFC 2971): at most `limits.ID_FIELDS` fields, with keys in lower case."""

    fields: dict[str, str | None]


class Enabled(msgspec.Struct, frozen=True):
    """The extensions now enabled (RFC 5161), in upper case."""

    names: frozenset[str]


class Namespace(msgspec.Struct, frozen=True):
    """The server's namespaces (RFC 2342), each still a tree; None for those it lacks or did not send."""

    personal: Node
    other_users: Node
    shared: Node


class Other(msgspec.Struct, frozen=True):
    """A useless, unknown or malformed response: its first word (upper case, perhaps empty) and the whole tree."""

    name: str
    tree: list[Node]


Untagged: TypeAlias = (
    Capability
    | Enabled
    | ESearch
    | Exists
    | Expunge
    | Fetch
    | Flags
    | Id
    | ListEntry
    | MailboxStatus
    | Namespace
    | Other
    | Recent
    | Search
    | StatusResponse
    | Subscribed
    | Thread
    | Vanished
)
Response: TypeAlias = Untagged | Continuation

_STATUS = re.compile(
    rb"(\*|[^ \t*+][^ \t]{0,63})[ \t]++(OK|NO|BAD|BYE|PREAUTH)"
    rb"(?:[ \t]++(?:\[([^]\s]++)(?:[ \t]++([^]]*+))?+\][ \t]?)?(.*))?\Z",
    re.IGNORECASE | re.DOTALL,
)
_OPEN_CODE = re.compile(rb"\[([A-Z]++ [0-9]++)(?![^ \t])", re.IGNORECASE)
"""A code with a number whose bracket is not closed."""
_TAGGED = re.compile(rb"([^ \t*+][^ \t]{0,63})(?:[ \t]|\Z)")
_SEARCH = re.compile(rb"\*[ \t]*+SEARCH([ 0-9]*+)(?:\(MODSEQ ([0-9]{1,20})\) *)?\Z", re.IGNORECASE)
_ODD_SEARCH = re.compile(rb"\*[ \t]*+SEARCH\b([^(]*+)", re.IGNORECASE)
_NUMBER_APART = re.compile(rb"(?<![^ \t])[0-9]{1,19}(?![^ \t])")
_NIL_APART = re.compile(rb"(?<![^ \t])NIL(?![^ \t])", re.IGNORECASE)
_RANGE = re.compile(r"([0-9]{1,19})(?::([0-9]{1,19}))?")
_UIDS = range(1, 2**limits.UID_BITS)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
FETCH_ITEMS = frozenset(
    {
        "UID",
        "FLAGS",
        "INTERNALDATE",
        "RFC822.SIZE",
        "ENVELOPE",
        "BODY",
        "BODYSTRUCTURE",
        "MODSEQ",
        "EMAILID",
        "THREADID",
    }
    | {"X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS"}
)
"""Names of data items; none of them ever counts as the value of another item."""
_ESEARCH_ITEMS = frozenset({"ALL", "COUNT", "MIN", "MAX", "MODSEQ", "PARTIAL"})
_NAME_AT = {"LIST": 3, "LSUB": 3, "STATUS": 1}
_STATUS_ITEMS = frozenset({"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "SIZE"})
_STATUS_ITEMS |= {"MAILBOXID"}


def parse(frame: Frame) -> Response:
    """The response in `frame`."""
    tree = frame.tree
    if tree is None:
        return _parse_line(frame.line)
    if not tree or not isinstance(tree[0], str):
        return Other("", tree)
    name = tree[0].upper()
    try:
        if name[0].isdigit() and len(tree) > 1 and isinstance(tree[1], str):
            name = tree[1].upper()
            numbered = _NUMBERED.get(name)
            return numbered(number(tree[0]), tree[2:]) if numbered else Other(name, tree)
        if name in _NAME_AT and tree[_NAME_AT[name] : _NAME_AT[name] + 1] == [None]:
            # A mailbox may be named NIL, and another one nil.
            spelled = _NIL_APART.findall(frame.line)
            tree[_NAME_AT[name]] = spelled[0 if name == "STATUS" else -1] if spelled else b"NIL"
        named = _NAMED.get(name)
        return named(tree[1:]) if named else Other(name, tree)
    except (_Odd, IndexError):
        return Other(name, tree)


def weight(frame: Frame, response: Response) -> int:
    """About how many bytes of memory the response parsed from `frame` takes."""
    if isinstance(response, Search):
        return frame.weight + limits.NUMBER_WEIGHT * len(response.numbers)
    if isinstance(response, ESearch):
        return frame.weight + 3 * limits.NUMBER_WEIGHT * (len(response.ranges) + len(response.part))
    if isinstance(response, Vanished):
        return frame.weight + 3 * limits.NUMBER_WEIGHT * len(response.ranges)
    return frame.weight


class _Odd(Exception):
    """The response contains nothing useful."""


def _parse_line(line: bytes) -> Response:
    if line.startswith(b"+"):
        return Continuation(line[1:].strip(b" \t"))
    if match := _STATUS.match(line):
        return _status(match)
    if match := _SEARCH.match(line):
        return _search(match)
    if match := _ODD_SEARCH.match(line):
        return Search(_in_range(map(int, _NUMBER_APART.findall(match[1]))), None)
    if match := _TAGGED.match(line):
        # A command that ends with an unknown word did not succeed.
        return StatusResponse(plain_text(match[1]), StatusKind.BAD, None, plain_text(line), plain_text(line))
    return Other("", [])


def _status(match: re.Match[bytes]) -> StatusResponse:
    tag, kind, name, arguments, said = match.groups()
    if name is None and said is not None and (unclosed := _OPEN_CODE.match(said)):
        name, _, arguments = unclosed[1].partition(b" ")
    return StatusResponse(
        tag=None if tag == b"*" else plain_text(tag),
        kind=StatusKind(kind.decode("ascii").upper()),
        code=Code(plain_text(name).upper(), tuple(parse_text(arguments or b""))) if name is not None else None,
        text=plain_text(said or b""),
        line=plain_text(match[0]),
    )


def plain_text(data: bytes) -> str:
    """At most `limits.STATUS_TEXT` characters of `data`, which may be any bytes, on one line."""
    return _CONTROL.sub(" ", text(data[: 4 * limits.STATUS_TEXT]))[: limits.STATUS_TEXT]


def _search(match: re.Match[bytes]) -> Search:
    # One reply can hold half a million numbers; split and int do it in C.
    try:
        numbers = tuple(map(int, match[1].split()))
    except ValueError:  # thousands of digits
        numbers = (0,)
    if numbers and not (min(numbers) in _UIDS and max(numbers) in _UIDS):
        numbers = _in_range(map(int, _NUMBER_APART.findall(match[1])))
    return Search(numbers, int(match[2]) if match[2] else None)


def _in_range(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(number for number in numbers if number in _UIDS)


def capability_names(nodes: Sequence[Node]) -> frozenset[str]:
    """At most `limits.CAPABILITIES` names of a CAPABILITY response or code, in upper case."""
    return frozenset(name.upper() for name in words(list(nodes))[: limits.CAPABILITIES])


def _capability(tree: list[Node]) -> Capability:
    return Capability(capability_names(tree))


def _list_entry(tree: list[Node]) -> ListEntry:
    return ListEntry(frozenset(words(tree[0])), text(tree[1]) or None, _name(tree[2:]))


def _subscribed(tree: list[Node]) -> Subscribed:
    return Subscribed(_name(tree[2:]))


def _name(nodes: Sequence[Node]) -> bytes:
    """The name at the start of these nodes: one string, or words that should have been one string."""
    found = b" ".join(map(octets, takewhile(lambda node: isinstance(node, (str, bytes)), nodes)))
    if not found:
        raise _Odd
    return found


def _flags(tree: list[Node]) -> Flags:
    return Flags(tuple(words(tree[0])))


def _exists(number: int | None, tree: list[Node]) -> Exists:
    return Exists(_needed(number))


def _recent(number: int | None, tree: list[Node]) -> Recent:
    return Recent(_needed(number))


def _expunge(number: int | None, tree: list[Node]) -> Expunge:
    return Expunge(number or 0)


def _needed(number: int | None) -> int:
    if number is None:
        raise _Odd
    return number


def _fetch(number: int | None, tree: list[Node]) -> Fetch:
    inside = tree[0]
    if not isinstance(inside, list):
        inside = tree
    elif len(tree) > 1:
        inside = inside + tree[1:]  # a surplus parenthesis closed the list before its end
    found = items(inside, FETCH_ITEMS)
    if not found:
        raise _Odd
    return Fetch(number or 0, found)


def _vanished(tree: list[Node]) -> Vanished:
    earlier = bool(tree) and isinstance(tree[0], list) and [word.upper() for word in words(tree[0])] == ["EARLIER"]
    return Vanished(earlier, tuple(islice(chain.from_iterable(map(_ranges, tree)), limits.RANGES)))


def _esearch(tree: list[Node]) -> ESearch:
    found = items(tree, _ESEARCH_ITEMS)
    modseq = found.get("MODSEQ")
    spans = _ranges(found.get("ALL"))
    part = found.get("PARTIAL")
    partly = _ranges(part[1]) if isinstance(part, list) and len(part) > 1 else ()
    if len(spans) > limits.RANGES or len(partly) > limits.RANGES:
        raise _Odd  # a partial answer would be taken for the whole
    return ESearch(spans, number(found.get("COUNT")), number(modseq, 63), partly)


def _thread(tree: list[Node]) -> Thread:
    found = []
    for each in tree:
        uids: list[int] = []
        stack = [each]
        while stack:
            node = stack.pop()
            if isinstance(node, list):
                stack += reversed(node)
            elif (uid := number(node, limits.UID_BITS)) is not None:
                uids.append(uid)
        found.append(tuple(uids))
    return Thread(tuple(found))


def _ranges(node: Node) -> tuple[tuple[int, int], ...]:
    """The valid ranges of a set, at most one more than `limits.RANGES`."""
    found = filter(None, map(_range, text(node).split(",")))
    return tuple(islice(found, limits.RANGES + 1))


def _range(written: str) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(written)
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2] or first)
    if first not in _UIDS or last not in _UIDS:
        return None
    return (first, last) if first <= last else (last, first)


def _mailbox_status(tree: list[Node]) -> MailboxStatus:
    told = items(next((node for node in reversed(tree) if isinstance(node, list)), []), _STATUS_ITEMS)
    numbers = {name: count for name, node in told.items() if (count := number(node, 63)) is not None}
    given = told.get("MAILBOXID")
    own = text(given[0]) if isinstance(given, list) and given else ""
    return MailboxStatus(_name(tree), numbers, own or None)


def _id(tree: list[Node]) -> Id:
    nodes = tree[0] if isinstance(tree[0], list) else []
    pairs = list(zip(nodes[::2], nodes[1::2], strict=False))[: limits.ID_FIELDS]
    return Id({text(name).lower(): None if value is None else plain_text(octets(value)) for name, value in pairs})


def _enabled(tree: list[Node]) -> Enabled:
    return Enabled(capability_names(tree))


def _namespace(tree: list[Node]) -> Namespace:
    return Namespace(*(tree + [None] * 3)[:3])


_NAMED: dict[str, Callable[[list[Node]], Untagged]] = {
    "CAPABILITY": _capability,
    "ENABLED": _enabled,
    "ESEARCH": _esearch,
    "FLAGS": _flags,
    "ID": _id,
    "LIST": _list_entry,
    "LSUB": _subscribed,
    "NAMESPACE": _namespace,
    "STATUS": _mailbox_status,
    "THREAD": _thread,
    "VANISHED": _vanished,
}
_NUMBERED: dict[str, Callable[[int | None, list[Node]], Untagged]] = {
    "EXISTS": _exists,
    "EXPUNGE": _expunge,
    "FETCH": _fetch,
    "RECENT": _recent,
}
