"""The text of replies as mail programs write them in many languages, without quotes and signatures."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.mail.reply_page import reply_of_page
from engine.mail.reply_text import LINES, LONGEST, reply_text

DATA = Path(__file__).parents[2] / "data" / "replies"


def replies(name: str) -> dict[str, tuple[str, str]]:
    """By name, what each file of replies has: a message, and the text that its author wrote."""
    blocks = (DATA / name).read_text(encoding="utf-8").split("%% ")[1:]
    pairs = zip(blocks[::2], blocks[1::2], strict=True)
    found = {}
    for message, expected in pairs:
        title, _, text = message.partition("\n")
        found[title] = (text, expected.removeprefix("=\n").removesuffix("\n"))
    return found


PLAIN, PAGES = replies("plain.txt"), replies("pages.txt")


@pytest.mark.parametrize("name", PLAIN)
def test_plain_text(name: str) -> None:
    text, expected = PLAIN[name]
    assert reply_text(text) == reply_text(text.replace("\n", "\r\n")) == expected


@pytest.mark.parametrize("name", PAGES)
def test_html(name: str) -> None:
    page, expected = PAGES[name]
    assert reply_of_page(page, 2 * LONGEST) == expected


def test_there_are_enough_replies() -> None:
    assert len(PLAIN) + len(PAGES) >= 160
    assert len({name.split()[0] for name in PLAIN}) >= 25


def test_it_is_bounded() -> None:
    assert len(reply_text("x" * 100 + "\n" + "y" * LONGEST)) == LONGEST
    assert reply_text("x\n" * (LINES + 1)).count("x") == LINES


@pytest.mark.parametrize("text", ["", "\n\n", "\x00", ":", ">", "--", "\u200b\n\ufeff", "-- \n", "From:\n" * 9])
def test_odd_texts(text: str) -> None:
    assert len(reply_text(text)) <= len(text)
