"""Explains the reply of a mail server: what happened, whose fault it is, what to do. Pure.

The words of a provider decide first, then what the words of a reply tell in general, then its enhanced status code,
then its reply code: `known_answers.py` and `known_codes.py` have the meanings. A refused login that means something
other than it says is explained by `named_refusals.py`. A reply that none of them knows is explained as unknown. Only
failures are explained, when they are recorded or shown.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec

from engine.mail.bounce_categories import clear_category
from engine.smtp.known_answers import ANSWERS
from engine.smtp.known_codes import CATEGORIES, CODES, STATUSES
from engine.smtp.meanings import Answer, Fault, Meaning
from engine.smtp.named_refusals import Who, named

_LONGEST = 1024
"""Characters of a reply that are looked at."""
_CODES = re.compile(r"(?<!\S)[45]\d\d(?:[ \t-]+|$)(?:[45]\.\d{1,3}\.\d{1,3}(?=[\s:;]|$)[\s:;]*)?", re.ASCII)
_ADDRESS = re.compile(r"<[^<>\s]{0,320}>|[^\s<>@]{1,64}@[^\s<>@]{1,255}")
_STATUS = re.compile(r"(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?!\.?\d)", re.ASCII)
_CODE = re.compile(r"(?<![\d.])[45]\d\d(?![\d.])", re.ASCII)
_ABOUT_THE_RECIPIENT = re.compile(r"receive|receiving|inbound|mailbox|trying to (contact|reach)", re.IGNORECASE)
"""In a reply about a quota: it is not the sender's."""
_OF_THE_SENDER = frozenset({"1.7", "1.8", "7.27"})
"""Status codes with which "not found" concerns the sender."""
_CAPITAL = re.compile(r"(?<!\\)[A-Z]+")
"""Capital letters of a pattern that are no class such as `\\S`."""
_SAYS_NOTHING = "0.0"
_LOGIN_LATER, _LOGIN_REFUSED = CODES[454], CODES[535]


class Explanation(msgspec.Struct, frozen=True):
    """A reply in words. `known`: the reply itself is known, not only its class. `source`: a URL, None if unknown."""

    known: bool
    what: str
    fault: Fault
    todo: str
    source: str | None = None

    def members(self) -> dict[str, object]:
        """The explanation as part of an event or answer."""
        shown: dict[str, object] = {"known": self.known, "what": self.what, "fault": self.fault, "todo": self.todo}
        return shown if self.source is None else {**shown, "source": self.source}


_LATER = Explanation(
    False,
    "The engine does not know this reply. The server puts the message off.",
    "unknown",
    "Read the reply. As long as the message waits, the engine tries again by itself.",
)
_REFUSED = Explanation(
    False,
    "The engine does not know this reply. The server refuses the message for good.",
    "unknown",
    "Read the reply. If it does not say why, ask the postmaster of the server.",
)


def explanation(
    reply: str, *, code: int | None = None, status: str = "", server: str = "", login: bool = False
) -> Explanation:
    """Explain a reply of class 4 or 5, as received.

    `code` and `status` are those reported beside it, if they are. `server`: the name of the server that said it, if it
    is known. `login`: it answers a login.
    """
    if (meant := named(reply[:_LONGEST], Who(""))) is not None:
        return Explanation(True, meant.description, "sender", meant.hint, meant.source)
    status = _status(reply) or status
    code = code or _code(reply)
    later = status.startswith("4") if code is None else code < 500
    if (answer := known_answer(reply, status=status, server=server)) is not None:
        return _known(answer.meaning)
    if login:
        return _known(_LOGIN_LATER if later else _LOGIN_REFUSED)
    if (meaning := _in_general(reply, status, code)) is not None:
        return _known(meaning)
    return _LATER if later else _REFUSED


def known_answer(reply: str, *, status: str = "", server: str = "") -> Answer | None:
    """The first of `ANSWERS` that fits the reply; `status` counts if the reply itself has no enhanced code."""
    status = _status(reply) or status
    words = f"{_words(reply)} {server}".lower()
    for answer, pattern in _patterns():
        if answer.status and status not in answer.status and status[2:] not in answer.status:
            continue
        if pattern.search(words) and not (answer.quota and _ABOUT_THE_RECIPIENT.search(words)):
            return answer
    return None


def _in_general(reply: str, status: str, code: int | None) -> Meaning | None:
    subject = status[2:]
    if subject in _OF_THE_SENDER:
        return STATUSES[subject]
    category = clear_category(_ADDRESS.sub(" ", reply[:_LONGEST]))
    if category is not None and category in CATEGORIES:
        # The code says the same, or nothing, or more: "7.23" is more than "auth_failure".
        return STATUSES[subject] if subject in STATUSES and _agree(subject, category) else CATEGORIES[category]
    if subject and subject != _SAYS_NOTHING:
        return STATUSES.get(status) or STATUSES.get(subject)
    return None if code is None else CODES.get(code)


def _agree(subject: str, category: str) -> bool:
    return STATUSES[subject].fault == CATEGORIES[category].fault and not subject.endswith(".0")


def _known(meaning: Meaning) -> Explanation:
    return Explanation(True, meaning.what, meaning.fault, meaning.todo, meaning.source.url)


def _status(reply: str) -> str:
    """The enhanced status code of a reply; "" if it has none, or one that says nothing."""
    found = (each for each in _STATUS.findall(reply[:_LONGEST]) if not each.endswith("." + _SAYS_NOTHING))
    return next(found, "")


def _code(reply: str) -> int | None:
    found = _CODE.search(reply[:_LONGEST])
    return None if found is None else int(found[0])


def _words(reply: str) -> str:
    """A reply on one line, without its codes and without addresses, whose words are not the server's."""
    return " ".join(_ADDRESS.sub(" ", _CODES.sub(" ", reply[:_LONGEST])).split())


@cache
def _patterns() -> list[tuple[Answer, re.Pattern[str]]]:
    # Compiled at the first failure, so that they do not delay a start. In lower case, the search for most of them skips
    # to their first word, which it cannot if it ignores the case.
    return [(each, re.compile(_CAPITAL.sub(lambda found: found[0].lower(), each.words))) for each in ANSWERS]
