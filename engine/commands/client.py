"""One request to a running engine, as any client would make it."""

from __future__ import annotations

import argparse
import http.client
import os
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from engine.errors import ConfigError, EngineError, Fault, NetworkError, NetworkKind

if TYPE_CHECKING:
    from engine.config import Config

PATIENCE = 60.0
"""Seconds an answer may take; a test event alone may take as long as its receiver is given."""


class Refused(EngineError):
    """The engine said no."""

    fault = Fault.CALLER


def add_options(command: argparse.ArgumentParser) -> None:
    """Where the engine is and who asks."""
    command.add_argument("--url", metavar="URL", help="where the engine is (default: from the settings)")
    command.add_argument("--token", metavar="T", help="API token (default: ENGINE_TOKEN from the environment)")


class Client:
    """Asks one engine. Raises `ConfigError` when it is not clear which, or as whom."""

    def __init__(self, options: argparse.Namespace, config: Config) -> None:
        self._token = (options.token or os.environ.get("ENGINE_TOKEN", "")).strip()
        if not (self._token and self._token.isascii() and self._token.isprintable()):
            raise ConfigError("a token is needed, by --token or in ENGINE_TOKEN. Make one with: engine tokens issue")
        self._base = options.url or _own_url(config)
        parts = urlsplit(self._base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--url must look like http://127.0.0.1:3000, not {self._base!r}")

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of a 200. Raises `Refused` with the engine's own words, `NetworkError` when it is not there."""
        parts = urlsplit(self._base)
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = connect(parts.hostname or "", parts.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            data = None if body is None else msgspec.json.encode(body)
            connection.request(method, f"{parts.path.rstrip('/')}{path}", data, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            raise NetworkError(NetworkKind.CONNECT, "ECONNECTION", f"{self._base}: {error}") from error
        finally:
            connection.close()
        try:
            value = msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            raise Refused(f"{self._base} answered {response.status}; is an engine there?") from error
        if response.status != 200:
            fields = "; ".join(each["message"] for each in value.get("fields", ()))
            raise Refused(fields or value.get("message", f"it answered {response.status}"))
        return value


def _own_url(config: Config) -> str:
    if config.http.port == 0:
        raise ConfigError("http.port is 0, so the port is only in the engine's log: give --url")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(config.http.host, config.http.host)
    return f"http://[{host}]:{config.http.port}" if ":" in host else f"http://{host}:{config.http.port}"
