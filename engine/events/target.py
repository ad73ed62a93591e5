"""Where a webhook goes: a URL taken apart once, with the headers that are the same in every post."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from engine.version import VERSION

RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Headers that are the engine's own; so are all that begin with `x-ee-wh-`."""

_USER_AGENT = f"mailbox-engine/{VERSION}"
_QUERY = "/?%:@!$&'()*+,;=~[]"


class Target(msgspec.Struct, frozen=True):
    """The parts of a URL as they go on the wire. `key` tells targets apart; `restricted`: not into private networks."""

    scheme: str
    host: str
    port: int | None
    path: str
    headers: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...] = ()
    restricted: bool = False
    key: str = ""


def parse(
    url: str,
    extra: Iterable[tuple[str, str]] = (),
    secrets: tuple[str, ...] = (),
    *,
    under: Iterable[tuple[str, str]] = (),
    restricted: bool = False,
) -> Target:
    """The target of a URL, `extra` headers laid over its own, and `under` them those that replace none of either.

    Raises ValueError when it cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an http or https URL with a host")
    host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    shown = f"[{host}]" if ":" in host else host
    headers = {
        "host": ("Host", shown if parts.port is None else f"{shown}:{parts.port}"),
        "content-type": ("Content-Type", "application/json"),
        "user-agent": ("User-Agent", _USER_AGENT),
    }
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["authorization"] = ("Authorization", f"Basic {base64.b64encode(login).decode()}")
    for name, value in extra:
        if not reserved(name):
            headers[name.lower()] = (name, value)
    for name, value in under:
        if not reserved(name) and (name.lower() not in headers or name.lower() == "user-agent"):
            headers[name.lower()] = (name, value)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        path += f"?{quote(parts.query, safe=_QUERY)}"
    return Target(
        scheme=parts.scheme,
        host=host,
        port=parts.port,
        path=path,
        headers=tuple(headers.values()),
        secrets=secrets,
        restricted=restricted,
        key=f"{parts.scheme}://{shown}:{parts.port}{path}",
    )


def reserved(name: str) -> bool:
    """Whether a header is the engine's own."""
    return name.lower() in RESERVED or name.lower().startswith("x-ee-wh-")


def masked(url: str, mask: str) -> str:
    """A URL with what stands before the host's `@` masked."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{mask}@{parts.netloc.rpartition('@')[2]}"))
