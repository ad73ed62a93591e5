"""Puts recipients on the suppression lists whose mail bounced for good, or who complained, as the settings say.

A bounce counts if it says that the address takes no mail. A permanent refusal of the message, its sender or the server
that it came from says nothing about the next message: suppressing its recipient would only hide the fault.
"""

from __future__ import annotations

from engine.settings import SettingsBook
from engine.store import suppressions
from engine.store.suppressions import FOR_ALL, Suppression
from engine.store.writer import Tx
from engine.world import World

NO_COMPLAINTS = frozenset({"not-spam", "opt-out", "opt-out-list"})
"""Feedback types (RFC 5965 section 7.3, RFC 6650) that are no complaint about the message."""
DAY = 86_400.0


class SuppressionFeed:
    """Feeds the lists; each method takes the transaction of the event that is the evidence."""

    def __init__(self, settings: SettingsBook, world: World) -> None:
        self._settings = settings
        self._world = world

    def bounced(self, tx: Tx, account: str, recipient: str, event: int, *, linked: bool) -> None:
        """A message bounced for good, because of its recipient. `linked`: it was sent by this engine."""
        choice = self._settings.values.suppress_bounces
        self._put(tx, choice, account, recipient, "hard-bounce", event, linked=linked)

    def complained(self, tx: Tx, account: str, recipient: str, feedback: str, event: int, *, linked: bool) -> None:
        """A recipient complained about a message."""
        if feedback.lower() not in NO_COMPLAINTS:
            choice = self._settings.values.suppress_complaints
            self._put(tx, choice, account, recipient, "complaint", event, linked=linked)

    def _put(
        self, tx: Tx, choice: str | None, account: str, recipient: str, reason: str, event: int, *, linked: bool
    ) -> None:
        values = self._settings.values
        if choice is None or not all(recipient.partition("@")) or (values.suppress_sent_only is True and not linked):
            return
        now, days = self._world.now(), values.suppression_days
        entry = Suppression(
            scope=FOR_ALL if choice == "engine" else account,
            recipient=recipient,
            reason=reason,
            source="event",
            evidence=event,
            created=now,
            expires=None if days is None else now + days * DAY,
        )
        if not suppressions.requested(tx, entry.scope, recipient, now):
            suppressions.put(tx, entry)
