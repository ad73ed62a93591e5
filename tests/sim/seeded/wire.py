"""The engine's end of one connection, with what networks do: delay, cut anywhere, fall silent, die with the process.

A cut may swallow bytes in either direction: a command half sent, a reply the server gave and nobody read. Bytes that
reached the server before a cut stay with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import trio

from engine.sandbox.streams import MemoryStream


@dataclass
class Trouble:
    """What is wrong with the connections made from now on. Seconds, and shares of them all."""

    delay: float = 0.05
    cut: float = 0.0
    silent: float = 0.0


class Wire(trio.abc.HalfCloseableStream):
    """`heard` gets every block the engine reads."""

    def __init__(self, inner: MemoryStream, trouble: Trouble, dice: Random, heard: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._dice = dice
        self._delay = trouble.delay
        self._heard = heard
        self._cut_in = 1 + int(dice.expovariate(0.15)) if dice.random() < trouble.cut else None
        self._silent_in = 1 + int(dice.expovariate(0.15)) if dice.random() < trouble.silent else None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._pass()
        if self._is_cut():
            if self._dice.random() < 0.5:
                await self._inner.send_all(bytes(data)[: self._dice.randrange(len(data) + 1)])
            elif self._dice.random() < 0.5:
                await self._inner.send_all(data)
            self.sever()
            raise trio.BrokenResourceError("cut")
        await self._inner.send_all(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._pass()
        data = await self._inner.receive_some(max_bytes)
        if self._is_cut():
            self.sever()
            if self._dice.random() < 0.5:
                return b""
            raise trio.BrokenResourceError("cut")
        self._heard(data)
        return data

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def sever(self) -> None:
        """End it without a word, as the kernel does for a process that died."""
        self._inner.close()

    async def _pass(self) -> None:
        if self._silent_in is not None:
            self._silent_in -= 1
            if self._silent_in <= 0:
                await trio.sleep_forever()
        await trio.sleep(self._delay * self._dice.random())

    def _is_cut(self) -> bool:
        if self._cut_in is None:
            return False
        self._cut_in -= 1
        return self._cut_in <= 0
