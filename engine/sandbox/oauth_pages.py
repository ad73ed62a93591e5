"""The sandbox's OAuth2 provider over HTTP: discovery, consent page, token, userinfo and revocation endpoints.

`answer` maps a request to its answer, so that both an in-memory server and the engine's own can serve it: a program
dials `sign-in.sandbox.example`, and a browser uses the path under which the pages are served. Input is never trusted:
everything shown in a page is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import msgspec

from engine.sandbox.oauth import EVERY_MAILBOX, Fault, Issued, OAuthProvider, OAuthRefused
from engine.sandbox.post_office import HOSTNAME, is_local
from engine.world import World

HOST = f"sign-in.{HOSTNAME}"
ISSUER = f"http://{HOST}"
ID_TOKEN_SECONDS = 3600
_JSON = {"content-type": "application/json", "cache-control": "no-store"}
_HTML = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action *; frame-ancestors 'none'",
}


class WebRequest(msgspec.Struct, frozen=True):
    """`target` is path and query; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


class WebAnswer(msgspec.Struct, frozen=True):
    """It is sent after `after` seconds; `cut`: the connection is cut instead."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    after: float = 0.0
    cut: bool = False


def answer(provider: OAuthProvider, world: World, request: WebRequest) -> WebAnswer:
    """The answer to one request. Never raises for what a client can send."""
    parts = urlsplit(request.target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    route = (request.method, parts.path)
    if route == ("GET", "/.well-known/openid-configuration"):
        return _json(200, _DISCOVERY)
    if route == ("GET", "/jwks"):
        return _json(200, {"keys": []})
    if route == ("GET", "/authorize"):
        return _consent_page(query)
    if route == ("POST", "/authorize"):
        return _decided(provider, form)
    if route == ("POST", "/token"):
        return _token(provider, world, request, form)
    if route == ("GET", "/userinfo"):
        return _userinfo(provider, request)
    if route == ("POST", "/revoke"):
        return _revoked(provider, request, form)
    return _json(404, {"error": "not_found"})


_DISCOVERY = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "jwks_uri": f"{ISSUER}/jwks",
    "response_types_supported": ["code"],
    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["HS256"],
    "scopes_supported": ["openid", "email", "offline_access", "mail"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
}
_KEPT = ("client_id", "redirect_uri", "state", "nonce", "code_challenge", "response_type")


def _consent_page(query: dict[str, str]) -> WebAnswer:
    if query.get("response_type") != "code" or not query.get("client_id"):
        return _page(400, "<p>This sign-in was begun wrongly: it needs response_type=code and a client_id.</p>")
    if not query.get("redirect_uri", "").startswith(("http://", "https://")):
        return _page(400, "<p>This sign-in was begun wrongly: it needs a redirect_uri.</p>")
    if query.get("code_challenge_method", "S256") != "S256":
        return _page(400, "<p>Only PKCE with S256 is supported.</p>")
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(query[name])}">' for name in _KEPT if name in query
    )
    boxes = "".join(
        f'<p><label><input type="checkbox" name="scope:{html.escape(each)}" checked> {html.escape(each)}</label></p>'
        for each in query.get("scope", "").split()
    )
    user = html.escape(query.get("login_hint", ""))
    client = html.escape(query["client_id"])
    return _page(
        200,
        f"<p>Nobody outside this engine sees you here; any address that ends in .example is yours.</p>"
        f'<form method="post">{hidden}'
        f'<p><label>Address <input name="user" type="email" value="{user}" placeholder="ann@{HOSTNAME}" required>'
        f"</label></p><fieldset><legend>{client} asks to</legend>{boxes}</fieldset>"
        f'<p><button name="decision" value="allow">Allow</button> '
        f'<button name="decision" value="deny" formnovalidate>Deny</button></p></form>',
    )


def _decided(provider: OAuthProvider, form: dict[str, str]) -> WebAnswer:
    redirect = form.get("redirect_uri", "")
    if not redirect.startswith(("http://", "https://")) or not form.get("client_id"):
        return _page(400, "<p>This sign-in was begun wrongly.</p>")
    back: dict[str, str] = {"iss": ISSUER}
    if "state" in form:
        back["state"] = form["state"]
    user = form.get("user", "").strip()
    if form.get("decision") != "allow":
        back |= {"error": "access_denied", "error_description": "The user said no"}
    elif not is_local(user):
        return _page(
            400, "<p>The sandbox has mailboxes at addresses that end in .example only. Go back and try again.</p>"
        )
    else:
        scopes = tuple(name.removeprefix("scope:") for name in form if name.startswith("scope:"))
        back["code"] = provider.consent(
            user,
            form["client_id"],
            redirect,
            scopes,
            challenge=form.get("code_challenge"),
            nonce=form.get("nonce"),
        )
    joined = "&" if urlsplit(redirect).query else "?"
    return WebAnswer(303, {"location": f"{redirect}{joined}{urlencode(back)}", "cache-control": "no-store"})


def _token(provider: OAuthProvider, world: World, request: WebRequest, form: dict[str, str]) -> WebAnswer:
    provider.requests += 1
    fault = provider.faults.popleft() if provider.faults else provider.outage
    if fault is not None and fault.cut:
        return WebAnswer(0, {}, after=fault.after, cut=True)
    if fault is not None and (fault.status or fault.body is not None):
        return _faulty(fault)
    try:
        client, secret = _client_of(request, form)
        issued = _granted(provider, world, form, client, secret)
    except OAuthRefused as refused:
        found = _json(refused.status, {"error": refused.error, "error_description": str(refused)})
        if refused.status == 401:
            found.headers["www-authenticate"] = "Basic"
        return found if fault is None else msgspec.structs.replace(found, after=fault.after)
    members: dict[str, Any] = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": int(issued.expires_in),
        "scope": " ".join(issued.family.scopes),
    }
    if issued.refresh_token is not None:
        members["refresh_token"] = issued.refresh_token
    if "openid" in issued.family.scopes:
        members["id_token"] = _id_token(issued, client, secret, world.now())
    found = _json(200, members)
    if fault is not None:
        return msgspec.structs.replace(found, after=fault.after, cut=fault.lost)
    return found


def _granted(provider: OAuthProvider, world: World, form: dict[str, str], client: str, secret: str) -> Issued:
    grant = form.get("grant_type")
    if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
        claims = _claims(form.get("assertion", ""))
        if float(claims.get("exp", 0)) < world.now():
            raise OAuthRefused("invalid_grant", "the assertion has expired")
        return provider.for_itself(str(claims.get("sub", "")), str(claims.get("iss", "")))
    provider.client(client, secret)
    if grant == "authorization_code":
        found, issued = provider.redeem(form.get("code", ""), client, form.get("redirect_uri", ""))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if found.challenge is not None and found.challenge != _base64(digest):
            issued.family.alive = False
            raise OAuthRefused("invalid_grant", "the code verifier does not fit")
        return issued
    if grant == "refresh_token":
        return provider.refresh(form.get("refresh_token", ""), client)
    if grant == "client_credentials":
        return provider.for_itself(EVERY_MAILBOX, client)
    raise OAuthRefused("unsupported_grant_type", "this grant is not supported")


def _userinfo(provider: OAuthProvider, request: WebRequest) -> WebAnswer:
    user = provider.user_of(request.headers.get("authorization", "").removeprefix("Bearer "))
    if user is None:
        return _json(401, {"error": "invalid_token"})
    return _json(200, {"sub": user, "email": user, "email_verified": True, "name": user.partition("@")[0].title()})


def _revoked(provider: OAuthProvider, request: WebRequest, form: dict[str, str]) -> WebAnswer:
    try:
        provider.client(*_client_of(request, form))
    except OAuthRefused as refused:
        return _json(refused.status, {"error": refused.error, "error_description": str(refused)})
    provider.revoke(form.get("token", ""))
    return _json(200, {})


def _client_of(request: WebRequest, form: dict[str, str]) -> tuple[str, str]:
    """The client id and secret, from the header or the form (RFC 6749 section 2.3.1)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError as error:
        raise OAuthRefused("invalid_client", "the Authorization header cannot be read", 401) from error
    return unquote_plus(client), unquote_plus(secret)


def _id_token(issued: Issued, client: str, secret: str, now: float) -> str:
    user = issued.family.user
    claims = {
        "iss": ISSUER,
        "sub": user,
        "aud": client,
        "iat": int(now),
        "exp": int(now) + ID_TOKEN_SECONDS,
        "email": user,
        "email_verified": True,
        "name": user.partition("@")[0].title(),
    }
    if issued.nonce is not None:
        claims["nonce"] = issued.nonce
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def _claims(token: str) -> dict[str, Any]:
    """The claims of an assertion; any signature is accepted here."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        float(claims["exp"])
    except (ValueError, IndexError, TypeError, KeyError, RecursionError) as error:
        raise OAuthRefused("invalid_grant", "the assertion cannot be read") from error
    return dict(claims)


def _faulty(fault: Fault) -> WebAnswer:
    headers = dict(_JSON)
    if fault.retry_after is not None:
        headers["retry-after"] = fault.retry_after
    body = fault.body
    if body is None:
        members = {} if fault.error is None else {"error": fault.error, "error_description": fault.description}
        body = json.dumps(members).encode()
    return WebAnswer(fault.status or 200, headers, body, after=fault.after)


def _json(status: int, members: Mapping[str, Any]) -> WebAnswer:
    return WebAnswer(status, dict(_JSON), json.dumps(members).encode())


def _page(status: int, content: str) -> WebAnswer:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in at the sandbox</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        'content="light dark"><style>body{font:1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:3rem auto;'
        "padding:0 1rem}input[type=email]{display:block;width:100%;font:inherit;padding:.4rem;box-sizing:border-box}"
        "button{font:inherit;padding:.4rem 1.2rem}</style></head><body><main><h1>Sign in at the sandbox</h1>"
        f"{content}</main></body></html>"
    )
    return WebAnswer(status, dict(_HTML), text.encode())


def _part(members: Mapping[str, Any]) -> str:
    return _base64(json.dumps(members).encode())


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
