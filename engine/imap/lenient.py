"""Reads a response that violates the grammar, as far as possible.

`tokens` uses this only for a response that it cannot read strictly. The rules guess what a careless server meant:
quotes and parentheses inside a word belong to the word; a quoted string ends at a quote that is followed by a space or
parenthesis; a list that is never closed ends with the response. Nothing raises, every byte is examined at most a few
times, and `limits` apply: lists nested deeper and tokens past the limit are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.imap import limits
from engine.imap.nodes import Node

_STRING = rb"""
    ("\\"(?=[ \t)]|\Z)                                # a backslash that should have been escaped
    | "(?:[^"\\]++|\\.|"(?![ \t()]|\Z))*+")            # quoted string
    |"""
_WORD = rb"""
    \( | \)(?=[ \t()"]|\Z)
    | (?:BODY|BINARY)[.A-Z]*+\[[^][() ]*+(?:\ \([^][()]*+\))?+\](?:<[0-9]++>)?+  # section
    | (?:[^ \t()]|\((?!["(\\])|\)(?![ \t()"]|\Z))++     # word
"""
_WITH_STRINGS = re.compile(_STRING + _WORD, re.VERBOSE | re.DOTALL)
_WITHOUT_STRINGS = re.compile(b"((?!))|" + _WORD, re.VERBOSE | re.DOTALL)
_ESCAPE = re.compile(rb'\\(["\\])')


def read(parts: Sequence[bytes]) -> tuple[list[Node], int]:
    """The tree of a response and its number of tokens. `parts` alternate lines and literals, beginning with a line."""
    tree: list[Node] = []
    stack, skipped, count = [tree], 0, 0
    for node in _nodes(parts):
        if count == limits.RESPONSE_TOKENS:
            break
        count += 1
        if node == "(" and (skipped or len(stack) > limits.LIST_DEPTH):
            skipped += 1
        elif node == "(":
            inner: list[Node] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif node == ")" and skipped:
            skipped -= 1
        elif node == ")":
            del stack[max(1, len(stack) - 1) :]
        elif not skipped:
            stack[-1].append(node)
    return tree, count


def _nodes(parts: Sequence[bytes]) -> Iterator[str | bytes | None]:
    """Strings, words and parentheses in order."""
    for place, part in enumerate(parts):
        if place % 2:
            yield part
        else:
            yield from _tokens(part)


def _tokens(line: bytes) -> Iterator[str | bytes | None]:
    pattern, place = _WITH_STRINGS, 0
    while (match := pattern.search(line, place)) is not None:
        place = match.end()
        if match[1]:
            yield b"\\" if match[1] == b'"\\"' else _ESCAPE.sub(rb"\1", match[1][1:-1])
            continue
        if match[0].startswith(b'"'):
            # No string ends after this point, and to search from every further quote would take quadratic time.
            pattern = _WITHOUT_STRINGS
        yield word(match[0])


def word(token: bytes) -> str | bytes | None:
    """An atom as a node: NIL becomes None, and what is not UTF-8 stays bytes."""
    if token.upper() == b"NIL":
        return None
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return token
