"""A mailbox at an IMAP server, as a second client of it sees and changes it."""

from __future__ import annotations

import imaplib
import random
import re
from typing import Any, NamedTuple

OURS = ("$api1", "$api2", "$api3")
"""Flags that only requests change."""
THEIRS = ("\\Seen", "\\Flagged", "$other1")
"""Flags that only the second client changes."""
BROKEN = (OSError, imaplib.IMAP4.error, imaplib.IMAP4.abort)
FLAGS_TOLD = re.compile(rb"\((?=.*UID (\d+))(?=.*FLAGS \(([^)]*)\))")
LISTED = re.compile(rb'\(([^)]*)\) (NIL|"[^"]*") (.*)')

Contents = dict[tuple[str, int], frozenset[str]]
"""Flags by folder and UID."""


class Server(NamedTuple):
    """Where the mailbox is, and how to log in."""

    host: str
    port: int
    user: str
    password: str

    def registration(self) -> dict[str, Any]:
        """What the account is registered with."""
        auth = {"user": self.user, "pass": self.password}
        imap = {"host": self.host, "port": self.port, "secure": False, "auth": auth, "resyncDelay": 15}
        return {"account": "jane", "name": "Jane", "email": "jane@example.com", "imap": imap}


class Client:
    """A session of its own. All methods raise `BROKEN`."""

    def __init__(self, server: Server) -> None:
        self._imap = imaplib.IMAP4(server.host, server.port, timeout=60)
        self._imap.login(server.user, server.password)
        folders = self._list()
        self.delimiter = next(iter(folders.values()))
        below = f"INBOX{self.delimiter}"
        self.prefix = below if all(each == "INBOX" or each.startswith(below) for each in folders) else ""
        """What the path of every folder but INBOX begins with."""

    def close(self) -> None:
        self._imap.shutdown()

    def folders(self) -> list[str]:
        """The paths of all folders that can be selected."""
        return list(self._list())

    def _list(self) -> dict[str, str]:
        found = {}
        for line in self._imap.list()[1]:
            if isinstance(line, bytes) and (match := LISTED.fullmatch(line)) and b"\\Noselect" not in match[1]:
                found[match[3].decode().strip('"')] = match[2].decode().strip('"')
        return found

    def append(self, path: str, subject: str) -> None:
        raw = f"From: a@x.example\r\nSubject: {subject}\r\nMessage-ID: <{subject.replace(' ', '-')}@x.example>\r\n\r\nx"
        self._done(self._imap.append(f'"{path}"', "", "", f"{raw}\r\n".encode()))

    def uids(self, path: str) -> list[int]:
        """The UIDs in a folder, which is selected then."""
        self._done(self._imap.select(f'"{path}"'))
        return [int(each) for each in self._done(self._imap.uid("SEARCH", "ALL"))[0].split()]

    def store(self, uids: list[int], dice: random.Random) -> None:
        """Change flags of messages in the folder that is selected."""
        how = dice.choice(("+FLAGS", "-FLAGS"))
        self._imap.uid("STORE", _set(uids), how, f"({' '.join(dice.sample(THEIRS, dice.randint(1, 2)))})")

    def remove(self, uids: list[int]) -> None:
        self._imap.uid("STORE", _set(uids), "+FLAGS", "(\\Deleted)")
        self._imap.expunge()

    def transfer(self, uids: list[int], path: str, *, keep: bool) -> None:
        """Copy messages from the folder that is selected into another, or (`keep` False) move them."""
        if keep or "MOVE" in self._imap.capabilities:
            self._imap.uid("COPY" if keep else "MOVE", _set(uids), f'"{path}"')
        else:
            self._done(self._imap.uid("COPY", _set(uids), f'"{path}"'))
            self.remove(uids)

    def create(self, path: str) -> None:
        self._imap.create(f'"{path}"')
        self._imap.subscribe(f'"{path}"')

    def rename(self, path: str, new: str) -> None:
        self._imap.rename(f'"{path}"', f'"{new}"')

    def delete(self, path: str) -> None:
        self._imap.select("INBOX")
        self._imap.delete(f'"{path}"')

    def contents(self) -> tuple[set[str], Contents]:
        """Every folder and every message there is."""
        folders, found = self.folders(), Contents()
        for path in folders:
            self._done(self._imap.select(f'"{path}"', readonly=True))
            for line in self._imap.uid("FETCH", "1:*", "(FLAGS)")[1]:
                if isinstance(line, bytes) and (match := FLAGS_TOLD.search(line)):
                    found[path, int(match[1])] = frozenset(match[2].decode().split()) - {"\\Recent"}
        return set(folders), found

    @staticmethod
    def _done(answer: tuple[str, list[Any]]) -> list[Any]:
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(repr(answer))
        return answer[1]


def _set(uids: list[int]) -> str:
    return ",".join(str(each) for each in uids)
