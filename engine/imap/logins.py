"""The ways to log in, their order, and what a refusal says about them.

1. The order is SCRAM-SHA-256, PLAIN, LOGIN, CRAM-MD5, as far as the server offers them, then the LOGIN command.
2. After a refusal that may concern the way, the next one follows: BAD, words such as "mechanism not supported", or no
   reason at all. Servers also refuse SCRAM and CRAM-MD5 with AUTHENTICATIONFAILED if they store only a hash that does
   not suit them, so the next way follows then too. After PLAIN or LOGIN that code means a wrong password.
3. To avoid locking the account, one login makes at most `PASSWORDS` attempts whose refusal may count as a wrong
   password, and only one if its way has worked before.
4. When a later way works, the refused ones are remembered in `Refusals` and not used first again. When no way works,
   the next login continues with the ways not yet used, and after the last one starts over.
"""

from __future__ import annotations

import re
from enum import StrEnum

from engine import sasl
from engine.errors import LoginRefused
from engine.imap import commands
from engine.imap.commands import Command
from engine.imap.refusals import Refusals, Server
from engine.imap.responses import StatusKind, StatusResponse

PASSWORDS = 2
"""Maximum refusals in one login that may have been about the password."""
DIALS = 3
"""Maximum connections in one login: some servers hang up on a way that they do not support."""
LOGIN = "LOGIN"
"""The name of the LOGIN command among the ways; mechanisms are named `AUTH=PLAIN` and so on."""
TEMPORARY_CODES = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "OVERQUOTA", "SERVERBUG", "THROTTLED"})
"""Codes of a refused login that do not concern the credentials (RFC 5530; OVERQUOTA and THROTTLED at Gmail)."""
CREDENTIAL_CODES = frozenset({"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "CONTACTADMIN", "WEBALERT"})
"""Codes that concern the credentials or the account."""

WAY_CODES = frozenset({"CANNOT", "PRIVACYREQUIRED"})
"""Codes that concern the way."""

_LATER = re.compile(
    r"too (?:many|much)(?! (?:arguments|parameters|spaces))|temporar|unavailable|overload|throttl"
    r"|maintenance|shutting down|\bbusy\b|rate limit"
    r"|(?:connection|session|login|user)s? limit|(?:limit|maximum|max) (?:\w+ ){0,4}(?:connection|session|login)"
    r"|authenticated but not connected|limits? exceeded|exceeded .{0,40}limit",
    re.IGNORECASE,
)
_LATER_UNLESS_BLAMED = re.compile(
    r"\blater\b|internal (?:\w+ )?error|server error|system error|backend|time[d ]?-?out|in use|not ready",
    re.IGNORECASE,
)
_BLAMED = re.compile(
    r"password|credential|incorrect|invalid user|bad user|unknown user|authentication fail", re.IGNORECASE
)
_NOT_THIS_WAY = re.compile(
    r"mechanism|unsupported|not (?:supported|implemented|recogni[sz]ed)|unrecogni[sz]ed|unknown (?:command|auth)"
    r"|(?:auth\w*|login|plain\w*|clear-?text) (?:\w+ )?(?:is |are )?"
    r"(?:disabled|not (?:allowed|enabled|available|permitted))",
    re.IGNORECASE,
)


class LoginVerdict(StrEnum):
    """What the refusal of a login concerns."""

    LATER = "later"
    CREDENTIALS = "credentials"
    WAY = "way"
    UNCLEAR = "unclear"


def judged(status: StatusResponse) -> LoginVerdict:
    """What the refusal `status` concerns. One because of too many connections never concerns the password."""
    code = status.code.name if status.code is not None else None
    if code in TEMPORARY_CODES or _LATER.search(status.text):
        return LoginVerdict.LATER
    if code in CREDENTIAL_CODES:
        return LoginVerdict.CREDENTIALS
    if _LATER_UNLESS_BLAMED.search(status.text) and not _BLAMED.search(status.text):
        return LoginVerdict.LATER
    if status.kind is StatusKind.BAD or code in WAY_CODES or _NOT_THIS_WAY.search(status.text):
        return LoginVerdict.WAY
    return LoginVerdict.UNCLEAR


class Way:
    """One way to log in, with its command."""

    def __init__(self, name: str, command: Command) -> None:
        self.name = name
        self.command = command

    @property
    def hides_password(self) -> bool:
        """Whether the password is proved but not sent, so that the server must store it or one kind of hash of it."""
        return self.name in ("AUTH=SCRAM-SHA-256", "AUTH=CRAM-MD5")


class ImapLogin:
    """One login, over at most `DIALS` connections. `nonce` is for `sasl.mechanisms`."""

    def __init__(self, credentials: sasl.Credentials, nonce: str | None, refusals: Refusals) -> None:
        self._credentials = credentials
        self._nonce = nonce
        self._refusals = refusals
        self._tried: dict[str, LoginVerdict] = {}
        self._cut: set[str] = set()
        """Ways during which the connection ended, perhaps because of the network."""
        self._plainly: set[str] = set()
        """Ways whose first response must not go in the command, since the server did not accept it there."""
        self._blamed = 0
        self.error: LoginRefused | None = None
        """The error to raise if no way works: the first refusal that may concern the password, if any."""

    def next(self, server: Server) -> Way:
        """The next way. Raises `LoginRefused` if none is left, or none suits these credentials."""
        ways = [way for way in self._open(server) if way.name not in self._tried]
        if not ways and self.error is None:
            raise LoginRefused("The server offers no way to log in with these credentials", None)
        if self.error is not None and (not ways or self._blamed >= PASSWORDS):
            for name, verdict in self._tried.items():
                if verdict is not LoginVerdict.CREDENTIALS:
                    self._refusals.refused(server, name)
            raise self.error
        return ways[0]

    def _open(self, server: Server) -> list[Way]:
        every = self._every(server)
        usable = [way for way in every if not self._refusals.refuses(server, way.name)]
        if not usable and not self._tried:
            self._refusals.forget(server, (way.name for way in every))
            return every
        return usable

    def _every(self, server: Server) -> list[Way]:
        offered, credentials = server[1], self._credentials
        takes_at_once = "SASL-IR" in offered and not self._refusals.refuses(server, "SASL-IR")
        names = [name.removeprefix("AUTH=") for name in offered if name.startswith("AUTH=")]
        nonce = None if self._nonce is None else f"{self._nonce}{len(self._plainly)}"
        try:
            ways = []
            for mechanism in sasl.mechanisms(names, credentials, nonce):
                name = f"AUTH={mechanism.name}"
                at_once = takes_at_once and name not in self._plainly
                ways.append(Way(name, commands.authenticate(mechanism, at_once=at_once)))
            if credentials.password is not None and "LOGINDISABLED" not in offered:
                ways.append(Way(LOGIN, commands.login(credentials.user, credentials.password)))
        except ValueError as error:
            raise LoginRefused(f"The credentials cannot be sent: {error}", None) from error
        return ways

    def accepted(self, server: Server, way: Way) -> None:
        """Note a success. Raises `LoginRefused` if the server should have proved that it knows the password."""
        if isinstance(way.command.mechanism, sasl.Scram) and not way.command.mechanism.verified:
            raise LoginRefused("The server let us in without proving that it knows the password", None)
        self._refusals.worked(server, way.name)
        for name in self._tried:
            if name in self._cut:
                self._refusals.cut(server, name)
            else:
                self._refusals.refused(server, name)
        if way.name in self._plainly:
            self._refusals.refused(server, "SASL-IR")

    def refused(self, server: Server, way: Way, status: StatusResponse) -> None:
        """Note a refusal. Raises `LoginRefused` if no other way can help."""
        verdict = judged(status)
        error = LoginRefused(
            status.line, status.code.name if status.code else None, temporary=verdict is LoginVerdict.LATER
        )
        if isinstance(way.command.mechanism, sasl.Scram) and way.command.mechanism.impostor:
            # Do not send the password to a server that failed to prove that it knows it.
            raise LoginRefused("The server did not prove that it knows the password", None)
        # If this way has worked before, the password must have changed.
        known = not way.hides_password or self._refusals.has_worked(server, way.name)
        if verdict is LoginVerdict.LATER or (verdict is LoginVerdict.CREDENTIALS and known):
            raise error
        if verdict is LoginVerdict.UNCLEAR and self._refusals.has_worked(server, way.name):
            raise error
        if self._plain_first(way, status):
            return
        self._tried[way.name] = verdict
        blames = verdict is not LoginVerdict.WAY
        self._blamed += blames
        if self.error is None or (blames and self._blamed == 1):
            self.error = error

    def cut(self, server: Server, way: Way) -> bool:
        """Note that the connection ended; return whether to dial again: not if the way has worked before."""
        if self._refusals.has_worked(server, way.name):
            return False
        if not self._plain_first(way, None):
            self._tried[way.name] = LoginVerdict.WAY
            self._cut.add(way.name)
        return any(each.name not in self._tried for each in self._open(server))

    def _plain_first(self, way: Way, status: StatusResponse | None) -> bool:
        """Whether to repeat the same way without its first response in the command."""
        again = way.command.at_once and (status is None or status.kind is StatusKind.BAD)
        if again:
            self._plainly.add(way.name)
        return again
