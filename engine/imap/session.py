"""The verbs of an IMAP server on a logged-in connection, one method each.

1. Every method raises `CommandRefused` for NO and BAD, `NetworkError` and `ProtocolError` if the connection is no
   longer usable, and `ValueError` for what IMAP cannot carry.
2. Messages are identified by UID only.
3. The methods choose extensions by what the server offers, and do without one that it refuses (`refusals`). Callers see
   the same results either way.
4. Of the data about a message, whatever makes sense is returned (`fetched`). After a FETCH that ends with NO or BAD,
   what arrived before is available; requested messages that are missing from it failed or are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import trio

from engine.imap import commands
from engine.imap.changer import Appended, Copied, ImapChanger
from engine.imap.commands import Command
from engine.imap.connection import LOGOUT_SECONDS, POLL_SECONDS, ImapEndpoint
from engine.imap.dialogue import COMMAND_SECONDS
from engine.imap.fetched import Fetched
from engine.imap.gathering import FetchRefused, gathered
from engine.imap.mailboxes import SUBSCRIBED, Mailbox, mailboxes
from engine.imap.nodes import words
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.reader import FETCH_SECONDS
from engine.imap.responses import (
    Exists,
    ListEntry,
    MailboxStatus,
    Namespace,
    Subscribed,
)
from engine.imap.selection import STATUS_ITEMS, Selected, read_selected

__all__ = [
    "COMMAND_SECONDS",
    "LOGOUT_SECONDS",
    "POLL_SECONDS",
    "Appended",
    "CommandRefused",
    "Copied",
    "FetchRefused",
    "Glance",
    "ImapEndpoint",
    "ImapSession",
    "Mailbox",
    "Selected",
]

_INBOX = "INBOX"
HELD_SECONDS = 10.0
"""How long after SELECT a path still counts as leading to that mailbox, provided that STATUS agrees."""


class Glance(NamedTuple):
    """Messages with sequence numbers from `first` to `last`, ascending, as far as the server described them."""

    first: int
    last: int
    messages: list[Fetched]


class ImapSession(ImapChanger):
    """A connection that is logged in. Made by `connect`."""

    async def list_mailboxes(self) -> list[Mailbox]:
        """Every mailbox, in the server's order. Raises `CommandRefused`, `NetworkError`, `ProtocolError`."""
        return self._listed((await self._list(()))[1])

    async def list_with_status(self, items: Sequence[str]) -> tuple[list[Mailbox], dict[str, dict[str, int]]]:
        """Every mailbox, and the STATUS items of those that have any, by path.

        This takes one command if the server has LIST-STATUS (RFC 5819), else one more for each selectable mailbox.
        """
        found, statuses = await self._list_with_status(items)
        if statuses is None:
            statuses = {each.path: await self.status(each.path, items) for each in found if each.selectable}
        return found, statuses

    async def list_subscribed(self, items: Sequence[str]) -> tuple[list[Mailbox], dict[str, dict[str, int]]]:
        """The same with `\\Subscribed` among the flags, and STATUS items only if they come with the list."""
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
        """Every mailbox, and the STATUS items sent with the list; None if the server cannot send them."""
        form, completion = await self._list(items if "LIST-STATUS" in self.capabilities else (), subscribed=subscribed)
        found = self._listed(completion)
        paths = {name: path for path, name in self._names.items()}
        told = [each for each in completion.data if isinstance(each, MailboxStatus)]
        if form == "LIST-STATUS" and (told or not any(each.selectable for each in found)):
            ids = {paths[each.name]: each.mailbox_id for each in told if each.name in paths and each.mailbox_id}
            found = [msgspec.structs.replace(each, mailbox_id=ids.get(each.path)) for each in found]
            return found, {paths[each.name]: each.items for each in told if each.name in paths}
        if form == "LIST-STATUS":
            self._refusals.refused(self._server, form)  # the server ignored the options
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
        """The STATUS items of a mailbox; empty if the server refuses."""
        name = self._wire_name(path)
        return _told(await self._run(commands.status(name, items, utf8=self._protocol.utf8)), name)

    async def counters(self, path: str, items: Sequence[str]) -> dict[str, int]:
        """The same, but a refusal raises `CommandRefused`."""
        name = self._wire_name(path)
        return _told(await self._require(commands.status(name, items, utf8=self._protocol.utf8)), name)

    async def namespace(self) -> Namespace | None:
        """The server's namespaces (RFC 2342); None if it lacks or refuses the command."""
        if "NAMESPACE" not in self.capabilities:
            return None
        completion = await self._try("NAMESPACE", commands.namespace())
        return next((each for each in completion.data if isinstance(each, Namespace)), None)

    async def enable(self, *names: str) -> frozenset[str]:
        """Enable those of the extensions that the server offers (RFC 5161); return all that are now enabled."""
        wanted = [name for name in names if name in self.capabilities and name not in self._protocol.enabled]
        if wanted and "ENABLE" in self.capabilities:
            await self._try("ENABLE", commands.enable(wanted))
        return self._protocol.enabled

    async def create(self, path: str) -> str | None:
        """Create a mailbox; return the server's id for it, if it sends one (RFC 8474)."""
        code = (await self._on_mailbox("CREATE", path)).status.code
        if code is None or code.name != "MAILBOXID" or not code.arguments:
            return None
        return next(iter(words(code.arguments[0])), None)

    async def delete(self, path: str) -> None:
        """Remove a mailbox with its messages."""
        await self._on_mailbox("DELETE", path)

    async def subscribe(self, path: str, *, on: bool = True) -> None:
        """Subscribe to a mailbox, or (`on` False) unsubscribe."""
        await self._on_mailbox("SUBSCRIBE" if on else "UNSUBSCRIBE", path)

    async def rename(self, path: str, new: str) -> None:
        """Give a mailbox another path."""
        await self._require(commands.rename(self._wire_name(path), self._wire_name(new), utf8=self._protocol.utf8))

    async def select(self, path: str, *, read_only: bool = False, known: tuple[int, int] | None = None) -> Selected:
        """Select a mailbox; pending news of the previous one is dropped, since its sequence numbers are void.

        `known` (UIDVALIDITY, MODSEQ) requests the changes since then. It requires QRESYNC to be enabled; the result
        says whether the server sent them. Raises `CommandRefused` (then no mailbox is selected), also if the answer
        does not contain the number of messages, `NetworkError`, `ProtocolError`, and `ValueError` for a path that IMAP
        cannot carry.
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
        """Make sure that a mailbox is selected; avoid SELECT if it already is.

        1. If `uid_validity` is given and the selected mailbox has it, the session only looks for news (`look`). That
           is safe for messages identified by UID: while UIDVALIDITY is the same, a UID means the same message, wherever
           the mailbox is now. The counts may be out of date; if a message seems to be missing, look again after `enter`
           without `uid_validity`.
        2. If the path was selected at most ten seconds ago, NOOP and STATUS are sent, which cost the server far less
           than opening a large mailbox again. STATUS must show the same UIDVALIDITY and number of messages, since
           another client may have put a different mailbox at this path. After ten seconds STATUS is not trusted:
           Dovecot answers it for the selected path from the session, whatever is there now.
        3. Otherwise the mailbox is selected.

        With `read_only`, a mailbox that is selected for changes will do too. Raises like `select`.
        """
        held = self.selection
        if self.selected != path or held is None or held.uid_validity is None or (held.read_only and not read_only):
            return await self.select(path, read_only=read_only)
        if uid_validity is not None and held.uid_validity == uid_validity:
            await self.look()
            self.selection = msgspec.structs.replace(held.after(self.take_pending()), same_messages=True)
            return self.selection
        if uid_validity is not None or trio.current_time() - self.selected_at > HELD_SECONDS:
            return await self.select(path, read_only=read_only)
        confirmed, _ = await self._confirmed(path, held)
        return confirmed or await self.select(path, read_only=read_only)

    async def enter_looking(
        self, path: str, numbers: Callable[[int], tuple[int, int] | None], items: Sequence[str]
    ) -> tuple[Selected, Glance | None]:
        """`enter` for reading; where case 2 applies, fetch data items of some messages in the same round trip.

        `numbers` returns the first and last sequence number of these, given the number of messages. The glance is None
        if nothing was fetched, or if the mailbox turns out to be another or to have other messages now. The FETCH goes
        first, so that its numbers are those that the client knows (RFC 3501 section 5.5).
        """
        held = self.selection
        fresh = trio.current_time() - self.selected_at <= HELD_SECONDS
        span = numbers(held.exists) if held is not None and fresh and self.selected == path else None
        if held is None or held.uid_validity is None or span is None:
            return await self.enter(path), None
        confirmed, (told, *_) = await self._confirmed(path, held, commands.fetch(f"{span[0]}:{span[1]}", items))
        if confirmed is None:
            return await self.select(path, read_only=True), None
        if not told.ok or told.lowest_processed is not None or not confirmed.same_messages:
            return confirmed, None
        found = sorted((one for one in gathered(told) if span[0] <= one.number <= span[1]), key=lambda one: one.number)
        return confirmed, Glance(*span, found)

    async def _confirmed(
        self, path: str, held: Selected, *before: Command
    ) -> tuple[Selected | None, Sequence[Completion]]:
        """The selected mailbox, if NOOP and STATUS show it at this path; the answers to the commands `before` these."""
        modseq = ("HIGHESTMODSEQ",) if "CONDSTORE" in self.capabilities else ()
        items, name = (*STATUS_ITEMS, *modseq), self._wire_name(path)
        asking = (commands.noop(), commands.status(name, items, utf8=self._protocol.utf8))
        timeout = FETCH_SECONDS if before else COMMAND_SECONDS
        *answers, nothing, told = await self._run_together(*before, *asking, timeout=timeout)
        if not nothing.ok:
            return None, answers
        held, status = held.after(self.take_pending()), _told(told, name)
        if not held.agrees(status):
            return None, answers
        self.selection = msgspec.structs.replace(
            held, uid_next=status.get("UIDNEXT"), highest_modseq=status.get("HIGHESTMODSEQ"), same_messages=True
        )
        return msgspec.structs.replace(self.selection, same_messages=held.same_messages), answers

    async def unselect(self) -> None:
        """Leave the mailbox without expunging. If the server lacks UNSELECT, the inbox is read in its place.

        Courier renames no mailbox that is selected, and knows no UNSELECT. Raises like `select`.
        """
        if "UNSELECT" not in self.capabilities:
            if self.selected != _INBOX:
                await self.select(_INBOX, read_only=True)
            return
        self.selected = None
        await self._require(commands.unselect())

    def _listed(self, completion: Completion) -> list[Mailbox]:
        entries = [entry for entry in completion.data if isinstance(entry, ListEntry)]
        found = mailboxes(entries, utf8=self._protocol.utf8)
        self._names.clear()
        self._names |= {mailbox.path: name for name, mailbox in found.items()}
        return list(found.values())

    async def _on_mailbox(self, verb: str, path: str) -> Completion:
        return await self._require(commands.on_mailbox(verb, self._wire_name(path), utf8=self._protocol.utf8))


def _told(completion: Completion, name: bytes) -> dict[str, int]:
    """The STATUS items of a mailbox. The server may spell its name differently from the list."""
    told = [each for each in completion.data if isinstance(each, MailboxStatus)]
    return next((each.items for each in told if each.name == name), told[-1].items if told else {})
