"""`engine events tail` and `engine events pipe`: a JSON line for each event until Ctrl-C.

Both begin with new events unless `--after` says otherwise. They are clients of the API like any other, and reconnect
without a gap when they lose the connection. `pipe` is a named consumer (`events_pipe.py`).
"""

from __future__ import annotations

import abc
import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.client import HOW_TO_ISSUE, Client, add_options
from engine.commands.common import Add, group
from engine.commands.terminal import complain

if TYPE_CHECKING:
    import ssl

    import trio
    import trio_websocket

TAIL_WAITS = (0.5, 1.0, 2.0, 5.0)
"""Seconds before each next attempt to connect; the last repeats."""
TAIL_QUIET = 30.0
"""Seconds without a frame after which the client pings the server."""
TAIL_CONNECT = 10.0
TAIL_LARGEST_EVENT = 64 * 1024**2

EXAMPLES = """\
examples:
  engine events tail                             new events
  engine events tail --after 0 | jq .event       all events that are kept
  engine events tail --account example --after 120
  ENGINE_TOKEN=... engine events tail --url https://mail.example.com

Other users of the machine can see a token on the command line; they cannot see ENGINE_TOKEN.
"""


PIPE_EXAMPLES = """\
examples:
  engine events pipe kafka --after 0 | kafka-console-producer --bootstrap-server kafka:9092 --topic mailbox
  engine events pipe vector | vector --config vector.toml    with a source of the type stdin
  engine events pipe bounces --events messageBounce,messageFailed --cloudevents

The position moves each time that lines have been written. What a program that ends had read but not dealt with is not
printed again by itself: engine events pipe NAME goes on behind it.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    events = group(commands, "events", "follow the events")
    command = add(events, "tail", "print new events as JSON lines until Ctrl-C", _tail, EXAMPLES)
    command.add_argument(
        "--after", metavar="N", type=_seq, help="events numbered above N, 0 for all that are kept (default: new events)"
    )
    command.add_argument("--account", metavar="A", help="only events of this account")
    add_options(command)
    command = add(events, "pipe", "print events as JSON lines, as a named consumer", _pipe, PIPE_EXAMPLES)
    command.add_argument("consumer", metavar="NAME", help="the consumer, whose position the engine keeps")
    command.add_argument(
        "--after", metavar="N", type=_seq, help="where a new consumer begins: above N, 0 for all (default: new events)"
    )
    command.add_argument("--account", metavar="A", help="only events of this account")
    command.add_argument("--events", metavar="E", help="only events with these names, separated by commas")
    command.add_argument("--cloudevents", action="store_true", help="each in a CloudEvents 1.0 envelope")
    add_options(command)


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _tail(options: argparse.Namespace) -> int:
    client = Client(options)
    url = stream_url(client.url or "http://localhost")
    after = options.after
    if after is None:
        after = client.ask("GET", "/v1/events?limit=1")["last"]

    return _until_interrupted(
        lambda: tail(url, client.token, after, options.account, _print_line, folder=client.folder, trust=client.trust)
    )


def _pipe(options: argparse.Namespace) -> int:
    from engine.commands.events_pipe import Pipe

    client = Client(options)
    asked = {"consumer": options.consumer, "after": options.after, "account": options.account, "events": options.events}
    query = {name: str(value) for name, value in asked.items() if value is not None}
    stream = Pipe(
        stream_url(client.url or "http://localhost"),
        client.token,
        query,
        client.folder,
        client.trust,
        cloudevents=options.cloudevents,
    )
    return _until_interrupted(lambda: follow(stream))


def _until_interrupted(follow: Callable[[], Awaitable[int]]) -> int:
    """Run until it ends, which gives the exit code, or until Ctrl-C."""
    import signal

    import trio

    async def until_interrupted() -> int:
        code = 0
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:

                async def run() -> None:
                    nonlocal code
                    code = await follow()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(run)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
        return code

    try:
        return trio.run(until_interrupted)
    except BaseExceptionGroup as group:
        gone, rest = group.split(BrokenPipeError)
        if gone is None or rest is not None:
            raise
        raise BrokenPipeError from group


def _print_line(line: str) -> None:
    # One write, so that a reader of an unbuffered pipe never meets half a line.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def stream_url(base: str) -> str:
    """The websocket's address for the engine at `base`."""
    return f"{base.replace('http', 'ws', 1)}/v1/events/stream"


async def tail(
    url: str,
    token: str | None,
    after: int,
    account: str | None,
    emit: Callable[[str], None],
    waits: Sequence[float] = TAIL_WAITS,
    folder: Path | None = None,
    trust: ssl.SSLContext | None = None,
) -> int:
    """Hand every event numbered above `after` to `emit`, in order, each once; reconnect when the connection is lost.

    `folder`: the data folder whose control socket is used in place of the host in `url`. `trust`: whose certificates
    count for `wss:`, the system's authorities if None. Returns 1 when the engine
    refuses us for good (token, parameters), else runs until cancelled. `waits` are seconds.
    """
    return await follow(_Tail(url, token, after, account, emit, folder, trust), waits)


async def follow(stream: Stream, waits: Sequence[float] = TAIL_WAITS) -> int:
    """Follow a stream and reconnect. Returns and ends as `tail` does."""
    import trio

    while True:
        reason, for_good = _reason(await stream.until_lost())
        if for_good:
            complain(reason)
            return 1
        wait = waits[min(stream.failures, len(waits) - 1)]
        stream.failures += 1
        complain(f"{stream.place}: {reason}; trying again in {wait:g} s")
        await trio.sleep(wait)


class Stream(abc.ABC):
    """A stream of events over a websocket. `failures`: the connections in a row that brought no event."""

    def __init__(self, url: str, token: str | None, folder: Path | None, trust: ssl.SSLContext | None) -> None:
        self._url = url
        self._token = token
        self._folder = folder
        self._trust = trust
        self.failures = 0

    @property
    def place(self) -> str:
        """The engine, in words."""
        return self._url if self._folder is None else f"the engine on {self._folder}"

    @abc.abstractmethod
    def query(self) -> dict[str, str]:
        """What to ask for on the next connection."""

    @abc.abstractmethod
    async def read(self, socket: trio_websocket.WebSocketConnection) -> None:
        """Read events until the connection is lost, which raises."""

    async def until_lost(self) -> Exception | None:
        """Connect and follow until the connection is lost; why it was."""
        import msgspec
        import trio
        import trio_websocket

        try:
            # A stream of our own: the library's way of connecting leaves it open when the handshake is refused.
            with trio.fail_after(TAIL_CONNECT):
                stream = await (_dial(self._url, self._trust) if self._folder is None else _dial_control(self._folder))
        except (OSError, trio.TooSlowError) as error:
            return error
        lost: Exception | None = None
        try:
            async with stream, trio.open_nursery() as nursery:
                await self.read(await self._handshake(nursery, stream))
        except* (
            trio_websocket.HandshakeError,
            trio_websocket.ConnectionClosed,
            trio.TooSlowError,
            msgspec.DecodeError,
            UnicodeDecodeError,
        ) as group:
            lost = group.exceptions[0]
        return lost

    async def _handshake(
        self, nursery: trio.Nursery, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    ) -> trio_websocket.WebSocketConnection:
        from urllib.parse import urlencode, urlsplit

        import trio
        import trio_websocket

        parts = urlsplit(self._url)
        query = urlencode(self.query())
        fields = [] if self._token is None else [(b"Authorization", f"Bearer {self._token}".encode())]
        with trio.fail_after(TAIL_CONNECT):
            return await trio_websocket.wrap_client_stream(
                nursery,
                stream,
                parts.netloc,
                f"{parts.path}?{query}",
                extra_headers=fields,
                message_queue_size=1000,
                max_message_size=TAIL_LARGEST_EVENT,
            )


async def next_frame(socket: trio_websocket.WebSocketConnection) -> str:
    """The next frame; a quiet server is pinged. Raises what the connection raises, and `trio.TooSlowError`."""
    import trio

    while True:
        frame = None
        with trio.move_on_after(TAIL_QUIET):
            frame = await socket.get_message()
        if frame is None:
            with trio.fail_after(TAIL_QUIET):
                await socket.ping()
            continue
        return frame.decode() if isinstance(frame, bytes) else frame


class _Tail(Stream):
    """Where a tail stands: the last event it has handed over."""

    def __init__(
        self,
        url: str,
        token: str | None,
        after: int,
        account: str | None,
        emit: Callable[[str], None],
        folder: Path | None,
        trust: ssl.SSLContext | None,
    ) -> None:
        super().__init__(url, token, folder, trust)
        self._after = after
        self._account = account
        self._emit = emit

    def query(self) -> dict[str, str]:
        return {"after": str(self._after)} | ({"account": self._account} if self._account else {})

    async def read(self, socket: trio_websocket.WebSocketConnection) -> None:
        import msgspec

        if self.failures:
            complain(f"connected again, continuing after event {self._after}")
        while True:
            text = await next_frame(socket)
            event = msgspec.json.decode(text, type=dict)
            if "event" in event:
                self._emit(text)
                self._after = event["seq"]
                self.failures = 0
            elif event.get("stream") == "gap":
                complain_of_gap(event["first"])


def complain_of_gap(first: int) -> None:
    """Say that events were removed before they could be read."""
    complain(f"events before {first} are no longer kept")


async def _dial_control(folder: Path) -> trio.SocketStream:
    """A stream to the engine on `folder`. Raises OSError."""
    import trio

    from engine.store import control_socket

    # Connecting to a socket of this machine does not wait.
    sock = control_socket.connect(folder, TAIL_CONNECT)
    sock.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


async def _dial(url: str, trust: ssl.SSLContext | None) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    """A stream to the host of `url`, TLS agreed upon where it is wss. Raises OSError."""
    from urllib.parse import urlsplit

    import trio

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "ws":
        return await trio.open_tcp_stream(host, parts.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True, ssl_context=trust)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise OSError(f"no TLS: {error.__cause__ or error}") from error
    return stream


def _reason(lost: Exception | None) -> tuple[str, bool]:
    """Why the stream ended, and whether another attempt is pointless."""
    import trio
    import trio_websocket

    if isinstance(lost, trio_websocket.ConnectionRejected):
        if lost.status_code >= 500 or lost.status_code == 429:
            return f"it answered {lost.status_code}", False
        return _refusal(lost.status_code, lost.body), True
    if isinstance(lost, trio_websocket.ConnectionClosed):
        if lost.reason is None:
            return "connection lost", False
        if lost.reason.code == 1008 or 4000 <= lost.reason.code < 5000:
            return f"the engine ended the stream: {lost.reason.reason or lost.reason.code}", True
        return f"connection closed ({lost.reason.code})", False
    if isinstance(lost, OSError):
        return str(lost), False
    if isinstance(lost, trio.TooSlowError):
        return "it does not answer", False
    if isinstance(lost, ValueError):
        return "what answers there is not an engine", True
    return "no answer", False


def _refusal(status: int, body: bytes | None) -> str:
    import msgspec

    if status == 401:
        return f"the token is not valid here. Create one with: {HOW_TO_ISSUE}"
    if status == 403:
        return "the token's scopes do not allow following events"
    try:
        problem = msgspec.json.decode(body or b"", type=dict)
        faults = "; ".join(str(each["message"]) for each in problem.get("fields", ()))
        return f"refused with {status}: {faults or problem['message']}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"refused with {status}; is this the engine's address?"
