"""What the provider's Sent folder proves about mail in doubt.

Only a provider that files sent mail itself gives evidence: a message found there by its Message-ID was accepted, and
one still missing minutes later was not. Elsewhere the engine files the copy after the reply, so a missing copy means
nothing. This file decides when to search and what follows; the account's connection does the searching.
"""

from __future__ import annotations

import msgspec

from engine.model.message import Message
from engine.model.message_states import State
from engine.queue import doubt, judgements
from engine.queue.recorder import Recorder
from engine.store import messages
from engine.store.writer import Store, Tx
from engine.world import World


class SentFolderSearch(msgspec.Struct, frozen=True):
    """One search to make: for which message, and whether its answer is final."""

    message: int
    message_id: str
    last: bool


class SentFolderSearches:
    """The searches due for one account."""

    def __init__(self, account: str, store: Store, recorder: Recorder, world: World) -> None:
        self._account = account
        self._store = store
        self._recorder = recorder
        self._world = world
        self._searched: dict[int, float] = {}
        """When each message was last searched for. Lost at a restart, after which the search is repeated."""

    def seconds_to_next(self) -> float | None:
        """Seconds until a search is due (0: now); None if none is."""
        return min((max(0.0, at - self._world.now()) for _, at in self._owed()), default=None)

    def due(self) -> list[SentFolderSearch]:
        """The searches to make now."""
        now = self._world.now()
        return [
            SentFolderSearch(message.id, message.message_id, doubt.next_look(message.doubt_since or 0.0, now) is None)
            for message, at in self._owed()
            if at <= now
        ]

    async def tell(self, search: SentFolderSearch, *, found: bool) -> None:
        """Record the result of a search. Raises `StorageFailed`, `StorageFull`."""
        now = self._world.now()
        self._searched[search.message] = now

        def change(tx: Tx) -> None:
            message = messages.get(tx, search.message)
            if message is None or message.state != State.IN_DOUBT:
                return
            recipients = messages.recipients(tx, message.id)
            if found:
                if judgements.tells(recipients):
                    self._recorder.settle(tx, message, judgements.found(message, recipients, now), now)
            elif search.last:
                self._recorder.note(tx, message, "notInSentFolder")
                self._recorder.settle(tx, message, judgements.not_found(message, recipients, now), now)

        await self._store.commit(change)

    def _owed(self) -> list[tuple[Message, float]]:
        owed = []
        for message in messages.in_doubt(self._store.reader, self._account):
            since = message.doubt_since or 0.0
            look = doubt.next_look(since, self._searched.get(message.id, since))
            if look is not None:
                owed.append((message, look))
        return owed
