"""A network namespace joined to the machine's own by a pair of interfaces, whose packets can be lost without a word.

Sockets listen in it from within the test's own process. Losing is done with a neighbour's wrong hardware address, so
each direction can be lost alone and nothing else of the machine changes. Needs root and a kernel with namespaces.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from pathlib import Path
from typing import Self

from real.servers import ServerMissing

_CLONE_NEWNET = 0x40000000
NOBODY = "02:00:00:00:00:99"


class FarSide:
    """The namespace, until the end of its `with` block; `host` is its address as the machine sees it."""

    def __init__(self) -> None:
        net = f"10.218.{os.getpid() % 251}"
        self.host, self._here = f"{net}.2", f"{net}.1"
        self._name = f"far{os.getpid()}"

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise ServerMissing("network namespaces need root")
        try:
            _ip(f"netns add {self._name}")
            _ip(f"link add {self._name} type veth peer name near netns {self._name}")
            _ip(f"addr add {self._here}/30 dev {self._name}")
            _ip(f"-n {self._name} addr add {self.host}/30 dev near")
            _ip(f"link set {self._name} up")
            _ip(f"-n {self._name} link set near up")
        except (OSError, subprocess.CalledProcessError) as error:
            self._remove()
            raise ServerMissing(f"this machine gives no network namespace: {error}") from error
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def listen(self) -> socket.socket:
        """A listening socket of the namespace, on a port of its own."""
        made: list[socket.socket] = []

        def make() -> None:
            # A thread enters the namespace and ends there; the socket stays in it.
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/run/netns/{self._name}").open() as namespace:
                if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(socket.create_server((self.host, 0)))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def lose(self, *, to: bool = True, back: bool = True) -> None:
        """From now on packets to it, or those that come back, are lost."""
        there = NOBODY if to else self._hardware(f"-n {self._name} ", "near")
        here = NOBODY if back else self._hardware("", self._name)
        _ip(f"neigh replace {self.host} lladdr {there} dev {self._name} nud permanent")
        _ip(f"-n {self._name} neigh replace {self._here} lladdr {here} dev near nud permanent")

    def mend(self) -> None:
        """Packets arrive again."""
        self.lose(to=False, back=False)

    def _hardware(self, where: str, interface: str) -> str:
        words = _ip(f"{where}-o link show dev {interface}").split()
        return words[words.index("link/ether") + 1]

    def _remove(self) -> None:
        for command in (f"link del {self._name}", f"netns del {self._name}"):
            subprocess.run(["ip", *command.split()], capture_output=True)


def _ip(arguments: str) -> str:
    return subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=True).stdout
