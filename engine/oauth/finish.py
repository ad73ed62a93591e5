"""Letting what must not be left half done come to its end when its task is cancelled, within a time limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def finished(work: Callable[[], Awaitable[T]], *, within: float, once_cancelled: float) -> T:
    """Do `work`, for at most `within` seconds, and `once_cancelled` seconds more when the caller is cancelled.

    Raises `trio.TooSlowError` when the time is over; then, and when cancelled late, the work itself was cancelled.
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
                failure.append(error)  # a nursery would make a group of it
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()
    if failure:
        raise failure[0]
    if not result:
        raise trio.TooSlowError
    return result[0]
