"""A real Redis on loopback, of a test's own, and what an EmailEngine has written, put into it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

from real.certificates import Certificates
from real.processes import end_tree, wait_until
from real.servers import HOST, ServerMissing, accepts, free_ports

RECORDINGS = Path(__file__).parent / "emailengine"
DATABASE = 8


class RedisServer:
    """One Redis, with nothing on disk. `url` names the database that EmailEngine uses, `tls_url` the same by TLS."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise ServerMissing("there is no redis-server; Debian's package has this name")
        self.port, self.tls_port = free_ports(2)
        self.url = f"redis://{HOST}:{self.port}/{DATABASE}"
        self.tls_url = f"rediss://{HOST}:{self.tls_port}/{DATABASE}"
        options = ["--port", str(self.port), "--bind", HOST, "--dir", str(folder), "--save", "", "--logfile", "log"]
        chain, key = certificates.good
        options += ["--tls-port", str(self.tls_port), "--tls-cert-file", str(chain), "--tls-key-file", str(key)]
        options += ["--tls-auth-clients", "no"]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, start_new_session=True)
        wait_until(lambda: accepts(HOST, self.port), "start of Redis")

    def stop(self) -> None:
        """End it."""
        end_tree(self._process.pid)
        self._process.wait()

    def run(self, *command: bytes | str) -> bytes:
        """Run one command in the database; its answer as it comes over the wire. Raises `RuntimeError` on an error."""
        return self._run(("SELECT", str(DATABASE)), command)

    def run_as(self, password: str, *command: str) -> bytes:
        """The same where a password is asked for."""
        return self._run(("AUTH", password), command)

    def _run(self, *commands: tuple[bytes | str, ...]) -> bytes:
        with socket.create_connection((HOST, self.port)) as connection:
            for each in commands:
                words = [word.encode() if isinstance(word, str) else word for word in each]
                parts = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
                connection.sendall(b"*%d\r\n%b" % (len(words), parts))
                answer = connection.recv(65536)
        if answer.startswith(b"-"):
            raise RuntimeError(answer.decode())
        return answer

    def empty(self) -> None:
        """Remove everything."""
        self.run("FLUSHALL")

    def load(self, recording: str) -> None:
        """Put a recorded database in place of what is there."""
        self.empty()
        keys: dict[str, dict[str, Any]] = json.loads((RECORDINGS / recording).read_text())
        for key, stored in keys.items():
            value = stored["value"]
            match stored["type"]:
                case "hash":
                    self.hash(key, value)
                case "set":
                    self.run("SADD", _octets(key), *map(_octets, value))
                case "list":
                    self.run("RPUSH", _octets(key), *map(_octets, value))
                case "zset":
                    self.run("ZADD", _octets(key), *(word for each, at in value for word in (str(at), _octets(each))))
                case "string":
                    self.run("SET", _octets(key), _octets(value))

    def hash(self, key: str, members: dict[str, Any]) -> None:
        """Set members of a hash: texts or octets."""
        words = [word for name, value in members.items() for word in (name, value)]
        self.run("HSET", _octets(key), *(each if isinstance(each, bytes) else _octets(each) for each in words))


def _octets(text: str) -> bytes:
    """Recordings hold octets that are no UTF-8 as Python's surrogates."""
    return text.encode("utf-8", "surrogateescape")
