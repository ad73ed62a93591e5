"""A sink and a Redis that hangs up at every step, is full, loses its last seconds, or belongs to another program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from scripted_redis import ScriptedRedis
from sink_engine import BrokerWorld, running

from engine.sink_config import SinkConfig
from engine.sinks.sink import BEAT, PAGE

BUS = SinkConfig(url="redis://:hunter22@bus.example/3")


@pytest.fixture
def redis() -> ScriptedRedis:
    redis = ScriptedRedis()
    redis.password = "hunter22"
    return redis


@pytest.fixture
def world(redis: ScriptedRedis) -> BrokerWorld:
    world = BrokerWorld()
    world.serve = redis.serve
    return world


async def test_entries_have_the_numbers_of_their_events(tmp_path: Path, redis, world, autojump_clock) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add("a b", 1)
        await engine.add(None, 1, "oauth2AppError")
        await engine.done()
    assert [each[0] for each in redis.entries] == ["1-0", "2-0"]
    first, second = (fields for _, fields in redis.entries)
    assert (first["account"], first["event"]) == (b"a b", b"messageSent")
    assert first["eventId"].decode() == json.loads(first["body"])["eventId"]
    assert "account" not in second


async def test_exactly_once_however_often_it_hangs_up(tmp_path: Path, redis, world, autojump_clock) -> None:
    redis.cut_after, redis.cut_before = {1, 3, 4, 8}, {2, 5, 9}
    redis.mute_at, redis.garbage_at = {10}, {11}
    async with running(tmp_path, world, bus=BUS) as engine:
        while redis.transactions < 14:
            await engine.add(n=40)
            await engine.done(within=4000)
        assert engine.sink.state.failures == 9
        last = engine.journal.last
    assert redis.seqs == list(range(1, last + 1))
    assert redis.refused_ids == 0


async def test_a_restart_whose_last_position_is_lost_repeats_nothing(
    tmp_path: Path, redis, world, autojump_clock
) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=20)
        await engine.done()
    async with running(tmp_path, world) as engine:
        await engine.consumers.move("", "sink:bus", 11)
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=1)
        await engine.done()
    assert redis.seqs == list(range(1, 22))
    assert redis.refused_ids == 0


async def test_a_full_memory_refuses_all_of_a_window_and_no_event_overtakes(
    tmp_path: Path, redis, world, autojump_clock
) -> None:
    redis.refuse_at = {1: "OOM command not allowed when used memory > 'maxmemory'.", 2: "READONLY You can't write"}
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=30)
        await engine.until(lambda: "OOM" in (engine.sink.state.error or ""))
        await engine.done()
    assert redis.seqs == list(range(1, 31))


async def test_what_redis_had_confirmed_and_lost_is_sent_again(
    tmp_path: Path, redis, world, autojump_clock, engine_errors
) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=20)
        await engine.done()
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=20)
        await engine.done()
        for kept in (35, 7):
            redis.lose(kept)
            redis.cut_before = {redis.transactions + 1}
            await engine.add()
            await engine.done()
    assert redis.seqs == [*range(1, 8), *range(21, 43)]  # what an earlier process had confirmed is not known any more
    assert [each.getMessage().partition("after ")[2].partition(",")[0] for each in engine_errors] == ["35", "20"]


async def test_a_stream_of_another_program_is_left_alone(tmp_path: Path, redis, world, autojump_clock) -> None:
    redis.last, redis.exists = (1_700_000_000_000, 0), True
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=2)
        await engine.until(lambda: "name another stream" in (engine.sink.state.error or ""))
        assert redis.entries == []
        redis.last, redis.exists = (0, 0), False
        await engine.done()
    assert redis.seqs == [1, 2]


async def test_the_stream_of_a_journal_that_was_restored_is_left_alone(
    tmp_path: Path, redis, world, autojump_clock
) -> None:
    async with running(tmp_path / "before", world, bus=BUS) as engine:
        await engine.add(n=5)
        await engine.done()
    world.random.seed(2)
    async with running(tmp_path / "restored", world, bus=BUS) as engine:
        await engine.add(n=7)
        await engine.until(lambda: "not from this journal" in (engine.sink.state.error or ""))
        assert engine.sink.lag == 7
    assert redis.seqs == [1, 2, 3, 4, 5]


async def test_entries_that_were_read_and_deleted_are_not_added_again(
    tmp_path: Path, redis, world, autojump_clock
) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=5)
        await engine.done()
    redis.entries.clear()
    async with running(tmp_path, world) as engine:
        await engine.consumers.move("", "sink:bus", 2)
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=1)
        await engine.done()
    assert redis.seqs == [6]


async def test_a_wrong_password_is_told_without_it(tmp_path: Path, redis, world, autojump_clock, caplog) -> None:
    redis.password = "other"
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await engine.until(lambda: engine.sink.state.error is not None)
        assert "WRONGPASS" in (engine.sink.state.error or "")
    assert "hunter22" not in caplog.text


async def test_a_quiet_connection_is_asked_for_a_sign_of_life(tmp_path: Path, redis, world, autojump_clock) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await engine.done()
        await trio.sleep(5 * BEAT)
        assert (engine.sink.state.failures, world.dials) == (0, 1)
        await engine.add(n=2 * PAGE)
        await engine.done()
    assert redis.transactions >= 3


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$-7\r\n", b"*99999999\r\n", b":x\r\n", b"*1\r\n" * 99]
)
async def test_what_is_no_redis_costs_only_the_sink(tmp_path: Path, world, autojump_clock, answer: bytes) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.receive_some(100)
        await stream.send_all(answer)
        await trio.sleep_forever()

    world.serve = serve
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await trio.sleep(100)
        assert engine.sink.state.error


@pytest.mark.parametrize("piece", [b"x", b"+OK\r\n"])
async def test_a_redis_whose_answer_never_ends_is_left(tmp_path: Path, world, autojump_clock, piece: bytes) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"+")
        while True:
            await stream.send_all(piece)
            await trio.sleep(1)

    world.serve = serve
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await trio.sleep(100)
        assert engine.sink.state.error
