"""The page for leaving a list in a real browser, from the mail that leads there, in every look; one click over HTTP."""

from __future__ import annotations

import email
import http.client
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from chromium import PROGRAM, Tab, driven
from real.engine_process import EngineProcess
from test_form_pages import LOOKS, look_at

from engine.signed_links import octets

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
ACCOUNT = {"account": "acme", "name": "Acme", "email": "acme@sandbox.example", "sandbox": True}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with an account in the sandbox."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"))
    engine.start()
    try:
        engine.request("POST", "/v1/settings", {"serviceUrl": engine.url})
        engine.request("POST", "/v1/account", ACCOUNT)
        engine.wait_for_state("acme", "connected")
        yield engine
    finally:
        engine.kill9()
    assert "Traceback" not in engine.log


def link_to(engine: EngineProcess, recipient: str, list_id: str = "newsletter") -> str:
    """The link in the header of a mail to a list."""
    body = {"to": [{"address": recipient}], "text": "x", "listId": list_id, "dryRun": True}
    answer = engine.request("POST", "/v1/account/acme/submit", body)
    message = email.message_from_bytes(octets(answer.json["preview"]))
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return str(message["List-Unsubscribe"]).strip("<>")


def on_the_list(engine: EngineProcess, recipient: str) -> bool:
    listed = engine.request("GET", "/v1/blocklist/newsletter").json
    return recipient in [each["recipient"] for each in listed.get("addresses", ())]


async def settled(tab: Tab, name: str) -> None:
    await look_at(tab, name)
    assert tab.trouble == []


@pytest.mark.parametrize(("phone", "dark"), LOOKS)
async def test_one_leaves_and_comes_back(engine: EngineProcess, devtools: str, phone: bool, dark: bool) -> None:
    recipient = f"ann-{phone}-{dark}@example.com"
    url = link_to(engine, recipient)
    look = f"{'phone' if phone else 'desktop'}-{'dark' if dark else 'light'}"
    async with driven(devtools) as browser:
        tab = await browser.tab(phone=phone, dark=dark)
        await tab.go(url)
        await settled(tab, f"unsubscribe-{look}")
        assert not on_the_list(engine, recipient)
        await tab.click("Unsubscribe")
        await settled(tab, f"unsubscribed-{look}")
        assert on_the_list(engine, recipient)
        await tab.click("Subscribe again")
        assert not on_the_list(engine, recipient) and "Unsubscribe?" in await tab.ask("document.title")
        await tab.go(f"{url}A")
        await settled(tab, f"unsubscribe-broken-{look}")
        assert tab.statuses[-1] == 403


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
        ("multipart/form-data; boundary=x", MULTIPART),
    ],
)
def test_one_click_as_mail_programs_send_it(engine: EngineProcess, kind: str, body: bytes) -> None:
    recipient = f"{len(body)}@example.com"
    parts = urlsplit(link_to(engine, recipient))
    with closing(http.client.HTTPConnection(engine.host, engine.port)) as connection:
        connection.request("POST", f"{parts.path}?{parts.query}", body, {"Content-Type": kind})
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.headers["Set-Cookie"]) == (200, b"ok", None)
    assert on_the_list(engine, recipient)
    told: Any = engine.request("GET", "/v1/events?events=listUnsubscribe&limit=1000").json["events"]
    assert recipient in [each["data"]["recipient"] for each in told]


def test_what_is_signed_is_what_is_said(engine: EngineProcess) -> None:
    query = dict(part.split("=", 1) for part in urlsplit(link_to(engine, "you@example.com")).query.split("&"))
    said = msgspec.json.decode(octets(query["data"]))
    assert {**said, "msg": ""} == {
        "act": "unsub",
        "acc": "acme",
        "list": "newsletter",
        "rcpt": "you@example.com",
        "msg": "",
    }
