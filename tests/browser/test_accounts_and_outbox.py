"""The pages for accounts and for the outbox in a real browser: every look, a task by hand, blocks that renew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import trio
from chromium import PROGRAM, Tab, driven
from page_walk import look_at, sign_in, until, walk
from real.engine_process import EngineProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

HOSTILE = "\"><img src=x onerror=document.title='taken'>\u202egnp.exe" + "W" * 150
NOBODY: dict[str, Any] = {"host": "127.0.0.1", "port": 9, "secure": False, "auth": {"user": "x", "pass": "y"}}
LATER = "2030-01-01T00:00:00Z"
LONG = f"/admin/accounts/{quote(HOSTILE[:100], safe='')}"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with an account that works, a hostile one that does not, and messages in several states."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_NETWORK__ALLOW="127.0.0.1/32")
    engine.start()
    limited = {"host": "127.0.0.1", "port": 9, "secure": False, "rateLimit": {"messages": 500, "seconds": 86_400}}
    accounts: tuple[dict[str, Any], ...] = (
        {"account": "orders", "name": "Orders", "email": "orders@sandbox.example", "sandbox": True, "logs": True},
        {"account": HOSTILE[:100], "name": HOSTILE, "imap": NOBODY, "smtp": {**NOBODY, **limited}},
    )
    for account in accounts:
        assert engine.request("POST", "/v1/account", account).status == 200
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.fixture(scope="module")
def messages(engine: EngineProcess) -> dict[str, str]:
    """The queue id of a message in each of these states."""
    made = {}
    for state, to, members in (
        ("sent", "a@sandbox.example", {"subject": "Your order 88213 has shipped"}),
        ("deferred", "defer+b@sandbox.example", {"subject": "Re: Quote for 300 units"}),
        ("in_doubt", "cut-before-keep1+c@sandbox.example", {"subject": "Invoice 2291", "onDoubt": "hold"}),
        ("failed", "reject+d@sandbox.example", {"subject": HOSTILE}),
        ("queued", "mira@fabrikam.example", {"subject": "Weekly report", "sendAt": LATER}),
        ("many", "x@fabrikam.example", {"sendAt": LATER, "bcc": [{"address": f"r{n}@x.example"} for n in range(400)]}),
    ):
        body = {"to": [{"address": to}], "text": "Hi", **members}
        made[state] = engine.request("POST", "/v1/account/orders/submit", body).json["queueId"]
    for state in ("sent", "deferred", "in_doubt", "failed"):
        for _ in range(200):
            if engine.request("GET", f"/v1/outbox/{made[state]}").json["state"] == state:
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{state}: {engine.request('GET', f'/v1/outbox/{made[state]}').json}")
    return made


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/admin/accounts", "accounts"),
        ("/admin/accounts?query=nothing", "accounts-none"),
        ("/admin/accounts/orders/log", "account-log"),
        (f"{LONG}/log", "account-log-off"),
        ("/admin/accounts/orders/folders", "account-folders"),
        (LONG, "account-hostile"),
        (f"{LONG}/servers", "account-servers"),
        ("/admin/add-account", "add"),
        ("/admin/send-link", "invite"),
        ("/admin/outbox", "outbox"),
        ("/admin/outbox?state=failed", "outbox-failed"),
        ("/admin/outbox?recipient=nobody", "outbox-none"),
    ],
)
async def test_pages(
    engine: EngineProcess,
    devtools: str,
    cookie: tuple[str, str],
    messages: dict[str, str],
    path: str,
    name: str,
) -> None:
    await walk(engine, devtools, path, name, cookie=cookie)


async def test_an_account(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async def then(tab: Tab) -> None:
        await until(tab, "document.body.innerText.includes('INBOX')")
        await tab.ask("document.querySelector('.danger-zone summary').click()")
        assert "The mailbox at the provider stays" in await tab.text()

    await walk(engine, devtools, "/admin/accounts/orders", "account", cookie=cookie, then=then)


@pytest.mark.parametrize("state", ["sent", "deferred", "in_doubt", "failed", "queued", "many"])
async def test_a_message(
    engine: EngineProcess, devtools: str, cookie: tuple[str, str], messages: dict[str, str], state: str
) -> None:
    async def then(tab: Tab) -> None:
        await tab.ask("document.querySelectorAll('details').forEach(each => { each.open = true; })")

    await walk(engine, devtools, f"/admin/outbox/{messages[state]}", f"message-{state}", cookie=cookie, then=then)


async def test_a_page_renews_what_has_changed(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    body = {"to": [{"address": "a@sandbox.example"}], "subject": "Later", "text": "Hi", "sendAt": LATER}
    queue_id = engine.request("POST", "/v1/account/orders/submit", body).json["queueId"]
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}/admin/outbox/{queue_id}")
        assert "It is not due yet." in await tab.text()
        engine.request("PUT", f"/v1/outbox/{queue_id}", {"sendNow": True})
        await until(tab, "document.body.innerText.includes('The server accepted it.')")
        await until(tab, "!!document.querySelector('.time details')")  # a block of its own, renewed by itself
        await tab.ask("document.querySelector('.time details').open = true")
        engine.request("POST", "/v1/account/orders/submit", {**body, "subject": "Another"})
        await trio.sleep(2.5)  # renewed meanwhile, as each second that something is written
        assert await tab.ask("document.querySelector('.time details').open"), "what was opened stays open"
        await tab.go(f"{engine.url}/admin/accounts/orders/log")
        engine.request("PUT", "/v1/account/orders/reconnect", {"reconnect": True})
        before = await tab.ask("document.querySelector('pre.log').innerText.length")
        await until(tab, f"document.querySelector('pre.log').innerText.length !== {before}")
        assert tab.trouble == []


async def test_finding_a_message_and_cancelling_it(
    engine: EngineProcess, devtools: str, cookie: tuple[str, str], messages: dict[str, str]
) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab(phone=True)
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}/admin/outbox")
        await tab.type("recipient", "MIRA")
        await tab.click("Filter")
        await tab.click("Weekly report")
        await tab.ask("document.querySelector('details.confirm summary').click()")
        await look_at(tab, "admin-message-cancel-phone")
        await tab.click("Cancel the message")
        assert "The message is cancelled. No one gets it." in await tab.text()
        assert engine.request("GET", f"/v1/outbox/{messages['queued']}").json["state"] == "cancelled"
