"""Requests through the control socket: their caller is the owner of the data folder and needs no token.

The server marks such a connection in its state, which no client can set. One operation is for the owner alone: it
describes this engine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from quart.wrappers.base import BaseRequestWebsocket

from engine.config import Config
from engine.sink_config import SinkConfig
from engine.store import audit
from engine.store.tokens import Token
from engine.version import VERSION

PATH = "/control"
BY_OWNER = "engine.by_owner"
OWNER = Token(audit.CLI, "command line", ["*"], 0.0)
"""The caller on the control socket."""


class Started(msgspec.Struct):
    """How the process was started: its configuration file, if any, and folder; `urls` are where it listens.

    `sinks` are those that a SIGHUP has put in the place of the configuration's.
    """

    file: Path | None
    folder: Path
    urls: list[str] = msgspec.field(default_factory=list)
    sinks: Mapping[str, SinkConfig] | None = None


def is_owner(request: BaseRequestWebsocket) -> bool:
    """Whether this request came through the control socket."""
    return BY_OWNER in (request.scope or {}).get("state", {})


def about(config: Config, started: Started) -> dict[str, Any]:
    """A description of the engine for its owner, without secrets: those of the configuration are left out."""
    settings = msgspec.to_builtins(config)
    folder = Path(config.store.path).absolute()
    settings["store"].update(
        path=str(folder), key="", key_file=config.store.key_file and str(Path(config.store.key_file).absolute())
    )
    settings["msa"].update(password="")
    settings["signon"].update(client_secret="")
    settings["sinks"] = msgspec.to_builtins(config.sinks if started.sinks is None else started.sinks)
    for sink in settings["sinks"].values():
        parts = urlsplit(sink["url"])
        sink.update(url=parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), password="", token="")
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "folder": str(folder),
        "config": None if started.file is None else str(started.file),
        "startedIn": str(started.folder),
        "urls": started.urls,
        "keyIsInConfiguration": bool(config.store.key),
        "settings": settings,
    }
