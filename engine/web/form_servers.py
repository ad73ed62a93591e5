"""Connecting a mailbox by its IMAP and SMTP servers: name and address first, then the servers and a password.

Both logins must succeed before anything is stored. A stranger names the servers, so they are dialled as for a token for
one account: no private hosts, mail ports only, unless the account already has them. A link may probe servers at most
`MOST_PROBES` times; each probe is counted on disk first.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from quart import Response

from engine.accounts import registration as records
from engine.accounts import registration_changes
from engine.accounts.account import Account
from engine.accounts.autoconfig import autoconfig
from engine.accounts.ehlo_name import ehlo_name
from engine.accounts.form_links import FormLink
from engine.accounts.login_hints import provider_of
from engine.accounts.oauth_registration import SigningIn
from engine.accounts.providers import OFFICE, OUTLOOK
from engine.accounts.verify import verify
from engine.api.context import Context
from engine.edge.client_disconnect import carry_through
from engine.egress import EgressRefused
from engine.http.html_pages import PageRequest
from engine.model.registration import SERVERS, Registration
from engine.oauth.apps import App
from engine.oauth.expected_email import is_expected
from engine.schema.account_actions import AppPassword, Autoconfig, ServerFound
from engine.store import form_links
from engine.web import form_fields
from engine.web.form_faults import FieldFault, Tried, fault
from engine.web.form_outcome import NotConnected, cancelled, connected, way_url
from engine.web.form_registration import Connecting, register
from engine.web.rendering import page

MOST_PROBES = 50
"""Maximum look-ups of servers and logins with one link."""


async def answer(context: Context, link: FormLink, asked: PageRequest, apps: tuple[App, ...]) -> Response:
    """The page, or a redirect to the caller once connected; `apps` are offered too. Raises `NotConnected`."""
    step = asked.form.get("step")
    if asked.method == "POST" and step == "servers":
        return await _try(context, link, asked)
    if asked.method == "POST" and step == "address":
        return await _find(context, link, asked, apps)
    account = _account(context, link)
    record = account.record if account is not None else None
    name = link.form.name or (record.name if record is not None else "")
    email = link.form.expected_email or link.form.email or (record.email if record is not None else "")
    return _address_page(link, asked, {"name": name or "", "email": email or ""}, {})


async def _find(context: Context, link: FormLink, asked: PageRequest, apps: tuple[App, ...]) -> Response:
    """Find the servers of an address."""
    name, email, errors = form_fields.address(asked.form)
    errors = {**_unexpected(link, email), **errors}
    if errors:
        return _address_page(link, asked, {"name": name, "email": email}, errors)
    account = _account(context, link)
    record = account.record if account is not None else None
    if record is not None and record.imap and (record.email or "").casefold() == email.casefold():
        return _servers_page(link, asked, form_fields.known(name, email, record), sure=True)
    await _count(context, link)
    found = await autoconfig(email, context.world)
    password = found.app_password if isinstance(found.app_password, AppPassword) else None
    instead = _instead(link, found, apps)
    return _servers_page(
        link,
        asked,
        form_fields.found(name, email, found),
        sure=bool(found.imap and found.smtp),
        app_password=password,
        instead=instead,
        no_passwords=_no_passwords(found),
    )


def _instead(link: FormLink, found: Autoconfig, apps: tuple[App, ...]) -> dict[str, str] | None:
    """The app whose servers were found: signing in there is better than entering a password here."""
    host = found.imap.host if isinstance(found.imap, ServerFound) else None
    for app in apps:
        if host is not None and app.imap_server is not None and app.imap_server.host == host:
            return {"name": app.of.name, "url": way_url(link, app.id)}
    return None


def _no_passwords(found: Autoconfig) -> str | None:
    """The provider, if it accepts no passwords at all."""
    provider = provider_of(found.imap.host) if isinstance(found.imap, ServerFound) else None
    return provider.name if provider in (OUTLOOK, OFFICE) else None


async def _try(context: Context, link: FormLink, asked: PageRequest) -> Response:
    """Attempt both logins, then register."""
    account = _account(context, link)
    stored = account.record if account is not None else None
    values = form_fields.shown(asked.form)
    given, errors = form_fields.registration(asked.form, link.form, stored)
    errors = {**errors, **_unexpected(link, values["email"])}
    restricted = _restricted(values, account)
    for server in restricted if given is not None else ():
        try:
            context.access.egress.check_port(getattr(given, server).port, restricted=True)
        except EgressRefused:
            errors[f"{server}.port"] = f"Mail is not read or sent at port {values[f'{server}.port']} here."
    if given is None or errors:
        faults = [FieldFault(name, text) for name, text in errors.items()]
        return _servers_page(link, asked, values, faults)
    await _count(context, link)
    record = registration_changes.registered(given, given.account or "")
    faults = await _log_in(context, record, asked, restricted)
    if faults:
        return _servers_page(link, asked, values, faults)
    connecting = Connecting(given, _signs_in_no_more(account), narrowed=True)
    try:
        return await carry_through(register(context, link, connecting, asked.address))
    except NotConnected as reason:
        before = _sent_before(context, link, record) if reason.error == "link_used" else None
        if before is None:
            raise
        here = context.settings.values.service_url
        return connected(link.form, before.id, new=before.status.created >= link.made, here=here)


def _sent_before(context: Context, link: FormLink, record: Registration) -> Account | None:
    """The account that the same form created a moment ago (its button was pressed twice); None: there is none.

    Only the second answer reaches the browser, and it must not say that nothing was connected.
    """
    accounts = (_account(context, link),) if link.form.account is not None else context.registry.every()
    for account in accounts:
        if account is not None and account.unreadable is None:
            known = account.record
            if (known.imap, known.smtp, known.email) == (record.imap, record.smtp, record.email):
                return account
    return None


def _signs_in_no_more(account: Account | None) -> SigningIn | None:
    """What happens to the OAuth2 sign-in of an account that gets servers and a password."""
    return SigningIn() if account is not None and records.sign_in_of(account.record) is not None else None


async def _log_in(
    context: Context, record: Registration, asked: PageRequest, restricted: frozenset[str]
) -> list[FieldFault]:
    """The fault of each server; empty if both logins were accepted."""
    endpoints = records.imap_endpoint(record), records.smtp_endpoint(record)
    name = ehlo_name(record, context.config.smtp.ehlo_name)
    ways = {server: context.access.routes.of_account(record, server) for server in SERVERS}
    verified = await verify(*endpoints, name, ways, context.access, mailboxes=False, restricted=restricted)
    separate = bool(asked.form.get("smtp.pass"))
    faults = []
    for server, endpoint, outcome in zip(SERVERS, endpoints, (verified.imap, verified.smtp), strict=True):
        if endpoint is None or not outcome or outcome.success:
            continue
        provider = provider_of(endpoint.host)
        tried = Tried(
            server=server,
            host=endpoint.host,
            port=endpoint.port,
            password="smtp.pass" if separate and server == "smtp" else "password",
            provider=None if provider is None else provider.name,
            app_password=None if provider is None else provider.app_password,
        )
        faults.append(fault(tried, outcome))
    return faults


def _restricted(values: dict[str, str], account: Account | None) -> frozenset[str]:
    """The servers that no authorized caller has named: all but those of the existing account."""
    known = {} if account is None else form_fields.known("", "", account.record)
    trusted = {
        server
        for server in SERVERS
        if account is not None
        and server not in account.restricted
        and values[f"{server}.host"]
        and all(values[f"{server}.{part}"] == known[f"{server}.{part}"] for part in ("host", "port"))
    }
    return frozenset(SERVERS) - trusted


async def _count(context: Context, link: FormLink) -> None:
    """Count a probe on disk before it is made. Raises `NotConnected` if there were too many."""
    now = context.world.now()
    probes = await context.store.admit(
        lambda tx: form_links.count_probe(tx, link.nonce, link.expires + form_links.KEPT_LONGER, now)
    )
    if probes > MOST_PROBES:
        raise NotConnected(
            "too_many_attempts",
            f"Servers were tried {MOST_PROBES} times with this link, and it is good for no more",
            link.form,
        )


def _unexpected(link: FormLink, email: str) -> dict[str, str]:
    expected = link.form.expected_email
    if is_expected(email, expected or None):
        return {}
    return {"email": f"This link is for {expected} only."}


def _account(context: Context, link: FormLink) -> Account | None:
    found = context.registry.get(link.form.account) if link.form.account is not None else None
    return found if found is not None and found.unreadable is None else None


def _address_page(link: FormLink, asked: PageRequest, values: dict[str, str], errors: dict[str, str]) -> Response:
    return _page("address.html", link, asked, values, [FieldFault(name, text) for name, text in errors.items()])


def _servers_page(
    link: FormLink,
    asked: PageRequest,
    values: dict[str, str],
    faults: Sequence[FieldFault] = (),
    *,
    sure: bool = False,
    app_password: AppPassword | None = None,
    instead: dict[str, str] | None = None,
    no_passwords: str | None = None,
) -> Response:
    """`sure`: the servers are certain, so the page hides them."""
    return _page(
        "mail_servers.html",
        link,
        asked,
        values,
        faults,
        sure=sure and link.form.skip_server_settings,
        app_password=app_password,
        instead=instead,
        no_passwords=no_passwords,
    )


def _page(
    template: str,
    link: FormLink,
    asked: PageRequest,
    values: dict[str, str],
    faults: Sequence[FieldFault],
    **more: object,
) -> Response:
    form = link.form
    return page(
        template,
        422 if faults else 200,
        leads_to=[form.redirect_url, *([form.error_redirect] if form.error_redirect else [])],
        values=values,
        faults=faults,
        faulty={name: [each for each in faults if each.field == name] for name in {each.field for each in faults}},
        expected=form.expected_email or None,
        for_whom=urlsplit(form.redirect_url).hostname,
        action=f"new?{asked.query_string}",
        cancel=cancelled(form),
        **more,
    )
