"""Signed links to the form in which people connect their mailbox.

A link is `<serviceUrl>/accounts/new?data=…&sig=…`, signed with the setting `serviceSecret` (`engine/signed_links.py`).
So anyone who has that secret can make links too. Without the setting, the engine signs with its own key. Links signed
with either are valid for 24 hours.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.decoding.decode import decode_body
from engine.decoding.value_checks import email
from engine.errors import DamagedSecret, EngineError, Fault, Problem
from engine.schema.authentication import AuthenticationForm
from engine.settings import SettingsBook
from engine.signed_links import LONGEST, LinkKeys, as_base64, query_of
from engine.store.vault import Vault
from engine.store.writer import Tx
from engine.world import World

LIFETIME = 86_400.0
CLOCK_SKEW = 300.0
"""Seconds by which the clock of a link's maker may be ahead."""
PATH = "/accounts/new"
_NONCE_BYTES = 16
_PARKED, _PARKED_FIELD = "r", "form.registration"


def address_or_none(user: str) -> str | msgspec.UnsetType:
    """A user for a link, if it is an address: a link with anything else would not open."""
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

    def __init__(self, book: SettingsBook, keys: LinkKeys, vault: Vault, world: World) -> None:
        self._settings = book
        self._keys = keys
        self._vault = vault
        self._world = world

    async def url(self, form: AuthenticationForm, parked: str | None = None) -> str:
        """A new link. Raises `NoServiceUrl`, `LinkTooLong`, and what `Store.admit` raises.

        `parked`: what to do after the sign-in; it goes into the link sealed.
        """
        self._base()
        sealed_text = None if parked is None else self._vault.seal("", _PARKED_FIELD, parked)
        return self._url(form, await self._keys.shared(), sealed_text)

    def parked(self, link: FormLink) -> str | None:
        """What to do after the sign-in. Raises `LinkRefused` where another key sealed it."""
        try:
            return None if link.parked is None else self._vault.open("", _PARKED_FIELD, link.parked)
        except DamagedSecret as error:
            raise LinkRefused("This link was made before the engine's key was changed", link.form) from error

    def url_in(self, tx: Tx, form: AuthenticationForm) -> str:
        """The same inside a commit. Raises `NoServiceUrl`, `LinkTooLong`."""
        self._base()
        return self._url(form, self._keys.shared_in(tx), None)

    def _url(self, form: AuthenticationForm, key: str, parked: str | None) -> str:
        built = {
            **msgspec.to_builtins(form),
            "n": as_base64(self._world.token_bytes(_NONCE_BYTES)),
            "t": int(self._world.now() * 1000),
            **({} if parked is None else {_PARKED: parked}),
        }
        data = msgspec.json.encode(built)
        if len(as_base64(data)) > LONGEST:
            raise LinkTooLong("The link would be too long for browsers and proxies: use shorter URLs, or fewer folders")
        kind = f"&type={form.type}" if form.type else ""
        return f"{self._base()}{PATH}?{query_of(data, key)}{kind}"

    def read(self, data: str, sig: str, *, at: float | None = None) -> FormLink:
        """Read a link that was followed `at` (seconds since 1970; None: now). Raises `LinkRefused`."""
        text = self._keys.opened(data, sig)
        if text is None:
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
