"""What the log says about one webhook endpoint: one line for each fact, and what to do about it.

A failure is logged once for each different answer and then once an hour, however many events and accounts wait.
"""

from __future__ import annotations

import logging

from engine.repeated_errors import RepeatedErrors, counted, spoken
from engine.webhooks.post import Answer
from engine.webhooks.target import WebhookTarget
from engine.world import World

log = logging.getLogger("engine.webhooks")


class EndpointLog:
    """The log lines of one endpoint; the calling task names endpoint and account (`log.concerns`)."""

    def __init__(self, endpoint: str, world: World) -> None:
        self._id = endpoint
        self._world = world
        self._refrain = RepeatedErrors()
        self._parked = RepeatedErrors()

    def taken(self, target: WebhookTarget) -> None:
        """Every due event has been accepted."""
        if self._refrain and (over := self._refrain.over(self._world.elapsed())) is not None:
            self._parked.over(self._world.elapsed())
            # This is about the endpoint, not about the account whose event happened to be accepted last.
            log.info("%s accepts events again after %s", target.origin, spoken(over.seconds), extra={"account": None})

    def not_taken(self, target: WebhookTarget, event: int, attempt: int, answer: Answer) -> None:
        """An event was not accepted and waits."""
        log.debug("attempt %d: %s", attempt, answer.text, extra={"event": event})
        if answer.status == 410:
            return
        cause = (target.key, answer.status, answer.outcome)
        more = self._refrain.failed(cause, self._world.elapsed())
        if more is not None:
            log.warning(
                "%s does not accept events%s: %s. They wait, and are posted again by webhooks.schedule",
                target.origin,
                more,
                answer.text,
                extra={"event": event},
            )

    def gone(self, target: WebhookTarget, event: int) -> None:
        """The account's own receiver answered 410."""
        log.warning(
            "the webhooks of this account are off because %s answered 410 Gone; they resume when the account's "
            "`webhooks` is set again",
            target.origin,
            extra={"event": event},
        )

    def parked(self, event: int, name: str, attempts: int, reason: str) -> None:
        """An event is parked. Further ones with the same reason are counted in a line an hour later."""
        more = self._parked.failed(reason, self._world.elapsed())
        if more is None:
            log.debug("%s is parked: %s", name, reason, extra={"event": event})
            return
        log.warning(
            "%s is parked after %s%s: %s. Later events continue. GET /v1/webhooks/%s/parked lists parked events, POST "
            "there retries or skips them",
            name,
            counted(attempts, "attempt"),
            more,
            reason,
            self._id,
            extra={"event": event},
        )

    def gap(self, first: int, last: int) -> None:
        """Events were removed before the endpoint could post them."""
        log.warning("[retention] removed the events %d to %d before they could be posted", first, last)
