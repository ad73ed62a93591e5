"""Reads messages of the selected mailbox: FETCH, SEARCH, THREAD and downloads.

All methods but `fetch_numbered` use UIDs. If a server processes only part of the messages (MESSAGELIMIT, RFC 9738), it
is asked again for the rest. `session` describes the errors raised and the use of extensions.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeAlias

from engine.imap import commands
from engine.imap.commands import Command
from engine.imap.connection import ImapConnection
from engine.imap.fetched import Fetched
from engine.imap.gathering import Gathering, fetched
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.responses import ESearch, Search, Thread, Untagged
from engine.imap.uid_sets import Ranges, below, chunks, expanded, written

FETCH_SECONDS = 300.0
"""Time limit for a FETCH or SEARCH that may concern many messages."""
MESSAGES_AT_ONCE = 500
"""Maximum messages in one FETCH if the server cannot say what changed."""
CHANGEDSINCE = "CHANGEDSINCE"
"""Remembered apart from CONDSTORE, although part of it: SELECT may accept CONDSTORE while FETCH refuses this."""
IDS = "message ids"
"""Remembered apart from X-GM-EXT-1 and OBJECTID, which mean more than these items of a FETCH."""
UNSEEN = "parts unseen"
"""Remembered for servers that refuse requests for a part that a message may not have."""
DOWNLOAD_BYTES = 256 * 1024
"""Octets of a section that are requested at a time."""

Criteria: TypeAlias = Sequence[str | bytes]
"""Search keys: a `str` is sent as it is (`SINCE 1-Jan-2026`); `bytes` are UTF-8 text, sent as IMAP strings."""


class ImapReader(ImapConnection):
    """The verbs that read."""

    async def fetch(self, numbers: Ranges, items: Sequence[str], *, changed_since: int | None = None) -> list[Fetched]:
        """Fetch data items of messages by UID; the result may also contain other messages that the server reported.

        `changed_since` limits it to messages changed after that MODSEQ if the server supports it (CONDSTORE); otherwise
        all are returned. Raises `FetchRefused`, which contains what arrived.
        """
        if not numbers:
            return []
        if changed_since is not None:
            return await self._fetch_changed(numbers, items, changed_since)
        found: list[Fetched] = []
        while numbers:
            completion = await self._run(commands.uid_fetch(written(numbers), items), FETCH_SECONDS)
            found += fetched(completion)
            numbers = below(numbers, completion.lowest_processed)
        return found

    async def _fetch_changed(self, numbers: Ranges, items: Sequence[str], changed_since: int) -> list[Fetched]:
        can = "CONDSTORE" in self.capabilities and not self._refusals.refuses(self._server, CHANGEDSINCE)
        if can:
            command = commands.uid_fetch(written(numbers), items, changed_since=changed_since)
            with self._leaning_on(CHANGEDSINCE):
                completion = await self._run(command, FETCH_SECONDS)
            if completion.ok:
                self._refusals.worked(self._server, CHANGEDSINCE)
                return fetched(completion)
        found: list[Fetched] = []
        for batch in chunks(await self.search(f"UID {written(numbers)}"), MESSAGES_AT_ONCE):
            found += await self.fetch(((batch[0], batch[-1]),), items)
        if can:
            self._refusals.refused(self._server, CHANGEDSINCE)
        return found

    @property
    def id_items(self) -> tuple[str, ...]:
        """The data items for persistent ids of messages and threads, and for Gmail's labels."""
        if self._refusals.refuses(self._server, IDS):
            return ()
        if "X-GM-EXT-1" in self.capabilities:
            return ("X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS")
        return ("EMAILID", "THREADID") if "OBJECTID" in self.capabilities else ()

    def refuses_ids(self) -> None:
        """Remember that the server refuses `id_items`."""
        self._refusals.refused(self._server, IDS)

    @property
    def tells_unseen_parts(self) -> bool:
        """Whether parts may be requested of a message whose structure is unknown."""
        return not self._refusals.refuses(self._server, UNSEEN)

    def refuses_unseen_parts(self) -> None:
        """Remember that the server refuses that."""
        self._refusals.refused(self._server, UNSEEN)

    async def fetch_each(
        self, numbers: Ranges, items: Sequence[str], heed: Callable[[list[Fetched]], Awaitable[None]]
    ) -> None:
        """Fetch data items of messages by UID and pass the messages to `heed` as they arrive.

        A message is passed on once another one follows, since a server may spread one over several responses. Later
        responses about it, and those about other messages, are passed on separately. Raises `CommandRefused` for NO
        and BAD, after `heed` got what arrived before. If `heed` raises, the session is broken.
        """
        gathered = Gathering()

        async def take(data: list[Untagged]) -> None:
            gathered.add(data)
            if whole := gathered.take_whole():
                await heed(whole)

        completion = await self._run(commands.uid_fetch(written(numbers), items), FETCH_SECONDS, take)
        gathered.add(completion.data)
        if gathered.found or completion.ok:
            await heed(list(gathered.found.values()))
        if not completion.ok:
            raise completion.refused()

    async def fetch_numbered(self, first: int, last: int, items: Sequence[str]) -> list[Fetched]:
        """Fetch data items of messages by sequence number, `first` to `last` inclusive, in ascending order.

        The numbers are those valid after the previous command. Raises `FetchRefused`.
        """
        found: dict[int, Fetched] = {}
        while first <= last:
            completion = await self._run(commands.fetch(f"{first}:{last}", items), FETCH_SECONDS)
            told = {one.number: one for one in fetched(completion) if first <= one.number <= last}
            found |= told
            if completion.lowest_processed is None or not told:
                break
            last = min(told) - 1
        return [found[number] for number in sorted(found)]

    async def search(self, *criteria: str | bytes) -> array[int]:
        """The matching UIDs, ascending."""
        found: list[tuple[int, int]] = []
        rest: tuple[str, ...] = ()
        while True:
            completion = await self._search((*criteria, *rest), "ALL")
            for each in completion.data:
                if isinstance(each, ESearch):
                    found += each.ranges
                elif isinstance(each, Search):
                    found += [(number, number) for number in each.numbers]
            lowest = completion.lowest_processed
            if lowest is None or lowest < 2 or rest == (f"UID 1:{lowest - 1}",):
                return expanded(found)
            rest = (f"UID 1:{lowest - 1}",)

    async def search_part(self, criteria: Criteria, first: int, last: int) -> tuple[array[int], int]:
        """Some of the matching UIDs, ascending, and the total number of matches.

        `first` and `last` count the matches: `1, 20` are those with the lowest UIDs, `-1, -20` those with the highest.
        If the server supports PARTIAL (RFC 9394), it sends only these.
        """
        if {"ESEARCH", "PARTIAL"} <= self.capabilities:
            completion = await self._search(criteria, f"COUNT PARTIAL {first}:{last}")
            told = next((each for each in completion.data if isinstance(each, ESearch)), None)
            if told is not None and told.count is not None and completion.lowest_processed is None:
                return expanded(told.part), told.count
        found = await self.search(*criteria)
        if first > 0:
            return found[first - 1 : last], len(found)
        return found[max(len(found) + last, 0) : max(len(found) + first + 1, 0)], len(found)

    async def threads(self, algorithm: str, criteria: Criteria) -> list[tuple[int, ...]]:
        """The UIDs of the matching messages, grouped by conversation (THREAD, RFC 5256)."""
        command = commands.uid_thread(algorithm, self._search_pieces(criteria))
        completion = await self._require(command, FETCH_SECONDS)
        return [uids for each in completion.data if isinstance(each, Thread) for uids in each.threads]

    async def _search(self, criteria: Criteria, wanted: str) -> Completion:
        """SEARCH; `wanted` are the return options (RFC 4731), used only if the server has ESEARCH."""
        pieces = self._search_pieces(criteria)
        # If mailbox names are UTF-8, so is all else, and a charset must not be given (RFC 6855 section 3).
        foreign = not self._protocol.utf8 and any(isinstance(each, bytes) and not each.isascii() for each in criteria)
        forms: list[tuple[str | None, Command]] = [(None, commands.uid_search(pieces, charset=foreign))]
        if "ESEARCH" in self.capabilities:
            forms.insert(0, ("ESEARCH", commands.uid_search(pieces, wanted=wanted, charset=foreign)))
        form, completion = await self._first_taken(forms, FETCH_SECONDS)
        if form == "ESEARCH" and not completion.data:
            completion = await self._require(forms[-1][1], FETCH_SECONDS)
            if completion.data:
                self._refusals.refused(self._server, form)  # the server ignored the options
        return completion

    def _search_pieces(self, criteria: Criteria) -> list[commands.Piece]:
        utf8 = self._protocol.utf8
        return [
            each.encode("ascii") if isinstance(each, str) else commands.string(each, utf8=utf8) for each in criteria
        ]

    async def download(
        self, uid: int, section: str, *, decoded: bool = False, offset: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Download a section of a message in pieces of at most 256 KiB; yields nothing if there is no such message.

        `decoded`: the server decodes the transfer encoding (BINARY, RFC 3516); the section must then be a part.
        `offset` and `end` select octets. The message is not marked as seen. The next piece is requested before the
        current one is yielded, so that the server works in the meantime; at most two are in memory. A caller may stop
        early, and use the session for something else. Raises `CommandRefused`, also if the message is removed on
        the way.
        """
        name = f"{'BINARY' if decoded else 'BODY'}.PEEK[{section}]"
        asked, begun = False, offset
        while (size := DOWNLOAD_BYTES if end is None else min(DOWNLOAD_BYTES, end - offset)) > 0:
            if not asked:
                await self._give(commands.uid_fetch(str(uid), ["UID", f"{name}<{offset}.{size}>"]))
            completion = await self._answer(FETCH_SECONDS)
            one = next((each for each in fetched(completion) if each.uid == uid), None)
            if one is None and offset > begun and not await self._has(uid):
                raise CommandRefused(
                    "* NO [EXPUNGEISSUED] The message was removed during the download", "EXPUNGEISSUED"
                )
            piece, last = _piece(one, section, offset, size, end)
            offset += len(piece)
            more = DOWNLOAD_BYTES if end is None else min(DOWNLOAD_BYTES, end - offset)
            asked = not last and more > 0
            if asked:
                await self._give(commands.uid_fetch(str(uid), ["UID", f"{name}<{offset}.{more}>"]))
            if piece:
                yield piece
            if not asked:
                return

    async def _has(self, uid: int) -> bool:
        """Whether the mailbox contains such a message."""
        return any(one.uid == uid for one in await self.fetch(((uid, uid),), ("UID",)))


def _piece(one: Fetched | None, section: str, offset: int, size: int, end: int | None) -> tuple[bytes, bool]:
    """The received piece of a section, and whether it is the last. A server may send the whole instead of a part."""
    name = section.upper()
    data = b"" if one is None else one.sections.get(name, b"")
    if one is not None and name not in one.cut:
        return data[offset:end], True
    return data[:size], len(data) < size
