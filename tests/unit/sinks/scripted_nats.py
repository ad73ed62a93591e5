"""A NATS server with one JetStream stream, in memory, that a test tells how to misbehave."""

from __future__ import annotations

import json
from typing import Any

import trio

WINDOW = 120.0
INFO: dict[str, Any] = {
    "server_id": "N", "version": "2.9.10", "headers": True, "max_payload": 1024**2, "jetstream": True, "nonce": "abc",
}  # fmt: skip


class ScriptedNats:
    """`stored`: (subject, Nats-Msg-Id, body) of each message. `answer_to` decides what a publish gets."""

    def __init__(self) -> None:
        self.info = dict(INFO)
        self.stored: list[tuple[str, str, bytes]] = []
        self.ids: dict[str, float] = {}
        self.last_id = ""
        self.connects: list[dict[str, Any]] = []
        self.requests: list[tuple[str, Any]] = []
        self.duplicates = 0
        self.login_error = ""
        self.cut_at: set[int] = set()
        """Numbers of publishes (from 1, over all connections) after which it hangs up, stored but not acknowledged."""
        self.refuse_at: dict[int, bytes] = {}
        """What it answers to a publish that it does not store."""
        self.mute_at: set[int] = set()
        """Publishes after which the connection is half open: nothing is read or sent any more."""
        self.slow = 0.0
        self.others_write = False
        self.noise = b""
        """Sent before each acknowledgement."""
        self.publishes = 0
        self.pings = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        buffer = bytearray()

        async def line() -> bytes:
            while (end := buffer.find(b"\r\n")) < 0:
                data = await stream.receive_some(65536)
                if not data:
                    raise trio.ClosedResourceError
                buffer.extend(data)
            text = bytes(buffer[:end])
            del buffer[: end + 2]
            return text

        async def octets(n: int) -> bytes:
            while len(buffer) < n + 2:
                buffer.extend(await stream.receive_some(65536))
            body = bytes(buffer[:n])
            assert buffer[n : n + 2] == b"\r\n"
            del buffer[: n + 2]
            return body

        await stream.send_all(b"INFO " + json.dumps(self.info).encode() + b"\r\n")
        while True:
            words = (await line()).split()
            match words[0]:
                case b"CONNECT":
                    self.connects.append(json.loads(words[1]))
                    if self.login_error:
                        await stream.send_all(f"-ERR '{self.login_error}'\r\n".encode())
                        return
                case b"PING":
                    self.pings += 1
                    await stream.send_all(b"PONG\r\n")
                case b"PONG" | b"SUB":
                    pass
                case b"PUB":
                    body = json.loads(await octets(int(words[3])))
                    self.requests.append((words[1].decode(), body))
                    await self._send(stream, words[2], b'{"type":"x","config":{}}')
                case b"HPUB":
                    whole = await octets(int(words[4]))
                    headers = whole[: int(words[3])].split(b"\r\n")
                    fields = dict(each.split(b": ", 1) for each in headers[1:] if each)
                    if not await self._published(stream, words, fields, whole[int(words[3]) :]):
                        return
                case other:
                    raise AssertionError(other)

    async def _published(self, stream: trio.abc.Stream, words, fields: dict[bytes, bytes], body: bytes) -> bool:
        self.publishes += 1
        now, number = trio.current_time(), self.publishes
        if self.slow:
            await trio.sleep(self.slow)
        if number in self.refuse_at:
            answer = self.refuse_at[number]
            if answer.startswith(b"-ERR"):
                await stream.send_all(answer)
            elif answer == b"503":
                await stream.send_all(b"HMSG %b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % words[2])
            else:
                await self._send(stream, words[2], answer)
            return True
        event = fields[b"Nats-Msg-Id"].decode()
        expected = fields.get(b"Nats-Expected-Last-Msg-Id")
        is_duplicate = event in self.ids and now - self.ids[event] < WINDOW
        if not is_duplicate and expected is not None and expected.decode() != self.last_id:
            error = {
                "error": {"code": 400, "err_code": 10070, "description": "wrong last msg ID"},
                "stream": "S",
                "seq": 0,
            }
            await self._send(stream, words[2], json.dumps(error).encode())
            return True
        if is_duplicate:
            self.duplicates += 1
        else:
            self.stored.append((words[1].decode(), event, body))
            self.ids[event], self.last_id = now, event
        if self.others_write:
            self.last_id = f"other {number}"
        if number in self.cut_at:
            return False
        if number in self.mute_at:
            await trio.sleep_forever()
        if self.noise:
            await stream.send_all(self.noise)
        ack = {"stream": "S", "seq": len(self.stored)} | ({"duplicate": True} if is_duplicate else {})
        await self._send(stream, words[2], json.dumps(ack).encode())
        return True

    async def _send(self, stream: trio.abc.Stream, subject: bytes, payload: bytes) -> None:
        await stream.send_all(b"MSG %b 1 %d\r\n%b\r\n" % (subject, len(payload), payload))

    @property
    def seqs(self) -> list[int]:
        """The numbers of the events stored, in their order."""
        return [json.loads(body)["seq"] for _, _, body in self.stored]
