"""Reads calendar objects (RFC 5545) as far as a mail reader needs: an invitation's event, time and organizer. Pure.

Lenient: folded lines, any line ends, parameters in any order, a component that never ends. Unreadable parts are left
out. A time is returned as written, with the name of its zone; the caller interprets zones.
"""

from __future__ import annotations

import re
from typing import NamedTuple

EVENTS = 20
"""Maximum events read from one object."""
_CONTENT_LINE = re.compile(
    r'([A-Za-z0-9-]+)((?:;[A-Za-z0-9-]+=(?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)*):(.*)', re.S
)
_PARAMETER = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^";:]*)')
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_ESCAPED = re.compile(r"\\(.)", re.S)


class CalendarTime(NamedTuple):
    """A time as written: `2026-11-22T11:00:00`, or `2026-11-22` for a day. `zone`: `UTC`, a TZID, or ""."""

    written: str
    zone: str


class CalendarEvent(NamedTuple):
    """One event; missing texts are empty."""

    uid: str
    summary: str
    description: str
    organizer: str
    start: CalendarTime | None
    end: CalendarTime | None


class Calendar(NamedTuple):
    """One object: its `method` (`REQUEST`, `CANCEL` ...) in upper case, its zone if it names one, its events."""

    method: str
    zone: str
    events: tuple[CalendarEvent, ...]


def read_calendar(text: str) -> Calendar:
    """Read an object; it may have no events."""
    method = zone = ""
    inside: list[str] = []
    events: list[CalendarEvent] = []
    values: dict[str, tuple[str, str]] = {}
    for name, zone_of, value in _lines(text):
        if name == "BEGIN":
            inside.append(value.strip().upper())
            if inside[-1] == "VEVENT":
                values = {}
        elif name == "END":
            ended = value.strip().upper()
            if ended == "VEVENT" and inside[-1:] == ["VEVENT"] and len(events) < EVENTS:
                events.append(_event(values))
            if ended in inside:
                del inside[len(inside) - 1 - inside[::-1].index(ended) :]
        elif inside[-1:] == ["VEVENT"]:
            values.setdefault(name, (value, zone_of))
        elif inside[-1:] == ["VTIMEZONE"] and name == "TZID":
            zone = zone or value.strip()
        elif inside == ["VCALENDAR"] and name == "METHOD":
            method = value.strip().upper()
    if inside[-1:] == ["VEVENT"] and len(events) < EVENTS:
        events.append(_event(values))
    return Calendar(method, zone, tuple(events))


def _lines(text: str) -> list[tuple[str, str, str]]:
    """Name, TZID and value of each valid line; a line that begins with a blank continues the one before."""
    found: list[tuple[str, str, str]] = []
    unfolded = re.sub(r"(?:\r\n|\r|\n)[ \t]", "", text)
    for line in re.split(r"\r\n|\r|\n", unfolded):
        if match := _CONTENT_LINE.fullmatch(line):
            parameters = {name.upper(): value.strip('"') for name, value in _PARAMETER.findall(match[2])}
            found.append((match[1].upper(), parameters.get("TZID", ""), match[3]))
    return found


def _event(values: dict[str, tuple[str, str]]) -> CalendarEvent:
    texts = {name: _unescaped(values[name][0]) if name in values else "" for name in ("UID", "SUMMARY", "DESCRIPTION")}
    organizer = values.get("ORGANIZER", ("", ""))[0].strip()
    return CalendarEvent(
        uid=texts["UID"],
        summary=texts["SUMMARY"],
        description=texts["DESCRIPTION"],
        organizer=organizer[7:] if organizer.lower().startswith("mailto:") else organizer,
        start=_time(*values["DTSTART"]) if "DTSTART" in values else None,
        end=_time(*values["DTEND"]) if "DTEND" in values else None,
    )


def _unescaped(value: str) -> str:
    """A text without its escapes (RFC 5545 section 3.3.11)."""
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value).strip()


def _time(value: str, zone: str) -> CalendarTime | None:
    match = _TIME.fullmatch(value.strip().upper())
    if match is None:
        return None
    day = f"{match[1]}-{match[2]}-{match[3]}"
    if match[4] is None:
        return CalendarTime(day, "")
    return CalendarTime(f"{day}T{match[4]}:{match[5]}:{match[6]}", "UTC" if match[7] else zone)
