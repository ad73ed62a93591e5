"""The ways to log in, in what order they are tried, and what a refusal says about them.

Order: SCRAM-SHA-256, PLAIN, LOGIN, CRAM-MD5 as far as the server offers them, then the LOGIN command. A refusal sends
us to the next way where it may be about the way: BAD, words such as "mechanism not supported", or no reason at all.
SCRAM and CRAM-MD5 are also refused with AUTHENTICATIONFAILED by servers that only keep a hash they cannot use for it,
so the next way is tried after that too; after PLAIN or LOGIN that code is a word about the password. One login never
costs more than `PASSWORDS` refusals that may count as a wrong password, and only one where the way has worked before,
so that nobody is locked out by it.

A way that was refused is remembered in `Refusals` when another one works, so that it is not tried first for ever; when
none of two works, the next login goes on with those behind them, and from the start after the last.
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
"""Refusals in one login that may have been about the password."""
DIALS = 3
"""Connections in one login: some servers hang up on a way they do not take."""
LOGIN = "LOGIN"
"""The command, among the names of ways; mechanisms are called `AUTH=PLAIN` and so on."""
TEMPORARY_CODES = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "OVERQUOTA", "SERVERBUG", "THROTTLED"})
"""Codes of a refused login that are no word about the credentials (RFC 5530; OVERQUOTA and THROTTLED at Gmail)."""
CREDENTIAL_CODES = frozenset({"AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "CONTACTADMIN", "WEBALERT"})
"""Codes that are a word about the credentials or the account."""

WAY_CODES = frozenset({"CANNOT", "PRIVACYREQUIRED"})
"""Codes that are a word about the way."""

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
    """What a refused login is about."""

    LATER = "later"
    CREDENTIALS = "credentials"
    WAY = "way"
    UNCLEAR = "unclear"


def judged(status: StatusResponse) -> LoginVerdict:
    """What the refusal `status` is about. That there are too many connections is never about the password."""
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
    """One way about to be tried, with the command for it."""

    def __init__(self, name: str, command: Command) -> None:
        self.name = name
        self.command = command

    @property
    def hides_password(self) -> bool:
        """Whether the server has to know the password, or something made of it in one way only."""
        return self.name in ("AUTH=SCRAM-SHA-256", "AUTH=CRAM-MD5")


class ImapLogin:
    """One login, over up to `DIALS` connections. `nonce` as `sasl.mechanisms` wants it."""

    def __init__(self, credentials: sasl.Credentials, nonce: str | None, refusals: Refusals) -> None:
        self._credentials = credentials
        self._nonce = nonce
        self._refusals = refusals
        self._tried: dict[str, LoginVerdict] = {}
        self._cut: set[str] = set()
        """Ways upon which the connection ended, which may be the network's doing."""
        self._plainly: set[str] = set()
        """Ways not to be begun with their first response, since the server did not take it so."""
        self._blamed = 0
        self.error: LoginRefused | None = None
        """What to say if nothing works: of several refusals the first that may be about the password."""

    def next(self, server: Server) -> Way:
        """The next way. Raises `LoginRefused` where there is none left, or none that these credentials can go."""
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
        """The server let us in. Raises `LoginRefused` where it should have proved that it knows the password."""
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
        """The server refused. Raises `LoginRefused` where no other way can change that."""
        verdict = judged(status)
        error = LoginRefused(
            status.line, status.code.name if status.code else None, temporary=verdict is LoginVerdict.LATER
        )
        if isinstance(way.command.mechanism, sasl.Scram) and way.command.mechanism.impostor:
            # Who does not know the password is not to be told it.
            raise LoginRefused("The server did not prove that it knows the password", None)
        # Where it let us in this way before, the password is another now.
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
        """The connection ended upon it; whether another one may help, which it may not where the way has worked."""
        if self._refusals.has_worked(server, way.name):
            return False
        if not self._plain_first(way, None):
            self._tried[way.name] = LoginVerdict.WAY
            self._cut.add(way.name)
        return any(each.name not in self._tried for each in self._open(server))

    def _plain_first(self, way: Way, status: StatusResponse | None) -> bool:
        """Whether the same way is to be tried again without its first response in the command."""
        again = way.command.at_once and (status is None or status.kind is StatusKind.BAD)
        if again:
            self._plainly.add(way.name)
        return again
