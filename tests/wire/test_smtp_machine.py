"""Replies, capabilities, dots and the transaction, byte by byte."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.smtp.dots import DotStuffer
from engine.smtp.protocol import Capabilities, Envelope, Transaction, capabilities, refused_here
from engine.smtp.replies import Reply, ReplyParser
from engine.smtp.verdict import Kind, Stage

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


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"\r\n",
        b"25\r\n",
        b"2500 x\r\n",
        b"199 x\r\n",
        b"600 x\r\n",
        b"250-a\r\n251 b\r\n",
        b"250 " + b"x" * 2045 + b"\r\n",
        b"x" * 2049,
        b"250-" + b"x" * 2000 + b"\r\n",
    ],
)
def test_no_replies(data):
    parser = ReplyParser()
    with pytest.raises(ProtocolError):
        for _ in range(40):
            assert parser.feed(data) == []
    with pytest.raises(ProtocolError):
        parser.feed(b"250 ok\r\n")


def test_a_reply_before_the_offence_counts():
    parser = ReplyParser()
    assert parser.feed(b"250 ok\r\nrubbish\r\n") == [Reply(250, ("ok",))]
    assert not parser.idle
    with pytest.raises(ProtocolError):
        parser.feed(b"")


@given(st.binary(max_size=300))
def test_any_bytes(data):
    try:
        for reply in ReplyParser().feed(data):
            assert 200 <= reply.code < 600
    except ProtocolError:
        pass


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


ENVELOPE = Envelope("s@example.com", ("a@x", "b@x"), size=10)
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
        ([250, 250, 250, 250], [Kind.LATER] * 2, Stage.DATA, False, True),
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


def test_parameters():
    full = Capabilities(size_known=True, smtputf8=True, eight_bit=True)
    utf8 = Envelope("", ("ü@x",), size=7)
    assert Transaction(utf8, utf8.recipients, full, reset=False).take() == [
        "MAIL FROM:<> SIZE=7 SMTPUTF8 BODY=8BITMIME"
    ]
    assert Transaction(ENVELOPE, ("a@x",), full, reset=False).take() == [MAIL + " SIZE=10"]
    named = msgspec.structs.replace(ENVELOPE, envelope_id="1a2063")
    assert Transaction(named, ("a@x",), full, reset=False).take() == [MAIL + " SIZE=10"]
    dsn = msgspec.structs.replace(full, dsn=True)
    assert Transaction(named, ("a@x",), dsn, reset=False).take() == [MAIL + " SIZE=10 ENVID=1a2063"]
    unsafe = msgspec.structs.replace(ENVELOPE, envelope_id="a b")
    assert Transaction(unsafe, ("a@x",), dsn, reset=False).take() == [MAIL + " SIZE=10"]


@pytest.mark.parametrize(
    ("envelope", "refused"),
    [
        (ENVELOPE, set()),
        (Envelope("s@x", ("a@x",), size=101), {"a@x"}),
        (Envelope("s@x", ("a@x",), size=100), set()),
        (Envelope("s@x", ("a@x",), smtputf8=True), {"a@x"}),
        (Envelope("ü@x", ("a@x",)), {"a@x"}),
        (Envelope("s@x\r\nRCPT TO:<z@x", ("a@x",)), {"a@x"}),
        (Envelope("s@x", ("a@x", "b@x>\r\nDATA", "")), {"b@x>\r\nDATA", ""}),
    ],
)
def test_refused_here(envelope, refused):
    verdicts = refused_here(envelope, Capabilities(size=100))
    assert set(verdicts) == refused
    assert all(v.kind is Kind.REJECTED and v.code is None for v in verdicts.values())
