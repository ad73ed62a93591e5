"""The state of one IMAP connection: its user, its selected folder, its pending responses. Nothing here waits.

A command is a function of this state and its arguments that returns the text of its OK. It raises `SandboxRefusal` for
NO, and `Syntax` for BAD if its arguments make no sense.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from engine import sasl_server as login
from engine.sandbox.accounts import SandboxAccount, SandboxFolder, SandboxRefusal
from engine.sandbox.faults import Faults
from engine.sandbox.imap_input import Atom, Syntax, Token, atoms
from engine.sandbox.imap_view import SYSTEM_FLAGS, View
from engine.sandbox.post_office import PostOffice

_PLAIN_NAME = re.compile(r"[A-Za-z0-9&+,./:;=@_~$#!'<>?^|-]+")
_FLAG_BY_NAME = {flag.lower(): flag for flag in SYSTEM_FLAGS}


class ImapState:
    """One connection's state. `user` is None before login, `view` while no folder is selected.

    `changed` is called at every change of the selected folder.
    """

    def __init__(self, post: PostOffice, faults: Faults, changed: Callable[[], None]) -> None:
        self.post = post
        self.faults = faults
        self.user: str | None = None
        self.view: View | None = None
        self.enabled: set[str] = set()
        self.tag = ""
        """The tag of the current command."""
        self.out: list[bytes] = []
        self._changed = changed

    @property
    def account(self) -> SandboxAccount:
        """The user's current account; only after login."""
        assert self.user is not None
        return self.post.account(self.user)

    @property
    def selected(self) -> View:
        """The selected folder; only while one is selected."""
        assert self.view is not None
        return self.view

    def select(self, view: View) -> None:
        """Open a folder."""
        self.leave()
        self.view = view
        view.folder.watch(self, self._changed)

    def leave(self) -> None:
        """Close the selected folder, if any."""
        if self.view is not None:
            self.view.folder.unwatch(self)
            self.view = None

    def say(self, response: str) -> None:
        """Add an untagged response, given without its `*`."""
        self.out.append(line(f"* {response}"))

    def find(self, name: str, code: str | None) -> SandboxFolder:
        """The folder of this name. Raises `SandboxRefusal` with `code`."""
        try:
            return self.account.folder(name)
        except SandboxRefusal as error:
            raise SandboxRefusal(error.text, code) from error

    def offers(self, capability: str) -> bool:
        """Whether a capability is announced and understood."""
        if capability in self.faults.imap_capabilities_drop:
            return False
        if capability in KNOWING:
            return self.faults.knows_passwords
        return capability != GMAIL or self.faults.play_gmail

    def knows_modseqs(self, *, now: bool = False) -> bool:
        """Whether the client asked for CONDSTORE; `now`: it just did."""
        if now and self.offers("CONDSTORE"):
            self.enabled.add("CONDSTORE")
        return "CONDSTORE" in self.enabled


Command = Callable[[ImapState, list[Token]], str]


def line(written: str) -> bytes:
    """One line for the client. Line breaks are removed, since the text may contain input from the client."""
    return written.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape") + b"\r\n"


def written_name(name: str) -> str:
    """A folder's name in the form for a response."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_flags(token: Token) -> frozenset[str]:
    """A flag list or one flag: system flags in canonical case, keywords unchanged. Raises `Syntax`."""
    flags = set()
    for written in atoms(token):
        flag = _FLAG_BY_NAME.get(written.lower()) if written.startswith("\\") else written
        if flag is None:
            raise Syntax(f"Invalid system flag {written.upper()}")
        flags.add(flag)
    return frozenset(flags)


def arguments(given: list[Token], least: int, most: int | None = None) -> list[Token]:
    """The same list if its length is right. Raises `Syntax`."""
    if not least <= len(given) <= (least if most is None else most):
        raise Syntax("Invalid arguments")
    return given


def is_word(token: Token, word: str) -> bool:
    """Whether an argument is this word, in any case and unquoted."""
    return isinstance(token, Atom) and token.upper() == word


GMAIL: Final = "X-GM-EXT-1"
KNOWING: Final = tuple(f"AUTH={mechanism}" for mechanism in login.KNOWING)
PRELOGIN_CAPABILITIES: Final = (
    "IMAP4rev1",
    "SASL-IR",
    "ID",
    "IDLE",
    "LITERAL+",
    "AUTH=PLAIN",
    "AUTH=LOGIN",
    "AUTH=XOAUTH2",
    "AUTH=OAUTHBEARER",
    *KNOWING,
)
CAPABILITIES: Final = (
    "IMAP4rev1",
    "SASL-IR",
    "ID",
    "IDLE",
    "LITERAL+",
    "CHILDREN",
    "COMPRESS=DEFLATE",
    "CONDSTORE",
    "ENABLE",
    "ESEARCH",
    "LIST-STATUS",
    "MOVE",
    "NAMESPACE",
    "QRESYNC",
    "SPECIAL-USE",
    "UIDPLUS",
    "UNSELECT",
    GMAIL,
)
