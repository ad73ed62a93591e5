"""How your own tests see what takes days with a real provider: in pytest, with nothing else to install.

    URL=http://127.0.0.1:3000 TOKEN=... python3 -m pytest test_rehearsal.py

Each test has a sandbox account of its own, so the tests may run at the same time, and nothing leaves the engine. No
test sleeps: the engine answers as soon as there is an event, or as soon as the time has passed. docs/sandbox.md says
what a script can contain.
"""

import json
import os
import secrets
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

URL, TOKEN = os.environ.get("URL", "http://127.0.0.1:3000"), os.environ.get("TOKEN", "")
DAY = 86_400


def call(method: str, path: str, body: Any = None, **query: Any) -> Any:
    """One request to the engine; its answer."""
    request = urllib.request.Request(
        f"{URL}{path}?{urllib.parse.urlencode(query)}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class Account:
    """A sandbox account, with a name that no other test has."""

    def __init__(self) -> None:
        self.name = f"test-{secrets.token_hex(6)}"
        email = f"{self.name}@sandbox.example"
        call("POST", "/v1/account", {"account": self.name, "name": "Test", "email": email, "sandbox": True})
        call("GET", f"/v1/account/{self.name}", wait="connected")
        self.after = 0

    def submit(self, to: str = "ada@example.com", **more: Any) -> str:
        """Hand in a message; its queueId."""
        body = {"to": [{"address": to}], "subject": "Your order", "text": "It is on its way.", **more}
        return call("POST", f"/v1/account/{self.name}/submit", body)["queueId"]

    def script(self, *steps: dict[str, Any], **more: Any) -> Any:
        """Tell the provider what to do next; returns once any `advance` has passed."""
        return call("POST", "/v1/sandbox/script", {"account": self.name, "steps": steps, **more}, wait=50)

    def event(self, name: str) -> Any:
        """The data of the next event of this name, as your program gets it by webhook or websocket."""
        while True:
            page = call("GET", "/v1/events", account=self.name, after=self.after, events=name, limit=1, wait=20)
            self.after = page["next"]
            if page["events"]:
                return page["events"][0]["data"]
            assert self.after < page["last"], f"no {name} within 20 seconds"

    def remove(self) -> None:
        call("DELETE", f"/v1/account/{self.name}")


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    yield made
    made.remove()


def test_deferred_over_three_days_then_sent(account: Account) -> None:
    account.script({"stage": "rcpt", "reply": "451 4.7.1 Greylisted, try again later", "times": 9})
    queue_id = account.submit()
    assert account.script(advance=4 * DAY)["time"]["ahead"] == 0
    errors = [account.event("messageDeliveryError") for _ in range(9)]
    assert [each["job"]["attemptsMade"] for each in errors] == list(range(1, 10))
    sent = account.event("messageSent")
    assert (sent["queueId"], sent["sandbox"]) == (queue_id, True)


def test_refused_for_good(account: Account) -> None:
    account.script({"stage": "rcpt", "reply": "550 5.1.1 User unknown"})
    account.submit()
    assert account.event("messageFailed")["smtpResponseCode"] == 550


def test_in_doubt_and_decided(account: Account) -> None:
    account.script({"fault": "keepAndCut"})
    queue_id = account.submit(onDoubt="hold")
    assert account.event("messageInDoubt")["queueId"] == queue_id
    call("PUT", f"/v1/outbox/{queue_id}", {"onDoubt": "fail"})
    assert account.event("messageFailed")["inDoubt"]


@pytest.mark.parametrize(("kind", "hardness"), [("bounce", "hard"), ("softBounce", "soft")])
def test_bounced_after_it_was_sent(account: Account, kind: str, hardness: str) -> None:
    queue_id = account.submit()
    account.event("messageSent")
    account.script(mail=[{"kind": kind, "queueId": queue_id}])
    bounce = account.event("messageBounce")
    assert (bounce["queueId"], bounce["bounceType"]) == (queue_id, hardness)


def test_answered(account: Account) -> None:
    queue_id = account.submit()
    account.event("messageSent")
    account.script(mail=[{"kind": "reply", "queueId": queue_id, "text": "Thank you!"}])
    reply = account.event("messageReply")
    assert (reply["queueId"], reply["auto"], reply["extractedText"]) == (queue_id, False, "Thank you!")
    account.script(mail=[{"kind": "outOfOffice", "queueId": queue_id}])
    assert account.event("messageReply")["auto"] == "outOfOffice"


def test_complained_about(account: Account) -> None:
    # A recipient can say the same by its name.
    queue_id = account.submit("complain+ada@sandbox.example")
    assert account.event("messageComplaint")["queueId"] == queue_id


def test_a_quota_that_is_used_up(account: Account) -> None:
    account.script({"stage": "dot", "reply": "550 5.4.5 Daily user sending limit exceeded"})
    queue_id = account.submit()
    account.event("messageDeliveryError")
    assert call("GET", f"/v1/outbox/{queue_id}")["waitingFor"]["kind"] == "quota"
    account.script(advance=DAY)
    assert account.event("messageSent")["queueId"] == queue_id


def test_a_refused_login(account: Account) -> None:
    account.script({"stage": "login", "reply": "535 5.7.8 Bad credentials", "times": 3})
    account.submit()
    assert account.event("messageDeliveryError")["errorCode"] == "EAUTH"
    account.script(advance=DAY)
    account.event("messageSent")


def test_silence(account: Account) -> None:
    account.script({"stage": "rcpt", "fault": "silence"}, advance=0)
    account.submit()
    account.script(advance=DAY)
    assert account.event("messageDeliveryError")["errorCode"] == "ETIMEDOUT"
    account.event("messageSent")


def test_what_was_sent_can_be_read(account: Account) -> None:
    account.submit(html="<p>It is on its way.</p>")
    account.event("messageSent")
    while True:
        new = account.event("messageNew")
        if new["path"] == "Sent":
            break
    message = call("GET", f"/v1/account/{account.name}/message/{new['id']}", textType="*")
    assert message["text"]["html"] == "<p>It is on its way.</p>"
