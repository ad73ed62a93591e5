"""The `engine` command: serve, events, doctor; the others are in `commands/`.

Standard output carries only what was asked for (a token, a table, events as JSON lines, findings); everything else goes
to standard error. A wrong configuration is one line there and exit code 2; a command that could not do its work exits
with 1. Whatever the umask is, what a command makes is for this user alone. `events tail` is a client of the API like
any other and comes back by itself, without a gap, when the connection is lost. Each command imports what it needs when
it runs, so that the short ones start quickly.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands import audit, backup, outbox, tokens, vault, webhooks
from engine.commands.common import PROGRAM, config_file
from engine.commands.common import load_config as _config
from engine.commands.common import say as _say
from engine.errors import ConfigError, EngineError
from engine.version import VERSION

if TYPE_CHECKING:
    import trio

    from engine.config import Config

TAIL_WAITS = (0.5, 1.0, 2.0, 5.0)  # seconds before each next try to connect; the last repeats
TAIL_QUIET = 30.0  # seconds without a frame before the server is asked whether it is still there
TAIL_CONNECT = 10.0
TAIL_LARGEST_EVENT = 64 * 1024**2

EXAMPLES = """\
examples:
  engine doctor                                  is everything in order for a start?
  engine tokens issue -d "my app" -s "*"         make an API token
  engine serve                                   run the engine in the foreground
  engine events tail --token TOKEN               follow what happens, one JSON line per event
  engine backup /backup/monday                   copy the data folder while the engine runs
  engine audit --since 2d                        who changed what lately

Settings come from --config FILE, else config.toml in the current folder if there is one, else the defaults.
ENGINE_<SECTION>__<KEY> in the environment goes over the file, as in ENGINE_HTTP__PORT=3100.
"""
TAIL_EXAMPLES = """\
examples:
  ENGINE_TOKEN=... engine events tail
  engine events tail --after 120 --account example --token TOKEN
  engine events tail --url https://mail.example.com --token TOKEN | jq .event

A token on the command line can be seen by other users of the machine; ENGINE_TOKEN cannot.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 not done, 2 wrong usage or configuration.

    Raises `SystemExit` where argparse does: `--help`, `--version`, wrong usage.
    """
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        code = run(options)
        sys.stdout.flush()
    except ConfigError as error:
        _say(f"{PROGRAM}: {error}")
        return 2
    except EngineError as error:
        _say(f"{PROGRAM}: {error}")
        return 1
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not fail on flushing the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{PROGRAM} {VERSION}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", metavar="FILE", type=Path, default=argparse.SUPPRESS, help="settings (default: ./config.toml)"
    )
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="A self-hosted email API.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings (default: ./config.toml)")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        group: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        text: str,
        run: Callable[[argparse.Namespace], int],
        epilog: str | None = None,
    ) -> argparse.ArgumentParser:
        command = group.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=epilog,
            parents=[common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    add(commands, "serve", "run the engine in the foreground until it is told to stop", _serve)
    add(commands, "doctor", "check everything a start needs, changing nothing", _doctor)

    tokens.register(commands, add)
    audit.register(commands, add)
    vault.register(commands, add)
    outbox.register(commands, add)
    backup.register(commands, add)

    events = commands.add_parser("events", help="follow the events").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    tail = add(events, "tail", "print events as JSON lines until Ctrl-C", _events_tail, TAIL_EXAMPLES)
    tail.add_argument("--after", metavar="N", type=_seq, default=0, help="only events numbered above N (default: 0)")
    tail.add_argument("--account", metavar="A", help="only events of this account")
    tail.add_argument("--url", metavar="URL", help="where the engine is (default: from the settings)")
    tail.add_argument("--token", metavar="T", help="API token (default: ENGINE_TOKEN from the environment)")
    webhooks.register(commands, add, _config)
    return parser


def _seq(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a whole number, 0 or more")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    config = _config(options)
    # What is imported stays: looking for garbage in it would hold everything up for 30 ms, again and again.
    gc.disable()
    from engine.app import serve

    gc.freeze()
    gc.enable()
    return serve(config, config_file(options))


def _doctor(options: argparse.Namespace) -> int:
    from engine import doctor

    findings = doctor.examine(config_file(options), os.environ)
    for finding in findings:
        print(finding.line)
    return 0 if all(finding.ok for finding in findings) else 1


def _events_tail(options: argparse.Namespace) -> int:
    token = (options.token or os.environ.get("ENGINE_TOKEN", "")).strip()
    if not token:
        _say(
            f"{PROGRAM}: a token is needed, by --token or in ENGINE_TOKEN. "
            'Make one with: engine tokens issue -d "events tail" -s "*"'
        )
        return 1
    if not (token.isascii() and token.isprintable()):
        _say(f"{PROGRAM}: the token holds characters no token has")
        return 1
    import signal

    import trio

    url = stream_url(options.url or _own_url(_config(options)))

    async def until_interrupted() -> int:
        code = 0
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:

                async def follow() -> None:
                    nonlocal code
                    code = await tail(url, token, options.after, options.account, _print_line)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(follow)
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


def _own_url(config: Config) -> str:
    if config.http.port == 0:
        raise ConfigError("http.port is 0, so the port is only in the engine's log: give --url")
    # The addresses that mean "all of this machine" can be listened on but not everywhere connected to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(config.http.host, config.http.host)
    return f"ws://[{host}]:{config.http.port}" if ":" in host else f"ws://{host}:{config.http.port}"


def stream_url(base: str) -> str:
    """The websocket's address for an engine at `base` (http, https, ws or wss). Raises `ConfigError`."""
    from urllib.parse import urlsplit

    wrong = ConfigError(f"--url must look like http://127.0.0.1:3000, not {base!r}")
    try:
        parts = urlsplit(base)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise wrong from error
    scheme = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not usable or parts.query or parts.fragment:
        raise wrong
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1/events/stream')}/v1/events/stream"


async def tail(
    url: str,
    token: str,
    after: int,
    account: str | None,
    emit: Callable[[str], None],
    waits: Sequence[float] = TAIL_WAITS,
) -> int:
    """Hand every event numbered above `after` to `emit`, in order, each once; come back when the connection is lost.

    Returns 1 when the engine refuses us for good (token, parameters), else runs until cancelled. `waits` are seconds.
    """
    from urllib.parse import urlencode, urlsplit

    import msgspec
    import trio
    import trio_websocket

    parts = urlsplit(url)
    failures = 0

    async def follow(socket: trio_websocket.WebSocketConnection) -> None:
        nonlocal after, failures
        if failures:
            _say(f"{PROGRAM}: connected again, going on after event {after}")
        while True:
            frame = None
            with trio.move_on_after(TAIL_QUIET):
                frame = await socket.get_message()
            if frame is None:
                with trio.fail_after(TAIL_QUIET):
                    await socket.ping()
                continue
            text = frame.decode() if isinstance(frame, bytes) else frame
            event = msgspec.json.decode(text, type=dict)
            if "event" in event:
                emit(text)
                after = event["seq"]
                failures = 0
            elif event.get("stream") == "gap":
                _say(f"{PROGRAM}: events before {event['first']} are no longer kept")

    while True:
        query = urlencode({"after": after} | ({"account": account} if account else {}))
        lost: Exception | None = None
        try:
            # A stream of our own: the library's way of connecting leaves it open when the handshake is refused.
            with trio.fail_after(TAIL_CONNECT):
                stream = await _dial(url)
        except (OSError, trio.TooSlowError) as error:
            lost = error
        else:
            try:
                async with stream, trio.open_nursery() as nursery:
                    with trio.fail_after(TAIL_CONNECT):
                        socket = await trio_websocket.wrap_client_stream(
                            nursery,
                            stream,
                            parts.netloc,
                            f"{parts.path}?{query}",
                            extra_headers=[(b"Authorization", f"Bearer {token}".encode())],
                            message_queue_size=1000,
                            max_message_size=TAIL_LARGEST_EVENT,
                        )
                    await follow(socket)
            except* (
                trio_websocket.HandshakeError,
                trio_websocket.ConnectionClosed,
                trio.TooSlowError,
                msgspec.DecodeError,
                UnicodeDecodeError,
            ) as group:
                lost = group.exceptions[0]
        reason, for_good = _reason(lost)
        if for_good:
            _say(f"{PROGRAM}: {reason}")
            return 1
        wait = waits[min(failures, len(waits) - 1)]
        failures += 1
        _say(f"{PROGRAM}: {url}: {reason}; trying again in {wait:g} s")
        await trio.sleep(wait)


async def _dial(url: str) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    """A stream to the host of `url`, TLS agreed upon where it is wss. Raises OSError."""
    from urllib.parse import urlsplit

    import trio

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "ws":
        return await trio.open_tcp_stream(host, parts.port or 80)
    stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise OSError(f"no TLS: {error.__cause__ or error}") from error
    return stream


def _reason(lost: Exception | None) -> tuple[str, bool]:
    """Why the stream ended, and whether trying again is of no use."""
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
        return "what is there does not speak as an engine does", True
    return "no answer", False


def _refusal(status: int, body: bytes | None) -> str:
    import msgspec

    if status == 401:
        return 'the token is not valid. Make one with: engine tokens issue -d "events tail" -s "*"'
    if status == 403:
        return "the token's scopes do not allow following events"
    try:
        return f"refused with {status}: {msgspec.json.decode(body or b'', type=dict)['message']}"
    except (msgspec.DecodeError, KeyError):
        return f"refused with {status}; is this the engine's address?"
