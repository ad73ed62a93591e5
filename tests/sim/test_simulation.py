"""A handful of seeds, and proof that the simulation would notice; `scripts/simulate` runs as many as you like."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from seeded.universe import Broken, Mode, simulate

from engine.model.message_states import State
from engine.queue import doubt, retry
from engine.queue.accept import Intake
from engine.queue.attempt import Attempts
from engine.queue.outbox import Cancelled, Outbox
from engine.store import bodies, events, idempotency_keys, messages

DAYS = 0.3
SEEDS = (1, 2, 4, 7, 8, 15)

HAPPENS = (
    "was killed",
    "failed",
    "the clock steps",
    "the disk is full",
    "no answer",
    "messageSent",
    "messageDeliveryError",
    "messageInDoubt",
    "messageFailed",
    "messageCancelled",
    "accountDeleted",
    "authenticationError",
    "in_doubt -> sent",
    "'deleted': False",
    "try 4",
)
"""What has to happen in these runs, all together: a simulation of nothing finds nothing."""


@pytest.fixture(autouse=True)
def judged_by_the_simulation(engine_errors: list[Any]) -> None:
    """A simulated disk that fails is logged as an error; the simulation tells those from others."""


@pytest.fixture
def safely(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """The trace of a run, kept in a file: the tests of one run of pytest may be spread over several processes."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def run(seed: int) -> str:
        kept = folder / f"simulation-{seed}.txt"
        if not kept.exists():
            made = kept.with_suffix(f".{os.getpid()}")
            made.write_text("\n".join(simulate(seed, Mode.SAFETY, DAYS).lines), encoding="utf-8")
            made.rename(kept)
        return kept.read_text(encoding="utf-8")

    return run


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_wrong_happens(seed: int, safely: Callable[[int], str]) -> None:
    safely(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS[1:2])  # the first takes five times as long
def test_everything_settles_once_the_faults_stop(seed: int) -> None:
    simulate(seed, Mode.LIVENESS, DAYS)


def test_enough_happened(safely: Callable[[int], str]) -> None:
    text = "\n".join(map(safely, SEEDS))
    assert [what for what in HAPPENS if what not in text] == []


async def _nothing(*arguments: Any, **more: Any) -> None:
    pass


async def _cancelled(*arguments: Any) -> Cancelled:
    return Cancelled(())


SABOTAGE: dict[str, tuple[object, str, Callable[..., Any], str]] = {
    "an answer before the commit": (Intake, "accept", _nothing, "not in the journal"),
    "no mark before the dot": (Attempts, "_dot", _nothing, "without a committed dot"),
    "doubts that are never said": (doubt, "in_doubt", lambda *_, **__: State.DEFERRED, "delivered"),
    "no wait between attempts": (retry, "delay", lambda *_: 0.0, "early"),
    "keys that are forgotten": (
        idempotency_keys,
        "keep",
        lambda *_: None,
        "(one request, two messages|under the key of)",
    ),
    "a dot whose mark is not written": (messages, "mark_dot", lambda *_: True, "without a committed dot"),
    "a cancel that does nothing": (Outbox, "cancel", _cancelled, "(still open|the answer says)"),
    "bodies that stay": (bodies, "drop", lambda *_: None, "its body outlives it"),
    "events that are lost": (events, "insert", lambda *_: None, "which 0 events say"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_it_would_be_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these breaks a promise on purpose."""
    place, member, broken, found = SABOTAGE[name]
    monkeypatch.setattr(place, member, broken)
    with pytest.raises(Broken, match=f"(?s){found}.*SEED=1 COMMIT="):
        simulate(1, Mode.SAFETY, DAYS)
