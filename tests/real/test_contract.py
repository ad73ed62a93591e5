"""One contract for every provider: the sandbox, and Dovecot and Postfix with TLS, STARTTLS and clear text.

Every case goes through the HTTP API of an engine process; what arrived is read where the provider keeps it.
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from real.dovecot import Dovecot
from real.engine_process import Answer, EngineProcess
from real.postfix import Postfix
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import free_ports
from real.smtp_server import SmtpServer, Trouble
from real.webhook_receiver import WebhookReceiver
from trio_websocket import open_websocket_url

from engine.app import run
from engine.config import load
from engine.store import database
from engine.world import World

pytestmark = [pytest.mark.real, pytest.mark.process]

SECURITY = ("tls", "starttls", "plain")


class SandboxProvider:
    """The mailbox inside the engine."""

    domain = "sandbox.example"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def address(self, word: str = "user") -> str:
        return f"{word}+{next(self._numbers)}@{self.domain}"

    def registration(self, account: str) -> dict[str, Any]:
        return {"account": account, "name": "Jane", "email": self.address(), "sandbox": True}


class RealProvider:
    """Dovecot and Postfix, reached in one of the three ways."""

    def __init__(self, dovecot: Dovecot, postfix: Postfix, security: str) -> None:
        self.dovecot = dovecot
        self.postfix = postfix
        self.security = security
        self._numbers = itertools.count(1)

    def address(self, word: str = "") -> str:
        if word:
            return f"{word}+{next(self._numbers)}@example.com"
        return self.dovecot.user()[0]

    def server(self, server: Dovecot | Postfix, login: tuple[str, str]) -> dict[str, Any]:
        host, port = {
            "tls": (server.host, server.tls_port),
            "starttls": (server.host, server.port),
            "plain": (server.plain_host, server.plain_port),
        }[self.security]
        tls = {} if self.security == "plain" else {"tls": {"ca": server.ca_pem, "required": True}}
        auth = {"user": login[0], "pass": login[1]}
        return {"host": host, "port": port, "secure": self.security == "tls", "auth": auth, **tls}

    def registration(self, account: str) -> dict[str, Any]:
        login = self.dovecot.user()
        imap, smtp = self.server(self.dovecot, login), self.server(self.postfix, login)
        return {"account": account, "name": "Jane", "email": login[0], "imap": imap, "smtp": smtp}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for the whole contract: each test uses accounts of its own."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_RETRY__SCHEDULE="1s 1s")
    engine.start()
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.fixture
def jane() -> str:
    """The id of an account no other test has used."""
    return f"jane-{uuid.uuid4()}"


@pytest.fixture(params=["sandbox", *SECURITY])
def provider(request: pytest.FixtureRequest) -> SandboxProvider | RealProvider:
    """Every provider in turn."""
    return SandboxProvider() if request.param == "sandbox" else request.getfixturevalue("real_provider")


@pytest.fixture
def real_provider(request: pytest.FixtureRequest, dovecot: Dovecot, postfix: Postfix) -> RealProvider:
    """The real servers; over implicit TLS unless the test asks for another way."""
    security = request.node.callspec.params.get("provider", "tls") if hasattr(request.node, "callspec") else "tls"
    return RealProvider(dovecot, postfix, security if security in SECURITY else "tls")


def register(engine: EngineProcess, registration: dict[str, Any], state: str = "connected") -> dict[str, Any]:
    answer = engine.request("POST", "/v1/account", registration)
    assert (answer.status, answer.json) == (200, {"account": registration["account"], "state": "new"})
    return engine.wait_for_state(registration["account"], state)


def submit(engine: EngineProcess, account: str, *to: str, **more: Any) -> Answer:
    message = {"to": [{"address": each} for each in to], "subject": "Hello", "text": "Hi", **more}
    return engine.request("POST", f"/v1/account/{account}/submit", message)


def queued(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.json["queueId"]


def events_of(engine: EngineProcess, account: str, queue_id: str) -> list[dict[str, Any]]:
    page = engine.request("GET", f"/v1/events?limit=1000&account={account}").json
    return [event for event in page["events"] if event["data"].get("queueId") == queue_id]


def wait_for_events(engine: EngineProcess, account: str, queue_id: str, *last: str) -> list[dict[str, Any]]:
    """A message's events, as soon as one of those that end it is among them."""
    wait_until(
        lambda: any(event["event"] in last for event in events_of(engine, account, queue_id)),
        f"{last} of message {queue_id}",
    )
    return events_of(engine, account, queue_id)


def header_of(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n").partition(b"\n\n")[0]


def test_an_account_connects(provider: SandboxProvider | RealProvider, engine: EngineProcess, jane: str) -> None:
    account = register(engine, provider.registration(jane))
    assert (account["type"], account["connections"], account["lastError"]) == ("imap", 1, None)
    names = [event["event"] for event in engine.request("GET", f"/v1/events?account={jane}").json["events"]]
    assert [each for each in names if each != "mailboxNew"] == [
        "accountAdded",
        "authenticationSuccess",
        "accountInitialized",
    ]
    assert "mailboxNew" in names


async def test_a_sent_message_is_told_in_three_ways_with_the_same_bytes(
    provider: SandboxProvider | RealProvider, engine: EngineProcess, webhook_receiver: WebhookReceiver, jane: str
) -> None:
    settings = {"webhooks": webhook_receiver.url, "webhooksEnabled": True}
    assert engine.request("POST", "/v1/settings", settings).status == 200
    registration = provider.registration(jane)
    register(engine, registration)
    query = f"events=messageSent&account={jane}&access_token={engine.token}"
    stream = f"{engine.url.replace('http', 'ws')}/v1/events/stream?{query}"
    async with open_websocket_url(stream) as websocket:
        recipient = provider.address()
        queue_id = queued(submit(engine, jane, recipient))
        with trio.fail_after(PATIENCE_SECONDS):
            frame = await websocket.get_message()
    webhook_receiver.wait_for("messageSent")
    (webhook,) = [hook.body for hook in webhook_receiver.webhooks if hook.event["event"] == "messageSent"]
    assert engine.request("POST", "/v1/settings", {"webhooks": None}).status == 200
    assert frame.encode() == webhook
    assert webhook in engine.request("GET", f"/v1/events?account={jane}").body
    event = json.loads(webhook)
    assert event["account"] == jane
    assert event["data"]["queueId"] == queue_id
    assert event["data"]["envelope"] == {"from": registration["email"], "to": [recipient]}
    assert event["data"]["response"].startswith("250 ")
    assert (event["data"]["accepted"], event["data"]["rejected"]) == ([recipient], [])


def test_what_arrives_is_told(provider: SandboxProvider | RealProvider, engine: EngineProcess, jane: str) -> None:
    registration = provider.registration(jane)
    register(engine, registration)
    attachment = {"filename": "a.txt", "content": "YQ==", "contentType": "text/plain"}
    answer = submit(engine, jane, registration["email"], html="<p>Hi</p>", attachments=[attachment])
    wait_for_events(engine, jane, queued(answer), "messageSent")

    def arrived() -> list[dict[str, Any]]:
        events = engine.request("GET", f"/v1/events?limit=1000&account={jane}").json["events"]
        return [event["data"] for event in events if event["event"] == "messageNew"]

    wait_until(lambda: [each for each in arrived() if each["path"] == "INBOX"], "messageNew")
    (new,) = [each for each in arrived() if each["path"] == "INBOX"]
    assert new["messageId"] == answer.json["messageId"]
    assert (new["subject"], new["specialUse"], new["unseen"], new["seemsLikeNew"]) == ("Hello", "\\Inbox", True, True)
    assert new["from"] == {"name": "Jane", "address": registration["email"]}
    assert [each["address"] for each in new["to"]] == [registration["email"]]
    assert [each["filename"] for each in new["attachments"]] == ["a.txt"]
    assert set(new["text"]["encodedSize"]) == {"plain", "html"}
    assert len(new["id"]) == 11


@pytest.mark.parametrize("provider", SECURITY, indirect=True)
def test_logins_are_tried_without_an_account(provider: RealProvider, engine: EngineProcess) -> None:
    registration = provider.registration("")
    body = {"mailboxes": True, "imap": registration["imap"], "smtp": registration["smtp"]}
    answer = engine.request("POST", "/v1/verifyAccount", body).json
    assert (answer["imap"], answer["smtp"]) == ({"success": True}, {"success": True})
    assert {each["path"] for each in answer["mailboxes"]} == {"INBOX", "Sent", "Drafts", "Trash", "Junk"}
    body["imap"]["auth"]["pass"] = "wrong"
    refused = engine.request("POST", "/v1/verifyAccount", body).json["imap"]
    assert "imap.auth.pass" in refused.pop("description")
    assert refused == {
        "success": False,
        "error": "Command failed",
        "code": "AUTHENTICATIONFAILED",
        "responseText": "Authentication failed.",
    }


@pytest.mark.parametrize("provider", SECURITY, indirect=True)
def test_mail_arrives_once_and_a_copy_is_filed(provider: RealProvider, engine: EngineProcess, jane: str) -> None:
    registration = provider.registration(jane)
    register(engine, registration)
    to, hidden = provider.address(), provider.address()
    queue_id = queued(submit(engine, jane, to, bcc=[{"address": hidden}]))
    wait_for_events(engine, jane, queue_id, "messageSent")
    dovecot = provider.dovecot
    (copy,) = dovecot.wait_for_messages(registration["email"], mailbox="Sent")
    for address in (to, hidden):
        (message,) = dovecot.wait_for_messages(address)
        assert not re.search(rb"(?im)^bcc:", header_of(message))
        assert hidden.encode() not in header_of(message).partition(b"From:")[2]
    assert re.search(rb"(?m)^Bcc: .*" + re.escape(hidden.encode()), header_of(copy))
    sent = dovecot.folder / "mail" / registration["email"] / "Maildir/.Sent"
    wait_until(lambda: list(sent.glob("cur/*:2,S")), "the copy marked as seen")
    # A second message after it proves that nothing came twice: mail is delivered and filed in order.
    wait_for_events(engine, jane, queued(submit(engine, jane, to)), "messageSent")
    assert len(dovecot.wait_for_messages(to, 2)) == 2
    assert len(dovecot.wait_for_messages(registration["email"], 2, mailbox="Sent")) == 2
    assert len(dovecot.messages(hidden)) == 1


async def test_mail_arrives_in_the_sandbox_once_and_a_copy_is_filed(tmp_path: Path) -> None:
    # In this process, since the sandbox cannot be inspected from outside.
    client = EngineProcess(tmp_path)
    environment = {"ENGINE_HTTP__PORT": str(client.port), "ENGINE_STORE__PATH": str(client.folder)}
    database.prepare_folder(client.folder)
    stop = trio.Event()
    with database.lock_folder(client.folder):
        async with trio.open_nursery() as nursery:
            context = await nursery.start(run, load(None, environment), World(), stop)
            sandbox, thread = context.access.sandbox, trio.to_thread.run_sync
            await thread(
                register, client, {"account": "jane", "name": "J", "email": "jane@sandbox.example", "sandbox": True}
            )
            answer = await thread(
                lambda: submit(client, "jane", "a@sandbox.example", bcc=[{"address": "b@sandbox.example"}])
            )
            await thread(wait_for_events, client, "jane", queued(answer), "messageSent")
            sent = sandbox.account("jane@sandbox.example").folder("Sent")
            await thread(wait_until, lambda: sent.messages, "the copy in the Sent folder")
            for address in ("a@sandbox.example", "b@sandbox.example"):
                (message,) = sandbox.account(address).folder("INBOX").messages
                assert not re.search(rb"(?im)^bcc:", header_of(message.raw))
            (copy,) = sent.messages
            assert re.search(rb"(?m)^Bcc: .*b@sandbox\.example", header_of(copy.raw))
            assert "\\Seen" in copy.flags
            stop.set()


@pytest.mark.parametrize("provider", SECURITY, indirect=True)
def test_an_account_that_only_sends(provider: RealProvider, engine: EngineProcess, jane: str) -> None:
    registration = provider.registration(jane)
    del registration["imap"]
    assert register(engine, registration)["type"] == "sending"
    to = provider.address()
    wait_for_events(engine, jane, queued(submit(engine, jane, to)), "messageSent")
    assert len(provider.dovecot.wait_for_messages(to)) == 1
    assert provider.dovecot.messages(registration["email"], "Sent") == []


def test_a_rejected_recipient(provider: SandboxProvider | RealProvider, engine: EngineProcess, jane: str) -> None:
    register(engine, provider.registration(jane))
    recipient = provider.address("reject")
    queue_id = queued(submit(engine, jane, recipient))
    error, failed = wait_for_events(engine, jane, queue_id, "messageFailed")
    assert (error["event"], failed["event"]) == ("messageDeliveryError", "messageFailed")
    data = error["data"]
    assert (data["errorCode"], data["smtpResponseCode"], data["smtpCommand"]) == ("EENVELOPE", 550, "RCPT TO")
    assert data["envelope"]["to"] == [recipient]
    assert data["job"] == {"id": queue_id, "attemptsMade": 1, "attempts": 10, "nextAttempt": False}
    assert failed["data"]["error"].startswith("Error: Can't send mail - all recipients were rejected: 550 ")
    assert failed["data"]["error"] == f"Error: {data['error']}"


def test_a_refused_recipient_does_not_stop_the_others(
    provider: SandboxProvider | RealProvider, engine: EngineProcess, jane: str
) -> None:
    register(engine, provider.registration(jane))
    good, bad = provider.address(), provider.address("reject")
    (sent,) = wait_for_events(engine, jane, queued(submit(engine, jane, good, bad)), "messageSent")
    assert sent["data"]["accepted"] == [good]
    (rejected,) = sent["data"]["rejected"]
    assert (rejected["address"], rejected["responseCode"]) == (bad, 550)


def test_a_deferred_recipient_is_tried_again(
    provider: SandboxProvider | RealProvider, engine: EngineProcess, jane: str
) -> None:
    register(engine, provider.registration(jane))
    queue_id = queued(submit(engine, jane, provider.address("defer"), deliveryAttempts=2))
    events = wait_for_events(engine, jane, queue_id, "messageFailed")
    assert [event["event"] for event in events] == ["messageDeliveryError", "messageDeliveryError", "messageFailed"]
    first, second = (event["data"] for event in events[:2])
    assert first["errorCode"] == "EENVELOPE"
    assert first["smtpResponseCode"] in (450, 451)
    assert (first["job"]["attemptsMade"], second["job"]["attemptsMade"]) == (1, 2)
    assert first["job"]["nextAttempt"] > events[0]["date"]
    assert second["job"]["nextAttempt"] is False


def test_a_deferred_recipient_gets_it_later(engine: EngineProcess, jane: str) -> None:
    register(engine, SandboxProvider().registration(jane))
    queue_id = queued(submit(engine, jane, "defer1+x@sandbox.example", deliveryAttempts=2))
    events = wait_for_events(engine, jane, queue_id, "messageSent", "messageFailed")
    assert [event["event"] for event in events] == ["messageDeliveryError", "messageSent"]


@pytest.mark.parametrize("provider", SECURITY, indirect=True)
def test_a_wrong_password(provider: RealProvider, engine: EngineProcess, jane: str) -> None:
    registration = provider.registration(jane)
    registration["imap"]["auth"]["pass"] = "not it"
    account = register(engine, registration, "authenticationError")
    assert account["lastError"]["serverResponseCode"] == "AUTHENTICATIONFAILED"
    assert "NO [AUTHENTICATIONFAILED]" in account["lastError"]["response"]
    answer = submit(engine, jane, "a@example.com")
    assert (answer.status, answer.json["code"]) == (503, "AuthenticationFails")
    assert int(answer.headers["Retry-After"]) > 0
    names = [event["event"] for event in engine.request("GET", f"/v1/events?account={jane}").json["events"]]
    assert names == ["accountAdded", "authenticationError"]


def test_a_wrong_password_of_an_account_that_only_sends(
    real_provider: RealProvider, engine: EngineProcess, jane: str
) -> None:
    registration = real_provider.registration(jane)
    del registration["imap"]
    registration["smtp"]["auth"]["pass"] = "not it"
    account = register(engine, registration, "authenticationError")
    assert account["lastError"]["serverResponseCode"] == "535"
    assert submit(engine, jane, "a@example.com").json["code"] == "AuthenticationFails"


@pytest.mark.parametrize("server", ["imap", "smtp"])
def test_a_dead_port(server: str, real_provider: RealProvider, engine: EngineProcess, jane: str) -> None:
    registration = real_provider.registration(jane)
    registration[server]["port"] = free_ports(1)[0]
    if server == "smtp":
        del registration["imap"]
    account = register(engine, registration, "connectError")
    assert account["lastError"]["serverResponseCode"] == "ECONNREFUSED"
    assert "ECONNREFUSED" in account["lastError"]["response"]
    # Between two attempts the state is for a moment that of an account that connects.
    answers: list[Answer] = []

    def is_told() -> bool:
        answers.append(submit(engine, jane, "a@example.com"))
        return answers[-1].json["code"] == "ConnectionError"

    wait_until(is_told, "what a dead port is called")
    assert {(each.status, "Retry-After" in each.headers) for each in answers} == {(503, True)}


@pytest.mark.parametrize("bad", ["expired", "wrong_name"])
@pytest.mark.parametrize("provider", ["tls", "starttls"], indirect=True)
def test_a_bad_certificate_is_never_answered_with_clear_text(
    provider: RealProvider, bad: str, engine: EngineProcess, jane: str
) -> None:
    host = {"expired": provider.dovecot.expired_host, "wrong_name": provider.dovecot.wrong_name_host}[bad]
    code = {"expired": "CERT_HAS_EXPIRED", "wrong_name": "ERR_TLS_CERT_ALTNAME_INVALID"}[bad]
    mailbox, sending = provider.registration(f"{jane}-mailbox"), provider.registration(f"sending-{jane}")
    del sending["imap"]
    mailbox["imap"]["host"] = sending["smtp"]["host"] = host
    # The default rules: TLS where it is offered. Once it is, there is no way back.
    mailbox["imap"]["tls"]["required"] = sending["smtp"]["tls"]["required"] = False
    assert register(engine, mailbox, "connectError")["lastError"]["serverResponseCode"] == code
    assert register(engine, sending, "connectError")["lastError"]["serverResponseCode"] == code
    assert submit(engine, f"{jane}-mailbox", "a@example.com").json["code"] == "ConnectionError"
    assert f"user=<{mailbox['email']}>" not in provider.dovecot.log
    assert f"sasl_username={sending['email']}" not in provider.postfix.log


def test_required_tls_that_is_not_offered(
    real_provider: RealProvider, engine: EngineProcess, smtp_server: SmtpServer, jane: str
) -> None:
    mailbox, sending = real_provider.registration(f"{jane}-mailbox"), real_provider.registration(f"sending-{jane}")
    dovecot = real_provider.dovecot
    plain = {"secure": False, "tls": {"required": True}}
    mailbox["imap"].update(plain, host=dovecot.plain_host, port=dovecot.plain_port)
    del sending["imap"]
    sending["smtp"].update(plain, host=smtp_server.host, port=smtp_server.port)
    register(engine, mailbox, "connectError")
    register(engine, sending, "connectError")
    assert f"user=<{mailbox['email']}>" not in dovecot.log
    assert {command.split()[0].upper() for command in smtp_server.commands} <= {"EHLO", "QUIT"}
    assert smtp_server.commands


@pytest.fixture
def hanging(smtp_server: SmtpServer) -> Iterator[SmtpServer]:
    """A server that continues only when the test is over."""
    yield smtp_server
    smtp_server.trouble = Trouble.NONE


@pytest.mark.parametrize("trouble", [Trouble.SILENT, Trouble.HANG_AFTER_GREETING, Trouble.HANG_AFTER_DOT])
def test_a_hanging_server_holds_only_its_own_account(
    trouble: Trouble, engine: EngineProcess, hanging: SmtpServer, jane: str
) -> None:
    stuck = {"host": hanging.host, "port": hanging.port}
    register(engine, {"account": f"stuck-{jane}", "name": "S", "email": "s@example.com", "smtp": stuck})
    register(engine, SandboxProvider().registration(jane))
    hanging.trouble, before = trouble, hanging.connections
    waiting = queued(submit(engine, f"stuck-{jane}", "a@example.com"))
    wait_until(lambda: hanging.connections > before, "connection to the hanging server")
    wait_for_events(engine, jane, queued(submit(engine, jane, "a@sandbox.example")), "messageSent")
    assert events_of(engine, f"stuck-{jane}", waiting) == []
