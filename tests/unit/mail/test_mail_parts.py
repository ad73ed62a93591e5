from __future__ import annotations

import base64
import tracemalloc
from email.header import decode_header, make_header
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_reader import BOUNDARY, DATE, MESSAGE_ID, SENDER, composed, modern, plain, shape

from engine.mail.compose import Draft, compose
from engine.mail.header_writing import HeaderError
from engine.mail.media_types import guess_media_type
from engine.mail.parts import AttachedFile, MimePart, attachment_part, base64_pieces


def part_of(**fields: object) -> MimePart:
    return attachment_part(AttachedFile(**{"content": b"x", **fields}), "attachments[0]")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 56, 57, 58, 57 * 511, 57 * 512 - 1, 57 * 512, 57 * 512 + 1, 57 * 1025])
def test_base64_is_76_columns_and_comes_back(size: int) -> None:
    data = bytes(n * 7 % 256 for n in range(size))
    lines = b"".join(base64_pieces(data)).split(b"\r\n")
    assert all(len(line) == 76 for line in lines[:-1])
    assert len(lines[-1]) <= 76
    assert base64.b64decode(b"".join(lines), validate=True) == data


def test_a_large_file_is_in_memory_once_beside_its_message() -> None:
    draft = Draft(sender=SENDER, html="<p>x</p>", attachments=(AttachedFile(bytes(3_000_000), "x.bin"),))
    tracemalloc.start()
    try:
        message = compose(draft, message_id=MESSAGE_ID, date=DATE, boundary=BOUNDARY)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.3 * len(message.body)


@given(st.binary(max_size=400))
def test_any_attachment_comes_back(content: bytes) -> None:
    (part,) = modern(composed(text="x", attachments=(AttachedFile(content, "x.bin"),))).iter_attachments()
    assert part.get_payload(decode=True) == content


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain"),
        ("A.PDF", "application/pdf"),
        ("x.jpeg", "image/jpeg"),
        ("x.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("x.tar.gz", "application/gzip"),
        ("mail.eml", "message/rfc822"),
        ("invite.ics", "text/calendar"),
        ("", "application/octet-stream"),
        ("noext", "application/octet-stream"),
        (".txt", "application/octet-stream"),
        ("x.", "application/octet-stream"),
        ("x.unknown", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
        ("https://example.com/a.png", "image/png"),
    ],
)
def test_type_is_guessed_from_the_name(name: str, media_type: str) -> None:
    assert guess_media_type(name) == media_type


@pytest.mark.parametrize(
    ("given_type", "header"),
    [
        ("application/pdf", "Content-Type: application/pdf; name=a.b\r\n"),
        ("Application/PDF", "Content-Type: application/pdf; name=a.b\r\n"),
        ("text/plain;charset=utf-8", "Content-Type: text/plain; charset=utf-8; name=a.b\r\n"),
        ("text/plain; charset=utf-8;", "Content-Type: text/plain; charset=utf-8; name=a.b\r\n"),
        ('text/calendar; method="REQUEST"', 'Content-Type: text/calendar; method="REQUEST"; name=a.b\r\n'),
        ('text/x; name="own; name"', 'Content-Type: text/x; name="own; name"\r\n'),
        ("text/x; name*=utf-8''x", "Content-Type: text/x; name*=utf-8''x\r\n"),
        ("multipart/mixed; boundary=x", "Content-Type: application/octet-stream; name=a.b\r\n"),
        ("", "Content-Type: application/octet-stream; name=a.b\r\n"),
        (
            "application/x; a=" + "1" * 60 + "; b=2",
            "Content-Type: application/x;\r\n a=" + "1" * 60 + "; b=2;\r\n name=a.b\r\n",
        ),
    ],
)
def test_content_type_bytes(given_type: str, header: str) -> None:
    assert part_of(filename="a.b", content_type=given_type).header.startswith(header)


@pytest.mark.parametrize(
    "given_type",
    [
        "pdf",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "a b/c",
        "a/b; c",
        "a/b; c=d e",
        'a/b; c="',
        "a/é",
        "a/b\x0b",
        "a/b\u2028",
        "a/b\r\nX: y",
        "a/b\0",
        "a/b; c=" + "d" * 300,
        "a/b; c=\x1cd",
        'a/b; c="\x7f"',
        "a/b" + ";" * 200,
    ],
)
def test_bad_content_type_is_refused(given_type: str) -> None:
    with pytest.raises(HeaderError) as caught:
        part_of(content_type=given_type)
    assert caught.value.field == "attachments[0].contentType"


@pytest.mark.parametrize("cid", ["image1", "<image1@x>", " <image1@x> "])
def test_content_id(cid: str) -> None:
    inner = cid.strip(" <>")
    assert f"Content-ID: <{inner}>\r\n" in part_of(cid=cid, disposition="inline").header


@pytest.mark.parametrize(
    "cid", ["", "<>", "a b", "a<b", "a\r\nb", "a\0", "é", "x" * 257, "a\x1cb", "a\u2028b", "\x0ba"]
)
def test_bad_content_id_is_refused(cid: str) -> None:
    with pytest.raises(HeaderError) as caught:
        part_of(cid=cid)
    assert caught.value.field == "attachments[0].cid"


MESSAGE = b"Subject: inner\r\nMIME-Version: 1.0\r\n\r\n.\r\nbody\r\n"


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (MESSAGE, MESSAGE),
        (MESSAGE.rstrip(), MESSAGE.rstrip()),
        (MESSAGE.replace(b"\r\n", b"\n"), MESSAGE),
        (b"Subject: x\r\n\r\n" + b"x" * 998, b"Subject: x\r\n\r\n" + b"x" * 998),
    ],
)
def test_legal_message_is_embedded_as_it_is(content: bytes, body: bytes) -> None:
    result = composed(text="x", attachments=(AttachedFile(content, "inner.eml"), AttachedFile(b"y", "y.bin")))
    assert shape(plain(result)) == ["multipart/mixed", "text/plain", "message/rfc822", "application/octet-stream"]
    assert b"Content-Transfer-Encoding: 7bit\r\nContent-Disposition: attachment; filename=inner.eml\r\n\r\n" + body in (
        result.body
    )
    inner = plain(result).get_payload()[1].get_payload()[0]
    assert inner["Subject"] in ("inner", "x")


@pytest.mark.parametrize(
    "content",
    [
        "Subject: é\r\n\r\n".encode(),
        b"Subject: x\r\n\r\n\0",
        b"Subject: x\r\n\r\n" + b"x" * 999,
        b"Subject: x\n\n" + b"x" * 999,
        b"Subject: x\r\n\r\na\nb",
        b"Subject: x\r\n\r\na\rb",
        b"Subject: x\r\rb",
    ],
)
@pytest.mark.parametrize("given_type", [None, "message/rfc822", "message/global; x=y", "MESSAGE/RFC822"])
def test_message_that_is_not_seven_bit_travels_as_a_file(content: bytes, given_type: str | None) -> None:
    (part,) = modern(
        composed(text="x", attachments=(AttachedFile(content, "inner.eml", given_type),))
    ).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part["Content-Transfer-Encoding"] == "base64"
    assert part.get_filename() == "inner.eml"
    assert part.get_payload(decode=True) == content


def test_related_names_the_type_of_its_root() -> None:
    image = AttachedFile(b"x", "x.png", disposition="inline", cid="x@y")
    message = plain(composed(html="<img src='cid:x@y'>", attachments=(image,)))
    related = next(part for part in message.walk() if part.get_content_type() == "multipart/related")
    assert related.get_param("type") == "text/html"
    picture = related.get_payload()[1]
    assert picture["Content-ID"] == "<x@y>"
    assert picture.get_content_disposition() == "inline"


REQUEST = 'text/calendar; charset=utf-8; METHOD="REQUEST"'


@pytest.mark.parametrize(
    ("fields", "kind", "disposition"),
    [
        ({}, ["multipart/alternative", "text/plain", "text/calendar"], None),
        ({"disposition": "inline"}, ["multipart/alternative", "text/plain", "text/calendar"], "inline"),
        ({"disposition": "attachment"}, ["multipart/mixed", "text/plain", "text/calendar"], "attachment"),
        ({"cid": "a"}, ["multipart/mixed", "text/plain", "text/calendar"], "inline"),
        ({"content_type": "text/calendar"}, ["multipart/mixed", "text/plain", "text/calendar"], "attachment"),
        ({"content_type": None}, ["multipart/mixed", "text/plain", "text/calendar"], "attachment"),
    ],
)
def test_an_invitation_is_another_form_of_the_text(
    fields: dict[str, object], kind: object, disposition: str | None
) -> None:
    given = AttachedFile(**{"content": b"BEGIN:VCALENDAR\r\n", "filename": "i.ics", "content_type": REQUEST, **fields})  # type: ignore[arg-type]
    result = composed(text="x", attachments=(given,))
    both: tuple[Any, ...] = (modern(result), plain(result))
    for message in both:
        assert shape(message) == kind
        calendar = message.get_payload()[1]
        assert calendar.get_content_disposition() == disposition
        assert calendar.get_payload(decode=True) == b"BEGIN:VCALENDAR\r\n"


def test_an_invitation_says_that_it_is_utf8() -> None:
    bare = AttachedFile("SUMMARY:Grüße".encode(), content_type="text/calendar; method=REPLY")
    assert "method=REPLY; charset=utf-8\r\n" in attachment_part(bare, "attachments[0]").header


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("a.pdf", "name=a.pdf"),
        ("my file.pdf", 'name="my file.pdf"'),
        ("Prüfung.pdf", 'name="=?UTF-8?Q?Pr=C3=BCfung=2Epdf?="'),
        ("日本語.pdf", 'name="=?UTF-8?B?5pel5pys6KqeLnBkZg==?="'),
        ('quo"te.pdf', 'name="=?UTF-8?Q?quo=22te=2Epdf?="'),
    ],
)
def test_old_readers_find_the_name_in_the_content_type(name: str, parameter: str) -> None:
    header = part_of(filename=name).header
    assert f"; {parameter}\r\n" in header
    assert "filename" in header


@given(st.text(min_size=1, max_size=255).filter(lambda name: not set(name) & set("\r\n\0") and name.isprintable()))
def test_any_name_comes_back_to_old_readers(name: str) -> None:
    try:
        header = part_of(filename=name).header
    except HeaderError:
        return
    assert max(map(len, header.split("\r\n"))) <= 78
    old = as_old_readers_show_it(header)
    assert old == name


def as_old_readers_show_it(header: str) -> str:
    """The `name` parameter as a reader that knows RFC 2047 and not RFC 2231 shows it."""
    parameter = header.partition("\r\nContent-Transfer-Encoding")[0].partition("name=")[2].replace("\r\n ", " ")
    return str(make_header(decode_header(parameter.strip('"')))) if "=?" in parameter else parameter.strip('"')
