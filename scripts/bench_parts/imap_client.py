"""Lists and messages as the engine answers them, made with IMAPClient and Python's email package.

What a program does that reads a mailbox without the engine: it stays logged in, takes what the server tells apart,
decodes names, subjects and texts, and writes them as JSON.
"""

from __future__ import annotations

import base64
import json
import quopri
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from typing import Any, NamedTuple

from imapclient import IMAPClient

DESCRIPTION = ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE"]


class Text(NamedTuple):
    """A part of a message that is text."""

    section: str
    kind: str
    charset: str
    encoding: str
    size: int


class MailboxClient:
    """One mailbox, selected once."""

    def __init__(self, server: dict[str, Any], mailbox: str) -> None:
        self._client = IMAPClient(server["host"], port=server["port"], ssl=False, use_uid=False)
        self._client.login(server["auth"]["user"], server["auth"]["pass"])
        self._client.select_folder(mailbox, readonly=True)

    def page(self, first: int, last: int) -> str:
        """The messages with these numbers, newest first."""
        self._client.noop()
        found = self._client.fetch(f"{first}:{last}", DESCRIPTION)
        return json.dumps({"messages": [_entry(found[number]) for number in sorted(found, reverse=True)]})

    def message(self, number: int) -> str:
        """One message with its header and its text."""
        found = self._client.fetch(str(number), [*DESCRIPTION, "BODY.PEEK[HEADER]"])[number]
        header = BytesHeaderParser().parsebytes(found[b"BODY[HEADER]"])
        texts = [each for each in _texts(found[b"BODYSTRUCTURE"]) if each.kind in ("plain", "html")]
        sections = self._client.fetch(str(number), [f"BODY.PEEK[{each.section}]" for each in texts])[number]
        headers: dict[str, list[str]] = {}
        for name, value in header.items():
            headers.setdefault(name.lower(), []).append(_header_text(value))
        shown = {**_entry(found), "headers": headers}
        shown["text"] = {each.kind: _decoded(each, sections[f"BODY[{each.section}]".encode()]) for each in texts}
        return json.dumps(shown)

    def close(self) -> None:
        """Log out."""
        self._client.logout()


def _entry(one: dict[bytes, Any]) -> dict[str, Any]:
    envelope = one[b"ENVELOPE"]
    return {
        "uid": one[b"UID"],
        "date": (envelope.date or one[b"INTERNALDATE"]).isoformat(),
        "flags": [flag.decode() for flag in one[b"FLAGS"]],
        "size": one[b"RFC822.SIZE"],
        "subject": _text(envelope.subject),
        "from": _addresses(envelope.from_),
        "replyTo": _addresses(envelope.reply_to),
        "to": _addresses(envelope.to),
        "cc": _addresses(envelope.cc),
        "messageId": _text(envelope.message_id),
        "inReplyTo": _text(envelope.in_reply_to),
        "text": {each.kind: each.size for each in _texts(one[b"BODYSTRUCTURE"])},
    }


def _addresses(several: Any) -> list[dict[str, str]]:
    return [
        {"name": _text(each.name), "address": f"{_text(each.mailbox)}@{_text(each.host)}"} for each in several or ()
    ]


def _text(raw: bytes | None) -> str:
    return "" if raw is None else _header_text(raw.decode("utf-8", "replace"))


def _header_text(value: str) -> str:
    return str(make_header(decode_header(value)))


def _texts(structure: Any, path: str = "") -> Iterator[Text]:
    if isinstance(structure[0], list):
        for number, part in enumerate(structure[0], 1):
            yield from _texts(part, f"{path}{number}.")
    elif structure[0].lower() == b"text":
        names = structure[2] or ()
        parameters = dict(zip(names[::2], names[1::2], strict=True))
        charset = parameters.get(b"charset", b"utf-8").decode()
        kind, encoding = structure[1].decode().lower(), structure[5].decode().lower()
        yield Text(path.rstrip(".") or "1", kind, charset, encoding, structure[6])


def _decoded(text: Text, raw: bytes) -> str:
    if text.encoding == "quoted-printable":
        raw = quopri.decodestring(raw)
    elif text.encoding == "base64":
        raw = base64.b64decode(raw)
    return raw.decode(text.charset, "replace")
