"""Requests that come by the control socket: their caller is the owner of the data folder, and needs no token.

The mark is in the state of the connection, which the server sets and no client can. One operation is there for the
owner alone: what this engine is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from quart.wrappers.base import BaseRequestWebsocket

from engine.config import Config
from engine.store import audit
from engine.store.tokens import Token
from engine.version import VERSION

PATH = "/control"
BY_OWNER = "engine.by_owner"
OWNER = Token(audit.CLI, "command line", ["*"], 0.0)
"""Who asks by the control socket."""


class Started(msgspec.Struct):
    """How the process was started: with which file, None for none, and in which folder; `urls` are where it listens."""

    file: Path | None
    folder: Path
    urls: list[str] = msgspec.field(default_factory=list)


def is_owner(request: BaseRequestWebsocket) -> bool:
    """Whether this request came by the control socket."""
    return BY_OWNER in (request.scope or {}).get("state", {})


def about(config: Config, started: Started) -> dict[str, Any]:
    """What the engine is, for its owner: no secret is in it, since `store.key` is left out."""
    settings = msgspec.to_builtins(config)
    folder = Path(config.store.path).absolute()
    settings["store"].update(
        path=str(folder), key="", key_file=config.store.key_file and str(Path(config.store.key_file).absolute())
    )
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
