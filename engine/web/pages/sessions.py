"""`/admin/settings/sessions`: where a person is signed in, and signing out there."""

from __future__ import annotations

from quart import Response

from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/sessions"
SHOWN = 16
"""Digits of a session's hash that name it in links."""


@page(PATH, role=Role.READER, menu=Menu("settings", 900))
async def sessions(visit: Visit) -> Response:
    """The sessions of this person, newest first."""
    who = visit.signed_in
    rows = [
        {
            "id": each.hash[:SHOWN],
            "is_this": each.hash == who.session.hash,
            "agent": each.agent,
            "address": each.address,
            "created": each.created,
            "seen": each.seen,
        }
        for each in visit.people.sessions(who)
    ]
    return visit.show(sessions=rows)


@action(PATH + "/{session}/end", role=Role.READER)
async def end(visit: Visit, session: str) -> Response:
    """End one session. Raises `Problem` 404."""
    if len(session) != SHOWN or not await visit.people.end(visit.signed_in, visit.asked.address, session):
        raise Problem(404, visit.text("sessions.gone"))
    return visit.to(PATH, say="sessions.ended")


@action(PATH + "/end-others", role=Role.READER)
async def end_others(visit: Visit) -> Response:
    """End all sessions but this one."""
    count = await visit.people.end_others(visit.signed_in, visit.asked.address)
    return visit.to(PATH, say="sessions.others_ended", count=count)
