"""A name server on loopback that does as a test says: it answers, cuts short, lies, or is silent."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

from engine.world import World

Answer = Callable[[dns.message.Message, bool], list[bytes]]
"""What to send for a question, and whether it came over TCP: no datagram, one, or several."""


class NameServer:
    """The server. `answers` maps a question (`name KIND`) to what it does; any other is NXDOMAIN."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, bool]] = []
        self.port = 0

    def reply(self, wire: bytes, *, over_tcp: bool) -> list[bytes]:
        """What to send for a question."""
        question = dns.message.from_wire(wire)
        name, kind = question.question[0].name, question.question[0].rdtype
        text = f"{name.to_text(omit_final_dot=True).lower()} {dns.rdatatype.to_text(kind)}"
        self.asked.append((text, over_tcp))
        answer = self.answers.get(text)
        return [with_code(question, dns.rcode.NXDOMAIN)] if answer is None else answer(question, over_tcp)


class AskingWorld(World):
    """The real world with this name server alone."""

    def __init__(self, server: NameServer) -> None:
        super().__init__()
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = ["127.0.0.1"]
        self._resolver.port = server.port

    def name_servers(self) -> dns.asyncresolver.Resolver:
        return self._resolver


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """A running server, with UDP and TCP on the same port."""
    server = NameServer()
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        async with trio.open_nursery() as nursery:
            listeners = await _same_port(datagrams)
            server.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(_serve_udp, server, datagrams)
            nursery.start_soon(trio.serve_listeners, _over_tcp(server), listeners)
            yield server
            nursery.cancel_scope.cancel()


async def _same_port(datagrams: trio.socket.SocketType) -> list[trio.SocketListener]:
    """Bind TCP and UDP to one port, whichever is free for both."""
    kept = []
    try:
        while True:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            try:
                await datagrams.bind(("127.0.0.1", listeners[0].socket.getsockname()[1]))
            except OSError:
                kept += listeners
            else:
                return listeners
    finally:
        for each in kept:
            await each.aclose()


async def _serve_udp(server: NameServer, datagrams: trio.socket.SocketType) -> None:
    while True:
        wire, peer = await datagrams.recvfrom(65_535)
        for each in server.reply(wire, over_tcp=False):
            await datagrams.sendto(each, peer)


def _over_tcp(server: NameServer) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            buffer = b""
            while chunk := await stream.receive_some():
                buffer += chunk
                while len(buffer) >= 2 and len(buffer) >= 2 + int.from_bytes(buffer[:2], "big"):
                    size = 2 + int.from_bytes(buffer[:2], "big")
                    for each in server.reply(buffer[2:size], over_tcp=True):
                        await stream.send_all(len(each).to_bytes(2, "big") + each)
                    buffer = buffer[size:]

    return serve


def with_code(question: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
    """An empty answer with this code."""
    response = dns.message.make_response(question)
    response.flags |= dns.flags.RA
    response.set_rcode(code)
    return response.to_wire()


def fails(code: dns.rcode.Rcode) -> Answer:
    """Always that code."""
    return lambda question, over_tcp: [with_code(question, code)]


def silent(question: dns.message.Message, over_tcp: bool) -> list[bytes]:
    """No answer."""
    return []


def gives(kind: str, *values: str) -> Answer:
    """These records, truncated over UDP if they are large."""

    def answer(question: dns.message.Message, over_tcp: bool) -> list[bytes]:
        response = dns.message.make_response(question)
        response.flags |= dns.flags.RA
        response.answer.append(dns.rrset.from_text(question.question[0].name, 300, "IN", kind, *values))
        wire = response.to_wire(max_size=65_535)
        if over_tcp or len(wire) <= 1232:
            return [wire]
        cut = dns.message.make_response(question)
        cut.flags |= dns.flags.TC | dns.flags.RA
        return [cut.to_wire()]

    return answer
