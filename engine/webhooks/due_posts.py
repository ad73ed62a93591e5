"""When the next post of each backlog is due.

It is due after its wait (`AccountBacklog.next_at`), and not before a `Retry-After` of the receiver is over. It is
brought forward when the receiver seems to be back: when it accepts another event, or when its host answers anyone.
"""

from __future__ import annotations

import math

import trio

from engine.egress import Egress
from engine.webhooks.backlog import AccountBacklog
from engine.webhooks.retry import EARLY
from engine.webhooks.target import WebhookTarget
from engine.world import LOOK_AGAIN, World


class DuePosts:
    """The waits of one endpoint's backlogs, one for each account."""

    def __init__(self, egress: Egress, world: World) -> None:
        self._egress = egress
        self._world = world
        self._not_before: dict[str, float] = {}
        """Until when each target's `Retry-After` forbids posts (`World.elapsed`)."""
        self._waiting: dict[str, trio.CancelScope] = {}
        self._taken_at: dict[str, float] = {}
        self._taken = trio.Event()

    async def wait_for(self, line: AccountBacklog, target: WebhookTarget) -> bool:
        """Wait until the line's next post is due; return True if the receiver's return brought it forward."""
        early = False

        def is_back() -> None:
            nonlocal early
            if not line.answered:
                early = True
                waiting.cancel()

        began = trio.current_time()
        listening = self._egress.listening(target.host, target.dialled, is_back)
        with listening, trio.CancelScope() as waiting:
            self._waiting[line.account] = waiting
            try:
                since = self._world.now()
                while (left := line.seconds_left(self._world.now())) > 0:
                    with trio.move_on_after(min(left, LOOK_AGAIN)):
                        if line.answered:
                            await trio.sleep_forever()
                        await trio.sleep_until(began + EARLY)
                        while self.taken_at(target) <= since:
                            await self._taken.wait()
                        is_back()
            finally:
                self._waiting.pop(line.account, None)
        while (until := self._not_before.get(target.key)) is not None:
            if (left := until - self._world.elapsed()) > 0:
                await trio.sleep(min(left, LOOK_AGAIN))
            else:
                self._not_before.pop(target.key, None)
        return early

    def hasten(self, account: str) -> None:
        """End an account's wait, but for a `Retry-After`."""
        if (waiting := self._waiting.get(account)) is not None:
            waiting.cancel()

    def forbid(self, target: WebhookTarget, seconds: float) -> None:
        """Post nothing to this target for `seconds`, its `Retry-After`."""
        before = self._not_before.get(target.key, -math.inf)
        self._not_before[target.key] = max(before, self._world.elapsed() + seconds)

    def forget_retry_after(self) -> None:
        """Forget the `Retry-After` of every target."""
        self._not_before.clear()

    def taken(self, target: WebhookTarget, now: float) -> None:
        """Note that the target has accepted an event; waits for its return look again."""
        self._taken_at[target.key] = now
        if self._taken.statistics().tasks_waiting:
            self._taken.set()
            self._taken = trio.Event()

    def taken_at(self, target: WebhookTarget) -> float:
        """When the target last accepted an event, in seconds since 1970; `-inf` if that is unknown."""
        return self._taken_at.get(target.key, -math.inf)
