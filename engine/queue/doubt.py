"""What follows a doubt: the final dot was sent and no reply was read, so the message may or may not have arrived. Pure.

If the provider files sent mail itself, evidence comes first: its Sent folder is searched by Message-ID at `LOOKS`
(`queue/sent_folder_search.py`), and nothing else happens for `PATIENCE` seconds. Without evidence, the message's
`onDoubt` decides: `resend` sends it again under the same Message-ID, `hold` leaves it in doubt until the caller
decides, and `fail` ends it.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.model.message import Message, OnDoubt, Recipient
from engine.model.message_states import State

LOOKS = (20.0, 60.0, 300.0)
"""Seconds after a doubt arose at which the Sent folder is searched: a provider may file the copy late."""

PATIENCE = 900.0
"""Seconds to wait for evidence, if the provider can give any.

Longer than the last look, in case the IMAP connection is lost then.
"""


def in_doubt(choice: OnDoubt, *, evidence: bool, spent: bool) -> State:
    """The state of a recipient whose outcome has just become unknown.

    `evidence`: the provider's Sent folder may show whether it arrived. `spent`: no attempt is left.
    """
    if choice is OnDoubt.HOLD or evidence:
        return State.IN_DOUBT
    return State.FAILED if spent or choice is OnDoubt.FAIL else State.IN_DOUBT


def due(
    states: Iterable[State], choice: OnDoubt, *, retry_at: float, doubt_since: float | None, evidence: bool
) -> float | None:
    """When a message with recipients in these states is next due (seconds since 1970); None: never."""
    moments = []
    for state in states:
        if state in (State.QUEUED, State.DEFERRED):
            moments.append(retry_at)
        elif state is State.IN_DOUBT and choice is not OnDoubt.HOLD:
            moments.append(max(retry_at, _waits_until(doubt_since)) if evidence else retry_at)
    return min(moments, default=None)


def addresses_due(message: Message, recipients: Iterable[Recipient], *, now: float, evidence: bool) -> list[str]:
    """The addresses to include in an attempt that begins `now`.

    Those waiting, and those in doubt if `onDoubt` is `resend` and no more evidence is awaited.
    """
    resend = message.on_doubt is OnDoubt.RESEND and not (evidence and now < _waits_until(message.doubt_since))
    states = (State.QUEUED, State.DEFERRED, State.IN_DOUBT) if resend else (State.QUEUED, State.DEFERRED)
    return [each.address for each in recipients if each.state in states]


def next_look(doubt_since: float, after: float) -> float | None:
    """The first time after `after` at which to search the Sent folder; None: no more."""
    return next((doubt_since + each for each in LOOKS if doubt_since + each > after), None)


def _waits_until(doubt_since: float | None) -> float:
    return (doubt_since or 0.0) + PATIENCE
