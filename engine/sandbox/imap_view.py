"""A selected folder as one IMAP client knows it: sequence numbers change only when the client is told.

Pure. The `SandboxFolder` may change at any time; `updates` returns the untagged responses that bring the client up to
date (RFC 3501 section 7.4.1 says when EXPUNGE may be among them). If a folder is renumbered, `stale` is true, and the
server hangs up. `flags` may be out of date if the server remembers them (`Faults.imap_remembers_flags`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec

from engine.sandbox.accounts import SandboxFolder, SandboxMessage
from engine.sandbox.imap_input import SequenceSet, Syntax, written_set

SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")


class View:
    """`read_only` after EXAMINE. `modseqs` and `vanished`: the client enabled CONDSTORE and QRESYNC (RFC 7162)."""

    def __init__(
        self, folder: SandboxFolder, read_only: bool, *, modseqs: bool = False, vanished: bool = False
    ) -> None:
        self.folder = folder
        self.read_only = read_only
        self.modseqs = modseqs
        self.vanished = vanished
        self._uid_validity = folder.uid_validity
        self._uids = [message.uid for message in folder.messages]
        self._changes = folder.changes
        self._removals = folder.removals
        self._keywords = len(folder.keywords)
        self._told: set[int] = set()
        self._remembered: dict[int, frozenset[str]] = {}

    @property
    def stale(self) -> bool:
        """Whether the UIDs that this client knows are void."""
        return self.folder.uid_validity != self._uid_validity

    @property
    def exists(self) -> int:
        """How many messages the client knows."""
        return len(self._uids)

    def select(self, numbers: SequenceSet, *, by_uid: bool) -> Iterator[tuple[int, SandboxMessage]]:
        """The messages of a sequence set with their sequence numbers, without those removed since.

        Raises `Syntax` for sequence numbers that do not exist; unknown UIDs are no error (RFC 3501 section 6.4.8).
        """
        if by_uid:
            last = self._uids[-1] if self._uids else 0
            spans = [
                (bisect_left(self._uids, low), bisect_right(self._uids, high)) for low, high in numbers.spans(last)
            ]
        else:
            spans = [(low - 1, high) for low, high in numbers.spans(len(self._uids))]
            if not self._uids or spans[-1][1] > len(self._uids):
                raise Syntax("Invalid messageset")
        return self._at(spans)

    def all(self) -> Iterator[tuple[int, SandboxMessage]]:
        """Every message that the client knows."""
        return self._at([(0, len(self._uids))])

    def told(self, message: SandboxMessage) -> None:
        """Note that the client has this message's current flags, so `updates` need not repeat them."""
        if not self._remembered:
            self._told.add(message.uid)

    def remember(self) -> None:
        """Show the flags from now on as they are now."""
        self._remembered = {message.uid: message.flags for message in self.folder.messages}

    def shown(self, message: SandboxMessage) -> SandboxMessage:
        """The message as the client may see it."""
        flags = self._remembered.get(message.uid, message.flags)
        return message if flags == message.flags else msgspec.structs.replace(message, flags=flags)

    def store(self, message: SandboxMessage, how: str, flags: frozenset[str]) -> None:
        """Add, remove or set flags; `how` is STORE's operator. Remembered keywords replace those there are."""
        before = message.flags
        if message.uid in self._remembered:
            before = (before & {*SYSTEM_FLAGS}) | self._remembered[message.uid].difference(SYSTEM_FLAGS)
        changed = {"": flags, "+": before | flags, "-": before - flags}[how]
        self.folder.set_flags(message, changed)
        if self._remembered:
            self._remembered[message.uid] = changed
        self.told(message)

    def updates(self, *, expunges: bool, with_uid: bool = False) -> list[str]:
        """The changes the client does not know yet, as untagged responses without `*`; EXPUNGE only if `expunges`."""
        folder = self.folder
        lines: list[str] = []
        if not self.stale and (folder.changes != self._changes or self._removals != folder.removals):
            lines += self._new_keywords()
            if expunges and folder.removals != self._removals:
                lines += self._expunged()
                self._removals = folder.removals
            if folder.flag_change > self._changes:
                lines += self._new_flags(with_uid)
            lines += self._arrived()
            self._changes = folder.changes
        self._told.clear()
        return lines

    def _new_keywords(self) -> list[str]:
        if len(self.folder.keywords) == self._keywords:
            return []
        self._keywords = len(self.folder.keywords)
        return [self.flags_line(), self.permanent_flags_line()]

    def _expunged(self) -> list[str]:
        there = {message.uid for message in self.folder.messages}
        # From the highest down, so that no number shifts before it is used.
        gone = [index for index in reversed(range(len(self._uids))) if self._uids[index] not in there]
        uids = [self._uids[index] for index in reversed(gone)]
        self._uids = [uid for uid in self._uids if uid in there]
        if self.vanished:
            return [f"VANISHED {written_set(uids)}"] if uids else []
        return [f"{index + 1} EXPUNGE" for index in gone]

    def _new_flags(self, with_uid: bool) -> list[str]:
        lines = []
        for number, message in self.all():
            shown = message.uid in self._told or self._remembered.get(message.uid) == message.flags
            if message.change > self._changes and not shown:
                lines.append(self.flags_of(number, message, with_uid=with_uid))
        return lines

    def flags_of(self, number: int, message: SandboxMessage, *, with_uid: bool) -> str:
        """A FETCH response with the message's flags."""
        uid = f"UID {message.uid} " if with_uid or self.vanished else ""
        modseq = f" MODSEQ ({message.change})" if self.modseqs else ""
        return f"{number} FETCH ({uid}FLAGS ({written_flags(message.flags)}){modseq})"

    def changed_since(self, change: int) -> list[tuple[int, SandboxMessage]]:
        """The messages that changed after a change number."""
        return [(number, message) for number, message in self.all() if message.change > change]

    def _arrived(self) -> list[str]:
        known = self._uids[-1] if self._uids else 0
        messages = self.folder.messages
        first = len(messages)
        while first and messages[first - 1].uid > known:
            first -= 1
        if first == len(messages):
            return []
        self._uids += [message.uid for message in messages[first:]]
        return [f"{len(self._uids)} EXISTS", "0 RECENT"]

    def flags_line(self) -> str:
        """The FLAGS response."""
        return f"FLAGS ({' '.join((*SYSTEM_FLAGS, *self.folder.keywords))})"

    def permanent_flags_line(self) -> str:
        """The PERMANENTFLAGS response."""
        if self.read_only:
            return "OK [PERMANENTFLAGS ()] Read-only mailbox."
        flags = " ".join((*SYSTEM_FLAGS, *self.folder.keywords, "\\*"))
        return f"OK [PERMANENTFLAGS ({flags})] Flags permitted."

    def _at(self, spans: list[tuple[int, int]]) -> Iterator[tuple[int, SandboxMessage]]:
        for low, high in spans:
            for index in range(low, high):
                message = self.folder.find(self._uids[index])
                if message is not None:
                    yield index + 1, message


def written_flags(flags: frozenset[str]) -> str:
    """Flags in the form for a response: the system flags in their usual order, then keywords."""
    return " ".join([flag for flag in SYSTEM_FLAGS if flag in flags] + sorted(flags.difference(SYSTEM_FLAGS)))
