"""Counts how mail fares, by account and by the domain of the recipients, so that a drop is seen.

1. Whatever decides on a recipient (an attempt, a bounce, a complaint, a reply) counts it in its own transaction, as one
   row of the hour (`store/delivery_figures.py`): exact, and kept over restarts.
2. After the commit the same numbers go to the counts for metrics, which begin at 0 with the process. Their labels are
   the first `MOST_LABELS` accounts and domains: the busiest of the last day at the start, then whichever come first;
   everything else is `other`. A name that has a label keeps it, so no counter ever falls.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from engine.counting import Histogram
from engine.mail.bounce_categories import bounce_type, category
from engine.model.message import NOT_SENT, Message, Recipient
from engine.model.message_states import State
from engine.store import delivery_figures
from engine.store.delivery_figures import DAY, HOUR, MOST_DOMAINS, OTHER, Counts
from engine.store.writer import Store, Tx
from engine.world import World

MOST_LABELS = 20
"""Accounts, and domains, that have labels of their own in metrics."""
OTHERS = "other"
BOUNDS = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds from due to accepted by which recipients are told apart; the last class has all above."""
DEFERRED, COMPLAINT, REPLY = "deferred", "complaint", "reply"
SENT, FAILED, BOUNCED = "sent/", "failed/", "bounced/"
"""Beginnings: of `sent/3` (the class of its time), `failed/hard/user_unknown`, `bounced/soft/mailbox_full`."""
NO_REPLY = "no_reply"
"""The category of what was given up without any server's word."""
CATEGORIZED = 100
"""Failed recipients of one judgement whose replies are read; the others count like the last of these."""
_LONGEST_DOMAIN = 253
_ENHANCED = re.compile(r"\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b", re.ASCII)
_NO_COMPLAINTS = frozenset({"not-spam", "opt-out", "opt-out-list"})
"""Feedback types (RFC 5965 section 7.3, RFC 6650) that are no complaint about the message."""


class LabelledCounts:
    """The counts of accounts, or of domains, for metrics: recipients by outcome, and the times to accept."""

    def __init__(self, known: Iterable[str]) -> None:
        self._labels = dict.fromkeys(list(known)[:MOST_LABELS])
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """By label and outcome: `sent`, `deferred`, `failed_hard`, `bounced_soft` …"""
        self.seconds: dict[str, Histogram] = {}

    def add(self, name: str, outcome: str, n: int, took: float) -> None:
        """Count `n` recipients; `took` is the time to accept, in seconds, of those that a server accepted."""
        label = self._label(name)
        kind, _, more = outcome.partition("/")
        if kind == "sent":
            self._histogram(label).note(took, n)
            self.outcomes[label, kind] += n
        else:
            self.outcomes[label, f"{kind}_{more.partition('/')[0]}" if more else kind] += n

    def _label(self, name: str) -> str:
        if not name:
            return OTHERS
        if name not in self._labels:
            if len(self._labels) >= MOST_LABELS:
                return OTHERS
            self._labels[name] = None
        return name

    def _histogram(self, label: str) -> Histogram:
        if label not in self.seconds:
            self.seconds[label] = Histogram(BOUNDS)
        return self.seconds[label]


class DeliveryCounts:
    """The counts of one journal. Each method counts in the transaction of what it counts."""

    def __init__(self, store: Store, world: World) -> None:
        self._world = world
        self._hour = 0
        self._domains: dict[str, set[str]] = {}
        """The domains that each account has in this hour."""
        since = int(world.now() - DAY) // HOUR
        self.accounts = LabelledCounts(delivery_figures.busiest(store.reader, since, "account", MOST_LABELS))
        self.domains = LabelledCounts(delivery_figures.busiest(store.reader, since, "domain", MOST_LABELS))

    def judged(self, tx: Tx, message: Message, recipients: Sequence[Recipient], *, of_attempt: bool) -> None:
        """Count what was decided on recipients, whose states are the new ones. `of_attempt`: a server was asked."""
        took = max(0.0, self._world.now() - max(message.created, message.send_at))
        sent = f"{SENT}{bisect_left(BOUNDS, took)}"
        if len(recipients) == 1 and recipients[0].state is State.SENT:
            self._add(tx, message.account, {(domain_of(recipients[0].address), sent): 1}, took)
            return
        counts: Counter[tuple[str, str]] = Counter()
        failed, why = 0, ""
        for each in recipients:
            if each.state is State.SENT:
                counts[domain_of(each.address), sent] += 1
            elif each.state is State.FAILED and not (each.response or "").startswith(NOT_SENT):
                failed += 1
                why = _why(each) if failed <= CATEGORIZED else why
                counts[domain_of(each.address), FAILED + why] += 1
            elif each.state is State.DEFERRED and of_attempt:
                counts[domain_of(each.address), DEFERRED] += 1
        if counts:
            self._add(tx, message.account, counts, took)

    def bounced(self, tx: Tx, account: str, address: str, kind: str, word: str) -> None:
        """Count a bounce of a message that this engine sent; `kind` is `hard` or `soft`, `word` its category."""
        self._add(tx, account, {(domain_of(address), f"{BOUNCED}{kind}/{word}"): 1})

    def complained(self, tx: Tx, account: str, address: str, feedback: str) -> None:
        """Count a complaint about a message that this engine sent."""
        if feedback.lower() not in _NO_COMPLAINTS:
            self._add(tx, account, {(domain_of(address), COMPLAINT): 1})

    def replied(self, tx: Tx, account: str, address: str) -> None:
        """Count a reply to a message that was sent to this address."""
        self._add(tx, account, {(domain_of(address), REPLY): 1})

    def _add(self, tx: Tx, account: str, counts: Counts, took: float = 0.0) -> None:
        hour = int(self._world.now()) // HOUR
        if hour != self._hour:
            self._hour, self._domains = hour, {}
        known = self._domains.get(account)
        if known is None:
            known = self._domains[account] = delivery_figures.domains(tx, hour, account)
        for domain, _ in counts:
            if domain not in known and len(known) >= MOST_DOMAINS:
                counts = _folded(counts, known)
                break
            known.add(domain)
        delivery_figures.add(tx, hour, account, counts)
        tx.after_commit(partial(self._committed, account, counts, took))

    def _committed(self, account: str, counts: Counts, took: float) -> None:
        for (domain, outcome), n in counts.items():
            self.accounts.add(account, outcome, n, took)
            self.domains.add(domain, outcome, n, took)


def domain_of(address: str) -> str:
    """The domain of an address in lower case; `OTHER` if there is none."""
    _, at, domain = address.rpartition("@")
    return domain.lower()[:_LONGEST_DOMAIN] if at else OTHER


def _why(recipient: Recipient) -> str:
    if recipient.code is None:
        return f"soft/{NO_REPLY}"
    said = recipient.response or str(recipient.code)
    found = _ENHANCED.match(said)
    status = found[1] if found is not None else ""
    word = category(status, said)
    return f"{bounce_type(word, status, said)}/{word}"


def _folded(counts: Counts, known: set[str]) -> Counts:
    found: Counter[tuple[str, str]] = Counter()
    for (domain, outcome), n in counts.items():
        if domain not in known and len(known) < MOST_DOMAINS:
            known.add(domain)
        found[domain if domain in known else OTHER, outcome] += n
    return found
