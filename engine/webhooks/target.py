"""Where a webhook is posted: a URL parsed once, with the headers that are the same in every post."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from engine.host_names import ascii_name
from engine.version import VERSION
from engine.webhooks.signing import PREFIX

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
"""Headers reserved for the engine, as are all that begin with `x-ee-wh-`."""

_PUBLIC = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "host", "user-agent"})
_PARTS = re.compile(r"[\s;,=]+")
_FLAG, _WORD, _TOKEN = 4, 6, 16
"""Lengths from which a text counts as a secret: a header's value; a part of one, or of a query; a path segment."""

_USER_AGENT = f"mailbox-engine/{VERSION}"
_QUERY = "/?%:@!$&'()*+,;=~[]"


class WebhookTarget(msgspec.Struct, frozen=True):
    """The parts of a URL as sent. `key` identifies the target; `restricted`: private addresses are forbidden."""

    scheme: str
    host: str
    port: int | None
    path: str
    headers: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...] = ()
    restricted: bool = False
    key: str = ""

    @property
    def dialled(self) -> int:
        """The port to connect to."""
        return self.port or (443 if self.scheme == "https" else 80)

    @property
    def origin(self) -> str:
        """Scheme, host and port: the parts of the URL that cannot be a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port is not None else "")

    def confidential(self) -> list[str]:
        """The texts to mask in a receiver's answer: secrets, header values, and keys in the URL."""
        found = [*self.secrets, *(secret.removeprefix(PREFIX) for secret in self.secrets)]
        for name, value in self.headers:
            if name.lower() not in _PUBLIC:
                found += [value] if len(value) >= _FLAG else []
                found += [part for part in _PARTS.split(value) if len(part) >= _WORD]
                found += _login(value)
        path, _, query = self.path.partition("?")
        found += [part for each in query.split("&") if len(part := each.partition("=")[2] or each) >= _WORD]
        found += [part for part in path.split("/") if len(part) >= _TOKEN]
        return found + [unquote(part) for part in found if "%" in part]


def _login(value: str) -> list[str]:
    """The user and password in the value of an `Authorization` header."""
    scheme, _, coded = value.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        login = base64.b64decode(coded).decode("utf-8", "replace")
    except ValueError:
        return []
    return [login, *login.split(":", 1)]


def parse(
    url: str,
    extra: Iterable[tuple[str, str]] = (),
    secrets: tuple[str, ...] = (),
    *,
    under: Iterable[tuple[str, str]] = (),
    restricted: bool = False,
) -> WebhookTarget:
    """Parse a URL into a target. `extra` headers override the default ones; `under` headers override neither.

    Raises ValueError if the URL cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be an http or https URL with a host")
    host = ascii_name(parts.hostname)
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
    return WebhookTarget(
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
    """Whether a header is reserved for the engine."""
    return name.lower() in RESERVED or name.lower().startswith("x-ee-wh-")


def masked(url: str, mask: str) -> str:
    """A URL with its user information (before the host's `@`) masked."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{mask}@{parts.netloc.rpartition('@')[2]}"))
