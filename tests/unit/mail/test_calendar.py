"""Calendar objects, well written and otherwise."""

from __future__ import annotations

import pytest

from engine.mail.calendar import CalendarTime, read_calendar

INVITATION = """BEGIN:VCALENDAR\r
METHOD:REQUEST\r
BEGIN:VTIMEZONE\r
TZID:Europe/Tallinn\r
BEGIN:STANDARD\r
DTSTART:19701025T040000\r
END:STANDARD\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
UID:1@example.com\r
SUMMARY;LANGUAGE=et:Lunch\\, or\r
  dinner\r
DESCRIPTION:one\\ntwo\\\\n\r
ORGANIZER;CN="Doe: John;Jr":mailto:john@example.com\r
DTSTART;TZID=Europe/Tallinn:20261122T110000\r
DTEND:20261122T100000Z\r
BEGIN:VALARM\r
DESCRIPTION:not this\r
END:VALARM\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_an_invitation() -> None:
    calendar = read_calendar(INVITATION)
    (event,) = calendar.events
    assert (calendar.method, calendar.zone) == ("REQUEST", "Europe/Tallinn")
    assert (event.uid, event.summary, event.description) == ("1@example.com", "Lunch, or dinner", "one\ntwo\\n")
    assert event.organizer == "john@example.com"
    assert event.start == CalendarTime("2026-11-22T11:00:00", "Europe/Tallinn")
    assert event.end == CalendarTime("2026-11-22T10:00:00", "UTC")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("BEGIN:VEVENT", [""]),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:a\n", ["a"]),
        ("begin:vevent\nsummary:a\nend:vevent\nbegin:vevent\nsummary:b\nend:vevent", ["a", "b"]),
        ("BEGIN:VEVENT\nSUMMARY:a\nEND:VCALENDAR\nEND:VEVENT", ["a"]),
        ("BEGIN:VEVENT\nnonsense\nSUMMARY\nSUMMARY:a\rEND:VEVENT", ["a"]),
        ("END:VEVENT\nSUMMARY:a", []),
        ("BEGIN:VEVENT\nEND:VEVENT\n" * 50, [""] * 20),
    ],
)
def test_what_is_written_otherwise(text: str, found: list[str]) -> None:
    assert [event.summary for event in read_calendar(text).events] == found


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("DTSTART;VALUE=DATE:20261122", CalendarTime("2026-11-22", "")),
        ("DTSTART:20261122T110000", CalendarTime("2026-11-22T11:00:00", "")),
        ("DTSTART:2026-11-22", None),
        ("DTSTART:", None),
    ],
)
def test_times(line: str, time: CalendarTime | None) -> None:
    (event,) = read_calendar(f"BEGIN:VEVENT\n{line}\nEND:VEVENT").events
    assert event.start == time


@pytest.mark.once
def test_nonsense_costs_no_time() -> None:
    assert read_calendar("X;a=" + "a," * 100_000).events == ()
    assert read_calendar("X" + ';a="' * 50_000).events == ()
    assert read_calendar("BEGIN:VEVENT\n" * 20_000 + "END:VEVENT\n" * 20_000).events != ()
