"""BODYSTRUCTURE as a flat list of the leaf parts (RFC 9051 section 7.5.2).

It is read without recursion and without trust: unreadable input gives fewer parts, never an error, since a badly
described message must not end the connection. An attached message is one part; its own parts are listed separately.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.imap import limits
from engine.imap.nodes import Node, number, octets, text
from engine.mail.media_types import OCTET_STREAM

MESSAGE = "message/rfc822"


class BodyPart(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf. `path` is its section number (`1.2`), `kind` its media type in lower case.

    `size` is in encoded octets. `disposition` is in lower case, empty if there is none. `parents` are the media types
    of the enclosing multiparts, outermost first.
    """

    path: str
    kind: str
    parameters: dict[str, bytes]
    content_id: bytes
    encoding: str
    size: int
    disposition: str
    disposition_parameters: dict[str, bytes]
    parents: tuple[str, ...]


class Structure(msgspec.Struct, frozen=True):
    """A whole message: its own media type with parameters, and its leaves in order.

    `attached` are the leaves of attached messages, at any depth, including their texts.
    """

    kind: str
    parameters: dict[str, bytes]
    parts: tuple[BodyPart, ...]
    attached: tuple[BodyPart, ...] = ()


def read_structure(node: Node) -> Structure | None:
    """The structure in a tree; None if there is none."""
    if not isinstance(node, list) or not node:
        return None
    parts: list[BodyPart] = []
    attached: list[BodyPart] = []
    stack = [_Place(node, "", (), attached=False)]
    while stack and len(parts) + len(attached) < limits.BODY_PARTS:
        place = stack.pop()
        children = _children(place.node)
        if children:
            inside = (*place.parents, _multipart_kind(place.node, len(children)))
            stack += reversed(
                [
                    _Place(each, f"{place.below}{number}", inside, attached=place.attached)
                    for number, each in enumerate(children, 1)
                ]
            )
        elif (part := _part(place.node, place.path or "1", place.parents)) is not None:
            (attached if place.attached else parts).append(part)
            if part.kind == MESSAGE and len(place.node) > 8 and isinstance(place.node[8], list):
                # The only part of a message that is not a multipart is its part 1 (RFC 9051 section 6.4.5).
                path = part.path if _children(place.node[8]) else f"{part.path}.1"
                stack.append(_Place(place.node[8], path, (), attached=True))
    children = _children(node)
    if children:
        kind = _multipart_kind(node, len(children))
        extra = node[len(children) + 1 :]
        return Structure(kind, _parameters(extra[0] if extra else None), tuple(parts), tuple(attached))
    if not parts:
        return None
    return Structure(parts[0].kind, parts[0].parameters, tuple(parts), tuple(attached))


class _Place(NamedTuple):
    """The place of a part. `path` is empty for the whole message."""

    node: list[Node]
    path: str
    parents: tuple[str, ...]
    attached: bool

    @property
    def below(self) -> str:
        return f"{self.path}." if self.path else ""


def _children(node: list[Node]) -> list[list[Node]]:
    """The child parts at the start of a multipart; none for a leaf."""
    found = []
    for each in node:
        if not isinstance(each, list):
            break
        found.append(each)
    return found


def _multipart_kind(node: list[Node], children: int) -> str:
    return f"multipart/{_word(node[children]) if len(node) > children else 'mixed'}"


def _part(node: list[Node], path: str, parents: tuple[str, ...]) -> BodyPart | None:
    if len(node) < 2:
        return None
    # If members are missing at the end, MIME's defaults apply (RFC 2045 section 5.2).
    node = node + [None] * (7 - len(node)) if len(node) < 7 else node
    named, encoding = _word(node[0]), _word(node[5])
    kind = f"{named or 'text'}/{_word(node[1]) or 'plain'}"
    if not named and encoding == "base64":
        kind = OCTET_STREAM  # Dovecot says nothing of a type that it cannot read; few texts are sent in base64
    # After the seven basic fields: envelope, body and lines of an attached message, lines of a text, then the MD5.
    extra = 8 if named == "text" else 7
    if kind == MESSAGE and len(node) > 8 and isinstance(node[8], list):
        extra = 10
    disposition = node[extra + 1] if len(node) > extra + 1 else None
    shown = disposition if isinstance(disposition, list) and disposition else [None]
    return BodyPart(
        path=path,
        kind=kind,
        parameters=_parameters(node[2]),
        content_id=octets(node[3]).strip(),
        encoding=encoding,
        size=number(node[6], 63) or 0,
        disposition=_word(shown[0]),
        disposition_parameters=_parameters(shown[1] if len(shown) > 1 else None),
        parents=parents,
    )


def _parameters(node: Node) -> dict[str, bytes]:
    if not isinstance(node, list):
        return {}
    return {_word(name): octets(value) for name, value in zip(node[::2], node[1::2], strict=False)}


def _word(node: Node) -> str:
    return text(node).strip().lower()
