"""Text of `format=flowed`, by the rules of RFC 3676 section 4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.flowed import unflowed

TEXTS = [
    ("one \ntwo\nthree\n", "one two\nthree\n"),
    ("one \n\ntwo\n", "one \ntwo\n"),
    (" >no quote\n From here\n  two blanks\n", ">no quote\nFrom here\n two blanks\n"),
    ("> a \n> b\n>> c \n> d\ne\n", "> a b\n>> c \n> d\ne\n"),
    (">a \n> b\n>\n> c\n", "> a b\n>\n> c\n"),
    ("text \n-- \nName \nFirm\n", "text \n-- \nName Firm\n"),
    ("> text \n> -- \n> Name\n", "> text \n> -- \n> Name\n"),
    ("cut off \n", "cut off "),
    ("", ""),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_lines_that_belong_together_become_one(text, shown):
    assert unflowed(text, delete_blank=False) == shown


def test_the_mark_of_a_continued_line_is_left_out_where_it_is_no_blank_of_the_text():
    assert unflowed("日本 \n語 \n> 引用 \n> 文\n", delete_blank=True) == "日本語\n> 引用文\n"
    assert unflowed("-- \nsig  \nend\n", delete_blank=True) == "-- \nsig end\n"


@given(st.text(st.sampled_from("> \n-ab")), st.booleans())
def test_nothing_is_lost_but_blanks_and_line_ends(text, delete_blank):
    letters = str.maketrans("", "", " \n>")
    assert unflowed(text, delete_blank=delete_blank).translate(letters) == text.translate(letters)
