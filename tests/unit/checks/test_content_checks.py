"""What is noticed about the contents of a message."""

from __future__ import annotations

import pytest

from engine.checks.checked_mail import read_mail
from engine.checks.checker import content_checks
from engine.checks.content_rules import too_large
from engine.checks.dropped_html import DROPPED, GMAIL_CLIPS, STYLE_IN_BODY
from engine.mail.addresses import Address
from engine.mail.compose import AttachedFile, Composed, Draft, compose
from engine.mail.raw_message import from_raw
from engine.schema.submit_checks import SubmitCheck
from engine.submission.tracking import Tracked, click_target, tracked

LOGO = AttachedFile(b"png", "logo.png", "image/png", "inline", "logo")


def noticed(composed: Composed, **known: object) -> list[SubmitCheck]:
    """The checks of a composed message."""
    return content_checks(read_mail(composed, target=click_target, **known))  # type: ignore[arg-type]


def of_html(html: str, **members: object) -> list[SubmitCheck]:
    """The checks of a message with this HTML."""
    draft = Draft(sender=Address("a@sender.test"), to=(Address("b@x.test"),), subject="Hello", html=html, **members)  # type: ignore[arg-type]
    return noticed(compose(draft, message_id="<1@sender.test>", date=0.0, boundary="b-1"))


def of_raw(raw: str) -> list[SubmitCheck]:
    """The checks of a message given whole."""
    return noticed(from_raw(raw.replace("\n", "\r\n").encode(), "<1@sender.test>", 0.0), whole=True)


def codes(checks: list[SubmitCheck]) -> list[tuple[str, object]]:
    """Their codes and fields."""
    return [(each.code, each.field) for each in checks]


def test_ordinary_mail_is_fine() -> None:
    html = '<html><body style="color:#333"><p>Hello, see <a href="https://x.test/?a={1}&b=100%">this</a></p>'
    assert of_html(html + '<img src="cid:logo" alt="Logo"></body></html>', attachments=(LOGO,)) == []


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<img src="cid:logo"><p>x', "cid:logo"),
        ("<p>x<div style='background:url(cid:back)'>", "cid:back"),
        ("<p>x<td background=CID:Back@x>", "CID:Back@x"),
    ],
)
def test_a_file_that_is_not_attached(html: str, found: str) -> None:
    (check,) = [each for each in of_html(html) if each.code == "cidBroken"]
    assert found in check.message
    assert (check.severity, check.field) == ("error", "html")


@pytest.mark.parametrize("url", ["cid:logo", "cid:lo%67o", "CID:logo"])
def test_a_file_that_is_attached(url: str) -> None:
    assert of_html(f'<p>x<img src="{url}">', attachments=(LOGO,)) == []


def test_links_by_http() -> None:
    html = (
        '<p>x<a href=" http://a.test/once?token=1">a</a><a href="https://b.test">b</a><img src="HTTP://c.test/i.png">'
    )
    (check,) = of_html(html)
    assert codes([check]) == [("linkNotSecure", "html")]
    assert "http://a.test/once?token=1" in check.message
    assert "HTTP://c.test/i.png" in check.message
    assert "b.test" not in check.message


def test_a_tracked_link_counts_as_what_it_leads_to() -> None:
    what = Tracked(False, True, "https://engine.test", "acme", "<1@x>", lambda data: signed(data))
    html = tracked('<p>x<a href="http://a.test/x">a</a>', what)
    assert "http://a.test" not in html
    assert codes(of_html(html)) == [("linkNotSecure", "html")]


def signed(data: bytes) -> str:
    """The query of a link, as the engine makes it."""
    from engine.signed_links import query_of

    return query_of(data, "key")


@pytest.mark.parametrize(
    "url",
    ["https://a.test/redirect?data=%%%", "https://a.test/redirect?data=e30", "https://a.test/redirect?data=", "//[x"],
)
def test_links_that_only_look_tracked_stay(url: str) -> None:
    assert click_target(url) == url


@pytest.mark.parametrize(
    "left",
    [
        *("{{name}}", "{{{ name }}}", "{% if x %}", "${name}", "*|FNAME|*", "%%first_name%%", "%FIRST_NAME%"),
        *("<%= n %>", "[[Name]]", "[object Object]"),
    ],
)
def test_a_variable_that_is_left(left: str) -> None:
    escaped = left.replace("<", "&lt;").replace(">", "&gt;")
    assert codes(of_html(f"<p>Dear {escaped},</p>")) == [("variableUnresolved", "html")]
    raw = f"From: a@sender.test\nSubject: Hi {left}\n\nHello\n"
    assert codes(of_raw(raw)) == [("variableUnresolved", "raw")]


def test_what_is_left_in_the_text_beside_html() -> None:
    html = '<p>Dear Jo, {{x}} see <a href="https://a.test">http://b.test</a></p>'
    assert codes(of_html(html, text="Dear {{name}}, {{x}}")) == [
        ("variableUnresolved", "html"),
        ("variableUnresolved", "text"),
    ]
    (check,) = of_html("<p>Dear Jo</p>", text="Dear {{name}}")
    assert ("{{name}}" in check.message, check.field) == (True, "text")
    assert codes(of_html("<p>Dear Jo</p>", text="See http://a.test")) == [("linkNotSecure", "text")]
    assert codes(of_html('<p>x<a href="https://a.test">http://b.test</a></p>')) == []


@pytest.mark.parametrize(
    "html",
    ["<p>x<style>a{{}}</style>", "<p>x<script>${a}</script>", "<p>x<!-- {{a}} -->", "<p>100% of %s {a} $ {b} [c]"],
)
def test_what_only_looks_like_a_variable(html: str) -> None:
    assert "variableUnresolved" not in [each.code for each in of_html(html)]


def test_a_variable_in_a_link() -> None:
    assert codes(of_html('<p>x<a href="https://a.test/%7B%7Bid%7D%7D">x</a>')) == [("variableUnresolved", "html")]


def test_variables_without_a_value_are_named() -> None:
    composed = from_raw(b"From: a@sender.test\r\n\r\nHello\r\n", "<1@sender.test>", 0.0)
    (check,) = noticed(composed, unresolved={"subject": ("params.name",)})
    assert ("params.name" in check.message, check.field) == (True, "subject")


def test_html_without_text() -> None:
    html = "From: a@sender.test\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>Hello\n"
    assert codes(of_raw(html)) == [("textMissing", "raw")]
    both = (
        "From: a@sender.test\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n\n"
        "--x\nContent-Type: text/plain\n\nHello\n--x\nContent-Type: text/html\n\n<p>Hello\n--x--\n"
    )
    assert of_raw(both) == []
    assert codes(of_html('<img src="https://a.test/a.png">')) == [("textMissing", "text")]
    sealed = (
        "From: a@sender.test\nMIME-Version: 1.0\nContent-Type: multipart/encrypted; boundary=x\n\n--x\n\nx\n--x--\n"
    )
    assert of_raw(sealed) == []


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("List-Id: <a.b>\n", ["unsubscribeMissing"]),
        ("Precedence: bulk\n", ["unsubscribeMissing"]),
        ("List-Unsubscribe: <mailto:a@b.test>\n", ["oneClickMissing"]),
        ("List-Unsubscribe: <http://a.test>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n", ["oneClickMissing"]),
        ("List-Unsubscribe: <https://a.test>\n", ["oneClickMissing"]),
        ("List-Unsubscribe: <https://a.test>\nList-Unsubscribe-Post: yes\n", ["oneClickMissing"]),
        (
            "List-Id: <a.b>\nList-Unsubscribe: <mailto:a@b.test>,\n <https://a.test>\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n",
            [],
        ),
        ("Precedence: first-class\n", []),
    ],
)
def test_mail_to_a_list(fields: str, found: list[str]) -> None:
    assert [each.code for each in of_raw(f"From: a@sender.test\n{fields}\nHello\n")] == found


@pytest.mark.parametrize(
    ("html", "name"),
    [
        ("<script>x</script>", "<script>"),
        ("<video><source src=a.mp4></video>", "<video>"),
        ("<svg><path/></svg>", "<svg>"),
        ("<form action='https://a.test'><input name=a></form>", "<form>"),
        ("<p onclick='x()'>", "onclick"),
        ("<link rel=stylesheet href=https://a.test/a.css>", "<link>"),
        ("<p style='POSITION : absolute'>", "position"),
        ("<p style='display:flex'>", "display: flex"),
        ("<head><style>p { display: grid }</style></head>", "display: grid"),
        ("<style>:root { --main: red }</style>", "variables"),
        ("<style>@import 'a.css'; @font-face { x }</style>", "@font-face"),
        ("<img src='https://a.test/a.svg?x=1' alt=a>", "SVG"),
        ("<img src=https://a.test/a.webp>", "WebP"),
        ("<a href='JavaScript:x()'>", "javascript"),
        ("<body><style>p {}</style>", "<style> in <body>"),
    ],
)
def test_html_that_programs_drop(html: str, name: str) -> None:
    found = [each.message for each in of_html(f"<p>Hello</p>{html}") if each.code == "htmlDropped"]
    assert any(name in message for message in found)


@pytest.mark.parametrize(
    "html",
    [
        "<style>/* display: flex */ p { flex-position: absolute }</style>",
        "<!-- <video> --><p title='display:flex'>",
        "<img src='https://a.test/?a=.svg'>",
        "<meta http-equiv=content-type content=text/html>",
    ],
)
def test_html_that_programs_show(html: str) -> None:
    assert of_html(f"<p>Hello</p>{html}") == []


def test_every_entry_of_the_data_has_a_source_and_a_month() -> None:
    for each in (*DROPPED, STYLE_IN_BODY):
        assert each.source.startswith("https://")
        assert each.as_of.startswith("20")


def test_more_html_than_gmail_shows() -> None:
    assert of_html("<p>" + "x" * (GMAIL_CLIPS - 100)) == []
    assert codes(of_html("<p>" + "x" * GMAIL_CLIPS)) == [("htmlClipped", "html")]


def test_more_than_the_server_takes() -> None:
    assert list(too_large(1_000, None, "x.test")) == list(too_large(1_000, 1_000, "x.test")) == []
    (check,) = too_large(1_001, 1_000, "mail.x.test")
    assert (check.code, check.severity) == ("tooLarge", "error")
    assert "mail.x.test" in check.message


@pytest.mark.parametrize(
    "raw",
    [
        "From: a@sender.test\nContent-Type: multipart/mixed; boundary=\n\nx\n",
        "From: a@sender.test\nContent-Type: multipart/mixed; boundary=x\n\nno part\n",
        "From: a@sender.test\nContent-Type: text/html; charset=none\n\n" + "<a " * 50_000,
        "From: a@sender.test\nContent-Type: text/html\n\n<style>" + "/*" * 50_000,
        "From: a@sender.test\nContent-Type: text/html\n\n" + "{{" * 50_000 + "url(" * 50_000,
        "From: a@sender.test\nContent-Type: text/html\n\n<p style='" + "display " * 50_000 + "background:" * 20_000,
        "From: a@sender.test\nContent-Type: multipart/mixed; boundary=x\n\n" + "--x\n\n" * 20_000,
    ],
)
def test_odd_messages_cost_nothing_but_a_moment(raw: str) -> None:
    for check in of_raw(raw):
        assert check.code != "checkFailed"
        assert len(check.message) < 2_000
