"""Submitters who never give up: each repeats a request whose answer was lost, with the same key, until it is answered.

Arguments: one JSON object with `port`, `token`, `accounts`, `clients`, `rate` (submissions a second, all together),
`seed`, `trouble`, `hold` and `cancel` (shares of the messages), `keys` (whether to send Idempotency-Keys), `file`. Each
acknowledgement is a JSON line in `file`, written when the answer was read, and one more when a cancellation was
answered. Ends when its standard input does, once every request is answered.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from pathlib import Path
from typing import IO, Any

import trio
from torture_parts.wire import exchange, request

TROUBLES = ("slow300", "cutkeep", "cutdrop", "defer", "later")
AGAIN = 0.05
"""Seconds between two tries to reach an engine that is not there."""
LONGEST_BEFORE_CANCEL = 0.03
"""Seconds, about as long as a message takes to be sent."""
FILLER = "All work and no play makes this a rather plain message.\n" * 10


class Client:
    """One connection, made again whenever it is gone."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.stream: trio.SocketStream | None = None

    async def ask(self, octets: bytes) -> tuple[Any, int]:
        """The answer to a request, and how often it had to be repeated. Raises `SystemExit` when it is refused."""
        repeats = 0
        while True:
            try:
                self.stream = self.stream or await trio.open_tcp_stream("127.0.0.1", self.port)
                with trio.fail_after(30):
                    status, answer, stays = await exchange(self.stream, octets)
            except (OSError, trio.BrokenResourceError, trio.TooSlowError):
                status, answer, stays = 0, None, False
            if not stays and self.stream is not None:
                await self.stream.aclose()
                self.stream = None
            if status == 200:
                return answer, repeats
            if status not in (0, 503):
                raise SystemExit(f"a request was answered with {status}: {answer}")
            repeats += 1
            await trio.sleep(AGAIN)


class Load:
    """The submitters and what they were promised."""

    def __init__(self, options: dict[str, Any], file: IO[str]) -> None:
        self.options = options
        self.file = file
        self.numbers = itertools.count()
        self.finishing = trio.Event()

    async def submitter(self, number: int) -> None:
        """One client with one request in flight."""
        chance = random.Random(f"{self.options['seed']}-{number}")
        client = Client(self.options["port"])
        while not self.finishing.is_set():
            key = f"k{number}-{next(self.numbers)}"
            hold, cancel = chance.random() < self.options["hold"], chance.random() < self.options["cancel"]
            answer, repeats = await client.ask(self.submission(key, hold, chance))
            line = {"key": key, "messageId": answer["messageId"], "queueId": answer["queueId"], "hold": hold}
            self.note({**line, "repeats": repeats})
            if cancel:
                await trio.sleep(chance.uniform(0, LONGEST_BEFORE_CANCEL))
                path = f"/v1/outbox/{answer['queueId']}"
                gone, _ = await client.ask(request("DELETE", path, self.options["token"]))
                self.note({"messageId": answer["messageId"], "deleted": gone["deleted"]})
            with trio.move_on_after(chance.expovariate(self.options["rate"] / self.options["clients"])):
                await self.finishing.wait()

    def note(self, line: dict[str, Any]) -> None:
        """Put down what was answered."""
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()

    def submission(self, key: str, hold: bool, chance: random.Random) -> bytes:
        """The bytes of one request."""
        word = chance.choice(TROUBLES) if chance.random() < self.options["trouble"] else "ok"
        body: dict[str, Any] = {"to": [{"address": f"{word}.{key}@example.net"}], "subject": key}
        body["text"] = f"{FILLER}END {key}"
        if hold:
            body["onDoubt"] = "hold"
        path = f"/v1/account/{chance.choice(self.options['accounts'])}/submit"
        return request("POST", path, self.options["token"], body, key if self.options["keys"] else None)


async def run(options: dict[str, Any], file: IO[str]) -> None:
    load = Load(options, file)
    async with trio.open_nursery() as nursery:
        for number in range(options["clients"]):
            nursery.start_soon(load.submitter, number)
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as orders:
            while await orders.receive_some(100):
                pass
        load.finishing.set()


def main() -> None:
    options = json.loads(sys.argv[1])
    with Path(options["file"]).open("a") as file:
        trio.run(run, options, file)


main()
