"""One connection to a mail server: bytes out, bytes in, TLS on request; every failure is a `NetworkError`.

Both protocol sessions use it, so time limits, certificate rules and the mapping of foreign exceptions exist once. It
never retries and never falls back from TLS to clear text. A transport that failed, or was cancelled during a call, is
broken: close it.

If only one side uses TLS, the other sees nonsense or silence. Both cases are recognized within 5 s of the connection,
and the error says how to set `secure`.
"""

from __future__ import annotations

import errno
import functools
import select
import socket
import ssl
from typing import Self

import msgspec
import trio

from engine.deflate import DeflateStream
from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.world import UNACKNOWLEDGED_SECONDS, Dial, endure

RECEIVE_SIZE = 16 * 1024
MOST_RECEIVED = 256 * 1024
"""Maximum bytes of one read: all of them are parsed before another task gets a turn."""
CLOSE_SECONDS = 1.0
GREETING_SECONDS = 1.0
"""Seconds without a greeting in clear text after which a server may be waiting for TLS."""
PROBE_SECONDS = 2.5
CLEAR_PORTS = frozenset({25, 143, 587, 2525})
"""Ports where servers do not wait for TLS, and may take a client that sends before the greeting for a spammer."""
CONTEXTS = 32
"""Maximum TLS contexts in the cache, of 0.8 MB each: API callers determine the rules."""
ARRIVED_SECONDS = 0.05
ENDURE_SECONDS = 10.0
"""Seconds that a read must have lasted before the kernel's time limit for the peer is lowered."""
KEEPALIVE = (
    (socket.TCP_USER_TIMEOUT, 45_000),  # milliseconds
    (socket.TCP_KEEPIDLE, 30),  # seconds
    (socket.TCP_KEEPINTVL, 8),  # seconds
    (socket.TCP_KEEPCNT, 2),
)
"""With these, the kernel notices within 50 s that a connection is dead, without waking the engine."""

# OpenSSL's X509_V_ERR numbers under the names Node.js gives them, which callers of this API already match on.
CERTIFICATE_CODES = {
    9: "CERT_NOT_YET_VALID",
    10: "CERT_HAS_EXPIRED",
    18: "DEPTH_ZERO_SELF_SIGNED_CERT",
    19: "SELF_SIGNED_CERT_IN_CHAIN",
    20: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    21: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    62: "ERR_TLS_CERT_ALTNAME_INVALID",
    64: "ERR_TLS_CERT_ALTNAME_INVALID",
}
_LOST = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class TlsRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may accept.

    `required`: refuse to continue in clear text. `reject_unauthorized`: the certificate must chain to a trusted root
    and name the server. `min_version` is an OpenSSL name such as `TLSv1.2`, None for the library's default.
    `servername` is the name to request and check instead of the dialled host. `may_be_lax`: the caller did not say
    whether the certificate must be trusted, so the settings decide. `ca` is a PEM bundle trusted in addition to the
    system's.
    """

    required: bool = False
    reject_unauthorized: bool = True
    may_be_lax: bool = False
    min_version: str | None = None
    servername: str | None = None
    ca: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """A mail server. `secure`: TLS from the first byte; otherwise STARTTLS is used if offered."""

    host: str
    port: int
    secure: bool
    tls: TlsRules


_ANY_TLS = TlsRules(reject_unauthorized=False)
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's reasons for an answer that does not begin with a TLS record."""


class Transport:
    """One open connection. Made by `open`; used by one task at a time; `close` when done."""

    def __init__(self, stream: trio.abc.Stream, host: str, port: int, tls: TlsRules) -> None:
        self._stream = stream
        self._tls = tls
        self._heard = False
        self._arrivals: select.poll | None = None
        self._endures = self._told_to_endure = UNACKNOWLEDGED_SECONDS
        self.host = host
        self.port = port
        self.tls_version: str | None = None
        """Such as `TLSv1.3`; None in clear text."""

    @classmethod
    async def open(cls, dial: Dial, host: str, port: int, *, secure: bool, tls: TlsRules, timeout: float) -> Self:
        """Dial within `timeout` seconds, including the TLS handshake if `secure`.

        Not `secure`: if the server is silent for one second, another connection finds out whether it expects TLS.
        Raises `NetworkError`. Cancelled: nothing stays open.
        """
        try:
            with trio.fail_after(timeout):
                transport = cls(await dial(host, port), host, port, tls)
        except trio.TooSlowError as error:
            raise NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", f"connect ETIMEDOUT {host}:{port}") from error
        try:
            if secure:
                await transport.start_tls(timeout)
            else:
                await transport._refuse_tls(dial)
        except BaseException:
            await trio.aclose_forcefully(transport._stream)
            raise
        return transport

    async def start_tls(self, timeout: float) -> None:
        """Upgrade the connection in place. Raises `NetworkError` (kind TLS, TIMEOUT or CLOSED)."""
        name = self._tls.servername or self.host
        stream = trio.SSLStream(self._stream, client_context(self._tls), server_hostname=name, https_compatible=True)
        self._stream = stream
        try:
            with trio.fail_after(timeout):
                await stream.do_handshake()
        except trio.TooSlowError as error:
            text = f"TLS handshake with {self.host}:{self.port} timed out"
            mute = None if self._heard else self._address()
            raise NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", text, mute=mute) from error
        except (trio.BrokenResourceError, OSError) as error:
            if not self._heard and _is_no_tls(error):
                text = f"{self.host}:{self.port} answers in clear text, not with TLS: set secure to false"
                raise NetworkError(NetworkKind.TLS, "ETLS", text) from error
            raise _tls_error(error, self.host, self.port) from error
        self._heard = True
        self.tls_version = stream.version()

    def compress(self) -> None:
        """Compress both directions from now on (RFC 4978); the peer has agreed, and nothing is in transit."""
        self._stream = DeflateStream(self._stream)

    async def send(self, data: bytes, timeout: float) -> None:
        """Write all of `data` within `timeout` seconds. Raises `NetworkError`. Cancelled: a part may have been sent."""
        try:
            with trio.fail_after(timeout):
                await self._stream.send_all(data)
        except trio.TooSlowError as error:
            raise self._silent("does not read what we send") from error
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise self._closed(error) from error

    async def receive(self, timeout: float, expected: int = 0) -> bytes:
        """The next bytes; empty at the end of the stream. Raises `NetworkError`.

        Returns at most 16 KiB, or the `expected` number of bytes, up to 256 KiB.
        """
        at_once = self._endures == self._told_to_endure or timeout <= ENDURE_SECONDS
        try:
            with trio.fail_after(timeout if at_once else ENDURE_SECONDS):
                data = bytes(await self._stream.receive_some(max(RECEIVE_SIZE, min(expected, MOST_RECEIVED))))
        except trio.TooSlowError as error:
            if not at_once:
                self._tell_to_endure()
                return await self.receive(timeout - ENDURE_SECONDS, expected)
            raise self._silent("did not answer in time", None if self._heard else self._address()) from error
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise self._closed(error) from error
        self._heard = True
        return data

    async def arrived(self) -> bytes | None:
        """The bytes that have already arrived; None if none have, empty at the end of stream. Raises `NetworkError`.

        The socket is polled first, which costs almost nothing; what has arrived there may be TLS records without data.
        """
        if self._arrivals is None:
            self._arrivals = _arrivals(self._stream)
        if not self._arrivals.poll(0):
            return None
        with trio.move_on_after(ARRIVED_SECONDS):
            return await self.receive(ARRIVED_SECONDS * 2)
        return None

    def notice_silence(self) -> None:
        """Make the kernel notice a dead connection soon; for connections that mostly wait."""
        stream = _socket_stream(self._stream)
        if stream is not None:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                stream.setsockopt(socket.IPPROTO_TCP, option, value)

    def endure(self, seconds: float) -> None:
        """Let the kernel wait `seconds` for a peer that acknowledges nothing, so that our own limit decides.

        A longer time is set at once. A shorter time is set only once a read takes long, so that the next message need
        not set the longer one again: to set both for each message would cost a tenth of its delivery.
        """
        self._endures = seconds
        if seconds > self._told_to_endure:
            self._tell_to_endure()

    def end_of_stream(self) -> NetworkError:
        """The error for a server that closed the connection while we waited for an answer."""
        return NetworkError(NetworkKind.CLOSED, "ECONNECTION", "Connection closed unexpectedly")

    async def close(self) -> None:
        """Close within one second, with a TLS shutdown if the peer cooperates. Never raises; works when cancelled."""
        with trio.move_on_after(CLOSE_SECONDS):
            try:
                await self._stream.aclose()
            except (trio.BrokenResourceError, OSError):
                pass

    async def _refuse_tls(self, dial: Dial) -> None:
        """Return once the server has sent something, or does not expect TLS; raise `NetworkError` if it does."""
        stream = _socket_stream(self._stream)
        if stream is None or self.port in CLEAR_PORTS:
            return
        with trio.move_on_after(GREETING_SECONDS):
            await trio.lowlevel.wait_readable(stream.socket)
            return
        wants_tls = False
        async with trio.open_nursery() as nursery:

            async def hear() -> None:
                await trio.lowlevel.wait_readable(stream.socket)
                nursery.cancel_scope.cancel()

            nursery.start_soon(hear)
            wants_tls = await _speaks_tls(dial, self.host, self.port)
            nursery.cancel_scope.cancel()
        if wants_tls:
            text = f"{self.host}:{self.port} waits for TLS from the first byte: set secure to true"
            raise NetworkError(NetworkKind.TLS, "ETLS", text)

    def _tell_to_endure(self) -> None:
        endure(self._stream, self._endures)
        self._told_to_endure = self._endures

    def _silent(self, what: str, mute: str | None = None) -> NetworkError:
        return NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", f"{self.host}:{self.port} {what}", mute=mute)

    @property
    def local_address(self) -> str | None:
        """This machine's address of the connection; None if the stream has no socket."""
        stream = _socket_stream(self._stream)
        try:
            return str(stream.socket.getsockname()[0]) if stream is not None else None
        except OSError:
            return None

    def _address(self) -> str | None:
        stream = _socket_stream(self._stream)
        try:
            return str(stream.socket.getpeername()[0]) if stream is not None else None
        except OSError:
            return None

    def _closed(self, error: BaseException) -> NetworkError:
        cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
        if isinstance(cause, ssl.SSLError):
            return _tls_error(error, self.host, self.port)
        if isinstance(cause, ConnectionResetError):
            return NetworkError(NetworkKind.CLOSED, "ECONNRESET", "read ECONNRESET")
        if (lost := _lost(cause)) is not None:
            return lost
        return NetworkError(NetworkKind.CLOSED, "ECONNECTION", "Connection closed unexpectedly")


def _socket_stream(stream: trio.abc.Stream) -> trio.SocketStream | None:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return stream if isinstance(stream, trio.SocketStream) else None


def _arrivals(stream: trio.abc.Stream) -> select.poll:
    """A poll object that reports when the stream's socket is readable; without a socket it never reports."""
    poll = select.poll()
    inner = _socket_stream(stream)
    if inner is not None:
        poll.register(inner.socket.fileno(), select.POLLIN)
    return poll


def _lost(cause: BaseException | None) -> NetworkError | None:
    """The error for a connection that the kernel gave up, and that was not closed."""
    if not isinstance(cause, OSError) or cause.errno not in _LOST:
        return None
    code = errno.errorcode[cause.errno]
    kind = NetworkKind.TIMEOUT if cause.errno == errno.ETIMEDOUT else NetworkKind.CLOSED
    return NetworkError(kind, code, f"read {code}")


def client_context(tls: TlsRules) -> ssl.SSLContext:
    """The TLS rules as an `ssl.SSLContext`, from a cache, since loading the root certificates takes about 10 ms.

    Raises `ProtocolError` if `min_version` or `ca` is unusable.
    """
    # A context does not contain the name to check, so accounts that differ only in that share one.
    return _context(msgspec.structs.replace(tls, required=False, servername=None))


@functools.lru_cache(maxsize=CONTEXTS)
def _context(tls: TlsRules) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if tls.ca is not None:
            context.load_verify_locations(cadata=tls.ca)
        if tls.min_version is not None:
            context.minimum_version = _VERSIONS[tls.min_version]
    except (KeyError, ssl.SSLError) as error:
        raise ProtocolError(f"TLS settings cannot be used: {error}") from error
    if not tls.reject_unauthorized:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _speaks_tls(dial: Dial, host: str, port: int) -> bool:
    """Whether a TLS handshake succeeds on a separate connection, whatever the certificate."""
    with trio.move_on_after(PROBE_SECONDS):
        try:
            beneath = await dial(host, port)
        except NetworkError:
            return False
        stream = trio.SSLStream(beneath, client_context(_ANY_TLS), server_hostname=host, https_compatible=True)
        try:
            await stream.do_handshake()
        except (trio.BrokenResourceError, OSError) as error:
            # An alert is TLS too.
            return isinstance(error.__cause__, ssl.SSLError) and "ALERT" in (error.__cause__.reason or "")
        finally:
            await trio.aclose_forcefully(beneath)
        return True
    return False


def _is_no_tls(error: BaseException) -> bool:
    """Whether the peer's answer to a handshake is not TLS at all."""
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    return isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS


def _tls_error(error: BaseException, host: str, port: int) -> NetworkError:
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    if (lost := _lost(cause)) is not None:
        return lost
    if isinstance(cause, ssl.SSLCertVerificationError):
        code = CERTIFICATE_CODES.get(cause.verify_code, "ETLS")
        return NetworkError(NetworkKind.TLS, code, f"{host}:{port}: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "handshake failed").replace("_", " ").lower()
        return NetworkError(NetworkKind.TLS, "ETLS", f"TLS with {host}:{port} failed: {reason}")
    return NetworkError(NetworkKind.TLS, "ETLS", f"TLS with {host}:{port} failed: connection closed")
