"""All OAuth2 apps of the engine: creates, changes, removes and finds them.

A change is on disk before anything acts on it. An app whose record or secret cannot be read is shown as broken and not
used until it is created again or its secrets are set again.
"""

from __future__ import annotations

import logging
import string
from typing import Any

import msgspec
import trio

from engine.errors import DamagedSecret
from engine.events.journal import Journal
from engine.oauth.app_state import AppState
from engine.oauth.apps import App
from engine.oauth.errors import TokenError, Trouble
from engine.store import grants, oauth_apps, sealed
from engine.store.oauth_apps import AppRow
from engine.store.vault import Vault
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.oauth")

_ID_LETTERS = string.ascii_letters + string.digits


class Made(msgspec.Struct):
    """One stored app. Times in seconds since 1970; `error` is in the form of `lastError`."""

    state: AppState
    created: float
    updated: float
    warned: int | None
    error: dict[str, Any] | None

    @property
    def app(self) -> App:
        """The registered app."""
        assert self.state.app is not None
        return self.state.app


class AppBook:
    """All apps; `made` has them by id, oldest first."""

    def __init__(self, store: Store, vault: Vault, journal: Journal, world: World) -> None:
        """Load all apps."""
        self._store = store
        self._vault = vault
        self._journal = journal
        self._world = world
        self.changed = trio.Event()
        """Set when an app is created or changed; there is another one then."""
        self._missing: dict[str, AppState] = {}
        """The states of apps that accounts name but that do not exist."""
        self.made: dict[str, Made] = {}
        for row in oauth_apps.every(store.reader):
            self.made[row.id] = self._loaded(row)

    def state(self, app: str) -> AppState:
        """The state of the app with this id; if there is no such app, a state that works once it is created."""
        found = self.made.get(app)
        if found is not None:
            return found.state
        return self._missing.setdefault(app, AppState(app, None, self._tell))

    def accounts(self, app: str) -> int:
        """How many accounts hold a grant of an app."""
        return grants.count_of_app(self._store.reader, app)

    def new_id(self) -> str:
        """An id for an app."""
        return self._world.letters(20, _ID_LETTERS)

    async def add(self, app: App) -> Made:
        """Create an app. Raises what `Store.admit` raises."""
        now = self._world.now()
        record = sealed_record(app, self._vault)
        await self._store.admit(lambda tx: oauth_apps.add(tx, app.id, record, app.client_secret_expires, now))
        state = self._missing.pop(app.id, None) or AppState(app.id, None, self._tell)
        state.change(app)
        made = self.made[app.id] = Made(state, now, now, None, None)
        self._tell_of_change()
        return made

    async def change(self, made: Made, app: App) -> None:
        """Change an app; accounts that waited because of it continue at once."""
        now = self._world.now()
        record = sealed_record(app, self._vault)
        await self._store.admit(lambda tx: oauth_apps.change(tx, app.id, record, app.client_secret_expires, now))
        if app.client_secret_expires != made.app.client_secret_expires:
            made.warned = None
        made.updated, made.error = now, None
        made.state.change(app)
        self._tell_of_change()

    async def remove(self, made: Made) -> int:
        """Remove an app; return how many accounts still name it, which wait from now on."""
        left = self.accounts(made.app.id)
        id = made.app.id
        await self._store.commit(lambda tx: oauth_apps.remove(tx, id))
        self.made.pop(id, None)
        self._missing[id] = made.state
        made.state.change(None)
        return left

    async def _tell(self, app: str, error: TokenError | None) -> None:
        made = self.made.get(app)
        if made is None:
            return
        shown = None if error is None else error.shown()

        def change(tx: Tx) -> None:
            oauth_apps.note_error(tx, app, None if shown is None else msgspec.json.encode(shown))
            if shown is not None:
                data = {"app": app, "name": made.app.name, "provider": made.app.provider, "error": shown}
                self._journal.append(tx, "oauth2AppError", None, data)

        await self._store.commit(change)
        made.error = shown
        if error is None:
            log.info("the OAuth2 app %s (%s) works again", app, made.app.name)
        else:
            log.warning("the OAuth2 app %s (%s) is refused: %s. %s", app, made.app.name, error, error.hint or "")

    def _tell_of_change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def _loaded(self, row: AppRow) -> Made:
        error = None if row.error is None else msgspec.json.decode(row.error, type=dict[str, Any])
        app, why = opened_record(row, self._vault)
        state = AppState(row.id, app, self._tell)
        if why is not None:
            log.error("the OAuth2 app %s is left alone: %s", row.id, why)
            state.unreadable = why
            hint = "Set the app's secrets again, or restore the key that sealed them."
            error = TokenError(Trouble.APP_BROKEN, why, error="EUNREADABLE", hint=hint).shown()
        elif error is not None:
            state.remember(error.get("serverResponseCode"), error.get("hint"))
        return Made(state, row.created, row.updated, row.warned, error)


def sealed_record(app: App, vault: Vault) -> bytes:
    """The app in stored form: JSON with its secrets sealed."""
    built = msgspec.to_builtins(app)
    for member in oauth_apps.SEALED:
        if built.get(member):
            built[member] = vault.seal("", sealed.app_field(app.id, member), built[member])
    return msgspec.json.encode(built)


def opened_record(row: AppRow, vault: Vault) -> tuple[App, str | None]:
    """The stored app without its unreadable parts, and the reason if there are any."""
    why = None
    try:
        built = msgspec.json.decode(row.record, type=dict[str, Any])
        for member in oauth_apps.SEALED:
            if not built.get(member):
                continue
            try:
                built[member] = vault.open("", sealed.app_field(row.id, member), str(built[member]))
            except DamagedSecret as error:
                built[member], why = "", f"its secret cannot be read: {error}"
        return msgspec.convert({**built, "id": row.id}, App), why
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        return App(id=row.id, provider="oidc", name=row.id), f"its record cannot be read: {error}"
