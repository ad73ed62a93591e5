from __future__ import annotations

import pytest

from engine.mail.markdown import LONGEST, TooLong, html_of


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("# Hi *you*", "<h1>Hi <em>you</em></h1>\n"),
        ("a <b>raw</b>\n\n<table><tr><td>x</table>", "<p>a <b>raw</b></p>\n<table><tr><td>x</table>"),
        ("~~a~~", "<p><s>a</s></p>\n"),
        ("see https://x.example/?a=1", '<p>see <a href="https://x.example/?a=1">https://x.example/?a=1</a></p>\n'),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>\n"),
        ("&lt;i&gt; &#x27;", "<p>&lt;i&gt; '</p>\n"),
    ],
)
def test_markdown_becomes_html(markdown: str, html: str) -> None:
    assert html_of(markdown) == html


def test_tables_are_tables() -> None:
    assert "<td>1</td>" in html_of("|a|b|\n|-|-|\n|1|2|\n")


def test_its_length_is_bounded() -> None:
    with pytest.raises(TooLong):
        html_of("x" * (LONGEST + 1))
