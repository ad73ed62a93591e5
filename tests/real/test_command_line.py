"""The command line against engines that run: which one a command talks to, and what its user sees."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real import forking
from real.engine_process import REPOSITORY, EngineProcess
from real.processes import wait_until

pytestmark = pytest.mark.process

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")} | {
    "PYTHONPATH": str(REPOSITORY)
}


def run(here: Path, *arguments: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """`engine ARGUMENTS` as a person types it in the folder `here`, with nothing in the environment but `environ`."""
    return forking.run(arguments, {**CLEAN, **environ}, here, typed)


def done(here: Path, *arguments: str, typed: str = "", **environ: str) -> str:
    """What a command that must succeed prints."""
    ended = run(here, *arguments, typed=typed, **environ)
    assert ended.returncode == 0, ended
    return ended.stdout


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def add_sandbox(here: Path, account: str) -> None:
    out = done(here, "account", "add", account, "--email", f"{account}@sandbox.example", "--sandbox")
    assert out == f"{account}: connected\n"


class Place:
    """A folder in which an engine was started that keeps its data where no default looks."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.here = folder / name
        self.here.mkdir()
        self.data = self.here / "data" / "quickstart"
        self.engine = EngineProcess(self.here, ENGINE_STORE__PATH="data/quickstart")
        self.engine.start()

    @property
    def links(self) -> list[Path]:
        return sorted(self.here.glob(".engine-*"))


@contextlib.contextmanager
def _two(folder: Path) -> Iterator[tuple[Place, Place]]:
    with contextlib.ExitStack() as stack:
        found = []
        for name in ("one", "other"):
            place = Place(folder, name)
            stack.callback(place.engine.kill9)
            found.append(place)
        yield found[0], found[1]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Two engines on this machine, each started in a folder of its own."""
    with _two(tmp_path) as places:
        yield places


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """Two of them for all tests that stop none and leave nothing behind that another test would see."""
    with _two(tmp_path_factory.mktemp("shared")) as places:
        yield places


def test_every_command_is_about_the_engine_started_in_its_folder(two: tuple[Place, Place], tmp_path: Path) -> None:
    for place in two:
        add_sandbox(place.here, place.name)
    for place, other in (two, two[::-1]):
        here, name = place.here, place.name
        where = json.loads(done(here, "where", "--json"))
        assert (where["folder"], where["pid"], where["urls"]) == (str(place.data), place.engine.pid, [place.engine.url])
        assert [each["account"] for each in lines(done(here, "account", "list", "--json"))] == [name]
        assert f"account       {name}\n" in done(here, "account", "show", name)
        assert run(here, "account", "show", other.name).returncode == 1
        token = done(here, "tokens", "issue", "-d", "x", "-s", "api", "--account", name).strip()
        assert place.engine.request("GET", f"/v1/account/{name}", token=token).status == 200
        assert other.engine.request("GET", f"/v1/account/{name}", token=token).status == 401
        assert run(here, "tokens", "issue", "-d", "x", "-s", "api", "--account", other.name).returncode == 2
        sent = json.loads(
            done(
                here,
                "send",
                name,
                "--to",
                "A Friend <f@sandbox.example>",
                "--subject",
                name,
                "--wait",
                "--json",
                typed="Hi",
            )
        )
        assert (sent["state"], sent["account"]) == ("sent", name)
        assert [each["subject"] for each in lines(done(here, "outbox", "list", "--state", "sent", "--json"))] == [name]
        assert "to          f@sandbox.example: sent (250" in done(here, "outbox", "show", sent["queueId"])
        assert {each["object"] for each in lines(done(here, "audit", "--operation", "account", "--json"))} == {name}
        assert [each["id"] for each in lines(done(here, "webhooks", "list", "--json"))] == ["default"]
        assert done(here, "account", "reconnect", name) == f"{name}: connected\n"
        copied = json.loads(done(here, "backup", str(tmp_path / f"copy-{name}"), "--json"))
        assert (copied["source"], copied["messages"]) == (str(place.data), 1)
        assert f"data folder {place.data}" in done(here, "doctor").replace("; data", "\ndata")
        assert done(here, "vault", "rotate").startswith("all secrets are sealed")
        said = run(here, "tokens", "list")
        assert f"engine: data folder {place.data} (engine with pid {place.engine.pid}; chosen by " in said.stderr
        assert run(here, "tokens", "list", "-q").stderr == ""
    assert two[0].engine.log.count("ERROR") == 0


def test_what_goes_before_the_engine_of_this_folder(two: tuple[Place, Place], tmp_path: Path) -> None:
    one, other = two
    file = tmp_path / "etc" / "mail.toml"
    file.parent.mkdir()
    file.write_text('[store]\npath = "../other/data/quickstart"\n')
    (one.here / "config.toml").write_text('[store]\npath = "elsewhere"\n')

    def folder(*arguments: str, **environ: str) -> tuple[str, int]:
        shown = json.loads(done(one.here, "where", "--json", *arguments, **environ))
        return shown["folder"], shown["rule"]

    assert folder("--config", str(file)) == (str(other.data), 1)
    assert folder(ENGINE_CONFIG=str(file)) == (str(other.data), 2)
    assert folder(ENGINE_STORE__PATH=str(other.data)) == (str(other.data), 2)
    assert folder() == (str(one.data), 3)
    one.engine.terminate()
    assert one.links == []
    assert folder() == (str(one.here / "elsewhere"), 4)
    (one.here / "config.toml").unlink()
    assert folder() == (str(one.here / "data"), 5)
    missed = run(one.here, "tokens", "issue", "-d", "x", "-s", "*")
    assert missed.returncode == 1
    assert f"no engine has run on it yet; {one.data} has a journal" in missed.stderr
    named = run(one.here, "webhooks", "list", ENGINE_STORE__PATH="data/quickstart")
    assert (named.returncode, named.stdout) == (3, "")
    assert f"no engine runs on {one.data}: start it with: engine serve" in named.stderr


def test_a_killed_engine_is_not_found_and_leaves_nothing_for_long(two: tuple[Place, Place]) -> None:
    one, _ = two
    one.engine.kill9()
    assert len(one.links) == 1
    assert (one.data / "control").is_socket()
    assert json.loads(done(one.here, "where", "--json"))["rule"] == 5
    moved = EngineProcess(one.here, ENGINE_STORE__PATH="data/next")
    moved.start()
    assert [os.readlink(link) for link in one.links] == [str(one.here / "data" / "next")]
    one.engine.start()
    asked = run(one.here, "outbox", "list")
    assert asked.returncode == 2
    assert (
        "several engines that were started in this folder are running: name one with ENGINE_STORE__PATH" in asked.stderr
    )
    assert done(one.here, "outbox", "list", "-q", ENGINE_STORE__PATH="data/next").startswith("QUEUE ID")
    moved.terminate()
    assert json.loads(done(one.here, "where", "--json"))["folder"] == str(one.data)
    one.engine.terminate()
    assert one.links == []
    assert not (one.data / "control").exists()


def test_an_engine_of_another_folder_on_the_port_is_named(shared: tuple[Place, Place], tmp_path: Path) -> None:
    here = tmp_path / "third"
    here.mkdir()
    port = str(shared[0].engine.port)
    issued = run(here, "tokens", "issue", "-d", "x", "-s", "*", "--create", ENGINE_HTTP__PORT=port)
    assert issued.returncode == 0
    assert f"warning: an engine with another data folder answers on 127.0.0.1 port {port}" in issued.stderr
    checked = run(here, "doctor", ENGINE_HTTP__PORT=port)
    assert checked.returncode == 1
    assert "BAD  port: " in checked.stdout
    assert shared[0].engine.request("GET", "/v1/accounts", token=issued.stdout.strip()).status == 401


def test_the_socket_is_the_owners_and_the_port_is_not(shared: tuple[Place, Place]) -> None:
    one, _ = shared
    assert (one.data / "control").stat().st_mode & 0o777 == 0o600
    assert one.engine.request("GET", "/control", token="").status == 404
    assert one.engine.request("GET", "/control").status == 404
    assert one.engine.request("GET", "/v1/accounts", token="").status == 401
    narrow = done(one.here, "tokens", "issue", "-d", "x", "-s", "api", "--account", "x", "--unregistered").strip()
    refused = run(one.here, "webhooks", "test", "default", "--token", narrow)
    assert refused.returncode == 1
    add_sandbox(one.here, "b")
    assert lines(done(one.here, "account", "list", "--json", "--token", narrow)) == []
    assert lines(done(one.here, "audit", "--json", "--operation", "account"))[0]["token"] == "cli"


def test_a_data_folder_too_deep_for_a_socket(tmp_path: Path) -> None:
    here = tmp_path / ("deep" * 20) / ("deeper" * 20)
    here.mkdir(parents=True)
    engine = EngineProcess(here)
    engine.start()
    try:
        add_sandbox(here, "a")
        assert json.loads(done(here, "where", "--json"))["running"]
    finally:
        engine.kill9()


def test_events_from_now_on_and_from_the_beginning(shared: tuple[Place, Place]) -> None:
    here = shared[0].here
    add_sandbox(here, "reader")
    command = [sys.executable, "-m", "engine", "events", "tail", "-q"]
    with subprocess.Popen(command, cwd=here, env=CLEAN, stdout=subprocess.PIPE, text=True) as new:
        assert new.stdout is not None
        streams = lambda: shared[0].engine.request("GET", "/v1/events?limit=1").json  # noqa: E731
        before = streams()["last"]
        wait_until(lambda: _follows(new.pid), "the connection of events tail")
        done(here, "send", "reader", "--to", "f@sandbox.example", "--text", "Hi")
        first = json.loads(new.stdout.readline())
        assert first["seq"] > before
        new.terminate()
    with subprocess.Popen([*command, "--after", "0"], cwd=here, env=CLEAN, stdout=subprocess.PIPE, text=True) as every:
        assert every.stdout is not None
        assert json.loads(every.stdout.readline())["seq"] == 1
        every.terminate()


def _follows(pid: int) -> bool:
    """Whether the process has a unix socket open, and so has asked where the journal ends."""
    handles = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(OSError):
        return sum("socket:" in os.readlink(each) for each in handles.iterdir()) > 2
    return False


def test_a_protocol_log(shared: tuple[Place, Place]) -> None:
    here = shared[0].here
    add_sandbox(here, "logged")
    none = run(here, "logs", "logged")
    assert (none.returncode, none.stdout) == (1, "")
    assert "Start with: engine logs logged --on" in none.stderr
    assert run(here, "logs", "logged", "--on").returncode == 0
    wait_until(lambda: "IDLE" in done(here, "logs", "logged"), "lines of the protocol")
    shown = lines(done(here, "logs", "logged", "--json"))
    assert set(shown[0]) == {"level", "time", "msg"}
    with subprocess.Popen(
        [sys.executable, "-m", "engine", "logs", "logged", "-f", "-q"],
        cwd=here,
        env=CLEAN,
        stdout=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        first = follower.stdout.readline()
        assert "connecting to" in first
        done(here, "send", "logged", "--to", "f@sandbox.example", "--text", "Hi")
        while "EHLO" not in (line := follower.stdout.readline()):
            assert line
        follower.terminate()


def test_an_account_from_the_command_line(shared: tuple[Place, Place], tmp_path: Path) -> None:
    here, engine = shared[0].here, shared[0].engine
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    given = ["account", "add", "jane", "--email", "jane@example.com", "--smtp", "none"]
    wrong = run(here, *given, "--imap", "127.0.0.1:x", "--password-file", str(secret))
    assert wrong.returncode == 2
    assert "--imap must look like mail.example.com:993" in wrong.stderr
    assert run(here, *given, "--imap", "127.0.0.1:9").returncode == 2
    refused = run(here, *given, "--imap", "127.0.0.1:9", "--password-file", "-", typed="s3cret\n")
    assert (refused.returncode, refused.stdout) == (1, "jane: connectError\n")
    assert "Nothing listens" in refused.stderr
    shown = engine.request("GET", "/v1/account/jane").json["imap"]
    assert (shown["host"], shown["port"], shown["secure"]) == ("127.0.0.1", 9, False)
    again = run(here, *given, "--imap", "127.0.0.1:9", "--password-file", str(secret))
    assert (again.returncode, "--replace changes it" in again.stderr) == (1, True)
    assert run(here, "account", "remove", "jane").returncode == 2
    assert done(here, "account", "remove", "jane", "--yes") == "jane: removed\n"
    gone = run(here, "account", "show", "jane")
    assert gone.returncode == 1
    assert "see: engine account list" in gone.stderr


def on_terminal(here: Path, arguments: list[str], answers: dict[str, str], **environ: str) -> tuple[int, str]:
    """Run a command with a terminal of its own and type an answer when it asks; its exit code and what was shown."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(here)
        os.execve(sys.executable, [sys.executable, "-m", "engine", *arguments], {**CLEAN, "TERM": "xterm", **environ})
    shown = ""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the child has ended
            break
        shown += piece.decode()
        for question in [each for each in answers if each in shown]:
            os.write(terminal, f"{answers.pop(question)}\n".encode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def test_on_a_terminal(shared: tuple[Place, Place]) -> None:
    here = shared[0].here
    add = ["account", "add", "jane", "--email", "jane@example.com", "--imap", "127.0.0.1:9", "--smtp", "none"]
    code, shown = on_terminal(here, add, {"password: ": "s3cret"})
    assert code == 1
    assert "s3cret" not in shown
    assert "jane: connectError" in shown
    code, shown = on_terminal(here, ["account", "list"], {})
    assert "\x1b[1mACCOUNT" in shown
    assert "\x1b[31mconnectError\x1b[0m" in shown
    code, shown = on_terminal(here, ["account", "list"], {}, NO_COLOR="1")
    assert "\x1b" not in shown
    assert "\x1b" not in done(here, "account", "list")
    code, shown = on_terminal(here, ["account", "remove", "jane"], {"Type yes": "no"})
    assert (code, "nothing was removed" in shown) == (1, True)
    code, shown = on_terminal(here, ["account", "remove", "jane"], {"Type yes": "yes"})
    assert (code, "jane: removed" in shown) == (0, True)


def test_a_secret_is_never_an_argument() -> None:
    every = done(REPOSITORY, "account", "add", "--help")
    assert re.search(r"--password-file FILE", every)
    assert not re.search(r"--pass(word)?[ =]", every)


def test_json_that_is_none_is_placed(shared: tuple[Place, Place]) -> None:
    answer = shared[0].engine.request("POST", "/v1/settings", b'{\n "webhooks": null,\n "webhooksEnabled" true\n}')
    assert answer.status == 400
    assert (answer.json["reason"], answer.json["line"], answer.json["column"]) == ("expected ':'", 3, 20)
