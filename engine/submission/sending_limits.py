"""Refuses what the limits of an account's provider never let it send."""

from __future__ import annotations

from engine.accounts.account import Account
from engine.field_errors import invalid


def refuse_too_many(account: Account, recipients: int) -> None:
    """Refuse a message with more recipients than `smtp.limits` ever allow. Raises `Problem` 400 that names `to`."""
    given, quota = account.limits, account.quota
    if given is None or quota.limits is None:
        return
    most = quota.limits.recipients_per_message
    if given.too_many_recipients == "refuse" and most is not None and recipients > most:
        raise _refused(recipients, "recipientsPerMessage", most)
    if (limit := quota.never_fits(quota.cost(recipients))) is not None:
        raise _refused(recipients, limit.name, limit.most)


def _refused(recipients: int, name: str, most: int) -> Exception:
    text = f"names {recipients} recipients in all, which smtp.limits.{name} ({most}) of the account never allows"
    return invalid("to", text, code="TooManyRecipients")
