"""An engine process on a real Dovecot behind a relay that forgets its connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.relay import Relay
from real.test_mailbox_dovecot import MESSAGE, events, foreign, registration

pytestmark = [pytest.mark.real, pytest.mark.process]


async def test_a_line_that_is_forgotten_without_a_word(
    start_engine: Callable[..., EngineProcess], dovecot: Dovecot
) -> None:
    """The relay acknowledges all that is sent, so no kernel notices; the heartbeat does."""
    engine = start_engine(ENGINE_IMAP__HEARTBEAT="10s")
    direct = registration(dovecot, "acme")
    with Relay(dovecot.plain_host, dovecot.plain_port) as relay:
        server = {"host": "127.0.0.1", "port": relay.port, "resyncDelay": 900}
        behind = {**direct, "imap": {**direct["imap"], **server}}
        assert engine.request("POST", "/v1/account", behind).status == 200
        engine.wait_for_state("acme", "connected")
        relay.swallow()
        session = await foreign(dovecot, direct)
        await session.append("INBOX", [MESSAGE % (1, 1)], flags=())
        await session.logout()

        def told() -> bool:
            return "messageNew" in [each["event"] for each in events(engine, "acme")]

        wait_until(told, "the mail to be told", 10 + 15 + 10)
        names = [each["event"] for each in events(engine, "acme")]
        assert names.count("messageNew") == 1
        assert "connectError" not in names
