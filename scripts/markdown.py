"""Keep the prose of Markdown files within 120 columns: list the lines that are longer, or wrap them with `--write`.

Tables, headings, code blocks and HTML comments are left alone, as is what cannot be broken: a code span, a URL.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
_FENCE = re.compile(r"^ *(```|~~~)")
_LEFT_ALONE = re.compile(r"^ *(\||#|<!--|$)")
_ITEM = re.compile(r"^( *(?:[-*+]|\d+[.)]) +|(?:> ?)+)")
_WORD = re.compile(r"(?:`[^`]*`|[^\s`])+")
_STARTS_A_BLOCK = re.compile(r"(?:[-*+]|\d+[.)]|#+|>.*)$")


def blocks(text: str) -> Iterator[tuple[bool, list[str]]]:
    """The lines of the text in groups: (is it prose, its lines). A list item is a paragraph of its own."""
    fenced, paragraph = False, list[str]()
    for line in text.split("\n"):
        fence = bool(_FENCE.match(line))
        if fence or fenced or _LEFT_ALONE.match(line):
            if paragraph:
                yield True, paragraph
                paragraph = []
            yield False, [line]
            fenced ^= fence
        elif _ITEM.match(line) and paragraph:
            yield True, paragraph
            paragraph = [line]
        else:
            paragraph.append(line)
    if paragraph:
        yield True, paragraph


def fill(lines: list[str]) -> list[str]:
    """One paragraph or list item, wrapped."""
    item = _ITEM.match(lines[0])
    first = item[0] if item else " " * (len(lines[0]) - len(lines[0].lstrip()))
    rest = first if first.startswith(">") else " " * len(first)
    words = _WORD.findall(" ".join([lines[0][len(first) :], *(line.lstrip("> ") for line in lines[1:])]))
    wrapped, line = list[str](), first
    for word in words:
        started = line.strip() and line not in (first, rest)
        if started and len(line) + 1 + len(word) > WIDTH and not _STARTS_A_BLOCK.match(word):
            wrapped.append(line)
            line = rest + word
        else:
            line += f" {word}" if started else word
    return [*wrapped, line]


def wrap(text: str) -> str:
    """The text with each paragraph that has a line beyond `WIDTH` wrapped again."""
    made = list[str]()
    for prose, lines in blocks(text):
        made += fill(lines) if prose and any(len(line) > WIDTH for line in lines) else lines
    return "\n".join(made)


def too_long(text: str) -> list[int]:
    """The numbers of the lines of prose that are longer than they need to be."""
    found, number = list[int](), 0
    for prose, lines in blocks(text):
        if prose and fill(lines) != lines:
            found += [number + n for n, line in enumerate(lines, 1) if len(line) > WIDTH]
        number += len(lines)
    return found


def documents() -> list[Path]:
    """Every Markdown file of the project."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/markdown.py", description=__doc__)
    parser.add_argument("--write", action="store_true", help="wrap the lines that are too long")
    write = parser.parse_args().write
    failed = False
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if write:
            path.write_text(wrap(text), encoding="utf-8")
            continue
        for number in too_long(text):
            print(f"{path.relative_to(ROOT)}:{number}: longer than {WIDTH} columns")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
