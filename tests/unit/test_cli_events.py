from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket

from engine import cli
from engine.commands import events
from engine.commands.client import Client

ROOT = Path(__file__).parents[2]
TOKEN = "ab" * 32


pytestmark = pytest.mark.usefixtures("folder")


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
    options = argparse.Namespace(url=base, token=TOKEN, ca=None)
    assert events.stream_url(Client(options).url) == url


@pytest.mark.parametrize("base", ["127.0.0.1:3000", "ftp://x", "http://", "http://x:y", "http://x?a=b", "http://[x"])
def test_a_wrong_url(base, capsys):
    assert cli.main(["events", "tail", "--token", TOKEN, "--url", base]) == 2
    assert capsys.readouterr().err.startswith("engine: --url must look like")


def test_tail_without_a_token_says_how_to_make_one(folder, capsys):
    assert cli.main(["events", "tail", "--url", "http://127.0.0.1:1"]) == 2
    assert "engine tokens issue" in capsys.readouterr().err
    assert not folder.exists()


def test_tail_with_what_cannot_be_a_token(capsys):
    assert cli.main(["events", "tail", "--token", "ä", "--url", "http://127.0.0.1:1"]) == 2
    assert "no token has" in capsys.readouterr().err


def test_tail_of_no_engine(folder, capsys):
    assert cli.main(["events", "tail"]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert not folder.exists()


def event(seq):
    return json.dumps({"event": "messageSent", "seq": seq}, separators=(",", ":"))


async def serve(nursery, handle):
    server = await nursery.start(trio_websocket.serve_websocket, handle, "127.0.0.1", 0, None)
    return f"ws://127.0.0.1:{server.port}/v1/events/stream"


async def test_tail_comes_back_without_a_gap(capsys):
    asked = []
    lines: list[Any] = []

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
            code = await events.tail(url, TOKEN, 3, "a&b", lines.append, waits=(0.0,))
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
    assert "connected again, continuing after event 5" in err
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
            assert await events.tail(url, TOKEN, 0, None, print, waits=(0.0,)) == 1
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
            assert await events.tail(url, TOKEN, 0, None, print, waits=(0.0,)) == 1
        nursery.cancel_scope.cancel()
    assert "is not an engine" in capsys.readouterr().err


async def test_tail_waits_longer_and_longer_for_nobody(capsys, autojump_clock, monkeypatch):
    async def refused(*_, **__):
        raise OSError("nobody there")

    monkeypatch.setattr(trio, "open_tcp_stream", refused)
    with trio.move_on_after(20):
        await events.tail("ws://127.0.0.1:9/v1/events/stream", TOKEN, 0, None, print)
    waits = [line.rsplit(" in ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert waits == ["0.5 s", "1 s", "2 s", "5 s", "5 s", "5 s", "5 s"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"220 mail ESMTP\r\n"])
async def test_tail_survives_a_broken_handshake(capsys, monkeypatch, answer):
    monkeypatch.setattr(events, "TAIL_CONNECT", 0.1)
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
            nursery.start_soon(partial(events.tail, f"ws://127.0.0.1:{port}/x", TOKEN, 0, None, print, waits=(0.0,)))
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
                [sys.executable, "-m", "engine", "events", "tail", "--after", "0", "--url", url],
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
            [sys.executable, "-m", "engine", "events", "tail", "--after", "0", "--url", url],
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


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message":"Invalid input","fields":[{"message":"no such name"}]}', "refused with 400: no such name"),
        (b'{"message":"Invalid input"}', "refused with 400: Invalid input"),
        (b'{"message":"Invalid input","fields":[1]}', "refused with 400; is this the engine's address?"),
    ],
)
def test_a_refusal_says_what_is_wrong(body: bytes, words: str) -> None:
    assert events._refusal(400, body) == words
