"""`/admin/settings/sign-in`: one's own password, one-time codes and passkeys."""

from __future__ import annotations

from markupsafe import Markup
from quart import Response

from engine.errors import Problem
from engine.web import totp
from engine.web.page import Menu, action, page
from engine.web.passkeys import LONGEST_NAME
from engine.web.passwords import SHORTEST
from engine.web.people import Refused
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/sign-in"
ISSUER = "Mailbox Engine"


@page(PATH, role=Role.READER, menu=Menu("settings", 850))
async def own_sign_in(visit: Visit) -> Response:
    """All forms."""
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
    """Show a new key, which takes effect once a code proves that it arrived."""
    return _shown(visit, key=visit.people.new_key())


@action(PATH + "/codes/on", role=Role.READER)
async def codes_on(visit: Visit) -> Response:
    """Require codes from now on. Raises `Problem` 400 for an invalid key."""
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
    """Stop requiring codes; this takes one more."""
    try:
        await visit.people.stop_codes(visit.signed_in, visit.form.get("code", ""), visit.asked.address)
    except Refused as refused:
        return _shown(visit, refused)
    return visit.to(PATH, say="own_sign_in.turned_off")


@action(PATH + "/passkeys", role=Role.READER)
async def add_passkey(visit: Visit) -> Response:
    """Store the passkey that the browser has made."""
    form, origin = visit.form, visit.asked.headers.get("origin", "")
    try:
        await visit.passkeys.add(
            visit.signed_in, origin, form.get("name", ""), form.get("answer", ""), visit.asked.address
        )
    except Refused as refused:
        return _shown(visit, refused)
    return visit.to(PATH, say="own_sign_in.passkey_added")


@action(PATH + "/passkeys/{passkey}/remove", role=Role.READER)
async def remove_passkey(visit: Visit, passkey: str) -> Response:
    """Remove a passkey. Raises `Problem` 404."""
    await visit.passkeys.remove(visit.signed_in, passkey, visit.asked.address)
    return visit.to(PATH, say="own_sign_in.passkey_removed")


def _shown(visit: Visit, refused: Refused | None = None, key: bytes | None = None) -> Response:
    person = visit.signed_in.person
    uri = "" if key is None else totp.uri(key, person.name, ISSUER)
    return visit.show(
        status=200 if refused is None else 422,
        wrong=None if refused is None else visit.text(refused.reason, **refused.values),
        has_password=person.password is not None,
        has_codes=person.totp is not None,
        key="" if key is None else totp.as_text(key),
        uri=uri,
        picture=_picture(uri) if uri else "",
        shortest=SHORTEST,
        passkeys=visit.passkeys.of(visit.signed_in),
        passkey_options=visit.passkeys.creation(visit.signed_in, ISSUER),
        longest_passkey_name=LONGEST_NAME,
    )


def _picture(uri: str) -> Markup:
    """The QR code of a URI as SVG, in the page itself: a URL of its own would have the key in it."""
    import segno

    return Markup(segno.make(uri, error="m", micro=False).svg_inline(border=4, light="#fff", omitsize=True))
