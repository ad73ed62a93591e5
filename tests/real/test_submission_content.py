"""What is submitted is what arrives: by Postfix into Dovecot, read by another IMAP client and another MIME parser."""

from __future__ import annotations

import imaplib
import os
import random
import re
from pathlib import Path

import pytest
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.postfix import Postfix
from real.processes import PATIENCE_SECONDS, wait_until
from real.random_submissions import faults, submission

pytestmark = [pytest.mark.real, pytest.mark.process]

SEED = int(os.environ.get("SUBMISSIONS_SEED", "4711"))
COUNT = int(os.environ.get("SUBMISSIONS", "15"))
_ID = re.compile(rb"^Message-ID: (<[^>\r]+>)", re.MULTILINE | re.IGNORECASE)


def _uids(client: imaplib.IMAP4) -> list[str]:
    client.select()
    _, (uids,) = client.uid("SEARCH", "ALL")
    return [each.decode() for each in uids.split()]


def test_random_submissions_arrive_as_they_were_handed_in(tmp_path: Path, dovecot: Dovecot, postfix: Postfix) -> None:
    login, password = dovecot.user()
    tls = {"ca": dovecot.ca_pem, "required": True}
    auth = {"user": login, "pass": password}
    registration = {
        "account": "jane",
        "name": "Jane",
        "email": login,
        "imap": {"host": dovecot.host, "port": dovecot.tls_port, "secure": True, "auth": auth, "tls": tls},
        "smtp": {"host": postfix.host, "port": postfix.tls_port, "secure": True, "auth": auth, "tls": tls},
    }
    engine = EngineProcess(tmp_path)
    engine.start()
    try:
        assert engine.request("POST", "/v1/account", registration).status == 200
        engine.wait_for_state("jane", "connected")
        dice, sent = random.Random(SEED), {}
        for number in range(COUNT):
            body = submission(dice, login, number)
            answer = engine.request("POST", "/v1/account/jane/submit", body)
            assert answer.status == 200, (body, answer.body)
            sent[answer.json["messageId"]] = body
        with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
            client.login(login, password)
            wait_until(lambda: len(_uids(client)) >= COUNT, f"{COUNT} messages", PATIENCE_SECONDS + COUNT)
            arrived = {}
            for uid in _uids(client):
                _, ((_, content), *_) = client.uid("FETCH", uid, "(BODY.PEEK[])")
                arrived[_ID.search(content)[1].decode()] = content
    finally:
        engine.kill9()
    assert arrived.keys() == sent.keys()
    wrong = {message_id: found for message_id, body in sent.items() if (found := faults(body, arrived[message_id]))}
    assert wrong == {}, f"{len(wrong)} of {COUNT}"
