"""A TCP relay in a thread, which can go mute as proxies and firewalls on the way do."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Self

TICK = 0.1


class Relay:
    """Relays connections to `host:port` from a port of its own until the block it opens ends.

    `listener`: where connections come from instead of loopback.
    """

    def __init__(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        self._target = (host, port)
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self.passed_at = 0.0
        """When it passed on something last (`time.monotonic`)."""
        self._swallowed: set[socket.socket] = set()
        self._ended = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join(10)
        for each in (*self._pairs, self._listener):
            each.close()
        self._selector.close()

    def swallow(self) -> None:
        """The connections of now stay open, take all that is sent and pass nothing on; later ones work."""
        self._swallowed |= self._pairs.keys()

    def _work(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(TICK):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._pairs:
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        near = self._listener.accept()[0]
        far = socket.create_connection(self._target)
        for one, other in ((near, far), (far, near)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        other = self._pairs[source]
        try:
            data = source.recv(65536)
            if not data:
                self._close(source)
            elif source not in self._swallowed:
                other.sendall(data)
                self.passed_at = time.monotonic()
        except OSError:
            self._close(source)

    def _close(self, one: socket.socket) -> None:
        if (other := self._pairs.get(one)) is None:
            return
        for each in (one, other):
            self._selector.unregister(each)
            del self._pairs[each]
            each.close()
