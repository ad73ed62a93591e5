"""Accounts next to each other: hanging servers and a flooded account delay no other account, and order is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer
from torture_parts.backlog import queue
from torture_parts.rounds import lines, start_sink

from torture.accounts import entry, register, submit
from torture.scripted_smtp import Act, ScriptedServer

pytestmark = pytest.mark.process

StartEngine = Callable[..., EngineProcess]
SESSIONS = 2
HANGS = ("GREETING", "MAIL", "RCPT a@example.com", "DATA", "BODY")
"""Where the server of each bad account hangs; they are more than there are sessions."""
FLOOD = 200


def test_more_hanging_servers_than_sessions_hold_up_nobody(start_engine: StartEngine, smtp_server: SmtpServer) -> None:
    engine = start_engine(ENGINE_SMTP__SESSIONS=str(SESSIONS))
    register(engine, "good", smtp_server.port)
    servers = {stage: ScriptedServer() for stage in HANGS}

    def hanging() -> int:
        return sum(server.visits[stage] > 0 for stage, server in servers.items())

    try:
        for number, (stage, server) in enumerate(servers.items()):
            register(engine, f"h{number}", server.port)
            server.play({stage: [Act.STALL]})
        stuck = [submit(engine, f"h{number}")["queueId"] for number in range(len(servers))]
        wait_until(lambda: hanging() >= SESSIONS, "servers that hang")
        for number in range(1, 6):
            submit(engine, "good")
            smtp_server.wait_for_messages(number)
        # The time limits are minutes, so no attempt has timed out yet.
        assert not any(server.deliveries for server in servers.values())
        assert {entry(engine, each)["state"] for each in stuck} <= {"sending", "queued"}
        wait_until(lambda: hanging() == len(servers), "a turn for each that hangs")
    finally:
        engine.kill9()
        for server in servers.values():
            server.close()


def test_a_flooded_account_goes_in_order_and_holds_up_nobody(
    start_engine: StartEngine, smtp_server: SmtpServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        arrived = tmp_path / "arrived"
        port = start_sink(stack, arrived)
        engine = start_engine(ENGINE_SMTP__SESSIONS="1")
        register(engine, "flood", port)
        register(engine, "good", smtp_server.port)
        engine.kill9()
        queue(engine.folder, "flood", FLOOD, 2000, due_in=0.0, word="slow10")
        engine.start()
        wait_until(lambda: lines(arrived), "the flood")
        for number in range(1, 6):
            submit(engine, "good")
            smtp_server.wait_for_messages(number)
        assert len(lines(arrived)) < FLOOD
        wait_until(lambda: len(lines(arrived)) == FLOOD, "the whole flood", timeout=60)
        came = [int(each["key"].removeprefix("b")) for each in lines(arrived)]
        assert came == sorted(came)


@pytest.mark.executed
def test_a_start_with_many_queued_leaves_their_bodies_on_disk(start_engine: StartEngine, tmp_path: Path) -> None:
    count, body_bytes = 3000, 10_000
    with ExitStack() as stack:
        port = start_sink(stack, tmp_path / "arrived")
        engine = start_engine()
        register(engine, "jane", port)
        engine.kill9()
        engine.start()
        empty = resident_bytes(engine)
        engine.kill9()
        queue(engine.folder, "jane", count, body_bytes)
        engine.start()
        assert engine.request("GET", "/v1/outbox?pageSize=1").json["total"] == count
        assert resident_bytes(engine) - empty < count * body_bytes / 2
        submit(engine, "jane", to=("ok.new@example.com",))
        wait_until(lambda: lines(tmp_path / "arrived"), "a message that is due among many that are not")


def resident_bytes(engine: EngineProcess) -> int:
    """The memory the process has in RAM."""
    status = Path(f"/proc/{engine.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
