"""The mailbox as a reader of the events knows it, and what is wrong with what was told."""

from __future__ import annotations

from collections import Counter
from typing import Any

from soak_parts.server import OURS, THEIRS, Contents


class Reader:
    """Hears every event of the account, in order."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.messages: Contents = {}
        self.faults: list[str] = []
        self.counted: Counter[str] = Counter()
        self.void: set[str] = set()
        """Folders that were renamed and numbered anew, as Cyrus does; their reader has to read them again."""
        self._marked = False
        """Whether the message last told to be removed was known to be marked as deleted."""
        self._last = 0
        self._renamed = ""
        self._renames: set[str] = set()

    def hear(self, event: dict[str, Any]) -> None:
        """The next event."""
        if event["seq"] != self._last + 1:
            self.faults.append(f"event {event['seq']} came after {self._last}")
        self._last = event["seq"]
        self.counted[event["event"]] += 1
        heed = getattr(self, f"_{event['event']}", None)
        if heed is None:
            return
        if (fault := heed(event["data"])) is not None:
            self.faults.append(f"{fault}: {event}")
        if self._has_right_source(event) is False:
            self.faults.append(f"told with another's source: {event}")

    def _messageNew(self, data: dict[str, Any]) -> str | None:
        key = (data["path"], data["uid"])
        twice = key in self.messages
        self.messages[key] = frozenset(data["flags"])
        return "told twice" if twice else None

    def _messageUpdated(self, data: dict[str, Any]) -> str | None:
        key = (data["path"], data["uid"])
        before, after = self.messages.get(key), frozenset(data["changes"]["flags"]["value"])
        self.messages[key] = after
        if before is None:
            return None if data["path"] in self.void else "flags of what nobody was told of"
        return "the same flags again" if before == after else None

    def _messageDeleted(self, data: dict[str, Any]) -> str | None:
        gone = self.messages.pop((data["path"], data["uid"]), None)
        self._marked = gone is not None and "\\Deleted" in gone
        return "deleted, and nobody was told of it" if gone is None and data["path"] not in self.void else None

    def _mailboxNew(self, data: dict[str, Any]) -> str | None:
        path, before = data["path"], data.get("renamedFrom")
        twice = path in self.folders
        self.folders.add(path)
        if before is not None:
            if before != self._renamed:
                return "renamed from a folder that was not told to be gone"
            self._renames.add(path)
            for folder, uid in [each for each in self.messages if each[0] == before]:
                self.messages[path, uid] = self.messages.pop((folder, uid))
        return "a folder told twice" if twice else None

    def _mailboxDeleted(self, data: dict[str, Any]) -> str | None:
        path, there = data["path"], data["path"] in self.folders
        self.folders.discard(path)
        if "renamedTo" in data:
            self._renamed = path
        else:
            self.messages = {key: flags for key, flags in self.messages.items() if key[0] != path}
        return None if there else "a folder deleted that nobody was told of"

    def _mailboxReset(self, data: dict[str, Any]) -> str | None:
        if data["path"] not in self._renames:
            return "numbered anew, which nobody did"
        self.void.add(data["path"])
        return None

    def _messageMissing(self, data: dict[str, Any]) -> str | None:
        return "a message that the server hides"

    def read_again(self, messages: Contents) -> None:
        """Take the messages of the folders that were numbered anew from what is there."""
        self.messages = {key: flags for key, flags in self.messages.items() if key[0] not in self.void}
        self.messages |= {key: flags for key, flags in messages.items() if key[0] in self.void}
        self.void.clear()

    def _has_right_source(self, event: dict[str, Any]) -> bool | None:
        """Whether the event names the API exactly if a request made the change; None: that cannot be seen in it."""
        data = event["data"]
        ours: bool
        if event["event"] == "messageUpdated":
            flags = data["changes"]["flags"]
            changed = {*flags.get("added", ()), *flags.get("deleted", ())}
            if not changed or "\\Deleted" in changed or (changed & {*OURS} and changed & {*THEIRS}):
                return None  # either may have marked a message as deleted, to remove it
            ours = bool(changed & {*OURS})
        elif event["event"] == "messageDeleted":
            if self._marked:
                return None  # copied with its mark, so that any EXPUNGE removes it
            ours = data["uid"] % 2 == 1
        elif event["event"].startswith("mailbox"):
            name = data["name"]
            if not name.startswith(("api", "other")):
                return None
            ours = name.startswith("api")
        else:
            return None
        return (data.get("source") == "api") == ours


def differences(reader: Reader, there: tuple[set[str], Contents]) -> list[str]:
    """In what the mailbox differs from what was told of it."""
    folders, messages = there
    found = [f"folder {path} is {'not ' * (path in folders)}told" for path in sorted(folders ^ reader.folders)]
    for key in sorted(messages.keys() | reader.messages.keys()):
        now, told = messages.get(key), reader.messages.get(key)
        if now != told:
            found.append(f"{key} is {_shown(now)}, was told to be {_shown(told)}")
    return found


def _shown(flags: frozenset[str] | None) -> str:
    return "not there" if flags is None else f"({' '.join(sorted(flags))})"
