"""An SMTP server that remembers: it outlives the engine that is killed and is the witness of what arrived.

Argument: the file it writes one JSON line to for each message that came to its final dot. Prints its port. The first
word of a recipient's local part says how it misbehaves towards that recipient, the first time only (`slow` and `hang`
always): `ok`, `slow250` (answers the dot after so many milliseconds), `cutkeep` and `cutdrop` (close after the dot,
having kept the message or not), `defer` (451 after the dot), `later` (451 to RCPT), `hang` (never answers RCPT).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import IO

END = b"\r\n.\r\n"
MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>]+>)", re.IGNORECASE | re.MULTILINE)
SUBJECT = re.compile(rb"^Subject: (\S+)", re.IGNORECASE | re.MULTILINE)
WORD = re.compile(r"([a-z]+)(\d*)\.")


class Record:
    """What came, in the order in which the server decided about it; on file before the reply is written."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._met: set[str] = set()

    def first_time(self, recipient: str) -> bool:
        """Whether `recipient` has not been misbehaved to yet."""
        new = recipient not in self._met
        self._met.add(recipient)
        return new

    def note(self, octets: bytes, recipient: str, kept: bool) -> None:
        """Remember one message that came whole to the final dot."""
        found, subject = MESSAGE_ID.search(octets), SUBJECT.search(octets)
        key = subject[1].decode() if subject else ""
        line = {
            "messageId": found[1].decode() if found else "",
            "key": key,
            "recipient": recipient,
            "kept": kept,
            "whole": octets.rstrip().endswith(b"END " + key.encode()),
            "at": time.monotonic(),
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.buffer = b""
        self.in_data = False
        self.waiting = False
        self.recipient = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.go_on()

    def go_on(self) -> None:
        while not self.waiting and not self.transport.is_closing():
            taken, end, rest = self.buffer.partition(END if self.in_data else b"\r\n")
            if not end:
                return
            self.buffer = rest
            if self.in_data:
                self.in_data = False
                self.take(taken)
            else:
                self.obey(taken)

    def reply(self, line: bytes) -> None:
        self.transport.write(line + b"\r\n")

    def obey(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self.recipient = line.partition(b"<")[2].partition(b">")[0].decode()
            word = self.word()[0]
            if word == "hang":
                self.waiting = True
            elif word == "later" and self.record.first_time(self.recipient):
                self.recipient = ""
                self.reply(b"451 4.3.0 Try again later")
            else:
                self.reply(b"250 2.1.5 Ok")
        elif verb == b"DATA" and not self.recipient:
            self.reply(b"554 5.5.1 No valid recipients")
        elif verb == b"DATA":
            self.in_data = True
            self.reply(b"354 Go ahead")
        elif verb == b"EHLO":
            self.reply(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000")
        elif verb == b"QUIT":
            self.reply(b"221 2.0.0 Bye")
            self.transport.close()
        else:
            self.recipient = ""
            self.reply(b"250 2.0.0 Ok")

    def take(self, octets: bytes) -> None:
        word, number = self.word()
        if word == "slow":
            self.waiting = True
            asyncio.get_running_loop().call_later(number / 1000, self.keep_late, octets)
            return
        first = word in ("cutkeep", "cutdrop", "defer") and self.record.first_time(self.recipient)
        self.record.note(octets, self.recipient, kept=not first or word == "cutkeep")
        if not first:
            self.reply(b"250 2.0.0 Ok: kept")
        elif word == "defer":
            self.reply(b"451 4.3.0 Try again later")
        else:
            self.transport.abort()

    def keep_late(self, octets: bytes) -> None:
        self.record.note(octets, self.recipient, kept=True)
        self.reply(b"250 2.0.0 Ok: kept")
        self.waiting = False
        self.go_on()

    def word(self) -> tuple[str, int]:
        found = WORD.match(self.recipient)
        return (found[1], int(found[2] or 0)) if found else ("ok", 0)


async def serve(record: Record) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(record), "127.0.0.1", 0, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    with Path(sys.argv[1]).open("a") as file:
        asyncio.run(serve(Record(file)))


main()
