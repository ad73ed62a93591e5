"""Registers the account at the end of a page: by the API's own function, once for each link, with an audit entry."""

from __future__ import annotations

import logging

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from quart import Response

from engine.accounts import registration as records
from engine.accounts.form_links import FormLink, LinkRefused
from engine.accounts.oauth_registration import SigningIn
from engine.api.account import registered
from engine.api.context import Context
from engine.api.sign_in import Parked
from engine.decoding.decode import decode_body
from engine.errors import Problem, StorageBusy, StorageFull, StorageUnavailable
from engine.model.registration import OAuthSignIn, OAuthUser, Registration
from engine.oauth import grant
from engine.oauth.answers import Tokens
from engine.oauth.apps import App
from engine.schema.account import AccountCreate
from engine.store import audit, form_links
from engine.store.writer import Tx
from engine.web.form_outcome import NotConnected, connected

log = logging.getLogger("engine.web")


class Connecting(msgspec.Struct, frozen=True):
    """What is to be registered. `narrowed`: the caller who named its servers may not have private hosts dialled."""

    given: AccountCreate
    signing_in: SigningIn | None
    narrowed: bool


class SignedIn(msgspec.Struct, frozen=True):
    """Who has signed in through an app, and the grant. `user` is their login at the mail servers.

    `told`: the provider named the user; otherwise the link did.
    """

    app: App
    user: str
    told: bool
    name: str | None
    tokens: Tokens


def registration(context: Context, link: FormLink, signed_in: SignedIn, account: str | None) -> Connecting:
    """The registration that a sign-in makes; `account` is its id, None for a new one. Raises `NotConnected`."""
    app, user, form = signed_in.app, signed_in.user, link.form
    parked = _parked(context, link)
    if parked is not None:
        shared, redirect_url = parked.delegated or None, form.redirect_url
    else:
        shared, redirect_url = (form.email or _shared(context, account) if form.delegated else None), form.redirect_url
    auth = OAuthUser(user=user, delegated_user=shared or UNSET)
    sign_in = OAuthSignIn(provider=app.id, auth=auth, redirect_url=redirect_url)
    granted = grant.signed_in("", app.id, user, signed_in.tokens, context.world.now())
    signing_in = SigningIn(app, sign_in, granted)
    if parked is not None:
        given = decode_body(AccountCreate, msgspec.json.encode(parked.given))
        return Connecting(replace(given, email=given.email or shared or user), signing_in, narrowed=parked.narrowed)
    known = context.registry.get(account) if account is not None else None
    before = known.record if known is not None and known.unreadable is None else None
    name = form.name or (before.name if before is not None else signed_in.name) or (shared or user).partition("@")[0]
    given = AccountCreate(
        account=account,
        name=name[:256],
        email=UNSET if before is not None and before.email and _same_mailbox(before, sign_in) else shared or user,
        notify_from=form.notify_from,
        subconnections=form.subconnections,
        path=form.path,
    )
    return Connecting(given, signing_in, narrowed=False)


def _shared(context: Context, account: str | None) -> str | None:
    """The shared mailbox of an account that signs in again, whose name is no address."""
    known = context.registry.get(account) if account is not None else None
    sign_in = records.sign_in_of(known.record) if known is not None else None
    return (sign_in.auth.delegated_user or None) if sign_in is not None else None


def _same_mailbox(before: Registration, sign_in: OAuthSignIn) -> bool:
    known = records.sign_in_of(before)
    return known is not None and known.mailbox.casefold() == sign_in.mailbox.casefold()


def _parked(context: Context, link: FormLink) -> Parked | None:
    """The registration that was requested with `authorize`."""
    try:
        text = context.form_links.parked(link)
    except LinkRefused as refused:
        raise NotConnected("link_invalid", str(refused), link.form) from None
    return None if text is None else msgspec.json.decode(text, type=Parked)


async def register(context: Context, link: FormLink, connecting: Connecting, address: str) -> Response:
    """Register the account, and go back to the caller with it.

    Raises `NotConnected` when the link was used meanwhile, the mailbox is another account's, or nothing more can be
    registered, so that every failure reaches the caller. `address` is that of the browser, for the audit record. The
    grant is stored in the same commit as the account.
    """
    now = context.world.now()

    def use(tx: Tx, account: str) -> None:
        form_links.use(tx, link.nonce, link.expires + form_links.KEPT_LONGER, now)
        audit.add(tx, audit.Entry(now, audit.FORM, address, "account.register", account))

    given, narrowed = connecting.given, connecting.narrowed
    try:
        account, new = await registered(context, given, connecting.signing_in, narrowed=narrowed, also=use)
    except form_links.LinkUsed:
        raise NotConnected("link_used", "A mailbox was connected with this link already", link.form) from None
    except Problem as problem:
        if problem.extra.get("code") == "AccountAlreadyExists":
            raise NotConnected("wrong_account", "This mailbox is connected already", link.form) from None
        log.warning("a mailbox was not connected through the form: %s", problem.message)
        raise NotConnected("server_error", f"This mailbox cannot be connected: {problem.message}", link.form) from None
    except (StorageBusy, StorageFull, StorageUnavailable) as error:
        text = "There is too much to do here at the moment, or no room. Try again in a minute"
        raise NotConnected("server_error", text, link.form) from error
    return connected(link.form, account, new=new, here=context.settings.values.service_url)
