"""`/docs/` in a real browser: found from `/`, readable on each device, followed by its own links."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from chromium import PROGRAM, driven
from page_walk import walk
from real.engine_process import EngineProcess

pytestmark = [
    pytest.mark.real,
    pytest.mark.process,
    pytest.mark.skipif(PROGRAM is None and os.environ.get("CI") != "true", reason="there is no chromium here"),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    engine = EngineProcess(tmp_path_factory.mktemp("engine"))
    engine.start()
    yield engine
    engine.kill9()
    assert "Traceback" not in engine.log


@pytest.mark.parametrize("name", ["", "api", "api-account", "errors", "config", "operate"])
async def test_documents(engine: EngineProcess, devtools: str, name: str) -> None:
    await walk(engine, devtools, f"/docs/{name}", f"docs-{name or 'index'}", cookie=None)


async def test_a_newcomer_finds_an_error_code_by_links_alone(engine: EngineProcess, devtools: str) -> None:
    async with driven(devtools) as browser:
        tab = await browser.tab()
        await tab.go(f"{engine.url}/")
        await tab.click("docs")
        await tab.click("Error codes")
        assert "IdempotencyConflict" in await tab.text()
        await tab.go(f"{engine.url}/docs")
        assert (await tab.url()).endswith("/docs/"), "a path without its slash leads there"
        assert tab.trouble == []
