"""A Redis with one stream, in memory, that a test tells how to misbehave."""

from __future__ import annotations

import json

import trio


class ScriptedRedis:
    """`entries`: (id, fields) of each entry. The faults are counted in transactions, from 1."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, bytes]]] = []
        self.last = (0, 0)
        self.exists = False
        self.password = ""
        self.cut_after: set[int] = set()
        """Transactions after which it hangs up, done but not answered."""
        self.cut_before: set[int] = set()
        """Transactions that it never sees."""
        self.mute_at: set[int] = set()
        self.refuse_at: dict[int, str] = {}
        self.garbage_at: set[int] = set()
        self.transactions = 0
        self.refused_ids = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        buffer, logged_in = bytearray(), not self.password
        queued: list[list[bytes]] | None = None

        async def line() -> bytes:
            while (end := buffer.find(b"\r\n")) < 0:
                if not (data := await stream.receive_some(65536)):
                    raise trio.ClosedResourceError
                buffer.extend(data)
            text = bytes(buffer[:end])
            del buffer[: end + 2]
            return text

        async def word() -> bytes:
            size = int((await line())[1:])
            while len(buffer) < size + 2:
                if not (data := await stream.receive_some(65536)):
                    raise trio.ClosedResourceError
                buffer.extend(data)
            text = bytes(buffer[:size])
            del buffer[: size + 2]
            return text

        while True:
            words = [await word() for _ in range(int((await line())[1:]))]
            name = words[0].decode()
            if name == "AUTH":
                logged_in = words[-1].decode() == self.password
                await stream.send_all(b"+OK\r\n" if logged_in else b"-WRONGPASS no such %b\r\n" % words[-1])
            elif not logged_in:
                await stream.send_all(b"-NOAUTH Authentication required.\r\n")
            elif name == "PING":
                await stream.send_all(b"+PONG\r\n")
            elif name == "SELECT":
                await stream.send_all(b"+OK\r\n")
            elif name == "XINFO":
                await stream.send_all(self._told())
            elif name == "MULTI":
                queued = []
                await stream.send_all(b"+OK\r\n")
            elif name == "XADD":
                assert queued is not None
                queued.append(words)
                refused = self.refuse_at.get(self.transactions + 1)
                await stream.send_all(f"-{refused}\r\n".encode() if refused else b"+QUEUED\r\n")
            else:
                assert name == "EXEC" and queued is not None
                self.transactions += 1
                if self.transactions in self.cut_before:
                    return
                if self.transactions in self.refuse_at:
                    await stream.send_all(b"-EXECABORT Transaction discarded because of previous errors.\r\n")
                    continue
                answers = [self._add(each) for each in queued]
                if self.transactions in self.cut_after:
                    return
                if self.transactions in self.mute_at:
                    await trio.sleep_forever()
                if self.transactions in self.garbage_at:
                    await stream.send_all(b"*1\r\n")
                await stream.send_all(b"*%d\r\n%b" % (len(answers), b"".join(answers)))

    def _add(self, words: list[bytes]) -> bytes:
        place = 5 if words[2] == b"MAXLEN" else 2
        number, rest = (int(each) for each in words[place].split(b"-"))
        if (number, rest) <= self.last:
            self.refused_ids += 1
            return b"-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n"
        self.last, self.exists = (number, rest), True
        names = [each.decode() for each in words[place + 1 :: 2]]
        self.entries.append((words[place].decode(), dict(zip(names, words[place + 2 :: 2], strict=True))))
        return b"$%d\r\n%b\r\n" % (len(words[place]), words[place])

    def _told(self) -> bytes:
        if not self.exists:
            return b"-ERR no such key\r\n"
        last = b"%d-%d" % self.last
        entry = b"$-1\r\n"
        if self.entries:
            entry_id, fields = self.entries[-1]
            members = b"".join(_bulk(name.encode()) + _bulk(value) for name, value in fields.items())
            entry = b"*2\r\n%b*%d\r\n%b" % (_bulk(entry_id.encode()), 2 * len(fields), members)
        return b"*6\r\n$6\r\nlength\r\n:%d\r\n%b%b%b%b" % (
            len(self.entries),
            _bulk(b"last-generated-id"),
            _bulk(last),
            _bulk(b"last-entry"),
            entry,
        )

    def lose(self, after: int) -> None:
        """Forget the entries after this number, as without a synced file."""
        self.entries = [each for each in self.entries if int(each[0].partition("-")[0]) <= after]
        self.last, self.exists = (after, 0), after > 0

    @property
    def seqs(self) -> list[int]:
        """The numbers of the events in the entries, in their order."""
        return [json.loads(fields["body"])["seq"] for _, fields in self.entries]


def _bulk(octets: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(octets), octets)
