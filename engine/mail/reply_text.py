"""What the author of a reply wrote: its text without quotes, signature and what mail programs add. Pure.

Nobody marks these parts reliably, so they are recognized by how mail programs write them (`reply_words`):

1. Lines that begin with `>` are quoted, and so is the line above them that names their author and date.
2. After such a line without quoted text, a separator ("Original Message") or a block of header fields, all is quoted.
3. What remains between the quotes is the reply, each piece without the signature at its end: after `-- `, a line that a
   telephone adds, or a closing and the few short lines after it.

It reads at most `LONGEST` characters in `LINES` lines, each in a time that does not depend on the others, and never
raises. Text that is nothing but a closing stays.
"""

from __future__ import annotations

import re

from engine.mail.reply_words import (
    AUTHOR,
    BEFORE_A_NAME,
    CLOSING,
    CLOSING_ENDS,
    DEVICE,
    FORWARDED,
    OPENING,
    ORIGINAL,
    SUBJECT,
    THANKS,
    TO,
    WHEN,
    WROTE,
)

LONGEST = 65_536
LINES = 4000

_LONGEST_LINE = 400
"""Characters above which a line is the author's own: no mail program writes such a line."""
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_BLANKS = re.compile(r"[ \t\xa0\u2000-\u200a\u202f\u3000]+")
_QUOTED = re.compile(r" {0,3}[>\uff1e]")
_WRAPPED_FROM = 66
"""Characters of a quoted line after which a mail program may have wrapped it."""
_DATED = re.compile(r"\d{4}|\d{1,2}[:.h]\d\d|\d{1,2}[./-]\d{1,2}")
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")
_NAMED = re.compile(r"<[^\s<>@]{1,64}@[^\s<>@]{1,255}>\)? ?[:\uff1a]$")
"""An author without a word for "wrote"."""
_BY = re.compile(r"<[^\s<>@]{1,64}@[^\s<>@]{1,255}>\)?(?: ?[^\s:]{1,16}){1,3} ?[:\uff1a]$")
"""An author with one, but perhaps no date."""
_WROTE = re.compile(
    "|".join(
        rf"(?<!\w){re.escape(words)}(?!\w)" if words[0].isascii() or words[0] < "\u0590" else re.escape(words)
        for words in sorted(WROTE, key=len, reverse=True)
    )
)
_OPENING = re.compile(
    r"(?:" + "|".join(map(re.escape, sorted(OPENING, key=len, reverse=True))) + r")\b|\W?\d|\w{1,12}[.,]{0,2} \d"
)
_TIME = re.compile(r"(?:\w{1,6}[.,]? )?\d{1,2}[:.h]\d\d\b(?![./-]\d)")
_GOES_ON = re.compile(r"\b(?:wrote|writes)\b(?! ?[:\uff1a])", re.IGNORECASE)
"""English has its word for "wrote" at the end: with more behind it, the author of the reply speaks."""
_BETWEEN_RULES = re.compile(r"-{2,} ?([^-\s].{0,300}?) ?-{2,}")
"""A mail program that draws rules on both sides of the line above a quote."""
_RUN_ON = re.compile(r"(.{10,300}?[>)] ?[^\s:]{1,20} ?:)\s{2,}\S")
"""A mail program without line breaks between the line above the quote and the quote."""
_WRAPPED = 3
"""Further lines over which a mail program may wrap the line above a quote."""
_FIELD = re.compile(r"\W{0,4}([^\W\d_][^:\uff1a*<>@\"]{0,24}?) {0,2}\*{0,2} ?[:\uff1a]\*{0,2}(.{0,400})")
_BLOCK = 8
"""Lines in which the fields above an original are found."""
_FIELDS = 3
"""Different ones of them that are enough."""
_NAMES_OF_FIELDS = (("author", AUTHOR), ("when", WHEN), ("to", TO), ("subject", SUBJECT))
_RULE = re.compile(r"[-_=*\u2014\u2500\u2501]{3,}")
_SEPARATED = re.compile(r"[-_=*\s>]{2,100}([^-_=*\s].{0,80}?)[-_=*:\s]{0,100}")
_SIGNATURE = re.compile(r"(?:--|\u2014|__) ?")
_DEVICE_LINE = 160
_CLOSING_LINE = 60
_NAMES = 9
"""Lines at most that are a signature after a closing, and characters of each."""
_NAME_LINE = 90
_WORDS_OF_NAME = 3
_PUNCTUATION = " ,.!;\u3001\u3002\uff0c\uff01~\u2013\u2014-*_"


def reply_text(text: str) -> str:
    """The text of a reply with LF between lines; "" if it is all quoted."""
    lines = [_tidy(line) for line in text[:LONGEST].splitlines()[:LINES]]
    pieces = [_without_signature(piece) for piece in _written(lines)]
    return "\n\n".join("\n".join(piece) for piece in pieces if piece)


def _tidy(line: str) -> str:
    return line.rstrip() if line.isascii() else _INVISIBLE.sub("", line).replace("\xa0", " ").rstrip()


def _written(lines: list[str]) -> list[list[str]]:
    """The pieces of a text between its quotes."""
    introductions = _introductions(lines)
    pieces: list[list[str]] = [[]]
    at = 0
    signature = False
    while at < len(lines):
        line = lines[at]
        if _QUOTED.match(line) or _is_wrapped_quote(lines, at):
            signature = False
            if pieces[-1]:
                pieces.append([])
        elif (end := introductions.get(at)) is not None:
            follows = next((each for each in lines[end + 1 :] if each), "")
            if not _QUOTED.match(follows):
                break
            at = end
        elif _original_follows(lines, at):
            break
        elif _SIGNATURE.fullmatch(line.strip()):
            signature = True
        elif not signature:
            pieces[-1].append(line)
        at += 1
    return pieces


def _is_wrapped_quote(lines: list[str], at: int) -> bool:
    """Whether a line is the rest of the quoted line above, which a mail program has wrapped."""
    if not 0 < at < len(lines) - 1 or not lines[at][:1].islower():
        return False
    above = lines[at - 1]
    return bool(
        len(above) >= _WRAPPED_FROM
        and (above[-1].isalnum() or above[-1] == ",")
        and _QUOTED.match(above)
        and _QUOTED.match(lines[at + 1])
    )


def _introductions(lines: list[str]) -> dict[int, int]:
    """The lines that name the author and the date of a quote: first line and last line."""
    found: dict[int, int] = {}
    for end, line in enumerate(lines):
        if (run_on := _RUN_ON.match(line)) and _introduction([run_on[1].strip()], 0, quoted=False) == 0:
            found[end] = len(lines)
            continue
        if (ruled := _BETWEEN_RULES.fullmatch(line)) and _introduction([f"{ruled[1]}:"], 0, quoted=False) == 0:
            found[end] = len(lines)
            continue
        if not line.endswith((":", "\uff1a")) or len(line) > _LONGEST_LINE or _QUOTED.match(line):
            continue
        quoted = next((each for each in lines[end + 1 : end + 4] if each), "")
        if (start := _introduction(lines, end, quoted=_QUOTED.match(quoted) is not None)) is not None:
            found[start] = end
    return found


def _introduction(lines: list[str], end: int, *, quoted: bool) -> int | None:
    """The first line of what ends in this line and names the author of a quote; None if it does not."""
    undated = None
    for start in range(end, max(end - _WRAPPED, 0) - 1, -1):
        if start < end and not _may_be_wrapped(lines[start]):
            break
        whole = " ".join(lines[start : end + 1])
        dated = _DATED.search(whole) is not None
        addressed = "@" in whole and _ADDRESS.search(whole) is not None
        wrote = _says_wrote(whole.casefold())
        # Above a quote, a date and an address are enough: nobody knows the words of all languages.
        known = dated and addressed and (quoted or _NAMED.search(whole))
        if known or (wrote and ((quoted and (dated or addressed)) or (dated and not _GOES_ON.search(whole)))):
            if dated and (undated is None or _begins(lines[start])):
                return _with_date_above(lines, start, end)
            undated = start if undated is None else undated
        elif wrote and (_BY.search(whole) or (quoted and start == end and len(whole) < _CLOSING_LINE)):
            undated = start if undated is None else undated
    return undated


def _with_date_above(lines: list[str], start: int, end: int) -> int:
    """Where what begins in this line really begins, if a mail program wrapped it within the date."""
    while start > max(end - _WRAPPED, 0) and (not _begins(lines[start]) or _TIME.match(lines[start].strip())):
        above = lines[start - 1]
        if not _may_be_wrapped(above) or not re.search(r"\d", above) or not (_begins(above) or _ADDRESS.search(above)):
            break
        start -= 1
    return start


def _begins(line: str) -> bool:
    return _OPENING.match(line.strip().casefold()) is not None


def _may_be_wrapped(line: str) -> bool:
    return bool(line) and len(line) <= _LONGEST_LINE and _QUOTED.match(line) is None


def _says_wrote(folded: str) -> bool:
    # The search for whole words is slow, and mostly not needed.
    return any(words in folded for words in WROTE) and _WROTE.search(folded) is not None


def _original_follows(lines: list[str], at: int) -> bool:
    """Whether everything from this line on is the message that is answered."""
    line = lines[at]
    if not line or len(line) > _LONGEST_LINE:
        return False
    bare = line.strip().casefold()
    if (match := _SEPARATED.fullmatch(bare)) and match[1].strip() in ORIGINAL:
        return True
    if bare.rstrip(" :\uff1a") in FORWARDED and bare.endswith((":", "\uff1a")):
        return True
    return _field(line) is not None and _is_block(lines[at : at + _BLOCK])


def _is_block(lines: list[str]) -> bool:
    found = {_field(line) for line in lines} - {None}
    return "author" in found and len(found) >= _FIELDS


def _field(line: str) -> str | None:
    """Which field of a header a line shows, if any, in any language."""
    if len(line) > _LONGEST_LINE or (match := _FIELD.match(line)) is None:
        return None
    name = _BLANKS.sub(" ", match[1]).strip(" *").casefold()
    return next((kind for kind, names in _NAMES_OF_FIELDS if name in names), None)


def _without_signature(piece: list[str]) -> list[str]:
    lines = _trimmed(piece)
    while lines and _is_added(lines[-1]):
        lines = _trimmed(lines[:-1])
    at = _closing(lines)
    return lines if at is None else _trimmed(lines[:at])


def _is_added(line: str) -> bool:
    """Whether a telephone or a mail program wrote this line at the end."""
    bare = line.strip(" *_[]<>").casefold()
    return len(bare) <= _DEVICE_LINE and bare.startswith(DEVICE)


def _closing(lines: list[str]) -> int | None:
    """Where a closing with a signature begins; None if there is none, or nothing before it."""
    for at in range(len(lines) - 1, 0, -1):
        line = lines[at]
        if len(line) > _NAME_LINE or len(lines) - at > 2 * _NAMES:
            return None
        if len(line) <= _CLOSING_LINE and any(lines[:at]):
            said = line.strip(_PUNCTUATION).casefold()
            after = sum(map(bool, lines[at + 1 :]))
            closes = said in CLOSING or said.endswith(CLOSING_ENDS) or (said in THANKS and after > 0)
            if after <= _NAMES and (closes or (after == 0 and _has_name(line))):
                return at
    return None


def _has_name(line: str) -> bool:
    """Whether a line is a closing and a name."""
    words = line.strip(_PUNCTUATION).split()
    for first in range(1, len(words)):
        name = words[first:]
        closing = " ".join(words[:first]).strip(_PUNCTUATION).casefold()
        if len(name) <= _WORDS_OF_NAME and closing in BEFORE_A_NAME and all(each[0].isupper() for each in name):
            return True
    return False


def _trimmed(lines: list[str]) -> list[str]:
    """The lines without empty ones and rules at both ends."""
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and (not lines[end - 1].strip() or _RULE.fullmatch(lines[end - 1].strip())):
        end -= 1
    return lines[start:end]
