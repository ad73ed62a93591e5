"""A mailbox at Dovecot that an account of the engine and another client have in common."""

from __future__ import annotations

import imaplib
from typing import Any

from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.processes import PATIENCE_SECONDS


class SharedMailbox:
    """The account is `jane` and connected; `client` is the other client, logged in."""

    def __init__(self, engine: EngineProcess, dovecot: Dovecot) -> None:
        self.engine = engine
        login, password = dovecot.user()
        self.client = imaplib.IMAP4(dovecot.plain_host, dovecot.plain_port, PATIENCE_SECONDS)
        self.client.login(login, password)
        imap = {
            "host": dovecot.plain_host,
            "port": dovecot.plain_port,
            "secure": False,
            "auth": {"user": login, "pass": password},
        }
        given = {"account": "jane", "name": "Jane", "email": login, "imap": imap}
        assert engine.request("POST", "/v1/account", given).status == 200
        engine.wait_for_state("jane", "connected")

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """The answer to a request about the account: its JSON, or its bytes if it has none."""
        answer = self.engine.request(method, f"/v1/account/jane/{target}", body)
        assert answer.status == 200, answer
        return answer.body if answer.json is None else answer.json
