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
    """The base class of all of them; never raised itself."""

    fault: ClassVar[Fault] = Fault.ENGINE
    remedy: ClassVar[Remedy] = Remedy.GIVE_UP


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group and in the groups inside it, in their order; `error` alone if it is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


class NetworkKind(StrEnum):
    """The step at which a conversation with a server broke."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    TLS = "tls"
    CLOSED = "closed"


class NetworkError(EngineError):
    """A connection could not be opened, broke, or was silent for too long.

    `code` is the short name API callers know (`ECONNREFUSED`, `ETIMEDOUT`, `ENOTFOUND`, `CERT_HAS_EXPIRED` ...);
    `str(error)` is one line of plain text. `mute` is the address that accepted the connection and sent nothing.
    """

    fault = Fault.NETWORK
    remedy = Remedy.RETRY

    def __init__(self, kind: NetworkKind, code: str, text: str, *, mute: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.mute = mute


class ProtocolError(EngineError):
    """The peer sent something that its protocol, or one of our limits, does not allow."""

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
    """The named configuration file does not exist."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file}: there is no such file")
        self.file = file


class DamagedSecret(EngineError):
    """A sealed secret cannot be opened; other secrets may be intact."""


class StorageFailed(EngineError):
    """A commit did not reach the disk. The store refuses every later write; a restart recovers."""

    fault = Fault.DISK
    remedy = Remedy.STOP


class StorageFull(EngineError):
    """There is no room for a new message. Nothing was acknowledged; the store works again once there is room."""

    fault = Fault.DISK
    remedy = Remedy.RETRY


class AccountGone(EngineError):
    """The account was removed while it was in use."""

    fault = Fault.CALLER
    remedy = Remedy.GIVE_UP


class AccountUnreadable(EngineError):
    """The stored registration of an account cannot be read, and so cannot be changed; the text says why."""

    fault = Fault.ENGINE
    remedy = Remedy.GIVE_UP


class StorageBusy(EngineError):
    """Another process holds a lock on the journal. Nothing was acknowledged; the store waits for the lock."""

    fault = Fault.DISK
    remedy = Remedy.RETRY


class StorageUnavailable(EngineError):
    """The data folder cannot be used at the moment: it was moved or removed, or a file in it cannot be created.

    Nothing was kept unless the text says otherwise; the store works again once that has changed.
    """

    fault = Fault.DISK
    remedy = Remedy.RETRY


class Problem(EngineError):
    """An unsuccessful answer of the HTTP API.

    `status` is the HTTP status, `message` the text for people, `extra` the optional members of the error document
    (`code`, `state`, `fields` ...); `headers` go with the answer.
    """

    fault = Fault.CALLER
    remedy = Remedy.GIVE_UP

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.extra = extra
