"""Faults of the sandbox in addition to those that an address can script. All are off unless set.

For tests and rehearsals: set a field at any time, and it applies to the servers' next action. The sandbox itself only
counts down `sent_append_fails` and updates the sets of connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from engine.errors import NetworkError
from engine.sandbox.streams import MemoryStream

EXTENSIONS: Final = frozenset(
    {"CHILDREN", "CONDSTORE", "ENABLE", "ESEARCH", "ID", "IDLE", "LIST-STATUS", "LITERAL+", "MOVE", "NAMESPACE"}
    | {"QRESYNC", "SASL-IR", "SPECIAL-USE", "UIDPLUS", "UNSELECT"}
)
"""Everything beyond IMAP4rev1: with these dropped, the sandbox is a server without extensions."""


HANG_UP: Final = b"hang up"
SILENCE: Final = b"silence"
"""Results of `imap_script` for a connection that ends without a reply, and for one that goes silent."""


@dataclass
class Faults:
    """The switches; see each field."""

    refuse_dial: NetworkError | None = None
    """Every dial fails with this error."""
    dead: set[str | int] = field(default_factory=set)
    """Hosts and ports that refuse connections (ECONNREFUSED)."""
    greeting: bytes | None = None
    """The SMTP greeting instead of the 220; unless it starts with 220, the connection is closed after it."""
    imap_greeting: bytes | None = None
    """The IMAP greeting; `* BYE` closes the connection, `* PREAUTH` logs in `preauth@sandbox.example`."""
    hang_smtp: bool = False
    """SMTP servers read input and never answer, not even with a greeting."""
    hang_imap: bool = False
    """The same for IMAP."""
    reject_login: set[str] = field(default_factory=set)
    """Users (full addresses) whose login is refused, whatever the password."""
    login_later: set[str] = field(default_factory=set)
    """Users whose login fails temporarily: SMTP 454, IMAP UNAVAILABLE."""
    require_login: bool = False
    """SMTP answers 530 to MAIL from a client that did not log in."""
    smtp_capabilities_drop: set[str] = field(default_factory=set)
    """EHLO keywords (`PIPELINING`, `AUTH`, `SMTPUTF8` ...) that are neither announced nor understood."""
    imap_capabilities_drop: set[str] = field(default_factory=set)
    """IMAP capabilities (`IDLE`, `UIDPLUS` ...), likewise."""
    messages_per_second: float | None = None
    """SMTP answers MAIL with 451 4.7.1 beyond this many messages per second from one user, over ten seconds."""
    files_sent: bool = False
    """The provider files sent mail in the user's Sent folder itself, as Gmail and Outlook do."""
    play_gmail: bool = False
    """IMAP announces X-GM-EXT-1 and answers Gmail's FETCH items."""
    knows_passwords: bool = False
    """IMAP also offers SCRAM-SHA-256 and CRAM-MD5, which accept only users whose password was set."""
    imap_lists_nothing: bool = False
    """LIST answers OK without a single folder."""
    imap_silent_about: set[int] = field(default_factory=set)
    """UIDs that FETCH omits although they exist, as a server does whose index is ahead of its store."""
    imap_remembers_flags: bool = False
    """A session shows flags, and changes keywords, as they were at its last SELECT, NOOP, CHECK or IDLE, as Courier
    does."""
    imap_garbles: set[int] = field(default_factory=set)
    """UIDs whose ENVELOPE or BODYSTRUCTURE is sent in an invalid form."""
    imap_script: Callable[[str, str, bytes], bytes | None] | None = None
    """Called before each IMAP command with its tag, its name (`UID FETCH`) and its line. The result is sent instead of
    the whole answer; None: the command is carried out."""
    smtp_rewrite: Callable[[str], str] | None = None
    """Called with each line of an SMTP reply, without CRLF; the result is sent instead."""
    imap_rewrite: Callable[[bytes], bytes] | None = None
    """Called with each IMAP response and its CRLF; the result is sent instead, nothing if it is empty."""
    sent_append_fails: int = 0
    """This many APPENDs will be answered with NO."""
    smtp_timeout: float = 300.0
    """Seconds without a command after which SMTP answers 421 and closes."""
    imap_timeout: float = 1800.0
    """Seconds without a command, in IDLE too, after which IMAP says BYE and closes."""
    smtp_connections: set[MemoryStream] = field(default_factory=set)
    """The server's ends of the open SMTP connections."""
    imap_connections: set[MemoryStream] = field(default_factory=set)
    """The server's ends of the open IMAP connections."""

    def cut_smtp(self) -> None:
        """Close all SMTP connections without a reply."""
        for stream in self.smtp_connections:
            stream.close()

    def cut_imap(self) -> None:
        """Close all IMAP connections without a BYE, as a server does that is killed and restarted."""
        for stream in self.imap_connections:
            stream.close()
