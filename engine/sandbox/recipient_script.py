"""What a recipient's address makes the sandbox do: `defer2+anything@sandbox.example` is deferred twice.

Pure. One table contains every word, and `describe` generates the documentation from it. An address has the form
`word[N]+anything`; a local part that matches no row is a plain address that accepts its mail. N is a number of attempts
(omitted: all), or of seconds in the rows that wait; it means nothing in the rows whose recipients answer.

At RCPT and DATA the message is not known yet, so attempts are counted per sender and recipient, and the count restarts
once a message was accepted. After the dot they are counted per recipient and Message-ID. Memory is bounded: beyond
`REMEMBERED` keys the oldest counts are dropped.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

REMEMBERED: Final = 10_000
MAX_NUMBER: Final = 999_999


class ScriptStage(StrEnum):
    """When a row acts."""

    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"
    KEPT = "kept"
    """Once the message was accepted."""


class Act(StrEnum):
    """What a row does, and whether the message is stored."""

    REPLY = "reply"
    """Answer with the row's reply; not kept."""
    REPLY_AND_CLOSE = "reply_and_close"
    """Answer with the row's reply and close; not kept."""
    UNTIL = "until"
    """Answer with the row's reply until N seconds have passed since the first attempt; not kept."""
    WAIT = "wait"
    """Accept, but answer only after N seconds; kept at once."""
    CUT = "cut"
    """Close without a reply; not kept."""
    KEEP_AND_CUT = "keep_and_cut"
    """Close without a reply; kept."""
    HANG = "hang"
    """Never answer; not kept."""
    MAIL = "mail"
    """Accept; then a message arrives in the sender's mailbox."""


class Row(msgspec.Struct, frozen=True):
    """One line of the script. In `reply`, `{recipient}` stands for the address."""

    word: str
    stage: ScriptStage
    act: Act
    meaning: str
    reply: str = ""
    mail: str = ""
    """What arrives then (`answering_mail.AnswerKind`)."""

    @property
    def counts_attempts(self) -> bool:
        """Whether the number means attempts rather than seconds."""
        return self.act not in (Act.WAIT, Act.UNTIL, Act.MAIL)


class ScriptedOutcome(msgspec.Struct, frozen=True):
    """A row and the number in the address; `number` is None if the address has none."""

    row: Row
    number: int | None


ROWS: Final = (
    Row(
        "defer",
        ScriptStage.RCPT,
        Act.REPLY,
        "this recipient is put off with 451 at RCPT; the others of the message get through",
        "451 4.3.0 Temporary failure, try again later",
    ),
    Row(
        "deferdata",
        ScriptStage.DOT,
        Act.REPLY,
        "the whole message is put off with 451 after the dot",
        "451 4.3.0 Temporary failure, try again later",
    ),
    Row(
        "reject",
        ScriptStage.RCPT,
        Act.REPLY,
        "this recipient is refused with 550 at RCPT",
        "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown",
    ),
    Row(
        "rejectdata",
        ScriptStage.DOT,
        Act.REPLY,
        "the whole message is refused with 554 after the dot",
        "554 5.7.1 Message rejected",
    ),
    Row(
        "full",
        ScriptStage.RCPT,
        Act.REPLY,
        "this recipient is put off with 452 at RCPT: the mailbox is full",
        "452 4.2.2 <{recipient}>: Recipient address rejected: Mailbox full",
    ),
    Row(
        "busy",
        ScriptStage.RCPT,
        Act.REPLY_AND_CLOSE,
        "the server answers 421 at RCPT and closes the connection",
        "421 4.3.2 Service not available, closing transmission channel",
    ),
    Row(
        "greylist",
        ScriptStage.RCPT,
        Act.UNTIL,
        "this recipient is put off with 450 until N seconds (60 if left out) have passed since the first attempt",
        "450 4.2.0 <{recipient}>: Recipient address rejected: Greylisted",
    ),
    Row(
        "slow", ScriptStage.DOT, Act.WAIT, "the message is kept, and the dot answered N seconds later (60 if left out)"
    ),
    Row("hang", ScriptStage.DOT, Act.HANG, "the dot is never answered and the message not kept"),
    Row("cut-at-data", ScriptStage.DATA, Act.CUT, "the connection is closed at DATA"),
    Row("cut-before-keep", ScriptStage.DOT, Act.CUT, "the connection is closed after the dot and the message not kept"),
    Row(
        "cut-after-dot",
        ScriptStage.DOT,
        Act.KEEP_AND_CUT,
        "the message is kept, then the connection closed without a reply",
    ),
    Row("reply", ScriptStage.KEPT, Act.MAIL, "this recipient answers: a reply arrives in your INBOX", mail="reply"),
    Row(
        "away", ScriptStage.KEPT, Act.MAIL, "this recipient is away: an out-of-office reply arrives", mail="outOfOffice"
    ),
    Row("bounce", ScriptStage.KEPT, Act.MAIL, "the message is accepted, then a hard bounce arrives", mail="bounce"),
    Row(
        "soft-bounce",
        ScriptStage.KEPT,
        Act.MAIL,
        "the message is accepted, then a soft bounce arrives",
        mail="softBounce",
    ),
    Row(
        "complain",
        ScriptStage.KEPT,
        Act.MAIL,
        "this recipient complains: a feedback report (ARF) arrives",
        mail="complaint",
    ),
)
DEFAULT_SECONDS: Final = 60

_BY_WORD = {row.word: row for row in ROWS}
_ADDRESS = re.compile(r"([a-z]+(?:-[a-z]+)*)([0-9]{1,6})?\+")


def read(recipient: str) -> ScriptedOutcome | None:
    """The script for a recipient's address (or local part); None for a plain address."""
    match = _ADDRESS.match(recipient.lower())
    row = _BY_WORD.get(match[1]) if match else None
    if match is None or row is None:
        return None
    return ScriptedOutcome(row, int(match[2]) if match[2] else None)


def describe() -> list[tuple[str, str]]:
    """Every pattern and what it does, in the order of the table."""
    return [(f"{row.word}{_number(row)}+anything@", row.meaning + _number_means(row)) for row in ROWS]


def _number(row: Row) -> str:
    return "" if row.act is Act.MAIL else "[N]"


def _number_means(row: Row) -> str:
    return ", for the first N attempts (every time if left out)" if row.counts_attempts else ""


class Played:
    """What the script has done so far. `now` is in seconds of any monotonic clock."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._attempts: dict[tuple[str, str], int] = {}
        self._first: dict[tuple[str, str], float] = {}

    def acts(self, outcome: ScriptedOutcome, recipient: str, whose: str, now: float) -> bool:
        """Count one attempt and return whether the row acts on it.

        `whose` is the sender, or the Message-ID after the dot.
        """
        key = (recipient, whose)
        if outcome.row.act is Act.WAIT:
            return True
        if outcome.row.act is Act.UNTIL:
            first = self._first.setdefault(key, now)
            self._trim(self._first)
            return now - first < seconds(outcome)
        if outcome.number is None:
            return True
        attempts = self._attempts.pop(key, 0) + 1
        self._attempts[key] = attempts
        self._trim(self._attempts)
        return attempts <= outcome.number

    def kept(self, recipient: str, sender: str) -> None:
        """Note that a message was accepted: for the next one from `sender` to `recipient` the script starts over."""
        self._attempts.pop((recipient, sender), None)

    def _trim(self, memory: dict[tuple[str, str], int] | dict[tuple[str, str], float]) -> None:
        while len(memory) > self._remembered:
            memory.pop(next(iter(memory)))


def seconds(outcome: ScriptedOutcome) -> int:
    """The number of seconds that a waiting row waits."""
    return DEFAULT_SECONDS if outcome.number is None else outcome.number
