"""The form in a real browser: light and dark, phone and desktop, keyboard and screen reader, good and hostile.

One browser and one engine serve all of it. With `PICTURES` naming a folder each page is kept there as a PNG; with `AXE`
naming axe-core's `axe.min.js`, which `scripts/browser` fetches, each page is held against its rules too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from chromium import PROGRAM, Tab, driven
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.postfix import Postfix

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

PICTURES = os.environ.get("PICTURES")
AXE = os.environ.get("AXE")
CALLER = "https://app.example.com/connected"
HOSTILE = "\"><img src=x onerror=document.title='taken'><script>document.title='taken'</script>"
APP = {"name": "Sandbox", "provider": "sandbox", "clientId": "engine", "clientSecret": "s3cret", "enabled": True}
LOOKS = [(phone, dark) for phone in (False, True) for dark in (False, True)]
if not (PICTURES or AXE):
    LOOKS = [(False, False), (True, True)]  # without these two, only the background of the colours is looked at


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, dovecot: Dovecot, postfix: Postfix) -> Iterator[EngineProcess]:
    """An engine that trusts the real servers' authority, and lets strangers name them."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "ca.pem").write_text(dovecot.ca_pem)
    engine = EngineProcess(
        folder,
        SSL_CERT_FILE=str(folder / "ca.pem"),
        ENGINE_NETWORK__ALLOW="127.0.0.1/32",
        ENGINE_NETWORK__MAIL_PORTS=f"{dovecot.tls_port} {dovecot.port} {postfix.tls_port} {postfix.port} 993 465",
    )
    engine.start()
    engine.request("POST", "/v1/settings", {"serviceUrl": engine.url})
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.fixture(scope="module")
def app(engine: EngineProcess) -> str:
    """The OAuth2 app of the sandbox."""
    made = engine.request("POST", "/v1/oauth2", APP)
    assert made.status == 200, made
    return str(made.json["id"])


def link(engine: EngineProcess, **members: Any) -> str:
    made = engine.request("POST", "/v1/authentication/form", {"redirectUrl": CALLER, **members})
    assert made.status == 200, made
    return str(made.json["url"])


def told(tab: Tab) -> dict[str, str]:
    """What the caller was told."""
    return dict(parse_qsl(urlsplit(tab.caller[-1]).query))


async def look_at(tab: Tab, name: str) -> None:
    """Everything that holds for every page."""
    assert tab.trouble == [], name
    wide, window = await tab.ask("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, f"{name} has to be scrolled sideways"
    spoken = await tab.spoken()
    for role, said, _ in spoken:
        assert role not in ("textbox", "combobox", "button", "link") or said, f"{name}: a {role} without a name"
    assert sum(role == "heading" for role, _, _ in spoken) >= 1 and any(role == "main" for role, _, _ in spoken)
    small = await tab.ask(
        "[...document.querySelectorAll('button, .button, input:not([type=hidden]), select, .choices a')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"
    )
    assert small == [], f"{name}: too small for a thumb"
    if AXE is not None:
        await tab.ask(Path(AXE).read_text())  # noqa: ASYNC240 - the page waits
        rules = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"
        found = await tab.ask(
            f"axe.run(document, {rules}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html)))"
        )
        assert found == [], f"{name}: {found}"
    if PICTURES is not None:
        await tab.picture(Path(PICTURES) / f"{name}.png")


async def test_every_page_in_every_look(devtools: str, engine: EngineProcess, app: str) -> None:
    async with driven(devtools) as browser:
        for phone, dark in LOOKS:
            tab = await browser.tab(phone=phone, dark=dark)
            look = f"{'phone' if phone else 'desktop'}-{'dark' if dark else 'light'}"
            back = "https://app.example.com/failed"
            await tab.go(link(engine, errorRedirect=back))
            await look_at(tab, f"{look}-1-choice")
            await tab.click("Another mailbox")
            await look_at(tab, f"{look}-2-address")
            await tab.type("name", "Ann Example")
            await tab.type("email", "ann@gmail.com")
            await tab.click("Continue")
            await look_at(tab, f"{look}-3-servers-known")
            await tab.click("Another address")
            await tab.type("name", "Ann Example")
            await tab.type("email", "ann@a-rather-long-name-of-a-small-company.example.com")
            await tab.click("Continue")
            await look_at(tab, f"{look}-4-servers-unknown")
            await tab.type("imap.host", "10.0.0.5")
            await tab.type("smtp.host", "nowhere.invalid")
            await tab.type("password", "secret")
            await tab.click("Connect")
            await look_at(tab, f"{look}-5-faults")
            await tab.go(f"{engine.url}/accounts/new?data=x&sig=y")
            await look_at(tab, f"{look}-6-no-link")
            await tab.go(link(engine, expectedEmail="bob@sandbox.example", type=app))
            await tab.type("user", "ann@sandbox.example")
            await tab.click("Allow")
            assert "You signed in as ann@sandbox.example" in await tab.text()
            await look_at(tab, f"{look}-7-another-account")
            background = await tab.ask("getComputedStyle(document.body).backgroundColor")
            assert background == ("rgb(19, 20, 22)" if dark else "rgb(247, 247, 245)")


async def test_a_mailbox_at_real_servers_is_connected(
    devtools: str, engine: EngineProcess, dovecot: Dovecot, postfix: Postfix
) -> None:
    user, password = dovecot.user()
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go(link(engine, account="real", type="imap"))
        await tab.type("name", "Jane")
        await tab.type("email", user)
        await tab.click("Continue")
        for server, where in (("imap", dovecot), ("smtp", postfix)):
            await tab.type(f"{server}.host", where.host)
            await tab.type(f"{server}.port", str(where.tls_port))
        await tab.choose("smtp.secure", "starttls")
        await tab.type("password", "not this one")
        await tab.click("Connect")
        said = [each for role, *each in await tab.spoken() if role in ("textbox", "combobox") and each[1]]
        (password_said,) = [text for name, text in said if name == "Password"]
        assert "refuses this user name with this password" in password_said
        assert any(name == "Encryption" and "speaks TLS from the start" in text for name, text in said), said
        assert await tab.ask("document.activeElement.name") == "password", "the first fault has the focus"
        await tab.choose("smtp.secure", "tls")
        await tab.type("password", password)
        await tab.click("Connect")
        assert told(tab) == {"account": "real", "state": "new"} and tab.trouble == []
    engine.wait_for_state("real", "connected")


async def test_the_back_button_leads_to_the_step_before(devtools: str, engine: EngineProcess) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab(phone=True)
        await tab.go(link(engine, type="imap", name="أحمد بن محمد", email="ann@example.org.invalid"))
        await look_at(tab, "back-1-address")
        await tab.click("Continue")
        await tab.type("imap.host", "10.0.0.5")
        await tab.type("smtp.host", "nowhere.invalid")
        await tab.type("password", "secret")
        await tab.click("Connect")
        assert "Not connected yet" in await tab.text()
        for heading in ("Connect ann@example.org.invalid", "Connect your mailbox"):
            async with tab.loading():
                await tab.ask("history.back()")
            text = await tab.text()
            assert text.startswith(heading) and "Not connected yet" not in text
        assert tab.trouble == []


async def test_odd_names_of_apps_fit_the_page(devtools: str, engine: EngineProcess, app: str) -> None:
    odd = (
        {"title": "W" * 256, "description": "Donaudampfschifffahrt" * 40},
        {"title": "تسجيل الدخول", "description": "هنا"},
    )
    made = [str(engine.request("POST", "/v1/oauth2", {**APP, **each}).json["id"]) for each in odd]
    async with driven(devtools) as browser:
        for phone in (False, True):
            tab = await browser.tab(phone=phone)
            await tab.go(link(engine, errorRedirect="https://app.example.com/failed"))
            await look_at(tab, f"{'phone' if phone else 'desktop'}-odd-names")
            edges = await tab.ask(
                "[...document.querySelectorAll('.choices b')].map(e => getComputedStyle(e).direction)"
            )
            assert sorted(set(edges)) == ["ltr", "rtl"]
    for each in made:
        engine.request("DELETE", f"/v1/oauth2/{each}")


async def test_the_sandbox_is_signed_in_to(devtools: str, engine: EngineProcess, app: str) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab(phone=True)
        await tab.go(link(engine, account="signed-in", email="ann@sandbox.example"))
        await tab.click("Sandbox")
        (cookie,) = await tab.cookies()
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax" and cookie["expires"] > 0
        assert await tab.ask("document.getElementsByName('user')[0].value") == "ann@sandbox.example"
        await tab.click("Allow")
        assert told(tab) == {"account": "signed-in", "state": "new"} and tab.trouble == []
        stranger = await browser.tab()
        await stranger.go(link(engine, type=app, errorRedirect="https://app.example.com/failed"))
        await stranger.type("user", "ann@sandbox.example")
        await stranger.click("Deny")
        assert told(stranger)["error"] == "access_denied"


async def test_the_keyboard_is_enough(devtools: str, engine: EngineProcess, app: str) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go(link(engine, errorRedirect="https://app.example.com/failed"))
        for expected in ("Sandbox", "Another mailbox"):
            await tab.press("Tab")
            assert expected in await tab.ask("document.activeElement.textContent")
        assert await tab.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        async with tab.loading():
            await tab.press("Enter")
        seen = []
        for _ in range(4):
            await tab.press("Tab")
            seen.append(await tab.ask("document.activeElement.name || document.activeElement.textContent"))
        assert seen == ["name", "email", "Continue", "Do not connect"]
        await tab.type("name", "Ann")
        await tab.type("email", "ann@example.org.invalid")
        async with tab.loading():
            await tab.press("Enter")
        seen = []
        for _ in range(9):
            await tab.press("Tab")
            seen.append(await tab.ask("document.activeElement.name || document.activeElement.tagName"))
        assert seen == [
            "password",
            "SUMMARY",
            *(f"imap.{each}" for each in ("host", "port", "secure", "user")),
            *(f"smtp.{each}" for each in ("host", "port", "secure")),
        ]


async def test_markup_in_every_field_does_nothing(devtools: str, engine: EngineProcess) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go(link(engine, name=HOSTILE, type="imap"))
        await tab.type("email", "ann@example.org.invalid")
        await tab.click("Continue")
        for field in ("imap.host", "imap.port", "imap.user", "smtp.host", "smtp.port", "password"):
            await tab.type(field, HOSTILE)
        await tab.click("Connect")
        assert await tab.ask("document.getElementsByName('imap.host')[0].value") == HOSTILE
        assert "taken" not in await tab.ask("document.title") and await tab.ask("document.images.length") == 0
        assert tab.trouble == [], "nothing was even tried"
        await tab.ask("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
        await tab.ask(
            "{ const s = document.createElement('script'); s.text = 'window.ran = 1'; document.body.append(s) }"
        )
        assert await tab.ask("window.ran") is None, "the policy would stop it"


async def test_no_other_page_can_show_it(devtools: str, engine: EngineProcess) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go("https://app.example.com/")
        async with tab.loading():
            await tab.ask(
                f"location.replace(URL.createObjectURL(new Blob(['<iframe src=\"{link(engine)}\"></iframe>'], "
                "{type: 'text/html'})))"
            )
        assert any("BLOCKED_BY_RESPONSE" in each for each in tab.trouble), tab.trouble
