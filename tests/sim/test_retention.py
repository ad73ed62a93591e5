"""Days and sizes pass: what has ended goes, what is owed stays, and readers are told."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from simulation import Engine, Simulation

from engine.api.events import page
from engine.config import RetentionConfig
from engine.isotime import iso
from engine.model.message_states import State
from engine.schema.events import EventsQuery
from engine.store import audit, messages, retention
from engine.store.bodies import Spool
from engine.store.tokens import Token
from engine.store.writer import Tx

SEED = 30
DAY = 86_400.0
AGE = 4 * 3600.0
"""Seconds after which something goes, in these tests: a day of a running engine takes a second or more."""
TOKEN = Token(hash="", description="", scopes=["*"], created=0.0)
TABLES = ("message", "recipient", "attempt", "body", "sent_copy", "idempotency")


def rows(engine: Engine) -> dict[str, int]:
    reader = engine.context.store.reader
    return {name: reader.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


def bounds(engine: Engine) -> tuple[int, int]:
    journal = engine.context.streams.journal
    return journal.first, journal.last


async def test_ended_messages_and_events_go_by_age(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(messages=2 * AGE, events=3 * AGE))
    async with simulation.running() as engine:
        await engine.register("acme")
        oldest = [await engine.submit("acme", f"{number}@sandbox.example") for number in range(5)]
        await engine.until_ended(*(each["queueId"] for each in oldest))
        await trio.sleep(1.5 * AGE)
        second = await engine.submit("acme", "last@sandbox.example")
        late = await engine.submit("acme", "late@sandbox.example", sendAt=iso(simulation.world.now() + 90 * DAY))
        await engine.until_ended(second["queueId"])
        await trio.sleep(3600)
        _, last = bounds(engine)
        await trio.sleep(AGE)
        reader = engine.context.store.reader
        assert [messages.by_queue_id(reader, each["queueId"]) for each in oldest] == [None] * 5, SEED
        assert engine.state(second["queueId"]) is State.SENT
        assert bounds(engine) == (1, last)
        await trio.sleep(2.5 * AGE)
        assert bounds(engine) == (last, last), SEED
        assert rows(engine) == {"message": 1, "recipient": 1, "attempt": 0, "body": 1, "sent_copy": 0, "idempotency": 0}
        assert engine.state(late["queueId"]) is State.QUEUED
    async with simulation.running() as engine:
        # The numbers go on over a restart, from the one event that is always kept.
        third = await engine.submit("acme", "third@sandbox.example")
        await engine.event("acme", "messageSent")
        first, newest = bounds(engine)
        assert first == last
        assert [each["seq"] for each in engine.events("acme")] == list(range(last, newest + 1))
        assert engine.events("acme", "messageSent")[-1]["data"]["queueId"] == third["queueId"]


async def test_a_message_whose_copy_is_owed_stays(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(messages=AGE, events=0))
    async with simulation.running() as engine:
        await engine.register("acme")
        engine.sandbox.faults.dead.add(143)
        engine.sandbox.faults.cut_imap()
        answer = await engine.submit("acme", "you@sandbox.example")
        await engine.event("acme", "messageSent")
        await trio.sleep(2 * AGE)
        assert engine.state(answer["queueId"]) is State.SENT, SEED
        assert rows(engine)["sent_copy"] == rows(engine)["body"] == 1
        engine.sandbox.faults.dead.clear()
        await trio.sleep(AGE)
        assert set(rows(engine).values()) == {0}, SEED


async def test_the_audit_record_goes_by_age(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(audit=2 * AGE))
    async with simulation.running() as engine:
        store, start = engine.context.store, simulation.world.now()

        def fill(tx: Tx) -> None:
            for number in range(250):
                audit.add(tx, audit.Entry(start + number, audit.CLI, None, "token.issue", str(number)))

        await store.commit(fill)
        await trio.sleep(2 * AGE - 1)
        assert audit.count(store.reader, audit.AuditFilter()) == 250
        await trio.sleep(600)
        assert audit.count(store.reader, audit.AuditFilter()) == 0, SEED


async def test_over_the_size_the_oldest_go_and_unsent_mail_stays(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    limit = 1024 * 1024
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(messages=0, events=0, size=limit))
    async with simulation.running() as engine:
        await engine.register("acme")
        reader = engine.context.store.reader
        later = iso(simulation.world.now() + 90 * DAY)
        for when in (-DAY, DAY):
            entry = audit.Entry(simulation.world.now() + when, audit.CLI, None, "token.issue", "x")
            await engine.context.store.commit(partial(audit.add, entry=entry))
        waiting = [await engine.submit("acme", "late@sandbox.example", sendAt=later) for _ in range(20)]
        for _ in range(250):
            newest = await engine.submit("acme", *(f"{number}@sandbox.example" for number in range(10)))
            await trio.sleep(2)
        await engine.until_ended(newest["queueId"])
        await trio.sleep(600)
        assert retention.used(reader) <= limit, SEED
        kept = rows(engine)
        assert 20 < kept["message"] < 270
        first, last = bounds(engine)
        assert 1 < first < last
        assert engine.state(newest["queueId"]) is State.SENT
        assert [engine.state(each["queueId"]) for each in waiting] == [State.QUEUED] * 20, SEED
        numbers = [event["seq"] for event in engine.events("acme")]
        assert numbers == list(range(first, last + 1))
        # Of all, the oldest went first: what is kept of one is about as old as what is kept of the other.
        assert audit.count(reader, audit.AuditFilter()) == 1
        oldest_message, oldest_event, oldest_entry = retention.oldest(reader)
        assert oldest_entry == entry.time
        assert oldest_message is not None
        assert oldest_event is not None
        assert abs(oldest_message - oldest_event) < 240
    assert not [each for each in caplog.records if each.levelno > logging.INFO]


async def test_unsent_mail_alone_may_be_larger_than_the_size(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(size=4096))
    async with simulation.running() as engine:
        await engine.register("acme")
        later = iso(simulation.world.now() + 3 * 3600)
        answer = await engine.submit("acme", "late@sandbox.example", sendAt=later)
        await trio.sleep(7200)
        warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert len(warnings) == 1, warnings
        assert "nothing left to remove" in warnings[0]
        assert engine.state(answer["queueId"]) is State.QUEUED
        first, last = bounds(engine)
        assert first == last > 0
        await engine.until_ended(answer["queueId"])


async def test_a_reader_that_comes_too_late_is_told(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(events=AGE))
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.submit("acme", "you@sandbox.example")
        await engine.event("acme", "messageSent")
        await trio.sleep(3 * AGE)
        first, last = bounds(engine)
        assert first == last > 1
        answer = json.loads(await page(engine.context, EventsQuery(after=0), caller=TOKEN))
        assert (answer["first"], answer["last"]) == (first, last)
        assert [each["seq"] for each in answer["events"]] == [last]
        seen = engine.context.streams.journal.page(0, 100)
        assert (seen.first, [entry[0] for entry in seen.entries]) == (first, [last])


async def test_a_step_is_small(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(messages=0, events=0))
    async with simulation.running() as engine:
        store, spool = engine.context.store, Spool(simulation.folder / "spool")

        def many(tx: Any) -> None:
            for number in range(100):
                tx.execute(
                    "INSERT INTO message (queue_id, account, message_id, sender, smtputf8, size, created, send_at, "
                    "state, attempts_made, attempts_max, ended) "
                    "VALUES (?, 'a', 'm', 's', 0, 1, 1, 1, 'sent', 1, 1, ?)",
                    (f"q{number}", float(number + 1)),
                )
                for position in range(300 if number == 50 else 8):
                    tx.execute(
                        "INSERT INTO recipient SELECT max(id), ?, 'a@b.example', 'sent', 250, 'ok' FROM message",
                        (position,),
                    )

        await store.commit(many)
        place: retention.SweepPosition | None = retention.SweepPosition()
        steps = []
        while place is not None:
            change = partial(retention.remove_messages, spool=spool, before=1e10, place=place)
            removed, place = await store.commit(change)
            steps.append(removed)
        # Ten rows each, but one with 302: it goes alone.
        assert steps == [10, 10, 10, 10, 10, 1, 10, 10, 10, 10, 9], steps
        assert rows(engine)["message"] == rows(engine)["recipient"] == 0


@pytest.mark.parametrize("restart", [False, True])
async def test_a_clock_that_is_days_ahead_removes_nothing_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, restart: bool
) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(messages=7 * DAY, events=7 * DAY))

    async def wrong(engine: Engine, before: tuple[int, int]) -> None:
        await trio.sleep(1800)
        assert bounds(engine)[0] == before[0]
        assert rows(engine)["message"] == 1
        assert [record.message[:17] for record in caplog.records if "has measured" in record.message] == [
            "the clock is 960."
        ]

    async with simulation.running() as engine:
        await engine.register("acme")
        sent = await engine.submit("acme", "friend@sandbox.example")
        await engine.until_ended(sent["queueId"])
        before = bounds(engine)
        if not restart:
            simulation.world._start += 40 * DAY
            await wrong(engine, before)
    if restart:
        simulation.world._start += 40 * DAY
        async with simulation.running() as engine:
            await wrong(engine, before)
    simulation.world._start -= 40 * DAY
    async with simulation.running() as engine:
        await trio.sleep(1 * DAY)
        assert bounds(engine)[0] == before[0]
        assert rows(engine)["message"] == 1


async def test_a_long_stop_is_caught_up_by_and_by(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", SEED, retention=RetentionConfig(messages=7 * DAY, events=7 * DAY))
    async with simulation.running() as engine:
        await engine.register("acme")
        sent = await engine.submit("acme", "friend@sandbox.example")
        await engine.until_ended(sent["queueId"])
        await trio.sleep(600)
    simulation.world._start += 20 * DAY
    async with simulation.running() as engine:
        await trio.sleep(5 * 3600)
        assert rows(engine)["message"] == 1
        await trio.sleep(4 * 3600)
        assert rows(engine)["message"] == 0
