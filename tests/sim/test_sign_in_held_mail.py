"""Mail of an account that has no access token: it waits, and no attempt is begun that could not log in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from signed_in import ANN, at
from simulation import Simulation

from engine.model.message_states import State
from engine.queue.attempt import Attempts
from engine.sandbox.oauth import Fault


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The messages of which an attempt was begun."""
    found: list[int] = []
    begin = Attempts.begin

    async def begin_noted(self: Attempts, message: int, due: float) -> Any:
        found.append(message)
        return await begin(self, message, due)

    monkeypatch.setattr(Attempts, "begin", begin_noted)
    return found


async def test_no_attempt_is_begun_while_the_grant_is_gone(
    simulation: Simulation, autojump_clock: object, begun: list[int]
) -> None:
    async with at(simulation) as it:
        await it.register()
        it.oauth.revoke_user(ANN)
        await it.until("authenticationError")
        sent = [await it.send() for _ in range(2)]
        await trio.sleep(2 * 86_400)
        assert begun == []
        entry = await it.engine.entry(sent[0])
        assert entry["attemptsMade"] == 0 and entry["waitingFor"]["kind"] == "login"
        assert (await it.shown())["sending"]["state"] == "authenticationError"
        _, oauth2 = it.granted()
        await it.ask("PUT", "/v1/account/acme", {"oauth2": oauth2})
        await it.engine.until_ended(*sent)
        assert all(it.engine.state(each) is State.SENT for each in sent) and begun


async def test_no_attempt_is_begun_while_the_provider_is_down(
    simulation: Simulation, autojump_clock: object, begun: list[int]
) -> None:
    async with at(simulation) as it:
        await it.register()
        it.oauth.outage = Fault(status=503)
        await trio.sleep(3 * 3600)
        sent = await it.send()
        await trio.sleep(86_400)
        assert begun == [] and (await it.engine.entry(sent))["waitingFor"]["kind"] == "connection"
        it.oauth.outage = None
        await it.engine.until_ended(sent)
        assert it.engine.state(sent) is State.SENT and len(begun) == 1


async def test_mail_that_waits_for_a_sign_in_too_long_fails_in_words(
    simulation: Simulation, autojump_clock: object, begun: list[int]
) -> None:
    async with at(simulation) as it:
        await it.register()
        it.oauth.revoke_user(ANN)
        await it.until("authenticationError")
        sent = await it.send()
        await it.engine.until_ended(sent)
        assert it.engine.state(sent) is not State.SENT and begun == []
        failed = it.engine.events("acme", "messageFailed")[0]["data"]
        assert "revoked" in failed["error"], failed
