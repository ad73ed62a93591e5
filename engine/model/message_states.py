"""Every state of a message and of each of its recipients, and the allowed transitions. Pure.

A recipient ends in exactly one of the end states. `in_doubt` is not an end: the final dot was sent and no reply came,
so the outcome is unknown. A message's state follows from its recipients' states (`message_state`). No other part of the
engine decides which transitions are allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class State(StrEnum):
    """The state of the delivery to one recipient, or of one message."""

    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    IN_DOUBT = "in_doubt"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS: dict[State, dict[State, str]] = {
    State.QUEUED: {
        State.SENDING: "an attempt begins",
        State.FAILED: "suppressed meanwhile, or not sent for as long as its attempts would have taken",
        State.CANCELLED: "cancelled before its first attempt",
        State.HELD: "found in a restored backup",
    },
    State.SENDING: {
        State.SENT: "the server accepted it",
        State.DEFERRED: "not now; another attempt is due later",
        State.IN_DOUBT: "the line broke after the final dot",
        State.FAILED: "refused for good, or the attempts are spent",
        State.QUEUED: "interrupted before the final dot; the attempt does not count",
        State.HELD: "the engine ended during it again and again",
        State.CANCELLED: "cancelled before the final dot",
    },
    State.DEFERRED: {
        State.SENDING: "the next attempt begins",
        State.FAILED: "suppressed meanwhile, or not sent for as long as its attempts would have taken",
        State.CANCELLED: "cancelled between attempts",
        State.HELD: "found in a restored backup between attempts",
    },
    State.IN_DOUBT: {
        State.SENDING: "sent again under the same Message-ID",
        State.SENT: "found in the provider's Sent folder",
        State.DEFERRED: "not where the provider would have filed it, so it did not go",
        State.FAILED: "given up, suppressed meanwhile, or the attempts are spent",
        State.CANCELLED: "its account was removed",
    },
    State.HELD: {
        State.QUEUED: "released",
        State.CANCELLED: "cancelled while held",
    },
    State.SENT: {},
    State.FAILED: {},
    State.CANCELLED: {},
}

ENDED = frozenset(state for state, following in TRANSITIONS.items() if not following)
WAITING = frozenset({State.QUEUED, State.DEFERRED, State.IN_DOUBT})


def message_state(recipients: Iterable[State]) -> State:
    """A message's state from those of its recipients (at least one).

    It is open while one recipient is; once ended, it is `sent` if any recipient got the message.
    """
    states = set(recipients)
    for state in (State.SENDING, State.IN_DOUBT, State.DEFERRED, State.QUEUED, State.HELD, State.SENT, State.FAILED):
        if state in states:
            return state
    return State.CANCELLED


def diagram() -> str:
    """The transitions as a Mermaid state diagram, shown in `docs/lifecycle.md`."""
    lines = ["stateDiagram-v2", "    [*] --> queued: accepted, on disk"]
    lines += [f"    {one} --> {other}: {why}" for one, after in TRANSITIONS.items() for other, why in after.items()]
    lines += [f"    {state} --> [*]" for state in State if state in ENDED]
    return "\n".join(lines) + "\n"
