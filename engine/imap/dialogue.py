"""One dialogue with an IMAP server: sends a command and reads its answer within a time limit; the verbs are elsewhere.

1. A call returns what the server confirmed, or raises, within its time limit.
2. After a failure, a cancelled call or a BYE the dialogue is broken (`usable` is False).
3. `settle` can repair a call that was interrupted only while its answer was arriving. Otherwise only `close` is left.
   It also reads an answer that `_give` left due, and so does the next command.
4. One task uses it at a time, but another may call `close`: the waiting task then gets a `NetworkError`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import trio

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.imap.commands import Chunk, Command, Later, Literal, unasked_limit
from engine.imap.protocol import Completion, Protocol, ProtocolState
from engine.imap.responses import Untagged
from engine.imap.wake import Wake
from engine.transport import Transport

COMMAND_SECONDS = 60.0
WRITE_BYTES = 256 * 1024
"""Chunks are joined up to this size, so that small ones share a packet and large ones are not copied."""

Heed = Callable[[list[Untagged]], Awaitable[None]]
"""A function that takes a part of an answer while the rest is still arriving."""

_BETWEEN = frozenset({ProtocolState.AUTHENTICATED, ProtocolState.SELECTED})
"""The states in which the next command may be sent after an answer."""


class Dialogue:
    """A transport and the protocol machine that uses it."""

    def __init__(self, transport: Transport, protocol: Protocol) -> None:
        self.usable = True
        """False once the dialogue is broken or the server said BYE."""
        self.deadline = math.inf
        """Trio's time after which no command waits for the server, whatever its own limit."""
        self.answered = 0
        """Number of commands that the server has answered."""
        self._transport = transport
        self._protocol = protocol
        self._heard = 0.0
        self._in_step = True
        """Whether every started write was completed, and everything received was parsed."""
        self._due = False
        """Whether the answer to a command sent by `_give` is still to be read."""

    @property
    def capabilities(self) -> frozenset[str]:
        """The capabilities that the server offers, in upper case."""
        return self._protocol.capabilities or frozenset()

    @property
    def in_order(self) -> bool:
        """Whether it is usable and no answer is due, so that it can rest."""
        return self.usable and not self._due

    @property
    def silence(self) -> float:
        """Seconds since the server last sent anything."""
        return trio.current_time() - self._heard

    async def rest(self, wake: Wake, until: float) -> None:
        """Receive unsolicited responses until `wake` is set or Trio's time is `until`. Sends no command.

        Raises `NetworkError` if the connection ends or the server says BYE, and `ProtocolError`.
        """
        with self._breaking():
            self._check_bye()
            while not wake.is_set() and await self._receive_or_wake(wake, until):
                self._check_bye()

    async def settle(self, seconds: float) -> bool:
        """Read an answer that is due, or the rest of one whose call was cancelled or timed out, within `seconds`.

        Returns whether the dialogue is usable. It is not if the command was sent only in part.
        """
        protocol = self._protocol
        if self.in_order or not self._in_step or protocol.unsent or protocol.state not in _BETWEEN:
            return self.usable
        self.usable = True
        try:
            with self._breaking():
                await self._finish(trio.current_time() + seconds, _pass_over)
        except (NetworkError, ProtocolError):
            pass
        return self.usable

    async def close(self) -> None:
        """Close within one second. Never raises; works in a cancelled scope."""
        self.usable = False
        await self._transport.close()

    async def _receive_or_wake(self, wake: Wake, until: float) -> bool:
        """Receive once; False if `wake` or the time came first. A cancelled receive loses no bytes."""
        data: bytes | None = None
        with wake.ending(until):
            data = await self._transport.receive(math.inf)
        if data is None:
            return False
        self._take(data)
        return True

    async def _require(
        self, command: Command, timeout: float = COMMAND_SECONDS, heed: Heed | None = None
    ) -> Completion:
        completion = await self._run(command, timeout, heed)
        if not completion.ok:
            raise completion.refused()
        return completion

    async def _run(self, command: Command, timeout: float = COMMAND_SECONDS, heed: Heed | None = None) -> Completion:
        """Send one command and read its whole answer within `timeout` seconds."""
        with self._breaking():
            await self._check_time(command)
            await self._read_due(timeout)
            self._protocol.start(command, unasked_limit(self.capabilities))
            return await self._finish(trio.current_time() + timeout, heed)

    async def _run_together(
        self, first: Command, *others: Command, timeout: float = COMMAND_SECONDS
    ) -> list[Completion]:
        """Send several commands at once, which saves round trips, and read until all have ended.

        None of them may change the state. If one contains a literal, they are sent one after another.
        """
        every = (first, *others)
        if any(isinstance(piece, Literal) for command in every for piece in command.pieces):
            return [await self._run(each) for each in every]
        with self._breaking():
            await self._check_time(first)
            await self._read_due(timeout)
            self._protocol.start(first, behind=others)
            await self._finish(trio.current_time() + timeout)
            return self._protocol.completions

    async def _check_time(self, command: Command) -> None:
        """Raise if there is no time left for a command, before anything is sent, so that `settle` still works."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if trio.current_time() >= self.deadline:
            raise NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", f"No time is left for {command.name}")

    async def _give(self, command: Command) -> None:
        """Send a command whose answer `_answer` reads; if another command comes first, that passes it over."""
        with self._breaking():
            await self._read_due(COMMAND_SECONDS)
            self._protocol.start(command, unasked_limit(self.capabilities))
            self._due = True
            await self._send_due(trio.current_time() + COMMAND_SECONDS)

    async def _answer(self, timeout: float) -> Completion:
        """Read the answer to the command sent by `_give`, within `timeout` seconds from now."""
        with self._breaking():
            return await self._finish(trio.current_time() + timeout)

    async def _read_due(self, seconds: float) -> None:
        """Pass over the answer that is due, if one is."""
        if self._due:
            await self._finish(trio.current_time() + seconds, _pass_over)

    async def _finish(self, deadline: float, heed: Heed | None = None) -> Completion:
        """Read until the command ends. `heed` gets the answer's data as it arrives, the completion the last part.

        The time that `heed` takes does not count towards the deadline.
        """
        protocol = self._protocol
        while protocol.completion is None:
            await self._exchange(deadline)
            if heed is not None and protocol.completion is None:
                came = trio.current_time()
                await heed(protocol.take_data())
                deadline += trio.current_time() - came
        self._due = False
        self.answered += len(protocol.completions)
        return protocol.completion

    async def _exchange(self, deadline: float) -> None:
        """Send what is due, then receive once."""
        await self._send_due(deadline)
        await self._receive(deadline)

    async def _send_due(self, deadline: float) -> None:
        due = self._protocol.take_outgoing()
        self._in_step = not due
        for data in joined(due):
            await self._transport.send(data, self._seconds_to(deadline))
        self._in_step = True

    async def _receive(self, deadline: float) -> None:
        self._take(await self._transport.receive(self._seconds_to(deadline), self._protocol.missing))

    def _seconds_to(self, deadline: float) -> float:
        return max(min(deadline, self.deadline) - trio.current_time(), 0.0)

    def _take(self, data: bytes) -> None:
        if not data:
            raise self._end()
        self._heard = trio.current_time()
        self._in_step = False
        self._protocol.receive(data)
        self._in_step = True

    def _check_bye(self) -> None:
        if self._protocol.bye is not None:
            raise self._end()

    def _end(self) -> NetworkError:
        bye = self._protocol.bye
        if bye is None:
            return self._transport.end_of_stream()
        return NetworkError(NetworkKind.CLOSED, "ECONNECTION", f"The server closed the connection: {bye.text}")

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """If the block raises, mark the dialogue as broken: it stopped in the middle."""
        if not self.usable:
            raise self._end()
        try:
            yield
        except BaseException:
            self.usable = False
            raise
        if self._protocol.state is ProtocolState.LOGOUT:
            self.usable = False


async def _pass_over(_: list[Untagged]) -> None:
    """Ignore the data."""


def joined(chunks: list[Chunk]) -> Iterator[bytes]:
    """The chunks in order, with small ones joined."""
    batch: list[bytes] = []
    size = 0
    for chunk in chain.from_iterable(each.read() if isinstance(each, Later) else (each,) for each in chunks):
        if batch and size + len(chunk) > WRITE_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(chunk)
        size += len(chunk)
    if batch:
        yield b"".join(batch)
