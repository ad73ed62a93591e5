"""The engine's errors as SMTP replies: 4xx for temporary ones, 5xx for lasting ones, with words that say what to do."""

from __future__ import annotations

from typing import Final

from engine.errors import EngineError, Problem, StorageFull

LONGEST: Final = 480
"""Maximum characters of a reply: its line has at most 512 octets (RFC 5321 section 4.5.3.1.5)."""

_CODES: Final = {
    400: "554 5.6.0",
    403: "550 5.7.1",
    404: "550 5.7.1",
    409: "554 5.5.0",
    413: "552 5.3.4",
    422: "554 5.6.0",
    429: "451 4.7.1",
    503: "451 4.3.0",
    507: "452 4.3.1",
}
_PREPARING: Final = {
    "SMTPUnavailable": "the account has no SMTP server: register it with one",
    "IdempotencyConflict": "another message was submitted with this idempotency key: use another key",
}


def reply_of(error: EngineError) -> str:
    """The reply to a message that failed with `error`."""
    if isinstance(error, Problem):
        code = _CODES.get(error.status, "451 4.3.0" if error.status >= 500 else "554 5.0.0")
        return one_line(f"{code} {_words(error)}")
    if isinstance(error, StorageFull):
        return "452 4.3.1 Insufficient system storage: the message is not queued; send it again later"
    return "451 4.3.0 The message cannot be stored at the moment and is not queued; send it again later"


def one_line(reply: str) -> str:
    """The reply as one line of ASCII, cut to `LONGEST`."""
    text = " ".join(reply.split()).encode("ascii", "replace").decode("ascii")
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."


def _words(problem: Problem) -> str:
    known = _PREPARING.get(str(problem.extra.get("code")))
    if known is not None:
        return known
    faults = problem.extra.get("fields") or ()
    text = "; ".join(str(each["message"]) for each in faults) or problem.message
    after = problem.headers.get("Retry-After")
    return f"{text}; send it again in {after} s" if after and problem.status == 503 else text
