"""The dialogue as a server hears it: whatever the cut, whatever the order, and how long a hostile client may go on."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.smtp.server_commands import MailFrom, RcptTo
from engine.smtp.server_input import DataPiece
from engine.smtp.server_protocol import DataCommand, Hello, LoggedIn, ServerProtocol, StartTls, Verify

KEYWORDS = ("PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "STARTTLS", "AUTH PLAIN LOGIN")
GROUP = (
    b"EHLO me.example\r\nAUTH PLAIN " + base64.b64encode(b"\0u\0secret") + b"\r\n"
    b"MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n"
    b"Subject: x\r\n\r\n..stuffed\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<g@h.example>\r\nRSET\r\nNOOP\r\nQUIT\r\n"
)


class Owner:
    """Accepts whatever can be accepted, and keeps the messages."""

    def __init__(self, *keywords: str) -> None:
        self.protocol = ServerProtocol("s.example", keywords or KEYWORDS, self.check, lambda user, token: False)
        self.messages: list[tuple[str, list[str], bytes]] = []
        self.replies: list[str] = []
        self.tls = 0
        self._content = b""

    @staticmethod
    def check(user: str, password: str) -> bool:
        return (user, password) == ("u", "secret")

    def hear(self, data: bytes) -> list[str]:
        """Feed bytes; the replies to them."""
        self.protocol.feed(data)
        while (event := self.protocol.next()) is not None:
            match event:
                case Hello():
                    self.protocol.greet(event)
                case LoggedIn(user=None):
                    self.protocol.refuse("535 5.7.8 no")
                case LoggedIn(user=user):
                    self.protocol.user = user
                    self.protocol.reply("235 2.7.0 yes")
                case MailFrom():
                    self.protocol.begin(event)
                case RcptTo():
                    self.protocol.add(event)
                case Verify():
                    self.protocol.reply("252 2.0.0 perhaps")
                case StartTls():
                    self.protocol.reply("220 2.0.0 go")
                    self.protocol.forget()
                    self.tls += 1
                case DataCommand():
                    self.protocol.reply("354 go")
                    self.protocol.start_data()
                    self._content = b""
                case DataPiece():
                    self._take(event)
        new = self.protocol.replies()
        self.replies += new
        return new

    def _take(self, piece: DataPiece) -> None:
        self._content += piece.content
        if piece.last:
            assert self.protocol.mail is not None
            recipients = [each.recipient for each in self.protocol.recipients]
            self.messages.append((self.protocol.mail.sender, recipients, self._content))
            self.protocol.end_data("250 2.0.0 kept", taken=True)


def codes(replies: list[str]) -> list[str]:
    return [each[:3] for each in replies if each[3] != "-"]


def test_a_pipelined_group_is_answered_in_order() -> None:
    owner = Owner()
    replies = owner.hear(GROUP)
    wanted = ["250", "235", "250", "250", "250", "354", "250", "250", "250", "250", "250", "221"]
    assert codes(replies) == wanted
    assert owner.messages == [("a@b.example", ["c@d.example", "e@f.example"], b"Subject: x\r\n\r\n.stuffed\r\n")]
    assert owner.protocol.closing


def test_it_is_the_same_split_at_every_byte() -> None:
    whole = Owner()
    whole.hear(GROUP)
    for place in range(1, len(GROUP)):
        owner = Owner()
        owner.hear(GROUP[:place])
        owner.hear(GROUP[place:])
        assert (owner.replies, owner.messages) == (whole.replies, whole.messages)
    each = Owner()
    for number in range(len(GROUP)):
        each.hear(GROUP[number : number + 1])
    assert (each.replies, each.messages) == (whole.replies, whole.messages)


LINES = b"""EHLO x|HELO|MAIL FROM:<a@b.c>|MAIL FROM:<a@b.c> SIZE=x|RCPT TO:<a@b.c>|DATA|.|text|AUTH PLAIN|
AUTH LOGIN dQ==|*|dQ==|RSET|STARTTLS|VRFY x|\xff|\0"""
WORDS = st.sampled_from(
    [
        *(line.strip() + b"\r\n" for line in LINES.split(b"|")),
        *(b"\r\n.\r\n", b"\n.\n", b"\r", b"\n", b"RCPT TO:<", b">"),
    ]
)


@given(st.lists(WORDS, max_size=40).map(b"".join), st.integers(1, 7))
def test_no_dialogue_raises_and_none_depends_on_its_cut(dialogue: bytes, step: int) -> None:
    whole, cut = Owner(), Owner()
    whole.hear(dialogue)
    for place in range(0, len(dialogue), step):
        cut.hear(dialogue[place : place + step])
    if not whole.tls:  # what came before the handshake is forgotten, and how much that is depends on the cut
        assert (cut.replies, cut.messages) == (whole.replies, whole.messages)


def test_what_follows_starttls_in_clear_text_is_forgotten() -> None:
    owner = Owner()
    replies = owner.hear(b"EHLO x\r\nAUTH PLAIN AHUAc2VjcmV0\r\nSTARTTLS\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<")
    assert codes(replies) == ["250", "235", "220"]
    assert owner.protocol.user is None
    assert owner.hear(b"MAIL FROM:<a@b.example>\r\n") == ["503 5.5.1 Error: send HELO/EHLO first"]


@pytest.mark.parametrize(
    "fault", [b"FOO\r\n", b"MAIL\r\n", b"\r\n", b"EHLO\r\n", b"\xff\r\n", b"DATA\r\n", b"AUTH X\r\n"]
)
def test_faults_end_the_dialogue(fault: bytes) -> None:
    owner = Owner()
    owner.hear(b"EHLO x\r\n" + fault * 19)
    assert not owner.protocol.closing
    assert owner.hear(fault)[-1].startswith("421 ")
    assert owner.protocol.closing
    assert owner.hear(b"NOOP\r\n") == []


@pytest.mark.parametrize(
    "idle", [b"NOOP\r\n", b"RSET\r\n", b"EHLO x\r\n", b"VRFY x\r\n", b"MAIL FROM:<a@b.c>\r\nRSET\r\n"]
)
def test_idling_ends_the_dialogue(idle: bytes) -> None:
    owner = Owner()
    owner.hear(b"EHLO x\r\n" + idle * 40)
    assert not owner.protocol.closing
    owner.hear(idle * 60)
    assert owner.replies[-1].startswith("421 ")


def test_recipients_and_messages_are_no_idling() -> None:
    owner = Owner()
    owner.hear(b"EHLO x\r\n")
    for _ in range(300):
        owner.hear(b"MAIL FROM:<a@b.c>\r\n" + b"RCPT TO:<d@e.f>\r\n" * 3 + b"DATA\r\nx\r\n.\r\n")
    assert len(owner.messages) == 300
    assert not owner.protocol.closing


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST /v1/x HTTP/1.0", "CONNECT mail.example:25 HTTP/1.1"])
def test_a_browser_is_not_listened_to(line: str) -> None:
    owner = Owner()
    owner.hear(f"{line}\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.c>\r\n".encode())
    assert owner.replies == ["500 5.5.2 Error: this is an SMTP server"]
    assert owner.protocol.closing


@pytest.mark.parametrize(
    ("argument", "sender"),
    [
        ("FROM:<a@b.c>", "a@b.c"),
        ("from: <a@b.c>", "a@b.c"),
        ("FROM:a@b.c SIZE=3", "a@b.c"),
        ("FROM:<@x.example,@y.example:a@b.c>", "a@b.c"),
        ('FROM:<"a b>"@c.d> BODY=7BIT', '"a b>"@c.d'),
        ("FROM:<> AUTH=<>", ""),
        ("FROM:<ü@b.c> SMTPUTF8", "ü@b.c"),
    ],
)
def test_paths(argument: str, sender: str) -> None:
    owner = Owner()
    owner.hear(b"EHLO x\r\n")
    assert owner.hear(f"MAIL {argument}\r\n".encode()) == ["250 2.1.0 Ok"]
    assert owner.protocol.mail is not None
    assert owner.protocol.mail.sender == sender


def test_dsn_is_understood_where_it_is_offered() -> None:
    owner = Owner("DSN")
    owner.hear(b"EHLO x\r\nMAIL FROM:<a@b.c> RET=HDRS ENVID=x+2By\r\n")
    owner.hear(b"RCPT TO:<d@e.f> NOTIFY=SUCCESS,delay ORCPT=rfc822;d@e.f\r\n")
    assert owner.protocol.mail == MailFrom(sender="a@b.c", envelope_id="x+2By", returned="HDRS")
    assert owner.protocol.recipients == [
        RcptTo(recipient="d@e.f", notify=("SUCCESS", "DELAY"), original="rfc822;d@e.f")
    ]
    other = Owner()
    other.hear(b"EHLO x\r\n")
    assert other.hear(b"MAIL FROM:<a@b.c> RET=HDRS\r\n") == ["555 5.5.4 Unsupported option: RET=HDRS"]


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ("AUTH PLAIN AHUAc2VjcmV0", "235"),
        ("AUTH PLAIN|AHUAc2VjcmV0", "235"),
        ("AUTH LOGIN|dQ==|c2VjcmV0", "235"),
        ("AUTH LOGIN dQ==|c2VjcmV0", "235"),
        ("auth login|dQ==|bm8=", "535"),
        ("AUTH LOGIN|*", "501"),
        ("AUTH LOGIN|%", "535"),
        ("AUTH PLAIN =", "535"),
        ("AUTH CRAM-MD5", "535"),
        ("AUTH", "501"),
    ],
)
def test_logins(lines: str, reply: str) -> None:
    owner = Owner()
    owner.hear(b"EHLO x\r\n")
    for line in lines.split("|"):
        owner.hear(f"{line}\r\n".encode())
    assert owner.replies[-1][:3] == reply
    assert (owner.protocol.user == "u") == (reply == "235")


def test_no_login_is_taken_without_an_offer() -> None:
    clear = Owner("STARTTLS")
    assert clear.hear(b"EHLO x\r\nAUTH PLAIN AHUAc2VjcmV0\r\n")[-1].startswith("538 5.7.11")


@pytest.mark.parametrize("line", [b"HELP", b"help MAIL", b"HELP  "])
def test_help_lists_the_commands(line: bytes) -> None:
    owner = Owner()
    (reply,) = owner.hear(line + b"\r\n")
    assert reply.startswith("214 2.0.0 ") and all(f" {each}" in reply for each in ("MAIL", "RCPT", "HELP", "QUIT"))
    assert len(reply) <= 510 and owner.hear(b"EHLO me.example\r\n")[0] == "250-s.example"


def test_a_client_that_only_asks_for_help_is_sent_away() -> None:
    owner = Owner()
    replies = owner.hear(b"HELP\r\n" * 200)
    assert replies[-1].startswith("421 4.7.0") and len(replies) == 101


@pytest.mark.parametrize("verb", [b"EXPN list", b"SEND FROM:<a@b.example>", b"TURN", b"etrn x.example"])
def test_commands_that_smtp_has_and_this_server_has_not(verb: bytes) -> None:
    assert Owner().hear(verb + b"\r\n") == ["502 5.5.1 Error: command not implemented"]


@pytest.mark.parametrize("name", [b"postmaster", b"Postmaster", b"POSTMASTER"])
def test_the_postmaster_needs_a_domain(name: bytes) -> None:
    owner = Owner()
    owner.hear(b"EHLO me.example\r\nMAIL FROM:<a@b.example>\r\n")
    (reply,) = owner.hear(b"RCPT TO:<" + name + b">\r\n")
    assert reply.startswith("550 5.1.1 No mail ends at this server") and "postmaster@" in reply
    assert owner.hear(b"RCPT TO:<postmaster@b.example>\r\n") == ["250 2.1.5 Ok"]
