"""An HTTP server that keeps every webhook it gets and answers what the test tells it to.

Headers and body are kept as they came, bytes for bytes, because signatures are made over bytes.
"""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from real.processes import wait_until
from real.servers import HOST


@dataclass(frozen=True)
class Webhook:
    """One request. `headers` is looked up without regard to case."""

    path: str
    headers: Message
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        return json.loads(self.body)


class WebhookReceiver(ThreadingHTTPServer):
    """Listening at `url` from its making until the end of its `with` block.

    `connections` are all there have been, each for one request unless `keep_alive`.
    Answer: `status` with `headers`, after `delay` seconds; all three may be changed at any time.
    """

    daemon_threads = False

    def __init__(self, host: str = HOST, *, keep_alive: bool = False) -> None:
        super().__init__((host, 0), _KeptRequest if keep_alive else _Request)
        self.url = f"http://{host}:{self.server_address[1]}/hook"
        self.connections: list[Any] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.webhooks: list[Webhook] = []
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The events received so far, or those called `name`, in order of arrival."""
        return [hook.event for hook in list(self.webhooks) if name in (None, hook.event["event"])]

    def wait_until_posts(self, count: int) -> None:
        """Return as soon as there are `count` posts, whatever is in them. Raises `TimeoutError`."""
        wait_until(lambda: len(self.webhooks) >= count, f"{count} posts")

    def wait_for(self, name: str | None = None, count: int = 1) -> list[dict[str, Any]]:
        """`events(name)`, as soon as there are at least `count`. Raises `TimeoutError`."""
        wait_until(lambda: len(self.events(name)) >= count, f"{count} webhooks {name or ''}")
        return self.events(name)


class _Request(BaseHTTPRequestHandler):
    server: WebhookReceiver
    timeout = 5
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.client_address)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.webhooks.append(Webhook(self.path, self.headers, body))
        if self.server.delay and self.server.ending.wait(self.server.delay):
            return
        with contextlib.suppress(ConnectionError):
            self.send_response(self.server.status)
            for name, value in self.server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The test looks at `webhooks`; nothing goes to stderr."""


class _KeptRequest(_Request):
    protocol_version = "HTTP/1.1"
