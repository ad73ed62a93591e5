"""The machine without a network: literals and logins, which go on when the server says so."""

import base64
import hmac

import pytest
from imap_machine import CREDENTIALS, greeted, logged_in

from engine import sasl
from engine.errors import ProtocolError
from engine.imap import commands, limits
from engine.imap.dialogue import joined
from engine.imap.protocol import Protocol, ProtocolState


def authenticate(mechanism_name: str, *, at_once: bool) -> tuple[Protocol, sasl.Mechanism]:
    protocol = greeted()
    mechanism = sasl.mechanisms([mechanism_name], CREDENTIALS, "nonce")[0]
    assert mechanism is not None
    protocol.start(commands.authenticate(mechanism, at_once=at_once))
    return protocol, mechanism


def test_literals_wait_for_the_go_ahead():
    protocol = greeted()
    protocol.start(commands.login("ü", "ö"))
    assert b"".join(joined(protocol.take_outgoing())) == b"A1 LOGIN {2}\r\n"
    protocol.receive(b"+ ready\r\n")
    assert b"".join(joined(protocol.take_outgoing())) == "ü {2}\r\n".encode()
    protocol.receive(b"+\r\n")
    assert b"".join(joined(protocol.take_outgoing())) == "ö\r\n".encode()
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
    assert b"".join(joined(protocol.take_outgoing())) == b'A1 APPEND "Sent" {7+}\r\nmessage\r\n'


def test_authenticate_at_once():
    protocol, mechanism = authenticate("PLAIN", at_once=True)
    initial = base64.b64encode(mechanism.initial() or b"")
    assert b"".join(joined(protocol.take_outgoing())) == b"A1 AUTHENTICATE PLAIN " + initial + b"\r\n"
    protocol.receive(b"A1 OK in\r\n")
    assert protocol.state is ProtocolState.AUTHENTICATED


def test_authenticate_when_asked():
    protocol, mechanism = authenticate("PLAIN", at_once=False)
    assert b"".join(joined(protocol.take_outgoing())) == b"A1 AUTHENTICATE PLAIN\r\n"
    protocol.receive(b"+ anything\r\n")
    assert b"".join(joined(protocol.take_outgoing())) == base64.b64encode(mechanism.initial() or b"") + b"\r\n"


def test_authenticate_again():
    protocol, mechanism = authenticate("PLAIN", at_once=False)
    protocol.receive(b"+ \r\nA1 NO [UNAVAILABLE] later\r\n")
    protocol.start(commands.authenticate(mechanism, at_once=False))
    protocol.take_outgoing()
    protocol.receive(b"+ \r\n")
    assert b"".join(joined(protocol.take_outgoing())) == base64.b64encode(b"\0u\0geheim") + b"\r\n"


def test_authenticate_in_two_rounds():
    protocol, _ = authenticate("LOGIN", at_once=False)
    protocol.take_outgoing()
    protocol.receive(b"+ VXNlcm5hbWU6\r\n")
    assert b"".join(joined(protocol.take_outgoing())) == base64.b64encode(b"u") + b"\r\n"
    protocol.receive(b"+ UGFzc3dvcmQ6\r\n")
    assert b"".join(joined(protocol.take_outgoing())) == base64.b64encode(b"geheim") + b"\r\n"
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
