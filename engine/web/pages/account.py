"""`/admin/accounts/{account}`: one account: the state of reading and sending, remedies, and its removal."""

from __future__ import annotations

import msgspec
from markupsafe import Markup
from quart import Response

from engine.api import account as api
from engine.api import account_actions, authentication, queue_control, quota, settings
from engine.errors import Problem
from engine.schema.account import AccountInfo
from engine.schema.servers import Auth, ImapConfig, SmtpConfig
from engine.web.account_words import reading, sending
from engine.web.page import action, page
from engine.web.pages.accounts import PATH
from engine.web.roles import Role
from engine.web.visit import Visit

ONE = PATH + "/{}"


class LoginShown(msgspec.Struct, frozen=True):
    """One of the two logins of an account, as the page shows it."""

    side: str
    user: str
    host: str
    port: int
    secure: bool
    disabled: bool
    has_password: bool


@page(PATH + "/{account}", role=Role.READER, under="accounts")
async def account(visit: Visit, account: str) -> Response:
    """The page."""
    return await _shown(visit, account)


async def _shown(visit: Visit, account: str, errors: dict[str, str] | None = None) -> Response:
    found = await visit.ask(api.read, account)
    queue = await visit.ask(queue_control.read, "submit", query={"account": account})
    read, sent, shown = reading(found), sending(found), logins(found)
    limit = found.smtp.rate_limit if isinstance(found.smtp, SmtpConfig) else None
    sends = await visit.ask(quota.read, account)
    return visit.show(
        status=422 if errors else 200,
        account=found,
        read=read,
        sent=sent,
        logins=shown,
        sides=[each for each in shown if each.has_password],
        refused=next((each for each in (read, sent) if each.word.endswith(("authenticationError", "stopped"))), None),
        unreached=any(each.word.endswith("connectError") for each in (read, sent)),
        limit=limit,
        quota=sends,
        left=found.sending.left if found.sending and limit else None,
        jobs=queue.jobs,
        waiting=queue.jobs.active + queue.jobs.delayed + queue.jobs.waiting,
        paused=queue.paused,
        errors=errors or {},
    )


@action(PATH + "/{account}/reconnect", role=Role.OPERATOR)
async def reconnect(visit: Visit, account: str) -> Response:
    """Connect again, now."""
    await visit.ask(account_actions.reconnect, account, body={"reconnect": True})
    return visit.to(ONE, account, say="account.reconnecting")


@action(PATH + "/{account}/sync", role=Role.OPERATOR)
async def sync(visit: Visit, account: str) -> Response:
    """Look into every folder now."""
    try:
        await visit.ask(account_actions.sync, account, body={"sync": True})
    except Problem as problem:
        if problem.status != 503:
            raise
        return visit.to(ONE, account, say="account.not_connected")
    return visit.to(ONE, account, say="account.syncing")


@action(PATH + "/{account}/pause", role=Role.OPERATOR)
async def pause(visit: Visit, account: str) -> Response:
    """Pause or resume the account's mail."""
    paused = visit.form.get("paused") == "true"
    await visit.ask(queue_control.update, "submit", body={"account": account, "paused": paused})
    if paused:
        return visit.to(ONE, account, say="account.paused")
    return visit.to(ONE, account, say="account.resumed")


@action(PATH + "/{account}/logs", role=Role.OPERATOR)
async def keep_log(visit: Visit, account: str) -> Response:
    """Begin or end keeping a protocol log."""
    kept = visit.form.get("logs") == "true"
    await visit.ask(api.update, account, body={"logs": kept})
    if kept:
        return visit.to(ONE + "/log", account, say="account.log_on")
    return visit.to(ONE, account, say="account.log_off")


@action(PATH + "/{account}/password", role=Role.OPERATOR)
async def password(visit: Visit, account: str) -> Response:
    """Change the password of one login, or of both."""
    found = await visit.ask(api.read, account)
    given, wanted = visit.form.get("password", ""), visit.form.get("side", "both")
    if not given:
        return await _shown(visit, account, {"password": str(visit.text("account.password_missing"))})
    body = {
        each.side: {"partial": True, "auth": {"user": each.user, "pass": given}}
        for each in logins(found)
        if each.has_password and wanted in ("both", each.side)
    }
    if not body:
        raise Problem(400, visit.text("account.no_password"))
    try:
        await visit.ask(api.update, account, body=body)
    except Problem as problem:
        faults = visit.faults(problem)
        return await _shown(visit, account, {"password": next(iter(faults.values()))})
    return visit.to(ONE, account, say="account.password_changed")


@action(PATH + "/{account}/link", role=Role.OPERATOR)
async def link(visit: Visit, account: str) -> Response:
    """Make a link at which the owner of the mailbox signs in again."""
    found = await visit.ask(api.read, account)
    back = await home_of(visit)
    if back is None:
        return visit.to("/admin/send-link", query={"account": account, "email": found.email or None})
    body = {"account": account, "name": found.name or None, "redirectUrl": back}
    if found.email:
        body["email"] = found.email
    made = await visit.ask(authentication.create, body=body)
    return visit.show(template="account_link.html", url=made.url, whose=account, again=True)


@action(PATH + "/{account}/remove", role=Role.OPERATOR)
async def remove(visit: Visit, account: str) -> Response:
    """Remove it."""
    await visit.ask(api.remove, account, query={"revoke": "true"} if visit.form.get("revoke") else None)
    return visit.to(PATH, say="account.removed", name=Markup("<bdi>{}</bdi>").format(account[:80]))


async def home_of(visit: Visit) -> str | None:
    """The page that a browser goes to after a sign-in, which says so; None: our URL is unknown."""
    known = await visit.ask(settings.read, query={"serviceUrl": "true"})
    return f"{known.service_url.rstrip('/')}/" if known.service_url else None


def logins(found: AccountInfo) -> list[LoginShown]:
    """The servers that the account names itself, each with the user who logs in."""
    by_oauth = found.oauth2.auth.user or "" if found.oauth2 else ""
    shown = []
    for side, server in (("imap", found.imap), ("smtp", found.smtp)):
        if not isinstance(server, ImapConfig | SmtpConfig):
            continue
        is_off = isinstance(server, ImapConfig) and server.disabled is True
        own = server.auth.user if isinstance(server.auth, Auth) else None
        shown.append(
            LoginShown(side, own or by_oauth, server.host, server.port, server.secure, is_off, own is not None)
        )
    return shown
