"""Links and a picture put into HTML: what is a link, and that nothing else changes."""

from __future__ import annotations

import email
import email.policy
import re
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from engine.signed_links import octets, query_of
from engine.submission.tracking import Tracked, base_of, links, tracked

BASE = "https://mail.example.com/engine"
MAILS = sorted((Path(__file__).parents[2] / "data" / "bounces").glob("*.eml"))
OURS = re.compile(re.escape(BASE) + r"/redirect\?data=[\w-]+&amp;sig=[\w-]+")
PICTURE = re.compile(r"<img [^<>]*/open\.gif\?[^<>]*>")


def sign(data: bytes) -> str:
    return query_of(data, "key")


def what(*, opens: bool = False, clicks: bool = True, left: frozenset[str] = frozenset()) -> Tracked:
    return Tracked(opens, clicks, BASE, "acme", "<1@example.com>", sign, left)


def signed(link: str) -> dict[str, str]:
    """What a rewritten link says."""
    query = parse_qs(urlsplit(link.replace("&amp;", "&")).query)
    found: dict[str, str] = msgspec.json.decode(octets(query["data"][0]))
    return found


def put_back(html: str, before: list[str]) -> str:
    """The HTML with the old value of each rewritten link."""
    old = iter(before)
    return OURS.sub(lambda _: next(old), html)


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ('<a href="http://x/?a=1&amp;b=2">', ["http://x/?a=1&b=2"]),
        ('<a href="http://x/?a=1&b=2&copy=3&lt;&reg=4">', ["http://x/?a=1&b=2&copy=3<&reg=4"]),
        ('<a href="http://x/&copy &#x26;&#38;&notit;&ampx">', ["http://x/© &&&notit;&ampx"]),
        ("<A HREF='HTTPS://x'>", ["HTTPS://x"]),
        ("<a href=http://x/y/>z</a>", ["http://x/y/"]),
        ('<a href = "http://x">', ["http://x"]),
        ('<a\nclass="x"\n href\n=\n"\thttp://x/a\n  b "\n>', ["http://x/a  b"]),
        ('<a/href="http://x"/>', ["http://x"]),
        ('<a title=">" href="http://x">', ["http://x"]),
        ('<a title=\'href="http://no"\' href="http://x">', ["http://x"]),
        ('<a href="http://first" href="http://second">', ["http://first"]),
        ('<a href href="http://second">', []),
        ('<a data-href="http://no" xlink:href="http://no">', []),
        ('<a =href="http://no">', []),
        ('<area shape="rect" href="http://x">', ["http://x"]),
        ('<link href="http://no"><base href="http://no"><abbr href="http://no"><img src="http://no">', []),
        ('<a href="mailto:a@x"><a href="tel:1"><a href="#x"><a href="cid:1"><a href="//x"><a href="/x">', []),
        ('<a href="javascript:http://x"><a href="ftp://x"><a href="http:"><a href="http:///x">', []),
        ("<!-- <a href='http://no'> --><a href='http://x'>", ["http://x"]),
        ("<!--[if mso]><a href='http://no'><![endif]--><![if !mso]><a href='http://x'><![endif]>", ["http://x"]),
        ("<script>'<a href=http://no>'</script><style><a href=http://no></style><title><a href=http://no></title>", []),
        ("<textarea><a href=http://no></textarea><xmp><a href=http://no></xmp><a href=http://x>", ["http://x"]),
        ("</a href='http://no'><a href='http://x", []),
        ("<a data-x=\"<a href='http://no'>", []),
        ("<a href='http://no' title", []),
        ("a &lt;a href='http://no'&gt; < a href='http://no'>", []),
    ],
)
def test_what_is_a_link(html: str, urls: list[str]) -> None:
    assert [each.url for each in links(html)] == urls
    made = tracked(html, what())
    assert [signed(each)["url"] for each in OURS.findall(made)] == urls
    assert put_back(made, [html[each.start : each.end] for each in links(html)]) == html


def test_what_a_link_says() -> None:
    made = tracked('<a href="https://example.com/?a=ü&amp;b">x</a>', what())
    (link,) = OURS.findall(made)
    assert made == f'<a href="{link}">x</a>'
    assert signed(link) == {
        "act": "click",
        "url": "https://example.com/?a=ü&b",
        "acc": "acme",
        "msg": "<1@example.com>",
    }


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}/unsubscribe?data=x&amp;sig=y",
        f"{BASE}/redirect?data=x",
        f"{BASE.upper()}/open.gif?x",
        "https://shop.example/leave?u=1",
        f"https://example.com/{'x' * 5000}",
    ],
)
def test_links_of_ones_own_and_endless_ones_stay(url: str) -> None:
    html = f'<a href="{url}">x</a>'
    assert tracked(html, what(left=frozenset({"https://shop.example/leave?u=1"}))) == html


def test_a_link_to_another_page_of_the_same_host_is_followed() -> None:
    assert len(OURS.findall(tracked(f'<a href="{BASE}/unsubscribers"><a href="{BASE}x/redirect">', what()))) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>x</p>", ""),
        ("<html><body>x", "</body></html>"),
        ("<body>x</body><!-- </body> -->x", "</BODY\n></html>"),
        ("<p>x", "</html>\n"),
        ("<!-- </body>", ""),
    ],
)
def test_the_picture_goes_to_the_end(before: str, after: str) -> None:
    made = tracked(before + after, what(opens=True, clicks=False))
    (picture,) = PICTURE.findall(made)
    assert made == before + picture + after
    assert signed(picture.split('"')[1]) == {"act": "open", "acc": "acme", "msg": "<1@example.com>"}


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://mail.example.com/", "https://mail.example.com"),
        ("https://u:secret@mail.example.com:8443/engine/?a#b", "https://mail.example.com:8443/engine"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://bücher.example/ä b", "https://xn--bcher-kva.example/%C3%A4%20b"),
    ],
)
def test_what_links_begin_with(url: str, base: str) -> None:
    assert base_of(url) == base


def test_links_beyond_the_picture_are_followed_too() -> None:
    before, after = '<body><a href="http://a.example">a</a>', "</body><a href=http://b.example>b</a>"
    made = tracked(before + after, what(opens=True))
    (picture,) = PICTURE.findall(made)
    assert put_back(made, ["http://a.example", "http://b.example"]) == before + picture + after


def test_without_tracking_nothing_changes() -> None:
    html = '<body><a href="http://x">'
    assert tracked(html, what(clicks=False)) == html


def htmls() -> list[tuple[str, str]]:
    """The HTML of the real mails that are here."""
    found = []
    for file in MAILS:
        for part in email.message_from_bytes(file.read_bytes(), policy=email.policy.default).walk():
            if part.get_content_type() == "text/html":
                charset = part.get_content_charset("latin-1")
                text = part.get_payload(decode=True).decode(charset, "replace")
                found.append((file.name, text))
    return found


def test_real_mail_is_the_same_but_for_its_links() -> None:
    seen = 0
    for name, html in htmls():
        made = tracked(html, what(opens=True))
        (picture,) = PICTURE.findall(made)
        before = [html[each.start : each.end] for each in links(html)]
        assert put_back(made.replace(picture, "", 1), before) == html, name
        assert len(OURS.findall(made)) == len(before), name
        seen += len(before)
    assert seen > 20


@pytest.mark.once
@pytest.mark.parametrize(
    "unit",
    ["<a ", "<a href='", '<a href="http://x"', "<!--", "&", "<textarea>", "</body>", "<a href=http://x ", "=\"'"],
)
def test_time_is_proportional_to_length(unit: str) -> None:
    html = unit * (1_000_000 // len(unit))
    begun = time.process_time()
    tracked(html, what(opens=True))
    assert time.process_time() - begun < 10
