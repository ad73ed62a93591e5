import base64

import pytest
import trio
from seeded_world import SeededWorld

from engine.sandbox.accounts import Limits
from engine.sandbox.post_office import ReceivedEnvelope
from engine.sandbox.provider import Sandbox


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_greeting_and_capabilities(connect):
    client = await connect(587)
    assert client.greeting == "220 sandbox.example ESMTP"
    assert (await client.smtp("EHLO me.example")).split("|") == [
        "250-sandbox.example",
        "250-PIPELINING",
        "250-SIZE 26214400",
        "250-AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER",
        "250-ENHANCEDSTATUSCODES",
        "250-8BITMIME",
        "250-DSN",
        "250 SMTPUTF8",
    ]


# Measured against Postfix 3.7, but for the three marked: those are stricter, see the module.
DIALOGUES = [
    [("MAIL FROM:<a@b.example>", "503 5.5.1 Error: send HELO/EHLO first")],
    [("HELO", "501 Syntax: HELO hostname"), ("EHLO", "501 Syntax: EHLO hostname"), ("HELO me", "250 sandbox.example")],
    [("FOO", "500 5.5.2 Error: command not recognized"), ("", "500 5.5.2 Error: bad syntax")],
    [("NOOP x", "250 2.0.0 Ok"), ("RSET x", "501 5.5.4 Syntax: RSET"), ("RSET", "250 2.0.0 Ok")],
    [("VRFY x@y.example", "252 2.0.0 x@y.example"), ("VRFY", "501 5.5.4 Syntax: VRFY address [SMTPUTF8]")],
    [("STARTTLS", "502 5.5.1 Error: command not implemented"), ("QUIT", "221 2.0.0 Bye"), ("", "<EOF>")],
    [
        ("HELO me", "250 sandbox.example"),
        ("RCPT TO:<x@y.example>", "503 5.5.1 Error: need MAIL command"),
        ("DATA", "503 5.5.1 Error: need RCPT command"),
        ("MAIL FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>"),
        ("MAIL FROM:<a>", "501 5.1.7 Bad sender address syntax"),  # stricter
        ("MAIL FROM:<a@b.example> FOO=1", "555 5.5.4 Unsupported option: FOO=1"),
        ("MAIL FROM:<a@b.example> BODY=FOO", "555 5.5.4 Unsupported option: BODY=FOO"),
        ("MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4 Bad message size syntax"),
        ("MAIL FROM:<a@b.example> SIZE=99999999999", "552 5.3.4 Message size exceeds fixed limit"),
        ("MAIL FROM:<ü@b.example>", "553 5.6.7 Must declare SMTPUTF8 to send unicode address"),  # stricter
        ("MAIL FROM:<a@b.example> ENVID=a=b", "555 5.5.4 Unsupported option: ENVID=a=b"),
        ("MAIL FROM:<a@b.example> RET=X", "555 5.5.4 Unsupported option: RET=X"),
        ("MAIL FROM:<a@b.example> SIZE=10 BODY=8BITMIME ENVID=a+3Db RET=HDRS", "250 2.1.0 Ok"),
        ("MAIL FROM:<a@b.example>", "503 5.5.1 Error: nested MAIL command"),
        ("DATA", "503 5.5.1 Error: need RCPT command"),
        ("RCPT", "501 5.5.4 Syntax: RCPT TO:<address>"),
        ("RCPT TO:<>", "501 5.1.3 Bad recipient address syntax"),
        ("RCPT TO:<ü@b.example>", "553 5.6.7 Must declare SMTPUTF8 to send unicode address"),  # stricter
        ("RCPT TO:<x@y.example> FOO=1", "555 5.5.4 Unsupported option: FOO=1"),
        ("RCPT TO:<reject+x@y.example>", "550 5.1.1 <reject+x@y.example>: Recipient address rejected: User unknown"),
        ("RCPT TO:<x@y.example> NOTIFY=NEVER,DELAY", "555 5.5.4 Unsupported option: NOTIFY=NEVER,DELAY"),
        ("DATA", "554 5.5.1 Error: no valid recipients"),
        ('RCPT TO:<"odd > one"@y.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x@y', "250 2.1.5 Ok"),
        ("AUTH PLAIN x", "503 5.5.1 Error: MAIL transaction in progress"),
        ("RSET", "250 2.0.0 Ok"),
        ("MAIL FROM:<>", "250 2.1.0 Ok"),
    ],
]


@pytest.mark.parametrize("dialogue", DIALOGUES)
async def test_dialogues(connect, dialogue):
    client = await connect(25)
    for command, reply in dialogue:
        if reply == "<EOF>":
            assert await client.line() == reply
        else:
            assert await client.smtp(command) == reply


async def test_mail_lands_in_the_inbox_with_its_trace(sandbox, connect, mock_clock):
    client = await connect(587, "client.example")
    assert await client.smtp("AUTH PLAIN " + b64(b"\0demo\0secret")) == "235 2.7.0 Authentication successful"
    body = "Message-ID: <1@me>\r\nSubject: hi\r\n\r\n..stuffed\r\nend\r\n"
    replies = await client.transaction("You@Sandbox.Example", body=body)
    queue_id = sandbox.delivered[0].queue_id
    assert replies == ["250 2.1.5 Ok", f"250 2.0.0 Ok: queued as {queue_id}"]
    (message,) = sandbox.account("you@sandbox.example").folder("INBOX").messages
    top, _, rest = message.raw.partition(b"Message-ID")
    assert rest == b": <1@me>\r\nSubject: hi\r\n\r\n.stuffed\r\nend\r\n"
    assert top.decode().split("\r\n") == [
        "Return-Path: <me@sandbox.example>",
        "Delivered-To: You@Sandbox.Example",
        "Received: from client.example ([127.0.0.1])",
        f"\tby sandbox.example with ESMTPA id {queue_id}",
        "\tfor <You@Sandbox.Example>; Fri, 15 Jan 2027 08:00:00 +0000",
        "",
    ]
    (delivery,) = sandbox.delivered
    assert (delivery.sender, delivery.recipient) == ("me@sandbox.example", "You@Sandbox.Example")
    assert (delivery.message_id, delivery.user) == ("<1@me>", "demo@sandbox.example")
    assert message.uid == 1
    assert message.flags == frozenset()
    assert message.date == delivery.time


async def test_mail_to_the_outside_is_kept_and_goes_nowhere(sandbox, connect):
    client = await connect(25, "me")
    replies = await client.transaction("a@example.com", "b@sub.sandbox.example", "c@example.net", body="hello\r\n")
    assert [reply[:3] for reply in replies] == ["250"] * 4
    envelope = ReceivedEnvelope(sender="me@sandbox.example", recipients=("a@example.com", "c@example.net"), helo="me")
    assert sandbox.outside == [(envelope, b"hello\r\n")]
    assert [one.recipient for one in sandbox.delivered] == ["a@example.com", "b@sub.sandbox.example", "c@example.net"]
    assert len({one.queue_id for one in sandbox.delivered}) == 1


async def test_several_messages_in_one_write_are_several_messages(sandbox, connect):
    client = await connect(25, "me")
    one = "MAIL FROM:<>\r\nRCPT TO:<a@a.example>\r\nDATA\r\nhello\r\n.\r\n"
    await client.send(one * 3 + "QUIT\r\n")
    codes = [(await client.reply())[:3] for _ in range(13)]
    assert codes == ["250", "250", "354", "250"] * 3 + ["221"]
    assert await client.line() == "<EOF>"
    assert len({delivery.queue_id for delivery in sandbox.delivered}) == 3


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"", b""),
        (b"..\r\n", b".\r\n"),
        (b".hidden\r\n", b"hidden\r\n"),
        (b"a\r\n\r\n..\r\n..b\r\n", b"a\r\n\r\n.\r\n.b\r\n"),
        ("grüße\r\n".encode(), "grüße\r\n".encode()),
    ],
)
async def test_dots_are_unstuffed_however_the_bytes_arrive(sandbox, connect, sent, kept):
    for size in (1, 2, 3, 5, 1000):
        client = await connect(25, "me")
        await client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        stream = sent + b".\r\nNOOP\r\n"
        for at in range(0, len(stream), size):
            await client.send(stream[at : at + size])
        assert (await client.reply())[:3] == "250"
        assert await client.reply() == "250 2.0.0 Ok"
        assert sandbox.outside[-1][1] == kept
    assert len(sandbox.outside) == 5


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\r\n", b"\r\n\0.\r\n"])
async def test_only_crlf_dot_crlf_ends_a_message(sandbox, connect, end):
    client = await connect(25, "me")
    await client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
    for _ in range(3):
        await client.reply()
    await client.send(b"first" + end + b"MAIL FROM:<>\r\nsmuggled\r\n.\r\n")
    reply = await client.reply()
    assert await client.smtp("NOOP") == "250 2.0.0 Ok"
    if end == b"\r\n\0.\r\n":
        assert reply[:3] == "250"
        assert len(sandbox.outside) == 1
    else:
        assert reply == "550 5.5.2 Error: bare <CR> or <LF> received"
        assert sandbox.outside == []


@pytest.mark.parametrize("line", [b"NOOP\n", b"NO\rOP\r\n", b"NOOP\0\r\n", b"MAIL FROM:<\xff@b.example>\r\n"])
async def test_a_command_with_bare_line_ends_or_binary_is_refused(connect, line):
    client = await connect(25, "me")
    await client.send(line)
    assert await client.reply() == "500 5.5.2 Error: bad syntax"


async def test_a_line_without_end_is_cut_off(connect):
    client = await connect(25)
    await client.send("NOOP " + "x" * 20_000)
    assert await client.reply() == "500 5.5.2 Error: line too long"
    assert await client.line() == "<EOF>"


@pytest.mark.parametrize(("size", "reply"), [(100, "250"), (101, "552")])
async def test_a_message_past_the_limit_is_refused_after_its_dot(nursery, size, reply):
    sandbox = Sandbox(SeededWorld(1), Limits(message_bytes=100))
    await nursery.start(sandbox.run)
    stream = await sandbox.dial("x", 25)
    await stream.send_all(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
    await stream.send_all(b"x" * (size - 2) + b"\r\n.\r\nQUIT\r\n")
    replies = b""
    while data := await stream.receive_some():
        replies += data
    assert [line[:3].decode() for line in replies.splitlines()] == ["220", "250", "250", "250", "354", reply, "221"]
    assert len(sandbox.outside) == (reply == "250")


LOGINS = [
    (["AUTH PLAIN " + b64(b"\0demo\0secret")], "235 2.7.0 Authentication successful"),
    (["AUTH PLAIN", b64(b"\0demo\0secret")], "235 2.7.0 Authentication successful"),
    (["AUTH LOGIN", b64(b"demo"), b64(b"secret")], "235 2.7.0 Authentication successful"),
    (["AUTH LOGIN " + b64(b"demo"), b64(b"secret")], "235 2.7.0 Authentication successful"),
    (["AUTH XOAUTH2 " + b64(b"user=demo\x01auth=Bearer tok\x01\x01")], "235 2.7.0 Authentication successful"),
    (["AUTH PLAIN " + b64(b"\0demo\0wrong")], "535 5.7.8 Error: authentication failed: (reason unavailable)"),
    (["AUTH LOGIN", b64(b"demo"), b64(b"wrong")], "535 5.7.8 Error: authentication failed: (reason unavailable)"),
    (
        ["AUTH XOAUTH2 " + b64(b"user=demo\x01auth=Bearer wrong\x01\x01"), ""],
        "535 5.7.8 Error: authentication failed: (reason unavailable)",
    ),
    (["AUTH PLAIN", "*"], "501 5.7.0 Authentication aborted"),
    (["AUTH PLAIN !!!"], "535 5.7.8 Error: authentication failed: Invalid base64 data"),
    (["AUTH PLAIN " + b64(b"demo")], "535 5.7.8 Error: authentication failed: Invalid PLAIN response"),
    (["AUTH PLAIN " + b64(b"\0\xff\0x")], "535 5.7.8 Error: authentication failed: Invalid UTF-8 data"),
    (["AUTH"], "501 5.5.4 Syntax: AUTH mechanism"),
    (["AUTH FOO"], "535 5.7.8 Error: authentication failed: Invalid authentication mechanism"),
]


@pytest.mark.parametrize(("lines", "reply"), LOGINS)
async def test_logins(connect, lines, reply):
    client = await connect(587, "me")
    for line in lines[:-1]:
        assert (await client.smtp(line)).startswith("334 ")
    assert await client.smtp(lines[-1]) == reply


async def test_a_second_login_is_refused(connect):
    client = await connect(587, "me")
    login = "AUTH PLAIN " + b64(b"\0demo\0secret")
    await client.smtp(login)
    assert await client.smtp(login) == "503 5.5.1 Error: already authenticated"


async def test_a_password_that_was_set_is_the_only_one(sandbox, connect):
    sandbox.set_password("Demo@Sandbox.example", "right")
    for password, code in (("secret", "535"), ("wrong", "535"), ("right", "235")):
        client = await connect(587, "me")
        assert (await client.smtp("AUTH PLAIN " + b64(b"\0demo\0" + password.encode())))[:3] == code


class TestScript:
    async def test_rcpt_words_concern_their_recipient_only(self, sandbox, connect):
        client = await connect(25, "me")
        scripted = [
            "ok@a.example",
            "defer+x@a.example",
            "reject+x@a.example",
            "full+x@a.example",
            "greylist+x@a.example",
        ]
        assert await client.transaction(*scripted) == [
            "250 2.1.5 Ok",
            "451 4.3.0 Temporary failure, try again later",
            "550 5.1.1 <reject+x@a.example>: Recipient address rejected: User unknown",
            "452 4.2.2 <full+x@a.example>: Recipient address rejected: Mailbox full",
            "450 4.2.0 <greylist+x@a.example>: Recipient address rejected: Greylisted",
            f"250 2.0.0 Ok: queued as {sandbox.delivered[0].queue_id}",
        ]
        assert [one.recipient for one in sandbox.delivered] == ["ok@a.example"]

    async def test_defer_counts_tries_for_each_message_in_turn(self, connect):
        client = await connect(25, "me")
        codes = []
        for _ in range(6):
            codes.append((await client.transaction("defer2+x@a.example"))[0][:3])
            await client.smtp("RSET")
        assert codes == ["451", "451", "250"] * 2

    async def test_after_the_dot_tries_are_counted_by_message_id(self, sandbox, connect):
        client = await connect(25, "me")
        codes = []
        for number in (1, 2, 1, 2, 1, 1):
            body = f"Message-ID:\r\n <{number}@me>\r\n\r\nhello\r\n"
            codes.append((await client.transaction("deferdata2+x@a.example", "b@a.example", body=body))[-1][:3])
        assert codes == ["451", "451", "451", "451", "250", "250"]
        assert {one.message_id for one in sandbox.delivered} == {"<1@me>"}

    async def test_rejectdata(self, sandbox, connect):
        client = await connect(25, "me")
        assert (await client.transaction("a@a.example", "rejectdata+x@a.example"))[-1] == "554 5.7.1 Message rejected"
        assert (await client.transaction("a@a.example"))[-1][:3] == "250"
        assert len(sandbox.delivered) == 1

    async def test_busy_answers_and_closes(self, connect):
        client = await connect(25, "me")
        await client.send("MAIL FROM:<>\r\nRCPT TO:<a@a.example>\r\nRCPT TO:<busy+x@a.example>\r\nDATA\r\n")
        assert [(await client.line())[:3] for _ in range(4)] == ["250", "250", "421", "<EO"]

    async def test_greylisting_passes_after_its_time(self, connect, autojump_clock):
        client = await connect(25, "me")
        codes = []
        for pause in (0, 59, 1.5, 1000):
            await trio.sleep(pause % 60)
            codes.append((await client.transaction("greylist60+x@a.example"))[0][:3])
            await client.smtp("RSET")
        assert codes == ["450", "450", "250", "250"]

    async def test_slow_keeps_the_message_and_answers_later(self, sandbox, connect, autojump_clock):
        client = await connect(25, "me")
        started = trio.current_time()
        await client.send("MAIL FROM:<>\r\nRCPT TO:<slow700+x@a.example>\r\nDATA\r\nhello\r\n.\r\n")
        for _ in range(3):
            await client.reply()
        await trio.sleep(1)
        assert len(sandbox.delivered) == 1
        assert (await client.reply())[:3] == "250"
        assert trio.current_time() - started == pytest.approx(700)

    @pytest.mark.parametrize(
        ("word", "kept"), [("cut-after-dot", 1), ("cut-before-keep", 0), ("cut-at-data", 0), ("hang", 0)]
    )
    async def test_cuts(self, sandbox, connect, autojump_clock, word, kept):
        client = await connect(25, "me")
        await client.send(f"MAIL FROM:<me@sandbox.example>\r\nRCPT TO:<{word}1+x@a.example>\r\nDATA\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250", "250"]
        if word != "cut-at-data":
            assert (await client.reply())[:3] == "354"
            await client.send("Message-ID: <1@me>\r\n\r\nhello\r\n.\r\n")
        if word == "hang":
            with trio.move_on_after(100_000):
                pytest.fail(await client.stream.receive_some())
            await client.stream.aclose()
        else:
            assert await client.line() == "<EOF>"
        assert len(sandbox.delivered) == kept
        again = await connect(25, "me")
        replies = await again.transaction(f"{word}1+x@a.example", body="Message-ID: <1@me>\r\n\r\nhello\r\n")
        assert replies[-1][:3] == "250"
        assert len(sandbox.delivered) == kept + 1

    async def test_an_unknown_word_is_a_plain_address(self, sandbox, connect):
        client = await connect(25, "me")
        await client.transaction("nonsense3+x@a.example")
        assert len(sandbox.account("nonsense3+x@a.example").folder("INBOX").messages) == 1


async def test_a_silent_client_is_told_to_go(connect, autojump_clock):
    client = await connect(25, "me")
    started = trio.current_time()
    assert await client.line() == "421 4.4.2 sandbox.example Error: timeout exceeded"
    assert await client.line() == "<EOF>"
    assert trio.current_time() - started == pytest.approx(300)


async def test_too_many_recipients(connect):
    client = await connect(25, "me")
    await client.send("MAIL FROM:<>\r\n" + "RCPT TO:<a@a.example>\r\n" * 1001)
    replies = [await client.reply() for _ in range(1002)]
    assert replies[1:] == ["250 2.1.5 Ok"] * 1000 + ["452 4.5.3 Error: too many recipients"]
