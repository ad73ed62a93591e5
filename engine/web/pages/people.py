"""`/admin/settings/people`: who may sign in; inviting, changing roles, removing. For owners."""

from __future__ import annotations

from markupsafe import Markup
from quart import Response

from engine.errors import Problem
from engine.store.entry_links import PATH as ENTER
from engine.store.people import PersonRow
from engine.web.page import Menu, action, page
from engine.web.people import Refused
from engine.web.roles import Role, role_of
from engine.web.visit import Visit

PATH = "/admin/settings/people"


@page(PATH, role=Role.OWNER, menu=Menu("settings", 800))
async def people(visit: Visit) -> Response:
    """The list of them."""
    return _shown(visit)


@action(PATH + "/invite", role=Role.OWNER)
async def invite(visit: Visit) -> Response:
    """Make a link for a new person, and show it once."""
    key = await visit.people.invite(visit.signed_in, visit.asked.address, _role(visit))
    return _shown(visit, link=_url(visit, key), whose=visit.text("people.someone"))


@action(PATH + "/{person}/password", role=Role.OWNER)
async def password(visit: Visit, person: str) -> Response:
    """Make a link at which a person chooses a new password, and show it once. Raises `Problem` 404."""
    row = _person(visit, person)
    key = await visit.people.invite(visit.signed_in, visit.asked.address, role_of(row.role), row)
    return _shown(visit, link=_url(visit, key), whose=Markup("<bdi>{}</bdi>").format(row.name))


@action(PATH + "/{person}/role", role=Role.OWNER)
async def role(visit: Visit, person: str) -> Response:
    """Change a person's role. Raises `Problem` 404."""
    row, wanted = _person(visit, person), _role(visit)
    try:
        await visit.people.set_role(visit.signed_in, visit.asked.address, row.id, wanted)
    except Refused as refused:
        return _shown(visit, refused=refused)
    return visit.to(PATH, say="people.role_changed", name=row.name, role=visit.text(f"role.{wanted}"))


@action(PATH + "/{person}/remove", role=Role.OWNER)
async def remove(visit: Visit, person: str) -> Response:
    """Remove a person. Raises `Problem` 404."""
    row = _person(visit, person)
    try:
        await visit.people.remove(visit.signed_in, visit.asked.address, row.id)
    except Refused as refused:
        return _shown(visit, refused=refused)
    return visit.to(PATH, say="people.removed", name=row.name)


def _person(visit: Visit, person: str) -> PersonRow:
    is_number = person.isascii() and person.isdecimal() and len(person) < 16
    row = visit.people.person(int(person)) if is_number else None
    if row is None:
        raise Problem(404, "That person was removed already")
    return row


def _role(visit: Visit) -> Role:
    given = visit.form.get("role", "")
    if given not in tuple(Role):
        raise Problem(400, "There is no such role")
    return Role(given)


def _url(visit: Visit, key: str) -> str:
    return visit.url(f"{ENTER}?key={key}")


def _shown(visit: Visit, *, refused: Refused | None = None, link: str = "", whose: str = "") -> Response:
    return visit.show(
        status=200 if refused is None else 422,
        wrong=None if refused is None else visit.text(refused.reason, **refused.values),
        people=visit.people.every(),
        roles=[(each.value, visit.text(f"role.{each.value}_about")) for each in Role],
        new_link=link,
        whose=whose,
    )
