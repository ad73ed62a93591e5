"""Kills while merges are taken: of each request, all messages are there afterwards, or none."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
import uuid
from collections import Counter
from contextlib import closing
from http.client import HTTPException

import pytest
from real.engine_process import EngineProcess
from real.smtp_server import SmtpServer

from torture.accounts import register

pytestmark = pytest.mark.process

ENTRIES = 400
ROUNDS = 6
ATTACHMENT = {"filename": "a.bin", "content": "QUJD" * 100_000}


def test_of_each_merge_all_or_nothing(one_engine: EngineProcess, smtp_server: SmtpServer) -> None:
    account, chance = f"jane-{uuid.uuid4()}", random.Random(4711)
    register(one_engine, account, smtp_server.port)
    one_engine.request("PUT", "/v1/settings/queue/submit", {"account": account, "paused": True})
    confirmed: set[str] = set()

    def hand_in(subject: str, large: bool) -> None:
        entries = [{"to": {"address": f"{n}@example.com"}} for n in range(ENTRIES)]
        body = {"subject": subject, "text": "Hi", "mailMerge": entries, "attachments": [ATTACHMENT] if large else []}
        try:
            answer = one_engine.request(
                "POST", f"/v1/account/{account}/submit", body, headers={"Idempotency-Key": subject}
            )
        except (OSError, ValueError, HTTPException):
            return
        if answer.status == 200:
            assert all(each["success"] for each in json.loads(answer.body)["mailMerge"])
            confirmed.add(subject)

    for number in range(ROUNDS):
        clients = [threading.Thread(target=hand_in, args=(f"{number}-{n}", n == 0)) for n in range(3)]
        for client in clients:
            client.start()
        time.sleep(chance.uniform(0.02, 0.9))
        one_engine.kill9()
        for client in clients:
            client.join()
        one_engine.start()
    hand_in("last", True)
    with closing(sqlite3.connect(f"file:{one_engine.folder}/journal.db?mode=ro", uri=True)) as db:
        rows = db.execute(
            "SELECT subject, spool FROM message JOIN body ON body.message = message.id WHERE account = ?", (account,)
        ).fetchall()
    found = Counter(subject for subject, _ in rows)
    assert set(found.values()) == {ENTRIES}, found
    assert confirmed <= set(found)
    assert "last" in confirmed
    named = {spool for _, spool in rows if spool is not None}
    assert {each.name for each in (one_engine.folder / "spool").iterdir()} == named
    # What was confirmed is repeated by its key, and nothing is queued again.
    before = sum(found.values())
    for subject in confirmed:
        hand_in(subject, subject == "last" or subject.endswith("-0"))
    with closing(sqlite3.connect(f"file:{one_engine.folder}/journal.db?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM message WHERE account = ?", (account,)).fetchone()
    assert count == before
