"""Running a task that restarts after a crash, so that the crash costs nothing else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from engine.errors import StorageFailed, leaves

log = logging.getLogger("engine.account")

FIRST_RESTART = 1.0
LONGEST_RESTART = 60.0
HEALTHY = 300.0
"""Seconds that a task must have run for its crash to count as the first one."""


async def restarted(service: Callable[[], Awaitable[None]], crashed: Callable[[BaseException], None]) -> None:
    """Run `service` until it returns, again after each crash, which is logged and reported to `crashed`.

    Returns too if the disk failed, which the store's own service reports. Cancelled: ends.
    """
    wait = FIRST_RESTART
    while True:
        began = trio.current_time()
        try:
            await service()
            return
        except Exception as error:
            if _disk_failed(error):
                return
            if trio.current_time() - began >= HEALTHY:
                wait = FIRST_RESTART
            log.exception("a task crashed and restarts in %d s", wait)
            crashed(leaves(error)[0])
        except BaseExceptionGroup as group:
            crash, others = group.split(Exception)
            if crash is not None and not _disk_failed(crash):
                log.error("a task crashed while it was ending", exc_info=crash)
            raise others or group from None
        await trio.sleep(wait)
        wait = min(wait * 2, LONGEST_RESTART)


def _disk_failed(error: BaseException) -> bool:
    """Whether the cause is the store's failure; it may be inside an exception group."""
    return any(isinstance(each, StorageFailed) for each in leaves(error))
