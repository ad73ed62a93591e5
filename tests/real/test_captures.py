"""Our answers beside the ones EmailEngine gives: the keys a client reads are there, under the same names and meanings.

The literals are the shapes EmailEngine 2.79 answered with. A key of ours it does not have is named as an addition; one
of its that we leave out is named as missing, so that neither changes unseen.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any

import pytest
from real.engine_process import Answer, EngineProcess
from real.processes import PATIENCE_SECONDS, wait_until
from real.servers import free_ports
from real.smtp_server import SmtpServer
from real.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.process

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
EVENT = {"serviceUrl", "account", "date", "event", "data"}
ADDED_TO_EVENT = {"seq", "eventId"}
ACCOUNT = {
    "account",
    "name",
    "email",
    "logs",
    "notifyFrom",
    "syncFrom",
    "path",
    "imapIndexer",
    "imap",
    "smtp",
    "state",
    "smtpStatus",
    "connections",
    "lastError",
    "type",
    "counters",
    "sending",
}
"""`sending` is an addition of ours."""
LISTED = {"account", "name", "email", "type", "state", "counters", "syncTime", "lastError", "sending"}
SENT = {"messageId", "response", "queueId", "envelope", "networkRouting", "accepted", "rejected"}
NOT_FOUND = {"statusCode": 404, "error": "Not Found", "message": "Account record was not found for requested ID"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for all tests here: each uses an account of its own."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_HTTP__MAX_BODY="100KiB")
    engine.start()
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


def sandbox(engine: EngineProcess, account: str) -> None:
    registration = {"account": account, "name": "Jane", "email": f"{account}@sandbox.example", "sandbox": True}
    assert engine.request("POST", "/v1/account", registration).json == {"account": account, "state": "new"}
    engine.wait_for_state(account, "connected")


def with_imap(account: str, port: int, password: str = "pw") -> dict[str, Any]:
    server = {"host": "127.0.0.1", "secure": False, "tls": {"rejectUnauthorized": False}}
    auth = {"user": f"{account}@example.com", "pass": password}
    imap = {**server, "port": port, "auth": auth}
    smtp = {**server, "port": 9}
    return {"account": account, "name": "Jane", "email": f"{account}@example.com", "imap": imap, "smtp": smtp}


def error(status: int, phrase: str, message: str, **more: Any) -> dict[str, Any]:
    return {"statusCode": status, "error": phrase, "message": message, **more}


def check_json(answer: Answer) -> None:
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


def events(engine: EngineProcess, account: str, name: str) -> list[dict[str, Any]]:
    page = engine.request("GET", f"/v1/events?limit=1000&account={account}").json["events"]
    return [event for event in page if event["event"] == name]


def wait_for_event(engine: EngineProcess, account: str, name: str) -> dict[str, Any]:
    wait_until(lambda: events(engine, account, name), f"{name} of {account}")
    (event,) = events(engine, account, name)
    assert set(event) == EVENT | ADDED_TO_EVENT
    assert (event["account"], event["serviceUrl"]) == (account, None)
    assert ISO.fullmatch(event["date"])
    return event["data"]


def test_registering_twice(engine: EngineProcess) -> None:
    registration = with_imap("twice", free_ports(1)[0])
    for state in ("new", "existing"):
        answer = engine.request("POST", "/v1/account", registration)
        assert (answer.status, answer.json) == (200, {"account": "twice", "state": state})
        check_json(answer)


def test_an_account_that_is_connected(engine: EngineProcess) -> None:
    sandbox(engine, "info")
    answer = engine.request("GET", "/v1/account/info")
    check_json(answer)
    account = answer.json
    # A sandbox account has no servers to show; the first sync is announced when it is over.
    assert set(account) == (ACCOUNT - {"imap", "smtp"}) | {"sandbox", "syncTime"}
    assert {name: account[name] for name in ("logs", "syncFrom", "path", "imapIndexer", "type", "state")} == {
        "logs": False,
        "syncFrom": None,
        "path": "*",
        "imapIndexer": "full",
        "type": "imap",
        "state": "connected",
    }
    assert (account["smtpStatus"], account["connections"], account["lastError"]) == (None, 1, None)
    assert account["counters"]["events"]["authenticationSuccess"] == 1
    assert account["counters"]["events"]["accountInitialized"] == 1
    assert ISO.fullmatch(account["notifyFrom"])


def test_an_account_after_an_smtp_error(engine: EngineProcess) -> None:
    sandbox(engine, "smtperror")
    body = {"to": [{"address": "reject+x@sandbox.example"}], "text": "Hi"}
    assert engine.request("POST", "/v1/account/smtperror/submit", body).status == 200
    wait_for_event(engine, "smtperror", "messageFailed")
    wait_until(lambda: engine.request("GET", "/v1/account/smtperror").json["smtpStatus"], "smtpStatus")
    status = engine.request("GET", "/v1/account/smtperror").json["smtpStatus"]
    assert {"created", "status", "response"} <= set(status)
    assert status["status"] == "error"
    assert status["responseCode"] == 550
    assert ISO.fullmatch(status["created"])


def test_an_account_that_cannot_be_reached(engine: EngineProcess) -> None:
    (port,) = free_ports(1)
    assert engine.request("POST", "/v1/account", with_imap("dead", port)).status == 200
    account = engine.wait_for_state("dead", "connectError")
    assert set(account) == ACCOUNT
    shown = {"response": f"connect ECONNREFUSED 127.0.0.1:{port}", "serverResponseCode": "ECONNREFUSED"}
    assert "imap.port" in account["lastError"].pop("description")
    assert account["lastError"] == shown
    assert account["imap"] == {
        "host": "127.0.0.1",
        "port": port,
        "secure": False,
        "auth": {"user": "dead@example.com", "pass": "******"},
        "tls": {"rejectUnauthorized": False},
        "resyncDelay": 900,
    }
    assert account["smtp"] == {"host": "127.0.0.1", "port": 9, "secure": False, "tls": {"rejectUnauthorized": False}}
    assert account["counters"]["events"]["connectError"] == 1
    assert {**wait_for_event(engine, "dead", "connectError"), "description": None} == {**shown, "description": None}
    answer = engine.request("POST", "/v1/account/dead/submit", {"to": [{"address": "a@example.com"}], "text": "Hi"})
    assert set(answer.json) == {"statusCode", "error", "message", "state", "code"}
    assert (answer.status, answer.json["error"], answer.json["code"]) == (503, "Service Unavailable", "ConnectionError")


def test_an_account_whose_login_is_refused(engine: EngineProcess, smtp_server: SmtpServer) -> None:
    smtp_server.replies["AUTH"] = "535 5.7.8 Error: authentication failed"
    auth = {"user": "jane", "pass": "not it"}
    smtp = {"host": smtp_server.host, "port": smtp_server.port, "auth": auth}
    registration = {"account": "refused", "name": "Jane", "email": "jane@example.com", "smtp": smtp}
    assert engine.request("POST", "/v1/account", registration).status == 200
    account = engine.wait_for_state("refused", "authenticationError")
    assert set(account["lastError"]) == {"response", "serverResponseCode", "description"}
    assert wait_for_event(engine, "refused", "authenticationError") == account["lastError"]
    answer = engine.request("POST", "/v1/account/refused/submit", {"to": [{"address": "a@example.com"}], "text": "Hi"})
    # The state may be `connecting` by now: the login is tried again and again.
    assert answer.status == 503
    assert answer.json["code"] in ("AuthenticationFails", "NotYetConnected")


def test_the_list_of_accounts(engine: EngineProcess) -> None:
    sandbox(engine, "listed")
    page = engine.request("GET", "/v1/accounts?query=listed").json
    (account,) = page.pop("accounts")
    assert page == {"total": 1, "pages": 1, "page": 0, "query": "listed", "state": "*"}
    assert set(account) == LISTED
    assert engine.request("GET", "/v1/accounts").json["query"] is False


def test_submitting(engine: EngineProcess) -> None:
    sandbox(engine, "submits")
    message = {
        "to": [{"name": "Rcpt", "address": "rcpt@sandbox.example"}],
        "subject": "hello",
        "text": "Hello text",
        "html": "<p>Hello <b>html</b></p>",
        "attachments": [{"filename": "a.txt", "content": "aGVsbG8="}],
    }
    answer = engine.request("POST", "/v1/account/submits/submit", message)
    check_json(answer)
    assert (answer.status, set(answer.json)) == (200, {"response", "messageId", "sendAt", "queueId"})
    assert answer.json["response"] == "Queued for delivery"
    assert re.fullmatch(r"<[0-9a-f-]{36}@sandbox\.example>", answer.json["messageId"])
    assert ISO.fullmatch(answer.json["sendAt"])
    sent = wait_for_event(engine, "submits", "messageSent")
    assert set(sent) == SENT | {"sandbox"}
    assert sent["messageId"] == answer.json["messageId"]
    assert sent["queueId"] == answer.json["queueId"]
    assert sent["envelope"] == {"from": "submits@sandbox.example", "to": ["rcpt@sandbox.example"]}
    assert sent["networkRouting"] is None
    dry = engine.request("POST", "/v1/account/submits/submit", {**message, "dryRun": True})
    assert (dry.status, dry.json["response"]) == (200, "Dry run")
    assert set(dry.json) == {"response", "messageId", "preview", "checks"}


def test_the_events_of_a_failure(engine: EngineProcess) -> None:
    sandbox(engine, "fails")
    body = {"to": [{"address": "reject+x@sandbox.example"}], "text": "Hi"}
    queue_id = engine.request("POST", "/v1/account/fails/submit", body).json["queueId"]
    failed = wait_for_event(engine, "fails", "messageFailed")
    data = wait_for_event(engine, "fails", "messageDeliveryError")
    assert set(data) == {
        "queueId",
        "envelope",
        "messageId",
        "error",
        "errorCode",
        "smtpResponse",
        "smtpResponseCode",
        "smtpCommand",
        "networkRouting",
        "job",
    } | {"rejected", "explain", "sandbox"}
    assert set(data["job"]) == {"id", "attemptsMade", "attempts", "nextAttempt"}
    assert (data["queueId"], data["job"]["id"], data["networkRouting"]) == (queue_id, queue_id, None)
    assert data["error"] == f"Can't send mail - all recipients were rejected: {data['smtpResponse']}"
    added = {"envelope", "errorCode", "smtpResponse", "smtpResponseCode", "explain", "attemptsMade", "rejected"}
    added |= {"sandbox"}
    assert set(failed) == {"messageId", "queueId", "error", "networkRouting"} | added
    assert failed["error"] == f"Error: {data['error']}"


def test_the_events_of_an_account(engine: EngineProcess) -> None:
    sandbox(engine, "events")
    assert wait_for_event(engine, "events", "accountAdded") == {"account": "events"}
    assert wait_for_event(engine, "events", "authenticationSuccess") == {"user": "events@sandbox.example"}
    assert wait_for_event(engine, "events", "accountInitialized") == {"initialized": True}
    answer = engine.request("DELETE", "/v1/account/events")
    assert (answer.status, answer.json) == (200, {"account": "events", "deleted": True})
    assert wait_for_event(engine, "events", "accountDeleted") == {"account": "events"}
    assert engine.request("GET", "/v1/account/events").json == NOT_FOUND


def test_a_bad_registration(engine: EngineProcess) -> None:
    answer = engine.request("POST", "/v1/account", {"account": "x", "imap": {"host": ""}})
    fields = answer.json["fields"]
    assert {name: answer.json[name] for name in ("statusCode", "error", "message")} == error(
        400, "Bad Request", "Invalid input"
    )
    assert answer.status == 400
    expected = [
        {"message": '"name" is required', "key": "name", "path": "name"},
        {"message": '"imap.host" is not allowed to be empty', "key": "host", "path": "imap.host"},
        {"message": '"imap.port" is required', "key": "port", "path": "imap.port"},
    ]
    assert sorted(fields, key=lambda field: field["path"]) == sorted(expected, key=lambda field: field["path"])


@pytest.mark.parametrize("body", [b"{nope", b'"a', b"\xff"])
def test_bad_json(body: bytes, engine: EngineProcess) -> None:
    answer = engine.request("POST", "/v1/account", body)
    shown = {name: answer.json[name] for name in ("statusCode", "error", "message")}
    assert (answer.status, shown) == (400, error(400, "Bad Request", "Invalid request payload JSON format"))
    assert set(answer.json) - set(shown) == {"reason", "line", "column"}
    check_json(answer)


def test_a_bad_message(engine: EngineProcess) -> None:
    sandbox(engine, "strict")
    path, good = "/v1/account/strict/submit", {"to": [{"address": "a@sandbox.example"}], "text": "Hi"}

    def fields(message: dict[str, Any], query: str = "") -> list[dict[str, str]]:
        answer = engine.request("POST", path + query, message)
        assert (answer.status, set(answer.json)) == (400, {"statusCode", "error", "message", "fields"})
        assert answer.json["message"] == "Invalid input"
        return answer.json["fields"]

    unknown = {"message": '"nosuchfield" is not allowed', "key": "nosuchfield", "path": "nosuchfield"}
    assert fields({**good, "nosuchfield": 1}) == [unknown]
    assert fields(good, "?nosuchfield=1") == [unknown]
    subject, to = sorted(fields({"to": "x", "subject": 5}), key=lambda field: field["path"])
    assert subject == {"message": '"subject" must be a string', "key": "subject", "path": "subject"}
    assert (to["path"].partition("[")[0], set(to)) == ("to", {"message", "key", "path"})
    (address,) = fields({**good, "to": [{"address": "not an address"}]})
    assert set(address) == {"message", "key", "path"}
    assert (address["key"], address["path"]) == ("address", "to[0].address")
    assert events(engine, "strict", "messageSent") == []


def test_without_a_good_token(engine: EngineProcess) -> None:
    missing = engine.request("GET", "/v1/account/nosuch", token="")
    assert (missing.status, missing.json) == (401, error(401, "Unauthorized", "Missing authentication"))
    assert missing.headers["WWW-Authenticate"] == "Bearer"
    bad = engine.request("GET", "/v1/account/nosuch", token="0" * 64)
    assert (bad.status, bad.json) == (401, error(401, "Unauthorized", "Bad token"))
    assert bad.headers["WWW-Authenticate"] == 'Bearer error="Bad token"'
    for answer in (missing, bad):
        check_json(answer)


def test_an_account_that_is_not_there(engine: EngineProcess) -> None:
    body = {"to": [{"address": "a@example.com"}], "text": "Hi"}
    for answer in (
        engine.request("GET", "/v1/account/nosuch"),
        engine.request("PUT", "/v1/account/nosuch", {"name": "Jane"}),
        engine.request("DELETE", "/v1/account/nosuch"),
        engine.request("POST", "/v1/account/nosuch/submit", body),
    ):
        assert (answer.status, answer.json) == (404, NOT_FOUND)
        check_json(answer)


def test_a_path_that_is_not_there(engine: EngineProcess) -> None:
    answer = engine.request("GET", "/v1/nosuch")
    assert (answer.status, answer.json) == (404, error(404, "Not Found", "Not Found"))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(chunked: bool, engine: EngineProcess) -> None:
    body = b'{"name": "' + b"x" * 200 * 1024 + b'"}'
    connection = http.client.HTTPConnection(engine.host, engine.port, timeout=PATIENCE_SECONDS)
    headers = {"Authorization": f"Bearer {engine.token}", "Content-Type": "application/json"}
    parts = (body[start : start + 8192] for start in range(0, len(body), 8192))
    try:
        connection.request("POST", "/v1/account", parts if chunked else body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    answer = Answer(response.status, response.headers, text)
    assert (answer.status, answer.json["statusCode"]) == (413, 413)
    assert answer.json["error"] == "Request Entity Too Large"
    assert {"statusCode", "error", "message"} == set(answer.json)


def test_settings_come_back_as_they_were_written(engine: EngineProcess, webhook_receiver: WebhookReceiver) -> None:
    names = ("webhooks", "webhooksEnabled", "webhookEvents", "serviceUrl", "deliveryAttempts")
    question = "/v1/settings?" + "&".join(f"{name}=true" for name in names)
    before = engine.request("GET", question).json
    assert set(before) == set(names)
    assert (before["webhooks"], before["deliveryAttempts"]) == (None, None)
    written = {
        "webhooks": webhook_receiver.url,
        "webhooksEnabled": True,
        "webhookEvents": ["*"],
        "deliveryAttempts": 3,
    }
    changed = engine.request("POST", "/v1/settings", written).json
    assert changed.pop("serviceSecret").startswith("whsec_"), "ours, where the engine has made one"
    assert changed == {"updated": list(written)}
    answer = engine.request("GET", question)
    assert answer.json == {**before, **written}
    check_json(answer)
    sandbox(engine, "hooked")
    (added,) = [event for event in webhook_receiver.wait_for("accountAdded") if event["account"] == "hooked"]
    assert set(added) == EVENT | ADDED_TO_EVENT
    (hook,) = [hook for hook in webhook_receiver.webhooks if hook.event == added]
    assert hook.headers["Content-Type"] == "application/json"
    off = {"webhooks": "", "webhooksEnabled": False, "deliveryAttempts": None}
    assert engine.request("POST", "/v1/settings", off).status == 200
    assert engine.request("GET", "/v1/settings?webhooks=true").json == {"webhooks": None}
    unknown = engine.request("POST", "/v1/settings", {"nosuchfield": 1})
    assert unknown.json["fields"] == [
        {"message": '"nosuchfield" is not allowed', "key": "nosuchfield", "path": "nosuchfield"}
    ]
