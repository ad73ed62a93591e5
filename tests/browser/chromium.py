"""A real Chromium, driven by its devtools protocol over a websocket: what a person at the pages would see and type.

Keys and clicks go through the browser's own input handling. `Tab.trouble` collects what it complains of: errors in the
console, violations of the page's policy, what could not be loaded.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import trio
from real.processes import wait_until
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

PROGRAM = shutil.which("chromium")
PATIENCE_SECONDS = 30
EMPTIED = "data:text/plain,emptied"
"""Where a tab is that waits for its next test."""
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
    # The callers of these tests are on the internet, the engine is on loopback.
    "--disable-features=LocalNetworkAccessChecks",
)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "Space": 32}


class Browser:
    """One connection to a process. Each tab has cookies of its own."""

    def __init__(self, connection: WebSocketConnection, nursery: trio.Nursery) -> None:
        self._connection = connection
        self._nursery = nursery
        self._numbers = itertools.count(1)
        self._answers: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    async def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command; its result."""
        number = next(self._numbers)
        answer, answered = trio.open_memory_channel[dict[str, Any]](1)
        self._answers[number] = answer
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        await self._connection.send_message(json.dumps(message))
        with trio.fail_after(PATIENCE_SECONDS):
            found = await answered.receive()
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']}")
        return found["result"]

    async def run(self) -> None:
        """Hand out what the browser says until it has gone."""
        while True:
            try:
                said = json.loads(await self._connection.get_message())
            except ConnectionClosed:
                return
            if "id" in said:
                self._answers.pop(said["id"]).send_nowait(said)
            elif (tab := self._tabs.get(said.get("sessionId", ""))) is not None:
                tab.hear(said["method"], said["params"])

    async def tab(self, *, phone: bool = False, tablet: bool = False, dark: bool = False) -> Tab:
        """An empty tab in a profile of its own: a new one, or one that an earlier test has left and `close` emptied."""
        found = (await self.send("Target.getTargets"))["targetInfos"]
        idle = [each["targetId"] for each in found if each["url"] == EMPTIED and not each["attached"]]
        target = idle[0] if idle else await self._new_target()
        attached = await self.send("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, attached["sessionId"], self._nursery)
        self._tabs[attached["sessionId"]] = tab
        for domain in ("Page", "Runtime", "Network", "Log"):
            await tab.send(f"{domain}.enable")
        if idle:
            await tab.go("about:blank")
            await tab.send("Page.resetNavigationHistory")
        await tab.send("Fetch.enable", patterns=[{"urlPattern": "https://*.example.com/*"}])
        await tab.look(phone=phone, tablet=tablet, dark=dark)
        return tab

    async def _new_target(self) -> str:
        context = (await self.send("Target.createBrowserContext"))["browserContextId"]
        made = await self.send("Target.createTarget", url="about:blank", browserContextId=context)
        return str(made["targetId"])

    async def close(self) -> None:
        """Empty every tab for the next test: to make a profile, and its window, costs as much as most tests do."""
        for tab in self._tabs.values():
            await tab.empty()


class Tab:
    """One page after the other. `caller` holds the URLs at which the caller of the form was visited."""

    def __init__(self, browser: Browser, session: str, nursery: trio.Nursery) -> None:
        self._browser = browser
        self._session = session
        self._nursery = nursery
        self._loads = 0
        self._moved = trio.Event()
        self._origins: set[str] = set()
        self.trouble: list[str] = []
        self.statuses: list[int] = []
        self.caller: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command to this tab."""
        return await self._browser.send(method, self._session, **parameters)

    async def empty(self) -> None:
        """Leave its page, and forget all that pages have stored in its profile. What it was told ends with `driven`."""
        for origin in self._origins:
            await self.send("Storage.clearDataForOrigin", origin=origin, storageTypes="all")
        await self.send("Network.clearBrowserCookies")
        await self.send("Network.clearBrowserCache")
        await self.go(EMPTIED)

    async def look(self, *, phone: bool = False, tablet: bool = False, dark: bool = False) -> None:
        """Become the window of such a device, as its person likes it."""
        width, height = (390, 844) if phone else (820, 1180) if tablet else (1280, 900)
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone or tablet,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    def hear(self, event: str, said: dict[str, Any]) -> None:
        """Note what the browser tells."""
        if event == "Page.loadEventFired":
            self._loads += 1
            self._moved.set()
            self._moved = trio.Event()
        elif event == "Fetch.requestPaused":
            self.caller.append(said["request"]["url"])
            self._nursery.start_soon(self._be_the_caller, said["requestId"])
        elif event == "Network.responseReceived" and said["type"] == "Document":
            self.statuses.append(said["response"]["status"])
            self._origins.add("/".join(said["response"]["url"].split("/")[:3]))
        elif event == "Network.loadingFailed" and not said.get("canceled"):
            self.trouble.append(f"{said['errorText']} {said.get('blockedReason', '')}")
        elif event == "Runtime.exceptionThrown":
            self.trouble.append(said["exceptionDetails"]["text"])
        elif event == "Log.entryAdded" and said["entry"]["level"] == "error":
            text = f"{said['entry']['text']} {said['entry'].get('url', '')}"
            # A refused form is a 422, which Chromium holds for worth an error.
            if "favicon.ico" not in text and "responded with a status of" not in text:
                self.trouble.append(text)

    async def _be_the_caller(self, request: str) -> None:
        body = base64.b64encode(b"<!doctype html><title>Caller</title><h1>Back at the caller</h1>").decode()
        headers = [{"name": "Content-Type", "value": "text/html"}]
        with suppress(RuntimeError):  # the tab has gone on meanwhile
            await self.send(
                "Fetch.fulfillRequest", requestId=request, responseCode=200, responseHeaders=headers, body=body
            )

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[None]:
        """What is done in the block leads to another page, which is waited for."""
        before = self._loads
        yield
        with trio.fail_after(PATIENCE_SECONDS):
            while self._loads == before:
                await self._moved.wait()

    async def go(self, url: str) -> None:
        """Visit a URL."""
        async with self.loading():
            await self.send("Page.navigate", url=url)

    async def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    async def type(self, field: str, text: str) -> None:
        """Put text into the field with this name, in the place of what is there."""
        await self.ask(f"(e => {{ e.focus(); e.select && e.select() }})(document.getElementsByName({field!r})[0])")
        if text:
            await self.send("Input.insertText", text=text)
        else:
            await self.ask("document.activeElement.value = ''")

    async def choose(self, field: str, value: str) -> None:
        """Choose an option."""
        await self.ask(f"document.getElementsByName({field!r})[0].value = {value!r}")

    async def click(self, text: str) -> None:
        """Click the button or link with this text; another page is waited for."""
        script = (
            "(t => { const e = [...document.querySelectorAll('a, button')].find(e => e.textContent.includes(t)); "
            "e.scrollIntoView({block: 'center'}); const r = e.getClientRects()[0]; "
            f"return [r.x + r.width / 2, r.y + r.height / 2] }})({text!r})"
        )
        x, y = await self.ask(script)
        async with self.loading():
            for kind in ("mousePressed", "mouseReleased"):
                await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def press(self, key: str) -> None:
        """Press a key."""
        text = {"Enter": "\r", "Space": " "}.get(key)
        more = {"text": text} if text else {}
        code = _KEYS[key]
        await self.send(
            "Input.dispatchKeyEvent",
            type="keyDown",
            key=" " if key == "Space" else key,
            code=key,
            windowsVirtualKeyCode=code,
            **more,
        )
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    async def text(self) -> str:
        """What stands on the page."""
        return str(await self.ask("document.body.innerText"))

    async def url(self) -> str:
        """Where it is."""
        return str(await self.ask("location.href"))

    async def cookies(self) -> list[dict[str, Any]]:
        """All that it holds."""
        return list((await self.send("Network.getCookies"))["cookies"])

    async def spoken(self) -> list[tuple[str, str, str]]:
        """What a screen reader finds: role, name and description of each node that has a name."""
        nodes = (await self.send("Accessibility.getFullAXTree"))["nodes"]
        return [
            (
                node["role"]["value"],
                node.get("name", {}).get("value", ""),
                node.get("description", {}).get("value", ""),
            )
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]

    async def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        height = await self.ask("document.documentElement.scrollHeight")
        width = await self.ask("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": max(height, 1), "scale": 1}
        found = await self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))  # noqa: ASYNC240 - the page waits


@contextmanager
def chromium() -> Iterator[str]:
    """A process for as long as the block runs; where its devtools listen."""
    assert PROGRAM is not None, "there is no chromium here"
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        command = ["setpriv", "--pdeathsig", "KILL", PROGRAM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            said = folder / "DevToolsActivePort"
            wait_until(lambda: said.exists() and said.read_text().count("\n") > 0, "start of chromium")
            port, path = said.read_text().split("\n")[:2]
            yield f"ws://127.0.0.1:{port}{path}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@asynccontextmanager
async def driven(devtools: str) -> AsyncIterator[Browser]:
    """The browser whose devtools listen there."""
    async with (
        open_websocket_url(devtools, max_message_size=64 * 1024**2) as connection,
        trio.open_nursery() as nursery,
    ):
        browser = Browser(connection, nursery)
        nursery.start_soon(browser.run)
        yield browser
        await browser.close()
        nursery.cancel_scope.cancel()
