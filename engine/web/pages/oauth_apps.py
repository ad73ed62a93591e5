"""`/admin/settings/oauth-apps`: the apps registered at providers, and adding one: first its provider, then the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from quart import Response

from engine.api import oauth2 as api
from engine.errors import Problem
from engine.schema.sign_in import Provider
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/settings/oauth-apps"
PROVIDERS: tuple[str, ...] = get_args(Provider)
_COMMON = ("name", "description", "title", "redirectUrl")
_CLIENT = ("clientId", "clientSecret")
_OF = {
    "gmailService": ("serviceClient", "serviceClientEmail", "serviceKey"),
    "outlook": (*_CLIENT, "clientSecretExpires", "authority"),
    "outlookService": (*_CLIENT, "clientSecretExpires", "authority"),
    "oidc": (*_CLIENT, "issuer"),
}
"""The members requested for an app of each provider; for others, client id and secret."""
_SECRETS = ("clientSecret", "serviceKey")
_CLEARED = ("redirectUrl", "issuer", "clientSecretExpires")
"""Members that an empty field clears."""
_EMPTIED = ("description", "title")
SHOWN = 50


@page(PATH, role=Role.READER, menu=Menu("settings", 30))
async def oauth_apps(visit: Visit) -> Response:
    """The list; with `provider` in the query, the form for one more."""
    provider = visit.query.get("provider", "")
    return await _shown(visit, provider if provider in PROVIDERS else "", {"enabled": "on"}, {})


@action(PATH, role=Role.OPERATOR, longest_form=256 * 1024)
async def create(visit: Visit) -> Response:
    """Add an app."""
    provider = visit.form.get("provider", "")
    given = body_of(visit.form, provider)
    try:
        made = await visit.ask(
            api.create, body={"provider": provider, **{name: each for name, each in given.items() if each}}
        )
    except Problem as problem:
        return await _shown(visit, provider if provider in PROVIDERS else "", visit.form, visit.faults(problem))
    return visit.to(f"{PATH}/{{}}", made.id, say="oauth_apps.created")


def fields_of(provider: str) -> tuple[str, ...]:
    """The members that the form of a provider's app asks for, without those that all have."""
    return _OF.get(provider, _CLIENT)


def body_of(form: Mapping[str, str], provider: str) -> dict[str, Any]:
    """The body for the API that a form stands for; an empty secret leaves the stored one unchanged."""
    body: dict[str, Any] = {"enabled": "enabled" in form}
    for name in (*_COMMON, *fields_of(provider)):
        value = form.get(name, "").strip()
        if value or name in _EMPTIED:
            body[name] = value
        elif name in _CLEARED:
            body[name] = None
        elif name not in (*_SECRETS, "authority"):
            body[name] = value
    return body


async def _shown(visit: Visit, provider: str, given: Mapping[str, str], errors: dict[str, str]) -> Response:
    found = await visit.ask(api.listing, query={"page": visit.query.get("page") or None, "pageSize": SHOWN})
    redirect = api.CALLBACK_PATH
    if service_url := visit.context.settings.values.service_url:
        redirect = f"{service_url.rstrip('/')}{redirect}"
    return visit.show(
        status=422 if errors else 200,
        found=found,
        providers=PROVIDERS,
        provider=provider,
        fields=fields_of(provider),
        given=given,
        errors=errors,
        redirect=redirect if service_url else "",
        is_new=True,
        has_secret=(),
    )
