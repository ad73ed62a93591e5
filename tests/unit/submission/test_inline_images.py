"""Images in `data:` URLs as parts of the message."""

from __future__ import annotations

import base64

import pytest

from engine.mail.addresses import Address
from engine.mail.compose import AttachedFile, Draft, compose
from engine.submission.inline_images import MOST, with_inline_images

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def changed(html: str, *attachments: AttachedFile) -> Draft:
    return with_inline_images(Draft(sender=Address("a@x.example"), html=html, attachments=attachments))


@pytest.mark.parametrize(
    ("before", "url", "after"),
    [
        ('<img src="', URL, '">'),
        ("<img src='", URL, "'>"),
        ("<img src=", URL, ">"),
        ("<img src=", URL, " alt=x>"),
        ('<IMG ALT="src=x" SRC = "', URL.replace("data", "DATA").replace("png", "PNG"), '"/>'),
        ('<p>a<img\nwidth=1\nsrc="', f"\n{URL}\n", '" title=\'src="data:image/png;base64,AAAA"\'>b</p>'),
        ('<img src="', URL.replace("+", "&#43;").replace("/", "%2F").replace("image%2F", "image/"), '">'),
        ('<img src="', URL[:60] + "\r\n  " + URL[60:], '">'),
        ('<img src="', URL.rstrip("="), '">'),
        ('<img src="', URL.replace(";base64", ";charset=utf-8;base64"), '">'),
        ('<img data-src="data:x" src="', URL, '" src="data:image/png;base64,AAAA">'),
        ('<!-- <img src="data:image/png;base64,AAAA"> --><img src="', URL, '">'),
    ],
)
def test_only_the_url_changes(before: str, url: str, after: str) -> None:
    made = changed(before + url + after)
    (file,) = made.attachments
    assert made.html == f"{before}cid:{file.cid}{after}"
    assert file == AttachedFile(PNG, "image1.png", "image/png", "inline", file.cid)


@pytest.mark.parametrize(
    "html",
    [
        '<img src="data:image/png;base64,">',
        '<img src="data:image/png;base64,!!!!">',
        '<img src="data:image/png;base64,AAAAA">',
        '<img src="data:image/png;base64">',
        '<img src="data:text/html;base64,AAAA">',
        '<img src="data:,">',
        '<img src="cid:data:image">',
        '<a href="data:image/png;base64,AAAA">x</a>',
        '<p style="background: url(data:image/png;base64,AAAA)">x</p>',
        '<style>a { background: url("data:image/png;base64,AAAA") }</style>',
        '<script>"<img src=data:image/png;base64,AAAA>"</script>',
        "data:image/png;base64,AAAA",
        "<img src",
        '<img alt="data:image/png;base64,AAAA">',
        "",
    ],
)
def test_everything_else_stays(html: str) -> None:
    own = AttachedFile(b"x", "x.txt")
    assert changed(html, own) == Draft(sender=Address("a@x.example"), html=html, attachments=(own,))


def test_without_base64() -> None:
    made = changed("<img src=\"data:image/svg+xml;utf8=1,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\">")
    assert made.attachments[0].content == b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    assert made.attachments[0].filename == "image1.svg"


def test_the_same_image_is_attached_once() -> None:
    other = f"data:image/jpeg;base64,{base64.b64encode(b'other').decode()}"
    made = changed(f'<img src="{URL}"><img src="{other}"><img src=\'{URL}\'>', AttachedFile(b"x", "x.txt"))
    assert [each.filename for each in made.attachments] == ["x.txt", "image1.png", "image2.jpg"]
    first, second = (f"cid:{each.cid}" for each in made.attachments[1:])
    assert made.html == f'<img src="{first}"><img src="{second}"><img src=\'{first}\'>'


def test_an_image_too_many_stays() -> None:
    urls = [f"data:image/gif;base64,{base64.b64encode(f'{n}'.encode()).decode()}" for n in range(MOST + 1)]
    made = changed("".join(f"<img src={url}>" for url in urls))
    assert len(made.attachments) == MOST
    assert (made.html or "").endswith(f"<img src={urls[-1]}>")


def test_hostile_html_takes_no_time() -> None:
    for html in ("<img src=" * 100_000, "<img " + "a=" * 200_000, "<img src=data:image/png" + ";a=b" * 100_000):
        assert changed(html).html == html


def test_they_are_parts_beside_the_html() -> None:
    made = compose(changed(f'<img src="{URL}">'), message_id="<1@x.example>", date=0, boundary="b")
    assert b"Content-Type: multipart/alternative" in made.header
    related = made.body.index(b"multipart/related")
    assert made.body.index(b"Content-ID: <") > related
    assert b"Content-Disposition: inline; filename=image1.png" in made.body
