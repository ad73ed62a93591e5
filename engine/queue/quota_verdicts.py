"""What a quota makes of an attempt: verdicts that are about it, and the refusal of what never fits."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from engine.queue.quota import SendingQuota
from engine.smtp.quota_answers import closes_for
from engine.smtp.verdict import Kind, Stage, Verdict


def closing(overall: Verdict, verdicts: Mapping[str, Verdict]) -> dict[str, float]:
    """The recipients whose reply says that the sender's quota is used up, and for how many seconds."""
    if overall.kind is Kind.ACCEPTED and len(verdicts) == 1:
        return {}
    return {each: seconds for each, verdict in verdicts.items() if (seconds := closes_for(verdict)) is not None}


def postponed(
    verdicts: Mapping[str, Verdict], overall: Verdict, closed: Mapping[str, float], first: str
) -> tuple[dict[str, Verdict], Verdict]:
    """The verdicts with those of the recipients in `closed` as "later", and the one of the attempt as a whole.

    `first` is the recipient in `closed` whose verdict stands for the attempt if nobody was accepted.
    """
    after = {each: replace(said, kind=Kind.LATER) if each in closed else said for each, said in verdicts.items()}
    return after, overall if overall.kind in (Kind.ACCEPTED, Kind.DOUBT) else after[first]


def never_fits(quota: SendingQuota, recipients: int) -> Verdict | None:
    """The refusal of a message that alone exceeds a limit of its account, which was set after it was accepted."""
    limit = quota.never_fits(quota.cost(recipients))
    if limit is None:
        return None
    text = f"It can never be sent to {recipients} recipients within smtp.limits.{limit.name} ({limit.most})"
    return Verdict(Kind.REJECTED, Stage.MAIL, None, None, text)
