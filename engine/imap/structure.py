"""BODYSTRUCTURE as a flat list of the parts that hold something (RFC 9051 section 7.5.2).

Read without recursion and without trust: what cannot be read gives fewer parts, never an error, since a message that
one server describes badly must not end the connection. An attached message is one part; its own parts are not listed.
"""

from __future__ import annotations

import msgspec

from engine.imap import limits
from engine.imap.nodes import Node, number, octets, text


class BodyPart(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf. `path` is its section number (`1.2`), `kind` its media type in lower case.

    `size` in octets as encoded. `disposition` is lower case, empty if there is none. `parents` are the media types of
    the multiparts around it, outermost first.
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
    """A whole message: its own media type with parameters, and its leaves in order."""

    kind: str
    parameters: dict[str, bytes]
    parts: tuple[BodyPart, ...]


def read_structure(node: Node) -> Structure | None:
    """The structure in a tree; None if there is none."""
    if not isinstance(node, list) or not node:
        return None
    parts: list[BodyPart] = []
    stack: list[tuple[list[Node], str, tuple[str, ...]]] = [(node, "", ())]
    while stack and len(parts) < limits.BODY_PARTS:
        current, path, parents = stack.pop()
        children = _children(current)
        if not children:
            if (part := _part(current, path or "1", parents)) is not None:
                parts.append(part)
            continue
        inside = (*parents, _multipart_kind(current, len(children)))
        below = f"{path}." if path else ""
        stack += reversed([(each, f"{below}{number}", inside) for number, each in enumerate(children, 1)])
    children = _children(node)
    if children:
        kind = _multipart_kind(node, len(children))
        extra = node[len(children) + 1 :]
        return Structure(kind, _parameters(extra[0] if extra else None), tuple(parts))
    return Structure(parts[0].kind, parts[0].parameters, tuple(parts)) if parts else None


def _children(node: list[Node]) -> list[list[Node]]:
    """The parts a multipart begins with; none for a leaf."""
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
    # Where members are missing at the end, what MIME takes for granted holds (RFC 2045 section 5.2).
    node = node + [None] * (7 - len(node)) if len(node) < 7 else node
    kind = f"{_word(node[0]) or 'text'}/{_word(node[1]) or 'plain'}"
    # Behind the seven basic fields: envelope, body and lines of an attached message, lines of a text, then the MD5.
    extra = 8 if kind.startswith("text/") else 7
    if kind == "message/rfc822" and len(node) > 8 and isinstance(node[8], list):
        extra = 10
    disposition = node[extra + 1] if len(node) > extra + 1 else None
    shown = disposition if isinstance(disposition, list) and disposition else [None]
    return BodyPart(
        path=path,
        kind=kind,
        parameters=_parameters(node[2]),
        content_id=octets(node[3]).strip(),
        encoding=_word(node[5]),
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
