"""An access token that ends in the middle of something: while a message is sent, stored or copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from signed_in import ELSEWHERE, at
from simulation import Simulation

from engine.model.message_states import State
from engine.sandbox.faults import HANG_UP

EXPIRED = "Session invalidated - AccessTokenExpired"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


@pytest.mark.parametrize(
    ("instead_of", "said"),
    [
        ("250 2.1.0", "530 5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM"),
        ("250 2.1.5", "530 5.7.57 Client was not authenticated"),
        ("250 2.1.5", "535 5.7.3 Authentication unsuccessful"),
        ("354", "530 5.7.0 Authentication required"),
        ("354", "535 5.7.8 Authentication credentials invalid"),
        ("354", f"421 4.7.0 {EXPIRED}"),
        ("250 2.0.0", "535 5.7.3 Authentication unsuccessful"),
        ("250 2.0.0", f"451 4.7.0 {EXPIRED}"),
    ],
)
@pytest.mark.parametrize("reused", [False, True])
async def test_within_a_message_it_charges_nothing_and_tells_nobody(
    simulation: Simulation, autojump_clock: object, instead_of: str, said: str, reused: bool
) -> None:
    async with at(simulation) as it:
        await it.register()
        faults, left = it.engine.sandbox.faults, [1]

        def rewrite(line: str) -> str:
            if left and line.startswith(instead_of):
                left.clear()
                return said
            return line

        if reused:
            first = await it.send()
            await it.engine.until_ended(first)
        faults.smtp_rewrite = rewrite
        sent = await it.send()
        await it.engine.until_ended(sent)
        assert not left, "the fault happened"
        assert it.engine.state(sent) is State.SENT
        assert (await it.engine.entry(sent))["attemptsMade"] == 1
        assert not {"authenticationError", "messageDeliveryError", "messageFailed"} & set(it.names())
        shown = await it.shown()
        assert shown["sending"]["state"] == shown["state"] == "connected"


@pytest.mark.parametrize("how", [f"* BYE {EXPIRED}\r\n".encode(), HANG_UP])
async def test_within_an_append_the_copy_is_made_once_and_nobody_is_told(
    simulation: Simulation, autojump_clock: object, how: bytes
) -> None:
    async with at(simulation) as it:
        await it.register()
        faults, left = it.engine.sandbox.faults, [1]

        async def cut() -> None:
            faults.cut_imap()

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            if name != "APPEND" or not left:
                return None
            left.clear()
            if how is not HANG_UP:
                trio.lowlevel.spawn_system_task(cut)
            return how

        faults.imap_script = script
        sent = await it.send()
        await it.engine.until_ended(sent)
        await trio.sleep(3600)
        assert not left, "the fault happened"
        assert (await it.ask("GET", "/v1/account/acme/messages?path=Sent"))["total"] == 1
        left.append(1)
        draft: dict[str, Any] = {"path": "Drafts", "subject": "Kept", "text": "x", "to": [{"address": ELSEWHERE}]}
        answer = await it.caller.ask("POST", "/v1/account/acme/message", draft)
        assert answer.status == 503 and answer.json["code"] == "IMAPUnavailable", answer
        await trio.sleep(60)
        assert (await it.ask("POST", "/v1/account/acme/message", draft))["id"]
        assert (await it.ask("GET", "/v1/account/acme/messages?path=Drafts"))["total"] == 1
        assert "authenticationError" not in it.names() and (await it.shown())["state"] == "connected"
