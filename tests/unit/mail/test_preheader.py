from __future__ import annotations

import re

import pytest

from engine.mail.preheader import with_preheader


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>x</p>", "@<p>x</p>"),
        ("<body>x", "<body>@x"),
        ("<html><body class=\"a>b\" id='>'>x", "<html><body class=\"a>b\" id='>'>@x"),
        ("<HTML><BODY\nbgcolor=red>x", "<HTML><BODY\nbgcolor=red>@x"),
        ("<!doctype html><p>x", "<!doctype html>@<p>x"),
        ("<html><head><title><body></title></head><p>x", "<html><head><title><body></title></head>@<p>x"),
        ("<!-- <body> --><body>x", "<!-- <body> --><body>@x"),
        ("<!--><body>x", "<!--><body>@x"),
        ("<style>a{b:'<body>'}</style><body>x", "<style>a{b:'<body>'}</style><body>@x"),
        ("<script>'<body>'", "@<script>'<body>'"),
        ("<p>x</p></body>", "@<p>x</p></body>"),
        ("<bodyguard>x", "@<bodyguard>x"),
        ("<!--[if mso]><body><![endif]--><body>x<body>", "<!--[if mso]><body><![endif]--><body>@x<body>"),
    ],
)
def test_the_preview_stands_where_the_body_begins(html: str, expected: str) -> None:
    made = with_preheader(html, "preview")
    hidden = re.compile(r'<div style="display:none;[^"]*">preview</div>')
    assert hidden.sub("@", made) == expected


def test_the_preview_is_text() -> None:
    assert ">&lt;b&gt; &amp;nbsp; &quot;x&quot;</div>" in with_preheader("", '<b> &nbsp; "x"')


@pytest.mark.parametrize("piece", ["<!--", "<body ", "<style>", "<body a='", '<html b="', "<", "<title", "</head "])
def test_odd_html_takes_no_more_time_than_its_length(piece: str) -> None:
    html = piece * (200_000 // len(piece))
    assert len(with_preheader(html, "x")) > len(html)
