"""The sandbox's accounts: folders of messages in memory, with UIDs, flags and callbacks for connections.

Folder names are opaque text (modified UTF-7 is not decoded); `/` separates levels. UIDs of a folder only increase and
are never reused under the same UIDVALIDITY. `Limits` bounds everything: a full account drops its oldest messages, and
beyond the limits for all accounts, the account unused for longest is dropped, unless a connection has it open. Refused
changes raise `SandboxRefusal`. Nothing here waits; every change calls the folder's callbacks at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable

import msgspec

DELIMITER = "/"
REMOVED = 10_000
"""Maximum removals that a folder remembers."""
SPECIAL_USE = {"INBOX": None, "Sent": "\\Sent", "Drafts": "\\Drafts", "Trash": "\\Trash", "Junk": "\\Junk"}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much the sandbox stores. Bytes are those of raw messages."""

    message_bytes: int = 26_214_400
    account_bytes: int = 67_108_864
    account_messages: int = 10_000
    total_bytes: int = 268_435_456
    accounts: int = 10_000
    folders: int = 200
    """Per account."""
    folder_name: int = 255
    """Characters."""
    outside_bytes: int = 67_108_864
    """For messages to addresses outside the sandbox."""
    caught_bytes: int = 33_554_432
    """For the messages that people look at, to any address."""
    log_entries: int = 10_000
    """Maximum deliveries, and maximum messages to the outside, that are remembered."""


class SandboxRefusal(Exception):
    """A refused change. `code` is the IMAP response code, None if servers send none."""

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class SandboxMessage(msgspec.Struct, eq=False):
    """One message.

    `date` is its internal date in seconds since 1970 UTC, `change` the number of its folder's last change to it,
    `arrival` its place in the order in which its account received messages.
    """

    uid: int
    raw: bytes
    flags: frozenset[str]
    date: float
    change: int
    arrival: int


class Space:
    """The space used by one account or by all together."""

    def __init__(self, whole: Space | None = None) -> None:
        self.bytes = 0
        self.messages = 0
        self.arrivals = 0
        self._whole = whole

    def take(self, raw: bytes) -> int:
        """Count a new message; return its place in the order of arrival."""
        self.count(1, len(raw))
        self.arrivals += 1
        return self.arrivals

    def count(self, messages: int, size: int) -> None:
        """Add to the space used; negative numbers reduce it."""
        self.messages += messages
        self.bytes += size
        if self._whole is not None:
            self._whole.count(messages, size)


class SandboxFolder:
    """Messages in UID order. `changes` grows with every change, so a reader can tell whether it has seen them all."""

    def __init__(self, name: str, uid_validity: int, space: Space) -> None:
        self.name = name
        self.special_use = SPECIAL_USE.get(name)
        self.uid_validity = uid_validity
        self.uid_next = 1
        self.subscribed = False
        self.messages: list[SandboxMessage] = []
        self.keywords: list[str] = []
        """Every flag ever set that is not a system flag, in order of first use."""
        self.changes = 0
        self.flag_change = 0
        """The last change that set flags."""
        self.removals = 0
        """How often messages were removed."""
        self.removed: deque[tuple[int, int]] = deque(maxlen=REMOVED)
        """(change, UID) of the latest removals."""
        self._space = space
        self._watchers: dict[object, Callable[[], None]] = {}

    @property
    def watched(self) -> bool:
        """Whether a connection has this folder open."""
        return bool(self._watchers)

    def watch(self, who: object, changed: Callable[[], None]) -> None:
        """Call `changed` after every change, until `unwatch(who)`."""
        self._watchers[who] = changed

    def unwatch(self, who: object) -> None:
        """Stop calling; nothing happens if `who` does not watch."""
        self._watchers.pop(who, None)

    def find(self, uid: int) -> SandboxMessage | None:
        """The message with this UID."""
        index = bisect_left(self.messages, uid, key=lambda message: message.uid)
        found = self.messages[index] if index < len(self.messages) else None
        return found if found is not None and found.uid == uid else None

    def add(self, raw: bytes, date: float, flags: Iterable[str] = ()) -> SandboxMessage:
        """Append a message under the next UID."""
        message = SandboxMessage(self.uid_next, raw, frozenset(flags), date, self.changes + 1, self._space.take(raw))
        self.uid_next += 1
        self.messages.append(message)
        self._note_keywords(message.flags)
        self._changed()
        return message

    def set_flags(self, message: SandboxMessage, flags: frozenset[str]) -> None:
        """Set a message's flags to exactly these."""
        if flags != message.flags:
            message.flags = flags
            message.change = self.flag_change = self.changes + 1
            self._note_keywords(flags)
            self._changed()

    def remove(self, uids: Collection[int]) -> None:
        """Remove messages; unknown UIDs are ignored."""
        gone = set(uids)
        removed = [message for message in self.messages if message.uid in gone]
        if removed:
            self.messages = [message for message in self.messages if message.uid not in gone]
            self._space.count(-len(removed), -sum(len(message.raw) for message in removed))
            self.removals += 1
            self.removed += [(self.changes + 1, message.uid) for message in removed]
            self._changed()

    def drop_oldest(self) -> None:
        """Remove the oldest message."""
        message = self.messages.pop(0)
        self._space.count(-1, -len(message.raw))
        self.removals += 1
        self.removed.append((self.changes + 1, message.uid))
        self._changed()

    def removed_since(self, change: int) -> list[int]:
        """The UIDs removed after a change, in order; all missing UIDs if the change is too long ago to know."""
        if len(self.removed) == REMOVED and change < self.removed[0][0]:
            there = {message.uid for message in self.messages}
            return [uid for uid in range(1, self.uid_next) if uid not in there]
        return sorted(uid for when, uid in self.removed if when > change)

    def renumber(self, uid_validity: int) -> None:
        """Give the messages UIDs from 1 on under a new UIDVALIDITY."""
        self.uid_validity = uid_validity
        self.removed.clear()
        for uid, message in enumerate(self.messages, start=1):
            message.uid = uid
        self.uid_next = len(self.messages) + 1
        self._changed()

    def _note_keywords(self, flags: frozenset[str]) -> None:
        self.keywords += sorted(flag for flag in flags if not flag.startswith("\\") and flag not in self.keywords)

    def _changed(self) -> None:
        self.changes += 1
        for changed in list(self._watchers.values()):
            changed()


class SandboxAccount:
    """One user's folders. INBOX is found in any case of letters and cannot be deleted or renamed."""

    def __init__(self, user: str, limits: Limits, whole: Space, now: float) -> None:
        self.user = user
        self.space = Space(whole)
        self._limits = limits
        self.last_validity = int(now) - 1
        """The last UIDVALIDITY used."""
        self.folders: dict[str, SandboxFolder] = {}
        for name in SPECIAL_USE:
            self._make(name, now).subscribed = True

    @property
    def watched(self) -> bool:
        """Whether a connection has one of the folders open."""
        return any(folder.watched for folder in self.folders.values())

    def folder(self, name: str) -> SandboxFolder:
        """The folder of this name. Raises `SandboxRefusal`."""
        name = canonical(name)
        if name not in self.folders:
            raise SandboxRefusal(f"Mailbox doesn't exist: {name}", "NONEXISTENT")
        return self.folders[name]

    def create(self, name: str, now: float) -> None:
        """Create a folder and its missing parents. Raises `SandboxRefusal`."""
        name = canonical(name.removesuffix(DELIMITER))
        self._check_name(name)
        if name in self.folders:
            raise SandboxRefusal("Mailbox already exists", "ALREADYEXISTS")
        levels = name.split(DELIMITER)
        paths = [DELIMITER.join(levels[:depth]) for depth in range(1, len(levels) + 1)]
        missing = [path for path in paths if canonical(path) not in self.folders]
        if len(self.folders) + len(missing) > self._limits.folders:
            raise SandboxRefusal("Too many mailboxes", "LIMIT")
        for path in missing:
            self._make(path, now)

    def delete(self, name: str) -> None:
        """Drop a folder with its messages; folders below it stay. Raises `SandboxRefusal`."""
        folder = self.folder(name)
        if folder.name == "INBOX":
            raise SandboxRefusal("INBOX can't be deleted")
        del self.folders[folder.name]
        folder.remove([message.uid for message in folder.messages])

    def rename(self, old: str, new: str, now: float) -> None:
        """Rename a folder and those below it; messages, UIDs and UIDVALIDITY go along. Raises `SandboxRefusal`."""
        old, new = self.folder(old).name, canonical(new.removesuffix(DELIMITER))
        below = old + DELIMITER
        if old == "INBOX":
            raise SandboxRefusal("Renaming INBOX isn't supported", "CANNOT")
        if new.startswith(below):
            raise SandboxRefusal("Can't rename a mailbox below itself", "CANNOT")
        moving = {name: new + name[len(old) :] for name in self.folders if name == old or name.startswith(below)}
        for renamed in moving.values():
            self._check_name(renamed)
            if renamed in self.folders:
                raise SandboxRefusal("Target mailbox already exists", "ALREADYEXISTS")
        parent = new.rpartition(DELIMITER)[0]
        if parent and canonical(parent) not in self.folders:
            self.create(parent, now)
        for name, renamed in moving.items():
            folder = self.folders.pop(name)
            folder.name = renamed
            folder.special_use = SPECIAL_USE.get(renamed)
            self.folders[renamed] = folder

    def renumber(self, name: str) -> None:
        """Void every UID, as a server does that lost a folder's index. Raises `SandboxRefusal`."""
        self.last_validity += 1
        self.folder(name).renumber(self.last_validity)

    def make_room(self) -> None:
        """Drop the oldest messages until the account is within its limits."""
        while self.space.bytes > self._limits.account_bytes or self.space.messages > self._limits.account_messages:
            filled = [folder for folder in self.folders.values() if folder.messages]
            min(filled, key=lambda folder: folder.messages[0].arrival).drop_oldest()

    def _make(self, name: str, now: float) -> SandboxFolder:
        # A folder created again must not get a UIDVALIDITY that it had before, even within the same second.
        self.last_validity = max(self.last_validity + 1, int(now))
        folder = self.folders[name] = SandboxFolder(name, self.last_validity, self.space)
        return folder

    def _check_name(self, name: str) -> None:
        if not name:
            raise SandboxRefusal("Invalid mailbox name: Name is empty", "CANNOT")
        if len(name) > self._limits.folder_name:
            raise SandboxRefusal("Invalid mailbox name: Name is too long", "CANNOT")
        if not (name.isascii() and name.isprintable()):
            raise SandboxRefusal("Invalid mailbox name: Not printable ASCII", "CANNOT")
        if "" in name.split(DELIMITER):
            raise SandboxRefusal("Invalid mailbox name: Has adjacent hierarchy separators", "CANNOT")


class SandboxAccounts:
    """All accounts by user, each created on first use. The dict is in order of use, oldest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.space = Space()
        self._by_user: dict[str, SandboxAccount] = {}
        self._validity_floor = 0

    def __len__(self) -> int:
        return len(self._by_user)

    def open(self, user: str, now: float) -> SandboxAccount:
        """The account of a user (an address in lower case), which becomes the one used last."""
        account = self._by_user.pop(user, None)
        if account is None:
            account = SandboxAccount(user, self.limits, self.space, max(now, self._validity_floor))
        self._by_user[user] = account
        if len(self._by_user) > self.limits.accounts:
            self._forget_one(account)
        return account

    def make_room(self, account: SandboxAccount) -> None:
        """Bring everything within the limits after `account` took a message."""
        account.make_room()
        while self.space.bytes > self.limits.total_bytes and self._forget_one(account):
            pass

    def _forget_one(self, spared: SandboxAccount) -> bool:
        for user, account in self._by_user.items():
            if account is not spared and not account.watched:
                del self._by_user[user]
                # It may be created again within the same second, and must not get its old UIDVALIDITY.
                self._validity_floor = max(self._validity_floor, account.last_validity + 1)
                self.space.count(-account.space.messages, -account.space.bytes)
                return True
        return False


def canonical(name: str) -> str:
    """A folder's name in stored form: INBOX is the same name in any case (RFC 3501 section 5.1)."""
    return "INBOX" if name.upper() == "INBOX" else name
