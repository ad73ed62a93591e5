"""Webhooks, events, caught mail and the test mail in a real browser, with names and mail of someone hostile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import PROGRAM, Tab, driven
from page_walk import look_at, sign_in, until, walk
from real.engine_process import EngineProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

HOSTILE = "\"><img src=x onerror=document.title='taken'>\u202egnp.exe" + "W" * 250
NOWHERE = "http://127.0.0.1:9/hooks/" + "w" * 250
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
HOOKS = "/admin/settings/webhooks"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with two sandbox accounts, one of a hostile name, and webhooks that fail and park."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_NETWORK__ALLOW="127.0.0.1/32")
    engine.start()
    accounts = (
        {"account": "orders", "name": "Orders", "email": "orders@sandbox.example", "sandbox": True},
        {"account": HOSTILE[:250], "name": HOSTILE[:250], "email": "odd@sandbox.example", "sandbox": True},
    )
    for account in accounts:
        assert engine.request("POST", "/v1/account", account).status == 200
    engine.request("POST", "/v1/settings", {"webhooks": NOWHERE, "webhooksEnabled": True, "webhookEvents": ["*"]})
    hook = {"url": NOWHERE, "description": HOSTILE, "map": "length(`5`)", "filter": "event != 'messageNew'"}
    engine.made = engine.request("POST", "/v1/webhooks", {**hook, "after": 0}).json["id"]  # type: ignore[attr-defined]
    engine.wait_for_state("orders", "connected")
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


async def test_webhooks(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    await walk(engine, devtools, HOOKS, "webhooks", cookie=cookie)
    made: Any = engine.made  # type: ignore[attr-defined]
    await walk(engine, devtools, f"{HOOKS}/{made}", "webhook", cookie=cookie)
    await walk(engine, devtools, f"{HOOKS}/new", "webhook-new", cookie=cookie)


async def test_a_filter_is_tried_while_one_types(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}{HOOKS}/new")
        for field, typed, shown in (
            ("filter", "event == 'nothing'", "The filter leaves this event out."),
            ("filter", "event ==", "is not JMESPath"),
            ("filter", "event", "This would be posted"),
            ("map", "{it_is: event}", '"it_is"'),
        ):
            await tab.type(field, typed)
            await tab.ask(
                f"document.getElementsByName('{field}')[0].dispatchEvent(new Event('input', {{bubbles: true}}))"
            )
            await until(tab, f"document.getElementById('tried').innerText.includes({shown!r})")
            assert await tab.ask(f"document.getElementsByName('{field}')[0].value") == typed
        await look_at(tab, "admin-webhook-tried")


async def test_a_test_shows_the_answer(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async def then(tab: Tab) -> None:
        await tab.click("Send a test")
        assert "Your server did not accept the test." in await tab.text()

    await walk(engine, devtools, HOOKS, "webhooks-tested", cookie=cookie, then=then)


async def test_events(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    await walk(engine, devtools, "/admin/events", "events", cookie=cookie)
    await walk(engine, devtools, "/admin/events/3", "event", cookie=cookie)
    await walk(engine, devtools, "/admin/events?account=nobody", "events-none", cookie=cookie)


async def test_an_event_appears_by_itself(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}/admin/events?event=messageSent&account=orders")
        await tab.type("account", "typed meanwhile")
        mail = {"to": [{"address": "you@sandbox.example"}], "subject": HOSTILE, "text": "x"}
        assert engine.request("POST", "/v1/account/orders/submit", mail).status == 200
        await until(tab, "document.querySelectorAll('.list.events li').length === 1")
        assert await tab.ask("document.getElementsByName('account')[0].value") == "typed meanwhile"
        await look_at(tab, "admin-events-live")


async def test_caught_mail(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    html = (
        f"<h1>Welcome</h1><p>{HOSTILE}</p><script>top.document.title='taken'</script><img src='cid:logo' width=60>"
        "<img src='https://tracker.example/p.gif'><a href='javascript:alert(1)'>x</a> <a href='https://app.example/'>y</a>"
    )
    logo = {"filename": "logo.png", "cid": "logo", "contentType": "image/png", "content": PIXEL}
    odd = {"filename": HOSTILE[:200], "content": "aGk="}
    mail = {
        "to": [{"address": "you@outside.invalid", "name": HOSTILE[:200]}],
        "subject": f"Html {HOSTILE}",
        "text": HOSTILE,
    }
    engine.request("POST", "/v1/account/orders/submit", {**mail, "html": html, "attachments": [logo, odd]})
    engine.request("POST", "/v1/account/orders/submit", {**mail, "subject": "Plain", "text": "Hello\n" * 50})
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}/admin/sandbox")
        links = "[...document.querySelectorAll('.list.events a')].map(e => [e.innerText, e.href])"
        await until(tab, f"['Html ', 'Plain'].every(name => {links}.some(([text]) => text.startsWith(name)))")
        named = {name[:5]: url.partition("/admin")[2] for name, url in await tab.ask(links)}
    await walk(engine, devtools, "/admin/sandbox", "sandbox", cookie=cookie)

    async def then(tab: Tab) -> None:
        assert await tab.ask("document.querySelector('iframe').contentDocument === null"), "the frame is of no origin"
        await tab.click("Source")

    await walk(engine, devtools, f"/admin{named['Html ']}", "caught", cookie=cookie, then=then)
    await walk(engine, devtools, f"/admin{named['Html ']}?tab=headers", "caught-headers", cookie=cookie)
    await walk(engine, devtools, f"/admin{named['Plain']}", "caught-text", cookie=cookie)


async def test_a_test_mail(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async def then(tab: Tab) -> None:
        await tab.type("account", "orders")
        await tab.type("to", "you@outside.invalid")
        await tab.type("subject", HOSTILE)
        await tab.click("Send")
        await until(tab, "document.querySelector('.chip')?.innerText === 'Sent'")

    await walk(engine, devtools, "/admin/compose", "compose", cookie=cookie, then=then)
