"""What a reply, or its absence, means for a message: accepted, later, rejected, login refused, or in doubt.

One table for the whole engine. Unclear cases are decided so that nothing is lost: what a later attempt may cure is
`later`; only a reply that was read can reject; a connection that broke between the final dot and its reply is `doubt`,
since sending again could deliver twice and not sending could lose the message. The texts and codes that API callers
see (`EENVELOPE`, "Message failed: ...") are made here too.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.proxies.proxy import DENIED, LOGIN_REFUSED
from engine.smtp.replies import Reply


class Stage(StrEnum):
    """Where in the dialogue it happened; `dot` is the wait for the reply to the message itself."""

    CONNECT = "connect"
    GREETING = "greeting"
    TLS = "tls"
    EHLO = "ehlo"
    TOKEN = "token"
    """Before anything is dialled: there is no access token to log in with."""
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class Kind(StrEnum):
    """What a reply or failure means for the message."""

    ACCEPTED = "accepted"
    LATER = "later"
    REJECTED = "rejected"
    LOGIN_REFUSED = "login_refused"
    DOUBT = "doubt"


class Verdict(msgspec.Struct, frozen=True):
    """The meaning of one reply or failure.

    `code` and `enhanced` come from a reply that was read and are None otherwise. `text` is that reply as received
    (`550 5.1.1 <x>: User unknown`) or one plain line. `network` says which step of the connection broke, if one did,
    and `network_code` how (`ECONNREFUSED`, `CERT_HAS_EXPIRED` ...).
    """

    kind: Kind
    stage: Stage
    code: int | None
    enhanced: str | None
    text: str
    network: NetworkKind | None = None
    network_code: str | None = None


BEFORE_ANY_MESSAGE = frozenset({Stage.CONNECT, Stage.GREETING, Stage.TLS, Stage.EHLO, Stage.TOKEN, Stage.AUTH})
"""Stages at which a failure says nothing about the message: every message of the account would meet it."""

IDLE_SECONDS = 1.0
"""Seconds without a message after which a 421 to the next one counts as the server's idle limit."""

_MESSAGE_STAGES = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.DOT})
_ABOUT_THE_LOGIN = re.compile(
    r"SmtpClientAuthentication is disabled|Basic authentication is not supported", re.IGNORECASE
)
"""What Microsoft may say about a login at any stage."""
_EXPIRED = re.compile("AccessTokenExpired", re.IGNORECASE)
"""Microsoft's word for a login whose token ended meanwhile, with whatever code."""
_LOGIN_CODES = frozenset({530, 535})
_LOGIN_STATUS = frozenset({"5.7.0", "5.7.3", "5.7.8", "5.7.57"})
_STATUS = re.compile(r"[45]\.(\d{1,3}\.\d{1,3})\b", re.ASCII)
_TOO_MANY = re.compile(r"too many (recipients|rcpt)", re.IGNORECASE)
_STAGE_CODES = {
    Stage.CONNECT: "ECONNECTION",
    Stage.GREETING: "EPROTOCOL",
    Stage.TLS: "ETLS",
    Stage.EHLO: "EPROTOCOL",
    Stage.TOKEN: "EOAUTH2",
    Stage.AUTH: "EAUTH",
    Stage.MAIL: "EENVELOPE",
    Stage.RCPT: "EENVELOPE",
    Stage.DATA: "EMESSAGE",
    Stage.DOT: "EMESSAGE",
}
_NETWORK_CODES = {
    NetworkKind.DNS: "EDNS",
    NetworkKind.TIMEOUT: "ETIMEDOUT",
    NetworkKind.TLS: "ETLS",
    NetworkKind.CONNECT: "ESOCKET",
    NetworkKind.CLOSED: "ECONNECTION",
}
_COMMANDS = {
    Stage.CONNECT: "CONN",
    Stage.GREETING: "CONN",
    Stage.TLS: "STARTTLS",
    Stage.EHLO: "EHLO",
    Stage.TOKEN: "AUTH",
    Stage.AUTH: "AUTH",
    Stage.MAIL: "MAIL FROM",
    Stage.RCPT: "RCPT TO",
    Stage.DATA: "DATA",
    Stage.DOT: "DATA",
}
_PREFIXES = {
    Stage.GREETING: "Invalid greeting. response=",
    Stage.AUTH: "Invalid login: ",
    Stage.MAIL: "Mail command failed: ",
    Stage.RCPT: "Can't send mail - all recipients were rejected: ",
    Stage.DATA: "Message failed: ",
    Stage.DOT: "Message failed: ",
}


def of_reply(stage: Stage, reply: Reply) -> Verdict:
    """The verdict of a reply read at `stage`."""
    if reply.code >= 400 and _EXPIRED.search(reply.text):
        return Verdict(Kind.LOGIN_REFUSED, Stage.AUTH, reply.code, reply.enhanced, reply.line)
    if _concerns_login(stage, reply):
        stage = Stage.AUTH
    kind = Kind.LATER if stage is Stage.RCPT and is_one_too_many(reply) else _kind(stage, reply.code)
    return Verdict(kind, stage, reply.code, reply.enhanced, reply.line)


def _concerns_login(stage: Stage, reply: Reply) -> bool:
    """Whether a reply to a command of a message is about the login, and says nothing about the message.

    "Authentication required" may answer any command, and credentials may end at any time (RFC 4954 section 6). Old
    servers also refuse a recipient with 530 for "no relaying", so there the enhanced status code decides.
    """
    if reply.code in _LOGIN_CODES and stage in _MESSAGE_STAGES:
        return stage is not Stage.RCPT or reply.enhanced in _LOGIN_STATUS
    return reply.code >= 500 and _ABOUT_THE_LOGIN.search(reply.text) is not None


def is_one_too_many(reply: Reply) -> bool:
    """Whether a recipient was refused because there are too many (RFC 5321 section 4.5.3.1.10, RFC 3463 section 3.6).

    The code is 452, or 552 from old servers; an enhanced status code, if there is one, tells it from a full mailbox.
    """
    if reply.code < 400:
        return False
    for line in reply.lines:
        if (status := _STATUS.match(line)) is not None:
            return status[1] == "5.3"
    return reply.code in (452, 552) or _TOO_MANY.search(reply.text) is not None


def of_network(stage: Stage, error: NetworkError | ProtocolError, *, dot_sent: bool) -> Verdict:
    """The verdict if no reply could be read. `dot_sent`: the end of data may have reached the server."""
    kind = Kind.DOUBT if dot_sent else Kind.LATER
    if isinstance(error, NetworkError):
        return Verdict(kind, stage, None, None, str(error), error.kind, error.code)
    return Verdict(kind, stage, None, None, str(error))


def unanswered(verdict: Verdict) -> bool:
    """Whether the attempt ended before the server answered, so that it says nothing about the message.

    Not if we refused to connect ourselves (`EgressRefused`): that lasts until the configuration changes.
    """
    if verdict.network in (NetworkKind.DNS, NetworkKind.CONNECT):
        return verdict.network_code not in ("EACCES", "ESANDBOXOFF")
    if verdict.network is NetworkKind.TIMEOUT:
        return verdict.stage in (Stage.CONNECT, Stage.GREETING, Stage.TLS)
    return verdict.network is NetworkKind.CLOSED and verdict.stage is Stage.GREETING


def silent(verdict: Verdict) -> bool:
    """Whether nothing answered at all, as on a dead path; False if the connection was refused."""
    if not unanswered(verdict) or verdict.network is NetworkKind.CLOSED:
        return False
    return verdict.network_code not in ("ECONNREFUSED", LOGIN_REFUSED, DENIED)


def was_stale(overall: Verdict, idle: float) -> bool:
    """Whether the server closed a reused session: by hanging up, or with 421 after more than `IDLE_SECONDS`."""
    if overall.stage is not Stage.MAIL or overall.kind is not Kind.LATER:
        return False
    return overall.network in (NetworkKind.CLOSED, NetworkKind.TIMEOUT) or (overall.code == 421 and idle > IDLE_SECONDS)


def error_code(verdict: Verdict) -> str:
    """The short code that API callers know: `EENVELOPE`, `EAUTH`, `ETIMEDOUT` ..."""
    return _STAGE_CODES[verdict.stage] if verdict.network is None else _NETWORK_CODES[verdict.network]


def error_text(verdict: Verdict) -> str:
    """The error as one line, worded as API callers know it; without a reply, the plain text."""
    if verdict.code is None:
        return verdict.text
    return _PREFIXES.get(verdict.stage, "") + verdict.text


def command(verdict: Verdict) -> str:
    """The command that failed: `RCPT TO`, `DATA`, or `CONN` before the first."""
    return _COMMANDS[verdict.stage]


def _kind(stage: Stage, code: int) -> Kind:
    if 300 <= code < 400 if stage is Stage.DATA else code < 300:
        return Kind.ACCEPTED
    if stage is Stage.DOT and code < 400:
        # 3xx cannot answer a message: the two sides have lost step, and the outcome is unknown.
        return Kind.DOUBT
    if code < 500 or code == 503:
        return Kind.LATER
    if stage is Stage.AUTH:
        return Kind.LOGIN_REFUSED
    # RFC 5321 section 4.5.3.1.10: a 552 for a recipient is temporary; the correct code would be 452.
    if stage not in _MESSAGE_STAGES or (stage is Stage.RCPT and code == 552):
        return Kind.LATER
    return Kind.REJECTED
