"""Where an account writes down what happens to it, and tells of it."""

from __future__ import annotations

import msgspec

from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.queue.recorder import Recorder
from engine.store.bodies import Spool
from engine.store.writer import Store


class Ledger(msgspec.Struct, frozen=True):
    """The store with its spool; the journal for events, the recorder for what became of mail, and changes of state."""

    store: Store
    spool: Spool
    journal: Journal
    recorder: Recorder
    changes: StateChanges
