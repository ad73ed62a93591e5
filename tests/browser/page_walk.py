"""Walks the pages of `/admin` in a real Chromium: signing in, and what must hold for every page in every look.

    @pytest.fixture(scope="module")
    def ...                                   # `engine`, `devtools`, `cookie` as in test_admin_looks.py
    async def test_outbox(engine, devtools):
        await walk(engine, devtools, "/admin/outbox", "outbox")

`walk` visits the page on a desktop, a tablet and a phone, in light and dark where that is looked at. Each time: nothing
in the console, no violation of the policy, nothing wider than the window, axe-core without findings (with `AXE` naming
its file, which `scripts/browser` fetches), a picture (with `PICTURES` naming a folder).
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from chromium import PATIENCE_SECONDS, Tab, driven
from real.engine_process import EngineProcess

PICTURES = os.environ.get("PICTURES")
AXE = os.environ.get("AXE")
LOOKS = [(device, dark) for device in ("desktop", "tablet", "phone") for dark in (False, True)]
if not (PICTURES or AXE):
    LOOKS = [("desktop", False), ("tablet", True), ("phone", True)]  # without these two, colours are not looked at
NAME, PASSWORD = "ann@example.com", "correct horse battery"
SETTLE_SECONDS = 0.3
MOST_BYTES = 150_000
_FINDINGS = "axe.run().then(r => JSON.stringify(r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html)])))"

Then = Callable[[Tab], Awaitable[object]]


def cookie_of(engine: EngineProcess, role: str = "owner", name: str = NAME) -> tuple[str, str]:
    """A session for someone with this role: name and value of its cookie."""
    key = engine.command("people", "link", "--role", role).stdout.strip().rpartition("key=")[2]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"key={key}&name={name}&password={PASSWORD.replace(' ', '+')}".encode()
    answer = engine.request("POST", "/admin/enter", body, token="", headers=form)
    assert answer.status == 303, answer
    found, _, value = str(answer.headers["Set-Cookie"]).partition(";")[0].partition("=")
    return found, value


async def sign_in(tab: Tab, engine: EngineProcess, cookie: tuple[str, str]) -> None:
    """Give a tab the cookie of a session."""
    await tab.send("Network.setCookie", name=cookie[0], value=cookie[1], url=engine.url)


async def until(tab: Tab, script: str) -> None:
    """Wait until an expression in the page is true."""
    with trio.fail_after(PATIENCE_SECONDS):
        while not await tab.ask(script):  # noqa: ASYNC110 - the browser does not tell
            await trio.sleep(0.1)


async def look_at(tab: Tab, name: str) -> None:
    """Hold the page that is shown against what must hold for every page."""
    await trio.sleep(SETTLE_SECONDS)  # charts and pictures are drawn
    assert tab.trouble == [], name
    assert await tab.ask("document.title !== 'taken'"), f"{name}: markup of others ran"
    wide, window = await tab.ask("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{name} is {wide} wide in a window of {window}"
    if AXE:
        await tab.ask(Path(AXE).read_text())  # noqa: ASYNC240 - the page waits
        findings = json.loads(await tab.ask(_FINDINGS))
        assert findings == [], f"{name}: {findings}"
    if PICTURES:
        await tab.picture(Path(PICTURES) / f"{name}.png")


async def walk(
    engine: EngineProcess,
    devtools: str,
    path: str,
    name: str,
    *,
    cookie: tuple[str, str] | None,
    then: Then | None = None,
) -> None:
    """Visit `path` in every look; `then` is done there besides. `cookie` None: not signed in."""
    async with driven(devtools) as browser:
        tab = await browser.tab()
        if cookie is not None:
            await sign_in(tab, engine, cookie)
        for number, (device, dark) in enumerate(LOOKS):
            await tab.look(phone=device == "phone", tablet=device == "tablet", dark=dark)
            # A page takes on a look as it takes on another window; where it is looked at closely it is new in each.
            if number == 0 or then is not None or PICTURES or AXE:
                await tab.go(f"{engine.url}{path}")
            look = f"admin-{name}-{device}-{'dark' if dark else 'light'}"
            await look_at(tab, look)
            size = await tab.ask(
                "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
                ".reduce((sum, each) => sum + each.encodedBodySize, 0)"
            )
            assert size <= MOST_BYTES, f"{look} takes {size} bytes"
            if then is not None:
                await then(tab)
                await look_at(tab, f"{look}-then")
