"""Cancelling against the dot: an answer that says "deleted" is kept, one that says "too late" is true."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until

from torture.accounts import entry, message_events, message_id, register, submit
from torture.scripted_smtp import Act, ScriptedServer

pytestmark = pytest.mark.process

MESSAGES = 60
ACCOUNTS = 4
SEED = 20261125
WAITS = (0.02, 0.2, 1.0)
"""The longest waits in seconds before cancelling, a round each until some messages were cancelled and some were not."""


@pytest.mark.parametrize("broken", [False, True], ids=["a decent server", "a server that cuts lines"])
def test_a_cancel_is_kept_or_too_late_and_never_both(broken: bool, one_engine: EngineProcess) -> None:
    server = ScriptedServer()
    try:
        accounts = [f"a{number}-{broken}" for number in range(ACCOUNTS)]
        for account in accounts:
            register(one_engine, account, server.port)
        if broken:
            server.play(
                {"DOT": [Act.KEEP_AND_CLOSE, "250 2.0.0 Ok", Act.CLOSE, "451 4.3.0 Later"] * MESSAGES * len(WAITS)}
            )
        answers: dict[str, dict[str, Any]] = {}
        for longest in WAITS:  # which moments are good ones depends on how busy the machine is
            answers |= race(one_engine, accounts, longest)
            deleted = {name for name, answer in answers.items() if answer["deleted"]}
            late = answers.keys() - deleted
            if deleted and late:
                break
        assert all(answers[name]["reason"] for name in late)
        told: dict[str, list[str]] = {name: [] for name in answers}

        def ended() -> bool:
            for account in accounts:
                for each in message_events(one_engine, account):
                    told[each["data"]["messageId"]].append(each["event"])
            done = all({"messageSent", "messageFailed", "messageCancelled"} & set(names) for names in told.values())
            if not done:
                told.update({name: [] for name in told})
            return done

        wait_until(ended, "the end of every message")
        came = {message_id(each.data) for each in server.deliveries}
    finally:
        server.close()
    # Both must happen, or nothing was tried.
    assert deleted and late
    assert not deleted & came
    assert late <= came
    assert all("messageCancelled" in told[name] and "messageSent" not in told[name] for name in deleted)
    assert all("messageCancelled" not in told[name] for name in late)


def race(engine: EngineProcess, accounts: list[str], longest: float) -> dict[str, dict[str, Any]]:
    """The answers to cancelling each of `MESSAGES` messages after at most `longest` seconds, by Message-ID."""
    answers: dict[str, dict[str, Any]] = {}
    assert engine.token

    def one(account: str, waits: list[float]) -> None:
        for wait in waits:
            taken = submit(engine, account)
            time.sleep(wait)
            answer = engine.request("DELETE", f"/v1/outbox/{taken['queueId']}")
            assert answer.status == 200, answer.body
            state = entry(engine, taken["queueId"])["state"]
            assert (state == "cancelled") == answer.json["deleted"]
            answers[taken["messageId"]] = answer.json

    chance = random.Random(SEED)
    each = MESSAGES // len(accounts)
    threads = [
        threading.Thread(
            target=one, args=(account, [chance.choice((0, chance.uniform(0, longest))) for _ in range(each)])
        )
        for account in accounts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == each * len(accounts)
    return answers
