"""The verbs that change messages: STORE, COPY, MOVE, EXPUNGE, APPEND. `session` describes the errors raised.

A set of UIDs is sent in one command, so callers split large sets (`uid_sets.portions`). If a server processes only part
of the messages (MESSAGELIMIT, RFC 9738), it is asked again for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import msgspec

from engine.imap import commands
from engine.imap.commands import Chunk, Command
from engine.imap.dialogue import COMMAND_SECONDS
from engine.imap.mailboxes import encode_name
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.reader import FETCH_SECONDS, ImapReader
from engine.imap.responses import StatusKind, StatusResponse
from engine.imap.uid_sets import Ranges, below, in_order, ranges, written

APPEND_BYTES_PER_SECOND = 32 * 1024
"""The slowest upload for which the time limit of an APPEND suffices."""
DELETED = "\\Deleted"
Made: TypeAlias = Callable[[Ranges], Command]
"""Makes a command for some UIDs."""

UNMARKINGS = 3
"""Maximum searches for others' marks before an EXPUNGE that would also remove their messages."""


class Appended(msgspec.Struct, frozen=True):
    """The UIDVALIDITY and UID of an appended message; both None if the server has no UIDPLUS."""

    uid_validity: int | None
    uid: int | None


class Copied(msgspec.Struct, frozen=True):
    """Where copies are: the UIDVALIDITY of their mailbox, and their UIDs by original UID.

    Empty if the server does not say (no UIDPLUS).
    """

    uid_validity: int | None = None
    uids: dict[int, int] = {}


class ImapChanger(ImapReader):
    """The verbs that change messages."""

    async def store(self, uids: Collection[int], flags: Sequence[str], how: str = "+") -> None:
        """Add (`+`), remove (`-`) or set (empty `how`) flags."""
        if not all(commands.is_system_flag(each) for each in flags):
            await self.look()
        await self._of_all(uids, lambda spans: commands.uid_store(written(spans), how, flags))

    async def store_labels(self, uids: Collection[int], labels: Sequence[str], how: str = "+") -> None:
        """The same with Gmail's labels (X-GM-EXT-1)."""
        utf8 = self._protocol.utf8
        given = [each if commands.is_system_flag(each) else encode_name(each, utf8=utf8) for each in labels]
        await self._of_all(uids, lambda spans: commands.uid_store_labels(written(spans), how, given, utf8=utf8))

    async def copy(self, uids: Collection[int], path: str) -> Copied:
        """Copy messages into another mailbox."""
        await self.look()
        name, utf8 = self._wire_name(path), self._protocol.utf8
        done = await self._of_all(uids, lambda spans: commands.uid_copy(written(spans), name, utf8=utf8))
        return _copied(done, len(uids))

    async def move(self, uids: Collection[int], path: str) -> Copied:
        """Move messages into another mailbox: by MOVE (RFC 6851), else by copying, marking as deleted and expunging.

        Without MOVE, the messages may have been copied if this is refused or the connection breaks.
        """
        if self.offers("MOVE"):
            name, utf8 = self._wire_name(path), self._protocol.utf8
            with self._leaning_on("MOVE"):
                command = commands.uid_copy(_set(uids), name, move=True, utf8=utf8)
                completion = await self._run(command, FETCH_SECONDS)
            if completion.ok:
                self._refusals.worked(self._server, "MOVE")
                rest = below(ranges(sorted(set(uids))), completion.lowest_processed)
                done = [completion]
                if rest:
                    done += await self._of_spans(
                        rest, lambda spans: commands.uid_copy(written(spans), name, move=True, utf8=utf8)
                    )
                return _copied(done, len(uids))
            if completion.status.kind is not StatusKind.BAD:
                raise completion.refused()
            self._refusals.refused(self._server, "MOVE")
        copied = await self.copy(uids, path)
        await self.store(uids, (DELETED,))
        await self.expunge(uids)
        return copied

    async def expunge(self, uids: Collection[int]) -> None:
        """Remove those of the messages that are marked as deleted, and no others.

        Without UIDPLUS, EXPUNGE would remove every marked message. So the other messages lose their marks first and get
        them back afterwards, even if it is refused. A mark set in the round trip in between is not noticed.
        """
        if self.offers("UIDPLUS"):
            await self._of_all(uids, lambda spans: commands.expunge(written(spans)))
            return
        ours, others = set(uids), set[int]()
        try:
            for _ in range(UNMARKINGS):
                marked = set(await self.search("DELETED")) - ours
                if not marked:
                    break
                others |= marked
                await self.store(marked, (DELETED,), "-")
            await self._require(commands.expunge(None), FETCH_SECONDS)
        finally:
            if others and self.usable:
                await self.store(others, (DELETED,))

    async def append(
        self, path: str, message: Sequence[Chunk], flags: Sequence[str] = ("\\Seen",), date: float | None = None
    ) -> Appended:
        """Store a message, given in pieces with CRLF line ends, in a mailbox.

        `date` is its INTERNALDATE in seconds since 1970, None for now. Raises `CommandRefused` (code `TRYCREATE`: no
        such mailbox; `OVERQUOTA`), `NetworkError`, `ProtocolError`, `ValueError` for a path or flag that IMAP cannot
        carry. If cancelled, or if the connection breaks, the message may have been stored.
        """
        utf8 = self._protocol.utf8
        command = commands.append(self._wire_name(path), flags, date, message, utf8=utf8)
        size = commands.size_of(message)
        completion = await self._with_literal(command, size, COMMAND_SECONDS + size / APPEND_BYTES_PER_SECOND)
        code = completion.status.code
        if code is None or code.name != "APPENDUID":
            return Appended(None, None)
        return Appended(code.number(0), code.number(1))

    def offers(self, extension: str) -> bool:
        """Whether the server has an extension that IMAP4rev2 includes (RFC 9051 appendix E)."""
        rev2 = "IMAP4REV2" in self.capabilities and "IMAP4REV1" not in self.capabilities
        return extension in self.capabilities or (rev2 and not self._refusals.refuses(self._server, extension))

    async def _of_all(self, uids: Collection[int], command: Made) -> list[Completion]:
        return await self._of_spans(ranges(sorted(set(uids))), command)

    async def _of_spans(self, spans: Ranges, command: Made) -> list[Completion]:
        """Send a command for these UIDs, and again for those not processed. Raises `CommandRefused`."""
        done: list[Completion] = []
        while spans:
            done.append(await self._require(command(spans), FETCH_SECONDS))
            spans = below(spans, done[-1].lowest_processed)
        return done

    async def _with_literal(self, command: Command, size: int, timeout: float) -> Completion:
        """Run a command that ends in a literal; if the server may not accept it unasked, request a continuation."""
        kind = next((each for each in ("LITERAL+", "LITERAL-") if each in self.capabilities), None)
        if kind is None or size > commands.unasked_limit(self.capabilities):
            return await self._require(command, timeout)
        with self._leaning_on(kind):
            completion = await self._run(command, timeout)
        if completion.status.kind is not StatusKind.BAD:
            if not completion.ok:
                raise completion.refused()
            self._refusals.worked(self._server, kind)
            return completion
        server = self._server
        self._refusals.refused(server, kind)
        try:
            return await self._require(command, timeout)
        except CommandRefused:
            self._refusals.forget(server, (kind,))
            raise

    def _wire_name(self, path: str) -> bytes:
        listed = self._names.get(path)
        return encode_name(path, utf8=self._protocol.utf8) if listed is None else listed


def _set(uids: Collection[int]) -> str:
    return written(ranges(sorted(set(uids))))


def _copied(done: Sequence[Completion], asked: int) -> Copied:
    """Read COPYUID (RFC 4315): in the reply to COPY, or before that of MOVE (RFC 6851)."""
    validity: int | None = None
    uids: dict[int, int] = {}
    for completion in done:
        for response in (*completion.data, completion.status):
            code = response.code if isinstance(response, StatusResponse) else None
            if code is None or code.name != "COPYUID":
                continue
            old, new = in_order(code.ranges(1), asked), in_order(code.ranges(2), asked)
            if len(old) == len(new):
                validity = code.number(0)
                uids |= dict(zip(old, new, strict=True))
    return Copied(validity, uids) if validity is not None else Copied()
