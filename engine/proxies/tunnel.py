"""Opens a stream to a target through a proxy: dials the proxy, does the handshake, returns the stream unchanged."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable, Sequence

import trio

from engine.errors import NetworkError, NetworkKind
from engine.proxies.handshake import handshake
from engine.proxies.proxy import TARGET_UNREACHED, UNREACHED, Proxy, ProxyError, with_port

REACH_SECONDS = 10.0
"""How long a proxy may take to accept the connection, including TLS."""
HANDSHAKE_SECONDS = 15.0
"""How long the handshake may take; together with `REACH_SECONDS`, less than the time limit of a mail server."""
ADDRESSES = 4
"""Maximum addresses of the target to request from a proxy, one after another, if it cannot connect to one."""


async def through(
    proxy: Proxy, reach: Callable[[], Awaitable[trio.abc.Stream]], hosts: Sequence[str], port: int
) -> trio.abc.Stream:
    """A stream to the first of `hosts` (addresses or names of the target) that `proxy` can connect to.

    `reach` dials the proxy. Raises `NetworkError`, which names the proxy. Cancelled: nothing stays open.
    """
    first: ProxyError | None = None
    for host in hosts[:ADDRESSES]:
        stream = await _reached(proxy, reach)
        try:
            await _ask(stream, proxy, host, port)
        except ProxyError as error:
            await trio.aclose_forcefully(stream)
            first = first or error
            if error.code != TARGET_UNREACHED or error.kind is NetworkKind.TIMEOUT:
                raise
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        else:
            return stream
    assert first is not None
    raise first


async def _reached(proxy: Proxy, reach: Callable[[], Awaitable[trio.abc.Stream]]) -> trio.abc.Stream:
    try:
        with trio.fail_after(REACH_SECONDS):
            stream = await reach()
            if proxy.protocol != "https":
                return stream
            return await _secured(proxy, stream)
    except trio.TooSlowError as error:
        what = f"does not answer within {REACH_SECONDS:g} s"
        raise ProxyError(proxy, UNREACHED, what, NetworkKind.TIMEOUT) from error
    except ProxyError:
        raise
    except NetworkError as error:
        # Errors on our side keep their own codes.
        own = error.code in ("EACCES", "EMFILE", "EADDRNOTAVAIL")
        raise ProxyError(proxy, error.code if own else UNREACHED, f"cannot be reached: {error}") from error


async def _secured(proxy: Proxy, stream: trio.abc.Stream) -> trio.abc.Stream:
    secured = trio.SSLStream(stream, _context(), server_hostname=proxy.host, https_compatible=True)
    try:
        await secured.do_handshake()
    except (trio.BrokenResourceError, OSError) as error:
        await trio.aclose_forcefully(stream)
        cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
        why = "the connection was closed"
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message
        elif isinstance(cause, ssl.SSLError):
            why = (cause.reason or "the handshake failed").replace("_", " ").lower()
        raise ProxyError(proxy, UNREACHED, f"cannot be reached by TLS: {why}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


@functools.cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _ask(stream: trio.abc.Stream, proxy: Proxy, host: str, port: int) -> None:
    """Make the proxy connect `stream` to the target. Raises `ProxyError`."""
    talk = handshake(proxy, host, port)
    step = next(talk)
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            while True:
                if step.send:
                    await stream.send_all(step.send)
                data = b""
                while len(data) < step.wanted:
                    more = await stream.receive_some(step.wanted - len(data))
                    if not more:
                        raise trio.BrokenResourceError
                    data += more
                try:
                    step = talk.send(data)
                except StopIteration:
                    return
    except trio.TooSlowError as error:
        what, code = f"says nothing within {HANDSHAKE_SECONDS:g} s", UNREACHED
        if step.asked:
            what = f"does not connect to {with_port(host, port)} within {HANDSHAKE_SECONDS:g} s"
            code = TARGET_UNREACHED
        raise ProxyError(proxy, code, what, NetworkKind.TIMEOUT) from error
    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
        if step.asked:
            what = f"closes the connection and does not connect to {with_port(host, port)}"
            raise ProxyError(proxy, TARGET_UNREACHED, what) from error
        raise ProxyError(proxy, UNREACHED, "closes the connection") from error
