"""Replies, capabilities, dots and the transaction, byte by byte."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.model.message import Dsn
from engine.smtp.dots import DotStuffer
from engine.smtp.protocol import Capabilities, SmtpEnvelope, Transaction, capabilities
from engine.smtp.refused_beforehand import refused_here
from engine.smtp.replies import Reply, ReplyParser
from engine.smtp.verdict import Kind, Stage, is_one_too_many

STREAM = b"220 hi\r\n250-first\r\n250-\r\n250 SIZE 5\n354\r\n550 5.1.1 K\xc3\xb6ln \xff\r\n550 5.1.1 K\xc3\xb6ln\r\n"
REPLIES = [
    Reply(220, ("hi",)),
    Reply(250, ("first", "", "SIZE 5")),
    Reply(354, ("",)),
    Reply(550, ("5.1.1 KÃ¶ln ÿ",)),
    Reply(550, ("5.1.1 Köln",)),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_replies_in_any_cut(cuts):
    parser = ReplyParser()
    edges = [0, *cuts, len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert [reply for piece in pieces for reply in parser.feed(piece)] == REPLIES
    assert parser.idle


@pytest.mark.parametrize(
    ("reply", "enhanced", "line"),
    [
        (Reply(550, ("5.1.1 no", "way")), "5.1.1", "550-5.1.1 no\n550 way"),
        (Reply(250, ("5.1.1 no",)), None, "250 5.1.1 no"),
        (Reply(250, ("2.0.0",)), "2.0.0", "250 2.0.0"),
        (Reply(250, ("2.0.0x",)), None, "250 2.0.0x"),
        (Reply(354, ("",)), None, "354"),
    ],
)
def test_reply_forms(reply, enhanced, line):
    assert (reply.enhanced, reply.line) == (enhanced, line)


ODD = [
    (b"\r\n250 ok\r\n", 250, "250 ok"),
    (b"\n\n \r\n250 ok\n", 250, "250 ok"),
    (b"250 ok\n\r", 250, "250 ok"),
    (b"hello\r\n250 ok\r\n", 250, "250 ok"),
    (b"150 wait\r\n250 ok\r\n", 250, "250 ok"),
    (b"600 what\r\n250 ok\r\n", 250, "250 ok"),
    (b"250\r\n", 250, "250"),
    (b"250\tok\r\n", 250, "250 ok"),
    (b"250ok\r\n", 250, "250ok"),
    (b"250: ok\r\n", 250, "250: ok"),
    (b" 250 ok\r\n", 250, " 250 ok"),
    (b"\x00\x00250 ok\r\n", 250, "\ufffd\ufffd250 ok"),
    (b"2500 ok\r\n", 250, "2500 ok"),
    (b"25 ok\r\n", 250, "25 ok"),
    (b"2xx ok\r\n", 250, "2xx ok"),
    (b"5xx no\r\n", 550, "5xx no"),
    (b"4\r\n", 450, "4"),
    (b"250-a\r\n251 b\r\n", 251, "250-a\n251 b"),
    (b"550-5.7.1 a\r\n554\t5.7.1 b\r\n", 554, "550-5.7.1 a\n554\t5.7.1 b"),
    (b"220-hello\r\n521 go away\r\n", 521, "220-hello\n521 go away"),
    (b"250-Ok\r\n queued as 1\r\n250 done\r\n", 250, "250-Ok\n queued as 1\n250 done"),
    (b"250-Ok\r\nqueued\r\n\r\n250 done\r\n", 250, "250-Ok\nqueued\n250 done"),
    (b"250-Ok\r\n2 messages\r\n250 done\r\n", 250, "250-Ok\n2 messages\n250 done"),
    (b" 250-a\r\n 250 b\r\n", 250, " 250-a\n 250 b"),
    (b"250-a\r\n250b\r\n", 250, "250-a\n250b"),
    (b"250-a\r\n250\r\n", 250, "250-a\n250"),
    (b"250 a\0b\x1b[31m\r\n", 250, "250 a\ufffdb\ufffd[31m"),
    (b"250 " + b"x" * 3000 + b"\r\n", 250, "250 " + "x" * 2044),
    (b"250-" + b"x" * 3000 + b"\r\n250 b\r\n", 250, "250-" + "x" * 2044 + "\n250 b"),
    (b"250 " + b"\xe4\xbd\xa0" * 1000 + b"\r\n", 250, "250 " + "你" * 681),
    (b"550-" + b"y" * 1500 + b"\r\n" + b"550-z\r\n" * 20_000 + b"550 end\r\n", 550, None),
]


@pytest.mark.parametrize(("data", "code", "line"), ODD)
@pytest.mark.parametrize("size", [1, 3, 1000, 100_000])
def test_odd_replies_are_what_their_first_digit_says(data, code, line, size):
    parser = ReplyParser()
    if len(data) > 50_000 and size < 1000:
        size = 1000
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    (reply,) = [reply for piece in pieces for reply in parser.feed(piece)]
    assert reply.code == code
    assert reply.line == line or (line is None and len(reply.line) < 70_000)
    assert parser.idle
    assert not parser.stray
    assert parser.feed(b"354 go\r\n") == [Reply(354, ("go",))]


@given(st.data())
def test_odd_replies_in_any_cut(data):
    chosen = data.draw(st.lists(st.sampled_from([odd for odd in ODD if len(odd[0]) < 100]), max_size=5))
    stream = b"".join(wire for wire, _, _ in chosen)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    parser = ReplyParser()
    pieces = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
    assert [(reply.code, reply.line.lstrip("\ufffd")) for piece in pieces for reply in parser.feed(piece)] == [
        (code, line.lstrip("\ufffd")) for _, code, line in chosen
    ]


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"250-Ok\r\n", 250, "250 Ok"),
        (b"250-Ok\r\n250-more", 250, "250-Ok\n250 more"),
        (b"250 Ok: que", 250, "250 Ok: que"),
        (b"250", 250, "250"),
        (b"550-no\r\n55", 550, "550-no\n55"),
        (b"\r\n554 5.7.1 sp", 554, "554 5.7.1 sp"),
        (b"", None, None),
        (b"2", None, None),
        (b"25", None, None),
        (b"rubbish\r\n", None, None),
        (b"rub", None, None),
    ],
)
def test_what_the_server_did_not_end(data, code, line):
    parser = ReplyParser()
    assert parser.feed(data) == []
    reply = parser.cut()
    assert (reply and reply.code) == code
    assert (reply and reply.line) == line
    assert parser.cut() is None


@pytest.mark.parametrize("piece", [b"x" * 16_384, b"\r\n" * 8_192, b"nothing\r\n" * 1_000])
def test_a_flood_without_a_reply_is_refused(piece):
    parser = ReplyParser()
    with pytest.raises(ProtocolError, match="without ending a reply"):
        for _ in range(200):
            assert parser.feed(piece) == []
    with pytest.raises(ProtocolError):
        parser.feed(b"250 ok\r\n")


@pytest.mark.parametrize("piece", [b"x" * 16_384, b"\r\n250-" * 2_000, b"\r\n250-x" * 2_000])
def test_an_endless_reply_counts_by_its_code(piece):
    parser = ReplyParser()
    assert parser.feed(b"250-") == []
    given = []
    for _ in range(200):
        given = parser.feed(piece)
        if given:
            break
    assert [reply.code for reply in given] == [250]
    assert len(given[0].line) < 2 * 65_536
    with pytest.raises(ProtocolError):
        parser.feed(b"250 ok\r\n")


def test_lines_behind_a_reply_are_remembered():
    parser = ReplyParser()
    assert parser.feed(b"250 ok\r\nrubbish\r\n") == [Reply(250, ("ok",))]
    assert parser.idle
    assert parser.stray == "rubbish"
    assert parser.feed(b"250 ok\r\n25") == [Reply(250, ("ok",))]
    assert not parser.stray
    assert not parser.idle


@given(st.lists(st.binary(max_size=300) | st.sampled_from([b"250-", b"250 ", b"\r\n", b"\n", b" 250"])))
def test_any_bytes(pieces):
    whole, cut = ReplyParser(), ReplyParser()
    expected = whole.feed(b"".join(pieces))
    assert [reply for piece in pieces for reply in cut.feed(piece)] == expected
    assert (whole.cut(), whole.stray) == (cut.cut(), cut.stray)
    for reply in expected:
        assert 200 <= reply.code < 600
        assert reply.line
        assert len(reply.lines) == len(reply.line.split("\n"))


def test_capabilities():
    lines = ("mx", "pipelining", "SIZE 1000", "AUTH PLAIN login", "AUTH=PLAIN XOAUTH2", "SMTPUTF8", "8BITMIME", "", "?")
    assert capabilities(Reply(250, (*lines, "dsn"))) == Capabilities(
        auth=("PLAIN", "LOGIN", "XOAUTH2"),
        pipelining=True,
        size=1000,
        size_known=True,
        smtputf8=True,
        eight_bit=True,
        dsn=True,
    )
    assert capabilities(Reply(250, ("STARTTLS", "SIZE 0", "AUTH=PLAIN"))) == Capabilities(
        auth=("PLAIN",), size_known=True
    )
    assert capabilities(Reply(250, ("x", "STARTTLS", "SIZE much"))) == Capabilities(starttls=True, size_known=True)


def stuffed(chunks: list[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join([*map(stuffer.feed, chunks), stuffer.finish()])


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\r\n", b"a\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"a\r\n.\r\n.b\r\n", b"a\r\n..\r\n..b\r\n.\r\n"),
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r.\rb\r", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\n\r.\n", b"a\r\n\r\n..\r\n.\r\n"),
    ],
)
def test_dots(message, wire):
    assert stuffed([message]) == wire
    assert stuffed([message[i : i + 1] for i in range(len(message))]) == wire


@given(st.lists(st.text("a.\r\n", max_size=6).map(str.encode), max_size=6))
def test_one_end_of_data_and_nothing_lost(chunks):
    whole = b"".join(chunks)
    wire = stuffed(chunks)
    assert wire == stuffed([whole])
    *lines, dot, end = wire.split(b"\r\n")
    assert (dot, end) == (b".", b"")
    assert b"." not in lines
    assert b"\r" not in b"".join(lines)
    assert b"\n" not in b"".join(lines)
    unstuffed = [line.removeprefix(b".") for line in lines]
    expected = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n") if whole else []
    assert unstuffed == expected


def run(transaction: Transaction, codes: list[int]) -> list[list[str]]:
    """Each group written, with one reply per command out of `codes`."""
    written = []
    answers = iter(codes)
    while commands := transaction.take():
        written.append(commands)
        while transaction.waiting:
            transaction.receive(Reply(next(answers), ("x",)))
    assert list(answers) == []
    return written


ENVELOPE = SmtpEnvelope("s@example.com", ("a@x", "b@x"), size=10)
MAIL, A, B = "MAIL FROM:<s@example.com>", "RCPT TO:<a@x>", "RCPT TO:<b@x>"


def transaction(*, pipelining: bool, reset: bool = False) -> Transaction:
    return Transaction(ENVELOPE, ENVELOPE.recipients, Capabilities(pipelining=pipelining), reset=reset)


def test_one_group_with_pipelining():
    machine = transaction(pipelining=True, reset=True)
    assert run(machine, [250, 250, 250, 550, 354]) == [["RSET", MAIL, A, B, "DATA"]]
    assert (machine.go_ahead, machine.accepted, machine.open) == (True, ["a@x"], True)
    assert machine.finish(Reply(250, ("queued",))).kind is Kind.ACCEPTED
    assert [machine.verdicts[r].kind for r in ENVELOPE.recipients] == [Kind.ACCEPTED, Kind.REJECTED]
    assert (machine.open, machine.broken) == (False, False)


def test_one_at_a_time():
    machine = transaction(pipelining=False)
    assert run(machine, [250, 250, 450, 354]) == [[MAIL], [A], [B], ["DATA"]]
    assert machine.go_ahead
    assert machine.accepted == ["a@x"]


@pytest.mark.parametrize(
    ("codes", "written"), [([550], [[MAIL]]), ([250, 550, 452], [[MAIL], [A], [B]]), ([421], [[MAIL]])]
)
def test_no_needless_command(codes, written):
    machine = transaction(pipelining=False)
    assert run(machine, codes) == written
    assert not machine.go_ahead
    assert set(machine.verdicts) == set(ENVELOPE.recipients)


@pytest.mark.parametrize(
    ("codes", "kinds", "stage", "go_ahead", "broken"),
    [
        ([550, 503, 503, 503], [Kind.REJECTED] * 2, Stage.MAIL, False, False),
        ([550, 250, 250, 354], [Kind.REJECTED] * 2, Stage.MAIL, True, False),
        ([250, 550, 552, 354], [Kind.REJECTED, Kind.LATER], Stage.RCPT, True, False),
        ([250, 550, 450, 503], [Kind.REJECTED, Kind.LATER], Stage.RCPT, False, False),
        ([250, 250, 250, 451], [Kind.LATER] * 2, Stage.DATA, False, False),
        ([250, 250, 250, 554], [Kind.REJECTED] * 2, Stage.DATA, False, False),
        ([250, 421], [Kind.LATER] * 2, Stage.RCPT, False, True),
    ],
)
def test_refusals_with_pipelining(codes, kinds, stage, go_ahead, broken):
    machine = transaction(pipelining=True)
    run(machine, codes)
    verdicts = [machine.verdicts[recipient] for recipient in ENVELOPE.recipients]
    assert [verdict.kind for verdict in verdicts] == kinds
    assert {verdict.stage for verdict in verdicts} == {stage}
    assert (machine.go_ahead, machine.broken, machine.accepted) == (go_ahead, broken, [])


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    "codes", [[354], [250, 354], [250, 250, 350], [250, 250, 250, 250], [250, 250, 550, 221], [250, 250, 250, 200]]
)
def test_replies_out_of_step_are_noticed(codes, pipelining):
    machine = transaction(pipelining=pipelining)
    answers = iter(codes)
    while not machine.out_of_step and machine.take():
        while machine.waiting and not machine.out_of_step:
            machine.receive(Reply(next(answers), ("x",)))
    assert machine.out_of_step
    assert list(answers) == []


@pytest.mark.parametrize(
    ("pipelining", "recipients", "codes", "doubtful"),
    [
        (True, 1, [250, 550, 554], False),
        (True, 1, [250, 250, 550], True),
        (True, 1, [250, 250, 451], False),
        (True, 1, [550, 503, 503], True),
        (True, 2, [250, 550, 550, 554], True),
        (True, 2, [250, 450, 450, 554], False),
        (True, 2, [250, 550, 250, 354], False),
        (True, 2, [421], False),
        (False, 1, [250, 550], False),
        (False, 1, [550], False),
        (False, 2, [250, 550, 450], True),
        (False, 2, [250, 550, 250, 554], True),
    ],
)
def test_a_refusal_that_may_be_anothers(pipelining, recipients, codes, doubtful):
    machine = Transaction(ENVELOPE, ENVELOPE.recipients[:recipients], Capabilities(pipelining=pipelining), reset=False)
    run(machine, codes)
    assert machine.doubtful is doubtful


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("codes", [[550], [250, 550]])
def test_a_first_refusal_on_a_used_connection_may_be_anothers(codes, pipelining):
    """The dot before was answered twice: the second answer comes once MAIL is out, and DATA is never asked."""
    codes = codes + [503] * (3 - len(codes)) if pipelining else codes
    machine = Transaction(ENVELOPE, ("a@x",), Capabilities(pipelining=pipelining), reset=False, used=True)
    run(machine, codes)
    # With pipelining an answer too many makes a refusal that follows a taken MAIL impossible.
    assert machine.doubtful is (not pipelining or codes[0] == 550)


@pytest.mark.parametrize(
    ("reply", "too_many"),
    [
        (Reply(452, ("4.5.3 Too many recipients",)), True),
        (Reply(552, ("5.5.3 no more",)), True),
        (Reply(552, ("4.5.3 no more",)), True),
        (Reply(451, ("4.5.3 enough",)), True),
        (Reply(550, ("5.5.3 RESOLVER.ADR.RecipLimit",)), True),
        (Reply(452, ("enough",)), True),
        (Reply(552, ("enough",)), True),
        (Reply(450, ("Error: too many recipients",)), True),
        (Reply(452, ("hello", "4.5.3 Too many recipients")), True),
        (Reply(452, ("4.2.2 Mailbox full",)), False),
        (Reply(452, ("4.3.1 Insufficient system storage",)), False),
        (Reply(552, ("5.2.2 Mailbox full",)), False),
        (Reply(450, ("4.7.1 too many recipients",)), False),
        (Reply(550, ("User unknown",)), False),
        (Reply(250, ("4.5.3",)), False),
    ],
)
def test_one_too_many(reply, too_many):
    assert is_one_too_many(reply) is too_many


def test_parameters():
    full = Capabilities(size_known=True, smtputf8=True, eight_bit=True)
    utf8 = SmtpEnvelope("", ("ü@x",), size=7)
    assert Transaction(utf8, utf8.recipients, full, reset=False).take() == [
        "MAIL FROM:<> SIZE=7 SMTPUTF8 BODY=8BITMIME"
    ]
    assert Transaction(ENVELOPE, ("a@x",), full, reset=False).take() == [MAIL + " SIZE=10"]
    named = msgspec.structs.replace(ENVELOPE, envelope_id="1a2063")
    assert Transaction(named, ("a@x",), full, reset=False).take() == [MAIL + " SIZE=10"]
    dsn = msgspec.structs.replace(full, dsn=True)
    assert Transaction(named, ("a@x",), dsn, reset=False).take() == [MAIL + " SIZE=10 ENVID=1a2063"]
    long = msgspec.structs.replace(ENVELOPE, envelope_id="x" * 101)
    assert Transaction(long, ("a@x",), dsn, reset=False).take() == [MAIL + " SIZE=10"]


@pytest.mark.parametrize(
    ("envelope", "refused"),
    [
        (ENVELOPE, set()),
        (SmtpEnvelope("s@x", ("a@x",), size=101), {"a@x"}),
        (SmtpEnvelope("s@x", ("a@x",), size=100), set()),
        (SmtpEnvelope("s@x", ("a@x",), smtputf8=True), {"a@x"}),
        (SmtpEnvelope("ü@x", ("a@x",)), {"a@x"}),
        (SmtpEnvelope("s@x\r\nRCPT TO:<z@x", ("a@x",)), {"a@x"}),
        (SmtpEnvelope("s@x", ("a@x", "b@x>\r\nDATA", "")), {"b@x>\r\nDATA", ""}),
    ],
)
def test_refused_here(envelope, refused):
    verdicts = refused_here(envelope, Capabilities(size=100))
    assert set(verdicts) == refused
    assert all(v.kind is Kind.REJECTED and v.code is None for v in verdicts.values())


REPORTS = SmtpEnvelope("a@x.example", ("b@x.example",), envelope_id="1a2063", dsn=Dsn(full=False))


@pytest.mark.parametrize(
    ("dsn", "mail", "rcpt"),
    [
        (Dsn(full=False), " RET=HDRS ENVID=1a2063", ""),
        (Dsn(full=True, id="a+b=c d", notify=("SUCCESS", "FAILURE")), " RET=FULL ENVID=a+2Bb+3Dc+20d",
         " NOTIFY=SUCCESS,FAILURE"),
        (Dsn(full=True, notify=("NEVER",), recipient="o+r@x.example"), " RET=FULL ENVID=1a2063",
         " NOTIFY=NEVER ORCPT=rfc822;o+2Br@x.example"),
        (Dsn(full=True, recipient="j\u00f6@x.example"), " RET=FULL ENVID=1a2063", " ORCPT=utf-8;j\\x{F6}@x.example"),
    ],
)  # fmt: skip
def test_reports_are_asked_for_where_they_are_offered(dsn, mail, rcpt):
    envelope = msgspec.structs.replace(REPORTS, dsn=dsn)
    asked = Transaction(envelope, envelope.recipients, Capabilities(dsn=True, pipelining=True), reset=False).take()
    assert asked == [f"MAIL FROM:<a@x.example>{mail}", f"RCPT TO:<b@x.example>{rcpt}", "DATA"]
    plain = Transaction(envelope, envelope.recipients, Capabilities(pipelining=True), reset=False).take()
    assert plain == ["MAIL FROM:<a@x.example>", "RCPT TO:<b@x.example>", "DATA"]


def test_text_beyond_ascii_needs_8bitmime():
    envelope = SmtpEnvelope("a@x.example", ("b@x.example",), eight_bit=True)
    offered = Capabilities(eight_bit=True)
    assert refused_here(envelope, offered) == {}
    transaction = Transaction(envelope, envelope.recipients, offered, reset=False)
    assert transaction.take() == ["MAIL FROM:<a@x.example> BODY=8BITMIME"]
    (verdict,) = refused_here(envelope, Capabilities(smtputf8=True)).values()
    assert (verdict.kind, verdict.code) == (Kind.REJECTED, None)
    assert verdict.text.endswith("the server does not offer 8BITMIME")
