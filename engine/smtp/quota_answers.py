"""For how long an account is closed by an answer that it has used up what the provider lets it send. Pure.

Such an answer concerns every message of the account, and is no verdict on the one at hand, whatever its code says. A
recipient that gets too much mail, or whose mailbox is full, is something else. `known_answers.py` says which they are.
"""

from __future__ import annotations

import re

from engine.smtp.explanation import known_answer
from engine.smtp.verdict import BEFORE_ANY_MESSAGE, Kind, Verdict

UNLESS_IT_SAYS = 86_400.0
"""Seconds for which an account is closed if the answer does not say for how long."""
SHORTEST, LONGEST = 60.0, 7 * 86_400.0
"""Seconds: what an answer says counts within these bounds."""
HOUR = 3600.0

_AGAIN_IN = re.compile(
    r"\b(?:try|retry|again|wait|resume)\b[^.]{0,40}?\b(?:in|after|for)\s+(\d{1,7})\s*(s|sec|m|min|h|d)[a-z]*\b",
    re.IGNORECASE,
)
_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": HOUR, "d": 86_400.0}
_PER_HOUR = re.compile(r"\bhour", re.IGNORECASE)


def closes_for(verdict: Verdict) -> float | None:
    """For how many seconds the answer closes the account; None: it does not speak of the sender's quota."""
    if verdict.kind not in (Kind.LATER, Kind.REJECTED) or verdict.code is None or verdict.stage in BEFORE_ANY_MESSAGE:
        return None
    answer = known_answer(verdict.text)
    if answer is None or not answer.quota:
        return None
    if (said := _AGAIN_IN.search(verdict.text)) is not None:
        return min(max(int(said[1]) * _UNITS[said[2].lower()], SHORTEST), LONGEST)
    return HOUR if _PER_HOUR.search(verdict.text) else UNLESS_IT_SAYS
