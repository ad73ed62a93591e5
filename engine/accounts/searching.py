"""Searches the folders of an account: one, several or all of them.

Results from several folders are merged by arrival time, newest first; within a folder, UID order decides. A page costs
as much as one page of each folder, however many messages there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from engine.accounts import message_ids
from engine.accounts.folder_watch import GMAIL_USES
from engine.accounts.message_list import Asked, Page, fetch_described, page_of_found
from engine.accounts.message_lookup import Locator, Opened
from engine.accounts.page_cursor import Anchor, Cursor, invalid
from engine.accounts.search_keys import NOTHING, Keys, lower_uids, needs_threads, search_keys
from engine.errors import Problem
from engine.imap.fetched import Fetched
from engine.imap.session import ImapSession
from engine.imap.uid_sets import ranges, written
from engine.schema.search import SearchQuery
from engine.store.mailboxes import MailboxRow

MOST_SKIPPED = 10_000
"""Most messages that are skipped to reach a page by its number in a search of several folders."""


class Match(NamedTuple):
    """A message found, and its folder."""

    row: MailboxRow
    one: Fetched


async def search_folder(session: ImapSession, opened: Opened, query: SearchQuery, asked: Asked) -> Page:
    """A page of the matching messages in the selected folder. Raises `Problem` 400 and 422, `CommandRefused`."""
    return await page_of_found(session, opened, await _keys(session, opened, query), asked)


async def found_in(session: ImapSession, opened: Opened, query: SearchQuery) -> array[int]:
    """The UIDs of all that match in the folder that is selected. Raises as `search_folder`."""
    return await session.search(*(await _keys(session, opened, query)))


async def every_folder(session: ImapSession) -> list[str]:
    """The folders that contain messages; at Gmail, those that together contain every message once."""
    listed = [each for each in await session.list_mailboxes() if each.selectable]
    if "X-GM-EXT-1" in session.capabilities and "\\All" in {each.special_use for each in listed}:
        listed = [each for each in listed if each.special_use in GMAIL_USES]
    return [each.path for each in listed]


async def search_folders(
    session: ImapSession, locator: Locator, paths: Sequence[str], query: SearchQuery, asked: Asked
) -> tuple[list[Match], Page]:
    """A page of the matching messages in several folders; `Page.messages` is empty. Raises like `search_folder`."""
    page = asked.page if asked.cursor is None else asked.cursor.page
    anchors = {each.mailbox: each for each in asked.cursor.anchors} if asked.cursor is not None else {}
    skipped = 0 if asked.cursor is not None else page * asked.size
    if skipped > MOST_SKIPPED:
        raise Problem(400, "A page so far behind can only be had by its cursor", code="InvalidCursorValue")
    candidates: list[tuple[float, int, MailboxRow]] = []
    places: dict[int, Anchor] = {}
    total = 0
    for path in dict.fromkeys(paths):
        opened = await locator.open(session, path)
        row, validity = opened.row, opened.selected.uid_validity or 0
        if row.id in places:
            continue
        anchor = anchors.get(row.id, Anchor(row.id, validity, 0))
        if anchor.uid_validity != validity:
            raise invalid()
        keys = await _keys(session, opened, query)
        if anchor.uid:
            keys = [*keys, *lower_uids(anchor.uid)]
        uids, matched = await session.search_part(keys, -1, -(skipped + asked.size))
        places[row.id] = anchor
        total += matched + anchor.matched
        candidates += await _dated(session, row, list(uids))
    candidates.sort(key=lambda each: each[:2], reverse=True)
    chosen = candidates[skipped : skipped + asked.size]
    for _, uid, row in candidates[: skipped + asked.size]:
        before = places[row.id]
        places[row.id] = Anchor(row.id, before.uid_validity, uid, matched=before.matched + 1)
    left = total - sum(each.matched for each in places.values())
    following = Cursor(page + 1, "below", tuple(places.values())) if chosen and left > 0 else None
    return await _matches(session, locator, chosen), Page([], page, total, following, None)


async def _keys(session: ImapSession, opened: Opened, query: SearchQuery) -> Keys:
    keys = search_keys(query, session.capabilities)
    algorithm = needs_threads(query, session.capabilities)
    if algorithm is None:
        return keys
    try:
        place = message_ids.read_message(str(query.thread_id))
    except message_ids.NoId:
        place = None
    if place is None or place.mailbox != opened.row.id:
        return list(NOTHING)
    threads = await session.threads(algorithm, ["ALL"])
    uids = next((each for each in threads if place.uid in each), ())
    return [*keys, f"UID {written(ranges(sorted(uids)))}"] if uids else list(NOTHING)


async def _dated(session: ImapSession, row: MailboxRow, uids: list[int]) -> list[tuple[float, int, MailboxRow]]:
    """The arrival times of these messages, never decreasing within a folder, whatever the server says."""
    if not uids:
        return []
    told = await session.fetch(ranges(uids), ("UID", "INTERNALDATE"))
    dates = {one.uid: one.internal_date for one in told if one.internal_date is not None}
    found, latest = [], 0.0
    for uid in uids:
        latest = max(latest, dates.get(uid, latest))
        found.append((latest, uid, row))
    return found


async def _matches(session: ImapSession, locator: Locator, chosen: list[tuple[float, int, MailboxRow]]) -> list[Match]:
    """Fetch the messages, folder by folder, and return them in the given order."""
    found: dict[tuple[int, int], Match] = {}
    for row in {row.id: row for _, _, row in chosen}.values():
        await locator.open(session, row.path)
        for one in await fetch_described(session, [uid for _, uid, each in chosen if each.id == row.id]):
            found[row.id, one.uid] = Match(row, one)
    return [found[row.id, uid] for _, uid, row in chosen if (row.id, uid) in found]
