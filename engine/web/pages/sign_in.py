"""`/admin/sign-in`: name, password and one-time code, a passkey, or the provider of sign-on; signing out."""

from __future__ import annotations

from quart import Response

from engine.web.cookies import SESSION
from engine.web.page import ROOT, action, page
from engine.web.people import Refused
from engine.web.roles import Role
from engine.web.visit import Visit


@page("/admin/sign-in", role=None)
async def sign_in(visit: Visit) -> Response:
    """The form; a person who is signed in is sent on."""
    if visit.who is not None:
        return visit.to(ROOT)
    return shown(visit)


@action("/admin/sign-in", role=None)
async def signed_in(visit: Visit) -> Response:
    """Begin a session, and go to the page that was requested first."""
    form = visit.form
    try:
        cookie = await visit.people.sign_in(
            form.get("name", ""), form.get("password", ""), form.get("code", ""), visit.asked.address, visit.agent
        )
    except Refused as refused:
        return shown(visit, refused)
    return SESSION.put(visit.to_url(form.get("next", "")), cookie, secure=visit.is_secure)


@action("/admin/sign-in/passkey", role=None)
async def signed_in_by_passkey(visit: Visit) -> Response:
    """Begin a session for the person whose passkey has answered."""
    form = visit.form
    try:
        cookie = await visit.passkeys.sign_in(form.get("answer", ""), visit.asked.address, visit.agent)
    except Refused as refused:
        return shown(visit, refused)
    return SESSION.put(visit.to_url(form.get("next", "")), cookie, secure=visit.is_secure)


@action("/admin/sign-out", role=Role.READER)
async def sign_out(visit: Visit) -> Response:
    """End this session."""
    await visit.people.end(visit.signed_in, visit.asked.address, visit.signed_in.session.hash)
    response = visit.to("/admin/sign-in")
    SESSION.delete(response)
    return response


def shown(visit: Visit, refused: Refused | None = None) -> Response:
    """The page; `refused`: why a sign-in was refused."""
    wrong = None if refused is None else visit.text(refused.reason, **refused.values)
    return visit.show(
        status=200 if refused is None else 422,
        wrong=wrong,
        ended=SESSION.is_in(visit.asked.cookies),
        name=visit.form.get("name", ""),
        asks_code=refused is not None and refused.reason in ("sign_in.code_needed", "sign_in.wrong_code"),
        next=visit.form.get("next", visit.query.get("next", "")),
        passkey_options=visit.passkeys.request(),
        provider=visit.sign_on.name,
        nobody_yet=visit.people.nobody_yet(),
    )
