"""The machine without a network: states, tags, endings, transcript, whatever a server says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imap_machine import CREDENTIALS, greeted

from engine import sasl
from engine.errors import ProtocolError
from engine.imap import commands
from engine.imap.protocol import ALLOWED, COMPLETED, CommandRefused, Protocol, ProtocolState
from engine.imap.responses import StatusKind
from engine.transcript import Trace


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (b"* OK hello\r\n", ProtocolState.NOT_AUTHENTICATED),
        (b"* PREAUTH hello\r\n", ProtocolState.AUTHENTICATED),
        (b"* BYE too many\r\n", ProtocolState.LOGOUT),
        (b"* NO Server Unavailable\r\n", ProtocolState.LOGOUT),
        (b"* BAD x\r\n", ProtocolState.LOGOUT),
        (b"*  OK  hello\n", ProtocolState.NOT_AUTHENTICATED),
    ],
)
def test_greeting(line, state):
    protocol = Protocol()
    assert protocol.state is ProtocolState.GREETING
    protocol.receive(line)
    assert protocol.state is state
    assert protocol.greeting is not None
    assert protocol.capabilities is None
    assert (protocol.bye is protocol.greeting) == (state is ProtocolState.LOGOUT)


@pytest.mark.parametrize(
    "line", [b"* 3 EXISTS\r\n", b"* (\r\n", b"* FOO\r\n", b"+ go\r\n", b"A1 OK x\r\n", b"220 smtp\r\n"]
)
def test_no_greeting(line):
    with pytest.raises(ProtocolError):
        greeted(line)


def test_a_second_greeting_lets_nobody_in():
    protocol = greeted()
    protocol.receive(b"* PREAUTH again\r\n")
    assert protocol.state is ProtocolState.NOT_AUTHENTICATED


@pytest.mark.parametrize("state", ProtocolState)
@pytest.mark.parametrize("name", ALLOWED)
def test_commands_belong_to_states(state, name):
    protocol = Protocol()
    protocol.state = state
    command = commands.Command(name=name)
    if state in ALLOWED[name]:
        protocol.start(command)
        assert protocol.take_outgoing() == [b"A1 " + name.encode(), b"\r\n"]
        assert protocol.take_outgoing() == []
    else:
        with pytest.raises(RuntimeError):
            protocol.start(command)


@pytest.mark.parametrize("kind", [StatusKind.OK, StatusKind.NO, StatusKind.BAD])
@pytest.mark.parametrize("name", ALLOWED)
def test_completion_leads_where_the_table_says(name, kind):
    for state in ALLOWED[name]:
        protocol = Protocol()
        protocol.state = state
        protocol.start(commands.Command(name=name))
        protocol.receive(f"A1 {kind} text\r\n".encode())
        assert protocol.state is COMPLETED.get((name, kind), state)
        assert protocol.completion is not None
        assert protocol.completion.ok == (kind is StatusKind.OK)


def test_one_command_at_a_time():
    protocol = greeted()
    protocol.start(commands.noop())
    with pytest.raises(RuntimeError):
        protocol.start(commands.noop())


def test_refusal():
    protocol = greeted()
    protocol.start(commands.noop())
    protocol.receive(b"A1 NO [OVERQUOTA] Full.\r\n")
    assert protocol.completion is not None
    error = protocol.completion.refused()
    assert isinstance(error, CommandRefused)
    assert (error.response, error.code) == ("A1 NO [OVERQUOTA] Full.", "OVERQUOTA")


@pytest.mark.parametrize(
    "data",
    [
        b"A2 OK not ours\r\n",
        b"A0 OK not ours\r\n",
        b"A0\r\n",
        b"+ go on\r\n",
        b"+\r\n",
        b"+\n",
        b"\x16\x03\x01\r\n",
        b"nonsense\r\n",
        b" \r\n",
        b"\0\r\n",
        b"*\r\n",
    ],
)
def test_answers_nobody_asked_for(data):
    protocol = greeted()
    protocol.receive(data)
    protocol.start(commands.noop())
    protocol.receive(data)
    assert protocol.completion is None
    protocol.receive(b"A1 OK\r\n" + data)
    assert protocol.completion is not None
    assert protocol.completion.ok
    assert protocol.take_news() == []


@pytest.mark.parametrize("data", [b"A1 BYE no\r\n", b"A1 PREAUTH no\r\n", b"A1 OKAY\r\n", b"A1\r\n", b"A1 x y\r\n"])
def test_the_end_of_a_command_in_odd_words_is_no_success(data):
    protocol = greeted()
    protocol.start(commands.noop())
    protocol.receive(data)
    assert protocol.completion is not None
    assert protocol.completion.status.kind is StatusKind.BAD
    assert protocol.bye is None


@pytest.mark.parametrize(
    "data", [b"a1 ok done\r\n", b"A1  OK  done\r\n", b"A1\tOK\r\n", b"A1 OK done\n", b"A1 OK \r\n"]
)
def test_the_end_of_a_command_in_odd_spelling(data):
    protocol = greeted()
    protocol.start(commands.noop())
    protocol.receive(data)
    assert protocol.completion is not None
    assert protocol.completion.ok


def test_empty_lines_are_forgiven():
    protocol = greeted(b"* OK hello\r\n\r\n")
    protocol.start(commands.noop())
    protocol.receive(b"\r\nA1 OK\r\n\r\n")
    assert protocol.completion is not None


# Capabilities


def test_trace():
    trace = Trace()
    protocol = greeted(b"* OK hello\r\n", trace)
    protocol.start(commands.login("u", "geheim"))
    protocol.receive(b"* 1 FETCH (BODY[] {6}\r\nsecret)\r\nA1 NO [AUTHENTICATIONFAILED] no\x1b[31m\r\n")
    mechanism = sasl.mechanisms(["LOGIN"], CREDENTIALS)[0]
    assert mechanism is not None
    protocol.start(commands.authenticate(mechanism, at_once=False))
    protocol.receive(b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\nA2 OK in\r\n")
    protocol.start(commands.append(b"Sent", (), None, [b"secret"]))
    protocol.receive(b"+ go\r\n")
    assert trace.lines() == [
        "S: * OK hello",
        'C: A1 LOGIN "u" [secret]',
        "S: * 1 FETCH [32 bytes]",
        "S: A1 NO [AUTHENTICATIONFAILED] no [31m",
        "C: A2 AUTHENTICATE LOGIN",
        "S: + [13 bytes]",
        "C: [secret]",
        "S: + [13 bytes]",
        "C: [secret]",
        "S: A2 OK in",
        'C: A3 APPEND "Sent" [6 bytes]',
        "S: + go",
    ]


WORDS = [
    b"* ",
    b"A1 ",
    b"+ ",
    b"OK ",
    b"NO ",
    b"5 ",
    b"EXISTS",
    b"LIST () NIL x",
    b"FETCH (UID 1)",
    b"\r\n",
    b"BYE ",
    b"{1}",
]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=8)), max_size=40), st.integers(0, 4))
def test_arbitrary_servers(words, start):
    """Whatever a server says, nothing but `ProtocolError` comes out."""
    protocol = greeted()
    if start:
        protocol.start(
            [commands.noop(), commands.capability(), commands.login("u", "ü"), commands.start_tls()][start - 1]
        )
    try:
        for word in words:
            protocol.receive(word)
            protocol.take_outgoing()
    except ProtocolError:
        return
