"""An engine process whose lines to real servers go silent: behind a relay that forgets them, and on a way that loses
what is sent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.far_side import FarSide
from real.processes import PATIENCE_SECONDS, wait_until
from real.relay import Relay
from real.smtp_sink import SmtpSink
from real.test_connection_dovecot import MESSAGE, events, foreign, registration

pytestmark = [pytest.mark.real, pytest.mark.process, pytest.mark.long]


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
        wait_until(lambda: time.monotonic() - relay.passed_at > 1, "the line to be idle")
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


NOTICED = 30 + 2 * 8
"""Seconds after which the kernel gives up an idle line to a mailbox."""
RETURN = 60


@pytest.mark.parametrize("lost", ["to", "back", "both"])
async def test_a_way_that_loses_every_packet(
    lost: str,
    start_engine: Callable[..., EngineProcess],
    dovecot: Dovecot,
    smtp_sink: SmtpSink,
    far_side: FarSide,
) -> None:
    """The kernel notices it; when packets arrive again mail goes and comes, each once."""
    engine = start_engine(ENGINE_IMAP__HEARTBEAT="1h")
    direct = registration(dovecot, "acme")
    with (
        Relay(dovecot.plain_host, dovecot.plain_port, far_side.listen()) as imap,
        Relay(smtp_sink.host, smtp_sink.port, far_side.listen()) as smtp,
    ):
        way = {"host": far_side.host, "tls": {"required": False}}
        servers = {"imap": {**direct["imap"], **way, "port": imap.port, "resyncDelay": 3600}}
        servers["smtp"] = {**way, "port": smtp.port}
        assert engine.request("POST", "/v1/account", {**direct, **servers}).status == 200
        engine.wait_for_state("acme", "connected")
        # All is acknowledged: a server that repeats itself looks alive to the kernel.
        wait_until(lambda: time.monotonic() - imap.passed_at > 1, "the line to be quiet")
        far_side.lose(to=lost != "back", back=lost != "to")
        session = await foreign(dovecot, direct)
        await session.append("INBOX", [MESSAGE % (1, 1)], flags=())
        await session.logout()

        def state() -> str:
            return str(engine.request("GET", "/v1/account/acme").json["state"])

        wait_until(lambda: state() != "connected", "the line to be given up", NOTICED + PATIENCE_SECONDS)
        submission = {"to": [{"address": "you@example.com"}], "subject": "out", "text": "x"}
        assert engine.request("POST", "/v1/account/acme/submit", submission).status == 200
        far_side.mend()

        def told() -> Counter[str]:
            return Counter(each["event"] for each in events(engine, "acme") if each.get("path") in (None, "INBOX"))

        wait_until(lambda: told()["messageNew"] and told()["messageSent"], "mail both ways", RETURN + PATIENCE_SECONDS)
        assert len(smtp_sink.wait_for_messages()) == 1
        assert told()["messageNew"] == told()["messageSent"] == 1
        assert not told()["messageInDoubt"]
