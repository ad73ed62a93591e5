#!/usr/bin/env python3
"""A webhook receiver in one file, without anything to install: checks the signature, handles each event once, resumes.

    SECRET=whsec_... python3 receiver.py 8000 seen.txt

SECRET is the secret of the webhook: `whsec_` and base64, or any other text. `seen.txt` holds the numbers of the events
that were handled. Events come at least once, and in order within an account; one that was parked comes when it is
retried, behind later ones, so the highest number alone would not do.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

TOLERANCE = 300  # seconds a signature may be old or ahead


def key_of(secret: str) -> bytes:
    """What a secret stands for: the bytes behind `whsec_`, or else its own text."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def verify(key: bytes, headers, body: bytes) -> bool:
    """Whether Standard Webhooks' signature is right; one of several is enough, so that secrets can be changed."""
    sent, name = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE:
        return False
    expected = base64.b64encode(hmac.digest(key, f"{name}.{sent}.".encode() + body, hashlib.sha256)).decode()
    given = [each.partition(",")[2] for each in headers.get("webhook-signature", "").split() if each.startswith("v1,")]
    return any(hmac.compare_digest(expected, each) for each in given)


def handle(event: dict[str, Any]) -> None:
    """Your part. What it raises is answered with 500, and the event comes again."""
    print(json.dumps({"seq": event["seq"], "event": event["event"], "account": event["account"]}), flush=True)


class Seen:
    """The numbers of the events that were handled, a line each on disk."""

    def __init__(self, file: Path) -> None:
        self._numbers = {int(line) for line in file.read_text().split("\n")[:-1]} if file.exists() else set()
        self._out = file.open("a")
        self.lock = Lock()

    def before(self, event: dict[str, Any]) -> bool:
        return event["seq"] in self._numbers

    def note(self, event: dict[str, Any]) -> None:
        self._out.write(f"{event['seq']}\n")
        self._out.flush()
        os.fsync(self._out.fileno())
        self._numbers.add(event["seq"])


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    key: bytes
    seen: Seen

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not verify(self.key, self.headers, body):
            print("refused: the signature is not one of this SECRET, or its time is off", file=sys.stderr, flush=True)
            return self._answer(401)
        event = json.loads(body)
        if event["seq"] == 0:  # a test event
            return self._answer(204)
        with self.seen.lock:
            if not self.seen.before(event):
                handle(event)
                self.seen.note(event)
        return self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[1].isdecimal() or not os.environ.get("SECRET"):
        sys.exit(f"usage: SECRET=... {sys.argv[0]} PORT FILE\n{__doc__}")
    Receiver.key = key_of(os.environ["SECRET"])
    Receiver.seen = Seen(Path(sys.argv[2]))
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver) as server:
        print(f"listening on {server.server_address[1]}", file=sys.stderr, flush=True)
        server.serve_forever()
