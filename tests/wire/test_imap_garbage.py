"""Whatever stands between the responses that are needed, these are understood as if it were not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.imap import commands
from engine.imap.commands import Command
from engine.imap.protocol import Completion, Protocol, ProtocolState
from engine.imap.responses import Flags, StatusResponse, Untagged

DIALOGUE: list[tuple[Callable[[], Command], list[bytes]]] = [
    (
        lambda: commands.list_mailboxes(special_use=False),
        [b'* LIST () "/" INBOX\r\n', b'* LIST (\\Sent) "/" {4}\r\nSent\r\n', b"A1 OK done\r\n"],
    ),
    (lambda: commands.status(b"x", ["UIDNEXT"]), [b'* STATUS "x" (UIDNEXT 7)\r\n', b"A2 OK\r\n"]),
    (
        lambda: commands.select(b"INBOX"),
        [b"* 3 EXISTS\r\n", b"* OK [UIDVALIDITY 5] x\r\n", b"* OK [UIDNEXT 8] x\r\n", b"A3 OK [READ-WRITE] done\r\n"],
    ),
    (lambda: commands.uid_search([b"ALL"]), [b"* SEARCH 5 6 7\r\n", b"A4 OK\r\n"]),
    (
        lambda: commands.uid_fetch("5:7", ["FLAGS"]),
        [
            b'* 1 FETCH (UID 5 FLAGS (\\Seen) ENVELOPE ("d" {3}\r\ns"( NIL NIL NIL NIL NIL NIL NIL "<i>"))\r\n',
            b"* 2 FETCH (UID 6 FLAGS ())\r\n",
            b"A5 OK\r\n",
        ],
    ),
    (commands.noop, [b"* 4 EXISTS\r\n", b"* 2 EXPUNGE\r\n", b"A6 OK\r\n"]),
    (commands.idle, [b"+ idling\r\n", b"* 5 EXISTS\r\n", b"A7 OK\r\n"]),
]


def needed(response: Untagged) -> bool:
    """The others that belong to an answer are not looked at."""
    if isinstance(response, StatusResponse):
        return response.code is not None and response.code.name in ("UIDVALIDITY", "UIDNEXT")
    return not isinstance(response, Flags)


def heard(garbage: Sequence[bytes], step: int = 10**9) -> tuple[list[Completion], list[Untagged]]:
    """What is understood of the dialogue with one piece of garbage before each response, in bites of `step` bytes."""
    protocol, pieces = Protocol(), iter(garbage)
    protocol.receive(b"* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n")
    completions: list[Completion] = []
    news: list[Untagged] = []
    for command, responses in DIALOGUE:
        protocol.start(command())
        for response in responses:
            data = next(pieces, b"") + response
            for place in range(0, len(data), step):
                protocol.receive(data[place : place + step])
        assert protocol.completion is not None
        completions.append(Completion(protocol.completion.status, list(filter(needed, protocol.completion.data))))
        news += protocol.take_news()
    assert protocol.state is ProtocolState.SELECTED
    return completions, news


SAID = heard([])
ODD = [
    b"",
    b"\r\n",
    b"\n",
    b" \r\n",
    b"*\r\n",
    b"* \r\n",
    b"* OK\r\n",
    b"* OK [\r\n",
    b"* NO [x\r\n",
    b"* BAD Null command\r\n",
    b"* PREAUTH again\r\n",
    b"*  OK  [ALERT]  spaces  \r\n",
    b"+\r\n",
    b"A0 OK old\r\n",
    b"A99 NO unknown\r\n",
    b"%s\r\n" % (b"x" * 5000),
    b"\x00\xff\xfe\r\n",
    b'* X-INFO (unclosed "foo\r\n',
    b'* X-INFO (a))) "b" ((\r\n',
    b'* X-INFO "x {3}\r\n\r\n" (\r\n',
    b"* X-INFO (((( {12+}\r\nA1 OK done\r\n ~{1}\r\n( x\r\n",
    b'* NAMESPACE (("" "/")(#hidden NIL)) NIL\r\n',
    b"* NAMESPACE {0}\r\n\r\n",
    b'* ID ("name" "X" "version")\r\n',
    b'* FLAGS (\\Seen NIL "a]b" foo(bar say"hi {x} [ ] \xff)\r\n',
    b'* OK [PERMANENTFLAGS (\\Seen a]b ("x] ok\r\n',
    b"* CAPABILITY (\r\n",
    b'* ENABLED UTF8=ACCEPT "\r\n',
    b"* LIST\r\n",
    b'* LIST (\\Noselect) "/"\r\n',
    b"* STATUS\r\n",
    b"* STATUS (\r\n",
    b"* 99999999999 EXISTS\r\n",
    b"* -1 EXISTS\r\n",
    b"* EXISTS\r\n",
    b"* 5 X-ODD (((\r\n",
    b"* 1 FETCH\r\n",
    b"* 1 FETCH (\r\n",
    b"* 1 FETCH NIL\r\n",
    b"* 1 FETCH (((((\r\n",
    b'* QUOTA "" (STORAGE {2}\r\n"( 5\r\n',
    b'* METADATA "" (/shared/x {3}\r\n)"( NIL\r\n',
    b"* " + b"(" * 5000 + b"\r\n",
    b"* X " + b"1 " * 5000 + b"\r\n",
    b"* X " + b'"' * 5001 + b"\r\n",
]


def without_idle(garbage: bytes, place: int) -> bytes:
    """A continuation is meant for IDLE while that is asked for."""
    return b"" if garbage.startswith(b"+") and place >= 19 else garbage


@pytest.mark.parametrize("garbage", ODD)
@pytest.mark.parametrize("step", [1, 10**9])
def test_odd_responses_change_nothing(garbage, step):
    assert heard([without_idle(garbage, place) for place in range(22)], step) == SAID


WORDS = [
    b"(",
    b")",
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b"{5}",
    b"NIL",
    b" ",
    b"\t",
    b"\0",
    b"\xff",
    b"x",
    b"5",
    b"UID",
]
LINES = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=4)), max_size=12).map(
    lambda words: b"".join(words).replace(b"\n", b"").rstrip(b"}\r")
)
GARBAGE = st.one_of(
    LINES.map(lambda line: b"* X-" + line + b"\r\n"),
    LINES.map(lambda line: b"* FLAGS " + line + b"\r\n"),
    LINES.map(lambda line: b"* OK [X-" + line + b"\r\n"),
    LINES.map(lambda line: b"* ID (" + line + b"\n"),
    LINES.map(lambda line: b"Z9 " + line + b"\r\n"),
    st.tuples(LINES, st.binary(max_size=9), LINES).map(
        lambda parts: b"* X-" + parts[0] + b" {%d}\r\n" % len(parts[1]) + parts[1] + parts[2] + b"\r\n"
    ),
    st.sampled_from(ODD).filter(lambda line: not line.startswith(b"+")),
)


@settings(max_examples=200)
@given(st.lists(GARBAGE, max_size=22), st.sampled_from([1, 7, 10**9]))
@example([b'* X-( {1}\r\n"\r\n'] * 22, 1)
def test_garbage_between_responses_changes_nothing(garbage, step):
    assert heard(garbage, step) == SAID
