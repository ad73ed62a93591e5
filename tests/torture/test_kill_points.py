"""Killed at exactly the Nth sync or write: what was answered is there, what was not is made once by repeating it."""

from __future__ import annotations

import collections
import http.client
from typing import Any

import pytest
from real.engine_process import EngineProcess
from real.processes import wait_until
from real.smtp_server import SmtpServer

from torture.accounts import events, message_id, post, register

pytestmark = pytest.mark.process

EACH = 2
"""New messages for each kill."""


def killed_at(syscall: str, number: int) -> list[str]:
    """The command under which a process dies when one of its threads begins its `number`th such call."""
    inject = f"inject={syscall}:signal=SIGKILL:when={number}"
    return ["strace", "-f", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", inject]


@pytest.mark.parametrize(
    ("syscall", "points", "text"),
    [
        pytest.param("fdatasync", (1, 2, 3, 4, 6), "Hi", id="sync of the journal"),
        pytest.param("pwrite64", (4, 25), "Hi", id="write to the journal"),
        pytest.param("fsync", (1,), "Hi " * 2000, id="sync of the spool"),
    ],
)
def test_killed_at_each_point_nothing_answered_is_lost_and_nothing_is_made_twice(
    syscall: str, points: tuple[int, ...], text: str, start_engine: Any, smtp_server: SmtpServer
) -> None:
    engine: EngineProcess = start_engine(ENGINE_STORE__SPOOL_ABOVE="4KiB", ENGINE_RETRY__SCHEDULE="200ms")
    register(engine, "jane", smtp_server.port)
    answered: dict[str, str] = {}
    open_keys: list[str] = []

    def work() -> None:
        """Repeat what is open until the engine dies."""
        for key in list(open_keys):
            try:
                answer = post(engine, "jane", key=key, subject=key, text=text)
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 200, answer.body
            answered[key] = answer.json["messageId"]
            open_keys.remove(key)

    def sent_all() -> bool:
        return set(answered.values()) <= {message_id(message.data) for message in smtp_server.messages}

    engine.kill9()
    died = 0
    for number in points:
        open_keys.extend([f"{syscall}-{number}-{each}" for each in range(EACH)])
        try:
            engine.start(under=killed_at(syscall, number))
        except RuntimeError:
            died += 1  # in the recovery of what the last kill left
            continue
        work()
        wait_until(lambda: not engine.running or (not open_keys and sent_all()), "the kill, or all there is to do")
        died += not engine.running
        engine.kill9()
    engine.start()
    work()
    assert not open_keys
    assert died > len(points) // 2, "the kills did not hit"
    for key, name in answered.items():
        again = post(engine, "jane", key=key, subject=key, text=text)
        assert (again.json["messageId"], again.json["idempotency"]["status"]) == (name, "HIT")

    def sent() -> list[str]:
        return [each["data"]["messageId"] for each in events(engine, "jane") if each["event"] == "messageSent"]

    wait_until(lambda: set(answered.values()) <= set(sent()), "every message")
    assert sorted(sent()) == sorted(answered.values())
    doubtful = {each["data"]["messageId"] for each in events(engine, "jane") if each["event"] == "messageInDoubt"}
    came = collections.Counter(message_id(message.data) for message in smtp_server.messages)
    assert set(came) == set(answered.values())
    assert {name for name, count in came.items() if count > 1} <= doubtful
    numbers = [each["seq"] for each in events(engine)]
    assert numbers == list(range(1, len(numbers) + 1))
