"""Splits a returned message into the mail system's text and the header of the original.

Takes the source of a message, or its beginning. Text parts are read in order up to the original, which may be a part of
its own or may follow in the same text, after a line that announces it or beginning with its first header field. It
never raises; a source that cannot be parsed counts as text only.
"""

from __future__ import annotations

import email
import re
from email.message import Message

import msgspec

from engine.mail.charsets import decoded
from engine.mail.decode import header_text
from engine.mail.header_reading import fields
from engine.mail.html_text import html_to_text
from engine.mail.transfer import body_bytes

LONGEST = 32_768
"""Maximum characters of text that are read."""
LONGEST_LINE = 1000
ORIGINALS = (
    "message/rfc822",
    "message/global",
    "text/rfc822",
    "text/rfc822-headers",
    "text/rfc822-header",
    "message/rfc822-headers",
    "message/global-headers",
    "message/partial",
)
"""Media types of the part that contains the original, whole or only its header."""

_MARKER = re.compile(
    r"[\W_]*(?:this is a copy of (?:the|your) (?:original )?message|below this line is a copy|(?:the )?original message"
    r"(?: headers?| info| mail info)?(?: follows)?[\W_]*$|original mail info|message (?:headers?|text) follows?"
    r"|unsent message|returned (?:message|mail)"
    r"|copy of (?:the|your) (?:original )?message|included is a copy|(?:the )?header of the original message"
    r"|start of returned message|undelivered message)",
    re.IGNORECASE,
)
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,40}):")
_OF_A_MESSAGE = frozenset({"received", "return-path", "message-id", "mime-version", "dkim-signature", "x-received"})
_OTHERS = frozenset({"from", "to", "cc", "date", "subject", "sender", "reply-to", "content-type", "delivered-to"})
_WINDOW = 30


class Notice(msgspec.Struct, frozen=True):
    """The mail system's `text`, the `original` header by lower-case name, and the notice's own `header`."""

    text: str
    original: dict[str, list[str]]
    header: dict[str, list[str]]


def read_notice(source: bytes) -> Notice:
    """The notice in a message's source."""
    end = re.search(rb"\r?\n\r?\n", source)
    head = fields(source)
    try:
        texts, original = _parts(email.message_from_bytes(source))
    except RecursionError:
        # Parts nested hundreds deep, which no honest mail system writes.
        texts, original = [source[end.end() if end else 0 :].decode("utf-8", "replace")], {}
    lines = "\n".join(texts)[:LONGEST].splitlines()
    end_of_text, original_from = _where_the_original_begins(lines)
    original = original or fields("\r\n".join(_from_first_field(lines[original_from:])).encode())
    text = "\n".join(line[:LONGEST_LINE].rstrip() for line in lines[:end_of_text])
    return Notice(text, original, head)


def _parts(message: Message) -> tuple[list[str], dict[str, list[str]]]:
    texts: list[str] = []
    pages: list[str] = []
    original: dict[str, list[str]] = {}
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        kind = part.get_content_type()
        payload = part.get_payload()
        if part is not message and "received" in part and "from" in part:
            # The original itself, in the place of a part.
            original = original or _header(part)
        elif kind in ORIGINALS and part is not message:
            original = original or _returned(part)
        elif isinstance(payload, list) and not kind.startswith("message/"):
            stack += reversed([each for each in payload if isinstance(each, Message)])
        elif kind in ("message/delivery-status", "message/global-delivery-status"):
            blocks = [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else [part]
            texts.append("\n\n".join(_block(each) for each in blocks))
        elif kind == "text/html":
            pages.append(html_to_text(_text(part), LONGEST))
        elif isinstance(payload, str) and (kind.startswith(("text/", "multipart/")) or part is message):
            texts.append(_text(part))
    # If there is plain text, the HTML only repeats it.
    return ([text for text in texts if text.strip()] or pages), original


def _returned(part: Message) -> dict[str, list[str]]:
    """The header of the message in a part, even after an empty line."""
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Message):
        return _header(payload[0]) or fields(_octets(payload[0]).lstrip())
    return fields(_octets(part).lstrip())


def _block(message: Message) -> str:
    """Raw fields of a report, and what follows a line that is not a field."""
    lines = [f"{name}: {value}" for name, value in message.items()]
    return "\n".join([*lines, decoded(_octets(message), "")])


def _header(message: Message) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in message.items():
        found.setdefault(name.lower(), []).append(header_text(str(value).encode("utf-8", "surrogateescape")))
    return found


def _octets(part: Message) -> bytes:
    """The decoded octets of a part. Call it once for each part: it removes the encoding's field."""
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    # Without that field the parser returns the raw octets; otherwise Python's own codecs would decode them.
    del part["content-transfer-encoding"]
    payload = part.get_payload(decode=True)
    return body_bytes(payload, encoding) if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    charset = part.get_param("charset", "")
    name = charset[2] if isinstance(charset, tuple) else str(charset)
    return decoded(_octets(part), name).replace("\r\n", "\n")


def _where_the_original_begins(lines: list[str]) -> tuple[int, int]:
    """The lines at which the text ends and the original begins: after a line that announces it, or right there."""
    for at, line in enumerate(lines):
        if at and _MARKER.match(line) and len(line) < 120:
            return at, at + 1
        if _FIELD.match(line) and _begins_a_header(lines[at : at + _WINDOW]):
            return at, at
    return len(lines), len(lines)


def _begins_a_header(lines: list[str]) -> bool:
    names = set()
    for line in lines:
        if match := _FIELD.match(line):
            names.add(match[1].lower())
        elif not line[:1].isspace():
            break
    return bool(names & _OF_A_MESSAGE) and len(names & (_OF_A_MESSAGE | _OTHERS)) >= 3


def _from_first_field(lines: list[str]) -> list[str]:
    start = next((at for at, line in enumerate(lines) if _FIELD.match(line)), len(lines))
    return lines[start:]
