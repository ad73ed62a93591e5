"""What the callers know: what they handed in, what was answered, what they took back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Intent:
    """One message a caller wants to have sent. Its subject is its own, so it can be found whatever was answered."""

    subject: str
    account: str
    registration: int
    body: dict[str, Any]
    key: str | None
    queue_id: str | None = None
    """From the answer; None while none was read."""
    tries: int = 0
    refused: bool = False


@dataclass
class Ledger:
    """Everything acknowledged."""

    intents: list[Intent] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    """What was taken back (`deleted: true`), by queueId."""

    def acknowledged(self) -> list[Intent]:
        return [each for each in self.intents if each.queue_id is not None]

    def unanswered(self) -> list[Intent]:
        """Those worth repeating: handed in with a key, and no answer was read."""
        return [each for each in self.intents if each.key and each.tries and not each.queue_id and not each.refused]
