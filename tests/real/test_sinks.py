"""Events counted at real brokers against the journal: logins, TLS, odd accounts, kills of both sides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
import trio
from real.brokers import STREAM, BrokerProcess, NatsServer, RedisStreams
from real.certificates import Certificates
from real.engine_process import EngineProcess
from real.forking import REPOSITORY
from real.processes import wait_until
from sink_engine import Engine, running

from engine.sink_config import SinkConfig
from engine.sinks import nats_credentials
from engine.world import World

pytestmark = [pytest.mark.real]

StartBroker = Callable[..., BrokerProcess]
PASSWORD = "correct horse"
SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
ACCOUNTS = ("a", "b.c", "*>", "two words", "é@example.com", "_", "\N{GRINNING FACE}" * 256, None)


def ids(stored: list[tuple[str, dict[str, Any]]]) -> list[tuple[int, str]]:
    return [(event["seq"], event["eventId"]) for _, event in stored]


def journal(engine: Engine) -> list[tuple[int, str | None]]:
    return [(seq, engine.sink.id_of(seq)) for seq in range(engine.journal.first, engine.journal.last + 1)]


async def publish(folder: Path, config: SinkConfig, broker: BrokerProcess) -> list[tuple[str, dict[str, Any]]]:
    """Publish some events of each account; what the broker has then."""
    async with running(folder, World(), bus=config) as engine:
        for account in ACCOUNTS:
            await engine.add(account, 3)
        await engine.done()
        stored = await trio.to_thread.run_sync(broker.stored)
        assert ids(stored) == journal(engine)
    return stored


async def test_every_account_has_a_subject(tmp_path: Path, start_broker: StartBroker) -> None:
    nats = start_broker(NatsServer)
    stored = await publish(tmp_path, SinkConfig(url=nats.url, stream=STREAM), nats)
    for subject, event in stored:
        prefix, token, name = subject.split(".")
        assert (prefix, name) == ("mailbox", event["event"])
        assert event["account"] is None if token == "_" else unquote(token) == event["account"]


LOGINS = {
    "password": (f'authorization {{ user: me, password: "{PASSWORD}" }}', {"user": "me", "password": PASSWORD}),
    "token": (f'authorization {{ token: "{PASSWORD}" }}', {"token": PASSWORD}),
    "key": (
        'authorization { users: [ { nkey: "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK" }, '
        f'{{ user: me, password: "{PASSWORD}" }} ] }}',
        {},
    ),
}


@pytest.mark.parametrize("way", LOGINS)
async def test_logins_at_nats_by_tls(
    tmp_path: Path, start_broker: StartBroker, certificates: Certificates, way: str
) -> None:
    chain, key = certificates.good
    settings, login = LOGINS[way]
    seen = {"auth_token": PASSWORD} if way == "token" else {"user": "me", "pass": PASSWORD}
    nats = start_broker(NatsServer, settings, seen)
    tls = start_broker(NatsServer, f'{settings}\ntls {{ cert_file: "{chain}", key_file: "{key}" }}', seen)
    if way == "key":
        file = tmp_path / "engine.creds"
        file.write_text(f"{SEED}\n")
        assert nats_credentials.load(str(file)).public in settings
        login = {"creds": str(file)}
    clear = msgspec.structs.replace(SinkConfig(url=nats.url, stream=STREAM), **login)
    await publish(tmp_path / "clear", clear, nats)
    ca = tmp_path / "ca.pem"
    ca.write_text(certificates.ca_pem)
    config = msgspec.structs.replace(clear, url=tls.url.replace("nats:", "tls:"), ca=str(ca))
    async with running(tmp_path / "tls", World(), bus=config, wrong=SinkConfig(url=config.url, user="x")) as engine:
        await engine.add()
        await engine.done()
        wrong = engine.sinks.every()[1]
        await engine.until(lambda: wrong.state.error is not None)
        assert "certificate" in wrong.state.error
    refused = SinkConfig(url=nats.url, user="me", password="wrong horse")
    async with running(tmp_path / "refused", World(), bus=refused) as engine:
        await engine.until(lambda: engine.sink.state.error is not None)
        assert engine.sink.state.error == "it answers Authorization Violation"


async def test_redis_with_a_password_and_tls(
    tmp_path: Path, start_broker: StartBroker, certificates: Certificates
) -> None:
    redis = start_broker(RedisStreams, PASSWORD, certificates)
    assert isinstance(redis, RedisStreams)
    ca = tmp_path / "ca.pem"
    ca.write_text(certificates.ca_pem)
    stored = await publish(tmp_path, SinkConfig(url=redis.tls_url, password=PASSWORD, ca=str(ca)), redis)
    assert [entry for entry, _ in stored] == [f"{event['seq']}-0" for _, event in stored]
    async with running(tmp_path, World(), bus=SinkConfig(url=redis.url, password="another horse")) as engine:
        await engine.until(lambda: engine.sink.state.error is not None)
        assert "WRONGPASS" in engine.sink.state.error


@pytest.mark.parametrize("kind", [NatsServer, RedisStreams])
async def test_a_broker_that_is_killed_while_it_takes_events_has_each_once(
    tmp_path: Path, start_broker: StartBroker, kind: type[BrokerProcess], engine_errors: list[object]
) -> None:
    broker = start_broker(kind)
    config = SinkConfig(url=broker.url, stream=STREAM if kind is NatsServer else "")
    async with running(tmp_path, World(), bus=config) as engine:
        for more in (1, 700):
            await engine.add("a", 800, text="x" * 500)
            await engine.add("b", 800)
            above = engine.sink.state.position + more
            while engine.sink.state.position < above:  # noqa: ASYNC110 - it is told nowhere
                await trio.sleep(0.001)
            broker.kill9()
            await engine.add("c", 10)
            await engine.until(lambda: not engine.sink.state.connected)
            broker.start()
        await engine.done()
        assert ids(await trio.to_thread.run_sync(broker.stored)) == journal(engine)


@pytest.mark.process
def test_an_engine_that_is_killed_while_it_publishes_has_each_once(
    start_engine: Callable[..., EngineProcess], start_broker: StartBroker
) -> None:
    nats, redis = start_broker(NatsServer), start_broker(RedisStreams)
    engine = start_engine()
    engine.terminate()
    engine.configure(
        ENGINE_SINKS__BUS__URL=nats.url, ENGINE_SINKS__BUS__STREAM=STREAM, ENGINE_SINKS__LOG__URL=redis.url
    )

    async def fill() -> None:
        async with running(engine.folder, World()) as journal:
            await journal.add("a", 700)
            await journal.add("b", 700)

    def behind() -> list[int]:
        consumers = engine.request("GET", "/v1/events/consumers").json["consumers"]
        return [each["behind"] for each in consumers]

    for _ in range(2):
        trio.run(fill)
        engine.start()
        wait_until(lambda: min(behind(), default=0) < 1300, "the first events at a broker")
        engine.kill9()
    engine.start()
    wait_until(lambda: behind() == [0, 0], "all events at both brokers")
    last = engine.request("GET", "/v1/events/consumers").json["last"]
    for broker in (nats, redis):
        stored = broker.stored()
        assert [seq for seq, _ in ids(stored)] == list(range(1, last + 1))
        assert len({event for _, event in ids(stored)}) == last
    assert engine.request("GET", "/ready").status == 200
    broker_down = redis
    broker_down.kill9()
    engine.request("POST", "/v1/account", {"account": "x", "name": "X", "sandbox": True})
    wait_until(lambda: "takes no events" in engine.log, "a line about the broker that is away")
    assert engine.request("GET", "/ready").status == 200


@pytest.mark.process
def test_what_a_killed_pipe_did_not_write_comes_again(start_engine: Callable[..., EngineProcess]) -> None:
    engine = start_engine()
    engine.terminate()

    async def fill() -> None:
        async with running(engine.folder, World()) as journal:
            await journal.add("a", 3000, text="x" * 200)

    trio.run(fill)
    engine.start()
    command = [sys.executable, "-m", "engine", "events", "pipe", "vector", "--after", "0", "--token", engine.token]
    command += ["--url", engine.url]
    lines: list[bytes] = []
    for wanted in (500, 3000):
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as pipe:
            assert pipe.stdout is not None
            while not lines or json.loads(lines[-1])["seq"] < wanted:
                lines.append(pipe.stdout.readline())
            pipe.kill()
            lines += [line for line in pipe.stdout.readlines() if line.endswith(b"\n")]
    seqs = [json.loads(line)["seq"] for line in lines]
    firsts = sorted(set(seqs), key=seqs.index)
    assert firsts == list(range(1, 3001))
