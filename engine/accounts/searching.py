"""Searches the folders of an account: one, several or all of them.

Results from several folders are merged by arrival time, newest first; within a folder, UID order decides. A page costs
as much as one page of each folder, however many messages there are. A cursor has a place in each folder, so that going
on and going back show each match once, however the times of the messages compare.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from engine.accounts import message_ids
from engine.accounts.folder_watch import GMAIL_USES
from engine.accounts.message_list import Asked, Page, fetch_described, page_of_found
from engine.accounts.message_lookup import HIGHEST_UID, Locator, Opened
from engine.accounts.page_cursor import Anchor, Cursor, invalid
from engine.accounts.search_keys import NOTHING, Keys, lower_uids, needs_threads, search_keys
from engine.errors import Problem
from engine.imap.fetched import Fetched
from engine.imap.session import ImapSession
from engine.imap.uid_sets import ranges, written
from engine.schema.search import SearchQuery
from engine.store.mailboxes import MailboxRow

MOST_SKIPPED = 10_000
"""Maximum messages that are skipped to reach a page by its number in a search of several folders."""


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
    session: ImapSession,
    locator: Locator,
    paths: Sequence[str],
    query: SearchQuery,
    asked: Asked,
    *,
    all_needed: bool = True,
) -> tuple[list[Match], Page]:
    """A page of the matching messages in several folders; `Page.messages` is empty.

    Unless `all_needed`, folders that cannot be opened are left out: one may go after it was listed, or be another's.
    Raises like `search_folder`.
    """
    cursor = asked.cursor
    skipped = 0 if cursor is not None else asked.page * asked.size
    if skipped > MOST_SKIPPED:
        raise Problem(400, "A page this far in can only be reached by its cursor", code="InvalidCursorValue")
    back = cursor is not None and cursor.side == "above"
    anchors = {each.mailbox: each for each in cursor.anchors} if cursor is not None else {}
    candidates: list[_Candidate] = []
    places: dict[int, _Place] = {}
    for path in dict.fromkeys(paths):
        try:
            opened = await locator.open(session, path)
        except Problem as problem:
            if all_needed or problem.status != 404:
                raise
            continue
        row, validity = opened.row, opened.selected.uid_validity or 0
        if row.id in places:
            continue
        anchor = anchors.get(row.id, Anchor(row.id, validity, 0))
        if anchor.uid_validity != validity:
            raise invalid()
        keys = await _keys(session, opened, query)
        if back:
            keys = [*keys, f"UID {anchor.uid + 1}:{HIGHEST_UID}"]
        elif anchor.uid:
            keys = [*keys, *lower_uids(anchor.uid)]
        last = skipped + asked.size
        uids, matched = await session.search_part(keys, *((1, last) if back else (-1, -last)))
        places[row.id] = _Place(anchor, matched, uids[-1] if uids else 0)
        candidates += await _dated(session, row, list(uids))
    # What is nearest to where the page begins comes first: going back, these are the oldest.
    candidates.sort(key=lambda each: (each.time, each.uid, each.row.id), reverse=not back)
    chosen = candidates[skipped : skipped + asked.size]
    for each in candidates[:skipped]:
        places[each.row.id].skip(each.uid)
    for each in chosen:
        places[each.row.id].show(each.uid)
    page = _page_between(list(places.values()), asked, back=back)
    return await _matches(session, locator, chosen[::-1] if back else chosen), page


class _Candidate(NamedTuple):
    """A message that may be on a page; `time` never decreases within a folder, whatever the server says."""

    time: float
    uid: int
    row: MailboxRow


class _Place:
    """Where a page is in one folder: the matches above it, on it and below it.

    `matched` is how many matches there are from the `anchor` on, in the direction of the cursor, and `newest` the
    highest UID that was examined.
    """

    def __init__(self, anchor: Anchor, matched: int, newest: int) -> None:
        self.anchor = anchor
        self.matched = matched
        self._newest = newest
        self._skipped: list[int] = []
        self.shown: list[int] = []

    def skip(self, uid: int) -> None:
        """A match between the anchor and the page."""
        self._skipped.append(uid)

    def show(self, uid: int) -> None:
        """A match on the page."""
        self.shown.append(uid)

    @property
    def total(self) -> int:
        """All matches."""
        return self.anchor.matched + self.matched

    @property
    def _passed(self) -> int:
        return self.anchor.matched + len(self._skipped)

    def above(self, *, back: bool) -> int:
        """How many matches are newer than the page."""
        return self.matched - len(self.shown) if back else self._passed

    def below(self, *, back: bool) -> int:
        """How many matches are older than the page."""
        return self.total - len(self.shown) - self.above(back=back)

    def onwards(self, *, back: bool) -> Anchor:
        """The anchor of the page below: it begins under this UID."""
        uid = self.anchor.uid + 1 if back else min([*self.shown, *self._skipped], default=self.anchor.uid)
        return self._anchor(uid, matched=self.total - self.below(back=back))

    def backwards(self, *, back: bool) -> Anchor:
        """The anchor of the page above: it begins over this UID."""
        if self.shown:
            uid = max(self.shown)
        elif back:
            uid = self.anchor.uid
        elif under := min(self._skipped, default=self.anchor.uid):
            uid = under - 1
        else:
            uid = self._newest  # all there is may come after the page, and mail that arrives now before it
        return self._anchor(uid, matched=self.total - self.above(back=back))

    def _anchor(self, uid: int, matched: int) -> Anchor:
        return Anchor(self.anchor.mailbox, self.anchor.uid_validity, uid, matched=matched)


def _page_between(places: list[_Place], asked: Asked, *, back: bool) -> Page:
    """The number of the page and its cursors."""
    page = asked.page if asked.cursor is None else asked.cursor.page
    above = sum(each.above(back=back) for each in places)
    below = sum(each.below(back=back) for each in places)
    shown = any(each.shown for each in places)
    following = previous = None
    if shown and below:
        following = Cursor(page + 1, "below", tuple(each.onwards(back=back) for each in places))
    if above and (shown or page):
        before = page - 1 if shown else -(-above // asked.size) - 1
        previous = Cursor(max(before, 0), "above", tuple(each.backwards(back=back) for each in places))
    return Page([], page, sum(each.total for each in places), following, previous)


async def _keys(session: ImapSession, opened: Opened, query: SearchQuery) -> Keys:
    place = _message(query)
    here = place is not None and place.mailbox == opened.row.id
    algorithm = needs_threads(query, session.capabilities, by_message=here)
    if algorithm is None:
        return search_keys(query, session.capabilities)
    if place is None or not here:
        return list(NOTHING)
    keys = search_keys(msgspec.structs.replace(query, thread_id=UNSET), session.capabilities)
    threads = await session.threads(algorithm, ["ALL"])
    uids = next((each for each in threads if place.uid in each), ())
    return [*keys, f"UID {written(ranges(sorted(uids)))}"] if uids else list(NOTHING)


def _message(query: SearchQuery) -> message_ids.Place | None:
    """The message whose conversation is searched for, if `thread_id` is the id of one."""
    if query.thread_id is UNSET:
        return None
    try:
        return message_ids.read_message(query.thread_id)
    except message_ids.NoId:
        return None


async def _dated(session: ImapSession, row: MailboxRow, uids: list[int]) -> list[_Candidate]:
    """These messages with their arrival times."""
    if not uids:
        return []
    told = await session.fetch(ranges(uids), ("UID", "INTERNALDATE"))
    dates = {one.uid: one.internal_date for one in told if one.internal_date is not None}
    found, latest = [], 0.0
    for uid in uids:
        latest = max(latest, dates.get(uid, latest))
        found.append(_Candidate(latest, uid, row))
    return found


async def _matches(session: ImapSession, locator: Locator, chosen: list[_Candidate]) -> list[Match]:
    """Fetch the messages, folder by folder, and return them in the given order."""
    found: dict[tuple[int, int], Match] = {}
    rows = {each.row.id: each.row for each in chosen}.values()
    for row in sorted(rows, key=lambda row: row.path != session.selected):  # one of them may be open still
        await locator.open(session, row.path)
        for one in await fetch_described(session, [each.uid for each in chosen if each.row.id == row.id]):
            found[row.id, one.uid] = Match(row, one)
    return [found[each.row.id, each.uid] for each in chosen if (each.row.id, each.uid) in found]
