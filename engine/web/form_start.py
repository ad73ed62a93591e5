"""`/accounts/new`: reads the link and shows a choice, the form for IMAP and SMTP, or a provider's sign-in.

There is no session: the page relies only on the signed link and what the server checked. Every failure raises
`outcome.NotConnected`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from quart import Response

from engine.accounts.form_links import FormLink, LinkRefused
from engine.api.context import Context
from engine.http.html_pages import PageRequest
from engine.oauth.apps import App
from engine.store import form_links
from engine.web import form_servers
from engine.web.form_outcome import NotConnected, cancelled, not_connected, way_url
from engine.web.oauth_sign_in import SignInPages
from engine.web.rendering import page

_NO_PASSWORD = "Sign in there: no password is given to anybody else."
IMAP = "imap"
"""The value for "with IMAP and SMTP servers" in place of an OAuth2 app's id."""


async def connect(context: Context, sign_in: SignInPages, asked: PageRequest) -> Response:
    """The page that a link leads to."""
    try:
        link = _link(context, asked)
        apps = {app.id: app for app in sign_in.apps() if link.form.type in (False, app.id)}
        wanted = link.form.type or asked.query.get("type") or (IMAP if not apps else "")
        if wanted == IMAP:
            return await form_servers.answer(context, link, asked, tuple(apps.values()))
        if wanted in apps:
            return await sign_in.begin(apps[wanted], link, asked)
        if link.form.type:
            raise NotConnected("server_error", "This way of signing in no longer works", link.form)
        return _choice(link, tuple(apps.values()))
    except NotConnected as reason:
        return not_connected(reason)


def _choice(link: FormLink, apps: tuple[App, ...]) -> Response:
    ways = [(app.id, app.title or app.of.name, app.description or _NO_PASSWORD) for app in apps]
    ways.append((IMAP, "Another mailbox", "With its password: any provider with IMAP and SMTP."))
    return page(
        "choose.html",
        leads_to=(),
        for_whom=urlsplit(link.form.redirect_url).hostname,
        choices=[{"url": way_url(link, way), "title": title, "text": text} for way, title, text in ways],
        cancel=cancelled(link.form),
    )


def _link(context: Context, asked: PageRequest) -> FormLink:
    """The link that was followed. Raises `NotConnected`."""
    try:
        link = context.form_links.read(asked.query.get("data", ""), asked.query.get("sig", ""))
    except LinkRefused as refused:
        raise NotConnected(
            "link_invalid" if refused.form is None else "link_expired", str(refused), refused.form
        ) from None
    if form_links.used(context.store.reader, link.nonce):
        raise NotConnected("link_used", "A mailbox was connected with this link already", link.form)
    return link
