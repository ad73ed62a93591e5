"""A start with many queued messages: how long until it is ready, and how much memory it takes.

The messages are written into a stopped engine's folder as rows, since handing in 100,000 takes minutes; bodies have a
size that would show in the memory if they were loaded.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

from torture_parts.engine import Engine
from torture_parts.rounds import start_sink

LATER = 86400.0
STEP = 0.0001


def queue(folder: Path, account: str, count: int, body_bytes: int, *, due_in: float = LATER, word: str = "ok") -> None:
    """Write `count` messages of `account` into the data folder of an engine that does not run.

    `word` says how the sink takes them. They are due one shortly after another, the first in `due_in` seconds.
    """
    now = time.time()
    content = (b"All work and no play makes this a rather plain message.\r\n" * (body_bytes // 57 + 1))[:body_bytes]
    with sqlite3.connect(folder / "journal.db") as db:
        first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM message").fetchone()[0]
        numbers = range(first, first + count)
        db.executemany(
            "INSERT INTO message (id, queue_id, account, message_id, subject, sender, smtputf8, size, created, "
            "send_at, next_at, state, attempts_max) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, 'queued', 10)",
            (
                (
                    number,
                    f"{number:019x}",
                    account,
                    f"<{number}@backlog.example>",
                    f"b{number}",
                    f"{account}@example.com",
                    body_bytes + 100,
                    now,
                    now + due_in + number * STEP,
                    now + due_in + number * STEP,
                )
                for number in numbers
            ),
        )
        db.executemany(
            "INSERT INTO recipient (message, position, address, state) VALUES (?, 0, ?, 'queued')",
            ((number, f"{word}.b{number}@example.net") for number in numbers),
        )
        db.executemany(
            "INSERT INTO body (message, header, bcc_header, content, spool) VALUES (?, ?, x'', ?, NULL)",
            (
                (number, f"Subject: b{number}\r\nMessage-ID: <{number}@backlog.example>\r\n".encode(), content)
                for number in numbers
            ),
        )
    db.close()


def measure_start(folder: Path, count: int) -> int:
    """Print seconds to ready and memory, with nothing queued and with `count` messages of 4 kB."""
    with ExitStack() as stack:
        port = start_sink(stack, folder / "arrived")
        engine = Engine(folder)
        stack.callback(engine.kill)
        engine.start()
        engine.issue_token()
        engine.register("t0", port)
        engine.kill()
        empty, empty_rss = engine.start(), engine.rss()
        engine.kill()
        queue(engine.folder, "t0", count, 4000)
        ready, rss = engine.start(), engine.rss()
        time.sleep(2)
        settled = engine.rss()
        total = engine.call("GET", "/v1/outbox?pageSize=1")["total"]
        print(f"{'nothing queued':24} ready in {empty:.2f} s, {empty_rss:.0f} MB")
        print(f"{f'{count} queued':24} ready in {ready:.2f} s, {rss:.0f} MB, after 2 s {settled:.0f} MB")
        print(f"{'in the outbox':24} {total}")
        return 0 if total == count else 1
