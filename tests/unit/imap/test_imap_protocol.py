"""The machine without a network: states, tags, continuations, capabilities, news."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import sasl
from engine.errors import ProtocolError
from engine.imap import commands, limits
from engine.imap.protocol import ALLOWED, COMPLETED, CommandRefused, Protocol, ProtocolState
from engine.imap.responses import Exists, Expunge, Fetch, Flags, ListEntry, StatusKind, Vanished
from engine.transcript import Trace

CREDENTIALS = sasl.Credentials(user="u", password="geheim", access_token=None)


def greeted(line: bytes = b"* OK hello\r\n", trace: Trace | None = None) -> Protocol:
    protocol = Protocol(trace)
    protocol.receive(line)
    return protocol


def logged_in(trace: Trace | None = None, capabilities: bytes = b"IMAP4rev1 IDLE") -> Protocol:
    protocol = greeted(b"* PREAUTH [CAPABILITY " + capabilities + b"] hello\r\n", trace)
    assert protocol.state is ProtocolState.AUTHENTICATED
    return protocol


def selected() -> Protocol:
    protocol = logged_in()
    protocol.start(commands.select(b"INBOX"))
    protocol.take_outgoing()
    protocol.receive(b"* 3 EXISTS\r\nA1 OK [READ-WRITE] done\r\n")
    assert protocol.state is ProtocolState.SELECTED
    return protocol


def authenticate(mechanism_name: str, *, at_once: bool) -> tuple[Protocol, sasl.Mechanism]:
    protocol = greeted()
    mechanism = sasl.mechanisms([mechanism_name], CREDENTIALS, "nonce")[0]
    assert mechanism is not None
    protocol.start(commands.authenticate(mechanism, at_once=at_once))
    return protocol, mechanism


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


@pytest.mark.parametrize(
    ("before", "reply", "known"),
    [
        (b"* OK [CAPABILITY IMAP4rev1 starttls] hi\r\n", b"A1 OK done\r\n", None),
        (b"* OK hi\r\n", b"A1 OK [CAPABILITY IMAP4rev1 Idle] done\r\n", {"IMAP4REV1", "IDLE"}),
        (b"* OK [CAPABILITY A] hi\r\n", b"* CAPABILITY IMAP4rev1 B\r\nA1 OK done\r\n", {"IMAP4REV1", "B"}),
    ],
)
def test_a_login_changes_capabilities(before, reply, known):
    protocol = greeted(before)
    protocol.start(commands.login("u", "p"))
    protocol.receive(reply)
    assert protocol.capabilities == known


@pytest.mark.parametrize("line", [b"* CAPABILITY %s\r\n", b"* ENABLED %s\r\n", b"* OK [CAPABILITY %s] hi\r\n"])
def test_capabilities_are_bounded(line):
    protocol = logged_in(capabilities=b"IMAP4rev1 ENABLE")
    protocol.start(commands.enable(["X1"]))
    protocol.receive(line % (b"IMAP4rev1 " + b" ".join(b"X%d" % number for number in range(2 * limits.CAPABILITIES))))
    assert len(protocol.enabled or protocol.capabilities or ()) == limits.CAPABILITIES


@pytest.mark.parametrize(
    "line", [b"* CAPABILITY\r\n", b"* CAPABILITY (x\r\n", b"* OK [CAPABILITY] x\r\n", b"* OK [CAPABILITY"]
)
def test_a_damaged_list_of_capabilities_changes_nothing(line):
    protocol = logged_in()
    protocol.receive(line + b"\r\n")
    assert protocol.capabilities == {"IMAP4REV1", "IDLE"}


def test_nothing_is_enabled_unasked():
    protocol = logged_in()
    protocol.receive(b"* ENABLED UTF8=ACCEPT\r\n")
    assert not protocol.utf8


def test_capabilities_told():
    protocol = greeted(b"* OK [CAPABILITY IMAP4rev1 starttls] hi\r\n")
    assert protocol.capabilities == {"IMAP4REV1", "STARTTLS"}
    protocol.start(commands.capability())
    protocol.receive(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA1 OK\r\n")
    assert protocol.capabilities == {"IMAP4REV1", "AUTH=PLAIN"}


@pytest.mark.parametrize(
    ("capabilities", "enabled", "utf8"),
    [
        (b"IMAP4rev1", b"", False),
        (b"IMAP4rev1 IMAP4rev2", b"", False),
        (b"IMAP4rev2", b"", True),
        (b"IMAP4rev1 UTF8=ACCEPT", b"", False),
        (b"IMAP4rev1", b"* ENABLED UTF8=ACCEPT\r\n", True),
        (b"IMAP4rev1 IMAP4rev2", b"* ENABLED IMAP4rev2\r\n", True),
        (b"IMAP4rev1", b"* ENABLED CONDSTORE\r\n", False),
    ],
)
def test_utf8(capabilities, enabled, utf8):
    protocol = logged_in(capabilities=capabilities)
    protocol.start(commands.enable(["UTF8=ACCEPT"]))
    protocol.receive(enabled)
    assert protocol.utf8 is utf8


# STARTTLS


@pytest.mark.parametrize(
    "behind", [b"* CAPABILITY X\r\n", b"A2 OK injected\r\n", b"*", b"\r\n", b"* LIST () NIL {10}\r\nabc"]
)
def test_nothing_may_follow_starttls(behind):
    protocol = greeted()
    protocol.start(commands.start_tls())
    with pytest.raises(ProtocolError, match="STARTTLS"):
        protocol.receive(b"A1 OK begin\r\n" + behind)


def test_starttls_forgets_what_was_said_in_clear():
    protocol = greeted(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\r\n")
    protocol.receive(b"* 5 EXISTS\r\n")
    protocol.start(commands.start_tls())
    protocol.receive(b"A1 OK [CAPABILITY X] begin\r\n")
    assert protocol.news == ()
    assert protocol.capabilities is None


def test_starttls_refused_changes_nothing():
    protocol = greeted(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
    protocol.start(commands.start_tls())
    protocol.receive(b"A1 BAD no\r\n* OK still here\r\n")
    assert protocol.capabilities == {"IMAP4REV1", "STARTTLS"}


# Continuations


def test_literals_wait_for_the_go_ahead():
    protocol = greeted()
    protocol.start(commands.login("ü", "ö"))
    assert b"".join(protocol.take_outgoing()) == b"A1 LOGIN {2}\r\n"
    protocol.receive(b"+ ready\r\n")
    assert b"".join(protocol.take_outgoing()) == "ü {2}\r\n".encode()
    protocol.receive(b"+\r\n")
    assert b"".join(protocol.take_outgoing()) == "ö\r\n".encode()
    protocol.receive(b"+ more\r\n")
    assert protocol.take_outgoing() == []


def test_a_refused_literal_is_not_sent():
    protocol = logged_in()
    protocol.start(commands.append(b"Sent", (), None, [b"message"]))
    protocol.take_outgoing()
    protocol.receive(b"A1 NO [TRYCREATE] no such mailbox\r\n")
    assert protocol.completion is not None
    assert protocol.completion.code == "TRYCREATE"
    protocol.receive(b"+ late\r\n")
    assert protocol.take_outgoing() == []


def test_ok_before_the_literal_is_a_lie():
    protocol = logged_in()
    protocol.start(commands.append(b"Sent", (), None, [b"message"]))
    with pytest.raises(ProtocolError, match="before it was complete"):
        protocol.receive(b"A1 OK [APPENDUID 1 2] stored\r\n")


def test_literal_plus_does_not_wait():
    protocol = logged_in(capabilities=b"IMAP4rev1 LITERAL+")
    protocol.start(commands.append(b"Sent", (), None, [b"message"]))
    assert b"".join(protocol.take_outgoing()) == b'A1 APPEND "Sent" {7+}\r\nmessage\r\n'


def test_authenticate_at_once():
    protocol, mechanism = authenticate("PLAIN", at_once=True)
    initial = base64.b64encode(mechanism.initial() or b"")
    assert b"".join(protocol.take_outgoing()) == b"A1 AUTHENTICATE PLAIN " + initial + b"\r\n"
    protocol.receive(b"A1 OK in\r\n")
    assert protocol.state is ProtocolState.AUTHENTICATED


def test_authenticate_when_asked():
    protocol, mechanism = authenticate("PLAIN", at_once=False)
    assert b"".join(protocol.take_outgoing()) == b"A1 AUTHENTICATE PLAIN\r\n"
    protocol.receive(b"+ anything\r\n")
    assert b"".join(protocol.take_outgoing()) == base64.b64encode(mechanism.initial() or b"") + b"\r\n"


def test_authenticate_again():
    protocol, mechanism = authenticate("PLAIN", at_once=False)
    protocol.receive(b"+ \r\nA1 NO [UNAVAILABLE] later\r\n")
    protocol.start(commands.authenticate(mechanism, at_once=False))
    protocol.take_outgoing()
    protocol.receive(b"+ \r\n")
    assert b"".join(protocol.take_outgoing()) == base64.b64encode(b"\0u\0geheim") + b"\r\n"


def test_authenticate_in_two_rounds():
    protocol, _ = authenticate("LOGIN", at_once=False)
    protocol.take_outgoing()
    protocol.receive(b"+ VXNlcm5hbWU6\r\n")
    assert b"".join(protocol.take_outgoing()) == base64.b64encode(b"u") + b"\r\n"
    protocol.receive(b"+ UGFzc3dvcmQ6\r\n")
    assert b"".join(protocol.take_outgoing()) == base64.b64encode(b"geheim") + b"\r\n"
    protocol.receive(b"A1 OK in\r\n")
    assert protocol.state is ProtocolState.AUTHENTICATED


@pytest.mark.parametrize("challenge", [b"not base64!", b"abc", b"=", "ü".encode(), b""])
def test_a_challenge_that_makes_no_sense_ends_the_mechanism_and_no_more(challenge):
    protocol, _ = authenticate("SCRAM-SHA-256", at_once=False)
    protocol.receive(b"+ \r\n")
    protocol.take_outgoing()
    protocol.receive(b"+ " + challenge + b"\r\n")
    assert protocol.take_outgoing() == [b"*\r\n"]
    protocol.receive(b"A1 BAD cancelled\r\n")
    assert protocol.completion is not None
    assert protocol.state is ProtocolState.NOT_AUTHENTICATED


@pytest.mark.parametrize(
    "prompts", [(b"Username:", b"Password:"), (b"", b""), (b"VXNlcm5hbWU6", b"UGFzc3dvcmQ"), (b"=", b"\xff")]
)
def test_prompts_in_any_words(prompts):
    protocol, _ = authenticate("LOGIN", at_once=False)
    protocol.take_outgoing()
    for prompt, answer in zip(prompts, (b"u", b"geheim"), strict=True):
        protocol.receive(b"+ " + prompt + b"\r\n")
        assert protocol.take_outgoing() == [base64.b64encode(answer) + b"\r\n"]


def test_a_challenge_in_clear():
    protocol, _ = authenticate("CRAM-MD5", at_once=False)
    protocol.take_outgoing()
    protocol.receive(b"+ <1.2@mail.example.com>\r\n")
    digest = hmac.new(b"geheim", b"<1.2@mail.example.com>", "md5").hexdigest()
    assert protocol.take_outgoing() == [base64.b64encode(b"u " + digest.encode()) + b"\r\n"]


@pytest.mark.parametrize("prompt", [b"+ \r\n", b"+\r\n", b"+ go ahead\r\n", b"+ VXNlcm5hbWU6\r\n"])
def test_a_first_response_the_server_took_no_notice_of_is_sent_again(prompt):
    protocol, mechanism = authenticate("PLAIN", at_once=True)
    protocol.take_outgoing()
    protocol.receive(prompt)
    assert protocol.take_outgoing() == [base64.b64encode(mechanism.initial() or b"") + b"\r\n"]
    protocol.receive(prompt)
    assert protocol.take_outgoing() == [b"*\r\n"]


def test_a_login_that_is_refused_leaves_what_was_known():
    protocol = greeted(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n")
    protocol.start(commands.login("u", "p"))
    protocol.receive(b"A1 NO no\r\n")
    assert protocol.capabilities == {"IMAP4REV1", "AUTH=PLAIN"}


def test_endless_challenges():
    protocol = greeted()

    class Patient:
        name = "PATIENT"

        def initial(self):
            return None

        def respond(self, challenge):
            return b""

    protocol.start(commands.authenticate(Patient(), at_once=True))
    with pytest.raises(ProtocolError, match="asked more than"):
        for _ in range(limits.AUTHENTICATE_ROUNDS + 1):
            protocol.receive(b"+ \r\n")


# News


def test_idle():
    protocol = selected()
    protocol.start(commands.idle())
    assert protocol.state is ProtocolState.SELECTED
    protocol.receive(b"* 4 EXISTS\r\n+ idling\r\n* OK Still here\r\n* 5 EXISTS\r\n")
    assert protocol.state is ProtocolState.IDLING
    protocol.take_outgoing()
    protocol.done()
    assert protocol.take_outgoing() == [b"DONE\r\n"]
    protocol.receive(b"* 2 EXPUNGE\r\nA2 OK done\r\n* 4 EXISTS\r\n")
    assert protocol.state is ProtocolState.SELECTED
    assert protocol.news == (Exists(4), Exists(5), Expunge(2), Exists(4))
    assert protocol.take_news() == [Exists(4), Exists(5), Expunge(2), Exists(4)]
    assert protocol.take_news() == []


def test_idle_ended_by_the_server():
    protocol = selected()
    protocol.start(commands.idle())
    protocol.receive(b"+\r\nA2 OK enough\r\n")
    assert protocol.state is ProtocolState.SELECTED
    with pytest.raises(RuntimeError):
        protocol.done()


def test_what_belongs_to_a_command_is_no_news():
    protocol = selected()
    protocol.start(commands.list_mailboxes(special_use=False))
    protocol.receive(
        b"* 4 EXISTS\r\n* LIST () NIL a\r\n* VANISHED 7\r\n* 1 FETCH (UID 9)\r\n* LIST () NIL b\r\nA2 OK\r\n"
    )
    assert protocol.completion is not None
    assert protocol.completion.data == [ListEntry(frozenset(), None, b"a"), ListEntry(frozenset(), None, b"b")]
    assert protocol.news == (Exists(4), Vanished(False, ((7, 7),)), Fetch(1, {"UID": "9"}))


def test_selecting_drops_the_news_of_the_mailbox_before():
    protocol = selected()
    protocol.receive(b"* 9 EXISTS\r\n")
    protocol.start(commands.select(b"other"))
    assert protocol.news == ()
    protocol.receive(b"* 8 EXPUNGE\r\n* FLAGS (x)\r\n* 1 EXISTS\r\nA2 OK\r\n* 2 EXISTS\r\n")
    assert protocol.completion is not None
    assert protocol.completion.data == [Flags(("x",)), Exists(1)]
    assert protocol.news == (Exists(2),)


def test_data_of_one_command_is_bounded():
    protocol = logged_in()
    protocol.start(commands.list_mailboxes(special_use=False))
    with pytest.raises(ProtocolError, match="answer to one command"):
        for _ in range(limits.COLLECTED_WEIGHT // limits.FRAME_WEIGHT // 1000 + 1):
            protocol.receive(b"* LIST () NIL a\r\n" * 1000)


def test_news_are_bounded_over_many_commands():
    protocol = selected()
    with pytest.raises(ProtocolError, match="more updates"):
        for number in range(2, limits.COLLECTED_WEIGHT // limits.FRAME_WEIGHT // 1000 + 3):
            protocol.start(commands.noop())
            protocol.receive(b"* 1 EXPUNGE\r\n" * 1000 + b"A%d OK\r\n" % number)


def test_ranges_weigh_what_they_cost():
    """A set of UIDs becomes an object many times its length: 32 of 400 kB each would be 700 MB of tuples."""
    protocol = selected()
    vanished = b"* VANISHED " + b"1," * 150_000 + b"1\r\n"
    with pytest.raises(ProtocolError, match="answer to one command"):
        for _ in range(3):
            protocol.receive(vanished)


def test_news_taken_make_room():
    protocol = selected()
    for number in range(2, limits.COLLECTED_WEIGHT // limits.FRAME_WEIGHT // 1000 + 3):
        protocol.start(commands.noop())
        protocol.receive(b"* 1 EXPUNGE\r\n" * 1000 + b"A%d OK\r\n" % number)
        assert len(protocol.take_news()) == 1000


def test_bye():
    protocol = selected()
    protocol.start(commands.noop())
    protocol.receive(b"* BYE [UNAVAILABLE] shutting down\r\n")
    assert protocol.state is ProtocolState.LOGOUT
    assert protocol.bye is not None
    assert protocol.bye.text == "shutting down"
    protocol.receive(b"A2 OK bye\r\n")
    assert protocol.state is ProtocolState.LOGOUT


# The transcript


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


@pytest.mark.parametrize(
    "answers",
    [
        b"* 4 EXISTS\r\nA2 OK done\r\n* STATUS INBOX (MESSAGES 4)\r\nA3 OK done\r\n",
        b"* STATUS INBOX (MESSAGES 4)\r\nA3 OK done\r\n* 4 EXISTS\r\nA2 OK done\r\n",
    ],
    ids=["in turn", "as Dovecot does"],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_commands_given_together_are_answered_in_any_order(answers, size):
    protocol = selected()
    protocol.start(commands.noop(), behind=[commands.status(b"INBOX", ["MESSAGES"], utf8=False)])
    assert b"".join(protocol.take_outgoing()) == b'A2 NOOP\r\nA3 STATUS "INBOX" (MESSAGES)\r\n'
    for at in range(0, len(answers), size):
        assert protocol.completion is None
        protocol.receive(answers[at : at + size])
    assert protocol.completion is not None
    nothing, status = protocol.completions
    assert (nothing.ok, nothing.data, status.ok) == (True, [], True)
    assert [each.items for each in status.data] == [{"MESSAGES": 4}]
    assert Exists(4) in protocol.take_news()


def test_one_of_the_commands_given_together_is_refused():
    protocol = selected()
    protocol.start(commands.noop(), behind=[commands.status(b"INBOX", ["MESSAGES"], utf8=False)])
    protocol.receive(b"A3 NO [NOPERM] no\r\n")
    with pytest.raises(RuntimeError):
        protocol.start(commands.noop())
    protocol.receive(b"A2 OK done\r\n")
    assert [each.ok for each in protocol.completions] == [True, False]
    protocol.start(commands.noop())
    assert protocol.completions == []
