"""The handshake with a proxy that opens a tunnel: SOCKS5, SOCKS4 and SOCKS4a, HTTP CONNECT. Pure.

A handshake is a generator: it yields what to send and how many octets to read next, and is sent exactly these octets.
It returns when the tunnel is open, or raises `ProxyError`. It never requests an octet that may be the target's, so the
stream can then be used directly. A proxy's own text is not passed on, since it may contain our login.

SOCKS5: RFC 1928, login RFC 1929. SOCKS4, SOCKS4a: the memos by Y.-D. Lee, 1992. CONNECT: RFC 9110 section 9.3.6, login
RFC 7617.
"""

from __future__ import annotations

import base64
import ipaddress
import struct
from collections.abc import Generator
from typing import NamedTuple

import h11

from engine.proxies.proxy import (
    DENIED,
    LOGIN_REFUSED,
    TARGET_UNREACHED,
    UNREACHED,
    Proxy,
    ProxyError,
    with_port,
)

MAX_HEAD = 8192
"""Maximum octets of all heads in an HTTP proxy's answer, including interim ones (1xx)."""

_SOCKS5_REPLIES = {
    1: (TARGET_UNREACHED, "a general failure"),
    2: (DENIED, "its rules do not allow it"),
    3: (TARGET_UNREACHED, "the network cannot be reached"),
    4: (TARGET_UNREACHED, "the host cannot be reached"),
    5: (TARGET_UNREACHED, "the connection was refused there"),
    6: (TARGET_UNREACHED, "no answer in time"),
    7: (DENIED, "it makes no connections for others"),
    8: (TARGET_UNREACHED, "it does not know this type of address"),
}
_SOCKS4_REPLIES = {
    0x5B: (TARGET_UNREACHED, "refused or failed"),
    0x5C: (LOGIN_REFUSED, "it finds no identd on this machine"),
    0x5D: (LOGIN_REFUSED, "identd on this machine names another user"),
}


class Step(NamedTuple):
    """Octets to send, and the number to read next. `asked`: the proxy has been given the target."""

    send: bytes
    wanted: int
    asked: bool = False


Handshake = Generator[Step, bytes, None]


def handshake(proxy: Proxy, host: str, port: int) -> Handshake:
    """The handshake for a tunnel to `host` (an address, or a name for the proxy to look up) and `port`."""
    talk = {"socks5": _socks5, "socks4": _socks4, "http": _connect, "https": _connect}[proxy.protocol]
    return talk(proxy, host, port)


def _socks5(proxy: Proxy, host: str, port: int) -> Handshake:
    methods = b"\x00" if proxy.user is None else b"\x00\x02"
    version, method = yield Step(bytes((5, len(methods))) + methods, 2)
    if version != 5:
        raise ProxyError(proxy, UNREACHED, "does not speak SOCKS5")
    if method == 2 and proxy.user is not None:
        user, password = proxy.user.encode(), proxy.password.encode()
        login = b"".join((b"\x01", bytes((len(user),)), user, bytes((len(password),)), password))
        _, status = yield Step(login, 2)
        if status != 0:
            raise ProxyError(proxy, LOGIN_REFUSED, "refuses the login")
    elif method == 0xFF:
        what = "wants a login" if proxy.user is None else "takes no login with user and password"
        raise ProxyError(proxy, LOGIN_REFUSED, what)
    elif method != 0:
        raise ProxyError(proxy, UNREACHED, "does not keep to SOCKS5")
    request = b"\x05\x01\x00" + _socks5_address(proxy, host, port) + struct.pack(">H", port)
    version, reply = yield Step(request, 2, asked=True)
    if version != 5:
        raise ProxyError(proxy, UNREACHED, "does not keep to SOCKS5")
    if reply != 0:
        code, why = _SOCKS5_REPLIES.get(reply, (TARGET_UNREACHED, f"failure {reply}"))
        raise _not_connected(proxy, host, port, code, why)
    # The address bound for us is not needed, but must be read.
    _, kind = yield Step(b"", 2, asked=True)
    length = {1: 4, 4: 16}.get(kind)
    if kind == 3:
        (length,) = yield Step(b"", 1, asked=True)
    if length is None:
        raise ProxyError(proxy, UNREACHED, "does not keep to SOCKS5")
    yield Step(b"", length + 2, asked=True)


def _socks5_address(proxy: Proxy, host: str, port: int) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        if len(name) > 255:
            raise _not_connected(proxy, host, port, TARGET_UNREACHED, "the name is too long for SOCKS5") from None
        return b"\x03" + bytes((len(name),)) + name
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


def _socks4(proxy: Proxy, host: str, port: int) -> Handshake:
    user = (proxy.user or "").encode()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # SOCKS4a: an impossible address, and the name after the user.
        place, name = bytes((0, 0, 0, 1)), host.encode() + b"\x00"
    else:
        if address.version != 4:
            raise _not_connected(proxy, host, port, TARGET_UNREACHED, "SOCKS4 knows no IPv6")
        place, name = address.packed, b""
    request = b"\x04\x01" + struct.pack(">H", port) + place + user + b"\x00" + name
    version, reply, *_ = yield Step(request, 8, asked=True)
    if version != 0 or not 0x5A <= reply <= 0x5D:
        raise ProxyError(proxy, UNREACHED, "does not speak SOCKS4")
    if reply != 0x5A:
        raise _not_connected(proxy, host, port, *_SOCKS4_REPLIES[reply])


def _connect(proxy: Proxy, host: str, port: int) -> Handshake:
    target = with_port(host, port)
    headers = [("Host", target)]
    if proxy.user is not None:
        login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {login}"))
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    request = connection.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b""
    request += connection.send(h11.EndOfMessage()) or b""
    left = MAX_HEAD
    while True:
        head = yield from _head(proxy, request, left)
        request, left = b"", left - len(head)
        connection.receive_data(head)
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise ProxyError(proxy, UNREACHED, "does not answer as an HTTP proxy does") from error
        if isinstance(event, h11.InformationalResponse):
            continue
        if not isinstance(event, h11.Response):
            raise ProxyError(proxy, UNREACHED, "does not answer as an HTTP proxy does")
        break
    status = event.status_code
    if status in (401, 407):
        # 401 is meant for servers, but Tinyproxy sends it for a wrong login.
        what = "wants a login" if proxy.user is None else "refuses the login"
        raise ProxyError(proxy, LOGIN_REFUSED, f"{what} (status {status})")
    if not 200 <= status < 300:
        code = TARGET_UNREACHED if status >= 500 else DENIED
        raise _not_connected(proxy, host, port, code, f"its answer is status {status}")


def _head(proxy: Proxy, request: bytes, left: int) -> Generator[Step, bytes, bytes]:
    """The octets of one answer's head, including its empty line, read in steps that cannot reach beyond it."""
    head = b""
    while not head.endswith((b"\n\r\n", b"\n\n")):
        # At least two octets are missing until the end, or one if a line has just ended.
        wanted = 1 if head.endswith((b"\n", b"\n\r")) else 2
        head += yield Step(request, wanted, asked=True)
        request = b""
        if not b"HTTP/".startswith(head[:5]) or len(head) > left:
            raise ProxyError(proxy, UNREACHED, "does not answer as an HTTP proxy does")
    return head


def _not_connected(proxy: Proxy, host: str, port: int, code: str, why: str) -> ProxyError:
    return ProxyError(proxy, code, f"does not connect to {with_port(host, port)}: {why}")
