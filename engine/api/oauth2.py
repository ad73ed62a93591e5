"""OAuth2 apps: creating, reading, changing, removing and testing them. Only tokens for all accounts may do so."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from engine.accounts.verify_app import AppCheck
from engine.api.context import Context
from engine.edge.client_disconnect import carry_through
from engine.egress import EgressRefused
from engine.errors import Problem
from engine.field_errors import FieldErrors, FieldPath, invalid
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.isotime import iso
from engine.masking import MASK
from engine.oauth.app_book import Made
from engine.oauth.apps import App
from engine.oauth.assertions import service_key
from engine.oauth.providers import Endpoints, Server
from engine.schema.account_condition import LastError
from engine.schema.oauth2 import (
    AppId,
    AppServer,
    OAuthApp,
    OAuthAppCreate,
    OAuthAppCreated,
    OAuthAppDeleted,
    OAuthAppList,
    OAuthAppUpdate,
    OAuthAppUpdated,
    OAuthAppVerified,
    OAuthAppVerify,
)
from engine.schema.paging import PageQuery
from engine.schema.stored_json import shown

_TAGS = ("OAuth2 Applications",)
MOST_APPS = 250
CALLBACK_PATH = "/oauth"
_ENDPOINTS = {
    "issuer": "issuer",
    "authorization_url": "authorize",
    "token_url": "token",
    "userinfo_url": "userinfo",
    "revocation_url": "revocation",
}
_PLAIN = [
    "name",
    "description",
    "title",
    "enabled",
    "client_id",
    "client_secret",
    "authority",
    "cloud",
    "tenant",
    "service_client",
    "service_client_email",
    "service_key",
    "extra_scopes",
    "skip_scopes",
    "google_project_id",
    "google_workspace_accounts",
    "redirect_url",
]
_ABSENT = {field.name: field.default for field in msgspec.structs.fields(App)}
"""What an app has for a member that is absent."""
_SECRETS = ("client_secret", "service_key")
_MICROSOFT = ("outlook", "outlookService")


@operation(
    "POST",
    "/v1/oauth2",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    change=Change("oauth2.create", lambda path, answer: answer.id),
)
async def create(context: Context, body: OAuthAppCreate) -> OAuthAppCreated:
    """Create an OAuth2 app."""
    book = context.oauth.book
    await _check(context, body)
    if len(book.made) >= MOST_APPS:
        raise Problem(
            429, f"Too many OAuth2 apps: at most {MOST_APPS} are allowed, so remove one first", code="TooMany"
        )
    app = App(id=book.new_id(), provider=body.provider, **members_of(body, Endpoints()))
    await carry_through(book.add(app))
    return OAuthAppCreated(id=app.id)


@operation("GET", "/v1/oauth2", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def listing(context: Context, query: PageQuery) -> OAuthAppList:
    """List OAuth2 apps."""
    rows = list(context.oauth.book.made.values())
    apps = tuple(_shown(context, made) for made in paging.cut(rows, query))
    return OAuthAppList(**paging.numbers(len(rows), query), apps=apps)


@operation("GET", "/v1/oauth2/{app}", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def read(context: Context, app: AppId) -> OAuthApp:
    """Read an OAuth2 app."""
    made = find_app(context, app)
    return msgspec.structs.replace(_shown(context, made), accounts=context.oauth.book.accounts(app))


@operation(
    "PUT",
    "/v1/oauth2/{app}",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    change=Change("oauth2.update", lambda path, answer: answer.id),
)
async def update(context: Context, app: AppId, body: OAuthAppUpdate) -> OAuthAppUpdated:
    """Change an OAuth2 app."""
    made = find_app(context, app)
    await _check(context, body)
    changed = msgspec.structs.replace(made.app, **members_of(body, made.app.endpoints))
    await carry_through(context.oauth.book.change(made, changed))
    return OAuthAppUpdated(id=made.app.id)


@operation(
    "DELETE",
    "/v1/oauth2/{app}",
    access=Access.ALL_ACCOUNTS,
    scope="api",
    tags=_TAGS,
    change=Change("oauth2.remove", lambda path, answer: answer.id),
)
async def remove(context: Context, app: AppId) -> OAuthAppDeleted:
    """Remove an OAuth2 app."""
    made = find_app(context, app)
    left = await carry_through(context.oauth.book.remove(made))
    return OAuthAppDeleted(id=app, accounts=left)


@operation("POST", "/v1/oauth2/{app}/verify", access=Access.ALL_ACCOUNTS, scope="api", tags=_TAGS)
async def verify(context: Context, app: AppId, body: OAuthAppVerify) -> OAuthAppVerified:
    """Test an OAuth2 app.

    The engine checks its configuration, the provider, the client, the redirect URL, the scopes and a login, step by
    step.
    """
    found = find_app(context, app).app
    account = context.registry.get(body.account) if body.account is not None else None
    if account is not None and (account.unreadable is not None or account.sign_in.app is not found):
        account = None
    check = AppCheck(found, redirect_url(context, found), context.oauth, context.access, body.account, account)
    steps = await check.run(login=body.test_connection)
    return OAuthAppVerified(
        app=app,
        provider=found.provider,
        auth_method="serviceKey" if found.of.grant == "jwt_bearer" else None,
        account=body.account,
        ok=all(step.status != "fail" for step in steps),
        steps=tuple(steps),
    )


def find_app(context: Context, app: str) -> Made:
    """The app with this id. Raises `Problem` 404."""
    made = context.oauth.book.made.get(app)
    if made is None:
        raise Problem(404, "OAuth2 application was not found for requested ID", code="NotFound")
    return made


def redirect_url(context: Context, app: App) -> str | None:
    """The URL to which the provider redirects users; None if neither it nor `serviceUrl` is set."""
    service_url = context.settings.values.service_url
    return app.redirect_url or (f"{service_url.rstrip('/')}{CALLBACK_PATH}" if service_url else None)


def members_of(body: OAuthAppCreate | OAuthAppUpdate, endpoints: Endpoints) -> dict[str, Any]:
    """The members of an app that the request sets; `false` and `null` clear one."""
    given = {name: value for name in _PLAIN if (value := getattr(body, name, UNSET)) is not UNSET}
    for name, value in given.items():
        if value is None or (value is False and name not in ("enabled", "google_workspace_accounts")):
            given[name] = _ABSENT[name]
    for name in ("imap", "smtp"):
        server = getattr(body, name)
        if server is not UNSET:
            given[name] = None if server is None else Server(server.host, server.port, server.secure)
    if body.client_secret_expires is not UNSET:
        expires = body.client_secret_expires
        given["client_secret_expires"] = None if expires is None else expires.timestamp()
    urls = {ours: url for name, ours in _ENDPOINTS.items() if (url := getattr(body, name)) is not UNSET}
    if urls:
        given["endpoints"] = msgspec.structs.replace(endpoints, **urls)
    return given


async def _check(context: Context, body: OAuthAppCreate | OAuthAppUpdate) -> None:
    """Raise `Problem` 400 for masks, an invalid key, and addresses that the engine must not reach."""
    found = FieldErrors()
    for name, wire in (("client_secret", "clientSecret"), ("service_key", "serviceKey")):
        if getattr(body, name) == MASK:
            found.add(FieldPath.of(wire), "holds a masked value")
    if isinstance(body.service_key, str) and body.service_key != MASK:
        try:
            await context.world.in_thread(service_key, body.service_key)
        except ValueError as error:
            found.add(FieldPath.of("serviceKey"), str(error))
    found.refuse()
    for field in msgspec.structs.fields(body):
        url = getattr(body, field.name)
        if field.name not in _ENDPOINTS or not isinstance(url, str) or field.name == "authorization_url":
            continue
        parts = urlsplit(url)
        try:
            await context.access.egress.check(parts.hostname or "", parts.port, restricted=False)
        except (EgressRefused, ValueError) as error:
            raise invalid(field.encode_name, f"cannot be used: {error}", code="EgressRefused") from error


def _shown(context: Context, made: Made) -> OAuthApp:
    app = made.app
    endpoints = {ours: url for ours, theirs in _ENDPOINTS.items() if (url := getattr(app.endpoints, theirs))}
    values: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(app, name)) not in ("", (), False)}
    values |= {name: MASK for name in _SECRETS if name in values}
    if app.provider not in _MICROSOFT:
        values.pop("cloud", None)
    if app.signs_in and (url := redirect_url(context, app)) is not None:
        values["redirect_url"] = url
    if app.of.grant == "jwt_bearer":
        values["auth_method"] = "serviceKey"
    if app.client_secret_expires is not None:
        values["client_secret_expires"] = iso(app.client_secret_expires)
    for name in ("imap", "smtp"):
        server = getattr(app, name)
        if server is not None:
            values[name] = AppServer(host=server.host, port=server.port, secure=server.secure)
    values |= {"enabled": app.enabled, "include_in_listing": app.enabled and app.signs_in}
    return OAuthApp(
        id=app.id,
        provider=app.provider,
        created=iso(made.created),
        updated=iso(made.updated),
        last_error=None if made.error is None else shown(LastError, made.error),
        **endpoints,
        **values,
    )
