"""Where an account records and announces what happens to it."""

from __future__ import annotations

import msgspec

from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.queue.recorder import Recorder
from engine.store.bodies import Spool
from engine.store.writer import Store


class Ledger(msgspec.Struct, frozen=True):
    """The store and its spool, the journal for events, the recorder for outcomes of mail, and the state changes."""

    store: Store
    spool: Spool
    journal: Journal
    recorder: Recorder
    changes: StateChanges
