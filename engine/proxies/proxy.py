"""A proxy, as given by a URL, and the errors that it causes. Pure.

No text made here contains its login: logs, errors and transcripts use `place`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from engine.errors import NetworkError, NetworkKind

UNREACHED = "EPROXY"
"""The proxy cannot be reached, or is not a proxy."""
LOGIN_REFUSED = "EPROXYAUTH"
"""The proxy refuses our login, or requires one."""
DENIED = "EPROXYDENIED"
"""The proxy's rules forbid the target."""
TARGET_UNREACHED = "EPROXYTARGET"
"""The proxy could not connect to the target."""

Protocol = Literal["http", "https", "socks4", "socks5"]

_PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "http": "http",
        "https": "https",
        "socks": "socks5",
        "socks4": "socks4",
        "socks4a": "socks4",
        "socks5": "socks5",
        "socks5h": "socks5",
    }
)
_PORTS: Mapping[Protocol, int] = MappingProxyType({"http": 80, "https": 443, "socks4": 1080, "socks5": 1080})
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?![0-9]+\.?\Z){_LABEL}\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 255
"""Maximum octets of a user and of a password in SOCKS5 (RFC 1929 section 2)."""

SCHEMES = "must be a valid uri with a scheme matching the http|https|socks|socks4|socks4a|socks5|socks5h pattern"


class Proxy(msgspec.Struct, frozen=True):
    """The address and protocol of a proxy. `https` is `http` within TLS. `user` None: no login."""

    protocol: Protocol
    host: str
    port: int
    user: str | None = None
    password: str = ""

    @property
    def at(self) -> tuple[str, int]:
        """Its host and port."""
        return self.host, self.port

    @property
    def place(self) -> str:
        """Its URL without the login."""
        return f"{self.protocol}://{with_port(self.host, self.port)}"


class ProxyError(NetworkError):
    """A connection failed because of the proxy; `code` is one of the four above."""

    def __init__(self, proxy: Proxy, code: str, what: str, kind: NetworkKind = NetworkKind.CONNECT) -> None:
        super().__init__(kind, code, f"The proxy {proxy.place} {what}")


def parse(url: str) -> Proxy:
    """Parse a proxy URL. Raises `ValueError` with words that complete `"proxy" ...` and contain no secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(SCHEMES) from error
    protocol = _PROTOCOLS.get(parts.scheme)
    if protocol is None or url != url.strip() or _CONTROL.search(url) or not _is_host(host) or port == 0:
        raise ValueError(SCHEMES)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must have nothing behind the host and the port")
    user = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    _check_login(protocol, user or "", password)
    return Proxy(protocol, host, port or _PORTS[protocol], user or None, password)


def with_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None
    return "%" not in host


def _check_login(protocol: Protocol, user: str, password: str) -> None:
    if _CONTROL.search(user) or _CONTROL.search(password):
        raise ValueError("must not have control characters in its login")
    if password and not user:
        raise ValueError("must not have a password without a user")
    if protocol == "socks4" and password:
        raise ValueError("must not have a password: SOCKS4 knows only a user")
    if protocol in ("http", "https") and ":" in user:
        raise ValueError("must not have a colon in its user (RFC 7617)")
    if any(len(each.encode()) > _LONGEST for each in (user, password)):
        raise ValueError(f"must have a user and a password of at most {_LONGEST} octets each")
