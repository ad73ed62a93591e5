"""Notices in prose: who did not get it, and what is no notice."""

from __future__ import annotations

import base64
import quopri
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.bounce_categories import category
from engine.mail.notice_signs import Sign, may_be, sign
from engine.mail.notice_text import read_notice
from engine.mail.notices import read_prose
from engine.mail.second_reader import second_reading

ME = frozenset({"me@x.example"})
HEAD = b"From: MAILER-DAEMON@mx.example\r\nTo: me@x.example\r\nSubject: failure notice\r\n\r\n"
ORIGINAL = (
    b"\r\nReceived: from a by b\r\nMessage-ID: <1@x.example>\r\nFrom: me@x.example\r\nTo: %s\r\nSubject: s\r\n\r\n"
    b"hi\r\n"
)


def told(body: bytes, head: bytes = HEAD, *, sure: bool = True) -> list[tuple[str, str, str]]:
    report = read_prose(read_notice(head + body), ME, sure)
    return [(each.recipient, each.action, each.status) for each in report.recipients]


NOTICES = [
    (b"<a@y.example>:\r\n192.0.2.1 said: 550 5.1.1 no such user\r\n", [("a@y.example", "failed", "5.1.1")]),
    (
        b"a@y.example\r\n  SMTP error after RCPT TO:<a@y.example>: 450 4.2.0 no\r\n",
        [("a@y.example", "failed", "4.2.0")],
    ),
    (
        b"There was an error delivering your mail to <a@y.example>.\r\n550 5.7.1 no\r\n",
        [("a@y.example", "failed", "5.7.1")],
    ),
    (b"Unknown user: a@y.example\r\n", [("a@y.example", "failed", "")]),
    (
        b">>> RCPT TO:<a@y.example>\r\n<<< 550 5.1.1 unknown\r\n>>> MAIL FROM:<me@x.example>\r\n",
        [("a@y.example", "failed", "5.1.1")],
    ),
    (
        b"failed:\r\n\r\n<a@y.example>: 550 5.1.1 no\r\n\r\n<b@y.example>: 552 5.2.2 full\r\n\r\n"
        b"Contact help@y.example\r\n",
        [("a@y.example", "failed", "5.1.1"), ("b@y.example", "failed", "5.2.2")],
    ),
    (
        b"could not be delivered because of\r\n550 5.1.1 no\r\n"
        b"The following recipients were affected:\r\n   a@y.example\r\n",
        [("a@y.example", "failed", "5.1.1")],
    ),
    (
        b"THIS IS A WARNING MESSAGE ONLY.\r\nDelivery has been delayed:\r\n\r\n    a@y.example\r\n",
        [("a@y.example", "delayed", "")],
    ),
    (
        b"Message could not be delivered.\r\n\r\nOriginal Message:" + ORIGINAL % b"a@y.example",
        [("a@y.example", "failed", "")],
    ),
    (
        b"The message failed:\r\n\r\nFinal-Recipient: rfc822; a@y.example\r\nAction: failed\r\nStatus: 5.0.0\r\n",
        [("a@y.example", "failed", "5.0.0")],
    ),
    (b"Your message did not reach me@x.example:\r\n550 5.1.1 no\r\n", [("me@x.example", "failed", "5.1.1")]),
    ("宛先に送信できませんでした\r\n<a@y.example>: 550 5.1.1\r\n".encode(), [("a@y.example", "failed", "5.1.1")]),
    (b"Your mailbox is nearly at its quota.\r\n", []),
    (b"", []),
]


@pytest.mark.parametrize("name", ["", "windows-1251", "koi8-r"])
@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
def test_the_text_is_read_in_its_charset(name, encoding):
    body = "Сообщение не доставлено: ящик переполнен.\r\n<a@y.example>\r\n".encode(name or "utf-8")
    coded = {"base64": base64.encodebytes, "quoted-printable": quopri.encodestring}.get(encoding, bytes)(body)
    kind = f"; charset={name}" if name else ""
    head = HEAD[:-2] + f"Content-Type: text/plain{kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    assert read_notice(head + coded).text.split("\n")[0] == "Сообщение не доставлено: ящик переполнен."
    part = b"--b\r\n" + head.partition(b"notice\r\n")[2] + coded + b"\r\n--b--\r\n"
    whole = HEAD[:-2] + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part
    assert read_notice(whole).text.split("\n")[0] == "Сообщение не доставлено: ящик переполнен."


LANGUAGES = [
    ("Impossibile recapitare il messaggio ai seguenti destinatari:", "Utente sconosciuto"),
    ("No se ha podido entregar su mensaje a:", "El usuario no existe"),
    ("Sua mensagem não foi entregue:", "Usuário desconhecido"),
    ("Uw bericht kon niet worden bezorgd:", "Onbekend: de ontvanger bestaat niet"),
    ("Nie udało się dostarczyć wiadomości:", "Użytkownik nie istnieje"),
    ("Meddelandet kunde inte levereras till:", "Mottagaren okänd"),
    ("Zprávu nelze doručit:", "Uživatel neexistuje"),
    ("Повідомлення не вдалося доставити:", "Адреса не існує"),
    ("您的邮件无法送达以下收件人：", "该用户不存在"),
    ("以下の宛先にメールを配信できませんでした。", "宛先が存在しません"),
    ("다음 수신자에게 전송하지 못했습니다.", "사용자가 존재하지 않습니다"),
]


@pytest.mark.parametrize(("failed", "why"), LANGUAGES)
def test_notices_in_other_languages(failed, why):
    text = f"{failed}\r\n\r\n<a@y.example>\r\n    {why}\r\n".encode()
    (one,) = read_prose(read_notice(HEAD.replace(b"failure notice", b"x") + text), ME, True).recipients
    assert (one.recipient, one.action, category(one.status, one.diagnostic)) == (
        "a@y.example",
        "failed",
        "user_unknown",
    )


@pytest.mark.parametrize(("body", "recipients"), NOTICES)
def test_who_did_not_get_it(body, recipients):
    assert told(body) == recipients


def test_a_system_may_write_of_other_things():
    head = HEAD.replace(b"failure notice", b"hello")
    assert told(b"This is your postmaster. Write to a@y.example about the new server.\r\n", head) == []


def test_html_alone_is_read():
    head = HEAD[:-2] + b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    assert told(b"<p>Delivery has failed to these recipients:</p><p>a@y.example</p><p>550 5.1.1 no</p>", head) == [
        ("a@y.example", "failed", "5.1.1")
    ]


def test_failed_recipients_of_the_header_win():
    head = b"X-Failed-Recipients: b@y.example,\r\n c@y.example\r\n" + HEAD
    body = b"Hello a@y.example, failed.\r\n\r\nb@y.example\r\n  550 5.1.1 no\r\n"
    assert [each[0] for each in told(body, head)] == ["b@y.example", "c@y.example"]


def test_without_a_sure_sign_only_the_place_of_a_recipient_counts():
    assert told(b"It failed again, ask a@y.example or the office.\r\n", sure=False) == []
    assert told(b"These were rejected for you:\r\n\r\na@y.example\r\nb@y.example\r\n", sure=False) == []
    assert told(b"It failed.\r\n<a@y.example>: 550 no\r\n", sure=False) == [("a@y.example", "failed", "")]


@pytest.mark.parametrize(
    "returned",
    [
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + (ORIGINAL % b"a@y.example")[2:],
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n\r\n" + (ORIGINAL % b"a@y.example")[2:],
        b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n\r\n" + ORIGINAL % b"a@y.example",
        b"--b\r\nContent-Type: text/rfc822; charset=us-ascii\r\n\r\n" + ORIGINAL % b"a@y.example",
        b"--b" + ORIGINAL % b"a@y.example",
    ],
)
def test_the_returned_message_is_no_part_of_the_notice(returned):
    head = HEAD[:-2] + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    notice = read_notice(head + b"--b\r\nContent-Type: text/plain\r\n\r\nfailed\r\n" + returned + b"\r\n--b--\r\n")
    assert notice.text.strip() == "failed"
    assert notice.original["message-id"] == ["<1@x.example>"]


def test_bytes_of_no_charset_in_a_report_are_text():
    head = HEAD[:-2] + b'Content-Type: multipart/report; boundary="b"\r\n\r\n'
    status = b"--b\r\nContent-Type: message/delivery-status\r\n\r\nX: \xe9\r\nno field \xe9\xff\r\n\r\n"
    assert told(status + b"Final-Recipient: rfc822; \xe9@y.example\r\nAction: failed\r\n--b--\r\n", head)


SIGNS = [
    ({"x-failed-recipients": ["a@y.example"]}, "x@y.example", "s", Sign.STRONG),
    ({}, "MAILER-DAEMON@y.example", "Returned mail: User unknown", Sign.STRONG),
    ({"return-path": ["<>"]}, "x@y.example", "Undeliverable: hi", Sign.STRONG),
    ({"return-path": ["<>"]}, "x@y.example", "hi", Sign.WEAK),
    ({}, "Postmaster postmaster@y.example", "hi", Sign.WEAK),
    ({}, "x@y.example", "Delivery Status Notification (Failure)", Sign.WEAK),
    ({}, "", "Недоставленное сообщение", Sign.STRONG),
    ({}, "x@y.example", "Re: Undeliverable: hi", Sign.NONE),
    ({}, "x@y.example", "Fwd: failure notice", Sign.NONE),
    ({}, "x@y.example", "Your delivery arrives today", Sign.NONE),
    (
        {"return-path": ["<>"], "auto-submitted": ["auto-replied (vacation)"]},
        "x@y.example",
        "Away until Monday",
        Sign.NONE,
    ),
    ({"auto-submitted": ["auto-replied"], "return-path": ["<>"]}, "MAILER-DAEMON@y.example", "hi", Sign.WEAK),
]


@pytest.mark.parametrize(("header", "sender", "subject", "wanted"), SIGNS)
def test_signs(header, sender, subject, wanted):
    assert sign(header, sender, subject) is wanted
    raw = "".join(f"{name}: {value}\r\n" for name, values in header.items() for value in values)
    assert may_be(raw.encode(), sender.encode(), subject.encode()) or wanted is Sign.NONE


def test_most_mail_is_told_apart_at_a_glance():
    assert not may_be(
        b"Return-Path: <a@y.example>\r\nList-Id: x\r\n\r\n", b"Ann ann@y.example", b"=?utf-8?q?Gr=C3=BC=C3=9Fe?="
    )


def test_the_second_reader_names_only_who_stands_in_the_text():
    body = b"The following addresses had delivery problems:\r\n\r\n<a@y.example>\r\n\r\n"
    yes = HEAD.replace(b"failure notice", b"x") + b"Hi. The MTA program at y\r\n\r\n<a@y.example>:\r\nno\r\n\r\n" + body
    assert [each.recipient for each in second_reading(yes, "<a@y.example>")] == ["a@y.example"]
    assert second_reading(yes, "nobody") == ()


HOSTILE = [
    b"<" * 60_000,
    b"a@" * 30_000,
    b"x" * 60_000,
    b"failed " * 9_000,
    b"following address " * 3_000,
    b"a@b.example " * 5_000,
    b"deliver " * 8_000 + b"to",
    b"\r\n" * 30_000,
    b"Received: x\r\n" * 5_000,
    b"not yet been delivered " + b"x" * 50_000,
    b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(1500)),
]


@pytest.mark.once
@pytest.mark.parametrize("body", HOSTILE)
def test_no_text_takes_long(body):
    source = (HEAD[:-2] + body if body.startswith(b"Content") else HEAD + body)[:65_536]
    start = time.process_time()
    notice = read_notice(source)
    read_prose(notice, ME, sure=True)
    second_reading(source, notice.text)
    sign(notice.header, body[:1000].decode(), body[:1000].decode())
    assert time.process_time() - start < 2


@given(
    st.binary(max_size=600),
    st.sampled_from([b"", HEAD, HEAD[:-2] + b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"]),
)
def test_nothing_raises(body, head):
    notice = read_notice(head + body)
    report = read_prose(notice, ME, sure=True)
    second_reading(head + body, notice.text)
    for each in report.recipients:
        (each.recipient + each.diagnostic).encode()
