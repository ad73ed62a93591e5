"""What a message in the queue waits for, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable

from engine.model.message import Message
from engine.model.message_states import ENDED, State
from engine.model.waiting import Waiting
from engine.queue import doubt


def waiting_for(message: Message, of_lane: Callable[[], Waiting | None] | None, now: float) -> Waiting | None:
    """What keeps `message` from being sent at `now` (seconds since 1970); None if nothing does, or it has ended.

    `of_lane` says what all mail of its account or gateway waits for; None if the account is not registered. A gateway
    that is gone counts before the message's own time, which will bring nothing.
    """
    own = _own_wait(message, now)
    if of_lane is None or message.state in (*ENDED, State.SENDING):
        return own
    if own is not None and (message.gateway is None or own.kind not in ("schedule", "retry")):
        return own
    lane = of_lane()
    if own is not None:
        return lane if lane is not None and lane.kind == "gateway" else own
    return lane or Waiting("turn", message.next_at or message.send_at, None, "It is sent after the messages before it")


def _own_wait(message: Message, now: float) -> Waiting | None:
    """What the message itself waits for; None if it is due."""
    state, since = message.state, message.doubt_since or message.created
    if state is State.HELD:
        return Waiting("release", since, None, 'engine outbox release, or PUT /v1/outbox/{queueId} {"sendNow":true}')
    if state is State.IN_DOUBT and message.next_at is None:
        remedy = 'It is unknown whether it arrived: PUT /v1/outbox/{queueId} {"onDoubt":"resend"} or {"onDoubt":"fail"}'
        return Waiting("decision", since, None, remedy)
    if message.next_at is None or message.next_at <= now:
        return None
    if state is State.IN_DOUBT and message.next_at >= since + doubt.PATIENCE:
        remedy = "It is unknown whether it arrived: the provider's Sent folder is searched for it"
        return Waiting("evidence", since, message.next_at, remedy)
    if state is State.QUEUED and message.attempts_made == 0:
        remedy = 'It is sent at its sendAt; PUT /v1/outbox/{queueId} {"sendNow":true} sends it now'
        return Waiting("schedule", message.created, message.next_at, remedy)
    said = message.last_error["message"] if message.last_error is not None else "the last attempt did not succeed"
    remedy = f'The engine tries again by itself ({said}); PUT /v1/outbox/{{queueId}} {{"sendNow":true}} tries now'
    return Waiting("retry", since, message.next_at, remedy)
