"""What an IMAP server can be asked to do, one method per verb, on a connection that is logged in.

Every method raises `CommandRefused` for NO and BAD, `NetworkError` and `ProtocolError` when the connection is of no use
any more, and `ValueError` for what IMAP cannot carry. Lists of messages are given and taken by UID only. Which
extension is used is decided here, from what the server offers; callers see the same answers either way.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence

import msgspec

from engine.errors import ProtocolError
from engine.imap import commands
from engine.imap.connection import (
    COMMAND_SECONDS,
    LOGOUT_SECONDS,
    POLL_SECONDS,
    ImapConnection,
    ImapEndpoint,
)
from engine.imap.fetched import Fetched, read_fetch
from engine.imap.mailboxes import Mailbox, encode_name, mailboxes
from engine.imap.numbers import Ranges, expanded, ranges, written
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.responses import (
    ESearch,
    Exists,
    Fetch,
    ListEntry,
    MailboxStatus,
    Namespace,
    Search,
    StatusKind,
    StatusResponse,
    Untagged,
    Vanished,
)

__all__ = [
    "COMMAND_SECONDS",
    "LOGOUT_SECONDS",
    "POLL_SECONDS",
    "Appended",
    "CommandRefused",
    "ImapEndpoint",
    "ImapSession",
    "Mailbox",
    "Selected",
]

APPEND_BYTES_PER_SECOND = 32 * 1024
"""The slowest upload an APPEND is given time for."""
FETCH_SECONDS = 300.0
"""For a FETCH or SEARCH that may concern many messages."""
DOWNLOAD_BYTES = 256 * 1024
"""How much of a large section is asked for at a time."""


class Selected(msgspec.Struct, frozen=True):
    """What a server says of a mailbox when it is selected; None for what it left out.

    Without `uid_validity` its UIDs mean nothing beyond this session, without `highest_modseq` it keeps no MODSEQ.
    `vanished` and `changed` are what happened since the position that was given (QRESYNC).
    """

    exists: int
    uid_validity: int | None
    uid_next: int | None
    highest_modseq: int | None
    read_only: bool
    vanished: Ranges = ()
    changed: tuple[Fetched, ...] = ()


class Appended(msgspec.Struct, frozen=True):
    """Where an appended message is now; both None when the server has no UIDPLUS."""

    uid_validity: int | None
    uid: int | None


class ImapSession(ImapConnection):
    """A connection that is logged in. Made by `connect`."""

    async def list_mailboxes(self) -> list[Mailbox]:
        """Every mailbox, in the server's order. Raises `CommandRefused`, `NetworkError`, `ProtocolError`."""
        completion = await self._require(commands.list_mailboxes(special_use=self._marks_uses))
        return self._listed(completion)

    async def list_with_status(self, items: Sequence[str]) -> tuple[list[Mailbox], dict[str, dict[str, int]]]:
        """Every mailbox, and the STATUS items of those that have one, by path.

        One command where the server has LIST-STATUS (RFC 5819), else one more for each mailbox that can be selected.
        """
        if "LIST-STATUS" not in self.capabilities:
            found = await self.list_mailboxes()
            return found, {each.path: await self.status(each.path, items) for each in found if each.selectable}
        completion = await self._require(
            commands.list_mailboxes(special_use=self._marks_uses, status=items), FETCH_SECONDS
        )
        found = self._listed(completion)
        paths = {name: path for path, name in self._names.items()}
        told = [each for each in completion.data if isinstance(each, MailboxStatus)]
        return found, {paths[each.name]: each.items for each in told if each.name in paths}

    async def status(self, path: str, items: Sequence[str]) -> dict[str, int]:
        """The STATUS items of a mailbox; empty where the server refuses them."""
        command = commands.status(self._wire_name(path), items, utf8=self._protocol.utf8)
        completion = await self._run(command)
        told = [each for each in completion.data if isinstance(each, MailboxStatus)]
        return told[0].items if told else {}

    async def namespace(self) -> Namespace | None:
        """The server's namespaces (RFC 2342); None where it has no such command."""
        if "NAMESPACE" not in self.capabilities:
            return None
        completion = await self._require(commands.namespace())
        return next((each for each in completion.data if isinstance(each, Namespace)), None)

    async def enable(self, *names: str) -> frozenset[str]:
        """Switch on those of the extensions that the server offers (RFC 5161); all that are on now."""
        wanted = [name for name in names if name in self.capabilities and name not in self._protocol.enabled]
        if wanted and "ENABLE" in self.capabilities:
            await self._require(commands.enable(wanted))
        return self._protocol.enabled

    async def create(self, path: str) -> None:
        """Make a mailbox."""
        await self._on_mailbox("CREATE", path)

    async def delete(self, path: str) -> None:
        """Remove a mailbox with its messages."""
        await self._on_mailbox("DELETE", path)

    async def subscribe(self, path: str, *, on: bool = True) -> None:
        """Subscribe to a mailbox, or end that."""
        await self._on_mailbox("SUBSCRIBE" if on else "UNSUBSCRIBE", path)

    async def rename(self, path: str, new: str) -> None:
        """Give a mailbox another path."""
        await self._require(commands.rename(self._wire_name(path), self._wire_name(new), utf8=self._protocol.utf8))

    async def select(self, path: str, *, read_only: bool = False, known: tuple[int, int] | None = None) -> Selected:
        """Select a mailbox; what was pending of the one before is dropped, its numbers mean nothing any more.

        `known` (UIDVALIDITY, MODSEQ) asks for what changed since; only with QRESYNC enabled. Raises `CommandRefused`
        (no mailbox is selected then), `NetworkError`, `ProtocolError`, `ValueError` for a path IMAP cannot carry.
        """
        self.selected = None
        command = commands.select(
            self._wire_name(path),
            read_only=read_only,
            utf8=self._protocol.utf8,
            condstore="CONDSTORE" in self.capabilities,
            known=known,
        )
        completion = await self._require(command, FETCH_SECONDS if known else COMMAND_SECONDS)
        self.selected = path
        return _selected(completion, read_only, told_changes=known is not None)

    async def unselect(self) -> None:
        """Leave the mailbox as it is; nothing where the server cannot."""
        if "UNSELECT" in self.capabilities:
            await self._require(commands.unselect())
            self.selected = None

    async def fetch(self, numbers: Ranges, items: Sequence[str], *, changed_since: int | None = None) -> list[Fetched]:
        """Ask for data items of messages by UID; what the server said of others meanwhile is among the answers.

        `changed_since` limits it to messages changed after that MODSEQ (CONDSTORE).
        """
        if not numbers:
            return []
        command = commands.uid_fetch(written(numbers), items, changed_since=changed_since)
        return _fetched(await self._require(command, FETCH_SECONDS))

    async def fetch_each(
        self, numbers: Ranges, items: Sequence[str], heed: Callable[[list[Fetched]], Awaitable[None]]
    ) -> None:
        """Ask for data items of messages by UID; `heed` is given them while they come.

        A message is handed on once another follows, since a server may spread one over several responses; what it says
        of one after that comes as a message of its own, as does what it says of others. What `heed` raises leaves the
        session broken.
        """
        kept: dict[int, Fetched] = {}

        async def take(data: list[Untagged]) -> None:
            _gather(kept, data)
            whole = [kept.pop(uid) for uid in list(kept)[:-1]]
            if whole:
                await heed(whole)

        completion = await self._require(commands.uid_fetch(written(numbers), items), FETCH_SECONDS, take)
        await heed(list(_gather(kept, completion.data).values()))

    async def download(self, uid: int, section: str) -> AsyncIterator[bytes]:
        """A section of a message, however large, in pieces of at most 256 KiB; nothing where there is no such message.

        The message is not marked as seen. Memory holds one piece at a time.
        """
        offset = 0
        while True:
            wanted = f"BODY.PEEK[{section}]<{offset}.{DOWNLOAD_BYTES}>"
            found = await self.fetch(((uid, uid),), ["UID", wanted])
            piece = next((each.sections.get(section.upper(), b"") for each in found if each.uid == uid), b"")
            if piece:
                yield piece
            if len(piece) != DOWNLOAD_BYTES:
                return
            offset += len(piece)

    async def search(self, *criteria: str | bytes) -> array[int]:
        """The UIDs that match, rising. `str` criteria stand as they are (`SINCE 1-Jan-2026`), `bytes` are quoted."""
        pieces = [each.encode("ascii") if isinstance(each, str) else commands.string(each) for each in criteria]
        foreign = any(isinstance(each, bytes) and not each.isascii() for each in criteria)
        command = commands.uid_search(pieces, extended="ESEARCH" in self.capabilities, charset=foreign)
        completion = await self._require(command, FETCH_SECONDS)
        found: list[tuple[int, int]] = []
        for each in completion.data:
            if isinstance(each, ESearch):
                found += each.ranges
            elif isinstance(each, Search):
                found += [(number, number) for number in each.numbers]
        return expanded(found)

    async def store(self, uids: Collection[int], flags: Sequence[str], how: str = "+") -> None:
        """Add (`+`), remove (`-`) or set (empty `how`) flags."""
        await self._require(commands.uid_store(_set(uids), how, flags))

    async def copy(self, uids: Collection[int], path: str) -> None:
        """Copy messages into another mailbox."""
        await self._require(commands.uid_copy(_set(uids), self._wire_name(path), utf8=self._protocol.utf8))

    async def move(self, uids: Collection[int], path: str) -> None:
        """Move messages into another mailbox: at once with MOVE (RFC 6851), else copy, mark as deleted, expunge."""
        if "MOVE" in self.capabilities:
            command = commands.uid_copy(_set(uids), self._wire_name(path), move=True, utf8=self._protocol.utf8)
            await self._require(command)
            return
        await self.copy(uids, path)
        await self.store(uids, ("\\Deleted",))
        await self.expunge(uids)

    async def expunge(self, uids: Collection[int]) -> None:
        """Remove those of the messages that are marked as deleted.

        Without UIDPLUS every message so marked goes, whoever marked it: IMAP has no other way then.
        """
        await self._require(commands.expunge(_set(uids) if "UIDPLUS" in self.capabilities else None))

    async def append(
        self, path: str, message: Sequence[bytes], flags: Sequence[str] = ("\\Seen",), date: float | None = None
    ) -> Appended:
        """Store a message, given in pieces with CRLF line ends, in a mailbox.

        `date` is its INTERNALDATE in seconds since 1970, None for now. Raises `CommandRefused` (code `TRYCREATE`: there
        is no such mailbox; `OVERQUOTA`), `NetworkError`, `ProtocolError`, `ValueError` for a path or flag IMAP cannot
        carry. Cancelled or cut: the message may be there.
        """
        utf8 = self._protocol.utf8
        command = commands.append(self._wire_name(path), flags, date, message, utf8=utf8)
        size = sum(map(len, message))
        completion = await self._require(command, COMMAND_SECONDS + size / APPEND_BYTES_PER_SECOND)
        code = completion.status.code
        if code is None or code.name != "APPENDUID":
            return Appended(None, None)
        return Appended(code.number(0), code.number(1))

    @property
    def _marks_uses(self) -> bool:
        return {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities

    def _listed(self, completion: Completion) -> list[Mailbox]:
        entries = [entry for entry in completion.data if isinstance(entry, ListEntry)]
        found = mailboxes(entries, utf8=self._protocol.utf8)
        self._names = {mailbox.path: name for name, mailbox in found.items()}
        return list(found.values())

    def _wire_name(self, path: str) -> bytes:
        listed = self._names.get(path)
        return encode_name(path, utf8=self._protocol.utf8) if listed is None else listed

    async def _on_mailbox(self, verb: str, path: str) -> None:
        await self._require(commands.on_mailbox(verb, self._wire_name(path), utf8=self._protocol.utf8))


def _set(uids: Collection[int]) -> str:
    return written(ranges(sorted(set(uids))))


def _fetched(completion: Completion) -> list[Fetched]:
    return list(_gather({}, completion.data).values())


def _gather(found: dict[int, Fetched], data: list[Untagged]) -> dict[int, Fetched]:
    """Add the messages told of, each once: a server may spread one message over several responses."""
    for response in data:
        one = read_fetch(response) if isinstance(response, Fetch) else None
        if one is None:
            continue
        before = found.get(one.uid)
        found[one.uid] = one if before is None else _joined(before, one)
    return found


def _joined(one: Fetched, more: Fetched) -> Fetched:
    told = {name: value for name, value in msgspec.structs.asdict(more).items() if value is not None}
    return msgspec.structs.replace(one, **{**told, "sections": {**one.sections, **more.sections}})


def _selected(completion: Completion, read_only: bool, *, told_changes: bool = False) -> Selected:
    exists = 0
    numbers: dict[str, int | None] = {}
    vanished: list[tuple[int, int]] = []
    for response in (*completion.data, completion.status):
        if isinstance(response, Exists):
            exists = response.count
        elif isinstance(response, Vanished):
            vanished += response.ranges
        elif isinstance(response, StatusResponse) and response.kind is StatusKind.OK and response.code is not None:
            numbers[response.code.name] = response.code.number()
    uid_next = numbers.get("UIDNEXT")
    if uid_next is not None and not 0 < uid_next <= 2**32:
        raise ProtocolError("The server predicted a UID that cannot be")
    return Selected(
        exists=exists,
        uid_validity=numbers.get("UIDVALIDITY"),
        uid_next=uid_next,
        highest_modseq=numbers.get("HIGHESTMODSEQ"),
        read_only=read_only or "READ-ONLY" in numbers,
        vanished=tuple(vanished) if told_changes else (),
        changed=tuple(_fetched(completion)) if told_changes else (),
    )
