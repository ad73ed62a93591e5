"""Reads the configuration again at SIGHUP, and applies what can change while the engine runs.

`LIVE` and the sinks can, and certificates are read again. Of every other key that differs from the one in force, the
log says that it needs a restart, at each SIGHUP until there is one; values are not named, as some are secrets. A
configuration with a fault changes nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio

from engine.api.context import Context
from engine.config import PATHS, Config, load, sections
from engine.errors import ConfigError
from engine.log import set_level
from engine.service_manager import ServiceManager
from engine.sink_config import SinkConfig

log = logging.getLogger("engine")

LIVE = (
    "log.level",
    "http.requests_per_token",
    "http.streams",
    "http.streams_per_token",
    "http.cors_origins",
    "http.cors_max_age",
)
"""Keys that are taken over. A lower limit ends nothing that is under way."""


class Reloading:
    """The configuration in force. `file` is as at the start, so that its relative paths mean the same."""

    def __init__(self, config: Config, file: Path | None, context: Context, environ: Mapping[str, str]) -> None:
        self._in_force = _flat(config)
        self._sinks = config.sinks
        self._file = file
        self._context = context
        self._environ = environ

    def reload(self) -> None:
        """Read certificates and configuration and take over what can be; say in the log what was and was not."""
        for certificate in self._context.certificates.values():
            certificate.reload()
        try:
            config = load(self._file, self._environ)
        except ConfigError as error:
            log.error("the configuration is not reloaded, the one in force stays: %s", error)
            return
        new = _flat(config)
        changed = [key for key, value in new.items() if value != self._in_force[key]]
        taken = [key for key in changed if key in LIVE] + _changed_sinks(self._sinks, config.sinks)
        left = [key for key in changed if key not in LIVE]
        set_level(config.log.level)
        self._context.requests.limit(None, config.http.requests_per_token)
        self._context.streams.share.limit(config.http.streams, config.http.streams_per_token)
        self._context.cross_origin.change(config.http)
        self._context.sinks.configure(config.sinks)
        self._sinks = self._context.started.sinks = config.sinks
        self._in_force.update((key, new[key]) for key in changed if key in LIVE)
        if left:
            log.warning("the configuration is reloaded, but these keys need a restart: %s", ", ".join(left))
        log.info(
            "the configuration is reloaded; taken over: %s", ", ".join(taken) or "nothing, as nothing else changed"
        )


@contextmanager
def hangups() -> Iterator[AsyncIterator[int]]:
    """Each SIGHUP from now on.

    None arrives if the process was started to ignore it (nohup), which it continues to do. At a terminal, it means that
    the terminal is closed, and ends the process as it ends others.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or sys.stderr.isatty():
        yield _never()
        return
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        yield signals


async def _never() -> AsyncIterator[int]:
    return
    yield


async def reload_at(signals: AsyncIterator[int], reloading: Reloading, manager: ServiceManager, status: str) -> None:
    """Reload at each of these signals until cancelled."""
    async for _ in signals:
        await manager.reloading()
        reloading.reload()
        await manager.ready(status)


def _changed_sinks(before: Mapping[str, SinkConfig], after: Mapping[str, SinkConfig]) -> list[str]:
    return [f"sinks.{name}" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def _flat(config: Config) -> dict[str, object]:
    """Every value by `section.key`, paths made absolute."""
    found: dict[str, object] = {}
    for section, table in sections(config).items():
        for key, value in msgspec.structs.asdict(table).items():
            is_path = (section, key) in PATHS and value
            found[f"{section}.{key}"] = os.path.abspath(value) if is_path else value
    return found
