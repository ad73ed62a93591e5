"""Reads one token of a response as the type that its place requires, whatever the server sent.

Nothing here raises: a token of the wrong type is absent (None or empty), so that an odd value costs only itself.
Numbers may be quoted and names may be strings, as some servers write them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TypeAlias

from engine.imap import limits

Node: TypeAlias = "str | bytes | list[Node] | None"
"""An atom, a string (or an atom that is not UTF-8), NIL, or a list of nodes."""

_NUMBER = re.compile(rf"[0-9]{{1,{limits.NUMBER_DIGITS}}}")


def octets(node: Node) -> bytes:
    """A string or an atom as bytes; empty for NIL and for lists."""
    if isinstance(node, bytes):
        return node
    return node.encode() if isinstance(node, str) else b""


def text(node: Node) -> str:
    """A string or an atom as text, with U+FFFD for what is not UTF-8; empty for NIL and for lists."""
    if isinstance(node, bytes):
        return node.decode("utf-8", "replace")
    return node if isinstance(node, str) else ""


def words(nodes: Node) -> list[str]:
    """The words of a list such as FLAGS, where the atom NIL is a word too; lists and empty words are left out."""
    if not isinstance(nodes, list):
        return []
    return [word for node in nodes if (word := "NIL" if node is None else text(node))]


def number(node: Node, bits: int = 32) -> int | None:
    """An unsigned number of at most `bits` bits; None for anything else."""
    if isinstance(node, bytes):
        node = text(node)
    if isinstance(node, str) and _NUMBER.fullmatch(node) and (value := int(node)) < 2**bits:
        return value
    return None


def items(nodes: Sequence[Node], known: Collection[str]) -> dict[str, Node]:
    """Names in upper case, each with the value after it. A name in `known` never counts as a value.

    So a missing or surplus value costs only that item.
    """
    found: dict[str, Node] = {}
    name = None
    for node in nodes:
        if isinstance(node, str) and (name is None or node.upper() in known):
            name = node.upper()
        elif name is not None:
            found[name] = node
            name = None
        elif isinstance(node, bytes):
            name = text(node).upper()
    return found
