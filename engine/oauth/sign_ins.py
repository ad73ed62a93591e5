"""Sign-ins under way: stored sealed, so that a restart loses none, and used once, by the browser that began them.

A cookie of 128 random bits identifies the browser. All sign-ins of a browser share it, so several can be under way. A
`state` that returns in a different browser is refused and stays valid.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

import msgspec

from engine.errors import DamagedSecret
from engine.oauth.authorization import REMEMBERED, CallbackRefused, Pending
from engine.store import sign_ins
from engine.store.sign_ins import SignInRow
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.world import World

_COOKIE = "mailbox-engine-browser"
_BROWSER = re.compile(r"[A-Za-z0-9_-]{22}")
_BEGIN = "Begin again from the link you were given"


class SignIn(msgspec.Struct, frozen=True):
    """One sign-in. `data` and `sig` are the link that began it; `browser` is the hash of its browser's cookie."""

    pending: Pending
    data: str
    sig: str
    browser: str
    used: bool = False


class OtherBrowser(CallbackRefused):
    """The callback came from a browser that did not begin `sign_in`, which stays valid."""

    def __init__(self, sign_in: SignIn) -> None:
        super().__init__(
            "invalid_state",
            f"This sign-in was begun in another browser, or in one that keeps no cookies. {_BEGIN} in this browser",
        )
        self.sign_in = sign_in


class SignIns:
    """All sign-ins under way."""

    def __init__(self, store: Store, vault: Vault, world: World) -> None:
        self._store = store
        self._vault = vault
        self._world = world

    def browser(self, cookies: Mapping[str, str], *, secure: bool) -> str:
        """The id of the browser with these cookies, or a new id for it."""
        given = cookies.get(cookie_name(secure=secure), "")
        if _BROWSER.fullmatch(given):
            return given
        return base64.urlsafe_b64encode(self._world.token_bytes(16)).rstrip(b"=").decode("ascii")

    async def keep(self, form: str, pending: Pending, data: str, sig: str, browser: str) -> None:
        """Store a sign-in; `form` is the nonce of its link. Raises what `Store.admit` raises."""
        text = msgspec.json.encode(SignIn(pending, data, sig, _hashed(browser))).decode()
        sealed = self._vault.seal("", sign_ins.FIELD, text)
        row = SignInRow(sign_ins.hashed(pending.state), form, sealed, pending.began + REMEMBERED, 0)
        await self._store.admit(lambda tx: sign_ins.add(tx, row, self._world.now()))

    def find(self, state: str, browser: str) -> SignIn:
        """The sign-in with this `state`, used or not. Raises `OtherBrowser`, and `CallbackRefused` if it is unknown."""
        row = sign_ins.get(self._store.reader, state, self._world.now())
        if row is None:
            raise CallbackRefused(
                "invalid_state", f"This sign-in is not known here, or it took longer than a day. {_BEGIN}"
            )
        try:
            found = msgspec.json.decode(self._vault.open("", sign_ins.FIELD, row.record), type=SignIn)
        except (DamagedSecret, msgspec.DecodeError) as error:
            raise CallbackRefused("invalid_state", f"This sign-in can no longer be read. {_BEGIN}") from error
        if not hmac.compare_digest(found.browser, _hashed(browser)):
            raise OtherBrowser(found)
        return msgspec.structs.replace(found, used=bool(row.used))

    async def take(self, state: str) -> None:
        """Mark the sign-in as used, whatever its outcome. Raises `CallbackRefused` if it already was."""
        if not await self._store.commit(lambda tx: sign_ins.use(tx, state)):
            raise CallbackRefused("invalid_state", "This sign-in has ended already. Begin again")


def cookie_name(*, secure: bool) -> str:
    """The name of the cookie; with this prefix, browsers accept it only over https and from this host."""
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def _hashed(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
