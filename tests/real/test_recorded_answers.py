"""What EmailEngine answered, and what this engine answers to the same requests, in the same order.

Compared are the status, the members of each answer with their types, and what errors say. A difference that is not in
`ACCEPTED` fails, and so does one that is there and is none any more.
"""

from __future__ import annotations

import base64
import fnmatch
import imaplib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real.dovecot import Dovecot
from real.engine_process import Answer, EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import free_ports
from real.smtp_server import SmtpServer

pytestmark = [pytest.mark.real, pytest.mark.process]

RECORDED = Path(__file__).parents[1] / "data/recorded/emailengine-2.79.jsonl"
LETTER = (
    b"From: Alice <alice@example.org>\r\nTo: u240@example.com\r\nSubject: L-capnew-1 hi\r\n"
    b"Message-ID: <n1@example.org>\r\nDate: Sun, 22 Nov 2026 11:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain body\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>html body</p>\r\n--b--\r\n"
)
NO_AUTH = "250-scripted.example\r\n250-PIPELINING\r\n250 8BITMIME"
DIFFERENT = {"submit-hard-error": ("RCPT", "550 5.1.1 Unknown"), "submit-soft-error": ("DOT", "451 4.3.0 Later")}
"""What the SMTP server says to a message that is refused."""

_OUTBOX = "ours in an entry"
_WHEN = "how far the mailbox was then"
ACCEPTED = {
    # What is better on purpose stands in docs/differences.md.
    "*: +*sending": "whether the account can send, ours",
    "*: +*syncTime": _WHEN,
    "*: +*lastError.description": "errors say what to do, ours",
    "*: +imap.description": "errors say what to do, ours",
    "*: -*counters.events.mailboxReset": "theirs is raised for every folder of a new account, without a reason",
    "*: +*counters.events.message*": _WHEN,
    "account-info-after-smtp-error: -counters.events.message*": "the operations on messages that raise it",
    "account-info-after-smtp-error: +smtpStatus.*": "that of the last message, which failed",
    "messages-sent-folder: +messages[[][]].inReplyTo": "the reply has been filed, theirs not yet",
    "*: +fields[[][]].path": "the whole path of a wrong member, ours",
    "error-400-submit-bad-to: fields is *": "members by their path, not by the name of their type",
    "error-400-unknown-query: fields is *": "members by their path, not by the name of their type",
    "error-400-bad-json: +*": "where a body is not JSON, ours",
    "outbox-*: +*state": _OUTBOX,
    "outbox-*: +*onDoubt": _OUTBOX,
    "outbox-entry: +recipients": _OUTBOX,
    "outbox-entry: +waitingFor": _OUTBOX,
    "outbox-entry: +attemptLog": _OUTBOX,
    "outbox-entry-404: *": "an entry can be read after its message has ended",
    "webhook-batch-stats: -*": "what EmailEngine is made of, and what happened then",
    "webhook-batch-stats: +python": "what this engine is made of",
    "webhook-batch-stats: +sqlite": "what this engine is made of",
    "webhook-batch-stats: +counters.*": _WHEN,
    "submit-dry-run: +checks": "what was checked before sending, ours",
    "webhook-batch-stats: +delivery": "how mail fares, ours",
    "webhook-batch-stats: +connections.*": "states that theirs leaves out",
    "queue-submit: +oldest": "since when the oldest one waits, ours",
    "submit-on-auth-error-account: status 503, not 200": "refused before the first sync",
}
"""Differences, as patterns, and why they are there."""


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        server.replies["EHLO"] = NO_AUTH
        yield server


def test_the_engine_answers_as_emailengine_did(start_engine: Any, dovecot: Dovecot, smtp: SmtpServer) -> None:
    engine: EngineProcess = start_engine(ENGINE_RETRY__SCHEDULE="1s")
    replay = _Replay(engine, dovecot, smtp)
    found: list[str] = []
    for line in RECORDED.read_text().splitlines():
        found += replay.differences(json.loads(line))
    accepted = {each: [one for one in found if fnmatch.fnmatchcase(one, each)] for each in ACCEPTED}
    known = {one for ones in accepted.values() for one in ones}
    assert not [one for one in found if one not in known], "\n".join(one for one in found if one not in known)
    assert not [each for each, ones in accepted.items() if not ones], "accepted, and no difference any more"


class _Replay:
    """The engine, and by which names it knows what the recorded requests are about."""

    def __init__(self, engine: EngineProcess, dovecot: Dovecot, smtp: SmtpServer) -> None:
        self._engine, self._dovecot, self._smtp = engine, dovecot, smtp
        self._user, self._password = dovecot.user()
        self._shut = free_ports(1)[0]
        self._names: dict[str, str] = {}

    def differences(self, recorded: dict[str, Any]) -> list[str]:
        name = recorded["name"]
        self._smtp.replies = {"EHLO": NO_AUTH, **dict([DIFFERENT[name]] if name in DIFFERENT else [])}
        before = len(self._events("messageDeliveryError"))
        answer = self._asked(recorded)
        if name in DIFFERENT:
            wait_until(lambda: len(self._events("messageDeliveryError")) > before, "an attempt")
        self._settle(name, answer)
        found = [] if answer.status == recorded["status"] else [f"status {answer.status}, not {recorded['status']}"]
        if not found and "shape" in recorded:
            found += list(_unlike(answer.json, recorded["shape"], ""))
        for member, said in recorded.get("says", {}).items():
            ours = answer.json.get(member)
            if member == "fields":
                ours = [{key: value for key, value in each.items() if key != "path"} for each in ours or []]
            if ours != said:
                found.append(f"{member} is {ours}, not {said}")
        return [f"{name}: {each}" for each in found]

    def _asked(self, recorded: dict[str, Any]) -> Answer:
        path = self._named(recorded["path"])
        body: Any = recorded["raw"].encode() if "raw" in recorded else recorded.get("body")
        if isinstance(body, dict):
            body = self._servers(json.loads(self._named(json.dumps(body))))
        token = {"none": "", "wrong": "0" * 64, "good": None}[recorded["token"]]
        return self._engine.request(recorded["method"], path, body, token=token, headers=recorded.get("headers"))

    def _named(self, text: str) -> str:
        """The text of a request with our names in place of theirs."""
        for theirs, ours in self._names.items():
            text = text.replace(theirs, ours)
        return text

    def _servers(self, body: dict[str, Any]) -> dict[str, Any]:
        if isinstance(imap := body.get("imap"), dict) and imap.get("port"):
            good = imap["auth"]["pass"] == "pw"
            imap["auth"] = {"user": self._user, "pass": self._password if good else "wrong"}
            imap["host"] = self._dovecot.plain_host
            imap["port"] = self._dovecot.plain_port if imap["port"] == 31143 else self._shut
        if "smtp" in body:
            body["smtp"] |= {"host": self._smtp.host, "port": self._smtp.port}
        return body

    def _settle(self, name: str, answer: Answer) -> None:
        """What the requests that follow rely on."""
        if name == "register-account":
            self._engine.wait_for_state("acc240", "connected")
            self._deliver()
        elif name == "register-bad-password":
            self._engine.wait_for_state("acc241", "authenticationError")
        elif name == "register-connect-error":
            self._engine.wait_for_state("acc242", "connectError")
        elif name == "submit":
            wait_until(lambda: self._events("messageSent"), "the message sent")
            wait_until(lambda: self._names_of("Sent"), "its copy")
        elif name == "accounts-list":
            hook = {"webhooks": f"http://{self._smtp.host}:{self._shut}/", "webhooksEnabled": True}
            assert self._engine.request("POST", "/v1/settings", {**hook, "webhookEvents": ["*"]}).status == 200
        elif name == "submit-scheduled":
            self._names["1a2ce8bd400fd792812"] = answer.json["queueId"]

    def _client(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4(self._dovecot.plain_host, self._dovecot.plain_port, PATIENCE_SECONDS)
        client.login(self._user, self._password)
        return client

    def _deliver(self) -> None:
        with self._client() as client:
            assert client.append("INBOX", "", "", LETTER)[0] == "OK"
        wait_until(lambda: self._events("messageNew"), "the letter")
        data = self._events("messageNew")[0]["data"]
        number = base64.urlsafe_b64decode(data["id"] + "=")[:4]
        nobody = base64.urlsafe_b64encode(number + (481).to_bytes(4, "big")).decode().rstrip("=")
        self._names |= {
            "AAAAAgAAAAGTkaExkaEykA": data["text"]["id"],
            "AAAAAgAAAAE": data["id"],
            "AAAAAQAAAeE": nobody,
        }

    def _names_of(self, path: str) -> list[Any]:
        answer = self._engine.request("GET", f"/v1/account/acc240/messages?path={path}")
        return list(answer.json["messages"]) if answer.status == 200 else []

    def _events(self, name: str) -> list[dict[str, Any]]:
        return list(self._engine.request("GET", f"/v1/events?limit=1000&events={name}").json["events"])


def _unlike(ours: Any, theirs: Any, place: str) -> Iterator[str]:
    """Where an answer of ours has other members than theirs, or of other types."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        yield from (f"-{place}{name}" for name in theirs if name not in ours)
        yield from (f"+{place}{name}" for name in ours if name not in theirs)
        for name in theirs:
            if name in ours:
                yield from _unlike(ours[name], theirs[name], f"{place}{name}.")
    elif isinstance(theirs, list) and isinstance(ours, list):
        members = {name: value for each in ours if isinstance(each, dict) for name, value in each.items()}
        if theirs and ours:
            yield from _unlike(members or ours[0], theirs[0], f"{place[:-1]}[].")
        elif theirs:
            yield f"-{place}[]"
    elif _kind(ours) != (theirs if isinstance(theirs, str) else _kind(theirs)):
        yield f"{place[:-1]} is {_kind(ours)}, not {theirs}"


def _kind(value: Any) -> str:
    kinds = ((bool, "boolean"), (int, "number"), (float, "number"), (str, "string"), (dict, "object"), (list, "list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")
