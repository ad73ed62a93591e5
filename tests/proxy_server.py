"""A small SOCKS5, SOCKS4 and HTTP proxy of the tests' own: on any stream, with a login and faults if asked for."""

from __future__ import annotations

import base64
import ipaddress
import struct
from collections.abc import Awaitable, Callable

import trio

from engine.errors import EngineError

Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]


class ProxyServer:
    """Serves one connection with `serve`. Each target that clients asked for stands in `asked`, users in `users`.

    `login`: user and password that clients must give. `refuse`: answer every request with this code of the protocol.
    `silent`: say nothing at all. `greedy`: send the answer and what the target says first in one piece.
    """

    def __init__(self, protocol: str, connect: Connect, login: tuple[str, str] | None = None) -> None:
        self.protocol = protocol
        self.login = login
        self.refuse: int | None = None
        self.silent = False
        self.greedy = False
        self.asked: list[tuple[str, int]] = []
        self.connections = 0
        self._connect = connect

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Talk to one client to its end."""
        self.connections += 1
        try:
            if self.silent:
                await trio.sleep_forever()
            await {"socks5": self._socks5, "socks4": self._socks4, "http": self._http}[self.protocol](stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _socks5(self, stream: trio.abc.Stream) -> None:
        version, count = await _read(stream, 2)
        methods = await _read(stream, count)
        wanted = 0 if self.login is None else 2
        if version != 5 or wanted not in methods:
            await stream.send_all(b"\x05\xff")
            return
        await stream.send_all(bytes((5, wanted)))
        if self.login is not None:
            _, length = await _read(stream, 2)
            user = await _read(stream, length)
            (length,) = await _read(stream, 1)
            good = (user.decode(), (await _read(stream, length)).decode()) == self.login
            await stream.send_all(b"\x01" + bytes((not good,)))
            if not good:
                return
        _, command, _, kind = await _read(stream, 4)
        assert command == 1
        if kind == 3:
            (length,) = await _read(stream, 1)
            host = (await _read(stream, length)).decode()
        else:
            host = str(ipaddress.ip_address(await _read(stream, {1: 4, 4: 16}[kind])))
        (port,) = struct.unpack(">H", await _read(stream, 2))
        bound = b"\x03\x05proxy\x00\x00"
        await self._tunnel(stream, host, port, b"\x05\x00\x00" + bound, lambda code: bytes((5, code, 0)) + bound, 5)

    async def _socks4(self, stream: trio.abc.Stream) -> None:
        _, _, port = struct.unpack(">BBH", await _read(stream, 4))
        place = await _read(stream, 4)
        user = await _text(stream)
        host = str(ipaddress.ip_address(place))
        if place[:3] == b"\0\0\0" and place[3]:
            host = await _text(stream)
        if self.login is not None and user != self.login[0]:
            await stream.send_all(b"\x00\x5d" + bytes(6))
            return
        await self._tunnel(stream, host, port, b"\x00\x5a" + bytes(6), lambda code: bytes((0, code)) + bytes(6), 0x5B)

    async def _http(self, stream: trio.abc.Stream) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await _read(stream, 1)
        first, *lines = head.decode().split("\r\n")
        method, target, version = first.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert headers["host"] == target
        if self.login is not None:
            wanted = f"Basic {base64.b64encode(':'.join(self.login).encode()).decode()}"
            if headers.get("proxy-authorization") != wanted:
                await stream.send_all(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"
                )
                return
        host, _, port = target.rpartition(":")
        granted = b"HTTP/1.1 200 Connection established\r\nVia: tests\r\n\r\n"
        await self._tunnel(
            stream, host.strip("[]"), int(port), granted, lambda code: f"HTTP/1.1 {code} No\r\n\r\n".encode(), 502
        )

    async def _tunnel(
        self,
        stream: trio.abc.Stream,
        host: str,
        port: int,
        granted: bytes,
        refused: Callable[[int], bytes],
        unreached: int,
    ) -> None:
        self.asked.append((host, port))
        if self.refuse is not None:
            await stream.send_all(refused(self.refuse))
            return
        try:
            target = await self._connect(host, port)
        except (OSError, EngineError):
            await stream.send_all(refused(unreached))
            return
        try:
            if self.greedy:
                granted += bytes(await target.receive_some(1000))
            await stream.send_all(granted)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_copy, target, stream)
                await _copy(stream, target)
                nursery.cancel_scope.cancel()
        finally:
            await trio.aclose_forcefully(target)


async def _copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    try:
        while data := await source.receive_some(65536):
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await trio.aclose_forcefully(sink)


async def _read(stream: trio.abc.Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


async def _text(stream: trio.abc.Stream) -> str:
    data = b""
    while (each := await _read(stream, 1)) != b"\0":
        data += each
    return data.decode()
