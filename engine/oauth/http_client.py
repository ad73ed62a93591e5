"""HTTP requests to providers, each over a new connection to an address that `[network]` allows.

1. httpcore2 speaks HTTP, over connections from the `Dial` given here. So the checked address is the one dialled, a
   proxy is just another `Dial`, and the sandbox is reached without a network.
2. No connection is reused: after a refresh over one that the server has just closed, it would be unknown whether the
   token was used up.
3. Redirects are not followed, and proxies of the environment are ignored. An answer may have at most `LONGEST` bytes
   and take at most `SECONDS`.
4. `http://` has a `Dial` of its own, which reaches only this machine, private networks and the sandbox.

Raises `NetworkError` if there is no answer, `AnswerLost` where the server may have had the request nevertheless or its
answer is too long, and `ProtocolError` for an invalid URL.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore2
import msgspec
import trio

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.host_names import ascii_name
from engine.transport import TlsRules, client_context
from engine.version import VERSION
from engine.world import Dial

SECONDS = 20.0
LONGEST = 256 * 1024
AT_ONCE = 8
"""Maximum simultaneous requests to one server, a host with a port; the others wait, so that a restart does not
refresh all tokens at once."""
TURN_SECONDS = 60.0
"""Longest wait for one's turn. A request that waits longer is not sent, so that no answer with a token is lost."""
HOSTS_KEPT = 1000
CLOSE_SECONDS = 1.0

Headers = Mapping[str, str]
OnDate = Callable[[str, str, float], None]


class AnswerLost(NetworkError):
    """A request was sent, at least in part, but no answer came that could be read: it may have been carried out."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """Sends requests, at most `AT_ONCE` to each server. `clear_text` dials for what is asked over `http://`.

    `on_date` is called with the host, the `Date` of its answer and how many seconds that took.
    """

    def __init__(self, dial: Dial, clear_text: Dial, on_date: OnDate | None = None) -> None:
        self._dials = {b"https": dial, b"http": clear_text}
        self._on_date = on_date
        self._gates: dict[str, trio.CapacityLimiter] = {}

    def queue_with(self, other: Wire) -> None:
        """Take turns with the requests of another one, as these would be simultaneous at the same servers."""
        self._gates = other._gates

    async def get(self, url: str, headers: Headers | None = None) -> HttpAnswer:
        """GET `url`."""
        return await self._send("GET", url, headers or {}, None)

    async def post(self, url: str, form: Headers, headers: Headers | None = None) -> HttpAnswer:
        """POST a form to `url`. Cancelled: it is unknown whether it was carried out."""
        given = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return await self._send("POST", url, given, urlencode(form).encode("ascii"))

    async def _send(self, method: str, url: str, headers: Headers, content: bytes | None) -> HttpAnswer:
        where = _parsed(url)
        host = where.host.decode("ascii")
        async with self._gate(f"{host}:{where.port or where.scheme.decode('ascii')}"):
            backend = _Backend(self._dials[where.scheme])
            began = trio.current_time()
            try:
                with trio.fail_after(SECONDS):
                    answer = await self._ask(backend, method, where, headers, content)
                if self._on_date is not None:
                    self._on_date(host, answer.headers.get("date", ""), trio.current_time() - began)
                return answer
            except trio.TooSlowError as error:
                text = f"{host} did not answer within {SECONDS:g} s"
                raise backend.failure(NetworkKind.TIMEOUT, "ETIMEDOUT", text) from error
            except (httpcore2.ProtocolError, httpcore2.NetworkError) as error:
                text = f"{host} closed the connection, or does not answer in HTTP: {error}"
                raise backend.failure(NetworkKind.CLOSED, "ECONNECTION", text[:300]) from error
            except AnswerLost:
                raise
            except NetworkError as error:
                raise backend.failure(error.kind, error.code, str(error)) from error

    async def _ask(
        self, backend: _Backend, method: str, url: httpcore2.URL, headers: Headers, content: bytes | None
    ) -> HttpAnswer:
        # No compression: a few octets could expand to any number.
        given = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        given |= {"User-Agent": f"mailbox-engine/{VERSION}", **headers}
        if content is not None:
            given["Content-Length"] = str(len(content))
        fields = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in given.items()]
        async with (
            httpcore2.AsyncConnectionPool(
                ssl_context=client_context(TlsRules()),
                max_connections=1,
                max_keepalive_connections=0,
                network_backend=backend,
            ) as pool,
            pool.stream(method, url, headers=fields, content=content) as response,
            aclosing(response.aiter_stream()) as parts,
        ):
            body = b""
            async for part in parts:
                body += part
                if len(body) > LONGEST:
                    text = f"{url.host.decode('ascii')} answered with more than {LONGEST} bytes"
                    raise AnswerLost(NetworkKind.CLOSED, "EPROTOCOL", text)
            pairs = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers)
            return HttpAnswer(response.status, dict(pairs), body)

    @asynccontextmanager
    async def _gate(self, server: str) -> AsyncIterator[None]:
        gate = self._gates.get(server)
        if gate is None:
            if len(self._gates) >= HOSTS_KEPT:
                for idle in [name for name, each in self._gates.items() if not each.borrowed_tokens]:
                    del self._gates[idle]
            gate = self._gates[server] = trio.CapacityLimiter(AT_ONCE)
        with trio.move_on_after(TURN_SECONDS) as waiting:
            await gate.acquire()
        if waiting.cancelled_caught:
            text = f"{server} was not asked within {TURN_SECONDS:g} s: it is slow to answer earlier requests"
            raise NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", text)
        try:
            yield
        finally:
            gate.release()


def _parsed(url: str) -> httpcore2.URL:
    """Parse a URL. Raises `ProtocolError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in ("https", "http") or not host:
            raise ValueError(url)
        name = ascii_name(host).encode("ascii")
    except (ValueError, UnicodeError) as error:
        raise ProtocolError(f"{url[:200]!r} is not a URL to ask") from error
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return httpcore2.URL(scheme=parts.scheme.encode("ascii"), host=name, port=port, target=target.encode("ascii"))


class _Backend(httpcore2.AsyncNetworkBackend):
    """The connection of one request. `sent`: part of the request is on its way."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self.sent = False

    def failure(self, kind: NetworkKind, code: str, text: str) -> NetworkError:
        """The error to raise, by whether the server may have had the request."""
        return (AnswerLost if self.sent else NetworkError)(kind, code, text)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await self._dial(host, port), f"{host}:{port}", self)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _Stream(httpcore2.AsyncNetworkStream):
    """Adapts one of our streams to httpcore; the caller sets time limits. Failures raise `NetworkError`."""

    def __init__(self, stream: trio.abc.Stream, where: str, request: _Backend) -> None:
        self._stream = stream
        self._where = where
        self._request = request

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise self._closed() from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return  # the end of a request without a body, after which the connection may already be closed
        self._request.sent = True
        try:
            await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise self._closed() from error

    async def aclose(self) -> None:
        with trio.move_on_after(CLOSE_SECONDS):
            try:
                await self._stream.aclose()
            except (trio.BrokenResourceError, OSError):
                pass

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        stream = trio.SSLStream(self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True)
        try:
            await stream.do_handshake()
        except (trio.BrokenResourceError, OSError) as error:
            await trio.aclose_forcefully(self._stream)
            cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = cause.verify_message
            elif isinstance(cause, ssl.SSLError):
                why = (cause.reason or "handshake failed").replace("_", " ").lower()
            else:
                why = "the connection was closed"
            raise NetworkError(NetworkKind.TLS, "ETLS", f"TLS with {self._where} failed: {why}") from error
        return _Stream(stream, self._where, self._request)

    def get_extra_info(self, info: str) -> Any:
        return None

    def _closed(self) -> NetworkError:
        return NetworkError(NetworkKind.CLOSED, "ECONNECTION", f"{self._where} closed the connection")
