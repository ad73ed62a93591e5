"""Every error the engine raises on purpose, sorted by two questions.

*Whose fault* (`Fault`) and *what now* (`Remedy`): the API's problem document, the retry decision and the log field all
come from these two answers, so no caller has to guess from an exception's text. Foreign exceptions (OSError, ssl,
sqlite3) are mapped to these once, at the seam that meets them, with `raise ... from`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Fault(StrEnum):
    """Whose fault an error is."""

    CALLER = "caller"
    PROVIDER = "provider"
    NETWORK = "network"
    ENGINE = "engine"
    DISK = "disk"


class Remedy(StrEnum):
    """What happens now."""

    RETRY = "retry"
    GIVE_UP = "give_up"
    HOLD = "hold"
    STOP = "stop"


class EngineError(Exception):
    """The base of all of them; never raised itself."""

    fault: ClassVar[Fault] = Fault.ENGINE
    remedy: ClassVar[Remedy] = Remedy.GIVE_UP


def leaves(error: BaseException) -> list[BaseException]:
    """The errors that a group of groups holds, first come first; `error` alone when it is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


class NetworkKind(StrEnum):
    """Which step of talking to a server broke."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    TLS = "tls"
    CLOSED = "closed"


class NetworkError(EngineError):
    """A connection could not be made, was cut, or stayed silent too long.

    `code` is the short name API callers know (`ECONNREFUSED`, `ETIMEDOUT`, `ENOTFOUND`, `CERT_HAS_EXPIRED` ...);
    `str(error)` is one line of plain text. `mute` is the address that accepted the connection and never said a word.
    """

    fault = Fault.NETWORK
    remedy = Remedy.RETRY

    def __init__(self, kind: NetworkKind, code: str, text: str, *, mute: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.mute = mute


class ProtocolError(EngineError):
    """The peer sent something its protocol does not allow, or more than our limits allow."""

    fault = Fault.PROVIDER
    remedy = Remedy.RETRY


class LoginRefused(EngineError):
    """The server answered our login with a refusal.

    `response` is the server's line as it came (IMAP: with its tag); `code` its response code, if it gave one
    (`AUTHENTICATIONFAILED`, or the SMTP code as text); `temporary` is true when the server said "later" (4xx).
    """

    fault = Fault.PROVIDER
    remedy = Remedy.HOLD

    def __init__(self, response: str, code: str | None, *, temporary: bool = False) -> None:
        super().__init__(response)
        self.response = response
        self.code = code
        self.temporary = temporary


class ConfigError(EngineError):
    """The configuration is wrong; the text is the one line the operator sees."""

    fault = Fault.CALLER
    remedy = Remedy.STOP


class NoFile(ConfigError):
    """The configuration file that was named is not there."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file}: there is no such file")
        self.file = file


class DamagedSecret(EngineError):
    """A sealed secret cannot be opened; the others may be in order."""


class StorageFailed(EngineError):
    """A commit did not reach the disk. The store says no to every later write; a restart recovers."""

    fault = Fault.DISK
    remedy = Remedy.STOP


class StorageFull(EngineError):
    """There is no room for a new message. Nothing was acknowledged; it goes on by itself when room returns."""

    fault = Fault.DISK
    remedy = Remedy.RETRY


class AccountGone(EngineError):
    """The account was removed while something else was done with it."""

    fault = Fault.CALLER
    remedy = Remedy.GIVE_UP


class AccountUnreadable(EngineError):
    """The stored registration of an account cannot be read, so that it cannot be changed; the text says why."""

    fault = Fault.ENGINE
    remedy = Remedy.GIVE_UP


class StorageBusy(EngineError):
    """Another process holds a lock on the journal. Nothing was acknowledged; it goes on when the lock is released."""

    fault = Fault.DISK
    remedy = Remedy.RETRY


class StorageUnavailable(EngineError):
    """The data folder cannot be used at the moment: it was moved or removed, or a file in it cannot be made.

    Nothing of what was asked for is kept unless the text says otherwise; it goes on by itself when that has changed.
    """

    fault = Fault.DISK
    remedy = Remedy.RETRY


class Problem(EngineError):
    """An answer of the HTTP API that is not a success.

    `status` is the HTTP status, `message` the human text, `extra` the optional members of the error document
    (`code`, `state`, `fields` ...) and `headers` what goes beside it.
    """

    fault = Fault.CALLER
    remedy = Remedy.GIVE_UP

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.extra = extra
