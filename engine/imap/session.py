"""What an IMAP server can be asked to do, one method per verb, on a connection that is logged in.

Every method raises `CommandRefused` for NO and BAD, `NetworkError` and `ProtocolError` when the connection is of no use
any more, and `ValueError` for what IMAP cannot carry. Lists of messages are given and taken by UID only. Which
extension is used is decided here, from what the server offers; one that is refused is done without, and not asked for
again (`refusals`). Callers see the same answers either way.

What a server says of a message is told as far as it makes sense (`fetched`). A FETCH that ends with NO or BAD tells
what came before; the messages asked for and not told of are those that failed, or that are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import trio

from engine.imap import commands
from engine.imap.commands import Command
from engine.imap.connection import LOGOUT_SECONDS, POLL_SECONDS, ImapEndpoint
from engine.imap.dialogue import COMMAND_SECONDS
from engine.imap.gathering import FetchRefused, gathered
from engine.imap.mailboxes import SUBSCRIBED, Mailbox, encode_name, mailboxes
from engine.imap.nodes import words
from engine.imap.numbers import ranges, written
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.reader import FETCH_SECONDS, ImapReader
from engine.imap.responses import (
    Exists,
    ListEntry,
    MailboxStatus,
    Namespace,
    StatusKind,
    Subscribed,
)
from engine.imap.selection import STATUS_ITEMS, Selected, read_selected

__all__ = [
    "COMMAND_SECONDS",
    "LOGOUT_SECONDS",
    "POLL_SECONDS",
    "Appended",
    "CommandRefused",
    "FetchRefused",
    "ImapEndpoint",
    "ImapSession",
    "Mailbox",
    "Selected",
]

APPEND_BYTES_PER_SECOND = 32 * 1024
"""The slowest upload an APPEND is given time for."""
HELD_SECONDS = 10.0
"""How long a path is taken to lead to the mailbox that was selected by it, as far as STATUS agrees."""


class Appended(msgspec.Struct, frozen=True):
    """Where an appended message is now; both None when the server has no UIDPLUS."""

    uid_validity: int | None
    uid: int | None


class ImapSession(ImapReader):
    """A connection that is logged in. Made by `connect`."""

    async def list_mailboxes(self) -> list[Mailbox]:
        """Every mailbox, in the server's order. Raises `CommandRefused`, `NetworkError`, `ProtocolError`."""
        return self._listed((await self._list(()))[1])

    async def list_with_status(self, items: Sequence[str]) -> tuple[list[Mailbox], dict[str, dict[str, int]]]:
        """Every mailbox, and the STATUS items of those that have one, by path.

        One command where the server has LIST-STATUS (RFC 5819), else one more for each mailbox that can be selected.
        """
        found, statuses = await self._list_with_status(items)
        if statuses is None:
            statuses = {each.path: await self.status(each.path, items) for each in found if each.selectable}
        return found, statuses

    async def list_subscribed(self, items: Sequence[str]) -> tuple[list[Mailbox], dict[str, dict[str, int]]]:
        """The same with `\\Subscribed` among their flags, and STATUS items only where they come with the list."""
        found, statuses = await self._list_with_status(items, subscribed=True)
        if "LIST-EXTENDED" not in self.capabilities:
            completion = await self._run(commands.list_subscribed())
            names = {each.name for each in completion.data if isinstance(each, Subscribed)}
            found = [
                msgspec.structs.replace(each, flags=each.flags | {SUBSCRIBED}) if each.wire_name in names else each
                for each in found
            ]
        return found, statuses or {}

    async def _list_with_status(
        self, items: Sequence[str], *, subscribed: bool = False
    ) -> tuple[list[Mailbox], dict[str, dict[str, int]] | None]:
        """Every mailbox, and the STATUS items that came with the list; None where none can."""
        form, completion = await self._list(items if "LIST-STATUS" in self.capabilities else (), subscribed=subscribed)
        found = self._listed(completion)
        paths = {name: path for path, name in self._names.items()}
        told = [each for each in completion.data if isinstance(each, MailboxStatus)]
        if form == "LIST-STATUS" and (told or not any(each.selectable for each in found)):
            ids = {paths[each.name]: each.mailbox_id for each in told if each.name in paths and each.mailbox_id}
            found = [msgspec.structs.replace(each, mailbox_id=ids.get(each.path)) for each in found]
            return found, {paths[each.name]: each.items for each in told if each.name in paths}
        if form == "LIST-STATUS":
            self._refusals.refused(self._server, form)  # it took no notice
        return found, None

    async def _list(self, status: Sequence[str], *, subscribed: bool = False) -> tuple[str | None, Completion]:
        forms: list[tuple[str | None, Command]] = []
        extended = "LIST-EXTENDED" in self.capabilities
        marks, subscribed = extended and "SPECIAL-USE" in self.capabilities, extended and subscribed
        if status:
            command = commands.list_mailboxes(special_use=marks, subscribed=subscribed, status=status)
            forms.append(("LIST-STATUS", command))
        if marks or subscribed:
            command = commands.list_mailboxes(special_use=marks, subscribed=subscribed)
            forms.append(("LIST-EXTENDED", command))
        forms.append((None, commands.list_mailboxes(special_use=False)))
        return await self._first_taken(forms, FETCH_SECONDS if status else COMMAND_SECONDS)

    async def status(self, path: str, items: Sequence[str]) -> dict[str, int]:
        """The STATUS items of a mailbox; empty where the server refuses them."""
        name = self._wire_name(path)
        return _told(await self._run(commands.status(name, items, utf8=self._protocol.utf8)), name)

    async def _noop_and_status(self, path: str, items: Sequence[str]) -> dict[str, int]:
        name = self._wire_name(path)
        command = commands.status(name, items, utf8=self._protocol.utf8)
        nothing, status = await self._run_together(commands.noop(), command)
        if not nothing.ok:
            raise nothing.refused()
        return _told(status, name)

    async def namespace(self) -> Namespace | None:
        """The server's namespaces (RFC 2342); None where it has no such command, or refuses it."""
        if "NAMESPACE" not in self.capabilities:
            return None
        completion = await self._try("NAMESPACE", commands.namespace())
        return next((each for each in completion.data if isinstance(each, Namespace)), None)

    async def enable(self, *names: str) -> frozenset[str]:
        """Switch on those of the extensions that the server offers (RFC 5161); all that are on now."""
        wanted = [name for name in names if name in self.capabilities and name not in self._protocol.enabled]
        if wanted and "ENABLE" in self.capabilities:
            await self._try("ENABLE", commands.enable(wanted))
        return self._protocol.enabled

    async def create(self, path: str) -> str | None:
        """Make a mailbox; the server's own id of it, where it tells one (RFC 8474)."""
        code = (await self._on_mailbox("CREATE", path)).status.code
        if code is None or code.name != "MAILBOXID" or not code.arguments:
            return None
        return next(iter(words(code.arguments[0])), None)

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

        `known` (UIDVALIDITY, MODSEQ) asks for what changed since; only with QRESYNC enabled, and the answer says
        whether the server told. Raises `CommandRefused` (no mailbox is selected then), also where the server says
        nothing of its messages, `NetworkError`, `ProtocolError`,
        `ValueError` for a path IMAP cannot carry.
        """
        self.selected = None
        name, utf8 = self._wire_name(path), self._protocol.utf8
        forms: list[tuple[str | None, Command]] = []
        if known is not None and "QRESYNC" in self.capabilities:
            forms.append(("QRESYNC", commands.select(name, read_only=read_only, utf8=utf8, known=known)))
        elif "CONDSTORE" in self.capabilities:
            forms.append(("CONDSTORE", commands.select(name, read_only=read_only, utf8=utf8, condstore=True)))
        forms.append((None, commands.select(name, read_only=read_only, utf8=utf8)))
        form, completion = await self._first_taken(forms, FETCH_SECONDS if known else COMMAND_SECONDS)
        if not any(isinstance(each, Exists) for each in completion.data):
            raise CommandRefused(f"The server does not report the contents of {path}: {completion.status.line}", None)
        changed = gathered(completion) if form == "QRESYNC" else ()
        selected = read_selected(completion, changed, read_only=read_only, tells_changes=form == "QRESYNC")
        self.selected, self.selection = path, selected.without_changes()
        self.selected_at = trio.current_time()
        return selected

    async def enter(self, path: str, *, read_only: bool = True, uid_validity: int | None = None) -> Selected:
        """Have a mailbox selected: the one that is already, where it is that one still, else by SELECT.

        A mailbox selected up to ten seconds ago costs NOOP, after which the session knows what the server does, and
        STATUS, which must tell the same UIDVALIDITY and as many messages, since a foreign client may have put another
        mailbox under this path. Both cost the server far less than opening a large mailbox anew; longer they are not
        believed, because Dovecot answers STATUS of the selected path from the session, whatever is there now.

        Costs nothing where a mailbox of this `uid_validity` is selected, for those who ask for messages by UID: a UID
        is that message for as long as the UIDVALIDITY is the same, wherever the mailbox is now. The counts are then
        those of before; what seems not to be there has to be looked for once more after `enter` without it.

        With `read_only` the mailbox may be selected for changes too. Raises as `select`.
        """
        held = self.selection
        if self.selected != path or held is None or held.uid_validity is None or (held.read_only and not read_only):
            return await self.select(path, read_only=read_only)
        if uid_validity is not None and held.uid_validity == uid_validity:
            return held
        if uid_validity is not None or trio.current_time() - self.selected_at > HELD_SECONDS:
            return await self.select(path, read_only=read_only)
        modseq = ("HIGHESTMODSEQ",) if "CONDSTORE" in self.capabilities else ()
        try:
            status = await self._noop_and_status(path, (*STATUS_ITEMS, *modseq))
        except CommandRefused:
            return await self.select(path, read_only=read_only)
        held = held.after(self.take_pending())
        if not held.agrees(status):
            return await self.select(path, read_only=read_only)
        self.selection = msgspec.structs.replace(
            held, uid_next=status.get("UIDNEXT"), highest_modseq=status.get("HIGHESTMODSEQ")
        )
        return self.selection

    async def unselect(self) -> None:
        """Leave the mailbox as it is; nothing where the server cannot."""
        if "UNSELECT" in self.capabilities:
            self.selected = None
            await self._require(commands.unselect())

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
        completion = await self._with_literal(command, size, COMMAND_SECONDS + size / APPEND_BYTES_PER_SECOND)
        code = completion.status.code
        if code is None or code.name != "APPENDUID":
            return Appended(None, None)
        return Appended(code.number(0), code.number(1))

    async def _with_literal(self, command: Command, size: int, timeout: float) -> Completion:
        """A command that ends in a literal: where the server may not take it unasked after all, it is asked."""
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

    def _listed(self, completion: Completion) -> list[Mailbox]:
        entries = [entry for entry in completion.data if isinstance(entry, ListEntry)]
        found = mailboxes(entries, utf8=self._protocol.utf8)
        self._names.clear()
        self._names |= {mailbox.path: name for name, mailbox in found.items()}
        return list(found.values())

    def _wire_name(self, path: str) -> bytes:
        listed = self._names.get(path)
        return encode_name(path, utf8=self._protocol.utf8) if listed is None else listed

    async def _on_mailbox(self, verb: str, path: str) -> Completion:
        return await self._require(commands.on_mailbox(verb, self._wire_name(path), utf8=self._protocol.utf8))


def _set(uids: Collection[int]) -> str:
    return written(ranges(sorted(set(uids))))


def _told(completion: Completion, name: bytes) -> dict[str, int]:
    """The STATUS items of a mailbox. A server may spell its name in another way than it lists it."""
    told = [each for each in completion.data if isinstance(each, MailboxStatus)]
    return next((each.items for each in told if each.name == name), told[-1].items if told else {})
