"""One page of a folder's messages, newest first: all of them, or those that match a search.

The cost of a page does not grow with the folder: without a search, the page is a range of sequence numbers. A cursor
names an adjacent message and the number that it had. One FETCH of that message and the page shows whether the number
still holds; only if messages were removed in the meantime is the server asked for the UIDs beside it. With a search, a
server that can do so returns only the part on the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from engine.accounts.message_lookup import BASIC, DESCRIPTION, HIGHEST_UID, Looking, Opened
from engine.accounts.page_cursor import Anchor, Cursor, invalid
from engine.accounts.search_keys import Keys, lower_uids
from engine.imap.fetched import Fetched
from engine.imap.logins import TEMPORARY_CODES
from engine.imap.session import CommandRefused, FetchRefused, Glance, ImapSession
from engine.imap.uid_sets import ranges


class Asked(NamedTuple):
    """The requested page: by number or by cursor."""

    page: int
    size: int
    cursor: Cursor | None = None


class Page(NamedTuple):
    """One page: its messages, newest first, its number, the total, and the cursors of the adjacent pages."""

    messages: list[Fetched]
    page: int
    total: int
    next: Cursor | None
    previous: Cursor | None


async def page_of_all(session: ImapSession, opened: Opened, asked: Asked) -> Page:
    """A page of all messages in the selected folder. Raises `Problem` 400, `CommandRefused`."""
    exists, glance = opened.selected.exists, opened.glance
    anchor = _anchor(opened, asked)
    page = asked.page if asked.cursor is None else asked.cursor.page
    if anchor is None:
        span = _span_of_page(asked, exists)
        found = await _numbered(session, span, glance) if span is not None else []
    else:
        assert asked.cursor is not None
        above = asked.cursor.side == "above"
        found = await _beside(session, anchor, above=above, size=asked.size, exists=exists, glance=glance)
    place = (opened.row.id, opened.selected.uid_validity or 0)
    following = previous = None
    if found and found[0].number > 1:
        following = Cursor(page + 1, "below", (Anchor(*place, found[0].uid, found[0].number),))
    if found and found[-1].number < exists:
        previous = Cursor(max(page - 1, 0), "above", (Anchor(*place, found[-1].uid, found[-1].number),))
    elif not found and page and exists:
        previous = Cursor(min(page, -(-exists // asked.size)) - 1, "below", (Anchor(*place, 0),))
    return Page(found[::-1], page, exists, following, previous)


def looking_for(asked: Asked) -> Looking:
    """Which messages `page_of_all` asks for first, for `Locator.open`."""

    def numbers(mailbox: int, exists: int) -> tuple[int, int] | None:
        cursor = asked.cursor
        anchor = (
            next((each for each in cursor.anchors if each.mailbox == mailbox), None) if cursor is not None else None
        )
        if cursor is None or (anchor is not None and not anchor.uid):
            return _span_of_page(asked, exists)
        return _span_beside(anchor, above=cursor.side == "above", size=asked.size, exists=exists) if anchor else None

    return numbers


def _span_of_page(asked: Asked, exists: int) -> tuple[int, int] | None:
    """The sequence numbers on a page; None for an empty page."""
    last = exists - (asked.page if asked.cursor is None else asked.cursor.page) * asked.size
    return (max(last - asked.size + 1, 1), last) if last > 0 else None


def _span_beside(anchor: Anchor, *, above: bool, size: int, exists: int) -> tuple[int, int] | None:
    """The sequence numbers of an anchor and a page beside it, if the anchor still has its own; None if it cannot."""
    number = anchor.number
    if not 0 < number <= exists:
        return None
    return (number, min(number + size, exists)) if above else (max(number - size, 1), number)


async def page_of_found(session: ImapSession, opened: Opened, keys: Keys, asked: Asked) -> Page:
    """A page of the matching messages in the selected folder. Raises like `page_of_all`."""
    anchor = _anchor(opened, asked)
    size = asked.size
    if anchor is None:
        page = asked.page if asked.cursor is None else asked.cursor.page
        uids, total = await session.search_part(keys, -(page * size + 1), -(page + 1) * size)
        above = min(page * size, total)
        below = total - above - len(uids)
    elif asked.cursor is not None and asked.cursor.side == "below":
        page, above = asked.cursor.page, anchor.matched
        uids, rest = await session.search_part([*keys, *lower_uids(anchor.uid)], -1, -size)
        below = rest - len(uids)
    else:
        assert asked.cursor is not None
        page, below = asked.cursor.page, anchor.matched
        uids, rest = await session.search_part([*keys, f"UID {anchor.uid + 1}:{HIGHEST_UID}"], 1, size)
        above = rest - len(uids)
    place = (opened.row.id, opened.selected.uid_validity or 0)
    following = previous = None
    if uids and below:
        following = Cursor(page + 1, "below", (Anchor(*place, uids[0], matched=above + len(uids)),))
    if uids and above:
        previous = Cursor(max(page - 1, 0), "above", (Anchor(*place, uids[-1], matched=below + len(uids)),))
    elif not uids and page and above:
        previous = Cursor(-(-above // size) - 1, "below", (Anchor(*place, 0),))
    found = await fetch_described(session, list(uids))
    return Page(found[::-1], page, above + len(uids) + below, following, previous)


async def fetch_described(session: ImapSession, uids: list[int]) -> list[Fetched]:
    """What a list shows of these messages, ascending; removed ones are left out. Raises `CommandRefused`."""
    if not uids:
        return []
    with _as_far_as_told() as told:
        told += await session.fetch(ranges(sorted(set(uids))), (*DESCRIPTION, *session.id_items))
    known = {one.uid: one for one in told if one.described}
    for uid in set(uids) - known.keys():
        known |= {one.uid: one for one in await _alone(session, uid)}
    return [known[uid] for uid in sorted(set(uids) & known.keys())]


async def _numbered(session: ImapSession, span: tuple[int, int], glance: Glance | None) -> list[Fetched]:
    """What a list shows of the messages with these sequence numbers, ascending; `glance` may have it already."""
    first, last = span
    with _as_far_as_told() as told:
        if glance is not None and glance[:2] == span:
            told += glance.messages
        else:
            told += await session.fetch_numbered(first, last, (*DESCRIPTION, *session.id_items))
    known = {one.number: one for one in told if one.described}
    if len(known) <= last - first:
        for one in await session.fetch_numbered(first, last, ("UID", "FLAGS")):
            if one.number not in known:
                known[one.number] = next(iter(await _alone(session, one.uid)), one)
    return [known[number] for number in sorted(known)]


@contextmanager
def _as_far_as_told() -> Iterator[list[Fetched]]:
    """Yields the result of a FETCH in the block, even if it is refused; messages missing from it are fetched alone."""
    told: list[Fetched] = []
    try:
        yield told
    except FetchRefused as error:
        if error.code in TEMPORARY_CODES:
            raise
        told += error.known


async def _alone(session: ImapSession, uid: int) -> list[Fetched]:
    """Fetch alone, as far as possible, a message that the server left out among others."""
    for items in ((*DESCRIPTION, *session.id_items), (*BASIC, "ENVELOPE"), BASIC):
        try:
            found = [one for one in await session.fetch(((uid, uid),), items) if one.uid == uid and one.described]
        except CommandRefused:
            continue
        if found:
            return found
    return []


async def _beside(
    session: ImapSession, anchor: Anchor, *, above: bool, size: int, exists: int, glance: Glance | None
) -> list[Fetched]:
    """The messages next to an anchor, ascending."""
    if (span := _span_beside(anchor, above=above, size=size, exists=exists)) is not None:
        found = await _numbered(session, span, glance)
        if any((one.number, one.uid) == (anchor.number, anchor.uid) for one in found):
            beside = [one for one in found if one.number != anchor.number]
            if beside or span[0] == span[1]:
                return beside
    # The anchor, or messages below it, have been removed. A count is no number to go by: the server may report removals
    # with its answer, after it has counted.
    asked: list[int] = []
    while (uids := await _uids_beside(session, anchor.uid, above=above, size=size)) != asked:
        if found := await fetch_described(session, uids):
            return found
        asked = uids  # all have just gone, and the next answer may be without them
    return []


async def _uids_beside(session: ImapSession, uid: int, *, above: bool, size: int) -> list[int]:
    keys, first, last = ([f"UID {uid + 1}:{HIGHEST_UID}"], 1, size) if above else (lower_uids(uid), -1, -size)
    return list((await session.search_part(keys, first, last))[0])


def _anchor(opened: Opened, asked: Asked) -> Anchor | None:
    """The message that a cursor names; None for a page requested by number. Raises `Problem` 400."""
    if asked.cursor is None:
        return None
    anchor = next((each for each in asked.cursor.anchors if each.mailbox == opened.row.id), None)
    if anchor is None or anchor.uid_validity != (opened.selected.uid_validity or 0):
        raise invalid()
    return anchor if anchor.uid else None
