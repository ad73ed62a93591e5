"""The pages of `/admin` in a real browser: signing in, Home with troubles, blocks that renew themselves, sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import PROGRAM, Tab, driven
from page_walk import NAME, PASSWORD, cookie_of, look_at, sign_in, until, walk
from real.engine_process import EngineProcess
from real.processes import wait_until

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

HOSTILE = "\"><img src=x onerror=document.title='taken'>\u202egnp.exe" + "W" * 150
NOBODY: dict[str, Any] = {"host": "127.0.0.1", "port": 9, "secure": False, "auth": {"user": "x", "pass": "y"}}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with an account that works, and one with a hostile name that does not."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_NETWORK__ALLOW="127.0.0.1/32")
    engine.start()
    accounts = (
        {"account": "orders", "name": "Orders", "email": "orders@sandbox.example", "sandbox": True},
        {"account": HOSTILE[:100], "name": HOSTILE, "imap": NOBODY, "smtp": NOBODY},
    )
    for account in accounts:
        assert engine.request("POST", "/v1/account", account).status == 200
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


async def test_the_first_start_prints_a_link(tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = EngineProcess(tmp_path_factory.mktemp("new"))
    engine.start()
    try:
        # Printed after it listens, which is all that a start waits for.
        wait_until(lambda: f"{engine.url}/admin/enter?key=" in engine.log, "the link")
    finally:
        engine.kill9()


async def test_signing_in_by_hand(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab(phone=True)
        await tab.go(f"{engine.url}/admin/settings/sessions")
        await look_at(tab, "admin-sign-in-phone")
        await tab.type("name", NAME)
        await tab.type("password", PASSWORD)
        await tab.click("Sign in")
        assert (await tab.url()).endswith("/admin/settings/sessions")
        assert "This browser" in await tab.text()
        (held,) = await tab.cookies()
        assert (held["httpOnly"], held["sameSite"]) == (True, "Lax")


async def test_home(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async def then(tab: Tab) -> None:
        await until(tab, "document.querySelectorAll('.chart canvas').length === 5")
        assert "gnp.exe" in await tab.text()

    await walk(engine, devtools, "/admin", "home", cookie=cookie, then=then)


@pytest.mark.parametrize(
    "page", ["settings", "settings/sessions", "settings/people", "settings/sign-in", "nothing-here"]
)
async def test_other_pages(engine: EngineProcess, devtools: str, cookie: tuple[str, str], page: str) -> None:
    await walk(engine, devtools, f"/admin/{page}", page.replace("/", "-"), cookie=cookie)


async def test_the_key_of_one_time_codes(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async def then(tab: Tab) -> None:
        await tab.click("Set up")
        width, height = await tab.ask(
            "(r => [r.width, r.height])(document.querySelector('.qr svg').getBoundingClientRect())"
        )
        assert width == height >= 200

    await walk(engine, devtools, "/admin/settings/sign-in", "codes", cookie=cookie, then=then)


async def test_home_renews_what_has_changed(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}/admin")
        assert "Sending is paused" not in await tab.text()
        engine.request("PUT", "/v1/settings/queue/submit", {"paused": True})
        await until(tab, "document.body.innerText.includes('Sending is paused')")
        await tab.click("Resume")
        assert "The engine sends messages again." in await tab.text()
        assert "Sending is paused" not in await tab.text()
        assert tab.trouble == []


async def test_it_works_without_script(engine: EngineProcess, devtools: str, cookie: tuple[str, str]) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.send("Emulation.setScriptExecutionDisabled", value=True)
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}/admin/settings/sessions")
        spoken = [name for _, name, _ in await tab.spoken()]
        assert any("UTC" in name for name in spoken) and "Sign out" in spoken


async def test_the_year_is_said_where_it_is_another(engine: EngineProcess, devtools: str) -> None:
    script = """(() => {
      const found = [-40, 0, 400].map((days) => {
        const each = document.createElement("time");
        each.dateTime = new Date(Date.now() + days * 86400000).toISOString();
        document.body.append(each);
        return each;
      });
      return new Promise((done) => setTimeout(() => done(found.map((each) => [each.textContent, each.dateTime])), 300));
    })()"""
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.send("Emulation.setTimezoneOverride", timezoneId="UTC")
        await tab.go(f"{engine.url}/admin/sign-in")
        now = str(await tab.ask("new Date().toISOString()"))
        for text, moment in await tab.ask(script):
            assert (moment[:4] in text) == (moment[:4] != now[:4]), (text, moment)
            assert ":" in text


async def test_a_page_left_open_says_that_its_session_has_ended(engine: EngineProcess, devtools: str) -> None:
    token = "document.getElementsByName('form_token')[0].value"
    end = f"fetch('/admin/sign-out', {{method: 'POST', body: new URLSearchParams({{form_token: {token}}})}})"
    async with driven(devtools) as browser:
        tab = await browser.tab(phone=True)
        await sign_in(tab, engine, cookie_of(engine, "operator", "bob"))
        await tab.go(f"{engine.url}/admin/accounts/orders")
        await tab.ask(f"{end}.then(() => 0)")
        await until(tab, "!document.getElementById('ended').hidden")
        assert "Your session has ended" in await tab.text()
        await tab.click("Sign in")
        assert (await tab.url()).endswith("/admin/sign-in?next=%2Fadmin%2Faccounts%2Forders")
