"""What follows when nobody knows whether a message arrived: the final dot was sent and no reply was read. Pure.

First comes evidence: where the provider files sent mail itself, its Sent folder is searched by Message-ID at `LOOKS`
(`queue/sent_folder_search.py`), and for `PATIENCE` nothing else is done. Where there is none, the message's own choice
counts: `resend` sends it again under the same Message-ID, `hold` leaves it in doubt until somebody decides, `fail` ends
it.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.message import Message, OnDoubt, Recipient
from engine.model.states import State

LOOKS = (20.0, 60.0, 300.0)
"""Seconds after a doubt arose at which the Sent folder is searched: a provider may take a while to file."""

PATIENCE = 900.0
"""Seconds for which evidence is waited for, where there can be any. Longer than the last look, for a lost IMAP line."""


def in_doubt(choice: OnDoubt, *, evidence: bool, spent: bool) -> State:
    """The state of a recipient whose outcome has just become unknown.

    `evidence`: the provider's Sent folder may tell. `spent`: there is no further try.
    """
    if choice is OnDoubt.HOLD or evidence:
        return State.IN_DOUBT
    return State.FAILED if spent or choice is OnDoubt.FAIL else State.IN_DOUBT


def due(
    states: Iterable[State], choice: OnDoubt, *, retry_at: float, doubt_since: float | None, evidence: bool
) -> float | None:
    """When something is to be done for a message with recipients in these states (seconds since 1970); None: never."""
    moments = []
    for state in states:
        if state in (State.QUEUED, State.DEFERRED):
            moments.append(retry_at)
        elif state is State.IN_DOUBT and choice is not OnDoubt.HOLD:
            moments.append(max(retry_at, _waits_until(doubt_since)) if evidence else retry_at)
    return min(moments, default=None)


def to_try(message: Message, recipients: Iterable[Recipient], *, now: float, evidence: bool) -> list[str]:
    """The addresses that belong into an attempt that begins `now`.

    Who waits, and who is in doubt if that is sent again.
    """
    resend = message.on_doubt is OnDoubt.RESEND and not (evidence and now < _waits_until(message.doubt_since))
    states = (State.QUEUED, State.DEFERRED, State.IN_DOUBT) if resend else (State.QUEUED, State.DEFERRED)
    return [each.address for each in recipients if each.state in states]


def next_look(doubt_since: float, after: float) -> float | None:
    """The first moment later than `after` at which the Sent folder is to be searched; None: no more."""
    return next((doubt_since + each for each in LOOKS if doubt_since + each > after), None)


def _waits_until(doubt_since: float | None) -> float:
    return (doubt_since or 0.0) + PATIENCE
