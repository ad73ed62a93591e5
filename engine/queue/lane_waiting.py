"""Why a lane sends nothing now, as messages show it (`waitingFor`).

Times are in seconds: `now` by the clock that the object in question counts in, `wall` since 1970.
"""

from __future__ import annotations

from engine.model.message import LaneId
from engine.model.waiting import Waiting, WaitingKind
from engine.queue.lane_backoff import BackoffReason, LaneBackoff
from engine.queue.quota import SendingQuota
from engine.queue.rate_limit import SendingRate
from engine.smtp.verdict import error_text


def for_backoff(lane: LaneId, backoff: LaneBackoff, now: float, wall: float) -> Waiting | None:
    """The lane waits after a refused login or a connection that failed; None: it does not."""
    if backoff.verdict is None:
        return None
    said = error_text(backoff.verdict)
    kind: WaitingKind = "connection"
    gateway = lane.gateway
    what = f"The gateway {gateway}" if gateway else "The server"
    remedy = f"{what} cannot be reached ({said}); the engine tries again by itself"
    if backoff.reason is BackoffReason.TOKEN:
        remedy = f"There is no access token to log in with ({said})"
    if backoff.reason is BackoffReason.LOGIN:
        kind = "login"
        remedy = f"The login was refused ({said}): correct the password with PUT /v1/account/{{account}}"
        if gateway:
            remedy = f"{what} refused the login ({said}): correct it with PUT /v1/gateway/edit/{gateway}"
    return Waiting(kind, backoff.since, wall + backoff.seconds(now), remedy)


def for_pace(pace: SendingRate, since: float, now: float, wall: float) -> Waiting | None:
    """The lane sends as fast as it may; None: it may go faster. `since` is in seconds since 1970."""
    if (ready := pace.ready_at(now)) <= now:
        return None
    kind: WaitingKind = "rateLimit"
    remedy = "smtp.rateLimit of the account: nothing to do"
    if pace.slowed:
        kind, remedy = "provider", "The provider asked to send more slowly (421 or 4.7.x): nothing to do"
    return Waiting(kind, since, wall + ready - now, remedy)


def for_quota(quota: SendingQuota, now: float, wall: float) -> Waiting | None:
    """The account has sent all that its limits or its provider allow for now; None: it has not."""
    if (ready := quota.ready_at(now)) <= now:
        return None
    if (closed := quota.closure(now)) is not None:
        until, said = closed
        remedy = (
            f"The provider says that the account has sent all it may ({said.text}): nothing to do. If it may send "
            'again already, PUT /v1/account/{account}/quota {"reopen":true}'
        )
        return Waiting("quota", wall + until - now - said.seconds, wall + ready - now, remedy)
    limit = quota.fullest(now)
    remedy = f"smtp.limits of the account: {limit.name} is {limit.most}. The engine goes on by itself"
    return Waiting("quota", quota.since, wall + ready - now, remedy)
