"""The beginning of a connection on a port with TLS: a handshake within `HANDSHAKE_SECONDS`, or its end.

Who speaks HTTP there is told so in HTTP, as other servers do.
"""

from __future__ import annotations

import logging
import socket
import ssl

import trio

from engine.edge.paced_stream import PacedStream
from engine.errors import Problem
from engine.http.early_refusals import answer
from engine.http.edge_log import Peer, escaped

log = logging.getLogger("engine.http")

HANDSHAKE_SECONDS = 10.0
TOLD_SECONDS = 1.0
"""Seconds for telling a client that speaks HTTP, and for it to read that."""
HTTPS_ONLY = Problem(400, "This port speaks only HTTPS: the URL begins with https://")
_HANDSHAKE = b"\x16"
"""The first octet of every client that speaks TLS (RFC 8446 section 5.1)."""
_BEGINNINGS = frozenset(b"ACDGHOPT")
"""Those of the methods of HTTP."""

TlsStream = trio.SSLStream[PacedStream]


async def shake_hands(stream: PacedStream, context: ssl.SSLContext, peer: Peer) -> TlsStream | None:
    """TLS over `stream`; None if the client does not speak it, has left, or took too long. Raises OSError."""
    with trio.move_on_after(HANDSHAKE_SECONDS):
        first = await stream.socket.recv(1, socket.MSG_PEEK)
        if first == _HANDSHAKE:
            return await _tls(stream, context, peer)
        if first and first[0] in _BEGINNINGS:
            peer.refused(HTTPS_ONLY.status, HTTPS_ONLY.message)
            await _tell(stream)
    return None


async def _tls(stream: PacedStream, context: ssl.SSLContext, peer: Peer) -> TlsStream | None:
    secured = trio.SSLStream(stream, context, server_side=True)
    try:
        await secured.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        log.debug("%s: the TLS handshake failed: %s", peer, escaped(str(error.__cause__ or error)))
        return None
    return secured


async def _tell(stream: PacedStream) -> None:
    """Answer, then read on for a moment: if data is unread at the close, the kernel drops the answer."""
    with trio.move_on_after(TOLD_SECONDS):
        try:
            await stream.send_all(answer(HTTPS_ONLY))
            await stream.send_eof()
            while await stream.receive_some():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
