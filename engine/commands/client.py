"""A request of a command to an engine: through the control socket of a data folder, or over HTTP with a token.

The socket needs no token: only the owner can open it. `--url` names an engine anywhere, and needs a token from
`--token` or `ENGINE_TOKEN`. With `--token` alone the request goes through the socket with that token, to try out what
it may do.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from engine.commands.target import EngineTarget, chosen
from engine.environment import TOKEN
from engine.errors import ConfigError, EngineError, Fault
from engine.store import control_socket

if TYPE_CHECKING:
    from engine.config import Http

PATIENCE = 60.0
"""The maximum seconds for an answer; a test event alone may take as long as its receiver has."""
HEALTH_PATIENCE = 1.0
MOST_BYTES = 64 * 1024


class RequestRefused(EngineError):
    """The engine refused the request. `status` is the status of its answer, `code` its short code."""

    fault = Fault.CALLER

    def __init__(self, text: str, status: int = 0, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class Unreachable(EngineError):
    """There is no engine, or it does not answer."""

    fault = Fault.NETWORK


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options that name the engine and the token."""
    command.add_argument(
        "--url", metavar="URL", help="an engine elsewhere (default: the one that `engine where` shows)"
    )
    command.add_argument(
        "--ca", metavar="FILE", type=Path, help="with --url: the authorities whose certificates count (PEM)"
    )
    command.add_argument("--token", metavar="T", help=f"API token, needed with --url (default: {TOKEN})")


class Client:
    """Asks one engine. `folder` is its data folder, None where `url` names it."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Find the engine. Raises `ConfigError` without a clear choice or a token, `Unreachable` without an engine."""
        self.url: str | None = options.url
        self.token: str | None = options.token
        self.folder: Path | None = None
        self.trust: ssl.SSLContext | None = None
        if self.url is None:
            if options.ca is not None:
                raise ConfigError("--ca goes with --url")
            self.folder = _running(chosen(options))
        else:
            self.token = self.token or os.environ.get(TOKEN, "")
            self.url = _base(self.url)
            if self.url.startswith("https:"):
                self.trust = _trust(options.ca)
        if self.token is not None:
            self.token = checked(self.token)

    @property
    def place(self) -> str:
        """The engine, in words."""
        return self.url or f"the engine on {self.folder}"

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The JSON of a 200. Raises `RequestRefused` in the engine's words, `Unreachable` when it is not there."""
        status, answer = self._exchange(method, path, body, headers or {})
        try:
            value = msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            raise RequestRefused(
                f"{self.place} answered {status}, but not like an engine; does one run there?"
            ) from error
        if status != 200:
            raise _refusal(status, value)
        return value

    def text(self, path: str) -> str:
        """The plain text of a 200. Raises as `ask` does."""
        status, answer = self._exchange("GET", path, None, {})
        if status != 200:
            try:
                raise _refusal(status, msgspec.json.decode(answer))
            except msgspec.DecodeError as error:
                raise RequestRefused(f"{self.place} answered {status}; does an engine run there?") from error
        return answer.decode(errors="replace")

    def _exchange(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        parts = urlsplit(self.url or "")
        connection: http.client.HTTPConnection
        if self.folder is not None:
            connection = ControlConnection(self.folder, PATIENCE)
        elif parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=PATIENCE, context=self.trust
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        if self.token is not None:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        try:
            data = None if body is None else msgspec.json.encode(body)
            fields = {**headers, **({} if body is None else {"Content-Type": "application/json"})}
            connection.request(method, f"{parts.path.rstrip('/')}{path}", data, fields)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            raise Unreachable(_why(self.place, error)) from error
        finally:
            connection.close()


class ControlConnection(http.client.HTTPConnection):
    """HTTP over the control socket of a data folder."""

    def __init__(self, folder: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._folder = folder

    def connect(self) -> None:
        """Connect. Raises OSError."""
        self.sock = control_socket.connect(self._folder, self.timeout or PATIENCE)


def checked(token: str) -> str:
    """The token, fit for a header. Raises `ConfigError`."""
    token = token.strip()
    if not token:
        raise ConfigError(f"--url needs a token, from --token or {TOKEN}. Create one with: {HOW_TO_ISSUE}")
    if not (token.isascii() and token.isprintable()):
        raise ConfigError("the token has characters that no token has")
    return token


HOW_TO_ISSUE = 'engine tokens issue -d "what for" -s "*"'


def ask_about(folder: Path, patience: float) -> dict[str, Any] | None:
    """What the engine on `folder` says about itself; None where there is none, or it has no control socket."""
    connection = ControlConnection(folder, patience)
    try:
        connection.request("GET", "/control")
        answer = connection.getresponse()
        found = msgspec.json.decode(answer.read(), type=dict[str, Any])
        return found if answer.status == 200 else None
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    finally:
        connection.close()


def healthy(config: Http, patience: float = HEALTH_PATIENCE) -> bool:
    """Whether an engine answers within `patience` seconds where this configuration has one listen."""
    host, port = config.host, config.port
    target = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(target, port, timeout=patience)
    if config.cert:
        # It is asked nothing but who it is, and its name is not that of this address.
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(target, port, timeout=patience, context=anyone)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == 200 and msgspec.json.decode(answer.read(MOST_BYTES), type=dict).get("success") is True
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return False
    finally:
        connection.close()


def _trust(file: Path | None) -> ssl.SSLContext:
    """Which certificates count: those of the authorities in `file`, else of the system. Raises `ConfigError`."""
    try:
        return ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise ConfigError(f"--ca {file} has no certificate in PEM form") from error
    except OSError as error:
        raise ConfigError(f"--ca {file} cannot be read: {error.strerror}") from error


def _base(url: str) -> str:
    """The base of `url`, which may be that of the stream. Raises `ConfigError`."""
    wrong = ConfigError(f"--url must look like http://127.0.0.1:3000, not {url!r}")
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise wrong from error
    scheme = {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(parts.scheme)
    if scheme is None or not usable or parts.query or parts.fragment:
        raise wrong
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1/events/stream')}"


def _running(target: EngineTarget) -> Path:
    if target.pid is None:
        raise Unreachable(
            f"no engine runs on {target.folder}: start it with: engine serve; or name another one, see: engine where"
        )
    if target.about is None:
        raise Unreachable(
            f"the engine on {target.folder} (pid {target.pid or 'unknown'}) does not answer on its control socket "
            f"{target.folder / 'control'}: check its log, or give --url and a token"
        )
    return target.folder


def _refusal(status: int, value: Any) -> RequestRefused:
    if not isinstance(value, dict):
        return RequestRefused(f"it answered {status}; does an engine run there?", status)
    fields = "; ".join(str(each["message"]) for each in value.get("fields", ()))
    text = fields or value.get("message") or f"it answered {status}"
    if status == 404:
        text = f"{text}; see: engine account list, engine outbox list, engine webhooks list"
    if status == 401:
        text = f"the token is not valid here. Create one with: {HOW_TO_ISSUE}"
    elif status == 403 and "requestedScope" in value:
        text = f"the token lacks the scope {value['requestedScope']!r}, which this needs"
    elif status == 403:
        text = f"{text}: the token is for another account, or for one account only"
    return RequestRefused(str(text), status, value.get("code"))


def _why(place: str, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{place}: nothing listens there. Start the engine with: engine serve; to see which one is meant: "
            "engine where"
        )
    if isinstance(error, socket.gaierror):
        return f"{place}: there is no such host; check --url"
    if isinstance(error, TimeoutError):
        return f"{place} does not answer within {PATIENCE:g} s; check its log"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return f"{place}: its certificate is not accepted: {reason}; --ca names the authority that issued it"
    if isinstance(error, ssl.SSLError):
        return f"{place}: TLS failed ({error.reason or error}); should the URL begin with http://?"
    return f"{place}: the connection broke ({error}); check its log"
