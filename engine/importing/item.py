"""One record that an import finds: whether it is imported, or why not, and the change that imports it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from engine.errors import Problem
from engine.events.journal import Journal
from engine.store.writer import Tx

Kind = Literal[
    "setting", "oauth2 app", "account", "gateway", "template", "webhook route", "token", "blocklist", "left behind"
]
Outcome = Literal["new", "replaced", "there", "refused"]
"""`there`: one with this id is here already and is left alone."""
Change = Callable[[Tx, Journal], object]


class Refused(ValueError):
    """A record cannot be imported; the text says why, naming the member and quoting no value."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One record. `notes` say what differs here. `operation`: the name of the change in the audit record."""

    kind: Kind
    id: str
    outcome: Outcome
    reason: str | None = None
    notes: tuple[str, ...] = ()
    operation: str = ""
    change: Change | None = None

    @property
    def why(self) -> str:
        """The reason and the notes, in words."""
        return "; ".join(([self.reason] if self.reason else []) + list(self.notes))


def refused(kind: Kind, id: str, reason: str) -> Item:
    """An item that is not imported."""
    return Item(kind=kind, id=id, outcome="refused", reason=reason)


def words_of(problem: Problem) -> str:
    """The text of a refused request: each member and its fault, without values."""
    fields: Iterable[dict[str, Any]] = problem.extra.get("fields", ())
    return "; ".join(str(each["message"]).replace('"', "", 2) for each in fields) or problem.message
