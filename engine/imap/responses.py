"""What an IMAP server can say, as typed values, and the one function that makes them from frames.

Known responses are checked here once, so nothing behind this file has to doubt them: a malformed one is a
`ProtocolError`. Unknown ones are passed on as `Other` with their tree. Texts are decoded leniently (what is not UTF-8
becomes U+FFFD), names of capabilities, codes and data items are upper case, numbers are range checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec

from engine.errors import ProtocolError
from engine.imap import limits
from engine.imap.tokens import Frame, Node, parse_text


class StatusKind(StrEnum):
    """The first word of a status response (RFC 9051 section 7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    PREAUTH = "PREAUTH"


class Code(msgspec.Struct, frozen=True):
    """A response code: `[APPENDUID 38505 3955]` is name `APPENDUID` and two atoms.

    Arguments that do not follow the grammar are one string, as they came.
    """

    name: str
    arguments: tuple[Node, ...] = ()

    def number(self, index: int = 0) -> int | None:
        """The argument at `index` as an unsigned 63-bit number, None if it is absent or not one."""
        try:
            return _number(self.arguments[index], 63)
        except (IndexError, ProtocolError):
            return None


class StatusResponse(msgspec.Struct, frozen=True):
    """`A3 NO [AUTHENTICATIONFAILED] Authentication failed.`

    `tag` is None for an untagged one; `line` is the whole of it and `text` what follows the code, each cut to
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
    """What the server can do, upper case."""

    names: frozenset[str]


class ListEntry(msgspec.Struct, frozen=True):
    """One mailbox of a LIST. `name` is as on the wire, not decoded; `delimiter` is None for a flat namespace."""

    flags: frozenset[str]
    delimiter: str | None
    name: bytes


class Flags(msgspec.Struct, frozen=True):
    """The flags that exist in the mailbox selected."""

    flags: tuple[str, ...]


class Exists(msgspec.Struct, frozen=True):
    """The mailbox selected now holds `count` messages."""

    count: int


class Recent(msgspec.Struct, frozen=True):
    """`count` messages are new to this session."""

    count: int


class Expunge(msgspec.Struct, frozen=True):
    """The message with this sequence number is gone; those behind it move up."""

    number: int


class Vanished(msgspec.Struct, frozen=True):
    """The messages with these UIDs are gone (RFC 7162). `ranges` are inclusive and must never be expanded unchecked."""

    earlier: bool
    ranges: tuple[tuple[int, int], ...]


class Fetch(msgspec.Struct, frozen=True):
    """Data items of the message with sequence number `number`, each still a tree."""

    number: int
    items: dict[str, Node]


class Search(msgspec.Struct, frozen=True):
    """Sequence numbers or UIDs found, in the server's order; `modseq` if the server named one (RFC 7162)."""

    numbers: tuple[int, ...]
    modseq: int | None


class ESearch(msgspec.Struct, frozen=True):
    """The reply to an extended SEARCH (RFC 4731). `ranges` are inclusive and must never be expanded unchecked."""

    ranges: tuple[tuple[int, int], ...]
    count: int | None
    modseq: int | None


class MailboxStatus(msgspec.Struct, frozen=True):
    """The reply to STATUS. `name` is as on the wire; items that are not numbers are left out."""

    name: bytes
    items: dict[str, int]


class Id(msgspec.Struct, frozen=True):
    """Who the server says it is (RFC 2971), keys lower case, at most `limits.ID_FIELDS` of them."""

    fields: dict[str, str | None]


class Enabled(msgspec.Struct, frozen=True):
    """Extensions now on (RFC 5161), upper case."""

    names: frozenset[str]


class Namespace(msgspec.Struct, frozen=True):
    """The server's namespaces (RFC 2342), each still a tree or None."""

    personal: Node
    other_users: Node
    shared: Node


class Other(msgspec.Struct, frozen=True):
    """A response this file does not know: its first word, upper case, and the whole tree."""

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
    | Vanished
)
Response: TypeAlias = Untagged | Continuation

_STATUS = re.compile(
    rb"(\*|[A-Za-z0-9]{1,32}) (OK|NO|BAD|BYE|PREAUTH)(?: (?:\[([^]\s]++)(?: ([^]]*+))?+\] ?)?(.*))?\Z",
    re.IGNORECASE | re.DOTALL,
)
_SEARCH = re.compile(rb"\* SEARCH([ 0-9]*+)(?:\(MODSEQ ([0-9]{1,20})\) *)?\Z", re.IGNORECASE)
_NUMBER = re.compile(rf"[0-9]{{1,{limits.NUMBER_DIGITS}}}")
_RANGE = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def parse(frame: Frame) -> Response:
    """What `frame` says. Raises `ProtocolError`."""
    tree = frame.tree
    if tree is None:
        return _parse_line(frame.line)
    if not tree or not isinstance(tree[0], str):
        raise ProtocolError("The server sent a response without a name")
    name = tree[0].upper()
    try:
        if _NUMBER.fullmatch(name) and len(tree) > 1 and isinstance(tree[1], str):
            numbered = _NUMBERED.get(tree[1].upper())
            return numbered(_number(name), tree[2:]) if numbered else Other(tree[1].upper(), tree)
        named = _NAMED.get(name)
        return named(tree[1:]) if named else Other(name, tree)
    except (_Malformed, IndexError) as error:
        raise ProtocolError(f"The server sent a malformed {name} response") from error


def weight(frame: Frame, response: Response) -> int:
    """About what it costs to keep the response `frame` was parsed to, in bytes."""
    if isinstance(response, Search):
        return frame.weight + limits.NUMBER_WEIGHT * len(response.numbers)
    if isinstance(response, (Vanished, ESearch)):
        return frame.weight + 3 * limits.NUMBER_WEIGHT * len(response.ranges)
    return frame.weight


class _Malformed(ProtocolError):
    """A token is not what its place asks for."""


def _parse_line(line: bytes) -> Response:
    if line.startswith(b"+"):
        return Continuation(line[1:].strip(b" "))
    if match := _STATUS.match(line):
        return _status(match)
    if match := _SEARCH.match(line):
        return _search(match)
    raise ProtocolError(f"The server sent a line that is no response: {plain_text(line)[:100]}")


def _status(match: re.Match[bytes]) -> StatusResponse:
    tag, kind, name, arguments, text = match.groups()
    code = None
    if name is not None:
        try:
            nodes = tuple(parse_text(arguments)) if arguments else ()
        except ProtocolError:
            nodes = (plain_text(arguments),)
        code = Code(plain_text(name).upper(), nodes)
    return StatusResponse(
        tag=None if tag == b"*" else tag.decode("ascii"),
        kind=StatusKind(kind.decode("ascii").upper()),
        code=code,
        text=plain_text(text or b""),
        line=plain_text(match[0]),
    )


def plain_text(data: bytes) -> str:
    """At most `limits.STATUS_TEXT` characters of `data` on one line, whatever bytes it holds."""
    text = data[: 4 * limits.STATUS_TEXT].decode("utf-8", "replace")
    return _CONTROL.sub(" ", text)[: limits.STATUS_TEXT]


def _search(match: re.Match[bytes]) -> Search:
    # One reply can hold half a million numbers; split and int do it in C, so their input is checked beforehand.
    try:
        numbers = tuple(map(int, match[1].split()))
    except ValueError as error:
        raise ProtocolError("The server sent a malformed SEARCH response") from error
    if numbers and not 0 < min(numbers) <= max(numbers) < 2**32:
        raise ProtocolError("The server found a message number out of range")
    return Search(numbers, int(match[2]) if match[2] else None)


def _number(node: Node, bits: int = 32) -> int:
    if isinstance(node, str) and _NUMBER.fullmatch(node):
        number = int(node)
        if number < 2**bits:
            return number
    raise _Malformed("not a number, or out of range")


def _atom(node: Node) -> str:
    if not isinstance(node, str):
        raise _Malformed("not an atom")
    return node


def _list(node: Node) -> list[Node]:
    if not isinstance(node, list):
        raise _Malformed("not a list")
    return node


def _octets(node: Node) -> bytes:
    """A mailbox name: a string or an atom, among them one that reads NIL."""
    if isinstance(node, list):
        raise _Malformed("a list where a name belongs")
    return node if isinstance(node, bytes) else (node or "NIL").encode()


def _pairs(nodes: list[Node]) -> dict[str, Node]:
    if len(nodes) % 2:
        raise _Malformed("a name without a value")
    return {_key(name): value for name, value in zip(nodes[::2], nodes[1::2], strict=True)}


def _key(node: Node) -> str:
    return (node.decode("utf-8", "replace") if isinstance(node, bytes) else _atom(node)).upper()


def capability_names(nodes: Sequence[Node]) -> frozenset[str]:
    """The names of a CAPABILITY response or code, upper case. Raises `ProtocolError`."""
    if len(nodes) > limits.CAPABILITIES:
        raise ProtocolError(f"The server announced more than {limits.CAPABILITIES} capabilities")
    return frozenset(_atom(node).upper() for node in nodes)


def _capability(tree: list[Node]) -> Capability:
    return Capability(capability_names(tree))


def _list_entry(tree: list[Node]) -> ListEntry:
    delimiter = tree[1]
    if isinstance(delimiter, list):
        raise _Malformed("a list where the delimiter belongs")
    if isinstance(delimiter, bytes):
        delimiter = delimiter.decode("utf-8", "replace")
    return ListEntry(frozenset(map(_atom, _list(tree[0]))), delimiter or None, _octets(tree[2]))


def _flags(tree: list[Node]) -> Flags:
    return Flags(tuple(map(_atom, _list(tree[0]))))


def _fetch(number: int, tree: list[Node]) -> Fetch:
    return Fetch(number, _pairs(_list(tree[0])))


def _vanished(tree: list[Node]) -> Vanished:
    earlier = len(tree) > 1 and isinstance(tree[0], list) and list(map(_key, tree[0])) == ["EARLIER"]
    return Vanished(earlier, _ranges(tree[-1]))


def _esearch(tree: list[Node]) -> ESearch:
    rest = tree[1:] if tree and isinstance(tree[0], list) else tree
    if rest and isinstance(rest[0], str) and rest[0].upper() == "UID":
        rest = rest[1:]
    items = _pairs(rest)
    return ESearch(
        _ranges(items["ALL"]) if "ALL" in items else (),
        _number(items["COUNT"]) if "COUNT" in items else None,
        _number(items["MODSEQ"], 63) if "MODSEQ" in items else None,
    )


def _ranges(node: Node) -> tuple[tuple[int, int], ...]:
    text = _atom(node)
    if text.count(",") >= limits.RESPONSE_TOKENS:
        raise ProtocolError(f"The server sent a set of more than {limits.RESPONSE_TOKENS} ranges")
    return tuple(map(_range, text.split(",")))


def _range(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise _Malformed("not a range of UIDs")
    first = int(match[1])
    last = int(match[2] or first)
    if not 0 < min(first, last) <= max(first, last) < 2**32:
        raise _Malformed("a UID out of range")
    return (first, last) if first <= last else (last, first)


def _mailbox_status(tree: list[Node]) -> MailboxStatus:
    items = _pairs(_list(tree[1]))
    numbers = {name: _number(value, 63) for name, value in items.items() if isinstance(value, str)}
    return MailboxStatus(_octets(tree[0]), numbers)


def _id(tree: list[Node]) -> Id:
    if tree[0] is None:
        return Id({})
    fields = _pairs(_list(tree[0])[: 2 * limits.ID_FIELDS])
    return Id({name.lower(): _nstring(value) for name, value in fields.items()})


def _nstring(node: Node) -> str | None:
    return None if node is None else plain_text(_octets(node))


def _enabled(tree: list[Node]) -> Enabled:
    return Enabled(capability_names(tree))


def _namespace(tree: list[Node]) -> Namespace:
    return Namespace(tree[0], tree[1], tree[2])


_NAMED: dict[str, Callable[[list[Node]], Untagged]] = {
    "CAPABILITY": _capability,
    "ENABLED": _enabled,
    "ESEARCH": _esearch,
    "FLAGS": _flags,
    "ID": _id,
    "LIST": _list_entry,
    "NAMESPACE": _namespace,
    "STATUS": _mailbox_status,
    "VANISHED": _vanished,
}
_NUMBERED: dict[str, Callable[[int, list[Node]], Untagged]] = {
    "EXISTS": lambda number, tree: Exists(number),
    "EXPUNGE": lambda number, tree: Expunge(number),
    "FETCH": _fetch,
    "RECENT": lambda number, tree: Recent(number),
}
