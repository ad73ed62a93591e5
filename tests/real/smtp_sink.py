"""Postfix's own `smtp-sink` as a second, foreign opinion on what we send, and the fast end of every measurement.

It accepts anything, without login or TLS, and with `keep` writes each message to a file of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from real.processes import end_tree, wait_until
from real.servers import HOST, ServerMissing, accepts, free_ports


class SmtpSink:
    """One running `smtp-sink` on `host:port`, until the end of its `with` block."""

    host = HOST

    def __init__(self, folder: Path, *, keep: bool = True) -> None:
        if shutil.which("smtp-sink") is None:
            raise ServerMissing("smtp-sink is not installed (Debian: postfix)")
        (self.port,) = free_ports(1)
        self._folder = folder
        dump = ["-d", str(folder / "message.")] if keep else []
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        folder.chmod(0o777)
        command = ["smtp-sink", *user, *dump, f"{HOST}:{self.port}", "1000"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: accepts(HOST, self.port), "start of smtp-sink")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_tree(self._process.pid)
        self._process.wait()

    def messages(self) -> list[bytes]:
        """The dumps so far, in no order: smtp-sink's `X-` lines about the session, then the message."""
        return [path.read_bytes() for path in self._folder.glob("message.*")]

    def wait_for_messages(self, count: int = 1) -> list[bytes]:
        """`messages`, as soon as there are at least `count`. Raises `TimeoutError`."""
        wait_until(lambda: len(list(self._folder.glob("message.*"))) >= count, f"{count} messages at smtp-sink")
        return self.messages()
