"""Registers the account at the end of a page: by the API's own function, once for each link, with an audit entry."""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from quart import Response

from engine.accounts.form_links import FormLink
from engine.api.context import Context
from engine.oauth import grant
from engine.oauth.answers import Tokens
from engine.oauth.apps import App
from engine.schema.account import AccountCreate
from engine.schema.authentication import AuthenticationForm
from engine.schema.servers import Auth, ImapConfig, SmtpConfig
from engine.store import audit, forms
from engine.store.writer import Tx
from engine.web.outcome import NotConnected, connected


class SignedIn(msgspec.Struct, frozen=True):
    """Who has signed in through an app, and the grant. `user` is their login at the mail servers.

    `told`: the provider named the user; otherwise the link did.
    """

    app: App
    user: str
    told: bool
    name: str | None
    tokens: Tokens


def registration(form: AuthenticationForm, signed_in: SignedIn, account: str | None) -> AccountCreate:
    """The registration that a sign-in makes; `account` is its id, None: it gets one."""
    shared = form.email if form.delegated and form.email else None
    user, app = signed_in.user, signed_in.app
    inside = app.provider == "sandbox"
    auth = Auth(user=shared or user, access_token=signed_in.tokens.access_token)
    imap, smtp = (None, None) if inside else (app.imap_server, app.smtp_server)
    return AccountCreate(
        account=account,
        name=(form.name or signed_in.name or (shared or user).partition("@")[0])[:256],
        email=shared or user,
        notify_from=form.notify_from,
        subconnections=form.subconnections,
        path=form.path,
        sandbox=inside,
        imap=UNSET if imap is None else ImapConfig(host=imap.host, port=imap.port, secure=imap.secure, auth=auth),
        smtp=UNSET if smtp is None else SmtpConfig(host=smtp.host, port=smtp.port, secure=smtp.secure, auth=auth),
    )


async def register(
    context: Context, link: FormLink, given: AccountCreate, address: str, signed_in: SignedIn | None = None
) -> Response:
    """Register the account and redirect to the caller. Raises `NotConnected` if the link has been used.

    `address` is that of the browser, for the audit entry. The grant is stored in the same commit as the account.
    """
    now = context.world.now()

    def use(tx: Tx, account: str) -> None:
        forms.use(tx, link.nonce, link.expires + forms.KEPT_LONGER, now)
        audit.add(tx, audit.Entry(now, audit.FORM, address, "account.register", account))
        if signed_in is not None:
            granted = grant.signed_in(account, signed_in.app.id, signed_in.user, signed_in.tokens, now)
            context.oauth.keepers.save(tx, granted)

    try:
        # A stranger entered these servers, whereas the operator named those of an app.
        account, new = await context.registry.register(given, narrowed=signed_in is None, also=use)
    except forms.LinkUsed:
        raise NotConnected("link_used", "A mailbox was connected with this link already", link.form) from None
    return connected(link.form, account, new=new)
