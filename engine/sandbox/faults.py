"""What can be made to go wrong with the sandbox beyond what an address can script. All off unless set.

For tests and rehearsals: set a field at any time, it counts from the next thing the servers do. The sandbox itself sets
nothing here, except that `sent_append_fails` counts down and the sets of connections are kept up to date.
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
"""Everything beyond IMAP4rev1: dropped, the sandbox is a server with no extensions at all."""


HANG_UP: Final = b"hang up"
SILENCE: Final = b"silence"
"""What `imap_script` returns for a connection that ends without a word, and for one that says nothing more."""


@dataclass
class Faults:
    """The switches; see each field."""

    refuse_dial: NetworkError | None = None
    """Every dial fails with this error."""
    dead: set[str | int] = field(default_factory=set)
    """Hosts and ports where nobody listens: dialling them is refused (ECONNREFUSED)."""
    greeting: bytes | None = None
    """The SMTP greeting, in place of the 220; unless it starts with 220 the connection is closed after it."""
    imap_greeting: bytes | None = None
    """The IMAP greeting; after `* BYE` the connection is closed, after `* PREAUTH` `preauth@sandbox.example` is in."""
    hang_smtp: bool = False
    """SMTP servers take what they are sent and never answer, not even with a greeting."""
    hang_imap: bool = False
    """The same for IMAP."""
    reject_login: set[str] = field(default_factory=set)
    """Users (full addresses) whose login is refused, whatever the password."""
    login_later: set[str] = field(default_factory=set)
    """Users whose login meets a temporary failure: SMTP 454, IMAP UNAVAILABLE."""
    require_login: bool = False
    """SMTP answers 530 to MAIL from a client that did not log in."""
    smtp_capabilities_drop: set[str] = field(default_factory=set)
    """EHLO keywords (`PIPELINING`, `AUTH`, `SMTPUTF8` ...) that are neither announced nor understood."""
    imap_capabilities_drop: set[str] = field(default_factory=set)
    """IMAP capabilities (`IDLE`, `UIDPLUS` ...), likewise."""
    messages_per_second: float | None = None
    """SMTP answers MAIL with 451 4.7.1 beyond this many messages a second, counted over ten, from one user."""
    files_sent: bool = False
    """The provider puts what a user sends into the user's Sent folder itself, as Gmail and Outlook do."""
    play_gmail: bool = False
    """IMAP announces X-GM-EXT-1 and answers Gmail's FETCH items."""
    knows_passwords: bool = False
    """IMAP offers SCRAM-SHA-256 and CRAM-MD5 too, with which only those get in whose password was set."""
    imap_lists_nothing: bool = False
    """LIST answers OK without a single folder."""
    imap_silent_about: set[int] = field(default_factory=set)
    """UIDs that FETCH leaves out although they are there, as a server does whose index is ahead of its store."""
    imap_garbles: set[int] = field(default_factory=set)
    """UIDs whose ENVELOPE or BODYSTRUCTURE comes as something no grammar knows."""
    imap_script: Callable[[str, str, bytes], bytes | None] | None = None
    """Asked before each IMAP command, with its tag, its name (`UID FETCH`) and the line it came in. What it returns is
    sent in place of all that would be answered; None: the command is carried out."""
    smtp_rewrite: Callable[[str], str] | None = None
    """Given each line of an SMTP reply, without CRLF, before it is sent; what it returns is sent in its place."""
    imap_rewrite: Callable[[bytes], bytes] | None = None
    """Given each response with its CRLF before IMAP sends it; what it returns is sent, nothing if that is empty."""
    sent_append_fails: int = 0
    """The next so many APPENDs answer NO."""
    smtp_timeout: float = 300.0
    """Seconds without a command after which SMTP answers 421 and closes."""
    imap_timeout: float = 1800.0
    """Seconds without a command, in IDLE too, after which IMAP says BYE and closes."""
    smtp_connections: set[MemoryStream] = field(default_factory=set)
    """The server's ends of the open SMTP connections."""
    imap_connections: set[MemoryStream] = field(default_factory=set)
    """The server's ends of the open IMAP connections."""

    def cut_smtp(self) -> None:
        """Close all SMTP connections without a word."""
        for stream in self.smtp_connections:
            stream.close()

    def cut_imap(self) -> None:
        """Close all IMAP connections without a word, as a server does that is killed and started again."""
        for stream in self.imap_connections:
            stream.close()
