"""Completes work that must not be left unfinished when its task is cancelled, within a time limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def finished(work: Callable[[], Awaitable[T]], *, within: float, once_cancelled: float) -> T:
    """Do `work` for at most `within` seconds; if the caller is cancelled, for at most `once_cancelled` seconds more.

    Raises `trio.TooSlowError` if the time is over. The work itself is cancelled then, and after `once_cancelled`.
    """
    scope = trio.CancelScope(shield=True, deadline=trio.current_time() + within)
    result: list[T] = []
    failure: list[Exception] = []
    async with trio.open_nursery() as nursery:

        async def hasten() -> None:
            try:
                await trio.sleep_forever()
            finally:
                scope.deadline = min(scope.deadline, trio.current_time() + once_cancelled)

        nursery.start_soon(hasten)
        with scope:
            try:
                result.append(await work())
            except Exception as error:  # noqa: BLE001 - raised below
                failure.append(error)  # a nursery would wrap it in a group
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()
    if failure:
        raise failure[0]
    if not result:
        raise trio.TooSlowError
    return result[0]
