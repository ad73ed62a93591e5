"""One HTTP request and its answer over a Trio stream, with no code of the engine between.

A connection that ends before the whole answer has come is a `BrokenResourceError`: the request may have been carried
out or not, and only a repetition with the same key tells.
"""

from __future__ import annotations

import json
import re
from typing import Any

import trio

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def request(method: str, path: str, token: str, body: object = None, key: str | None = None) -> bytes:
    """The bytes of a request; `key` is its Idempotency-Key."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: engine", f"Authorization: Bearer {token}"]
    if body is not None:
        lines.append("Content-Type: application/json")
    if key is not None:
        lines.append(f"Idempotency-Key: {key}")
    lines += [f"Content-Length: {len(data)}", "", ""]
    return "\r\n".join(lines).encode() + data


async def exchange(stream: trio.SocketStream, octets: bytes) -> tuple[int, Any, bool]:
    """(status, JSON of the answer, whether the connection stays open). Raises `BrokenResourceError`."""
    await stream.send_all(octets)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await _more(stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    while len(body) < (int(length[1]) if length else 0):
        body += await _more(stream)
    return int(head[9:12]), json.loads(body or b"null"), b"connection: close" not in head.lower()


async def _more(stream: trio.SocketStream) -> bytes:
    chunk = await stream.receive_some(65536)
    if not chunk:
        raise trio.BrokenResourceError("the connection ended in place of an answer")
    return bytes(chunk)
