"""Leaves those out of a message who get no mail, or refuses it, as its caller chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from engine.errors import Problem
from engine.model.message import IfSuppressed
from engine.queue.accept import Suppressed
from engine.schema.suppression import SuppressedRecipient
from engine.store import suppressions
from engine.store.writer import Store
from engine.world import World

NAMED = 10
"""The most recipients that an error names."""


class Sifted(NamedTuple):
    """Who gets a message, and who of those that it names is suppressed."""

    recipients: tuple[str, ...]
    suppressed: tuple[Suppressed, ...] = ()


class NobodyLeft(Problem):
    """All recipients are suppressed, so the message goes to nobody."""

    def __init__(self, suppressed: Sequence[Suppressed]) -> None:
        super().__init__(422, "All recipients are suppressed", code="RecipientSuppressed")
        self.suppressed = suppressed


class Suppressions:
    """The lists, as submissions see them."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world

    def sift(self, account: str, recipients: tuple[str, ...], choice: IfSuppressed) -> Sifted:
        """Leave suppressed recipients out, unless `choice` is to send.

        Raises `Problem` 422: `NobodyLeft`, or with `fail` if anyone is suppressed.
        """
        found = suppressions.of_recipients(self._store.reader, account, recipients, self._world.now())
        if not found:
            return Sifted(recipients)
        if choice == "fail":
            text = f"Suppressed, and ifSuppressed is fail: {', '.join(list(found)[:NAMED])}"
            raise Problem(422, text, code="RecipientSuppressed")
        is_sent = choice == "send"
        told = tuple(Suppressed(each, entry.reason, entry.evidence, is_sent) for each, entry in found.items())
        if is_sent:
            return Sifted(recipients, told)
        left = tuple(each for each in recipients if each not in found)
        if not left:
            raise NobodyLeft(told)
        return Sifted(left, told)


def suppressed_shown(suppressed: Sequence[Suppressed]) -> tuple[SuppressedRecipient, ...] | UnsetType:
    """Suppressed recipients in the form of an answer; absent if there are none."""
    return (
        tuple(
            SuppressedRecipient(
                recipient=each.address,
                outcome="sent" if each.is_sent else "skipped",
                reason=each.reason,
                event=UNSET if each.event is None else each.event,
            )
            for each in suppressed
        )
        or UNSET
    )
