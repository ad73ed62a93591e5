"""Signing in to the pages at a real OpenID Connect provider, in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from chromium import PROGRAM, Tab, driven
from page_walk import look_at, until
from real.engine_process import EngineProcess
from real.oidc_provider import OidcProvider
from real.servers import ServerMissing

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine at which Ann is an owner, and everyone else of example.com but strangers a reader."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"))
    try:
        provider = OidcProvider(tmp_path_factory.mktemp("oidc"), f"{engine.url}/admin/sign-in/provider/back")
    except ServerMissing as missing:
        pytest.skip(f"oidc-provider left out: {missing}")
    engine.configure(
        ENGINE_SIGNON__ISSUER=provider.url,
        ENGINE_SIGNON__CLIENT_ID="engine",
        ENGINE_SIGNON__CLIENT_SECRET="s3cret",
        ENGINE_SIGNON__NAME="Example ID",
        ENGINE_SIGNON__OWNERS="Ann@example.com",
        ENGINE_SIGNON__READERS="*@example.com",
    )
    try:
        engine.start()
        yield engine
    finally:
        provider.stop()
        engine.kill9()
    assert "Traceback" not in engine.log


async def sign_on(tab: Tab, engine: EngineProcess, user: str, page: str = "/admin/settings/sign-in") -> None:
    """Go to a page, from there to the provider, and back."""
    await tab.go(engine.url + page)
    await tab.click("Sign in with Example ID")
    await tab.type("login", user)
    await tab.type("password", "x")
    await tab.click("Sign-in")
    if "/interaction/" in await tab.url():
        tab.trouble.clear()  # what the provider's own pages want and do not get
        await tab.click("Continue")


async def test_the_provider_says_who_someone_is_and_its_claims_what_they_may(
    engine: EngineProcess, devtools: str
) -> None:
    async with driven(devtools) as browser:
        ann = await browser.tab()
        await ann.go(f"{engine.url}/admin/sign-in")
        await look_at(ann, "admin-sign-in-provider")
        await sign_on(ann, engine, "ann@example.com")
        assert await ann.url() == f"{engine.url}/admin/settings/sign-in"
        assert "You are ann@example.com, with the role owner." in await ann.text()
        assert "Your provider signs you in" in await ann.text() and "New password" not in await ann.text()
        await look_at(ann, "admin-own-sign-in-provider")
        assert [each["name"] for each in await ann.cookies()].count("mailbox-engine-sign-on") == 0

        bob = await browser.tab(phone=True)
        await sign_on(bob, engine, "bob@example.com", "/admin/settings/people")
        assert "This needs the role owner" in await bob.text()
        stranger = await browser.tab(phone=True, dark=True)
        await sign_on(stranger, engine, "eve@example.org")
        assert "You are eve@example.org there, and nothing gives you a role here" in await stranger.text()
        await look_at(stranger, "admin-sign-in-no-role")

        await ann.go(f"{engine.url}/admin/settings/people")
        assert "2 people may sign in" in await ann.text() and "signs in at the provider" in await ann.text()
        again = await browser.tab()
        await sign_on(again, engine, "ann@example.com")
        await again.go(f"{engine.url}/admin/settings/people")
        assert "2 people may sign in" in await again.text(), "the same person came back"


async def test_a_callback_counts_only_in_the_browser_that_began(engine: EngineProcess, devtools: str) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go(f"{engine.url}/admin/sign-in/provider")
        await until(tab, "document.getElementsByName('login').length")
        (cookie,) = [each for each in await tab.cookies() if each["name"] == "mailbox-engine-sign-on"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        back = "/admin/sign-in/provider/back?code=x&state="
        held = {"Cookie": f"{cookie['name']}={cookie['value']}"}
        for headers in ({}, {"Cookie": f"{cookie['name']}=x"}, held):
            answer = engine.request("GET", f"{back}forged", token="", headers=headers)
            assert answer.status == 422 and b"not begun in this browser" in answer.body
            assert "session=" not in str(answer.headers)
