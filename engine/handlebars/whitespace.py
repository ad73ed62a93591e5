"""White space that tags take: `~`, and the line on which a block or a comment stands alone.

The rules, and the order in which they apply, are those of Handlebars 4.7, since the result is compared with its result
octet by octet. Which lines a tag has for itself is told by the texts as they were written; what is taken is taken from
what is left of them.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.handlebars.tree import Block, Comment, Mustache, Node, Program, Strip, Text

_SPACE = "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"


class _Wish(NamedTuple):
    """What a tag may take in the program around it."""

    strip: Strip
    opening_alone: bool = False
    closing_alone: bool = False
    inline_alone: bool = False


def take_white_space(program: Program, *, whole: bool = True) -> None:
    """Take white space from the texts of `program` and of all programs in it."""
    body = program.body
    for index, node in enumerate(body):
        wish = _wish(node)
        if wish is None:
            continue
        line_before = _ends_line(body, index - 1, whole=whole)
        line_behind = _begins_line(body, index + 1, whole=whole)
        if wish.strip.behind:
            _take_right(body, index + 1, everything=True)
        if wish.strip.before:
            _take_left(body, index - 1, everything=True)
        if wish.inline_alone and line_before and line_behind:
            _take_right(body, index + 1)
            _take_left(body, index - 1)
        if isinstance(node, Block):
            if wish.opening_alone and line_before:
                _take_right(_one_of(node.program, node.inverse).body, 0)
                _take_left(body, index - 1)
            if wish.closing_alone and line_behind:
                _take_right(body, index + 1)
                last = _one_of(node.inverse, node.program).body
                _take_left(last, len(last) - 1)


def _wish(node: Node) -> _Wish | None:
    if isinstance(node, Text):
        return None
    if isinstance(node, Mustache):
        return _Wish(node.strip)
    if isinstance(node, Comment):
        return _Wish(node.strip, inline_alone=True)
    return _of_block(node)


def _of_block(block: Block) -> _Wish:
    """Take white space inside a block; what it may take around itself."""
    for each in (block.program, block.inverse):
        if each is not None:
            take_white_space(each, whole=False)
    program = _one_of(block.program, block.inverse)
    inverse = block.inverse if block.program is not None else None
    first = last = inverse
    if inverse is not None and inverse.chained:
        first = _chained(inverse, 0)
        while last is not None and last.chained:
            last = _chained(last, -1)
    wish = _Wish(
        Strip(block.open_strip.before, block.close_strip.behind),
        opening_alone=_begins_line(program.body, 0),
        closing_alone=_ends_line((first or program).body, len((first or program).body) - 1),
    )
    if block.open_strip.behind:
        _take_right(program.body, 0, everything=True)
    if inverse is not None and first is not None and last is not None:
        if block.inverse_strip.before:
            _take_left(program.body, len(program.body) - 1, everything=True)
        if block.inverse_strip.behind:
            _take_right(first.body, 0, everything=True)
        if block.close_strip.before:
            _take_left(last.body, len(last.body) - 1, everything=True)
        if _ends_line(program.body, len(program.body) - 1) and _begins_line(first.body, 0):
            _take_left(program.body, len(program.body) - 1)
            _take_right(first.body, 0)
    elif block.close_strip.before:
        _take_left(program.body, len(program.body) - 1, everything=True)
    return wish


def _chained(program: Program, index: int) -> Program | None:
    inner = program.body[index]
    return inner.program if isinstance(inner, Block) else None


def _one_of(first: Program | None, second: Program | None) -> Program:
    chosen = first if first is not None else second
    assert chosen is not None
    return chosen


def _ends_line(body: list[Node], index: int, *, whole: bool = False) -> bool:
    """Whether nothing but white space stands between the end of the node at `index` and the start of its line.

    `whole`: `body` is that of the whole template, whose start is the start of a line.
    """
    if index < 0:
        return whole
    node = body[index]
    if not isinstance(node, Text):
        return False
    solid = len(node.original.rstrip(_SPACE))
    return node.original.find("\n", solid) >= 0 or (whole and index == 0 and solid == 0)


def _begins_line(body: list[Node], index: int, *, whole: bool = False) -> bool:
    """Whether nothing but white space stands between the beginning of the node at `index` and the end of its line."""
    if index >= len(body):
        return whole
    node = body[index]
    if not isinstance(node, Text):
        return False
    blank = len(node.original) - len(node.original.lstrip(_SPACE))
    is_blank = blank == len(node.original)
    return node.original.find("\n", 0, blank) >= 0 or (whole and index == len(body) - 1 and is_blank)


def _take_right(body: list[Node], index: int, *, everything: bool = False) -> None:
    """Take the white space at the beginning of a text: all of it, or up to the end of its line."""
    node = body[index] if 0 <= index < len(body) else None
    if not isinstance(node, Text) or (node.right_stripped and not everything):
        return
    left = node.value.lstrip(_SPACE if everything else " \t")
    if not everything:
        left = left.removeprefix("\r").removeprefix("\n")
    node.right_stripped = left != node.value
    node.value = left


def _take_left(body: list[Node], index: int, *, everything: bool = False) -> None:
    """Take the white space at the end of a text: all of it, or the indentation of the tag behind it."""
    node = body[index] if 0 <= index < len(body) else None
    if not isinstance(node, Text) or (node.left_stripped and not everything):
        return
    left = node.value.rstrip(_SPACE if everything else " \t")
    node.left_stripped = left != node.value
    node.value = left
