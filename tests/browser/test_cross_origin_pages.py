"""A page of another origin calls the API from a real browser: what it reads if it is allowed, and what if not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from chromium import PROGRAM, Tab, driven
from real.engine_process import EngineProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]

CALL = """fetch({url!r}, {{
    method: {method!r}, headers: {{Authorization: {login!r}, "Content-Type": "application/json"}}
}}).then(
    async r => [r.status, (await r.json()).statusCode || 0, r.headers.get("X-RateLimit-Limit")], e => [e.message]
)"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine at 127.0.0.1 that lets in pages that it shows itself under the name `localhost`: another origin."""
    engine = EngineProcess(tmp_path_factory.mktemp("engine"))
    engine.configure(ENGINE_HTTP__CORS_ORIGINS=f"http://localhost:{engine.port}")
    engine.start()
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


async def call(tab: Tab, engine: EngineProcess, method: str, path: str, token: str) -> list[object]:
    """What a page's script reads: status, the same in the body of an error, a header; or that it may not."""
    found: list[object] = await tab.ask(CALL.format(url=engine.url + path, method=method, login=f"Bearer {token}"))
    return found


async def test_an_allowed_page_reads_answers_and_errors(engine: EngineProcess, devtools: str) -> None:
    limit = {"rateLimit": {"maxRequests": 3, "timeWindow": 3600}}
    body = {"description": "page", "scopes": ["api"], "restrictions": limit}
    token = engine.request("POST", "/v1/tokens", body).json["token"]
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go(f"http://localhost:{engine.port}/health")
        assert await call(tab, engine, "GET", "/v1/accounts", token) == [200, 0, "3"]
        assert await call(tab, engine, "DELETE", "/v1/account/nobody", token) == [404, 404, "3"]
        assert await call(tab, engine, "PUT", "/v1/nothing", token) == [404, 404, None]
        assert await call(tab, engine, "GET", "/v1/accounts", "0" * 64) == [401, 401, None]
        assert await call(tab, engine, "GET", "/v1/accounts", token) == [200, 0, "3"]
        assert await call(tab, engine, "GET", "/v1/accounts", token) == [429, 429, "3"]
        assert await call(tab, engine, "GET", "/admin/sign-in", token) == ["Failed to fetch"]


async def test_another_page_reads_nothing(engine: EngineProcess, devtools: str) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go("data:text/html,<h1>Another</h1>")
        assert await call(tab, engine, "GET", "/v1/accounts", engine.token) == ["Failed to fetch"]
        assert await call(tab, engine, "GET", "/health", engine.token) == ["Failed to fetch"]
