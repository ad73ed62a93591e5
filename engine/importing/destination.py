"""What this engine has already, and what the import adds to it: the basis for planning each kind of record."""

from __future__ import annotations

import sqlite3

from engine.accounts import registration as registrations
from engine.importing.encryption import Decryption
from engine.importing.item import Change, Item, Kind, Outcome
from engine.model.registration import Registration, Unreadable
from engine.oauth.app_book import opened_record
from engine.oauth.apps import App
from engine.store import accounts, oauth_apps
from engine.store.vault import Vault
from engine.world import World


class Destination:
    """`db` reads what is stored. `accounts` and `apps` hold existing and imported ones, None for unreadable ones.

    `now`: the moment of the import, in seconds since 1970. `replace`: existing records are replaced.
    """

    def __init__(
        self, db: sqlite3.Connection, vault: Vault, world: World, secrets: Decryption, *, replace: bool
    ) -> None:
        self.db = db
        self.vault = vault
        self.world = world
        self.secrets = secrets
        self.replace = replace
        self.now = world.now()
        self.accounts: dict[str, Registration | None] = {
            row.id: self._registration(row.record) for row in accounts.every(db)
        }
        self.mailboxes = {registrations.mailbox_of(record): id for id, record in self.accounts.items()}
        """The accounts that sign in with OAuth2, by app and mailbox."""
        opened = {row.id: opened_record(row, vault) for row in oauth_apps.every(db)}
        self.apps: dict[str, App | None] = {id: None if why else app for id, (app, why) in opened.items()}

    def item(
        self, kind: Kind, id: str, is_there: bool, change: Change, operation: str, notes: tuple[str, ...] = ()
    ) -> Item:
        """What happens to an importable record: it is new, it replaces an existing one, or it leaves that alone."""
        if is_there and not self.replace:
            return Item(kind=kind, id=id, outcome="there", reason="left as it is")
        outcome: Outcome = "replaced" if is_there else "new"
        return Item(kind=kind, id=id, outcome=outcome, notes=notes, operation=operation, change=change)

    def _registration(self, record: bytes) -> Registration | None:
        """The registration; None if it cannot be read."""
        try:
            return registrations.unseal(record, self.vault)
        except Unreadable:
            return None
