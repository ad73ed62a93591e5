"""`/admin/settings/sign-in`: one's own password and one-time codes."""

from __future__ import annotations

from quart import Response

from engine.errors import Problem
from engine.web import totp
from engine.web.page import Menu, action, page
from engine.web.passwords import SHORTEST
from engine.web.people import Refused
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/sign-in"
ISSUER = "Mailbox Engine"


@page(PATH, role=Role.READER, menu=Menu("settings", 850))
async def own_sign_in(visit: Visit) -> Response:
    """Both forms."""
    return _shown(visit)


@action(PATH + "/password", role=Role.READER)
async def change_password(visit: Visit) -> Response:
    """Replace the password; other sessions end."""
    form = visit.form
    try:
        await visit.people.change_password(
            visit.signed_in, form.get("old", ""), form.get("new", ""), visit.asked.address
        )
    except Refused as refused:
        return _shown(visit, refused)
    return visit.to(PATH, say="own_sign_in.password_changed")


@action(PATH + "/codes", role=Role.READER)
async def start_codes(visit: Visit) -> Response:
    """Show a new key. It counts once a code has proved that it arrived."""
    return _shown(visit, key=visit.people.new_key())


@action(PATH + "/codes/on", role=Role.READER)
async def codes_on(visit: Visit) -> Response:
    """Ask for codes from now on. Raises `Problem` 400 for a key that is none."""
    try:
        key = totp.from_text(visit.form.get("key", ""))
    except ValueError as error:
        raise Problem(400, "The key cannot be read") from error
    if len(key) != totp.KEY_BYTES:
        raise Problem(400, "The key cannot be read")
    try:
        await visit.people.use_codes(visit.signed_in, key, visit.form.get("code", ""), visit.asked.address)
    except Refused as refused:
        return _shown(visit, refused, key)
    return visit.to(PATH, say="own_sign_in.turned_on")


@action(PATH + "/codes/off", role=Role.READER)
async def codes_off(visit: Visit) -> Response:
    """Ask for no codes any more; it takes one."""
    try:
        await visit.people.stop_codes(visit.signed_in, visit.form.get("code", ""), visit.asked.address)
    except Refused as refused:
        return _shown(visit, refused)
    return visit.to(PATH, say="own_sign_in.turned_off")


def _shown(visit: Visit, refused: Refused | None = None, key: bytes | None = None) -> Response:
    person = visit.signed_in.person
    return visit.show(
        status=200 if refused is None else 422,
        wrong=None if refused is None else visit.text(refused.reason, **refused.values),
        has_codes=person.totp is not None,
        key="" if key is None else totp.as_text(key),
        uri="" if key is None else totp.uri(key, person.name, ISSUER),
        shortest=SHORTEST,
    )
