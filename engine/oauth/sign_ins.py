"""Sign-ins under way: kept on disk, sealed, so that a restart loses none; taken once, by the browser they are for.

A browser is known by a cookie of 128 random bits. It is the same for all sign-ins of a browser, which may be at several
at once; a `state` that comes back in another browser is refused and stays good.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

import msgspec

from engine.errors import DamagedSecret
from engine.oauth.authorization import LIFETIME, CallbackRefused, Pending
from engine.store import sign_ins
from engine.store.sign_ins import SignInRow
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.world import World

_COOKIE = "mailbox-engine-browser"
_BROWSER = re.compile(r"[A-Za-z0-9_-]{22}")
_BEGIN = "Begin again from the link you were given"


class SignIn(msgspec.Struct, frozen=True):
    """One of them. `data` and `sig` are the link it was begun with, `browser` is the hash of its browser's cookie."""

    pending: Pending
    data: str
    sig: str
    browser: str
    used: bool = False


class SignIns:
    """All of them."""

    def __init__(self, store: Store, vault: Vault, world: World) -> None:
        self._store = store
        self._vault = vault
        self._world = world

    def browser(self, cookies: Mapping[str, str], *, secure: bool) -> str:
        """What the browser with these cookies is known by, or is to be from now on."""
        given = cookies.get(cookie_name(secure=secure), "")
        if _BROWSER.fullmatch(given):
            return given
        return base64.urlsafe_b64encode(self._world.token_bytes(16)).rstrip(b"=").decode("ascii")

    async def keep(self, form: str, pending: Pending, data: str, sig: str, browser: str) -> None:
        """Keep a sign-in; `form` is the nonce of its link. Raises what `Store.admit` raises."""
        text = msgspec.json.encode(SignIn(pending, data, sig, _hashed(browser))).decode()
        sealed = self._vault.seal("", sign_ins.FIELD, text)
        row = SignInRow(sign_ins.hashed(pending.state), form, sealed, pending.began + LIFETIME, 0)
        await self._store.admit(lambda tx: sign_ins.add(tx, row, self._world.now()))

    def find(self, state: str, browser: str) -> SignIn:
        """The sign-in with this `state`, used or not. Raises `CallbackRefused` when it is not one of this browser."""
        row = sign_ins.get(self._store.reader, state, self._world.now())
        if row is None:
            raise CallbackRefused(
                "invalid_state", f"This sign-in is not known here, or it took longer than an hour. {_BEGIN}"
            )
        try:
            found = msgspec.json.decode(self._vault.open("", sign_ins.FIELD, row.record), type=SignIn)
        except (DamagedSecret, msgspec.DecodeError) as error:
            raise CallbackRefused("invalid_state", f"This sign-in cannot be read any more. {_BEGIN}") from error
        if not hmac.compare_digest(found.browser, _hashed(browser)):
            raise CallbackRefused(
                "invalid_state",
                f"This sign-in was begun in another browser, or in one that keeps no cookies. {_BEGIN} in this browser",
            )
        return msgspec.structs.replace(found, used=bool(row.used))

    async def take(self, state: str) -> None:
        """The sign-in comes to its end, whatever that is. Raises `CallbackRefused` when it came to one before."""
        if not await self._store.commit(lambda tx: sign_ins.use(tx, state)):
            raise CallbackRefused("invalid_state", "This sign-in came to its end already. Begin again")


def cookie_name(*, secure: bool) -> str:
    """The name of the cookie; with this prefix browsers take it over https and from this host alone."""
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def _hashed(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
