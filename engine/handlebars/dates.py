"""`formatDate`: a moment written by a pattern such as `YYYY-MM-DD HH:mm`, in English, in UTC or at an offset.

The patterns are those of Moment.js, which EmailEngine takes. Weeks are those of ISO 8601 (`W`, `G`) or of the United
States (`w`, `g`, `e`): from Sunday, the first holds 1 January.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from engine.handlebars.values import Value, number_of

INVALID: Final = "Invalid date"
_LONGEST_PATTERN = 1_000
_TOKEN = re.compile(
    r"\[([^\[\]]*)\]|Y{4}|YY|Mo|M{1,4}|DDDo|Do|D{1,4}|do|d{1,4}|Qo|Q|[Ww]o|[Ww]{1,2}|[Gg]{4}|[Gg]{2}|E|e|H{1,2}|h{1,2}|k{1,2}|m{1,2}|s{1,2}|S{1,3}|A|a|ZZ?|X|x"
    r"|LTS|LT|L{1,4}|l{1,4}"
)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_LOCAL: Final = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "l": "M/D/YYYY",
    "ll": "MMM D, YYYY",
    "lll": "MMM D, YYYY h:mm A",
    "llll": "ddd, MMM D, YYYY h:mm A",
}
_PARTS: Final[dict[str, Callable[[datetime], str]]] = {
    "YYYY": lambda at: f"{at.year:04}",
    "YY": lambda at: f"{at.year % 100:02}",
    "M": lambda at: str(at.month),
    "MM": lambda at: f"{at.month:02}",
    "MMM": lambda at: _MONTHS[at.month - 1][:3],
    "MMMM": lambda at: _MONTHS[at.month - 1],
    "D": lambda at: str(at.day),
    "DD": lambda at: f"{at.day:02}",
    "Do": lambda at: _numbered(at.day),
    "DDD": lambda at: str(at.timetuple().tm_yday),
    "DDDD": lambda at: f"{at.timetuple().tm_yday:03}",
    "d": lambda at: str(at.isoweekday() % 7),
    "dd": lambda at: _DAYS[at.isoweekday() % 7][:2],
    "ddd": lambda at: _DAYS[at.isoweekday() % 7][:3],
    "dddd": lambda at: _DAYS[at.isoweekday() % 7],
    "Mo": lambda at: _numbered(at.month),
    "DDDo": lambda at: _numbered(at.timetuple().tm_yday),
    "do": lambda at: _numbered(at.isoweekday() % 7),
    "Q": lambda at: str((at.month + 2) // 3),
    "Qo": lambda at: _numbered((at.month + 2) // 3),
    "W": lambda at: str(at.isocalendar().week),
    "WW": lambda at: f"{at.isocalendar().week:02}",
    "Wo": lambda at: _numbered(at.isocalendar().week),
    "GGGG": lambda at: f"{at.isocalendar().year:04}",
    "GG": lambda at: f"{at.isocalendar().year % 100:02}",
    "w": lambda at: str(_week(at)[1]),
    "ww": lambda at: f"{_week(at)[1]:02}",
    "wo": lambda at: _numbered(_week(at)[1]),
    "gggg": lambda at: f"{_week(at)[0]:04}",
    "gg": lambda at: f"{_week(at)[0] % 100:02}",
    "e": lambda at: str(at.isoweekday() % 7),
    "E": lambda at: str(at.isoweekday()),
    "H": lambda at: str(at.hour),
    "HH": lambda at: f"{at.hour:02}",
    "h": lambda at: str(at.hour % 12 or 12),
    "hh": lambda at: f"{at.hour % 12 or 12:02}",
    "k": lambda at: str(at.hour or 24),
    "kk": lambda at: f"{at.hour or 24:02}",
    "m": lambda at: str(at.minute),
    "mm": lambda at: f"{at.minute:02}",
    "s": lambda at: str(at.second),
    "ss": lambda at: f"{at.second:02}",
    "S": lambda at: str(at.microsecond // 100_000),
    "SS": lambda at: f"{at.microsecond // 10_000:02}",
    "SSS": lambda at: f"{at.microsecond // 1_000:03}",
    "A": lambda at: "AM" if at.hour < 12 else "PM",
    "a": lambda at: "am" if at.hour < 12 else "pm",
    "Z": lambda at: f"{at:%z}"[:3] + ":" + f"{at:%z}"[3:5],
    "ZZ": lambda at: f"{at:%z}"[:5],
    "X": lambda at: str(int(at.timestamp() // 1)),
    "x": lambda at: str((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)),
}


def format_date(when: Value, pattern: str | None, offset: Value) -> str:
    """`when` (ISO 8601, or milliseconds since 1970) by `pattern`; `offset` is `+0200`, minutes, or hours below 16."""
    moment = _moment(when)
    zone = _zone(offset)
    if moment is None or zone is None:
        return INVALID
    try:
        moment = moment.astimezone(zone)
    except OverflowError:
        return INVALID
    return _written(moment, "YYYY-MM-DDTHH:mm:ssZ" if pattern is None else pattern[:_LONGEST_PATTERN])


def _written(moment: datetime, pattern: str) -> str:
    def part(token: re.Match[str]) -> str:
        if token[1] is not None:
            return token[1]
        longer = _LOCAL.get(token[0])
        return _written(moment, longer) if longer is not None else _PARTS[token[0]](moment)

    return _TOKEN.sub(part, pattern)


def _moment(when: Value) -> datetime | None:
    if isinstance(when, bool) or not isinstance(when, str | int | float):
        return None
    try:
        if not isinstance(when, str):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number_of(when))
        found = _ISO.fullmatch(when.strip()) if len(when) < 100 else None
        if found is None:
            return None
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        micro = int((fraction or "0").ljust(6, "0")[:6])
        clock = (int(hour or 0), int(minute or 0), int(second or 0), micro)
        at = _zone(zone if zone and zone != "Z" else None)
        return datetime(int(year), int(month), int(day), *clock, tzinfo=at)
    except (ValueError, OverflowError):
        return None


def _zone(offset: Value) -> timezone | None:
    """The time zone of an offset: UTC for none, None for what is no offset."""
    if offset is None or offset == "":
        return UTC
    found = _OFFSET.fullmatch(offset.strip()) if isinstance(offset, str) and len(offset) < 20 else None
    if found is not None:
        minutes = float(int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1)
    elif isinstance(offset, str):
        return UTC
    else:
        minutes = number_of(offset)
        minutes = minutes * 60 if abs(minutes) < 16 else minutes
    try:
        return timezone(timedelta(minutes=minutes))
    except (ValueError, OverflowError):
        return None


def _week(at: datetime) -> tuple[int, int]:
    """The year and the number of a week from Sunday to Saturday, whose year is that of its Saturday."""
    ordinal = at.toordinal() + 6 - at.isoweekday() % 7
    if ordinal > date.max.toordinal():
        return at.year + 1, 1
    saturday = date.fromordinal(ordinal)
    return saturday.year, (saturday.timetuple().tm_yday + 6) // 7


def _numbered(number: int) -> str:
    return f"{number}{_ordinal(number)}"


def _ordinal(number: int) -> str:
    if number % 100 // 10 == 1:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
