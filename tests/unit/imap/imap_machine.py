"""The machine in each of its states, for tests without a network."""

from engine import sasl
from engine.imap.protocol import Protocol, ProtocolState
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
