"""A sandbox that runs, and a client that knows lines and nothing else, to look at it from outside."""

from __future__ import annotations

import pytest
import trio
from seeded_world import SeededWorld

from engine.sandbox.provider import Sandbox


class LineClient:
    """Sends bytes, reads lines; a line that does not come within a (virtual) hour is a failure."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = b""
        self.tags = 0

    async def line(self) -> str:
        """The next line without its end; `<EOF>` at the end of the stream."""
        while b"\r\n" not in self.buffer:
            with trio.fail_after(3600):
                data = await self.stream.receive_some(1000)
            if not data:
                assert self.buffer == b""
                return "<EOF>"
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode()

    async def send(self, data: str | bytes) -> None:
        await self.stream.send_all(data.encode() if isinstance(data, str) else data)

    async def smtp(self, command: str | bytes) -> str:
        """One command and its whole reply, lines joined by a bar."""
        await self.send(command + ("\r\n" if isinstance(command, str) else b"\r\n"))
        return await self.reply()

    async def reply(self) -> str:
        lines = [await self.line()]
        while lines[-1][3:4] == "-":
            lines.append(await self.line())
        return "|".join(lines)

    async def imap(self, command: str) -> list[str]:
        """One command and its answer: the untagged lines, then the tagged one without its tag."""
        self.tags += 1
        tag = f"t{self.tags}"
        await self.send(f"{tag} {command}\r\n")
        return await self.answer(tag)

    async def answer(self, tag: str) -> list[str]:
        lines = [await self.line()]
        while not lines[-1].startswith((f"{tag} ", "<EOF>", "+ ")):
            lines.append(await self.line())
        lines[-1] = lines[-1].removeprefix(f"{tag} ")
        return lines

    async def transaction(self, *recipients: str, body: str = "Subject: hi\r\n\r\nhello\r\n") -> list[str]:
        """One message to these recipients, pipelined up to DATA: every reply, RCPT's first."""
        group = ["MAIL FROM:<me@sandbox.example>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        await self.send("\r\n".join(group) + "\r\n")
        replies = [await self.reply() for _ in group][1:]
        if replies[-1].startswith("354"):
            replies[-1:] = [await self.smtp(body + ".")]
        return replies


@pytest.fixture
def running():
    """Cancel it to shut the sandbox down."""
    return trio.CancelScope()


@pytest.fixture
async def sandbox(nursery, running):
    """A running sandbox."""
    provider = Sandbox(SeededWorld(1))

    async def run(task_status):
        with running:
            await provider.run(task_status)

    await nursery.start(run)
    return provider


@pytest.fixture
def connect(sandbox):
    """Connects a LineClient to a port and reads the greeting; EHLO or LOGIN if a name is given."""

    async def connect(port: int, name: str | None = None) -> LineClient:
        client = LineClient(await sandbox.dial("mail.sandbox.example", port))
        client.greeting = await client.line()
        if name is not None and port in (143, 993):
            assert (await client.imap(f"LOGIN {name} secret"))[-1].endswith("Logged in")
        elif name is not None:
            assert (await client.smtp(f"EHLO {name}")).startswith("250-")
        return client

    return connect
