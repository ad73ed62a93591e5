"""Warns 30, 7 and 1 days before the client secret of an OAuth2 app expires, once each, by event and log.

A secret that expired before any warning, since it was set late or the engine was stopped, gets one warning.
"""

from __future__ import annotations

import logging

import trio

from engine.events.journal import Journal
from engine.isotime import iso
from engine.oauth.app_book import AppBook, Made
from engine.oauth.apps import App
from engine.store import oauth_apps
from engine.store.writer import Store, Tx
from engine.world import World

log = logging.getLogger("engine.oauth")

WARNED_DAYS = (30, 7, 1)
DAY = 86_400.0
LOOK_AGAIN = 3600.0
"""Seconds between two checks of the clock."""


class SecretExpiry:
    """Watches all apps. `run` is its service."""

    def __init__(self, book: AppBook, store: Store, journal: Journal, world: World) -> None:
        self._book = book
        self._store = store
        self._journal = journal
        self._world = world

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Warn until cancelled. Raises `StorageFailed`."""
        task_status.started()
        while True:
            changed = self._book.changed
            for made in list(self._book.made.values()):
                await self._warn(made)
            with trio.move_on_after(LOOK_AGAIN):
                await changed.wait()

    async def _warn(self, made: Made) -> None:
        days = due_warning(made.app.client_secret_expires, made.warned, self._world.now())
        if days is None:
            return
        app, expires = made.app, made.app.client_secret_expires
        assert expires is not None
        expired = expires <= self._world.now()
        data = {
            "app": app.id,
            "name": app.name,
            "provider": app.provider,
            "clientSecretExpires": iso(expires),
            "days": 0 if expired else days,
            "hint": secret_hint(app, expired=expired),
        }

        def change(tx: Tx) -> None:
            oauth_apps.note_warned(tx, app.id, days)
            self._journal.append(tx, "oauth2AppWarning", None, data)

        await self._store.commit(change)
        made.warned = days
        verb = "expired" if expired else "expires"
        log.warning("the client secret of the OAuth2 app %s (%s) %s on %s", app.id, app.name, verb, iso(expires))


def due_warning(expires: float | None, warned: int | None, now: float) -> int | None:
    """The warning due now, in days before expiry; None if none is due or it has been given."""
    if expires is None:
        return None
    due = [days for days in WARNED_DAYS if expires - now <= days * DAY]
    if not due or (warned is not None and warned <= min(due)):
        return None
    return min(due)


def secret_hint(app: App, *, expired: bool) -> str:
    """Where to create a new client secret."""
    if app.provider.startswith("outlook"):
        where = "in Microsoft Entra (App registrations, Certificates & secrets)"
    elif app.provider.startswith("gmail"):
        where = "in the Google Cloud console (APIs & Services, Credentials)"
    else:
        where = f"at {app.of.name}"
    when = "It has expired" if expired else "When it expires"
    return (
        f"Make a new client secret {where} and set it: PUT /v1/oauth2/{app.id} with clientSecret and "
        f"clientSecretExpires. {when}{':' if expired else ','} every account of this app stops."
    )
