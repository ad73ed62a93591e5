"""The whole job on one screen: start the engine, register a mailbox, send a message, watch what becomes of it.

Nothing is imported from the engine: everything here is what any client would do, over HTTP and one websocket. The
mailbox is on the sandbox, a mail provider inside the engine, so no mail leaves this machine. Safe to run again: what is
in the data folder is used. `--once` ends after `messageSent` with exit code 0. Trouble of any kind ends it with the
reason on stderr and exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import trio
from port_check import refusal
from trio_websocket import ConnectionClosed, HandshakeError, open_websocket_url

REPOSITORY = Path(__file__).resolve().parent.parent
HOST = os.environ.get("ENGINE_HTTP__HOST", "127.0.0.1")
PORT = os.environ.get("ENGINE_HTTP__PORT", "3000")
FOLDER = Path(os.environ.get("ENGINE_STORE__PATH", "data/quickstart"))
ENVIRONMENT = {**os.environ, "ENGINE_HTTP__HOST": HOST, "ENGINE_HTTP__PORT": PORT, "ENGINE_STORE__PATH": str(FOLDER)}
URL = f"http://{HOST}:{PORT}"
AGAIN = os.environ.pop("QUICKSTART", "scripts/quickstart")
"""The command that runs this as it was run."""
LOG = FOLDER / "engine.log"
TOKEN = FOLDER / "token"

ACCOUNT = {"account": "example", "name": "Example", "email": "example@sandbox.example", "sandbox": True}
SIGN_IN = {"name": "Sandbox", "provider": "sandbox", "clientId": "quickstart", "clientSecret": "none", "enabled": True}
MESSAGE = {
    "to": [{"name": "A friend", "address": "friend@sandbox.example"}],
    "subject": "Test message",
    "text": "Hello from myself!",
    "html": "<p>Hello from myself!</p>",
}


async def quickstart(steps: Steps, once: bool) -> None:
    """All of it, in order. Returns after `messageSent` if `once`; otherwise serves until it is cancelled."""
    steps.next(f"starting the engine on {URL}")
    check_port_is_free()
    prepare_folder()
    async with running_engine() as engine, httpx2.AsyncClient(base_url=URL, timeout=60) as api:
        await wait_until_healthy(api, engine)

        steps.next("issuing an API token")
        token = issue_token()
        api.headers["Authorization"] = f"Bearer {token}"

        steps.next("following the events by websocket")
        last = (await call(api, "GET", "/v1/events?limit=1"))["last"]
        ends: dict[str, dict[str, Any]] = {}
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(10) as opening:
                await nursery.start(print_events, f"/v1/events/stream?after={last}", token, ends)
            if opening.cancelled_caught:
                raise trouble_with_log("The websocket was not accepted within 10 s.")

            steps.next("registering the mailbox")
            answer = await call(api, "POST", "/v1/account", ACCOUNT)
            say(f"POST /v1/account -> {json.dumps(answer)}")
            # init -> connecting -> syncing -> connected; before that, messages are refused.
            account = await call(api, "GET", "/v1/account/example?wait=connected")
            say(f"GET /v1/account/example?wait=connected -> state {account['state']}")
            if account["state"] != "connected":
                raise trouble_with_log(f"The account is not connected: {account['lastError']}")

            steps.next("sending a message")
            answer = await call(api, "POST", "/v1/account/example/submit", MESSAGE)
            say(f"POST /v1/account/example/submit -> {json.dumps(answer)}")

            async def end_of_message() -> dict[str, Any] | None:
                return ends.get(answer["queueId"])

            end = await poll(60, "messageSent", end_of_message)
            if end["event"] != "messageSent":
                raise Trouble(f"The message was not sent: {end['data'].get('error')}")

            steps.next(f"sent: {end['data']['response']}")
            if not once:
                print_where_to_look_next(await sign_in_link(api), enter_link())
                await engine.wait()
                raise trouble_with_log(f"The engine ended by itself with code {engine.returncode}.")
            nursery.cancel_scope.cancel()


def check_port_is_free() -> None:
    if reason := refusal(HOST, PORT, AGAIN):
        raise Trouble(reason)


def prepare_folder() -> None:
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    LOG.unlink(missing_ok=True)


@asynccontextmanager
async def running_engine() -> AsyncIterator[trio.Process]:
    """`engine serve` for the length of the block, then SIGTERM, as an operator would end it."""
    with LOG.open("wb") as log:
        # A session of its own: Ctrl-C reaches only us, and we end the engine in order.
        engine = await trio.lowlevel.open_process(
            [sys.executable, "-m", "engine", "serve"], env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield engine
    finally:
        engine.terminate()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 20):
            await engine.wait()
        engine.kill()


async def wait_until_healthy(api: httpx2.AsyncClient, engine: trio.Process) -> None:
    async def healthy() -> bool:
        if engine.poll() is not None:
            raise trouble_with_log(f"The engine ended with code {engine.returncode}.")
        try:
            return (await api.get("/health")).is_success
        except httpx2.TransportError:
            return False

    await poll(30, "answer to GET /health", healthy)
    say(f"GET /health -> success; it logs to {LOG}")


def issue_token() -> str:
    """The token of an earlier run, or a new one. The engine keeps only a hash, so we keep the token."""
    if not TOKEN.exists():
        command = [sys.executable, "-m", "engine", "tokens", "issue", "-d", "quickstart", "-s", "*"]
        issued = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        if issued.returncode != 0:
            raise Trouble(f"engine tokens issue failed: {issued.stderr}")
        TOKEN.touch(mode=0o600)
        TOKEN.write_text(issued.stdout)
    say(f'engine tokens issue -d quickstart -s "*" -> kept in {TOKEN}')
    return TOKEN.read_text().strip()


async def call(api: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        answer = await api.request(method, path, json=body)
    except httpx2.TransportError as error:
        raise trouble_with_log(f"{method} {path} was not answered: {error!r}.") from error
    if not answer.is_success:
        hint = f"\nHas the token been revoked? Then:  rm {TOKEN} && {AGAIN}" if answer.status_code == 401 else ""
        raise Trouble(f"{method} {path} was answered {answer.status_code}: {answer.text}{hint}")
    return answer.json()


async def print_events(
    path: str, token: str, ends: dict[str, dict[str, Any]], task_status: trio.TaskStatus[None]
) -> None:
    """Print each event as it arrives; put those that end a message into `ends`, by queueId.

    A frame is one event, or a control frame, which has `stream` in place of `event`.
    """
    headers = [(b"Authorization", f"Bearer {token}".encode())]
    try:
        async with open_websocket_url(f"ws://{HOST}:{PORT}{path}", extra_headers=headers) as stream:
            say(f"GET {path} -> websocket")
            task_status.started()
            while True:
                event = json.loads(await stream.get_message())
                if "event" in event:
                    say(f"event {event['seq']} {event['event']}: {json.dumps(event['data'])}")
                if event.get("event") in ("messageSent", "messageFailed"):
                    ends[event["data"]["queueId"]] = event
    except (HandshakeError, ConnectionClosed, OSError) as error:
        raise trouble_with_log(f"The event stream ended: {error!r}.") from error


async def sign_in_link(api: httpx2.AsyncClient) -> str:
    """A link as a customer would get it: sign in at the sandbox, which is an OAuth2 provider too, and be connected."""
    await call(api, "POST", "/v1/settings", {"serviceUrl": URL})
    apps = await call(api, "GET", "/v1/oauth2")
    app = next((each for each in apps["apps"] if each["provider"] == "sandbox"), None)
    if app is None:
        app = await call(api, "POST", "/v1/oauth2", SIGN_IN)
    form = {"type": app["id"], "redirectUrl": f"{URL}/"}
    link: str = (await call(api, "POST", "/v1/authentication/form", form))["url"]
    return link


def enter_link() -> str | None:
    """The link with which the owner first opens the pages, as the start wrote it to the log; None if people exist."""
    return next((line for line in LOG.read_text().splitlines() if line.startswith(f"{URL}/admin/enter?key=")), None)


def print_where_to_look_next(link: str, enter: str | None) -> None:
    first = f". This link lets you in, once, to choose a name and a password:\n\n  {enter}" if enter else ""
    tell(f"""
The engine serves on {URL} until Ctrl-C, and events are printed here. In another terminal:

  TOKEN=$(cat {TOKEN})
  curl -H "Authorization: Bearer $TOKEN" {URL}/v1/account/example
  curl -H "Authorization: Bearer $TOKEN" "{URL}/v1/events?after=0&limit=10"
  curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" {URL}/v1/account/example/submit \\
    -d '{{"to": [{{"address": "reject+anyone@sandbox.example"}}], "subject": "Refused", "text": "See what comes back"}}'

To connect a mailbox as your customers will, by OAuth2, open this in a browser; the sandbox asks for consent:

  {link}

The pages: {URL}/admin{first}

A mailbox of your own: README.md. Every setting: config.toml. What the engine promises: docs/design.md.
""")


class Steps:
    """Prints `[3/8] what comes now`."""

    def __init__(self, first: int) -> None:
        self._number = first - 1
        self._last = first + 5

    def next(self, text: str) -> None:
        self._number += 1
        tell(f"[{self._number}/{self._last}] {text}")


def say(text: str) -> None:
    tell(f"      {text}")


def tell(text: str) -> None:
    """Print it now. If the reader has gone, as with `| head`, the text is dropped and the quickstart continues."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def poll(seconds: int, what: str, look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` returns, as soon as that is true. Raises `Trouble` after `seconds`."""
    for _ in range(seconds * 10):
        if found := await look():
            return found
        await trio.sleep(0.1)
    raise trouble_with_log(f"No {what} within {seconds} s.")


class Trouble(Exception):
    """Why the quickstart cannot continue, in words for its user."""


def trouble_with_log(reason: str) -> Trouble:
    lines = LOG.read_text(errors="replace").splitlines()
    return Trouble("\n".join([reason, f"The end of {LOG}:", *lines[-15:]]))


async def until_signal(steps: Steps, once: bool) -> None:
    """Run `quickstart`; Ctrl-C or SIGTERM ends it, engine included, and is no error."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def end_on_signal() -> None:
                await anext(signals)
                tell("\nstopping the engine")
                if once:
                    raise Trouble("Stopped before the message was sent.")
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_on_signal)
            await quickstart(steps, once)
            nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description="Start the engine, register a sandbox mailbox and send one message.")
    parser.add_argument("--once", action="store_true", help="end after messageSent instead of serving until Ctrl-C")
    parser.add_argument("--first-step", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.chdir(REPOSITORY)
    trouble: BaseException | None = None
    try:
        trio.run(until_signal, Steps(options.first_step), options.once)
    except* Trouble as group:
        trouble = group
        while isinstance(trouble, BaseExceptionGroup):
            trouble = trouble.exceptions[0]
    if trouble is not None:
        sys.exit(f"\n{trouble}")


if __name__ == "__main__":
    main()
