import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import trio_websocket

from engine import cli
from engine.store import database, tokens
from engine.version import VERSION

ROOT = Path(__file__).parents[2]
TOKEN = "ab" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the commands work: an empty current folder, no settings from outside."""
    for name in [name for name in os.environ if name.startswith("ENGINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def ended(*arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    return caught.value.code


def known(folder):
    with contextlib.closing(database.open_reader(folder)) as db:
        return tokens.every(db)


def issue(capsys, *scopes):
    arguments = [part for scope in scopes or ("*",) for part in ("-s", scope)]
    assert cli.main(["tokens", "issue", "-d", "a test", *arguments]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def test_version(capsys):
    assert ended("--version") == 0
    version = VERSION
    assert capsys.readouterr().out == f"engine {version}\n"


@pytest.mark.parametrize(
    "command",
    [[], ["tokens", "issue"], ["tokens", "revoke"], ["events", "tail"]],
    ids=lambda command: " ".join(command) or "engine",
)
def test_help_has_examples(capsys, command):
    assert ended(*command, "--help") == 0
    assert "examples:\n  " in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["tokens"],
        ["tokens", "issue", "-d", "x"],
        ["tokens", "issue", "-s", "*"],
        ["events", "tail", "--after", "-1"],
        ["events", "tail", "--after", "x"],
    ],
    ids=" ".join,
)
def test_wrong_usage(capsys, arguments):
    assert ended(*arguments) == 2
    assert capsys.readouterr().err.startswith("usage: engine")


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["tokens", "issue", "-d", "x", "-s", "*"],
        ["tokens", "list"],
        ["tokens", "revoke", "12345678"],
        ["events", "tail", "--token", TOKEN],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["before", "after", "here"])
def test_a_wrong_configuration_is_one_line(tmp_path, capsys, command, place):
    name = "config.toml" if place == "here" else "other.toml"
    (tmp_path / name).write_text("[http]\nprot = 1\n")
    given = [] if place == "here" else ["--config", name]
    assert cli.main([*given, *command] if place == "before" else [*command, *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"engine: {name}: unknown key http.prot;")
    assert err.count("\n") == 1


def test_a_file_that_was_asked_for_must_be_there(capsys):
    assert cli.main(["tokens", "list", "--config", "none.toml"]) == 2
    assert capsys.readouterr().err.startswith("engine: none.toml: cannot be read")


def test_issue_before_the_first_start(folder, capsys):
    token = issue(capsys, "api", "metrics")
    assert len(bytes.fromhex(token)) == 32
    assert [(each.description, each.scopes) for each in known(folder)] == [("a test", ["api", "metrics"])]
    with contextlib.closing(database.open_reader(folder)) as db:
        assert tokens.find(db, token, 0.0) == known(folder)[0]


def test_issue_beside_a_running_engine(folder, capsys):
    database.prepare_folder(folder)
    with database.lock_folder(folder), contextlib.closing(database.open_writer(folder)) as db:
        token = issue(capsys)
        assert tokens.find(db, token, 0.0) is not None


def test_issue_waits_for_a_writer(folder, capsys):
    database.prepare_folder(folder)
    with contextlib.closing(database.open_writer(folder)) as db:
        db.execute("BEGIN IMMEDIATE")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "engine", "tokens", "issue", "-d", "x", "-s", "*"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            db.execute("COMMIT")
            assert process.wait(30) == 0
    assert len(known(folder)) == 1


def test_an_empty_scope_is_refused(folder, capsys):
    assert cli.main(["tokens", "issue", "-d", "x", "-s", " "]) == 1
    assert not folder.exists()


def test_issue_imports_no_server():
    code = """
import sys
from engine.cli import main
assert main(["tokens", "issue", "-d", "x", "-s", "*"]) == 0
print(sorted({"quart", "hypercorn", "httpx2", "trio_websocket", "cryptography"} & set(sys.modules)), file=sys.stderr)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_damaged_journal_is_one_line(folder):
    folder.mkdir()
    (folder / "journal.db").write_bytes(b"no journal at all" * 100)
    command = [sys.executable, "-m", "engine", "tokens", "list"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "engine: data/journal.db: the journal cannot be opened: file is not a database\n"


def test_list(folder, capsys):
    assert cli.main(["tokens", "list"]) == 0
    assert capsys.readouterr().out.split() == ["ID", "CREATED", "EXPIRES", "SCOPES", "ACCOUNT", "DESCRIPTION"]
    assert not folder.exists()
    token = issue(capsys, "api", "metrics")
    assert cli.main(["tokens", "issue", "-d", "evil\n\x1b[2Jline", "-s", "*"]) == 0
    capsys.readouterr()
    assert cli.main(["tokens", "list"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    first = known(folder)[0]
    assert lines[1].split() == [first.id, lines[1].split()[1], "never", "api,metrics", "*", "a", "test"]
    assert lines[2].endswith("evil??[2Jline")
    assert len(lines) == 3
    assert token not in out


def test_a_token_for_one_account(folder, capsys):
    assert cli.main(["tokens", "issue", "-d", "one", "-s", "api", "--account", "jane"]) == 0
    capsys.readouterr()
    assert [token.account for token in known(folder)] == ["jane"]
    assert cli.main(["tokens", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[2:] == ["never", "api", "jane", "one"]


def test_webhook_commands_say_what_is_missing(folder, capsys):
    assert cli.main(["webhooks", "list"]) == 2
    assert "a token is needed" in capsys.readouterr().err
    assert cli.main(["webhooks", "list", "--token", "x", "--url", "ftp://x"]) == 2
    assert "--url must look like" in capsys.readouterr().err
    assert cli.main(["webhooks", "list", "--token", "x", "--url", "http://127.0.0.1:1"]) == 1
    assert "http://127.0.0.1:1: " in capsys.readouterr().err
    assert ended("webhooks", "replay", "default") == 2
    assert ended("webhooks", "replay", "default", "--after", "1", "--since", "2026-01-01") == 2


@pytest.mark.parametrize("by", ["start", "shown", "hash", "token", "upper"])
def test_revoke(folder, capsys, by):
    token = issue(capsys)
    full = known(folder)[0].hash
    name = {"start": full[:8], "shown": full[:12], "hash": full, "token": token, "upper": full[:12].upper()}[by]
    other = issue(capsys)
    assert cli.main(["tokens", "revoke", name]) == 0
    assert capsys.readouterr().out == "1 token revoked\n"
    with contextlib.closing(database.open_reader(folder)) as db:
        assert tokens.find(db, token, 0.0) is None
        assert tokens.find(db, other, 0.0) is not None


def test_revoke_says_how_many(folder, capsys):
    issue(capsys)
    with contextlib.closing(database.open_writer(folder)) as db:
        for end in "ab":
            db.execute(
                "INSERT INTO token (hash, description, scopes, created) VALUES (?, '', '[]', 0)", ["1" * 8 + end]
            )
    assert cli.main(["tokens", "revoke", "11111111"]) == 0
    assert capsys.readouterr().out == "2 tokens revoked\n"
    assert len(known(folder)) == 1


def test_revoke_none(folder, capsys):
    assert cli.main(["tokens", "revoke", "12345678"]) == 1
    assert not folder.exists()
    issue(capsys)
    assert cli.main(["tokens", "revoke", "zzzzzzzz"]) == 1
    assert capsys.readouterr().err.startswith("engine: no such token")
    assert len(known(folder)) == 1


def test_a_short_id_is_refused(folder, capsys):
    issue(capsys)
    assert cli.main(["tokens", "revoke", known(folder)[0].hash[:7]]) == 1
    assert "at least the first 8" in capsys.readouterr().err
    assert len(known(folder)) == 1


def test_doctor(folder, capsys, monkeypatch):
    monkeypatch.setenv("ENGINE_HTTP__PORT", "0")
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert all(line.startswith("ok   ") for line in lines)
    folder.write_text("in the way")
    assert cli.main(["doctor"]) == 1
    assert "BAD  data folder: " in capsys.readouterr().out


def test_doctor_finds_a_wrong_configuration(capsys):
    assert cli.main(["doctor", "--config", "none.toml"]) == 1
    assert "BAD  config: none.toml: cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:3000", "ws://127.0.0.1:3000/v1/events/stream"),
        ("https://mail.example.com/", "wss://mail.example.com/v1/events/stream"),
        ("ws://[::1]:3000/v1/events/stream", "ws://[::1]:3000/v1/events/stream"),
        ("https://example.com/mail", "wss://example.com/mail/v1/events/stream"),
    ],
)
def test_stream_url(base, url):
    assert cli.stream_url(base) == url


@pytest.mark.parametrize("base", ["127.0.0.1:3000", "ftp://x", "http://", "http://x:y", "http://x?a=b", "http://[x"])
def test_a_wrong_url(base, capsys):
    assert cli.main(["events", "tail", "--token", TOKEN, "--url", base]) == 2
    assert capsys.readouterr().err.startswith("engine: --url must look like")


def test_tail_without_a_token_says_how_to_make_one(folder, capsys):
    assert cli.main(["events", "tail"]) == 1
    assert "engine tokens issue" in capsys.readouterr().err
    assert not folder.exists()


def test_tail_with_what_cannot_be_a_token(capsys):
    assert cli.main(["events", "tail", "--token", "ä"]) == 1
    assert "no token has" in capsys.readouterr().err


def test_tail_cannot_guess_a_port(capsys, monkeypatch):
    monkeypatch.setenv("ENGINE_HTTP__PORT", "0")
    assert cli.main(["events", "tail", "--token", TOKEN]) == 2
    assert "give --url" in capsys.readouterr().err


def event(seq):
    return json.dumps({"event": "messageSent", "seq": seq}, separators=(",", ":"))


async def serve(nursery, handle):
    server = await nursery.start(trio_websocket.serve_websocket, handle, "127.0.0.1", 0, None)
    return f"ws://127.0.0.1:{server.port}/v1/events/stream"


async def test_tail_comes_back_without_a_gap(capsys):
    asked = []
    lines = []

    async def handle(request):
        asked.append((request.path, dict(request.headers)[b"authorization"]))
        if len(asked) == 2:
            await request.reject(503)
            return
        socket = await request.accept()
        if len(asked) == 4:
            await socket.aclose(1008, "token revoked")
            return
        after = int(request.path.split("after=")[1].split("&")[0])
        await socket.send_message(event(after + 1))
        await socket.send_message('{"stream":"gap","first":4}')
        await socket.send_message(event(after + 2))
        await socket.aclose(1001)

    async with trio.open_nursery() as nursery:
        url = await serve(nursery, handle)
        with trio.fail_after(30):
            code = await cli.tail(url, TOKEN, 3, "a&b", lines.append, waits=(0.0,))
        nursery.cancel_scope.cancel()
    assert code == 1
    assert asked == [
        (f"/v1/events/stream?after={after}&account=a%26b", f"Bearer {TOKEN}".encode()) for after in (3, 5, 5, 7)
    ]
    assert lines == [event(4), event(5), event(6), event(7)]
    out, err = capsys.readouterr()
    assert out == ""
    assert "connection closed (1001); trying again" in err
    assert "it answered 503; trying again" in err
    assert "events before 4 are no longer kept" in err
    assert "connected again, going on after event 5" in err
    assert err.endswith("engine: the engine ended the stream: token revoked\n")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "the token is not valid"),
        (403, b"", "scopes do not allow"),
        (400, b'{"message":"after is from the future"}', "refused with 400: after is from the future"),
        (404, b"<html>", "refused with 404; is this the engine's address?"),
        (404, b"[]", "refused with 404; is this the engine's address?"),
    ],
)
async def test_tail_ends_when_it_is_refused(capsys, status, body, words):
    async def handle(request):
        await request.reject(status, body=body)

    async with trio.open_nursery() as nursery:
        url = await serve(nursery, handle)
        with trio.fail_after(30):
            assert await cli.tail(url, TOKEN, 0, None, print, waits=(0.0,)) == 1
        nursery.cancel_scope.cancel()
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


async def test_tail_of_something_else(capsys):
    async def handle(request):
        socket = await request.accept()
        await socket.send_message("hello")

    async with trio.open_nursery() as nursery:
        url = await serve(nursery, handle)
        with trio.fail_after(30):
            assert await cli.tail(url, TOKEN, 0, None, print, waits=(0.0,)) == 1
        nursery.cancel_scope.cancel()
    assert "does not speak as an engine does" in capsys.readouterr().err


async def test_tail_waits_longer_and_longer_for_nobody(capsys, autojump_clock, monkeypatch):
    async def refused(*_, **__):
        raise OSError("nobody there")

    monkeypatch.setattr(trio, "open_tcp_stream", refused)
    with trio.move_on_after(20):
        await cli.tail("ws://127.0.0.1:9/v1/events/stream", TOKEN, 0, None, print)
    waits = [line.rsplit(" in ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert waits == ["0.5 s", "1 s", "2 s", "5 s", "5 s", "5 s", "5 s"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"220 mail ESMTP\r\n"])
async def test_tail_survives_a_broken_handshake(capsys, monkeypatch, answer):
    monkeypatch.setattr(cli, "TAIL_CONNECT", 0.1)
    met = []

    async def handle(stream):
        met.append(stream)
        async with stream:
            await stream.receive_some()
            if answer:
                await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with trio.fail_after(30):
            nursery.start_soon(partial(cli.tail, f"ws://127.0.0.1:{port}/x", TOKEN, 0, None, print, waits=(0.0,)))
            while len(met) < 3:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert capsys.readouterr().err.count("trying again") >= 2


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
async def test_tail_as_a_process_ends_on_ctrl_c(signal_number):
    async def handle(request):
        socket = await request.accept()
        await socket.send_message(event(1))
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await socket.get_message()

    async with trio.open_nursery() as nursery:
        url = await serve(nursery, handle)
        process = await nursery.start(
            partial(
                trio.run_process,
                [sys.executable, "-m", "engine", "events", "tail", "--url", url],
                env=os.environ | {"PYTHONPATH": str(ROOT), "ENGINE_TOKEN": TOKEN},
                stdout=subprocess.PIPE,
                check=False,
            )
        )
        with trio.fail_after(60):
            assert await process.stdout.receive_some() == event(1).encode() + b"\n"
            process.send_signal(signal_number)
            assert await process.wait() == 0
        nursery.cancel_scope.cancel()


async def test_tail_as_a_process_ends_when_its_reader_has_gone():
    go_on = trio.Event()

    async def handle(request):
        socket = await request.accept()
        await socket.send_message(event(1))
        await go_on.wait()
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await socket.send_message(event(2))
            await socket.get_message()

    async with trio.open_nursery() as nursery:
        url = await serve(nursery, handle)
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "engine", "events", "tail", "--url", url],
            env=os.environ | {"PYTHONPATH": str(ROOT), "ENGINE_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with trio.fail_after(60):
            await process.stdout.receive_some()
            await process.stdout.aclose()
            go_on.set()
            assert await process.wait() == 0
            assert await process.stderr.receive_some() == b""
        await process.stderr.aclose()
        nursery.cancel_scope.cancel()
