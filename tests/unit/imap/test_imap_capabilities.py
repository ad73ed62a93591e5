"""The machine without a network: what the server says it can do, before and after a login and STARTTLS."""

import pytest
from imap_machine import greeted, logged_in

from engine.errors import ProtocolError
from engine.imap import commands, limits


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
