"""Signed links to the form in which people connect their mailbox.

A link is `<serviceUrl>/accounts/new?data=…&sig=…`: JSON and its HMAC-SHA256 with the setting `serviceSecret`, both in
base64url, as EmailEngine makes them. So anyone who has that secret can make links too. Without the setting, the engine
signs with its own key. Links signed with either are valid for 24 hours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec

from engine.errors import DamagedSecret, EngineError, Fault, Problem
from engine.http.checks import email
from engine.http.decode import decode_body
from engine.schema.authentication import AuthenticationForm
from engine.settings import SettingsBook
from engine.store import sealed, settings
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

LIFETIME = 86_400.0
CLOCK_SKEW = 300.0
"""Seconds by which the clock of a link's maker may be ahead."""
LONGEST = 7_000
"""Most characters of `data`: many proxies accept only 8 KiB of a request line."""
PATH = "/accounts/new"
_KEY = "formKey"
"""The setting that holds the engine's own key; the API does not show it."""
_NONCE_BYTES = 16
_PARKED, _PARKED_FIELD = "r", "form.registration"


def address_or_none(user: str) -> str | msgspec.UnsetType:
    """A user for a link, if that is an address: a link with another one would not open."""
    try:
        return email(user)
    except ValueError:
        return msgspec.UNSET


class NoServiceUrl(EngineError):
    """The setting `serviceUrl` is missing, so there is no address for a link."""

    fault = Fault.CALLER


class LinkTooLong(EngineError):
    """The content of a link exceeds `LONGEST`."""

    fault = Fault.CALLER


class LinkRefused(EngineError):
    """A link has no valid signature, or has expired. `form` is its content if the signature is valid."""

    fault = Fault.CALLER

    def __init__(self, text: str, form: AuthenticationForm | None = None) -> None:
        super().__init__(text)
        self.form = form


class FormLink(msgspec.Struct, frozen=True):
    """A valid link. `data` and `sig` are as in the URL; `made` is in seconds since 1970; `nonce` is unique.

    `parked`: the registration that a sign-in completes, sealed; None: what the form says is all.
    """

    form: AuthenticationForm
    nonce: str
    made: float
    data: str
    sig: str
    parked: str | None = None

    @property
    def expires(self) -> float:
        """When it expires, in seconds since 1970."""
        return self.made + LIFETIME


class FormLinks:
    """Makes and reads links. Time and randomness come from `world`."""

    def __init__(self, book: SettingsBook, store: Store, vault: Vault, world: World) -> None:
        self._settings = book
        self._store = store
        self._vault = vault
        self._world = world
        self._own: str | None = None

    async def url(self, form: AuthenticationForm, parked: str | None = None) -> str:
        """A new link. Raises `NoServiceUrl`, `LinkTooLong`, and what `Store.admit` raises.

        `parked`: what is to be done once somebody has signed in; it goes into the link sealed.
        """
        self._base()
        key = self._settings.values.service_secret or self._own_key()
        if not key:
            key = self._own = await self._store.admit(self._key_in)
        sealed_text = None if parked is None else self._vault.seal("", _PARKED_FIELD, parked)
        return self._url(form, key, sealed_text)

    def parked(self, link: FormLink) -> str | None:
        """What is to be done once somebody has signed in. Raises `LinkRefused` where another key sealed it."""
        try:
            return None if link.parked is None else self._vault.open("", _PARKED_FIELD, link.parked)
        except DamagedSecret as error:
            raise LinkRefused("This link was made before the engine's key was changed", link.form) from error

    def url_in(self, tx: Tx, form: AuthenticationForm) -> str:
        """The same inside a commit. Raises `NoServiceUrl`, `LinkTooLong`."""
        self._base()
        return self._url(form, self._settings.values.service_secret or self._own_key() or self._key_in(tx), None)

    def _url(self, form: AuthenticationForm, key: str, parked: str | None) -> str:
        built = {
            **msgspec.to_builtins(form),
            "n": _base64(self._world.token_bytes(_NONCE_BYTES)),
            "t": int(self._world.now() * 1000),
            **({} if parked is None else {_PARKED: parked}),
        }
        data = msgspec.json.encode(built)
        if len(_base64(data)) > LONGEST:
            raise LinkTooLong("The link would be too long for browsers and proxies: use shorter URLs, or fewer folders")
        signature = _base64(_signed(data, key))
        kind = f"&type={form.type}" if form.type else ""
        return f"{self._base()}{PATH}?data={_base64(data)}&sig={signature}{kind}"

    def read(self, data: str, sig: str, *, at: float | None = None) -> FormLink:
        """Read a link that was followed `at` (seconds since 1970; None: now). Raises `LinkRefused`."""
        text, given = _octets(data[: LONGEST + 1]), _octets(sig[:100])
        keys = [key for key in (self._settings.values.service_secret, self._own_key()) if key]
        if len(data) > LONGEST or not any(hmac.compare_digest(_signed(text, key), given) for key in keys):
            raise LinkRefused("This link is not complete, or it was changed on its way")
        form, nonce, made, parked = _members(text)
        now = self._world.now() if at is None else at
        if made + LIFETIME < now or made > now + CLOCK_SKEW:
            raise LinkRefused("This link has expired", form)
        return FormLink(form, nonce, made, data, sig, parked)

    def _base(self) -> str:
        base = self._settings.values.service_url
        if not base:
            raise NoServiceUrl("The setting serviceUrl is not set")
        return base.rstrip("/")

    def _own_key(self) -> str | None:
        if self._own is None:
            text = settings.load(self._store.reader).get(_KEY)
            if text is not None:
                self._own = self._opened(text)
        return self._own

    def _opened(self, text: bytes) -> str | None:
        try:
            return self._vault.open("", sealed.setting_field(_KEY), msgspec.json.decode(text)[sealed.SEALED])
        except (DamagedSecret, KeyError, TypeError, ValueError, RecursionError):
            # The links that it signed become invalid; a new key signs the next link.
            return None

    def _key_in(self, tx: Tx) -> str:
        """The engine's own key as this commit finds it, else a new one."""
        text = settings.load(tx).get(_KEY)
        if text is not None and (known := self._opened(text)) is not None:
            return known
        key = _base64(self._world.token_bytes(32))
        settings.save(tx, {_KEY: {sealed.SEALED: self._vault.seal("", sealed.setting_field(_KEY), key)}})
        return key


def _members(text: bytes) -> tuple[AuthenticationForm, str, float, str | None]:
    """The content of signed JSON, its nonce, when it was made (seconds since 1970), the rest. Raises `LinkRefused`.

    Members that only EmailEngine knows, and those that are null, are ignored.
    """
    try:
        built: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        nonce, made = built.pop("n"), float(built.pop("t")) / 1000
        parked = built.pop(_PARKED, None)
        known = {each.encode_name: each for each in msgspec.structs.fields(AuthenticationForm)}
        given = {name: value for name, value in built.items() if name in known and value not in (None, "")}
        if "notifyFrom" in built:
            given["notifyFrom"] = built["notifyFrom"]
        form = decode_body(AuthenticationForm, msgspec.json.encode(given))
        if not isinstance(nonce, str) or not 0 < len(nonce) <= 100:
            raise ValueError("no nonce")
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, Problem) as error:
        raise LinkRefused("This link does not say what it is for") from error
    return form, nonce, made, parked if isinstance(parked, str) else None


def _signed(data: bytes, key: str) -> bytes:
    return hmac.digest(key.encode(), data, hashlib.sha256)


def _octets(text: str) -> bytes:
    """Decode base64url or base64, with or without padding; empty if it is neither."""
    try:
        plain = text.replace("+", "-").replace("/", "_").rstrip("=").encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
