"""Pages of the settings, templates and lists in a real browser: with nothing, with much, with hostile names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from chromium import PROGRAM, Tab, driven
from page_walk import cookie_of, look_at, sign_in, walk
from real.engine_process import EngineProcess
from test_admin_looks import HOSTILE

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

Cookie = tuple[str, str]
CONTENT = {
    "subject": "Order {{params.order}}",
    "html": "<h1 style='color:teal'>Hello {{params.name}}</h1><p>Your order has shipped.</p>{{{params.raw}}}",
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine with nothing in it."""
    engine = EngineProcess(tmp_path_factory.mktemp("empty"))
    engine.start()
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One with a bit of everything, plain and hostile."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"), ENGINE_NETWORK__ALLOW="127.0.0.1/32")
    engine.start()
    account = {"account": "orders", "name": "Orders", "email": "orders@sandbox.example", "sandbox": True}
    assert engine.request("POST", "/v1/account", account).status == 200
    for description in ("Shop backend", HOSTILE):
        given = {"description": description, "scopes": ["api", "smtp"], "account": "orders"}
        assert engine.request("POST", "/v1/tokens", given).status == 200
    for name in ("Try out", HOSTILE):
        app = {
            "name": name,
            "provider": "sandbox",
            "clientId": "x",
            "enabled": True,
            "redirectUrl": f"{engine.url}/oauth",
        }
        assert engine.request("POST", "/v1/oauth2", app).status == 200
        gateway = {"gateway": None, "name": name, "host": "127.0.0.1", "port": 9, "user": name[:100], "pass": "x"}
        assert engine.request("POST", "/v1/gateway", gateway).status == 200
        template = {"account": None, "name": name, "description": name, "content": CONTENT}
        assert engine.request("POST", "/v1/templates/template", template).status == 200
    for address in ("ann@example.com", f"{'w' * 64}@example.com"):
        blocked = {"account": "orders", "recipient": address, "reason": HOSTILE}
        assert engine.request("POST", "/v1/blocklist/newsletter", blocked).status == 200
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.fixture(scope="module")
def empty_cookie(empty: EngineProcess) -> Cookie:
    return cookie_of(empty)


async def test_tokens(engine: EngineProcess, devtools: str, cookie: Cookie) -> None:
    async def then(tab: Tab) -> None:
        await tab.type("description", "One more")
        await tab.click("Issue the token")
        assert "Copy it now" in await tab.text()

    await walk(engine, devtools, "/admin/settings/tokens", "tokens", cookie=cookie, then=then)


async def test_one_token(engine: EngineProcess, devtools: str, cookie: Cookie) -> None:
    async with driven(devtools) as browser:
        for phone in (True, False):
            tab = await browser.tab(phone=phone)
            await sign_in(tab, engine, cookie)
            await tab.go(f"{engine.url}/admin/settings/tokens?query=gnp.exe")
            await tab.click("Open")
            await tab.ask("document.querySelector('details.confirm').open = true")
            await look_at(tab, f"admin-token-{'phone' if phone else 'desktop'}")


@pytest.mark.parametrize("page", ["settings/oauth-apps", "settings/oauth-apps?provider=outlook"])
async def test_oauth_apps(engine: EngineProcess, devtools: str, cookie: Cookie, page: str) -> None:
    await walk(engine, devtools, f"/admin/{page}", page.replace("/", "-").replace("?", "-"), cookie=cookie)


async def test_one_oauth_app(engine: EngineProcess, devtools: str, cookie: Cookie) -> None:
    async def then(tab: Tab) -> None:
        await tab.click("Test the app")
        assert "The provider can be reached" in await tab.text()

    app = json.loads(engine.request("GET", "/v1/oauth2").body)["apps"][1]["id"]
    await walk(engine, devtools, f"/admin/settings/oauth-apps/{app}", "oauth-app", cookie=cookie, then=then)


PAGES = ["settings/gateways", "settings/queue", "settings/api", "templates", "suppression"]


@pytest.mark.parametrize("page", [*PAGES, "suppression/newsletter", "settings/api/post_v1_templates_template"])
async def test_pages(engine: EngineProcess, devtools: str, cookie: Cookie, page: str) -> None:
    await walk(engine, devtools, f"/admin/{page}", page.replace("/", "-"), cookie=cookie)


async def test_one_gateway(engine: EngineProcess, devtools: str, cookie: Cookie) -> None:
    async def then(tab: Tab) -> None:
        await tab.ask("document.querySelector('details.confirm').open = true")

    gateway = json.loads(engine.request("GET", "/v1/gateways").body)["gateways"][1]["gateway"]
    await walk(engine, devtools, f"/admin/settings/gateways/{gateway}", "gateway", cookie=cookie, then=then)


async def test_one_template(engine: EngineProcess, devtools: str, cookie: Cookie) -> None:
    async def then(tab: Tab) -> None:
        await tab.type("p.name", "<b>Bob")
        await tab.click("Show")
        assert "taken" not in await tab.ask("document.title")

    template = json.loads(engine.request("GET", "/v1/templates").body)["templates"][0]["id"]
    raw = "%3Cscript%3Etop.document.title='taken'%3C/script%3E"
    url = f"/admin/templates/{template}"
    await walk(engine, devtools, url, "template", cookie=cookie, then=then)
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await sign_in(tab, engine, cookie)
        await tab.go(f"{engine.url}{url}?p.raw={raw}")
        assert "taken" not in await tab.ask("document.title")


async def test_trying_asks_before_it_changes(engine: EngineProcess, devtools: str, cookie: Cookie) -> None:
    async with driven(devtools) as browser:
        for phone in (True, False):
            tab = await browser.tab(phone=phone)
            await sign_in(tab, engine, cookie)
            await tab.go(f"{engine.url}/admin/settings/api/delete_v1_blocklist_listId")
            await tab.type("path.listId", "newsletter")
            await tab.type("query.recipient", "nobody@example.com")
            await tab.click("Try it …")
            await look_at(tab, f"admin-api-ask-{'phone' if phone else 'desktop'}")
            await tab.click("Do it")
            assert '"deleted": false' in await tab.text()
            await look_at(tab, f"admin-api-answer-{'phone' if phone else 'desktop'}")


@pytest.mark.parametrize("page", ["settings/tokens", "settings/oauth-apps", *PAGES])
async def test_nothing_there_yet(empty: EngineProcess, devtools: str, empty_cookie: Cookie, page: str) -> None:
    await walk(empty, devtools, f"/admin/{page}", f"empty-{page.replace('/', '-')}", cookie=empty_cookie)
