"""`/admin/settings/queue`: how full each queue is and how long it has waited, pausing and resuming it."""

from __future__ import annotations

from quart import Response

from engine.api import queue_control as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/queue"
_QUEUES = ("submit", "notify")


@page(PATH, role=Role.READER, menu=Menu("settings", 50))
async def queue(visit: Visit) -> Response:
    """The queues."""
    return visit.show(queues=[await visit.ask(api.read, name) for name in _QUEUES])


@action(PATH + "/{name}/pause", role=Role.OPERATOR)
async def pause(visit: Visit, name: str) -> Response:
    """Pause a queue. Raises `Problem` 404."""
    await _set(visit, name, paused=True)
    return visit.to(PATH, say=f"queue.paused_{name}")


@action(PATH + "/{name}/resume", role=Role.OPERATOR)
async def resume(visit: Visit, name: str) -> Response:
    """Resume a queue. Raises `Problem` 404."""
    await _set(visit, name, paused=False)
    return visit.to(PATH, say=f"home.resumed_{name}")


async def _set(visit: Visit, name: str, *, paused: bool) -> None:
    if name not in _QUEUES:
        raise Problem(404, "There is no such queue")
    await visit.ask(api.update, name, body={"paused": paused})
