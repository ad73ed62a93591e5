"""`/admin/settings/oauth-apps/{app}`: one app: its errors, testing it step by step, changing and removing it."""

from __future__ import annotations

from collections.abc import Mapping

from quart import Response

from engine.api import oauth2 as api
from engine.errors import Problem
from engine.schema.oauth2 import OAuthApp, OAuthAppVerified
from engine.web.page import action, page
from engine.web.pages.oauth_apps import PATH, body_of, fields_of
from engine.web.roles import Role
from engine.web.visit import Visit

_ONE = PATH + "/{app}"
_BY_MEMBER = {
    "name": "name",
    "description": "description",
    "title": "title",
    "redirectUrl": "redirect_url",
    "clientId": "client_id",
    "authority": "authority",
    "issuer": "issuer",
    "serviceClient": "service_client",
    "serviceClientEmail": "service_client_email",
}


@page(_ONE, role=Role.READER, under="oauth_apps")
async def oauth_app(visit: Visit, app: str) -> Response:
    """The app."""
    return await _shown(visit, app)


@action(_ONE, role=Role.OPERATOR, longest_form=256 * 1024)
async def change(visit: Visit, app: str) -> Response:
    """Change it."""
    found = await visit.ask(api.read, app)
    try:
        await visit.ask(api.update, app, body=body_of(visit.form, found.provider))
    except Problem as problem:
        return await _shown(visit, app, given=visit.form, errors=visit.faults(problem))
    return visit.to(PATH + "/{}", app, say="oauth_app.saved")


@action(_ONE + "/verify", role=Role.OPERATOR)
async def verify(visit: Visit, app: str) -> Response:
    """Test it, and show what was found."""
    account = visit.form.get("account", "").strip()
    try:
        done = await visit.ask(api.verify, app, body={"account": account or None, "testConnection": True})
    except Problem as problem:
        return await _shown(visit, app, errors=visit.faults(problem))
    return await _shown(visit, app, verified=done)


@action(_ONE + "/remove", role=Role.OPERATOR)
async def remove(visit: Visit, app: str) -> Response:
    """Remove it."""
    gone = await visit.ask(api.remove, app)
    return visit.to(PATH, say="oauth_app.removed", count=gone.accounts)


async def _shown(
    visit: Visit,
    app: str,
    *,
    given: Mapping[str, str] | None = None,
    errors: dict[str, str] | None = None,
    verified: OAuthAppVerified | None = None,
) -> Response:
    found = await visit.ask(api.read, app)
    has_secret = [name for name, held in _secrets(found).items() if held]
    return visit.show(
        status=422 if errors else 200,
        app=found,
        provider=found.provider,
        fields=fields_of(found.provider),
        given=_given(found, visit.context.settings.values.service_url) if given is None else given,
        errors=errors or {},
        verified=verified,
        account=visit.form.get("account", ""),
        redirect=found.redirect_url or "",
        is_new=False,
        has_secret=has_secret,
    )


def _secrets(app: OAuthApp) -> dict[str, object]:
    return {"clientSecret": app.client_secret, "serviceKey": app.service_key}


def _given(app: OAuthApp, service_url: str | None) -> dict[str, str]:
    """The initial values of its form. A URL derived from `serviceUrl` is left out: saving must not fix it."""
    given = {wire: str(getattr(app, name) or "") for wire, name in _BY_MEMBER.items()}
    given["clientSecretExpires"] = str(app.client_secret_expires or "")[:10]
    if service_url and given["redirectUrl"] == f"{service_url.rstrip('/')}{api.CALLBACK_PATH}":
        given["redirectUrl"] = ""
    return given | ({"enabled": "on"} if app.enabled else {})
