"""Checks the head of a request: refuses what h11 accepts and the engine does not.

`Refused` is raised for another major version (505), too many fields or bytes (431), control characters, two conflicting
lengths, an invalid host, a target that is not a path (400), CONNECT (405), and an invalid websocket handshake (400,
426; RFC 6455 section 4.2.1). A target in absolute form is reduced to its path (RFC 9112 section 3.2.2).
"""

from __future__ import annotations

import re

import h11

from engine.http.early_refusals import MAX_FIELDS, MAX_HEAD, TOO_LONG, Refused

METHODS = "DELETE, GET, HEAD, OPTIONS, POST, PUT"

Fields = list[tuple[bytes, bytes]]

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LABEL = rb"[A-Za-z0-9_~!$&'()*+,;=%-]{1,63}"
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|(%b(\.%b)*\.?)?)(:[0-9]{0,5})?" % (_LABEL, _LABEL))
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_NEGOTIATED = frozenset(
    {b"connection", b"upgrade", b"sec-websocket-extensions", b"sec-websocket-protocol", b"content-length"}
)


def checked(request: h11.Request) -> Fields:
    """Check `request` and return its fields, with names in lower case."""
    if not request.http_version.startswith(b"1."):
        raise Refused(505, "This server speaks only HTTP/1.0 and HTTP/1.1")
    fields = list(request.headers)
    size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in fields)
    if size > MAX_HEAD or len(fields) > MAX_FIELDS:
        raise Refused(431, TOO_LONG)
    names = [name for name, _ in fields]
    for name, value in fields:
        if _CONTROL.search(value):
            raise Refused(400, f"Header {name.decode()} holds a control character")
        if name == b"host" and not _HOST.fullmatch(value):
            raise Refused(400, "Header host is not a host name")
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            raise Refused(400, "A request must not have both Content-Length and Transfer-Encoding")
        if request.http_version == b"1.0":
            raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")
    return fields


def path_of(request: h11.Request) -> bytes:
    """The target of `request` as a path with its query."""
    target = bytes(request.target)
    if request.method == b"CONNECT":
        raise Refused(405, "This server is not a proxy", {"Allow": METHODS})
    if target.startswith(b"/"):
        return target
    if target == b"*" and request.method == b"OPTIONS":
        raise Refused(405, "OPTIONS needs a path", {"Allow": METHODS})
    if absolute := _ABSOLUTE.match(target):
        rest = target[absolute.end() :]
        return rest if rest.startswith(b"/") else b"/" + rest
    raise Refused(400, "The request target is not a path")


def wants_websocket(request: h11.Request, fields: Fields) -> bool:
    """Whether `request` asks for a websocket (RFC 6455 section 4.2.1); other upgrades are ignored."""
    return (
        request.method == b"GET"
        and request.http_version != b"1.0"
        and b"websocket" in _tokens(fields, b"upgrade")
        and b"upgrade" in _tokens(fields, b"connection")
    )


def handshake(fields: Fields) -> Fields:
    """The fields of a websocket handshake without the offers of extensions and subprotocols, of which we have none."""
    given: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        given.setdefault(name, []).append(value)
        if (name in _NEGOTIATED or name.startswith(b"sec-websocket-")) and not value.isascii():
            raise Refused(400, f"Header {name.decode()} holds a character beyond ASCII")
    if b"transfer-encoding" in given or given.get(b"content-length", [b"0"]) != [b"0"]:
        raise Refused(400, "A websocket handshake must not have a body")
    version = given.get(b"sec-websocket-version", [])
    if version != [b"13"]:
        raise Refused(
            426, "Header Sec-WebSocket-Version must be 13", {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        )
    if len(given.get(b"sec-websocket-key", [])) != 1 or not given[b"sec-websocket-key"][0]:
        raise Refused(400, "Header Sec-WebSocket-Key must occur exactly once")
    kept = [field for field in fields if field[0] not in _NEGOTIATED]
    return [*kept, (b"connection", b"upgrade"), (b"upgrade", b"websocket")]


def _tokens(fields: Fields, wanted: bytes) -> set[bytes]:
    return {token.strip().lower() for name, value in fields if name == wanted for token in value.split(b",")}
