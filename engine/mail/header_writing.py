"""Header fields: turns the caller's text into folded lines that form exactly one field.

1. CR, LF and NUL are refused; everything else that is not printable ASCII is encoded or refused.
2. No line has more than 998 octets, nor more than 76 if there is a place to fold. Lines are folded only before white
   space that the text already has.
3. Raw UTF-8 occurs only inside an address whose local part needs it.
4. Header names that are not RFC 5322 ftext, and fields that the engine writes itself, are refused.

Refusals raise `HeaderError`. No function here splits text with `splitlines`, which also splits at U+2028, U+0085 and
\\x1c, unlike a mail server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.mail.addresses import Address, parse_address
from engine.mail.header_encoding import SHORTEST_WORD, WORD_LENGTH, encoded_words

LINE = 76
"""Column at which lines are folded: the limit with encoded words (RFC 2047 §2), below the 78 of RFC 5322 §2.1.1."""
LONGEST_LINE = 998
"""Maximum octets of a line without its CRLF (RFC 5322 §2.1.1)."""
LONGEST_MESSAGE_ID = 996
LONGEST_HEADER_NAME = 60

_FORBIDDEN = re.compile("[\r\n\0\ud800-\udfff]")
_PLAIN = re.compile(r"[!-~]+(?:[ \t]+[!-~]+)*")
_PRINTABLE = re.compile(r"[ -~\t]*")
_RUNS = re.compile(r"[ \t]+|[^ \t]+")
_LONGEST_WORD = 900
_LONGEST_BLANK = 40
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PHRASE = re.compile(rf"{_ATEXT}(?: {_ATEXT})*")
_QUOTABLE = re.compile(r"[ -~]*")
_LONGEST_NAME = 60
_FTEXT = re.compile(r"[!-9;-~]+")
_ID = re.compile(r"<([^<>]*)>|([^ \t,<>]+)")
_BETWEEN_IDS = re.compile(r"[ \t,]*")
# An address with dots in places where only a quoted string may have them.
_ODD_DOTS = re.compile(r"\.\.|\.@|(?:^|[<,\s])\.")
_MESSAGE_ID = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")
_ADDRESS = re.compile(
    r"""[ \t]*+(?: (?:"((?:[^"\\]|\\.)*+)"[ \t]*+ | ([^"<>,;\\]*+)) <([^<>]*+)> | ([^"<>,;\\ \t]++) )[ \t]*+(?:,|\Z)""",
    re.VERBOSE,
)

_OURS = {
    "from": 'use "from" instead',
    "to": 'use "to" instead',
    "cc": 'use "cc" instead',
    "bcc": 'use "bcc" instead',
    "resent-bcc": 'use "bcc" instead',
    "subject": 'use "subject" instead',
    "message-id": 'use "messageId" instead',
    "date": 'the engine sets the date, use "sendAt" to choose it',
    "mime-version": "the engine sets the structure of the message",
    "content-type": "the engine sets the structure of the message",
    "content-transfer-encoding": "the engine sets the structure of the message",
}
_ADDRESSES = frozenset(
    {"reply-to", "sender", "errors-to", "disposition-notification-to", "return-receipt-to", "mail-reply-to"}
    | {"mail-followup-to", "resent-from", "resent-sender", "resent-to", "resent-cc", "resent-reply-to"}
)
# Programs read these without decoding, so encoded words would break them.
_IDS = frozenset({"in-reply-to", "references"})
_TOKENS = frozenset(
    {"resent-message-id", "auto-submitted", "importance", "priority", "precedence"}
    | {"x-priority", "feedback-id", "list-unsubscribe", "list-unsubscribe-post", "list-subscribe", "list-help"}
    | {"list-post", "list-owner", "list-archive"}
)


class HeaderError(ValueError):
    """A value from the caller cannot be put into a header.

    `field` names it as the API does (`subject`, `to[1].name`, `headers.X-Foo`, `attachments[0].filename`); `reason`
    completes the sentence "<field> ...".
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


def check_text(text: str, field: str) -> None:
    """Raise `HeaderError` for what cannot even be encoded: CR, LF, NUL, half a surrogate pair."""
    found = _FORBIDDEN.search(text)
    if found:
        raise HeaderError(field, "contains a line break or a NUL" if found[0] < " " else "contains a lone surrogate")


def fold(name: str, pieces: Sequence[str]) -> str:
    """One field with its CRLF. Each piece begins with the white space before which the line may be folded."""
    line = f"{name}:{''.join(pieces)}"
    if len(line) <= LINE:
        return line + "\r\n"
    lines: list[str] = []
    line = name + ":"
    for piece in pieces:
        # An empty first line is legal but confuses some readers, so a long first piece stays next to the name.
        room = LINE if lines or len(line) > len(name) + 1 or piece.startswith(" =?") else LONGEST_LINE
        if len(line) + len(piece) > room:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def unstructured(name: str, text: str, field: str) -> str:
    """A field of free text (RFC 5322 §3.2.5), such as Subject. Readers decode it to exactly `text`."""
    if len(text) + len(name) + 2 <= LINE and "=?" not in text and _PLAIN.fullmatch(text):
        return f"{name}: {text}\r\n"
    check_text(text, field)
    runs = _RUNS.findall(text)
    last = len(runs) - 1
    odd = [n for n, run in enumerate(runs) if _must_encode(run, at_edge=n in (0, last))]
    if not odd:
        return fold(name, _pieces(runs))
    # Encode everything from the first to the last such word: readers drop white space between encoded words.
    first, end = odd[0], odd[-1] + 1
    if first and _is_blank(runs[first]):
        first -= 1
    if end <= last and _is_blank(runs[end - 1]):
        end += 1
    blank = runs[first - 1] if first else " "
    words = encoded_words("".join(runs[first:end]), WORD_LENGTH if first else _first_room(name))
    stretch = [blank + words[0], *(" " + word for word in words[1:])]
    return fold(name, [*_pieces(runs[: max(first - 1, 0)]), *stretch, *_pieces(runs[end:])])


def _is_blank(run: str) -> bool:
    return run[0] in " \t"


def _must_encode(run: str, *, at_edge: bool) -> bool:
    if _is_blank(run):
        return at_edge or len(run) > _LONGEST_BLANK
    return len(run) > _LONGEST_WORD or "=?" in run or not _PLAIN.fullmatch(run)


def _pieces(runs: list[str]) -> list[str]:
    """Words, each with the white space before it; a word at the start of the text gets the space after the colon."""
    if runs and not _is_blank(runs[0]):
        runs = [" ", *runs]
    return [blank + word for blank, word in zip(runs[::2], runs[1::2], strict=True)]


def _first_room(name: str) -> int:
    """The maximum characters of an encoded word next to the field's name; the full length if none fits there."""
    room = LINE - len(name) - 2
    return min(room, WORD_LENGTH) if room >= SHORTEST_WORD else WORD_LENGTH


def address_list(name: str, addresses: Sequence[Address], field: str) -> str:
    """A field of addresses (RFC 5322 §3.4); a refusal names `field[n].name` or `field[n].address`."""
    pieces: list[str] = []
    for n, mailbox in enumerate(addresses):
        pieces += _mailbox(mailbox, f"{field}[{n}]", WORD_LENGTH if n else _first_room(name))
        pieces[-1] += ","
    if pieces:
        pieces[-1] = pieces[-1][:-1]
    return fold(name, pieces)


def one_address(name: str, mailbox: Address, field: str) -> str:
    """A field of exactly one address; a refusal names `field.name` or `field.address`."""
    return fold(name, _mailbox(mailbox, field, _first_room(name)))


def _mailbox(mailbox: Address, field: str, room: int) -> list[str]:
    try:
        address = parse_address(mailbox.address)
    except ValueError as error:
        raise HeaderError(f"{field}.address", str(error)) from error
    text = mailbox.name.strip(" \t")
    if not text:
        return [" " + address]
    # A short name never has to be folded inside; a long one is simply encoded.
    if len(text) <= _LONGEST_NAME and "=?" not in text:
        phrase = text if _PHRASE.fullmatch(text) else _quoted(text) if _QUOTABLE.fullmatch(text) else ""
        if phrase:
            whole = f" {phrase} <{address}>"
            return [whole] if len(whole) < LINE else [" " + phrase, f" <{address}>"]
    check_text(text, f"{field}.name")
    return [*(" " + word for word in encoded_words(text, room)), f" <{address}>"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def tokens(name: str, text: str, field: str) -> str:
    """A field of ASCII tokens (message ids, URLs, keywords): folded between them, never encoded."""
    if not _PRINTABLE.fullmatch(text):
        check_text(text, field)
        raise HeaderError(field, "may only contain printable ASCII")
    words = text.split()
    if any(len(word) > LONGEST_MESSAGE_ID for word in words):
        raise HeaderError(field, f"contains a word longer than {LONGEST_MESSAGE_ID} characters")
    return fold(name, [" " + word for word in words])


def custom(name: str, value: str) -> str:
    """A field from the caller's own `headers`; "" for a field of message ids without any.

    Raises `HeaderError` for a field that the engine writes itself.
    """
    if not _FTEXT.fullmatch(name):
        raise HeaderError("headers", f"contains an illegal header name: {ascii(name)[:80]}")
    field = f"headers.{name}"
    if len(name) > LONGEST_HEADER_NAME:
        raise HeaderError(field, f"has a name longer than {LONGEST_HEADER_NAME} characters")
    key = name.lower()
    if key in _OURS:
        raise HeaderError(field, f"is not allowed: {_OURS[key]}")
    if key in _TOKENS:
        return tokens(name, value, field)
    if key in _IDS:
        return tokens(name, ids, field) if (ids := _message_ids(value, field)) else ""
    if key in _ADDRESSES:
        return _address_field(name, value, field)
    return unstructured(name, value, field)


def _address_field(name: str, value: str, field: str) -> str:
    """An address field, unchanged if it is ASCII and needs no quoting, so it may contain groups and comments."""
    if value.isascii() and not _ODD_DOTS.search(value) and name.lower() != "sender":
        return tokens(name, value, field)
    try:
        found = strict_addresses(value, field)
        if name.lower() == "sender" and len(found) != 1:
            raise HeaderError(field, "must be one address")
        written = address_list(name, found, field)
    except HeaderError:
        if not value.isascii() or "," in value:
            raise
        return tokens(name, value, field)
    as_given = value.isascii() and not _ODD_DOTS.search(value)
    return tokens(name, value, field) if as_given else written


def _message_ids(text: str, field: str) -> str:
    """Message ids (RFC 5322 §3.6.4) in angle brackets, separated by a space, each once."""
    check_text(text, field)
    if not _BETWEEN_IDS.fullmatch(_ID.sub("", text)):
        raise HeaderError(field, "is not a list of message ids")
    found: dict[str, None] = {}
    for bracketed, bare in _ID.findall(text):
        # Some programs fold a long id in the middle.
        inner = bare or bracketed.replace(" ", "").replace("\t", "")
        if bare and "@" not in bare:
            raise HeaderError(field, "is not a list of message ids")
        if inner:
            found[f"<{inner}>"] = None
    return " ".join(found)


def strict_addresses(text: str, field: str) -> list[Address]:
    """The addresses in a header value, which may contain no groups or comments. Raises `HeaderError`."""
    check_text(text, field)
    found: list[Address] = []
    at = 0
    while at < len(text):
        match = _ADDRESS.match(text, at)
        if match is None:
            raise HeaderError(field, "is not a list of addresses")
        quoted, bare, bracketed, alone = match.groups()
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else (bare or "").strip(" \t")
        found.append(Address(alone if bracketed is None else bracketed, name))
        at = match.end()
    return found


def message_id_of(text: str) -> str:
    """Check a caller's message id: exactly one `<left@right>` of at most 996 characters (RFC 5322 §3.6.4).

    Raises `ValueError` with a short plain reason.
    """
    inner = text.strip(" \t")
    if inner.startswith("<") and inner.endswith(">"):
        inner = inner[1:-1]
    if len(inner) + 2 > LONGEST_MESSAGE_ID:
        raise ValueError(f"is longer than {LONGEST_MESSAGE_ID} characters")
    if not _MESSAGE_ID.fullmatch(inner):
        raise ValueError("is not a message id of the form <left@right>")
    return f"<{inner}>"
