"""Mailboxes as the rest of the engine sees them, with decoded names.

Each name in a LIST gets a unique path, and the name is stored with it, since the server must get back exactly what it
sent. Correctly encoded names come first. Names that break the rules (raw UTF-8, or "R&D") are shown as a person would
read them. If another mailbox has that path, or the bytes make no sense, each byte is shown as U+FFFD and two
hexadecimal digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from engine.imap import special_use, utf7
from engine.imap.responses import ListEntry

SUBSCRIBED = "\\Subscribed"

_MARK = "\ufffd"
_UNREADABLE = re.compile(rb"[^\x20-\x7e]|&")
_ESCAPE = re.compile(f"{_MARK}([0-9A-F]{{2}})")
_ESCAPED = re.compile(f"(?:[\x20-\x7e]|{_MARK}[0-9A-F]{{2}})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    """One mailbox of an account.

    `path` is the decoded full name, `wire_name` the name that the server listed; `delimiter` separates its levels, None
    if there are none; `flags` are as the server sent them; `special_use` is as in RFC 6154, or `\\Inbox`, with
    `special_use_source` `extension` (the server said so) or `name`; both are None for an ordinary mailbox.
    `mailbox_id` is the server's own id, which another path does not change (RFC 8474), if it came with the list.
    """

    path: str
    wire_name: bytes = b""
    delimiter: str | None
    flags: frozenset[str]
    special_use: str | None = None
    special_use_source: str | None = None
    mailbox_id: str | None = None

    @property
    def selectable(self) -> bool:
        """Whether it can contain messages; otherwise it is only a level in the tree."""
        return not {"\\noselect", "\\nonexistent"} & {flag.lower() for flag in self.flags}

    @property
    def name(self) -> str:
        """The last level of its path."""
        return self.path.rpartition(self.delimiter)[2] if self.delimiter else self.path


def encode_name(path: str, *, utf8: bool) -> bytes:
    """The path as a name on the wire. Raises `ValueError` for lone surrogates."""
    if _is_escaped(path):
        return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), path).encode("latin-1")
    return path.encode() if utf8 else utf7.encode(path)


def decode_name(name: bytes, *, utf8: bool) -> str:
    """A name on the wire as a path that a person can read. Never fails, but two names may give the same path."""
    return _by_the_rules(name, utf8=utf8) or _readable(name) or _escaped(name)


def _by_the_rules(name: bytes, *, utf8: bool) -> str | None:
    try:
        path = name.decode() if utf8 else utf7.decode(name)
        return path if not _is_escaped(path) and (utf8 or utf7.encode(path) == name) else None
    except ValueError:
        return None


def _readable(name: bytes) -> str | None:
    try:
        path = name.decode()
    except UnicodeDecodeError:
        return None
    return None if _MARK in path or _CONTROL.search(path) else path


def _escaped(name: bytes) -> str:
    """A form unique to each name, and distinct from every path that follows the rules: none of those has this form."""
    return _UNREADABLE.sub(lambda match: f"{_MARK}{match[0][0]:02X}".encode(), name).decode()


def _is_escaped(path: str) -> bool:
    return _MARK in path and _ESCAPED.fullmatch(path) is not None


def mailboxes(entries: Iterable[ListEntry], *, utf8: bool) -> dict[bytes, Mailbox]:
    """The mailboxes of a LIST by their name on the wire, in the server's order, each with a different path.

    A name with NUL is left out, since IMAP cannot send it back.
    """
    several = {entry.name: entry for entry in entries if b"\0" not in entry.name}
    paths = {name: path for name in several if (path := _by_the_rules(name, utf8=utf8)) is not None}
    taken = set(paths.values())
    for name in several:
        if name not in paths:
            readable = _readable(name)
            paths[name] = _escaped(name) if readable is None or readable in taken else readable
            taken.add(paths[name])
    found = {}
    for name, entry in several.items():
        path = paths[name]
        use, source = special_use.marked_use(entry.flags), "extension"
        if path.upper() == "INBOX":
            use, source = special_use.INBOX, "name"
        found[name] = Mailbox(
            path=path,
            wire_name=name,
            delimiter=entry.delimiter,
            flags=entry.flags,
            special_use=use,
            special_use_source=source if use else None,
        )
    _use_names(found)
    return found


def _use_names(found: dict[bytes, Mailbox]) -> None:
    """For each use that the server marked nowhere, mark the topmost mailbox with a name for it."""
    taken = {mailbox.special_use for mailbox in found.values()}
    for name, mailbox in sorted(found.items(), key=lambda item: _parent(item[1]) != ""):
        use = special_use.use_of_name(mailbox.name)
        if use and use not in taken and mailbox.special_use is None and _may_have_use(mailbox):
            taken.add(use)
            found[name] = msgspec.structs.replace(mailbox, special_use=use, special_use_source="name")


def _parent(mailbox: Mailbox) -> str:
    return mailbox.path.rpartition(mailbox.delimiter)[0] if mailbox.delimiter else ""


def _may_have_use(mailbox: Mailbox) -> bool:
    # "Projects/Archive" is a user's own mailbox; "INBOX.Sent" and "[Google Mail]/Trash" are the server's.
    parent = _parent(mailbox).upper()
    own = parent in ("", "INBOX") or (parent.startswith("[") and parent.endswith("]"))
    return own and mailbox.selectable
