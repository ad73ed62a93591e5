"""The HTML texts of whole messages are changed where a program shows them, and nothing else is."""

from __future__ import annotations

import base64
import email
import email.policy
import quopri
import random
from email.message import EmailMessage

import pytest
from webencodings.labels import LABELS

from engine.mail.charsets import reversible
from engine.mail.compose import Composed
from engine.mail.raw_message import from_raw
from engine.mail.whole_html import may_have_html, with_html

WIDE = b'; charset="utf-16le"\r\ncontent-transfer-encoding: base64'
HEAD = b"From: a@b.example\r\nMessage-ID: <x@y>\r\nDate: then\r\nMIME-Version: 1.0\r\n"


def whole(raw: bytes) -> Composed:
    return from_raw(HEAD + raw, "<new@x.example>", 0.0)


def marked(html: str) -> str:
    return html.replace("here", "<b>here</b>")


def change(raw: bytes) -> bytes:
    """What becomes of a message behind the fields that all have."""
    made = with_html(whole(raw), marked)
    return (made.header + b"\r\n" + made.body).removeprefix(HEAD)


def html(headers: bytes, body: bytes) -> bytes:
    return b"Content-Type: text/html" + headers + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (html(b"", b"here\r\n"), html(b"", b"<b>here</b>\r\n")),
        (html(b"; charset=iso-8859-1", b"\xe4here\xff"), html(b"; charset=iso-8859-1", b"\xe4<b>here</b>\xff")),
        (html(b"; charset=utf-8", b"\xc3\xa4here\xff"), html(b"; charset=utf-8", b"\xc3\xa4<b>here</b>\xff")),
        (
            html(b"\r\nContent-Transfer-Encoding: Base64", base64.b64encode(b"here") + b"\r\n"),
            html(b"\r\nContent-Transfer-Encoding: Base64", base64.b64encode(b"<b>here</b>") + b"\r\n"),
        ),
        (
            html(b"\r\nContent-Transfer-Encoding: quoted-printable", b"=E4he=\r\nre\r\n"),
            html(b"\r\nContent-Transfer-Encoding: quoted-printable", b"=E4<b>here</b>\r\n"),
        ),
        (
            html(WIDE, base64.b64encode("here".encode("utf-16le"))),
            html(WIDE, base64.b64encode("<b>here</b>".encode("utf-16le"))),
        ),
    ],
)
def test_a_text_goes_back_as_it_came(before: bytes, after: bytes) -> None:
    assert change(before) == after


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/plain\r\n\r\nhere",
        b"\r\nhere",
        html(b"\r\nContent-Disposition: attachment; filename=x.html", b"here"),
        html(b"\r\nContent-Transfer-Encoding: x-uuencode", b"here"),
        b"DKIM-Signature: v=1\r\n" + html(b"", b"here"),
        b"ARC-Seal: i=1\r\n" + html(b"", b"here"),
        b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n" + html(b"", b"here") + b"\r\n--x--\r\n",
        b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n"
        b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n" + html(b"", b"here") + b"\r\n--x--\r\n--y--\r\n",
        b"Content-Type: message/rfc822\r\n\r\n" + html(b"", b"here"),
        b"Content-Type: multipart/mixed\r\n\r\n--x\r\n" + html(b"", b"here"),
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--xy\r\n" + html(b"", b"here"),
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n--x\r\n" + html(b"", b"here"),
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhere\r\n--x\r\n--x--",
        html(b"; charset=iso-2022-jp", b'here \x1b$B$"\x1b(B\x1b(B'),
    ],
)
def test_what_stays_as_it_is(raw: bytes) -> None:
    message = whole(raw)
    assert with_html(message, marked) is message


def test_a_line_too_long_for_smtp_has_its_part_encoded() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: 7bit\r\n"
    raw += html(b"", b"here") + b"\r\n--x--\r\n"
    made = with_html(whole(raw), lambda text: text.replace("here", "y" * 999 + "="))
    assert max(map(len, made.body.split(b"\r\n"))) <= 76
    _, part = read(made).walk()
    assert part.get_all("Content-Transfer-Encoding") == ["quoted-printable"]
    assert part.get_payload(decode=True) == b"y" * 999 + b"="


@pytest.mark.once
def test_texts_in_many_parts_and_nothing_between_them() -> None:
    rng = random.Random(18)
    for _ in range(300):
        message = EmailMessage()
        message.set_content("here \u00e4\n", cte=rng.choice(["8bit", "base64", "quoted-printable"]))
        message.add_alternative(
            "<p>here {}</p>\n".format("\u00e4" * rng.randrange(60)) * rng.randrange(1, 9),
            subtype="html",
            charset=rng.choice(["utf-8", "iso-8859-1", "windows-1252"]),
            cte=rng.choice(["8bit", "base64", "quoted-printable"]),
        )
        for number in range(rng.randrange(3)):
            if rng.random() < 0.5:
                message.add_attachment(rng.randbytes(rng.randrange(300)), maintype="image", subtype="png")
            else:
                message.add_attachment("here", subtype="html", filename=f"{number}.html")
        raw = message.as_bytes(policy=email.policy.SMTP)
        before = from_raw(raw, "<m@x>", 0.0)
        after = with_html(before, marked)
        assert after.header == before.header
        back = with_html(after, lambda text: text.replace("<b>here</b>", "here"))
        old, new, same = (list(read(each).walk()) for each in (before, after, back))
        assert len(old) == len(new)
        shown = 0
        for one, two, three in zip(old, new, same, strict=True):
            assert one.items() == two.items() == three.items()
            assert one.get_payload(decode=True) == three.get_payload(decode=True)
            if one.get_content_type() == "text/html" and one.get_content_disposition() != "attachment":
                shown += 1
                assert two.get_content() == marked(one.get_content()) != one.get_content()
            else:
                assert one.is_multipart() or one.as_bytes() == two.as_bytes()
        assert shown == 1


def read(message: Composed) -> EmailMessage:
    found = email.message_from_bytes(message.header + b"\r\n" + message.body, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_any_bytes_are_a_message(seed: int) -> None:
    rng = random.Random(seed)
    words = [b"--x", b"--x--", b"\r\n", b"\r\n\r\n", b"Content-Type: text/html", b"here", b"\xff", b"; charset=", b'"']
    words += [b"Content-Type: multipart/mixed; boundary=x", b"Content-Transfer-Encoding: base64"]
    words += [b"unicode_escape", b"utf-7", b"\\", b"=", b" "]
    for _ in range(2000):
        raw = b"".join(rng.choices(words, k=rng.randrange(40)))
        message = from_raw(raw, "<m@x>", 0.0)
        assert with_html(message, lambda text: text) is message
        made = with_html(message, marked)
        assert made is message or may_have_html(message)


def test_every_charset_gives_its_octets_back() -> None:
    for label in [*LABELS, "us-ascii", "", "hz", "unknown", "unicode_escape", "idna"]:
        for data in (b"plain", bytes(range(32, 256)), quopri.decodestring(b"=E4=1B=24=42=80")):
            if (known := reversible(data, label)) is not None:
                assert known[1](known[0]) == data
