"""HTML becomes well nested, in a depth and a time that have bounds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.html_markup import Tag, pieces
from engine.mail.html_nesting import DEEPEST, TAGS, VOID, nested

LARGE = 1024 * 1024
WORDS = [
    *(f"<{mark}{name}>" for name in ("p", "b", "i", "div", "table", "tr", "td", "li") for mark in ("", "/")),
    "x",
]


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<ul><li>1<li>2<ul><li>3</ul></ul>", "<ul><li>1</li><li>2<ul><li>3</li></ul></li></ul>"),
        (
            "<table><tr><td>1<td>2<tr><td>3</table>x",
            "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>x",
        ),
        (
            "<table><tr><td><table><tr><td>1</table>2",
            "<table><tr><td><table><tr><td>1</td></tr></table>2</td></tr></table>",
        ),
        ("<table><b>x<tr><td>1</table>", "<table><b>x</b><tr><td>1</td></tr></table>"),
        ("<td>x</td>", "x"),
        ("</div>x</p>", "x"),
        ("<table><tr><td></div>x</table>", "<table><tr><td>x</td></tr></table>"),
        ("<p><b>a<div>c</div>", "<p><b>a</b></p><div>c</div>"),
        ("<a href=x>1<a href=y>2", "<a href=x>1</a><a href=y>2</a>"),
        ("<body bgcolor=red>x", "<div bgcolor=red>x</div>"),
        ("<style>p{}</style><script><b></script>x<!-- y -->z<o:p>q</o:p>", "xzq"),
        ("a < b &amp; c &nbsp;&#60;", "a &lt; b &amp; c \xa0&lt;"),
        ("a\0b<br/><img src=x />", "ab<br><img src=x>"),
        ('<a href="x\'y" title=z>1</a>', '<a href="x\'y" title=z>1</a>'),
        ('<p title="x>1', "<p></p>"),
    ],
)
def test_what_becomes_of_it(html, shown):
    assert nested(html) == shown


@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<b>",
                "</b>",
                "<i>",
                "<div>",
                "</div>",
                "<table>",
                "</table>",
                "<tr>",
                "<td>",
                "</td>",
                "<li>",
                "x",
            ]
        ),
        max_size=60,
    )
)
def test_every_element_is_closed_in_order(words):
    opened: list[str] = []
    for piece in pieces(nested("".join(words))):
        if isinstance(piece, Tag) and piece.closing:
            assert opened.pop() == piece.name
        elif isinstance(piece, Tag) and piece.name not in VOID:
            opened.append(piece.name)
            assert len(opened) <= DEEPEST
    assert opened == []


@pytest.mark.once
@pytest.mark.parametrize(
    "one",
    [
        "<div>",
        "<b id=x>",
        "<table><tr><td>",
        "<p><b>",
        "<div><table></div>",
        "<a ",
        "&amp",
        "<!--",
        '<p a="',
        "<li><div>",
    ],
)
def test_a_megabyte_of_anything_is_soon_read(one):
    began = time.process_time()
    shown = nested(one * (LARGE // len(one)))
    assert time.process_time() - began < 5
    assert len(shown) <= 5 * LARGE


@pytest.mark.once
def test_tags_past_the_limit_go_and_their_text_stays():
    shown = nested("<b>x</b>" * TAGS)
    assert (shown.count("<b>"), shown.count("x")) == (TAGS // 2, TAGS)
