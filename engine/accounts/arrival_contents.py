"""Adds a message's contents to `messageNew`, as the settings request: text, files, invitations, Gmail's category.

An event has at most 256 KiB. Texts are cut; a file or invitation without room is left out, as is what the server does
not send. Contents are fetched for one message at a time, while the next ones wait.
"""

from __future__ import annotations

import base64
import logging
import zoneinfo
from datetime import UTC, datetime
from typing import Any

from engine.accounts.message_summary import TextParts, filename
from engine.accounts.message_text import made_safe, part_text, with_own_pictures
from engine.imap.fetched import Fetched
from engine.imap.session import CommandRefused, ImapSession
from engine.imap.structure import BodyPart
from engine.isotime import iso
from engine.mail.calendar import Calendar, CalendarTime, read_calendar
from engine.mail.decode import body_text, parameter
from engine.mail.transfer import body_bytes
from engine.model.settings import Settings
from engine.world import World

log = logging.getLogger("engine.arrivals")

TEXT_BYTES = 512 * 1024
"""Maximum octets fetched of a text part."""
TEXT_CHARACTERS = 128 * 1024
"""Maximum characters of a text in an event, unless `notifyTextSize` says otherwise."""
FILES_CHARACTERS = 96 * 1024
"""Maximum base64 characters of files and invitations in an event."""
CALENDAR_BYTES = 64 * 1024
CATEGORIES = ("primary", "social", "promotions", "updates", "forums")
_CALENDARS = ("text/calendar", "application/ics")


def wants_more(settings: Settings, one: Fetched, session: ImapSession) -> bool:
    """Whether the settings require more data of this message from the server."""
    return (
        settings.notify_text is True
        or (settings.notify_attachments is True and bool(_files(one)))
        or (settings.notify_calendar_events is True and bool(_calendars(one)))
        or (settings.resolve_gmail_categories is True and "X-GM-EXT-1" in session.capabilities)
    )


async def add_contents(
    session: ImapSession, one: Fetched, data: dict[str, Any], settings: Settings, world: World
) -> None:
    """Add the contents that the settings request to the data of `messageNew`. Raises what a broken session raises."""
    room = FILES_CHARACTERS
    if settings.notify_text is True:
        await _text(session, one, data["text"], settings, world)
    if settings.notify_calendar_events is True and (calendars := _calendars(one)):
        room -= await _add_invitations(session, one, data, calendars, room)
    if settings.notify_attachments is True:
        await _add_files(session, one, data, settings.notify_attachment_size, room)
    if settings.resolve_gmail_categories is True and "X-GM-EXT-1" in session.capabilities:
        await _add_category(session, one, data)


async def _text(session: ImapSession, one: Fetched, shown: dict[str, Any], settings: Settings, world: World) -> None:
    limit = settings.notify_text_size or TEXT_CHARACTERS
    text = TextParts(one.structure)
    items = [f"BODY.PEEK[{part.path}]<0.{TEXT_BYTES}>" for part in (*text.plain, *text.html)]
    if not items:
        return
    try:
        found = await session.fetch(((one.uid, one.uid),), ["UID", *items])
    except CommandRefused as error:
        log.warning("the text of a new message cannot be read: %s", error)
        return
    sections = next((each.sections for each in found if each.uid == one.uid), {})
    for name, parts in (("plain", text.plain), ("html", text.html)):
        if parts:
            # A server may send the whole although a part was requested.
            whole = "\n".join(_text_of(part, sections.get(part.path, b"")) for part in parts)
            shown[name] = whole[:limit]
            if len(whole) > limit or any(part.size > TEXT_BYTES for part in parts):
                shown["hasMore"] = True
    if settings.notify_web_safe_html is True:
        await made_safe(shown, world)
        if html := shown.get("html"):
            try:
                with_pictures = await with_own_pictures(session, one, html, world)
            except CommandRefused as error:
                log.warning("the pictures of a new message cannot be read: %s", error)
            else:
                # An incomplete image would be useless.
                shown["html"] = with_pictures if len(with_pictures) <= TEXT_CHARACTERS else html


async def _add_files(session: ImapSession, one: Fetched, data: dict[str, Any], largest: int | None, room: int) -> None:
    files = {part.path: part for part in _files(one)}
    shown = [each for each in data.get("attachments", ()) if not each["encodedInMessage"]]
    for each, part in zip(shown, files.values(), strict=False):
        if (largest is not None and part.size > largest) or part.size > room:
            continue
        raw = await _whole(session, one, part)
        if raw is not None and len(content := _base64(raw)) <= room:
            each["content"] = content
            room -= len(content)


async def _add_invitations(
    session: ImapSession, one: Fetched, data: dict[str, Any], calendars: list[BodyPart], room: int
) -> int:
    """Add the invitations; return how much of the room they take."""
    told: list[dict[str, Any]] = []
    taken = 0
    for part in calendars:
        if part.size > CALENDAR_BYTES or (raw := await _whole(session, one, part)) is None:
            continue
        calendar = read_calendar(body_text(raw, "", parameter(part.parameters, "charset"), cut=False))
        content = _base64(raw)
        if taken + len(content) > room:
            content = ""
        taken += len(content)
        told += _invitations(calendar, part, _id_of(data, part, one), content)
    if told:
        data["calendarEvents"] = told
    return taken


def _invitations(calendar: Calendar, part: BodyPart, attachment: str, content: str) -> list[dict[str, Any]]:
    method = calendar.method or parameter(part.parameters, "method").upper()
    told = []
    for event in calendar.events:
        zone = event.start.zone if event.start is not None and event.start.zone else calendar.zone
        members = {
            "eventId": event.uid,
            "attachment": attachment,
            "method": method,
            "summary": event.summary,
            "description": event.description,
            "timezone": zone,
            "startDate": _moment(event.start),
            "endDate": _moment(event.end),
            "organizer": event.organizer,
            "filename": filename(part),
            "contentType": part.kind,
            "encoding": "base64" if content else "",
            "content": content,
        }
        told.append({name: value for name, value in members.items() if value})
    return told


def _id_of(data: dict[str, Any], part: BodyPart, one: Fetched) -> str:
    shown = [each for each in data.get("attachments", ()) if not each["encodedInMessage"]]
    paths = [each.path for each in _files(one)]
    place = paths.index(part.path) if part.path in paths else len(shown)
    return str(shown[place]["id"]) if place < len(shown) else ""


def _moment(time: CalendarTime | None) -> str:
    """A time in UTC; unchanged if its zone is unknown or missing."""
    if time is None or not time.zone:
        return "" if time is None else time.written
    try:
        zone = UTC if time.zone == "UTC" else zoneinfo.ZoneInfo(time.zone)
        return iso(datetime.fromisoformat(time.written).replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return time.written


async def _add_category(session: ImapSession, one: Fetched, data: dict[str, Any]) -> None:
    for category in CATEGORIES:
        try:
            found = await session.search(f'X-GM-RAW "category:{category}" UID {one.uid}')
        except CommandRefused as error:
            log.warning("the category of a new message cannot be determined: %s", error)
            return
        if one.uid in found:
            data["category"] = category
            return


async def _whole(session: ImapSession, one: Fetched, part: BodyPart) -> bytes | None:
    """The content of a part; None if the server refuses it."""
    pieces = session.download(one.uid, part.path, end=part.size or None)
    try:
        return body_bytes(b"".join([piece async for piece in pieces]), part.encoding)
    except CommandRefused as error:
        log.warning("a part of a new message cannot be read: %s", error)
        return None
    finally:
        await pieces.aclose()


def _files(one: Fetched) -> list[BodyPart]:
    """The parts listed as attachments of the message itself, in the same order."""
    parts = one.structure.parts if one.structure is not None else ()
    texts = TextParts(one.structure)
    shown = {part.path for part in (*texts.plain, *texts.html)}
    return [part for part in parts if part.path not in shown]


def _calendars(one: Fetched) -> list[BodyPart]:
    return [part for part in _files(one) if part.kind in _CALENDARS]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _text_of(part: BodyPart, raw: bytes) -> str:
    return part_text(part, raw[:TEXT_BYTES], cut=len(raw) >= TEXT_BYTES)
