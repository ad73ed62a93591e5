"""An SMTP server that plays a script: what it says or does the first, second ... time at each stage, then decently.

A stage is `GREETING`, a command, `BODY` (the message is on its way) or `DOT`; `RCPT b@example.com` is for that address
alone. An act is the text of a reply or one of `Act`. A reply that begins with 421 is followed by the end of the
connection, as RFC 5321 section 3.8 has it. Nothing is played before `play`, so that an account can connect first.
"""

from __future__ import annotations

import collections
import contextlib
import socket
import socketserver
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from real.servers import HOST

_REPLIES = {
    "GREETING": "220 scripted.example ESMTP",
    "EHLO": "250-scripted.example\r\n250-PIPELINING\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
    "HELO": "250 scripted.example",
    "AUTH": "235 2.7.0 Authentication successful",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go ahead",
    "DOT": "250 2.0.0 Ok: queued",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}
LATE_SECONDS = 3.0
"""How long `LATE` takes; more than the time limits of an engine that is to find it late."""


class Act(StrEnum):
    """What a server can do other than reply."""

    CLOSE = "closes the connection"
    KEEP_AND_CLOSE = "keeps the message and closes the connection"
    KEEP_AND_LATE = "keeps the message and says so too late"
    STALL = "does nothing any more and leaves the connection open"


class _Gone(Exception):
    """The connection has ended."""


@dataclass
class Delivery:
    """One message the server kept."""

    recipients: list[str] = field(default_factory=list)
    data: bytes = b""


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Listening on `port` from its making until `close`."""

    allow_reuse_address = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Session)
        self.port: int = self.server_address[1]
        self.deliveries: list[Delivery] = []
        self.visits: collections.Counter[str] = collections.Counter()
        """How often each stage was reached since `play`."""
        self.ending = threading.Event()
        self._script: dict[str, list[str]] = {}
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def play(self, script: Mapping[str, Sequence[str]]) -> None:
        """Begin the script."""
        self.visits.clear()
        self._script = {stage: list(acts) for stage, acts in script.items()}

    def next_act(self, stage: str, default: str) -> str:
        """What to do at a stage that was just reached."""
        self.visits[stage] += 1
        acts = self._script.get(stage)
        return acts.pop(0) if acts else default

    def hang_up(self) -> None:
        """Cut every open session."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and cut everything."""
        self.ending.set()
        self.shutdown()
        self.hang_up()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)


class _Session(socketserver.StreamRequestHandler):
    server: ScriptedServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """One connection; how it ends is the client's business."""
        with contextlib.suppress(_Gone, ConnectionError):
            self._say("GREETING")
            delivery = None
            while line := self.rfile.readline():
                verb, _, rest = line.decode().strip().partition(" ")
                verb = verb.upper()
                if verb == "MAIL":
                    delivery = Delivery() if self._say("MAIL") else None
                elif verb in ("RCPT", "DATA") and delivery is None:
                    self.wfile.write(b"503 5.5.1 MAIL first\r\n")
                elif verb == "DATA" and delivery is not None:
                    self._take(delivery)
                elif verb == "RCPT" and delivery is not None:
                    address = rest.partition("<")[2].partition(">")[0]
                    if self._say(f"RCPT {address}", self.server.next_act("RCPT", _REPLIES["RCPT"])):
                        delivery.recipients.append(address)
                else:
                    self._say(verb)
                if verb == "QUIT":
                    return

    def _say(self, stage: str, default: str | None = None) -> bool:
        """Do what the script says at a stage; whether it was a yes."""
        act = self.server.next_act(stage, default or _REPLIES.get(stage, "502 5.5.1 Command not implemented"))
        if act == Act.CLOSE:
            raise _Gone
        if act == Act.STALL:
            self.server.ending.wait()
            raise _Gone
        self.wfile.write(act.encode() + b"\r\n")
        if act.startswith("421"):
            raise _Gone
        return act[0] in "23"

    def _take(self, delivery: Delivery) -> None:
        refusal = None if delivery.recipients else "554 5.5.1 No valid recipients"
        if not self._say("DATA", refusal) or not delivery.recipients:
            return
        self._act_in_body()
        data = bytearray()
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise _Gone
            data += line.removeprefix(b".")
        delivery.data = bytes(data)
        act = self.server.next_act("DOT", _REPLIES["DOT"])
        if act in (Act.KEEP_AND_CLOSE, Act.KEEP_AND_LATE) or act.startswith("250"):
            self.server.deliveries.append(delivery)
        if act == Act.STALL:
            self.server.ending.wait()
        if act in (Act.CLOSE, Act.KEEP_AND_CLOSE, Act.STALL):
            raise _Gone
        if act == Act.KEEP_AND_LATE:
            self.server.ending.wait(LATE_SECONDS)
            act = "250 2.0.0 Ok: at last"
        self.wfile.write(act.encode() + b"\r\n")
        if act.startswith("421"):
            raise _Gone

    def _act_in_body(self) -> None:
        act = self.server.next_act("BODY", "")
        if act == Act.CLOSE:
            self.rfile.read(1000)
            raise _Gone
        if act == Act.STALL:
            self.server.ending.wait()
            raise _Gone
