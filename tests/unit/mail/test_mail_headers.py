from __future__ import annotations

import re
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser

import pytest
from hypothesis import given
from mail_reader import hostile_text

from engine.mail import header_writing
from engine.mail.addresses import Address
from engine.mail.header_writing import HeaderError, custom, message_id_of


def read(field: str) -> str:
    """The value as a reader that unfolds and decodes sees it; also checks what every field keeps."""
    assert field.endswith("\r\n")
    lines = field[:-2].split("\r\n")
    assert all(line and line[0] in " \t" and line.strip(" \t") for line in lines[1:])
    assert all(len(line.encode()) <= 998 for line in lines)
    assert not re.search(r"[\r\n\0]", "".join(lines))
    message = BytesParser(policy=policy.default).parsebytes(field.encode() + b"\r\n")
    assert len(message.keys()) == 1
    return str(message[message.keys()[0]])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("Hello", "Subject: Hello\r\n"),
        ("", "Subject:\r\n"),
        ("a  b", "Subject: a  b\r\n"),
        ("Grüße", "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"),
        ("Café am Markt, Nr. 5", "Subject: =?UTF-8?Q?Caf=C3=A9?= am Markt, Nr. 5\r\n"),
        ("Re: [Ticket 5] Café", "Subject: Re: [Ticket 5] =?UTF-8?Q?Caf=C3=A9?=\r\n"),
        ("=?UTF-8?Q?not_mine?=", "Subject: =?UTF-8?Q?=3D=3FUTF-8=3FQ=3Fnot=5Fmine=3F=3D?=\r\n"),
        (" lead", "Subject: =?UTF-8?Q?_lead?=\r\n"),
        ("trail ", "Subject: =?UTF-8?Q?trail_?=\r\n"),
        ("   ", "Subject: =?UTF-8?Q?___?=\r\n"),
        ("a\tb", "Subject: a\tb\r\n"),
        ("bell\x07", "Subject: =?UTF-8?Q?bell=07?=\r\n"),
        ("x" * 200, "Subject: " + "x" * 200 + "\r\n"),
        ("word " * 15 + "end", "Subject: " + ("word " * 13).rstrip() + "\r\n word word end\r\n"),
    ],
)
def test_subject_bytes(text: str, field: str) -> None:
    assert header_writing.unstructured("Subject", text, "subject") == field
    assert read(field) == text


@pytest.mark.parametrize(
    "text",
    [
        "😀" * 100,
        "x" * 5000,
        "a " + "x" * 5000 + " b",
        " " * 500,
        "a" + " " * 500 + "b",
        "é" + " " * 500 + "é",
        "a" + " " * 500 + "é b" + " " * 500 + "c",
        "\t" * 2000 + "x",
        "a\tb " * 100,
        "line\u2028separator\x85next\x1cfile\x0bvertical",
        "=?" * 400,
        "?=" * 400,
        "é a é b é c " * 30 + "end",
        "a é" + " word" * 100,
    ],
)
def test_long_and_odd_subjects_come_back(text: str) -> None:
    field = header_writing.unstructured("Subject", text, "subject")
    assert read(field) == text
    for line in field.split("\r\n"):
        assert len(line) <= 76 or "=?" not in line


@given(hostile_text)
def test_any_subject_comes_back(text: str) -> None:
    assert read(header_writing.unstructured("Subject", text, "subject")) == text


@given(hostile_text)
def test_every_encoded_word_stands_alone(text: str) -> None:
    """RFC 2047 §5: each decodes by itself, so none was cut inside a character."""
    field = header_writing.unstructured("X-Long-Name-Of-A-Header-That-Leaves-Little-Room-For-More", text, "subject")
    for word in re.findall(r"=\?UTF-8\?[QB]\?[^? ]*\?=", field):
        assert len(word) <= 75
        (data, charset), *rest = decode_header(word)
        assert not rest
        assert charset == "utf-8"
        assert isinstance(data, bytes)
        data.decode()


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("", "From: u@example.com\r\n"),
        ("  ", "From: u@example.com\r\n"),
        ("User 240", "From: User 240 <u@example.com>\r\n"),
        ("J. Doe", 'From: "J. Doe" <u@example.com>\r\n'),
        ("Doe, John", 'From: "Doe, John" <u@example.com>\r\n'),
        ('The "Boss"', 'From: "The \\"Boss\\"" <u@example.com>\r\n'),
        ("back\\slash", 'From: "back\\\\slash" <u@example.com>\r\n'),
        ("evil@example.org", 'From: "evil@example.org" <u@example.com>\r\n'),
        ("Jürgen", "From: =?UTF-8?Q?J=C3=BCrgen?= <u@example.com>\r\n"),
        ("=?UTF-8?Q?x?=", "From: =?UTF-8?Q?=3D=3FUTF-8=3FQ=3Fx=3F=3D?= <u@example.com>\r\n"),
    ],
)
def test_display_name_bytes(name: str, field: str) -> None:
    assert header_writing.one_address("From", Address("u@example.com", name), "from") == field


@given(hostile_text)
def test_any_display_name_comes_back(name: str) -> None:
    field = header_writing.one_address("From", Address("u@example.com", name), "from")
    read(field)
    value = field.partition(":")[2].replace("\r\n", "").strip()
    phrase, bracket, address = value.rpartition("<")
    assert address.strip("<>") == "u@example.com"
    assert bool(bracket) == bool(name.strip(" \t"))
    phrase = phrase.rstrip(" ")
    if phrase.startswith('"'):
        assert re.sub(r"\\(.)", r"\1", phrase[1:-1]) == name.strip(" \t")
    else:
        assert str(make_header(decode_header(phrase))) == name.strip(" \t")


def test_address_list_is_folded_between_mailboxes() -> None:
    mailboxes = [Address(f"user{n}@example.com", f"Größe {n}" if n % 3 else f"User {n}") for n in range(200)]
    field = header_writing.address_list("To", mailboxes, "to")
    assert max(map(len, field.split("\r\n"))) <= 76
    read(field)
    message = BytesParser(policy=policy.default).parsebytes(field.encode() + b"\r\n")
    found = [(mailbox.addr_spec, mailbox.display_name) for mailbox in message["To"].addresses]
    assert found == [(mailbox.address, mailbox.name) for mailbox in mailboxes]


def test_address_is_normalised_and_utf8_stays_in_its_own_address() -> None:
    field = header_writing.address_list(
        "To", [Address("ü@münchen.example", "Jürgen"), Address("b@münchen.example", "ö")], "to"
    )
    assert field.count("ü") == 1
    assert "<ü@xn--mnchen-3ya.example>" in field
    assert "<b@xn--mnchen-3ya.example>" in field


def test_refused_address_is_named() -> None:
    with pytest.raises(HeaderError) as caught:
        header_writing.address_list("To", [Address("a@example.com"), Address("b@example.com\r\nX: y")], "to")
    assert caught.value.field == "to[1].address"
    with pytest.raises(HeaderError) as caught:
        header_writing.address_list("To", [Address("a@example.com"), Address("b@example.com", "x\ny")], "to")
    assert caught.value.field == "to[1].name"
    with pytest.raises(HeaderError) as caught:
        header_writing.one_address("From", Address("b@example.com", "x\0y"), "from")
    assert caught.value.field == "from.name"


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\n", "\0", "\ud83d"])
@pytest.mark.parametrize("name", ["X-Foo", "Reply-To", "References", "List-Unsubscribe"])
@pytest.mark.parametrize("around", ["{}", "a{}", "{}a", "é {} é", "a@example.com{}\r\nBcc: b@example.com"])
def test_line_break_in_custom_header_is_refused(name: str, bad: str, around: str) -> None:
    with pytest.raises(HeaderError) as caught:
        custom(name, around.format(bad))
    assert caught.value.field == f"headers.{name}"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "name", ["", " ", "X Foo", "X-Foo:", "X-Foo ", "X\r\nBcc", "X\0", "X-é", "X\x7f", "\tX", "X\x85Y"]
)
def test_illegal_header_name_is_refused(name: str) -> None:
    with pytest.raises(HeaderError) as caught:
        custom(name, "x")
    assert caught.value.field == "headers"
    assert caught.value.reason.isascii()
    assert "\r" not in caught.value.reason


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("From", '"from"'),
        ("to", '"to"'),
        ("CC", '"cc"'),
        ("bcc", '"bcc"'),
        ("Resent-Bcc", '"bcc"'),
        ("subject", '"subject"'),
        ("message-ID", '"messageId"'),
        ("Date", '"sendAt"'),
        ("mime-version", "structure"),
        ("Content-Type", "structure"),
        ("Content-Transfer-Encoding", "structure"),
    ],
)
def test_fields_of_the_engine_are_refused(name: str, instead: str) -> None:
    with pytest.raises(HeaderError) as caught:
        custom(name, "x")
    assert caught.value.field == f"headers.{name}"
    assert instead in caught.value.reason


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("X-Foo", "bar", "X-Foo: bar\r\n"),
        ("X-Foo", "", "X-Foo:\r\n"),
        ("X-Foo", "Grüße", "X-Foo: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"),
        ("In-Reply-To", "<a@b>", "In-Reply-To: <a@b>\r\n"),
        ("Auto-Submitted", "auto-generated", "Auto-Submitted: auto-generated\r\n"),
        ("Importance", "high", "Importance: high\r\n"),
        ("Reply-To", "a@example.com", "Reply-To: a@example.com\r\n"),
        ("Reply-To", "=?UTF-8?Q?J=C3=BCrgen?= <j@x.example>", "Reply-To: =?UTF-8?Q?J=C3=BCrgen?= <j@x.example>\r\n"),
        ("Reply-To", "Jürgen <j@x.example>", "Reply-To: =?UTF-8?Q?J=C3=BCrgen?= <j@x.example>\r\n"),
        ("Reply-To", '"Grün, J" <j@x.example>', "Reply-To: =?UTF-8?Q?Gr=C3=BCn=2C_J?= <j@x.example>\r\n"),
        ("Sender", "j@münchen.example", "Sender: j@xn--mnchen-3ya.example\r\n"),
        ("Sender", "ü@x.example", "Sender: ü@x.example\r\n"),
        (
            "Reply-To",
            'a@x.example, "b \\" é" <b@x.example>,C<c@x.example>',
            "Reply-To: a@x.example, =?UTF-8?Q?b_=22_=C3=A9?= <b@x.example>,\r\n C <c@x.example>\r\n",
        ),
        ("List-Id", "Böse Liste <liste.x.example>", "List-Id: =?UTF-8?Q?B=C3=B6se?= Liste <liste.x.example>\r\n"),
    ],
)
def test_custom_header_bytes(name: str, value: str, field: str) -> None:
    assert custom(name, value) == field


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("References", "<é@x>"),
        ("References", "<a@b>\x0b<c@d>"),
        ("References", "<" + "x" * 996 + ">"),
        ("List-Unsubscribe", "<https://example.com/é>"),
        ("List-Unsubscribe", "<https://example.com/\u2028>"),
        ("Reply-To", "é"),
        ("Reply-To", "é <not an address>"),
        ("Reply-To", '"é'),
        ("Reply-To", "é <a@b.example> c"),
        ("Reply-To", "é" + " " * 50_000 + "x"),
        ("Reply-To", "é," * 10_000),
        ("X" * 61, "x"),
    ],
)
def test_custom_header_that_cannot_be_written_is_refused(name: str, value: str) -> None:
    with pytest.raises(HeaderError) as caught:
        custom(name, value)
    assert caught.value.field.startswith(f"headers.{name}")


@pytest.mark.parametrize("name", ["In-Reply-To", "references"])
@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ("<a@x>", "<a@x>"),
        ("a@x", "<a@x>"),
        ("a@x b@y", "<a@x> <b@y>"),
        ("<a@x>,<b@y>", "<a@x> <b@y>"),
        ("<a@x><b@y>", "<a@x> <b@y>"),
        (" a@x ,\t<b@y>, ", "<a@x> <b@y>"),
        ("<a@x> <b@y> <a@x>", "<a@x> <b@y>"),
        ("<no-at-sign>", "<no-at-sign>"),
        ("<folded. inside@x>", "<folded.inside@x>"),
        ("<a,b@x>", "<a,b@x>"),
        ("<>", ""),
        (",", ""),
    ],
)
def test_message_ids_have_their_brackets_and_no_commas(name: str, value: str, ids: str) -> None:
    assert custom(name, value) == (f"{name}: {ids}\r\n" if ids else "")


@pytest.mark.parametrize("value", ["Your message of Monday", "<a@x", "a@x>", "<<a@x>>", "<a@x> no"])
def test_what_is_no_message_id_is_refused(value: str) -> None:
    with pytest.raises(HeaderError) as caught:
        custom("References", value)
    assert caught.value.field == "headers.References"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a..b@x.example", '"a..b"@x.example'),
        ("A <a.@x.example>, b@x.example", 'A <"a."@x.example>, b@x.example'),
        ('"a..b"@x.example', '"a..b"@x.example'),
        ("Team: a@x.example, b@x.example;", "Team: a@x.example, b@x.example;"),
    ],
)
def test_an_address_that_has_to_be_quoted_is(value: str, written: str) -> None:
    assert custom("Reply-To", value) == f"Reply-To: {written}\r\n"


def test_references_are_folded_and_never_encoded() -> None:
    ids = [f"<{n:04}.{'x' * 60}@mail.example.com>" for n in range(60)] + ["<" + "y" * 990 + "@z>"]
    field = custom("References", " ".join(ids))
    read(field)
    assert "=?" not in field
    assert field.partition(":")[2].split() == ids


@given(hostile_text, hostile_text)
def test_any_custom_header_is_one_field_or_refused(name: str, value: str) -> None:
    for header in (name, "X-Foo", "Reply-To", "Sender", "References", "List-Id"):
        try:
            field = custom(header, value)
        except HeaderError:
            continue
        if header == "X-Foo":
            assert read(field) == value
        elif header == "References" and not field:
            assert not value.strip(" \t,<>")
        else:
            # ASCII in an address header goes out as given; the modern reader raises on some of what that can be.
            assert len(BytesParser(policy=policy.compat32).parsebytes(field.encode() + b"\r\n").keys()) == 1


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("<a@b>", "<a@b>"),
        ("a@b", "<a@b>"),
        (" <a@b>\t", "<a@b>"),
        ("<" + "x" * 992 + "@y>", "<" + "x" * 992 + "@y>"),
        ("<a@[10.0.0.1]>", "<a@[10.0.0.1]>"),
    ],
)
def test_message_id_is_normalised(text: str, identifier: str) -> None:
    assert message_id_of(text) == identifier
    field = header_writing.tokens("Message-ID", identifier, "messageId")
    assert max(map(len, field.split("\r\n"))) <= 998
    assert field.partition(":")[2].strip() == identifier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "abc",
        "<abc>",
        "@b",
        "a@",
        "<<a@b>>",
        "<a@b><c@d>",
        "<a@b> <c@d>",
        "<a@b",
        "a@b>",
        "a b@c",
        "<a@b>\n",
        "<a@b\r\nX: y>",
        "<a\0@b>",
        "<é@b>",
        "<a\x1c@b>",
        "<a\u2028@b>",
        "<" + "x" * 993 + "@y>",
    ],
)
def test_bad_message_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        message_id_of(text)
