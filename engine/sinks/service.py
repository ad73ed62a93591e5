"""All sinks of the engine: started, replaced and ended as the configuration says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import trio

from engine.sink_config import SinkConfig
from engine.sinks.sink import Sink

log = logging.getLogger("engine.sinks")


class Sinks:
    """`run` is their service; `configure` changes them while it runs."""

    def __init__(self, make: Callable[[str, SinkConfig], Sink], configs: Mapping[str, SinkConfig]) -> None:
        self._make = make
        self._configs = dict(configs)
        self._running: dict[str, tuple[Sink, trio.CancelScope, trio.Event]] = {}
        self._nursery: trio.Nursery | None = None

    def every(self) -> list[Sink]:
        """The sinks at work, by name."""
        return [self._running[name][0] for name in sorted(self._running)]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all sinks until cancelled. Raises `StorageFailed` if the journal cannot be written."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for name, config in self._configs.items():
                self._start(name, config, None)
            task_status.started()
            await trio.sleep_forever()

    def configure(self, configs: Mapping[str, SinkConfig]) -> None:
        """Start, replace and end sinks. A replaced one ends before its successor begins; positions stay."""
        for name in self._configs.keys() - configs.keys():
            self._running.pop(name)[1].cancel()
            log.info("the sink %s ends; its position stays until its consumer is removed", name)
        for name, config in configs.items():
            if self._configs.get(name) != config:
                before = self._running.get(name)
                if before is not None:
                    before[1].cancel()
                self._start(name, config, before[2] if before else None)
        self._configs = dict(configs)

    def _start(self, name: str, config: SinkConfig, after: trio.Event | None) -> None:
        assert self._nursery is not None
        sink, scope, ended = self._make(name, config), trio.CancelScope(), trio.Event()
        self._running[name] = (sink, scope, ended)

        async def run() -> None:
            try:
                with scope:
                    if after is not None:
                        await after.wait()
                    await sink.run()
            finally:
                ended.set()

        self._nursery.start_soon(run)
