"""Those who read events, each as its user runs it: the commands, the receiver examples, Node, a load with kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import wait_until
from real.servers import HOST, free_ports
from real.test_event_channels import register, submit
from real.test_webhook_endpoints import endpoint, make
from real.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.process

RECEIVERS = REPOSITORY / "scripts" / "receivers"
NODE = shutil.which("node")


def engine_command(engine: EngineProcess, *arguments: str, code: int = 0) -> str:
    """What `engine ARGUMENTS` prints as a client of the running engine."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "ENGINE_TOKEN": engine.token}
    done = subprocess.run(
        [sys.executable, "-m", "engine", *arguments, "--url", engine.url],
        env=environment,
        cwd=engine.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


@contextmanager
def running(log: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], env={**os.environ, **environment}, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def last(engine: EngineProcess) -> int:
    return engine.request("GET", "/v1/events").json["last"]


def test_the_webhook_commands(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    register(engine, "a")
    made = make(engine, webhook_receiver.url, after=0)
    webhook_receiver.wait_until_posts(last(engine))
    listed = engine_command(engine, "webhooks", "list").splitlines()
    assert listed[0].split() == ["ID", "STATE", "SEQ", "BEHIND", "PARKED", "URL"]
    assert [line.split()[:2] for line in listed[1:]] == [["default", "disabled"], [made["id"], "ok"]]
    assert engine_command(engine, "webhooks", "test", made["id"]).startswith("accepted: the answer was 200 (")
    webhook_receiver.status = 503
    tested = engine_command(engine, "webhooks", "test", made["id"], code=1)
    assert tested.startswith("not accepted: the answer was 503")
    webhook_receiver.status = 200
    webhook_receiver.webhooks.clear()
    replayed = engine_command(engine, "webhooks", "replay", made["id"], "--after", "1")
    assert replayed == f"{made['id']} posts the events after 1\n"
    webhook_receiver.wait_until_posts(last(engine) - 1)
    with WebhookReceiver() as other:
        engine_command(engine, "webhooks", "replay", made["id"], "--since", "2020-01-01T00:00:00Z", "--to", other.url)
        other.wait_until_posts(last(engine))
    assert "There is no webhook with this id" in engine_command(engine, "webhooks", "test", "wh_no", code=1)


EXAMPLES = [(sys.executable, "receiver.py")] + ([(NODE, "receiver.mjs")] if NODE else [])


@pytest.mark.parametrize(("program", "file"), EXAMPLES, ids=[file for _, file in EXAMPLES])
def test_a_receiver_example_handles_each_event_once(
    engine: EngineProcess, tmp_path: Path, program: str, file: str
) -> None:
    register(engine, "a")
    (port,) = free_ports(1)
    log, command = tmp_path / "log", (program, str(RECEIVERS / file), str(port), str(tmp_path / "seen.json"))
    made = make(engine, f"http://{HOST}:{port}/", after=0, enabled=False)
    secret = made["secrets"][0]
    with running(log, *command, SECRET=secret):
        wait_until(lambda: "listening" in log.read_text(), "the receiver")
        engine.request("PUT", f"/v1/webhooks/{made['id']}", {"enabled": True})
        wait_until(lambda: len(lines(log)) == last(engine), "the events")
        assert engine.request("POST", f"/v1/webhooks/{made['id']}/test").json["success"] is True
    submit(engine, "a")
    with running(log, *command, SECRET=secret):
        engine.request("POST", f"/v1/webhooks/{made['id']}/replay", {"after": 0})
        wait_until(lambda: "messageSent" in [line["event"] for line in lines(log)], "what happened meanwhile")
        wait_until(lambda: len(lines(log)) == last(engine), "the copy in the Sent folder")
    assert [line["seq"] for line in lines(log)] == list(range(1, last(engine) + 1)), "each once, also after a replay"
    with running(log, *command, SECRET="whsec_" + "AAAA" * 10):
        wait_until(lambda: log.read_text().count("listening") == 3, "the receiver")
        tested = engine.request("POST", f"/v1/webhooks/{made['id']}/test").json
        assert (tested["success"], tested["status"]) == (False, 401)


@pytest.mark.parametrize(("program", "file"), EXAMPLES, ids=[file for _, file in EXAMPLES])
def test_a_receiver_example_takes_what_was_parked(
    start_engine: Callable[..., EngineProcess], tmp_path: Path, program: str, file: str
) -> None:
    engine = start_engine(ENGINE_WEBHOOKS__SCHEDULE="10ms")
    register(engine, "a")
    (port,) = free_ports(1)
    log, command = tmp_path / "log", (program, str(RECEIVERS / file), str(port), str(tmp_path / "seen.txt"))
    made = make(engine, f"http://{HOST}:{port}/", events=["messageSent"], enabled=False)
    submit(engine, "a")
    submit(engine, "a")
    with running(log, *command, SECRET="whsec_" + "AAAA" * 10):
        wait_until(lambda: "listening" in log.read_text(), "the receiver")
        engine.request("PUT", f"/v1/webhooks/{made['id']}", {"enabled": True})
        wait_until(lambda: endpoint(engine, made["id"])["parked"] == 2, "two parked events")
    with running(log, *command, SECRET=made["secrets"][0]):
        submit(engine, "a")
        wait_until(lambda: len(lines(log)) == 1, "the third event")
        assert engine.request("POST", f"/v1/webhooks/{made['id']}/parked", {"action": "retry"}).status == 200
        wait_until(lambda: len(lines(log)) == 3, "the two that were parked")
    third, first, second = (line["seq"] for line in lines(log))
    assert first < second < third


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_nodes_own_websocket_resumes(engine: EngineProcess, tmp_path: Path) -> None:
    register(engine, "a")
    log = tmp_path / "log"
    command = (NODE or "", "--no-warnings", "--experimental-websocket", str(RECEIVERS / "follow.mjs"), engine.url)
    with running(log, *command, "1", TOKEN=engine.token):
        wait_until(lambda: len(lines(log)) == last(engine) - 1, "the replay")
        submit(engine, "a")
        wait_until(lambda: "messageSent" in [line.get("event") for line in lines(log)], "what is live")
        engine.kill9()
        engine.start()
        engine.wait_for_state("a", "connected")
        submit(engine, "a")
        wait_until(lambda: sum(line.get("event") == "messageSent" for line in lines(log)) == 2, "after the kill")
    seen = [line["seq"] for line in lines(log)]
    assert seen == list(range(2, seen[-1] + 1)), "each once, also those of before the kill"


@pytest.mark.long
def test_every_reader_gets_every_event_while_the_engine_is_killed() -> None:
    """`scripts/event_load` in small: 100 websockets of which 10 never read, 5 webhook endpoints, two kills."""
    command = [sys.executable, "scripts/event_load.py", "--events", "400", "--limit", "600"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=660, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every reader has every event" in done.stdout
    assert done.stdout.count("killed at about event") == 2


@pytest.mark.parametrize("secret", ["plain", "whsec_not base64", "whsec_" + "AAAA" * 10, "Ünïcode"])
@pytest.mark.parametrize(("program", "file"), EXAMPLES, ids=[file for _, file in EXAMPLES])
def test_a_receiver_example_takes_any_secret(
    shared_engine: EngineProcess, tmp_path: Path, program: str, file: str, secret: str
) -> None:
    (port,) = free_ports(1)
    log, command = tmp_path / "log", (program, str(RECEIVERS / file), str(port), str(tmp_path / "seen.txt"))
    answer = shared_engine.request(
        "POST", "/v1/settings", {"webhooks": f"http://{HOST}:{port}/", "serviceSecret": secret}
    )
    assert answer.status == 200, answer.body
    with running(log, *command, SECRET=secret):
        wait_until(lambda: "listening" in log.read_text(), "the receiver")
        tested = engine_command(shared_engine, "webhooks", "test", "default").splitlines()
        assert tested[0].startswith("accepted: the answer was 204 (")
        assert tested[1:] == ["signature: the receiver checks it: it accepted the right one and refused a wrong one"]
        assert log.read_text().count("refused: the signature") == 1
        shared_engine.request("POST", "/v1/settings", {"serviceSecret": "another"})
        tested = engine_command(shared_engine, "webhooks", "test", "default", code=1).splitlines()
        assert tested[1].startswith("signature: perhaps the receiver refused the signature")


USAGES = [*EXAMPLES, *([(NODE, "follow.mjs")] if NODE else [])]


@pytest.mark.parametrize(("program", "file"), USAGES, ids=[file for _, file in USAGES])
@pytest.mark.parametrize("arguments", [[], ["--help"], ["8000"]], ids=str)
def test_an_example_says_how_it_is_used(program: str, file: str, arguments: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("SECRET", "TOKEN")}
    done = subprocess.run(
        [program, str(RECEIVERS / file), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("usage: ") and "Error" not in done.stderr


def test_the_commands_say_what_webhooks_lack(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    settings = {"webhooks": webhook_receiver.url, "webhooksEnabled": True, "webhookEvents": []}
    engine.request("POST", "/v1/settings", settings)
    made = make(engine, webhook_receiver.url)
    listed = engine_command(engine, "webhooks", "list")
    assert "default: it names no event of this engine, so nothing is posted and events wait" in listed
    tested = engine_command(engine, "webhooks", "test", made["id"]).splitlines()
    assert tested[1] == "signature: the receiver does not check it: it accepted a wrong one, too"
