"""Refuses submissions of an account that cannot send, or cannot send yet."""

from __future__ import annotations

from engine.accounts.account import Account
from engine.accounts.not_ready import REFUSALS
from engine.errors import Problem


def refuse_unless_ready(account: Account) -> None:
    """Raise `Problem` 404 if the account cannot send at all, 503 before its first sync."""
    if not account.has_smtp:
        raise Problem(404, "SMTP configuration was not found for requested ID", code="SMTPUnavailable")
    if not account.status.initialized:
        state = account.status.state
        refusal = REFUSALS[state]
        headers = {"Retry-After": str(refusal.retry_after)}
        raise Problem(503, refusal.message, headers=headers, state=state, code=refusal.code)
