"""Leaves out of an attempt those who were suppressed while their message waited."""

from __future__ import annotations

from collections.abc import Sequence

from engine.model.message import Message
from engine.store import suppressions
from engine.store.writer import Tx


def suppressed_since(tx: Tx, message: Message, tried: Sequence[str], now: float) -> dict[str, str]:
    """Those of `tried` to whom the message is not sent, each with the reason; with `ifSuppressed: fail` all or none."""
    if message.if_suppressed == "send":
        return {}
    found = suppressions.of_recipients(tx, message.account, tried, now)
    reasons = {address: f"suppressed ({entry.reason})" for address, entry in found.items()}
    if found and message.if_suppressed == "fail":
        other = f"{next(iter(found))} is suppressed, and ifSuppressed is fail"
        return {address: reasons.get(address, other) for address in tried}
    return reasons
