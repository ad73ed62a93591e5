from __future__ import annotations

import base64
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_reader import (
    BOUNDARY,
    DATE,
    MESSAGE_ID,
    RECIPIENT,
    SENDER,
    any_text,
    assert_legal,
    composed,
    crlf,
    hostile_text,
    modern,
    plain,
    shape,
    text_of,
    wire,
)

from engine.mail.addresses import Address
from engine.mail.compose import AttachedFile, Draft, attached, compose, content_of
from engine.mail.header_writing import HeaderError


def test_exact_bytes_of_a_message_with_everything_common() -> None:
    """Field order, boundaries and part headers as EmailEngine's dry run shows them."""
    result = composed(
        subject="L-cap-1 hello",
        text="Hello text",
        html="<p>Hello <b>html</b></p>",
        attachments=(AttachedFile(b"hello", "a.txt"),),
    )
    assert wire(result).decode() == (
        "From: User 240 <u240@example.com>\r\n"
        "To: Rcpt <rcpt@example.net>\r\n"
        "Subject: L-cap-1 hello\r\n"
        f"Message-ID: {MESSAGE_ID}\r\n"
        "Date: Sun, 22 Nov 2026 11:45:25 +0000\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed;\r\n"
        f' boundary="{BOUNDARY}_1"\r\n'
        "\r\n"
        f"--{BOUNDARY}_1\r\n"
        "Content-Type: multipart/alternative;\r\n"
        f' boundary="{BOUNDARY}_2"\r\n'
        "\r\n"
        f"--{BOUNDARY}_2\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Hello text\r\n"
        f"--{BOUNDARY}_2\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "<p>Hello <b>html</b></p>\r\n"
        f"--{BOUNDARY}_2--\r\n"
        "\r\n"
        f"--{BOUNDARY}_1\r\n"
        "Content-Type: text/plain; name=a.txt\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename=a.txt\r\n"
        "\r\n"
        "aGVsbG8=\r\n"
        f"--{BOUNDARY}_1--\r\n"
    )
    assert not result.smtputf8
    assert result.bcc_header == b""


FILE = AttachedFile(b"x", "x.bin")
INVITATION = AttachedFile(b"BEGIN:VCALENDAR", content_type="text/calendar; method=REQUEST")
IMAGE = AttachedFile(b"x", "x.png", disposition="inline", cid="x@y")
ALTERNATIVE = ["multipart/alternative", "text/plain", "text/html"]
RELATED = ["multipart/alternative", "text/plain", ["multipart/related", "text/html", "image/png"]]


@pytest.mark.parametrize(
    ("fields", "tree"),
    [
        ({}, "text/plain"),
        ({"text": ""}, "text/plain"),
        ({"text": "x"}, "text/plain"),
        ({"text": "x", "html": ""}, "text/plain"),
        ({"html": "<p>x"}, ALTERNATIVE),
        ({"text": "", "html": "<p>x"}, ALTERNATIVE),
        ({"text": "x", "html": "<p>x"}, ALTERNATIVE),
        ({"attachments": (FILE,)}, ["multipart/mixed", "text/plain", "application/octet-stream"]),
        ({"text": "x", "attachments": (FILE,)}, ["multipart/mixed", "text/plain", "application/octet-stream"]),
        ({"html": "x", "attachments": (FILE,)}, ["multipart/mixed", ALTERNATIVE, "application/octet-stream"]),
        ({"html": "x", "attachments": (IMAGE,)}, RELATED),
        ({"html": "x", "attachments": (FILE, IMAGE)}, ["multipart/mixed", RELATED, "application/octet-stream"]),
        ({"text": "x", "attachments": (IMAGE,)}, ["multipart/mixed", "text/plain", "image/png"]),
        (
            {"html": "x", "attachments": (AttachedFile(b"x", "x.png", disposition="attachment", cid="a@b"),)},
            ["multipart/mixed", ALTERNATIVE, "image/png"],
        ),
        (
            {"html": "x", "attachments": (AttachedFile(b"x", "x.png", disposition="inline"),)},
            ["multipart/mixed", ALTERNATIVE, "image/png"],
        ),
        (
            {"text": "x", "attachments": (INVITATION,)},
            ["multipart/alternative", "text/plain", "text/calendar"],
        ),
        (
            {"html": "x", "attachments": (FILE, INVITATION, IMAGE, INVITATION)},
            [
                "multipart/mixed",
                [
                    "multipart/alternative",
                    "text/plain",
                    ["multipart/related", "text/html", "image/png"],
                    "text/calendar",
                ],
                "application/octet-stream",
                "text/calendar",
            ],
        ),
    ],
)
def test_tree(fields: dict[str, object], tree: object) -> None:
    result = composed(**fields)
    for message in (modern(result), plain(result)):
        assert shape(message) == tree
        assert not any(part.defects for part in message.walk())


def test_text_is_made_from_html() -> None:
    message = modern(composed(html="<h1>Title</h1><p>One &amp; <a href='https://x.example/'>two</a></p>"))
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content() == "Title\r\n\r\nOne & two <https://x.example/>"


def test_no_body_at_all_is_an_empty_text() -> None:
    result = composed()
    assert result.body == b"\r\n"
    assert b"Content-Type: text/plain" in result.header


def test_field_order_with_every_field() -> None:
    result = composed(
        cc=(Address("cc@example.com"),),
        bcc=(Address("hidden@example.com", "Hidden"),),
        reply_to=(Address("reply@example.com"),),
        subject="s",
        text="t",
        headers=(("X-One", "1"), ("In-Reply-To", "<a@b>"), ("X-One", "2")),
    )
    expected = ["From", "To", "Cc", "Reply-To", "Subject", "Message-ID", "Date", "X-One", "In-Reply-To", "X-One"]
    expected += ["MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    assert plain(result).keys() == expected
    assert b"idden" not in result.header + result.body
    assert result.bcc_header == b"Bcc: Hidden <hidden@example.com>\r\n"
    sent_copy = BytesParser(policy=policy.default).parsebytes(result.header + result.bcc_header + b"\r\n" + result.body)
    assert sent_copy["Bcc"] == "Hidden <hidden@example.com>"
    assert sent_copy["Subject"] == "s"


def test_no_recipient_and_no_subject_leave_no_empty_field() -> None:
    result = composed(to=(), text="x")
    assert plain(result).keys()[:3] == ["From", "Message-ID", "Date"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (951_782_400.999, "Tue, 29 Feb 2000 00:00:00 +0000"),
        (4_102_444_799.5, "Thu, 31 Dec 2099 23:59:59 +0000"),
    ],
)
def test_date(seconds: float, text: str) -> None:
    result = compose(Draft(sender=SENDER), message_id=MESSAGE_ID, date=seconds, boundary=BOUNDARY)
    assert plain(result)["Date"] == text


@pytest.mark.parametrize("where", ["sender", "to", "cc", "bcc", "reply_to"])
def test_smtputf8_only_for_a_local_part_that_needs_it(where: str) -> None:
    def fields(address: Address) -> dict[str, object]:
        return {where: address if where == "sender" else (address,)}

    assert not composed(**fields(Address("user@münchen.example", "Jürgen"))).smtputf8
    result = composed(subject="Grüße", **fields(Address("ü@münchen.example", "Jürgen")))
    assert result.smtputf8
    block = result.bcc_header if where == "bcc" else result.header
    assert "=?UTF-8?Q?J=C3=BCrgen?= <ü@xn--mnchen-3ya.example>\r\n".encode() in block
    assert (result.header + result.bcc_header).decode().count("ü") == 1


def test_smtputf8_through_a_custom_address_header() -> None:
    assert composed(headers=(("Sender", "ü@example.com"),)).smtputf8


LINES = [
    "",
    "\n",
    "\r",
    "\r\n",
    "a\nb",
    "a\rb",
    "a\r\nb\r\n",
    "a\n\rb",
    "a\r\r\nb",
    "\n.\n",
    "\r\n.\r",
    "x\r\n.\r\ny",
    "..",
    "From x",
    "trailing \t\nspace ",
    "x" * 998,
    "x" * 999,
    "x" * 5000,
    "a\nb" + "x" * 2000,
    "nul\0inside",
    "tab\tok",
    "\x0b\x0c\x1b\x1c\x7f",
    "\u2028\x85\x1c é",
    "é",
    "日本語" * 500,
    "😀",
    "=3D=",
    "é" + "\n" * 200,
    "é" + "=" * 500,
    "é \n\té \r\n=",
]


@pytest.mark.parametrize("text", LINES)
def test_body_comes_back(text: str) -> None:
    alone = composed(text=text)
    assert text_of(plain(alone)) in (crlf(text), crlf(text) + "\r\n")
    both = plain(composed(text=text or "x", html=f"<p>{text}</p>"))
    first, second = both.get_payload()
    assert isinstance(first, type(both))
    assert isinstance(second, type(both))
    assert text_of(first) == (crlf(text) or "x")
    assert text_of(second) == crlf(f"<p>{text}</p>")


@given(any_text, any_text)
def test_any_body_comes_back(text: str, html: str) -> None:
    result = composed(text=text, html=html)
    shown = [crlf(half.encode(errors="surrogatepass").decode(errors="replace")) for half in (text, html)]
    message = plain(result)
    if html:
        parts = message.get_payload()
        assert len(parts) == 2
        assert text_of(parts[1]) == shown[1]
        if text:
            assert text_of(parts[0]) == shown[0]
    else:
        assert text_of(message) in (shown[0], shown[0] + "\r\n")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("a NUL \0 inside", "quoted-printable"),
        ("\0", "quoted-printable"),
        ("mostly ascii with one é in it", "quoted-printable"),
        ("日本語日本語日本語", "base64"),
    ],
)
def test_shortest_safe_encoding(text: str, encoding: str) -> None:
    assert plain(composed(text=text))["Content-Transfer-Encoding"] == encoding


@given(hostile_text, hostile_text, hostile_text)
def test_header_text_comes_back_and_injects_nothing(subject: str, name: str, value: str) -> None:
    result = composed(
        subject=subject, sender=Address("u@example.com", name), text="x", headers=(("X-Foo", value), ("X-Bar", "end"))
    )
    given = bool(value.strip(" \t"))
    keys = ["From", "To", "Subject", "Message-ID", "Date", *(["X-Foo"] if given else []), "X-Bar"]
    for message in (plain(result), modern(result)):
        assert message.keys() == [*keys, "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
        assert text_of(message) == "x\r\n"
    message = modern(result)
    assert message["Subject"] == subject
    assert message["X-Foo"] == (value if given else None)
    assert message["X-Bar"] == "end"


NAMES = ["a.txt", "my file.txt", "Rechnung Größe.pdf", "日本語.pdf", "x" * 255 + ".pdf", "é" * 255, "😀" * 80]
NAMES += ['quo"te.txt', "back\\slash", "a;b=c", "100%.txt", "it's*.txt", "=?UTF-8?Q?x?=.txt", " lead", "trail ", "\t"]
NAMES += ["../../etc/passwd", "a\u2028b", "a\x85b", "a\x1cb", "a\x0bb", "a\x7fb", "CON", ".", "..", "a\u202egnp.exe"]


def filename_of(part: object) -> str:
    return str(part["Content-Disposition"].params["filename"])  # type: ignore[index]


@pytest.mark.parametrize("name", NAMES)
def test_filename_comes_back(name: str) -> None:
    result = composed(text="x", attachments=(AttachedFile(b"data", name), AttachedFile(b"end", "end.txt")))
    first, second = list(modern(result).iter_attachments())
    assert filename_of(first) == name
    assert filename_of(second) == "end.txt"
    assert first["Content-Type"].params["name"] == name
    old = plain(result).get_payload()[1]
    assert old.get_filename() == name.strip()
    assert max(map(len, result.body.split(b"\r\n"))) <= 78


@given(hostile_text.filter(bool))
def test_any_filename_comes_back(name: str) -> None:
    result = composed(text="x", attachments=(AttachedFile(b"data", name, "application/pdf"),))
    (part,) = modern(result).iter_attachments()
    assert part.keys() == ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition"]
    assert filename_of(part) == name
    assert part.get_payload(decode=True) == b"data"


def test_bad_values_name_their_field() -> None:
    cases: list[tuple[str, dict[str, object]]] = [
        ("subject", {"subject": "a\r\nBcc: b@example.com"}),
        ("subject", {"subject": "a\ud83d"}),
        ("from.address", {"sender": Address("a\r\n@example.com")}),
        ("from.name", {"sender": Address("a@example.com", "x\r\ny")}),
        ("to[1].name", {"to": (RECIPIENT, Address("a@example.com", "x\ny"))}),
        ("to[0].address", {"to": (Address(""),)}),
        ("cc[0].address", {"cc": (Address("a@example.com>\r\n"),)}),
        ("bcc[0].name", {"bcc": (Address("a@example.com", "\0"),)}),
        ("replyTo[0].address", {"reply_to": (Address("a b@example.com"),)}),
        ("headers.X-Foo", {"headers": (("X-Foo", "a\r\nb"),)}),
        ("headers.bcc", {"headers": (("bcc", "a@example.com"),)}),
        ("headers", {"headers": (("X\r\nY", "a"),)}),
        ("attachments[1].filename", {"attachments": (FILE, AttachedFile(b"", "a\nb"))}),
        ("attachments[0].contentType", {"attachments": (AttachedFile(b"", "a", "text/plain\r\nX: y"),)}),
        ("attachments[0].cid", {"attachments": (AttachedFile(b"", "a", cid="a\0b"),)}),
        ("attachments[0].contentDisposition", {"attachments": (AttachedFile(b"", "a", disposition="x\r\n"),)}),  # type: ignore[arg-type]
    ]
    for field, fields in cases:
        with pytest.raises(HeaderError) as caught:
            composed(**fields)
        assert caught.value.field == field
        assert str(caught.value) == f"{field} {caught.value.reason}"


@pytest.mark.parametrize("message_id", ["", "x", "<x>", "<a@b>\r\nX: y", "<a@b\n>"])
def test_bad_message_id_is_named(message_id: str) -> None:
    with pytest.raises(HeaderError) as caught:
        compose(Draft(sender=SENDER), message_id=message_id, date=DATE, boundary=BOUNDARY)
    assert caught.value.field == "messageId"


@pytest.mark.parametrize("boundary", ["", "a b", 'a"b', "a\r\nb", "a\n", "é", "x" * 57])
def test_illegal_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        compose(Draft(sender=SENDER, text="x"), message_id=MESSAGE_ID, date=DATE, boundary=boundary)


@pytest.mark.parametrize("boundary", ["b", "a=b", BOUNDARY, "x" * 56])
def test_boundary_never_occurs_in_a_part(boundary: str) -> None:
    lines = [f"--{boundary}{suffix}" for suffix in ("", "--", "_1", "_2--", ".1", ".1_2", ".2_1", ".3")]
    text = "\n".join(lines)
    eml = ("Subject: x\n\n" + text).encode()
    attachments = (AttachedFile(eml, "x.eml"), AttachedFile(text.encode(), "x.txt"))
    draft = Draft(sender=SENDER, text=text, html="<pre>\n" + text, attachments=attachments)
    result = compose(draft, message_id=MESSAGE_ID, date=DATE, boundary=boundary)
    assert_legal(result)
    message = plain(result)
    assert shape(message) == ["multipart/mixed", ALTERNATIVE, "message/rfc822", "text/plain"]
    assert text_of(next(part for part in message.walk() if part.get_content_type() == "text/plain")) == crlf(text)


def test_boundaries_of_one_message_are_no_prefixes_of_each_other() -> None:
    message = plain(composed(html="x", attachments=(FILE, IMAGE)))
    boundaries = [part.get_boundary() for part in message.walk() if part.is_multipart()]
    assert len(boundaries) == 3
    assert all(a == b or not str(a).startswith(str(b)) for a in boundaries for b in boundaries)


def test_same_input_gives_the_same_bytes() -> None:
    fields: dict[str, object] = {"subject": "é", "html": "x", "attachments": (FILE, IMAGE)}
    assert composed(**fields) == composed(**fields)


def test_thousand_recipients() -> None:
    to = tuple(Address(f"user{n}@example.com", f"Größe Nr. {n}") for n in range(1000))
    message = modern(composed(to=to, text="x"))
    assert [(found.addr_spec, found.display_name) for found in message["To"].addresses] == [
        (one.address, one.name) for one in to
    ]


# Mostly legal, or hardly any draft would get past its first field.
field_text = st.one_of(hostile_text, hostile_text, hostile_text, hostile_text, any_text)
addresses = st.one_of(st.sampled_from(["a@example.com", "é@example.com", "a@münchen.example"]), any_text)
mailboxes = st.builds(Address, addresses, field_text)
hostile_draft = st.fixed_dictionaries(
    {
        "sender": mailboxes,
        "to": st.lists(mailboxes, max_size=2).map(tuple),
        "bcc": st.lists(mailboxes, max_size=2).map(tuple),
        "subject": field_text,
        "text": any_text,
        "html": any_text,
        "headers": st.lists(
            st.tuples(st.sampled_from(["X-A", "List-Id", "Reply-To", "References"]) | any_text, field_text), max_size=2
        ).map(tuple),
        "attachments": st.lists(
            st.builds(
                AttachedFile,
                st.binary(max_size=200),
                field_text,
                st.sampled_from([None, "message/rfc822", "text/plain; charset=utf-8"]) | any_text,
                st.sampled_from(["attachment", "inline"]),
                st.sampled_from([None, "a@b"]) | any_text,
            ),
            max_size=2,
        ).map(tuple),
    }
)


@given(hostile_draft)
def test_any_draft_is_composed_legally_or_refused_by_name(fields: dict[str, object]) -> None:
    try:
        result = composed(**fields)
    except HeaderError as error:
        assert error.field.partition("[")[0].partition(".")[0] in {*fields, "from", "replyTo"}
        return
    message = plain(result)
    names = ["From", *(["To"] if fields["to"] else []), "Subject", "Message-ID", "Date"]
    given = [name for name, value in fields["headers"] if value.strip(" \t")]  # type: ignore[attr-defined]
    names += given if set(given) == {"X-A"} else dict.fromkeys(given)
    assert message.keys()[: len(names) + 1] == [*names, "MIME-Version"]


@given(hostile_draft, st.lists(st.tuples(any_text, any_text), min_size=2, max_size=4), st.booleans())
def test_a_shared_tail_changes_no_octet(fields: dict[str, object], texts: list[tuple[str, str]], clash: bool) -> None:
    if clash:
        texts[1] = (f"--{BOUNDARY}", texts[1][1])
    tails: dict[bool, bytes] = {}
    for text, html in texts:
        own = Draft(**{**fields, "text": text, "html": html})  # type: ignore[arg-type]
        try:
            parts = attached(own)
        except HeaderError:
            return
        whole, split = content_of(own, BOUNDARY, parts), content_of(own, BOUNDARY, parts, tails)
        assert (split.header, split.body + split.tail) == (whole.header, whole.body)
        assert not split.tail or split.tail is tails[bool(html)]
        assert bool(split.tail) == (bool(parts) and f'"{BOUNDARY}_' in split.header)


def test_non_ascii_subject_reads_the_same_in_the_old_reader() -> None:
    message = plain(composed(subject="Grüße aus Köln – Ihre Bestellung Nr. 12345 ist unterwegs zu Ihnen, Jürgen"))
    assert str(make_header(decode_header(message["Subject"]))).startswith("Grüße aus Köln – Ihre Bestellung Nr. 12345")


def test_attachment_bytes_survive() -> None:
    content = bytes(range(256)) * 999
    message = plain(composed(text="x", attachments=(AttachedFile(content, "x.bin"),)))
    part = message.get_payload()[1]
    assert part.get_payload(decode=True) == content
    assert base64.b64decode(part.get_payload()) == content
