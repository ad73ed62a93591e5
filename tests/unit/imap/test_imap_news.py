"""The machine without a network: what a server says unasked, and how much of it is kept."""

import pytest
from imap_machine import logged_in

from engine.errors import ProtocolError
from engine.imap import commands, limits
from engine.imap.dialogue import joined
from engine.imap.protocol import Protocol, ProtocolState
from engine.imap.responses import Exists, Expunge, Fetch, Flags, ListEntry, Vanished


def selected() -> Protocol:
    protocol = logged_in()
    protocol.start(commands.select(b"INBOX"))
    protocol.take_outgoing()
    protocol.receive(b"* 3 EXISTS\r\nA1 OK [READ-WRITE] done\r\n")
    assert protocol.state is ProtocolState.SELECTED
    return protocol


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


@pytest.mark.once
def test_data_of_one_command_is_bounded():
    protocol = logged_in()
    protocol.start(commands.list_mailboxes(special_use=False))
    with pytest.raises(ProtocolError, match="answer to one command"):
        for _ in range(limits.COLLECTED_WEIGHT // limits.FRAME_WEIGHT // 1000 + 1):
            protocol.receive(b"* LIST () NIL a\r\n" * 1000)


@pytest.mark.once
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


@pytest.mark.once
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
    assert b"".join(joined(protocol.take_outgoing())) == b'A2 NOOP\r\nA3 STATUS "INBOX" (MESSAGES)\r\n'
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
