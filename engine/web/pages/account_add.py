"""`/admin/add-account`: connect an account by its address and password, after finding and trying its servers."""

from __future__ import annotations

from typing import Any

from quart import Response

from engine.api import account as api
from engine.api import account_actions
from engine.errors import Problem
from engine.schema.account_actions import Autoconfig, ServerFound, ServerVerified
from engine.web.page import action, page
from engine.web.pages.account import ONE
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/add-account"
SIDES = ("imap", "smtp")
PORTS = {"imap": "993", "smtp": "465"}


@page(PATH, role=Role.OPERATOR, under="accounts")
async def form(visit: Visit) -> Response:
    """The empty form."""
    return _shown(visit, {"name": visit.query.get("name", ""), "email": visit.query.get("email", "")})


def _shown(
    visit: Visit, values: dict[str, str], errors: dict[str, str] | None = None, *, found: bool = False
) -> Response:
    return visit.show(
        status=422 if errors else 200,
        # Never send a password back in a page.
        values={**{f"{side}.port": port for side, port in PORTS.items()}, **values, "password": ""},
        errors=errors or {},
        found=found,
        sandbox=visit.context.config.sandbox.enabled,
    )


@action(PATH, role=Role.OPERATOR)
async def add(visit: Visit) -> Response:
    """Find the servers if none are given, try them unless told otherwise, and register the account."""
    values = {name: value.strip() for name, value in visit.form.items() if name != "password"}
    errors = await _taken(visit, values.get("account", ""))
    if errors:
        return _shown(visit, values, errors)
    body: dict[str, Any] = {
        "account": values.get("account") or None,
        "name": values.get("name") or values.get("email") or "",
        **({"email": values["email"]} if values.get("email") else {}),
    }
    if values.get("sandbox"):
        return await _registered(visit, {**body, "sandbox": True}, values)
    hint = ""
    if not any(values.get(f"{side}.host") for side in SIDES):
        try:
            known = await visit.ask(account_actions.autoconfig, query={"email": values.get("email", "")})
        except Problem as problem:
            return _shown(visit, values, visit.faults(problem))
        if not known.imap and not known.smtp:
            return _shown(visit, values, {"imap.host": str(visit.text("add.not_found"))}, found=True)
        values.update(_filled(known))
        hint = known.app_password.instructions if known.app_password and known.app_password.required else ""
    for side in SIDES:
        if values.get(f"{side}.host"):
            body[side] = _server(visit, side, values)
    try:
        errors = {} if values.get("anyway") else await _tried(visit, body)
    except Problem as problem:
        errors = _beside_fields(visit.faults(problem))
    if errors:
        if hint:
            errors["password"] = f"{errors.get('password', '')} {visit.text('add.app_password', url=hint)}".strip()
        return _shown(visit, values, errors, found=True)
    return await _registered(visit, body, values)


async def _taken(visit: Visit, account: str) -> dict[str, str]:
    """The fault of an id that an account has already: the API would change that account."""
    if not account:
        return {}
    try:
        await visit.ask(api.read, account)
    except Problem as problem:
        if problem.status != 404:
            raise
        return {}
    return {"account": str(visit.text("add.taken"))}


async def _registered(visit: Visit, body: dict[str, Any], values: dict[str, str]) -> Response:
    try:
        made = await visit.ask(api.register, body=body)
    except Problem as problem:
        return _shown(visit, values, _beside_fields(visit.faults(problem)), found="imap" in body or "smtp" in body)
    return visit.to(ONE, str(made.account), say="add.added")


def _filled(known: Autoconfig) -> dict[str, str]:
    filled: dict[str, str] = {}
    for side, server in (("imap", known.imap), ("smtp", known.smtp)):
        if isinstance(server, ServerFound):
            filled[f"{side}.host"], filled[f"{side}.port"] = server.host, str(server.port)
            filled[f"{side}.secure"] = "tls" if server.secure else "starttls"
            filled.setdefault("user", server.auth.user)
    return filled


def _server(visit: Visit, side: str, values: dict[str, str]) -> dict[str, Any]:
    port = values.get(f"{side}.port") or PORTS[side]
    return {
        "host": values[f"{side}.host"],
        "port": int(port) if port.isascii() and port.isdigit() and len(port) < 9 else port,
        "secure": values.get(f"{side}.secure", "tls") == "tls",
        "auth": {"user": values.get("user") or values.get("email", ""), "pass": visit.form.get("password", "")},
    }


async def _tried(visit: Visit, body: dict[str, Any]) -> dict[str, str]:
    """The faults of the servers, by the field to correct. Raises `Problem` as `verifyAccount` does."""
    if not visit.form.get("password"):
        return {"password": str(visit.text("account.password_missing"))}
    answer = await visit.ask(account_actions.verify, body={side: body[side] for side in SIDES if side in body})
    errors: dict[str, str] = {}
    for side, how in (("imap", answer.imap), ("smtp", answer.smtp)):
        if how and not how.success:
            field = "password" if _is_refused(how) else f"{side}.host"
            errors.setdefault(field, str(how.hint or how.description or how.response_text or how.error or ""))
    return errors


def _is_refused(how: ServerVerified) -> bool:
    return how.code in ("AUTHENTICATIONFAILED", "EAUTH") or how.status_code in (530, 534, 535)


def _beside_fields(faults: dict[str, str]) -> dict[str, str]:
    """The paths of the API's members as the form's names."""
    names = {
        "imap.auth.pass": "password",
        "smtp.auth.pass": "password",
        "imap.auth.user": "user",
        "smtp.auth.user": "user",
    }
    return {names.get(path, path): text for path, text in faults.items()}
