from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.html_text import LIMIT, html_to_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<p>one<p>two", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("one<br>two<BR/>three", "one\ntwo\nthree"),
        ("one<br><br>two", "one\n\ntwo"),
        ("one<br><br><br><br><br>two", "one\n\ntwo"),
        ("<div>a</div><div><br></div><div>b</div>", "a\n\nb"),
        ("  a \n\t b  <b> c</b>d ", "a b cd"),
        ("a <b>b</b> <i> c </i> d", "a b c d"),
        ("&lt;b&gt; &amp; &eacute;&#233;&#xE9;&nbsp;x", "<b> & ééé x"),
        ("&unknown; &amp", "&unknown; &"),
        ("&#99999999999999999999;x", "\ufffdx"),
        ("&#" + "9" * 9000 + ";x", "\ufffdx"),
        ("a\u200b\u00adb&zwnj;&shy;c", "abc"),
        ("<h1>T</h1>x", "T\n\nx"),
        ("<ul><li>a<li>b</ul>c", "* a\n* b\n\nc"),
        ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
        ("<ul><li>a<ul><li>b<br>c</li></ul></li><li>d</ul>", "* a\n  * b\n    c\n* d"),
        ("<ol><li>a<ul><li>b</ul><li>c</ol>", "1. a\n  * b\n2. c"),
        ("<li>a", "* a"),
        ("</ul></ol></blockquote></pre></a>x", "x"),
        ("a<blockquote>b<p>c</p></blockquote>d", "a\n\n> b\n>\n> c\n\nd"),
        ("<blockquote><blockquote>x</blockquote></blockquote>", "> > x"),
        ("<pre>a  b\n  c</pre>d", "a  b\n  c\n\nd"),
        ("<pre>a\r\nb</pre>", "a\nb"),
        ("a<hr>b", "a\n\n---\n\nb"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><th>3<th>4</table>", "1 2\n3 4"),
        ('<a href="https://x.example/a?b=1&amp;c=2">here</a>.', "here <https://x.example/a?b=1&c=2>."),
        ("<a href=https://x.example/>https://x.example/</a>", "https://x.example/"),
        ("<a href='https://x.example/'>x.example</a>", "x.example"),
        ("<a href='mailto:a@x.example'>a@x.example</a>", "a@x.example"),
        ("<a href='mailto:a@x.example'>me</a>", "me <mailto:a@x.example>"),
        ("<a href='#top'>up</a> <a href='/x'>rel</a> <a href='javascript:alert(1)'>js</a>", "up rel js"),
        ("<a data-href='https://no.example' href='https://x.example'>y</a>", "y <https://x.example>"),
        ("<a href='https://x.example'><img src=x alt='Logo'></a>", "Logo <https://x.example>"),
        (
            "<a href='https://x.example'>one<a href='https://y.example'>two</a>",
            "one <https://x.example>two <https://y.example>",
        ),
        ("<img alt='a cat' src=x>", "a cat"),
        ("<img src=x>", ""),
        ("<style>p{}</style><script>if (a<b) {}</script><title>t</title>x", "x"),
        ("<STYLE>p{}</Style >x", "x"),
        ("<script>'</scripty>'</script>x", "'x"),
        ("a<!-- b <p> -->c", "ac"),
        ("a<!--[if mso]><p>no</p><![endif]-->b", "ab"),
        ("a<!-->b", "ab"),
        ("<!DOCTYPE html><html><body>x</body></html>", "x"),
        ("<?xml version='1.0'?>x", "x"),
        ("</ >x", "x"),
        ("1 < 2 <3 <", "1 < 2 <3 <"),
        ("<p title='a>b' x=\"c>d\" y=e>x", "x"),
        ("<p title=it's>x</p>", "x"),
        ("a<b", "a"),
        ("a<p title='never closed>b", "a"),
        ("a<!-- never closed", "a"),
        ("a<script>never closed", "a"),
        ("<o:p>y</o:p><x-y>z</x-y>", "yz"),
        ("&nbsp;a&nbsp;&nbsp;b&nbsp;<br>c", " a  b\nc"),
        ("a\u2028b\x1cc\x85d", "a\u2028b\x1cc\x85d"),
    ],
)
def test_table(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_input_is_capped_and_says_so() -> None:
    text = html_to_text("<p>word</p>" * LIMIT)
    assert text.endswith("word\n[...]")
    assert len(text) <= LIMIT
    assert html_to_text("abc", limit=3) == "abc"
    assert html_to_text("abcd", limit=3) == "abc\n[...]"


# Each of these, repeated, makes a parser that goes back after a wrong guess take minutes for the text used here.
@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<",
        "</",
        "<!",
        "<!--",
        "<?",
        "<![",
        "<a b='",
        '<a b="',
        "<a =",
        "<a x=1 ",
        "&",
        "&#",
        "<!-- -",
        "</a ",
        "<script></",
        "<a href=",
        "<a href='",
        "<pre>\n",
        "<ul><li>",
        "<blockquote>",
        "<a href href",
    ],
)
def test_hostile_repetition_is_read_once(piece: str) -> None:
    text = html_to_text(piece * (LIMIT // len(piece)))
    assert len(text) <= 4 * LIMIT


soup = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<li>",
            "<ul>",
            "</ul>",
            "<ol>",
            "</ol>",
            "<pre>",
            "</pre>",
            "<br>",
            "<a href='https://x.example'>",
            "</a>",
            "<blockquote>",
            "</blockquote>",
            "<td>",
            "<hr>",
            "<script>",
            "</script>",
            "<!--",
            "-->",
            "<",
            ">",
            "&",
            ";",
            "'",
            '"',
            "=",
            " ",
            "\n",
            "\r",
            "&nbsp;",
            "\xa0",
            "word",
        ]
    )
    | st.text(max_size=5)
).map("".join)


@given(soup)
def test_any_soup_gives_tidy_text(html: str) -> None:
    text = html_to_text(html)
    assert not text.startswith("\n")
    assert not text.endswith("\n")
    assert "\n\n\n" not in text


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="<&\u00ad\u034f"), min_size=1))
def test_text_without_markup_is_itself(text: str) -> None:
    assert html_to_text(text) == text
    assert html_to_text(f"<div>{text}</div>") == text
