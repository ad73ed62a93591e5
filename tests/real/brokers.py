"""Real brokers on loopback, of a test's own, that can be killed and come back with what they have on disk."""

from __future__ import annotations

import abc
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from real.certificates import Certificates
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import HOST, ServerMissing, accepts, free_ports

STREAM = "MAIL"
KEY = "mailbox-events"


class BrokerProcess(abc.ABC):
    """One broker."""

    program: str
    package: str

    def __init__(self, folder: Path) -> None:
        found = shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if found is None:
            raise ServerMissing(f"there is no {self.program}; Debian's package is {self.package}")
        self.folder = folder
        (self.port,) = free_ports(1)
        self._command = [found, *self._options()]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where sinks find it."""

    @abc.abstractmethod
    def stored(self) -> list[tuple[str, dict[str, Any]]]:
        """Every event that it has, in its order, each with its subject or the id of its entry."""

    @abc.abstractmethod
    def _options(self) -> list[str]: ...

    def start(self) -> None:
        """Start it, on what it has on disk, and wait until it takes connections."""
        mortal = ["setpriv", "--pdeathsig", "KILL"]
        self._process = subprocess.Popen(
            [*mortal, *self._command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_until(lambda: accepts(HOST, self.port), f"start of {self.program}")

    def kill9(self) -> None:
        """End it without a last word; nothing to do if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class NatsServer(BrokerProcess):
    """A NATS server with JetStream. `settings`: further lines of its configuration."""

    program, package = "nats-server", "nats-server"

    def __init__(self, folder: Path, settings: str = "", login: dict[str, str] | None = None) -> None:
        self._settings = settings
        self._login = login or {}
        super().__init__(folder)

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    def _options(self) -> list[str]:
        file = self.folder / "nats.conf"
        file.write_text(
            f'listen: "{HOST}:{self.port}"\njetstream {{ store_dir: "{self.folder}/jetstream" }}\n{self._settings}\n'
        )
        return ["-c", str(file)]

    def stored(self) -> list[tuple[str, dict[str, Any]]]:
        """Subject and event of every message in the stream, in its order."""
        address = (HOST, self.port)
        with socket.create_connection(address, PATIENCE_SECONDS) as connection, connection.makefile("rb") as file:
            file.readline()
            options = json.dumps({"verbose": False, "headers": True, **self._login})
            connection.sendall(f"CONNECT {options}\r\nSUB d 1\r\nSUB r 2\r\n".encode())

            def next_message() -> tuple[list[str], bytes]:
                while True:
                    words = file.readline().decode().split()
                    if not words:
                        raise ConnectionError("the broker hung up")
                    if words[0] in ("MSG", "HMSG"):
                        body = file.read(int(words[-1]))
                        file.read(2)
                        return words, body[int(words[-2]) :] if words[0] == "HMSG" else body

            found: list[tuple[str, dict[str, Any]]] = []

            def answer() -> dict[str, Any] | None:
                """Read one message: the answer to a request; None if it is an event, which may come before that."""
                words, body = next_message()
                if words[2] == "2":
                    return json.loads(body)
                found.append((words[1], json.loads(body)))
                return None

            def ask(subject: str, body: dict[str, Any]) -> dict[str, Any]:
                text = json.dumps(body)
                connection.sendall(f"PUB {subject} r {len(text)}\r\n{text}\r\n".encode())
                while (said := answer()) is None:
                    pass
                return said

            count = ask(f"$JS.API.STREAM.INFO.{STREAM}", {}).get("state", {}).get("messages", 0)
            config = {"deliver_subject": "d", "deliver_policy": "all", "ack_policy": "none"}
            if count:
                ask(f"$JS.API.CONSUMER.CREATE.{STREAM}", {"stream_name": STREAM, "config": config})
            while len(found) < count:
                answer()
            return found


class RedisStreams(BrokerProcess):
    """A Redis that keeps every command on disk. `password`: what it asks for."""

    program, package = "redis-server", "redis-server"

    def __init__(self, folder: Path, password: str = "", certificates: Certificates | None = None) -> None:
        self._password = password
        self._certificates = certificates
        (self.tls_port,) = free_ports(1)
        super().__init__(folder)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/3"

    @property
    def tls_url(self) -> str:
        """The same by TLS."""
        return f"rediss://{HOST}:{self.tls_port}/3"

    def _options(self) -> list[str]:
        options = ["--port", str(self.port), "--bind", HOST, "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "no"]
        if self._password:
            options += ["--requirepass", self._password]
        if self._certificates is not None:
            chain, key = self._certificates.good
            options += ["--tls-port", str(self.tls_port), "--tls-cert-file", str(chain), "--tls-key-file", str(key)]
            options += ["--tls-auth-clients", "no"]
        return options

    def stored(self) -> list[tuple[str, dict[str, Any]]]:
        """Id and event of every entry in the stream, in its order."""
        address = (HOST, self.port)
        with socket.create_connection(address, PATIENCE_SECONDS) as connection, connection.makefile("rb") as file:

            def reply() -> Any:
                line = file.readline()[:-2]
                match line[:1]:
                    case b"*":
                        return [reply() for _ in range(int(line[1:]))]
                    case b"$":
                        return file.read(int(line[1:]) + 2)[:-2] if int(line[1:]) >= 0 else None
                    case b"-":
                        raise RuntimeError(line.decode())
                    case _:
                        return line[1:]

            def ask(*words: str) -> Any:
                parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
                connection.sendall(f"*{len(words)}\r\n{parts}".encode())
                return reply()

            if self._password:
                ask("AUTH", self._password)
            ask("SELECT", "3")
            return [
                (entry.decode(), json.loads(dict(zip(fields[::2], fields[1::2], strict=True))[b"body"]))
                for entry, fields in ask("XRANGE", KEY, "-", "+")
            ]
