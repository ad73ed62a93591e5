"""What every mail server of these tests is: an address, a folder of its own, and a sure end.

Ports are taken below the kernel's range for outgoing connections, so that no client can sit on one between our look and
the server's bind. One loopback address stands for each way of doing TLS, since Dovecot chooses its certificate by the
address a client came to.
"""

from __future__ import annotations

import abc
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from real.processes import end_tree, signal_tree, wait_until

HOST = "127.0.0.1"
EXPIRED_HOST = "127.0.0.2"
WRONG_NAME_HOST = "127.0.0.3"
PLAIN_HOST = "127.0.0.4"

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(20_000 + 1000 * (_WORKER % 12), 21_000 + 1000 * (_WORKER % 12))
"""Each process that tests beside others looks in a range of its own, since a port found is not taken yet."""

VMAIL_UID = 5000
"""Owner of all test mailboxes. A number without a name serves both servers and leaves the machine's user list alone."""


class ServerMissing(Exception):
    """The server cannot run on this machine; the text says what is missing."""


@contextlib.contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """A new folder, short enough for Unix sockets in it and readable by the servers' own users; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """`count` different unused loopback ports."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.choice(PORTS)
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                ports.append(port)
        return ports


def accepts(host: str, port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


class MailServer(abc.ABC):
    """What the private Dovecot and the private Postfix have in common.

    `host:port` offers STARTTLS and `host:tls_port` is TLS from the first byte. On `expired_host` and `wrong_name_host`
    the same two ports show a bad certificate. `plain_host:plain_port` knows no TLS at all. `ca_pem` is the authority
    behind the good certificate. A subclass says how to `_launch` and which process is its root (`pid`).
    """

    host = HOST
    expired_host = EXPIRED_HOST
    wrong_name_host = WRONG_NAME_HOST
    plain_host = HOST

    port: int
    tls_port: int
    plain_port: int
    ca_pem: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log_file = folder / "log"

    @abc.abstractmethod
    def _launch(self) -> None: ...

    @property
    @abc.abstractmethod
    def pid(self) -> int | None:
        """The root of its processes; None when it does not run."""

    @property
    def log(self) -> str:
        """All it has logged so far."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def start(self) -> None:
        """Start it and wait until it takes connections. Raises `RuntimeError` with its log."""
        name = type(self).__name__
        try:
            self._launch()
            ports = ((self.host, self.port), (self.host, self.tls_port), (self.plain_host, self.plain_port))
            wait_until(lambda: all(accepts(*port) for port in ports), f"start of {name}")
        except (OSError, subprocess.SubprocessError) as error:
            self.stop()
            raise RuntimeError(f"{name} does not start: {error}\n{self.log}") from error

    def stop(self) -> None:
        """End it and every session on it; nothing to do when it does not run."""
        if (pid := self.pid) is not None:
            end_tree(pid)

    def restart(self) -> None:
        """Stop it and start it on the same ports, with all it has on disk."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop all its processes where they are: connections stay open and nothing answers. Ends with `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.pid is not None, f"{type(self).__name__} does not run"
        signal_tree(self.pid, number)
