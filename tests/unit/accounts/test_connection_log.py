"""What the log tells of an account's connections."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing
from seeded_world import SeededWorld

from engine.accounts.connection_log import IMAP, MANY_LOSSES, SENDING, ConnectionLog
from engine.accounts.remedies import Server
from engine.errors import NetworkError, NetworkKind

SERVER = Server("imap", "imap.example.com", 993, True, "jo@example.com")
LOST = NetworkError(NetworkKind.CLOSED, "ECONNRESET", "read ECONNRESET")
REFUSED = {"response": "connect ECONNREFUSED", "serverResponseCode": "ECONNREFUSED", "description": "Nothing listens."}


@pytest.fixture
def story(caplog: pytest.LogCaptureFixture) -> ConnectionLog:
    caplog.set_level(logging.INFO, "engine.account")
    return ConnectionLog("bob", SeededWorld(1))


async def test_connections_lost_now_and_then_are_not_worth_a_line(
    story: ConnectionLog, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(100):
        story.lost(SERVER, LOST)
        await trio.sleep(1000)
    assert caplog.messages == []


async def test_connections_lost_all_the_time_are_one_line_an_hour(
    story: ConnectionLog, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    for number in range(1, 2 * 60 + MANY_LOSSES):
        story.lost(SERVER, LOST)
        assert len(caplog.messages) == (number >= MANY_LOSSES) + (number >= 60 + MANY_LOSSES), number
        await trio.sleep(60)
    assert caplog.messages[0].startswith(
        "the connection to imap.example.com:993 was lost 5 times within the last 4 min"
    )
    assert caplog.messages[0].endswith("read ECONNRESET")


async def test_mailbox_and_sending_have_troubles_of_their_own(
    story: ConnectionLog, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    story.failed(IMAP, REFUSED)
    story.failed(SENDING, REFUSED)
    story.failed(SENDING, {**REFUSED, "response": "connect ECONNREFUSED 10.0.0.7:25"})
    await trio.sleep(300)
    story.well(SENDING, "smtp.example.com:587")
    story.well(SENDING, "smtp.example.com:587")
    assert caplog.messages == [
        "no connection to the IMAP server: Nothing listens. The error: connect ECONNREFUSED",
        "cannot send: Nothing listens. The error: connect ECONNREFUSED",
        "can send through smtp.example.com:587 again after 5 min, in which 2 attempts failed",
    ]
    assert {record.__dict__["account"] for record in caplog.records} == {"bob"}


async def test_a_changed_account_begins_anew(
    story: ConnectionLog, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(2):
        story.failed(IMAP, REFUSED)
        story.changed()
    story.well(IMAP, "imap.example.com:993")
    assert len(caplog.messages) == 3
    assert caplog.messages[-1] == "connected to imap.example.com:993"
