"""The reckoning: what was promised against what arrived, what is said to be still on its way, and what was said. Pure.

`reckon` takes the submitters' acknowledgements, the sink's record, every event of the journal and what the outbox shows
as open. A message is accounted for when it was delivered, is still in the outbox, or ended with an event that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ENDS = ("messageSent", "messageFailed", "messageCancelled")


@dataclass
class Findings:
    """What the run came to. A list names Message-IDs, or keys where it says so."""

    acknowledged: int = 0
    repeated: int = 0
    delivered: int = 0
    waiting: int = 0
    ended: int = 0
    in_doubt: int = 0
    cancelled: int = 0
    duplicated: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    """Delivered twice without ever having been said to be in doubt."""
    held_twice: list[str] = field(default_factory=list)
    """Delivered twice although its sender asked to hold it when in doubt."""
    made_twice: list[str] = field(default_factory=list)
    """Keys that made more than one message."""
    sent_twice: list[str] = field(default_factory=list)
    """Said to be sent more than once."""
    untrue: list[str] = field(default_factory=list)
    """Said to be sent and never arrived."""
    torn: list[str] = field(default_factory=list)
    """Arrived without their end."""
    deleted_came: list[str] = field(default_factory=list)
    """Cancelled with `deleted: true`, and delivered."""
    gaps: list[int] = field(default_factory=list)
    """Numbers of events that are missing or out of order."""

    FAULTS = ("lost", "unnamed", "held_twice", "made_twice", "sent_twice", "untrue", "torn", "deleted_came", "gaps")

    @property
    def faults(self) -> dict[str, list[Any]]:
        """What must never happen, and did."""
        return {name: found for name in self.FAULTS if (found := getattr(self, name))}

    def table(self) -> str:
        """All of it, one line each."""
        rows = [
            ("acknowledged", self.acknowledged),
            ("  of them after a repetition", self.repeated),
            ("delivered", self.delivered),
            ("still in the outbox", self.waiting),
            ("ended without a delivery, said so", self.ended),
            ("said to be in doubt", self.in_doubt),
            ("lost", len(self.lost)),
            ("duplicated", len(self.duplicated)),
            ("  not said to be in doubt", len(self.unnamed)),
            ("  held when in doubt", len(self.held_twice)),
            ("keys that made two messages", len(self.made_twice)),
            ("said to be sent twice", len(self.sent_twice)),
            ("said to be sent, not at the server", len(self.untrue)),
            ("arrived without their end", len(self.torn)),
            ('cancelled with "deleted": true', self.cancelled),
            ("  and delivered all the same", len(self.deleted_came)),
            ("events", "gapless" if not self.gaps else f"{len(self.gaps)} gaps"),
        ]
        return "\n".join(f"{name:40} {value:>8}" for name, value in rows)


def reckon(
    acknowledged: Sequence[Mapping[str, Any]],
    arrived: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    waiting: Iterable[str],
    *,
    keys: bool,
    cancelled: Sequence[Mapping[str, Any]] = (),
) -> Findings:
    """Hold them against each other.

    `waiting` are queue ids; `keys`: requests carried Idempotency-Keys; `cancelled`: the answers to cancellations.
    """
    found = Findings(acknowledged=len(acknowledged), repeated=sum(each["repeats"] > 0 for each in acknowledged))
    kept = Counter(each["messageId"] for each in arrived if each["kept"])
    told = [(each["event"], each["data"].get("messageId"), each["data"]) for each in events]
    doubtful = {name for event, name, data in told if event == "messageInDoubt" or data.get("inDoubt")}
    sent = Counter(name for event, name, _ in told if event == "messageSent")
    ends = {name for event, name, _ in told if event in ENDS}
    still = set(waiting)
    held = {each["messageId"] for each in acknowledged if each["hold"]}
    for each in acknowledged:
        name = each["messageId"]
        if kept[name]:
            found.delivered += 1
        elif each["queueId"] in still:
            found.waiting += 1
        elif name in ends and not sent[name]:
            found.ended += 1
        else:
            found.lost.append(name)
    found.in_doubt = len(doubtful)
    deleted = {each["messageId"] for each in cancelled if each["deleted"]}
    found.cancelled = len(deleted)
    found.deleted_came = [name for name in deleted if kept[name]]
    found.duplicated = [name for name, count in kept.items() if count > 1]
    found.unnamed = [name for name in found.duplicated if name not in doubtful]
    found.held_twice = [name for name in found.duplicated if name in held]
    found.sent_twice = [name for name, count in sent.items() if count > 1]
    found.untrue = [name for name in sent if not kept[name]]
    found.torn = [each["messageId"] for each in arrived if not each["whole"]]
    found.gaps = [number for number, each in enumerate(events, 1) if each["seq"] != number]
    if keys:
        made: dict[str, set[str]] = {}
        for each in (*acknowledged, *arrived):
            made.setdefault(each["key"], set()).add(each["messageId"])
        found.made_twice = [key for key, names in made.items() if len(names) > 1]
    return found


def unsettled(
    acknowledged: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]], held: Iterable[str]
) -> set[str]:
    """Message-IDs that have neither ended nor are held in doubt; `held` are queue ids."""
    ends = {each["data"].get("messageId") for each in events if each["event"] in ENDS}
    still = set(held)
    return {each["messageId"] for each in acknowledged if each["queueId"] not in still} - ends
