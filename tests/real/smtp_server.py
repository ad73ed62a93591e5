"""A scripted SMTP server on a real socket, for what a decent server never does, and a place for mail to end up.

Left alone it accepts everything (any login, no TLS) and keeps it in `messages`. `replies` overrides its answer to one
command; `trouble` makes it hang or hang up at one place. Both may be changed at any time and hold from the next command
on.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from real.processes import wait_until
from real.servers import HOST

_REPLIES = {
    "GREETING": "220 scripted.example ESMTP",
    "EHLO": "250-scripted.example\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
    "HELO": "250 scripted.example",
    "AUTH": "235 2.7.0 Authentication successful",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End data with <CR><LF>.<CR><LF>",
    "DOT": "250 2.0.0 Ok: queued as S1",
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}
_PROMPTS = {"LOGIN": ("VXNlcm5hbWU6", "UGFzc3dvcmQ6"), "PLAIN": ("",)}


class Trouble(StrEnum):
    """Where the server misbehaves. `CLOSE_AFTER_DOT` and `HANG_AFTER_DOT` keep the message, as a real one may have."""

    NONE = "none"
    SILENT = "takes the connection and never greets"
    HANG_AFTER_GREETING = "greets and never answers"
    HANG_AFTER_DOT = "keeps the message and never answers"
    CLOSE_BEFORE_DOT = "closes on DATA"
    CLOSE_AFTER_DOT = "keeps the message and closes without an answer"


@dataclass
class Received:
    """One message as it came; `data` without the final dot and with dot-stuffing undone."""

    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    data: bytes = b""


class SmtpServer(socketserver.ThreadingTCPServer):
    """Listening on `host:port` from its making until the end of its `with` block."""

    allow_reuse_address = True
    host = HOST

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Session)
        self.port: int = self.server_address[1]
        self.trouble = Trouble.NONE
        self.replies: dict[str, str] = {}
        """Overrides by command: `{"RCPT": "451 4.3.0 Later"}`; also `GREETING` and `DOT`."""
        self.messages: list[Received] = []
        self.commands: list[str] = []
        """Every command line of every session, in order."""
        self.connections = 0
        self.ending = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.shutdown()
        self.hang_up()
        self.server_close()
        self._thread.join()

    def hang_up(self) -> None:
        """Cut every open session."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def wait_for_messages(self, count: int = 1) -> list[Received]:
        """The messages, as soon as there are at least `count`. Raises `TimeoutError`."""
        wait_until(lambda: len(self.messages) >= count, f"{count} messages at the SMTP server")
        return self.messages


class _Session(socketserver.StreamRequestHandler):
    server: SmtpServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """One connection; a client that goes away is no fault of the server's."""
        with contextlib.suppress(ConnectionError):
            if self.server.trouble == Trouble.SILENT:
                self.server.ending.wait()
                return
            self._reply("GREETING")
            message = Received()
            while (command := self._read_command()) and self._obey(command, message):
                if command.upper().startswith(("MAIL", "RSET")):
                    message = Received(sender=_path(command))

    def _obey(self, command: str, message: Received) -> bool:
        """Answer one command; return whether the session continues."""
        verb = command.partition(" ")[0].upper()
        if self.server.trouble == Trouble.HANG_AFTER_GREETING:
            self.server.ending.wait()
            return False
        if verb == "AUTH":
            self._ask_for_secrets(command)
        if verb == "DATA":
            return self._take_message(message)
        if self._reply(verb) and verb == "RCPT":
            message.recipients.append(_path(command))
        return verb != "QUIT"

    def _take_message(self, message: Received) -> bool:
        if self.server.trouble == Trouble.CLOSE_BEFORE_DOT:
            return False
        if not self._reply("DATA"):
            return True
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line.removeprefix(b"."))
        message.data = b"".join(lines)
        trouble = self.server.trouble
        if trouble in (Trouble.HANG_AFTER_DOT, Trouble.CLOSE_AFTER_DOT):
            self.server.messages.append(message)
            if trouble == Trouble.HANG_AFTER_DOT:
                self.server.ending.wait()
            return False
        if self._text("DOT").startswith("2"):
            self.server.messages.append(message)
        self._reply("DOT")
        return True

    def _ask_for_secrets(self, command: str) -> None:
        """Read what AUTH has not said at once; any secret is welcome."""
        mechanism, *initial = command.split()[1:]
        for prompt in _PROMPTS[mechanism.upper()][len(initial) :]:
            self.wfile.write(f"334 {prompt}\r\n".encode())
            self.rfile.readline()

    def _read_command(self) -> str:
        command = self.rfile.readline().decode().rstrip("\r\n")
        if command:
            self.server.commands.append(command)
        return command

    def _reply(self, name: str) -> bool:
        """Send the reply to a command; whether it said yes."""
        text = self._text(name)
        self.wfile.write(f"{text}\r\n".encode())
        return text[0] in "23"

    def _text(self, name: str) -> str:
        return self.server.replies.get(name) or _REPLIES.get(name, "502 5.5.1 Command not implemented")


def _path(command: str) -> str:
    """The address in `MAIL FROM:<a@b> ...` or `RCPT TO:<a@b>`; empty for anything else."""
    return command.partition("<")[2].partition(">")[0]
