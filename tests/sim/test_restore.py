"""A restored backup: nothing in it is sent before the operator releases it."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest
import trio
import trio.testing
from simulation import Engine, Simulation

from engine.isotime import iso
from engine.model.message_states import State
from engine.store import database, folder_metadata, held_messages, messages
from engine.store.backup import back_up

SEED = 2026


def recipients(engine: Engine, queue_id: str) -> list[str]:
    reader = engine.context.store.reader
    message = messages.by_queue_id(reader, queue_id)
    assert message is not None
    return [each.state for each in messages.recipients(reader, message.id)]


def release(folder: Path, now: float, account: str | None = None, queue_ids: set[str] | None = None) -> int:
    with contextlib.closing(database.open_writer(folder)) as db:
        return held_messages.release(db, now, account, queue_ids)


async def test_a_restored_backup_sends_nothing_until_it_is_released(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    original = Simulation(tmp_path / "data", SEED)
    async with original.running() as engine:
        await engine.register("acme")
        await engine.register("other")
        sent = await engine.submit("acme", "sent@sandbox.example")
        await engine.event("acme", "messageSent")
        part = await engine.submit("acme", "one@sandbox.example", "defer1+two@sandbox.example")
        doubtful = await engine.submit("acme", "cut-after-dot9+x@sandbox.example")
        await engine.event("acme", "messageDeliveryError", 2)
        later = await engine.submit("other", "late@sandbox.example", sendAt=iso(original.world.now() + 3600))
        back_up(tmp_path / "data", tmp_path / "copy", None, original.world.now())
    delivered = len(original.world.sandbox.delivered)
    assert delivered == 3, SEED

    caplog.clear()
    restored = Simulation(tmp_path / "copy", SEED + 1)
    async with restored.running() as engine:
        (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert "2 unsent messages are held, 1 in doubt" in warning.getMessage()
        await trio.sleep(1.1 * 3600)
        assert engine.sandbox.delivered == [], SEED
        assert engine.state(sent["queueId"]) is State.SENT
        assert engine.state(part["queueId"]) is State.HELD
        assert engine.state(later["queueId"]) is State.HELD
        assert engine.state(doubtful["queueId"]) is State.IN_DOUBT
        assert recipients(engine, part["queueId"]) == ["sent", "held"]
        assert folder_metadata.get(engine.context.store.reader, folder_metadata.RESTORED) is None

    # What is held stays held over a restart, without the mark.
    async with restored.running() as engine:
        await trio.sleep(3600)
        assert engine.sandbox.delivered == [], SEED
        assert release(tmp_path / "copy", restored.world.now(), "other") == 1
        before = trio.current_time()
        await engine.event("other", "messageSent")
        assert trio.current_time() - before < 3
        assert [each.recipient for each in engine.sandbox.delivered] == ["late@sandbox.example"]
        assert engine.state(part["queueId"]) is State.HELD
        await trio.sleep(1)  # `release` blocks this thread, which may be in the middle of a commit of the engine's
        assert release(tmp_path / "copy", restored.world.now(), None, {part["queueId"], sent["queueId"]}) == 1
        await engine.until_ended(part["queueId"])
        assert engine.state(part["queueId"]) is State.SENT
        recipients_now = [each.recipient for each in engine.sandbox.delivered]
        assert recipients_now == ["late@sandbox.example", "defer1+two@sandbox.example"], SEED
        assert engine.state(doubtful["queueId"]) is State.IN_DOUBT


async def test_a_try_that_the_backup_caught_in_the_middle_is_held_or_in_doubt(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    original = Simulation(tmp_path / "data", SEED)
    async with original.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.dead.add(587)
        answers = [await engine.submit("acme", f"{number}@sandbox.example") for number in range(3)]
        await trio.sleep(1)
    with contextlib.closing(database.open_writer(tmp_path / "data")) as db:
        for answer, dot in ((answers[0], None), (answers[1], 1_800_000_000.0)):
            db.execute(
                "UPDATE message SET state = 'sending', attempts_made = attempts_made + 1, dot_at = ? "
                "WHERE queue_id = ?",
                (dot, answer["queueId"]),
            )
    back_up(tmp_path / "data", tmp_path / "copy", None, original.world.now())
    restored = Simulation(tmp_path / "copy", SEED)
    async with restored.running() as engine:
        await trio.sleep(3600)
        states = [engine.state(each["queueId"]) for each in answers]
        assert states == [State.HELD, State.IN_DOUBT, State.HELD], SEED
        assert engine.sandbox.delivered == [], SEED
        message = messages.by_queue_id(engine.context.store.reader, answers[1]["queueId"])
        assert message is not None
        assert message.next_at is None
        reader = engine.context.store.reader
        assert reader.execute("SELECT on_doubt FROM message WHERE id = ?", (message.id,)).fetchone() == ("hold",)
