"""What the provider answers next, by the script of one account. Pure.

A script is a list of steps. At each stage of a connection or a transaction the first step acts that is for this stage
and, if it names a recipient, for this recipient. `times` counts attempts: a step that acts on several recipients of
one transaction, or at its RCPT and again at its end, has acted once. A step whose times are used up is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final, Protocol

import msgspec

MAX_STEPS: Final = 100
"""Steps of one account."""
MAX_TIMES: Final = 1000


class Server(StrEnum):
    """Which of the account's servers."""

    SMTP = "smtp"
    IMAP = "imap"


class Stage(StrEnum):
    """When a step acts; IMAP has only `connect`, `greeting` and `login`."""

    CONNECT = "connect"
    GREETING = "greeting"
    LOGIN = "login"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class ScriptedFault(StrEnum):
    """What goes wrong, if the server does not reply."""

    REFUSED = "refused"
    """The connection is refused."""
    UNKNOWN_HOST = "unknownHost"
    """The server's name has no address."""
    TIMEOUT = "timeout"
    """Nothing answers the connection; the client has waited for its time limit already."""
    CERTIFICATE = "certificate"
    """The server's certificate is not trusted."""
    CUT = "cut"
    """The connection ends without a reply; after the dot, the message is not kept."""
    KEEP_AND_CUT = "keepAndCut"
    """The message is kept, then the connection ends without a reply."""
    SILENCE = "silence"
    """There is no reply until the client gives up."""


AT_CONNECT: Final = frozenset(
    {ScriptedFault.REFUSED, ScriptedFault.UNKNOWN_HOST, ScriptedFault.TIMEOUT, ScriptedFault.CERTIFICATE}
)
"""Faults of the connection as such; the others come after it."""
BEFORE_MAIL: Final = frozenset({Stage.CONNECT, Stage.GREETING, Stage.LOGIN})
FOR_RECIPIENTS: Final = frozenset({Stage.RCPT, Stage.DATA, Stage.DOT})
"""Stages at which the recipients are known."""


class ScriptStep(msgspec.Struct, omit_defaults=True):
    """One step, either a `reply` (code and text in one line) or a `fault`. `times` None: until it is removed."""

    id: str
    stage: Stage
    server: Server = Server.SMTP
    reply: str | None = None
    fault: ScriptedFault | None = None
    recipient: str | None = None
    times: int | None = 1

    def is_for(self, server: Server, stage: Stage, recipients: Collection[str]) -> bool:
        """Whether it acts here; `recipients` are those concerned, in lower case."""
        named = self.recipient is None or self.recipient.lower() in recipients
        return named and self.stage is stage and self.server is server


class Script(Protocol):
    """What a connection of one account follows."""

    async def take(
        self, server: Server, stage: Stage, recipients: Collection[str] = (), attempt: object = None
    ) -> ScriptStep | None:
        """The step that acts now; it is counted, on disk, once for each `attempt` (None: each call is one)."""

    def begins_anew(self) -> bool:
        """Whether a step waits for a new SMTP connection."""


class Scripts(Protocol):
    """The scripts of all accounts, by their ids."""

    def script_of(self, account: str) -> Script:
        """What the account's connections follow."""

    def forget(self, account: str) -> None:
        """Drop what is in memory about an account that was removed."""


class Steps:
    """The steps of one account, in order."""

    def __init__(self, steps: Iterable[ScriptStep] = ()) -> None:
        self._steps = list(steps)
        self._acting: dict[str, object] = {}
        """The attempt on which each step acted last."""

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def waiting(self) -> list[ScriptStep]:
        """Those that have not used up their times."""
        return [step for step in self._steps if step.times != 0]

    @property
    def begins_anew(self) -> bool:
        """Whether one waits for a new SMTP connection."""
        return any(step.server is Server.SMTP and step.stage in BEFORE_MAIL and step.times != 0 for step in self._steps)

    def add(self, steps: Iterable[ScriptStep]) -> None:
        """Add steps behind the others."""
        self._steps += steps

    def find(
        self, server: Server, stage: Stage, recipients: Collection[str], attempt: object
    ) -> tuple[ScriptStep, bool] | None:
        """The step that acts, and whether that counts; None: none acts."""
        for step in self._steps:
            if not step.is_for(server, stage, recipients):
                continue
            if attempt is not None and self._acting.get(step.id) is attempt:
                return step, False
            if step.times != 0:
                return step, True
        return None

    def count(self, step: ScriptStep, attempt: object) -> None:
        """Note that a step acts on an attempt."""
        self._acting[step.id] = attempt
        if step.times is not None:
            step.times -= 1

    def drop_used(self, attempt: object) -> None:
        """Forget steps that are used up, but for those that act on this attempt."""
        self._steps = [
            step
            for step in self._steps
            if step.times != 0 or (attempt is not None and self._acting.get(step.id) is attempt)
        ]
        left = {step.id for step in self._steps}
        self._acting = {name: acted for name, acted in self._acting.items() if name in left}
