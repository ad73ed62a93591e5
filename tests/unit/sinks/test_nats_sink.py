"""A sink and a NATS server that is slow, lies, hangs up, falls silent, refuses, or is not alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import trio
from scripted_nats import ScriptedNats
from sink_engine import BrokerWorld, running

from engine.sink_config import SinkConfig
from engine.sinks.sink import BEAT, PAGE

BUS = SinkConfig(url="nats://me:hunter22@bus.example", subject="mailbox")


@pytest.fixture
def nats() -> ScriptedNats:
    return ScriptedNats()


@pytest.fixture
def world(nats: ScriptedNats) -> BrokerWorld:
    world = BrokerWorld()
    world.serve = nats.serve
    return world


async def test_every_event_once_in_order_under_its_subject(tmp_path: Path, nats, world, autojump_clock) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add("a.b", 2)
        await engine.add(None, 1, "oauth2AppError")
        await engine.add("é", 1)
        await engine.done()
        assert engine.sink.state.published == 4
        assert (engine.sink.lag, engine.sink.behind) == (0, 0.0)
    subjects = [subject for subject, _, _ in nats.stored]
    assert subjects == ["mailbox.a%2Eb.messageSent"] * 2 + ["mailbox._.oauth2AppError", "mailbox.%C3%A9.messageSent"]
    assert nats.seqs == [1, 2, 3, 4]
    assert [event for _, event, _ in nats.stored] == [json.loads(body)["eventId"] for _, _, body in nats.stored]
    assert [(each["user"], each["pass"]) for each in nats.connects] == [("me", "hunter22")]


async def test_a_restart_goes_on_where_it_was(tmp_path: Path, nats, world, autojump_clock) -> None:
    for _ in range(3):
        async with running(tmp_path, world, bus=BUS) as engine:
            await engine.add(n=3)
            await engine.done()
    assert nats.seqs == list(range(1, 10))
    assert nats.duplicates == 0


async def test_what_was_stored_before_a_cut_is_refused_as_a_duplicate(
    tmp_path: Path, nats, world, autojump_clock
) -> None:
    nats.cut_at = {1, 5, 20, 21, 22, 100}
    async with running(tmp_path, world, bus=BUS) as engine:
        for account in "abcabc":
            await engine.add(account, 50)
        await engine.done()
        assert engine.sink.state.failures == len(nats.cut_at)
        assert engine.sink.state.error is None
    assert nats.seqs == list(range(1, 301))
    assert nats.duplicates > 0


async def test_while_it_is_down_the_lag_grows_and_then_all_of_it_comes(
    tmp_path: Path, nats, world, autojump_clock, caplog
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=3)
        await engine.done()
        world.up = False
        nats.cut_at = {4}
        await engine.add(n=1200)
        await trio.sleep(3600)
        assert engine.sink.lag == 1200
        assert engine.sink.behind > 3500
        assert not engine.sink.state.connected
        assert "ECONNREFUSED" in (engine.sink.state.error or "")
        assert world.dials < 80
        world.up = True
        await engine.done(within=100)
        assert (engine.sink.state.error, engine.sink.state.published) == (None, 1203)
    assert nats.seqs[3:] == [4, *range(4, 1204)]  # an hour is longer than the window in which it knows its ids
    lines = [each.getMessage() for each in caplog.records if each.name == "engine.sinks"]
    assert len([each for each in lines if "takes no events" in each]) <= 4
    assert any("takes events again after" in each for each in lines)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}', "maximum messages"),
        (b"503", "Create a JetStream stream for mailbox.>"),
        (b"-ERR 'Permissions Violation for Publish to \"mailbox.a.messageSent\"'\r\n", "Permissions Violation"),
        (b"what?", "acknowledgement cannot be read"),
    ],
)
async def test_an_event_that_is_refused_is_tried_again_before_those_after_it(
    tmp_path: Path, nats, world, autojump_clock, caplog, answer: bytes, words: str
) -> None:
    nats.refuse_at = {3: answer}
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=10)
        await engine.done()
    assert nats.seqs == list(range(1, 11))
    assert words in caplog.text


async def test_a_half_open_connection_ends_after_a_while(tmp_path: Path, nats, world, autojump_clock) -> None:
    nats.mute_at = {3}
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=10)
        await engine.done(within=60)
        assert engine.sink.state.failures == 1
    assert nats.seqs == list(range(1, 11))


async def test_a_quiet_connection_is_asked_for_a_sign_of_life(tmp_path: Path, nats, world, autojump_clock) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await engine.done()
        await trio.sleep(10 * BEAT + 1)
        assert engine.sink.state.failures == 0
    assert nats.pings == 11


@pytest.mark.once
async def test_a_slow_server_gets_smaller_windows(tmp_path: Path, nats, world, autojump_clock) -> None:
    nats.slow = 0.3
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=PAGE)
        await engine.done(within=4000)
    assert nats.seqs == list(range(1, PAGE + 1))


async def test_a_server_that_acknowledges_what_was_not_asked_is_not_believed(
    tmp_path: Path, nats, world, autojump_clock
) -> None:
    nats.noise = b"+OK\r\nPING\r\nMSG _INBOX.other.7 1 2\r\n{}\r\nMSG x 1 2\r\n{}\r\n" + b"INFO {}\r\n"
    nats.cut_at = {4}
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=10)
        await engine.done()
    assert nats.seqs == list(range(1, 11))


async def test_beside_other_writers_the_order_holds_for_each_account(
    tmp_path: Path, nats, world, autojump_clock
) -> None:
    nats.others_write = True
    nats.refuse_at = {14: b'{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}'}
    async with running(tmp_path, world, bus=BUS) as engine:
        for account in "abcabc":
            await engine.add(account, 3)
        await engine.done()
    by_account: dict[str, list[int]] = {}
    for subject, _, body in nats.stored:
        by_account.setdefault(subject, []).append(json.loads(body)["seq"])
    assert sorted(nats.seqs) == list(range(1, 19))
    assert all(seqs == sorted(seqs) for seqs in by_account.values())


async def test_a_refused_login_waits_and_never_shows_the_password(
    tmp_path: Path, nats, world, autojump_clock, caplog
) -> None:
    nats.login_error = "Authorization Violation for me:hunter22"
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await trio.sleep(3600)
        assert "Authorization Violation" in (engine.sink.state.error or "")
        nats.login_error = ""
        await engine.done()
    assert "hunter22" not in caplog.text
    assert world.dials < 80


async def test_a_huge_info_is_read_and_an_endless_one_is_not(tmp_path: Path, nats, world, autojump_clock) -> None:
    nats.info["connect_urls"] = ["10.0.0.1:4222"] * 2000
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await engine.done()
        nats.cut_at = {2}
        nats.info["connect_urls"] = ["10.0.0.1:4222"] * 20_000
        await engine.add()
        await trio.sleep(60)
        assert "too long" in (engine.sink.state.error or "")


@pytest.mark.parametrize(
    "greeting",
    [b"220 smtp.example ESMTP\r\n", b"INFO [1]\r\n", b"PING\r\nPONG\r\n", b"MSG a 1 999999999\r\n", b"\x00" * 99],
)
async def test_what_is_no_nats_server_costs_only_the_sink(
    tmp_path: Path, world, autojump_clock, greeting: bytes
) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        await stream.send_all(greeting)
        await trio.sleep_forever()

    world.serve = serve
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await trio.sleep(100)
        assert engine.sink.state.error
        assert engine.sink.lag == 1


async def test_an_event_too_large_for_the_server_is_cut(tmp_path: Path, nats, world, autojump_clock) -> None:
    nats.info["max_payload"] = 4096
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(text="x" * 50_000)
        await engine.done()
    body = nats.stored[0][2]
    assert len(body) < 4096
    assert json.loads(body)["truncated"] is True


async def test_removed_events_are_told(tmp_path: Path, nats, world, autojump_clock, engine_errors) -> None:
    world.up = False
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=10)
        await engine.until(lambda: engine.sink.state.failures > 0)
        await engine.forget(6)
        world.up = True
        await engine.done()
        assert engine.sink.state.missed == 6
    assert nats.seqs == [7, 8, 9, 10]
    assert "removed the events 1 to 6 before they could be published" in engine_errors[0].getMessage()


async def test_a_consumer_that_is_moved_or_removed_begins_there(tmp_path: Path, nats, world, autojump_clock) -> None:
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add(n=5)
        await engine.done()
        await trio.sleep(200)
        await engine.consumers.move("", "sink:bus", 3)
        await engine.done()
        assert nats.seqs == [1, 2, 3, 4, 5, 4, 5]
        await trio.sleep(200)
        await engine.consumers.remove("", "sink:bus")
        await engine.until(lambda: len(nats.stored) == 12)
        await engine.done()
    assert nats.seqs[7:] == [1, 2, 3, 4, 5]


async def test_it_may_begin_with_what_is_new(tmp_path: Path, nats, world, autojump_clock) -> None:
    async with running(tmp_path, world) as engine:
        await engine.add(n=5)
    config = SinkConfig(url="nats://bus", begin="newest", events=("messageFailed",))
    async with running(tmp_path, world, bus=config) as engine:
        await engine.until(lambda: engine.sink.state.connected)
        await engine.add(n=2)
        await engine.add(n=1, name="messageFailed")
        await engine.add(n=2)
        await engine.done()
    assert nats.seqs == [8]


async def test_it_makes_a_stream_if_told_to(tmp_path: Path, nats, world, autojump_clock) -> None:
    config = SinkConfig(url="nats://bus", stream="MAIL", subject="x.mail", max_length=7)
    async with running(tmp_path, world, bus=config) as engine:
        await engine.add()
        await engine.done()
    ((subject, body),) = nats.requests
    assert subject == "$JS.API.STREAM.CREATE.MAIL"
    assert (body["subjects"], body["max_msgs"]) == (["x.mail.>"], 7)
    assert nats.seqs == [1]


async def test_one_sink_in_trouble_touches_no_other_and_a_new_configuration_counts_at_once(
    tmp_path: Path, nats, world, autojump_clock
) -> None:
    broken = SinkConfig(url="nats://bus", creds="/nonexistent")
    async with running(tmp_path, world, bus=BUS, other=broken) as engine:
        await engine.add(n=3)
        await engine.done()
        await engine.until(lambda: engine.sinks.every()[1].state.error is not None)
        assert engine.sinks.every()[1].state.error == "creds: /nonexistent: No such file or directory"
        assert engine.sinks.every()[0].state.failures == 0
        engine.sinks.configure({"bus": BUS, "other": SinkConfig(url="nats://bus", subject="other")})
        await engine.until(lambda: engine.position("other") == 3)
        engine.sinks.configure({"other": SinkConfig(url="nats://bus", subject="other")})
        assert [each.name for each in engine.sinks.every()] == ["other"]
        await engine.add()
        await engine.until(lambda: engine.position("other") == 4)
        assert engine.position("bus") == 3


@pytest.mark.parametrize("line", [b"+OK\r\n", b"PING\r\n", b"INFO {}\r\n", b"MSG x 1 2\r\n{}\r\n"])
async def test_a_server_that_says_everything_but_the_answer_is_left(
    tmp_path: Path, nats, world, autojump_clock, line: bytes
) -> None:
    chatty = True

    async def serve(stream: trio.abc.Stream) -> None:
        if not chatty:
            await nats.serve(stream)
        await stream.send_all(b'INFO {"headers":true}\r\n')
        while True:
            await stream.send_all(line)
            await trio.sleep(1)

    world.serve = serve
    async with running(tmp_path, world, bus=BUS) as engine:
        await engine.add()
        await engine.until(lambda: "not done within" in (engine.sink.state.error or ""))
        chatty = False
        await engine.done()
    assert nats.seqs == [1]
