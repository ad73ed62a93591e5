"""The scripts of all sandbox accounts: what was asked for and what is left of it is on disk before it counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec

from engine.errors import Problem
from engine.field_errors import invalid
from engine.sandbox.script import MAX_STEPS, Script, ScriptStep, Server, Stage, Steps
from engine.store import accounts, sandbox
from engine.store.sandbox import StoredStep
from engine.store.writer import Store, Tx

NO_ACCOUNT = "Account record was not found for requested ID"


class Wanted(NamedTuple):
    """A change of an account's script and time. `seconds`: how much more time is to pass."""

    account: str
    steps: Iterable[ScriptStep] = ()
    replace: bool = False
    seconds: float = 0.0


class SandboxScripts:
    """Every account's steps. Its coroutines raise `StorageFailed`."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._steps: dict[str, Steps] = {}
        for each in sandbox.steps(store.reader):
            self._of(each.account).add([msgspec.json.decode(each.step, type=ScriptStep)])

    def script_of(self, account: str) -> Script:
        """What the account's connections follow."""
        return _AccountScript(self, account)

    def waiting(self, account: str) -> list[ScriptStep]:
        """The steps that have still to act."""
        return self._of(account).waiting if account in self._steps else []

    def begins_anew(self, account: str) -> bool:
        """Whether a step waits for a new SMTP connection."""
        return account in self._steps and self._steps[account].begins_anew

    async def change(self, wanted: Wanted, first: Callable[[Tx], bool] = lambda _: True) -> None:
        """Make a change, unless `first`, in the same commit, returns False.

        Raises `Problem` 404 if the account has just been removed, 400 if it would have too many steps; and what
        `first` raises.
        """
        account, steps = wanted.account, list(wanted.steps)

        def change(tx: Tx) -> None:
            if not accounts.exists(tx, account):
                raise Problem(404, NO_ACCOUNT)
            if not first(tx):
                return
            if wanted.replace:
                sandbox.remove_steps(tx, account)
            if sandbox.count_steps(tx, account) + len(steps) > MAX_STEPS:
                raise invalid("steps", f"must not be more than {MAX_STEPS} with those that have still to act")
            sandbox.add_steps(tx, [_stored(account, each) for each in steps])
            if wanted.seconds:
                sandbox.move_time(tx, account, wanted.seconds, self._now())
            tx.after_commit(lambda: self._take_up(account, steps, replace=wanted.replace))

        await self._store.admit(change)

    async def clear(self, account: str) -> int:
        """Remove all steps, and let no more time pass; how many steps there were."""
        count = len(self.waiting(account))

        def change(tx: Tx) -> None:
            sandbox.remove_steps(tx, account)
            sandbox.stop_time(tx, account)
            tx.after_commit(lambda: self.forget(account))

        await self._store.commit(change)
        return count

    def forget(self, account: str) -> None:
        """Drop what is in memory about an account."""
        self._steps.pop(account, None)

    async def take(
        self, account: str, server: Server, stage: Stage, recipients: Collection[str], attempt: object
    ) -> ScriptStep | None:
        """The step of the account that acts now, counted."""
        steps = self._steps.get(account)
        if steps is None or (found := steps.find(server, stage, recipients, attempt)) is None:
            return None
        step, counts = found
        if not counts:
            return step
        steps.count(step, attempt)
        steps.drop_used(attempt)
        acting = msgspec.structs.replace(step)
        await self._store.commit(lambda tx: _write(tx, account, acting))
        return acting

    def _of(self, account: str) -> Steps:
        return self._steps.setdefault(account, Steps())

    def _take_up(self, account: str, steps: list[ScriptStep], *, replace: bool) -> None:
        if replace:
            self.forget(account)
        if steps:
            self._of(account).add(steps)


class _AccountScript:
    def __init__(self, scripts: SandboxScripts, account: str) -> None:
        self._scripts = scripts
        self._account = account

    async def take(
        self, server: Server, stage: Stage, recipients: Collection[str] = (), attempt: object = None
    ) -> ScriptStep | None:
        return await self._scripts.take(self._account, server, stage, recipients, attempt)

    def begins_anew(self) -> bool:
        return self._scripts.begins_anew(self._account)


def _stored(account: str, step: ScriptStep) -> StoredStep:
    return StoredStep(account, step.id, msgspec.json.encode(step))


def _write(tx: Tx, account: str, step: ScriptStep) -> None:
    if step.times == 0:
        sandbox.remove_step(tx, account, step.id)
    elif step.times is not None:
        sandbox.change_step(tx, _stored(account, step))
