"""`/admin/enter`: where a one-time link leads. A new person chooses name and password, others a new password."""

from __future__ import annotations

from quart import Response

from engine.errors import Problem
from engine.store.entry_links import EntryLink
from engine.web.cookies import SESSION
from engine.web.page import ROOT, action, page
from engine.web.passwords import SHORTEST
from engine.web.people import Refused
from engine.web.visit import Visit


@page("/admin/enter", role=None)
async def enter(visit: Visit) -> Response:
    """The form. Showing it does not use the link up, since programs follow links, too."""
    return _shown(visit, _link(visit))


@action("/admin/enter", role=None)
async def entered(visit: Visit) -> Response:
    """Use the link, and begin a session."""
    link, form = _link(visit), visit.form
    try:
        cookie = await visit.people.enter(
            link, form.get("name", ""), form.get("password", ""), visit.asked.address, visit.agent
        )
    except Refused as refused:
        return _shown(visit, link, refused)
    return SESSION.put(visit.to(ROOT), cookie, secure=visit.is_secure)


def _link(visit: Visit) -> EntryLink:
    link = visit.people.link(visit.form.get("key") or visit.query.get("key", ""))
    if link is None:
        raise Problem(410, visit.text("enter.gone"))
    return link


def _shown(visit: Visit, link: EntryLink, refused: Refused | None = None) -> Response:
    person = visit.people.person(link.person) if link.person is not None else None
    return visit.show(
        status=200 if refused is None else 422,
        wrong=None if refused is None else visit.text(refused.reason, **refused.values),
        key=visit.form.get("key") or visit.query.get("key", ""),
        name=person.name if person is not None else visit.form.get("name", ""),
        is_new=person is None,
        role=link.role,
        shortest=SHORTEST,
    )
