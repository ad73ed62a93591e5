"""Passkeys in a real browser with the authenticator that its devtools simulate: made, signed in with, removed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote_plus

import pytest
from chromium import PROGRAM, Browser, Tab, driven
from page_walk import cookie_of, look_at, until
from real.engine_process import EngineProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

PAGE = "/admin/settings/sign-in"
NAME = "\"><img src=x onerror=document.title='taken'>\u202eenohP"
_GET = (
    "(async o => JSON.stringify((await navigator.credentials.get({publicKey: "
    "PublicKeyCredential.parseRequestOptionsFromJSON(o)})).toJSON()))"
)
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    engine = EngineProcess(tmp_path_factory.mktemp("engine"))
    engine.start()
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.fixture
def other_site() -> Iterator[str]:
    """A page of someone else at the same host name, on another port."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def at_name(engine: EngineProcess) -> str:
    """The pages by a host name: browsers make no passkeys for addresses."""
    return engine.url.replace("127.0.0.1", "localhost")


async def with_authenticator(browser: Browser, **options: bool) -> Tab:
    """A tab with a device that verifies its person."""
    tab = await browser.tab(phone=True)
    await tab.send("WebAuthn.enable")
    device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    given = {"isUserVerified": True, "automaticPresenceSimulation": True, **options}
    await tab.send("WebAuthn.addVirtualAuthenticator", options=device | given)
    return tab


async def with_passkey(browser: Browser, engine: EngineProcess, person: str) -> Tab:
    """A tab of `person`, signed in, who has just made a passkey."""
    name, value = cookie_of(engine, name=person)
    tab = await with_authenticator(browser)
    await tab.send("Network.setCookie", name=name, value=value, url=at_name(engine))
    await tab.go(at_name(engine) + PAGE)
    await tab.type("name", NAME)
    await tab.click("Make a passkey")
    assert "You can sign in with the passkey now." in await tab.text()
    return tab


async def test_a_passkey_is_made_used_and_removed(engine: EngineProcess, devtools: str) -> None:
    async with driven(devtools) as browser:
        tab = await with_passkey(browser, engine, "ann")
        assert "Not used yet." in await tab.text() and at_name(engine) in await tab.text()
        await look_at(tab, "admin-passkeys-phone")
        await tab.type("name", "again")
        await tab.ask("document.querySelector('form[data-passkey] button').click()")
        await until(tab, "document.body.innerText.includes('has a passkey for you already')")
        await tab.send("Network.clearBrowserCookies")
        await tab.go(f"{at_name(engine)}/admin/settings/sessions")
        await look_at(tab, "admin-sign-in-passkey-phone")
        await tab.click("Sign in with a passkey")
        assert (await tab.url()).endswith("/admin/settings/sessions") and "This browser" in await tab.text()
        await tab.go(at_name(engine) + PAGE)
        assert "Last used" in await tab.text()
        await tab.ask("document.querySelector('details.confirm summary').click()")
        async with tab.loading():
            await tab.ask("document.querySelector('details.confirm button').click()")
        assert "The passkey is removed." in await tab.text()
        await tab.send("Network.clearBrowserCookies")
        await tab.go(f"{at_name(engine)}/admin/sign-in")
        await tab.click("Sign in with a passkey")
        assert "not known here" in await tab.text()
        assert tab.trouble == []


async def answer_to(tab: Tab, engine: EngineProcess) -> str:
    """What the tab's device answers to a new challenge of the engine, wherever the tab is."""
    page = engine.request("GET", "/admin/sign-in", token="").body.decode()
    options = page.partition('data-options="')[2].partition('"')[0].replace("&#34;", '"')
    return str(await tab.ask(f"{_GET}({options})"))


def sign_in(engine: EngineProcess, answer: str) -> Any:
    """Post an answer."""
    body = f"answer={quote_plus(answer)}".encode()
    return engine.request("POST", "/admin/sign-in/passkey", body, token="", headers=_FORM)


async def test_an_answer_counts_once_unchanged_and_from_its_own_site(
    engine: EngineProcess, devtools: str, other_site: str
) -> None:
    async with driven(devtools) as browser:
        tab = await with_passkey(browser, engine, "bob")
        answer = await answer_to(tab, engine)
        read = json.loads(answer)
        read["response"]["authenticatorData"] = read["response"]["authenticatorData"][:-4] + "AAAA"
        assert sign_in(engine, json.dumps(read)).status == 422, "what was signed is another text"
        assert sign_in(engine, answer).status == 303
        again = sign_in(engine, answer)
        assert again.status == 422 and b"open too long" in again.body
        await tab.go(other_site)
        assert sign_in(engine, await answer_to(tab, engine)).status == 422, "a page on another port got the answer"


_NO_CHALLENGE = '{"id": "x", "response": {"clientDataJSON": "e30"}}'


@pytest.mark.parametrize("answer", ["", "{}", "[" * 9000, _NO_CHALLENGE, "x" * 20_000])
async def test_broken_answers_are_refused(engine: EngineProcess, answer: str) -> None:
    assert sign_in(engine, answer).status == 422
