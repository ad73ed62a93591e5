"""`/`: what people and programs are told there."""

from __future__ import annotations

import re

import pytest
from real.engine_process import Answer, EngineProcess

pytestmark = pytest.mark.process


def get(engine: EngineProcess, **headers: str) -> Answer:
    return engine.request("GET", "/", token="", headers=headers)


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", [None, "*/*", BROWSER, "text/plain"])
def test_people_get_a_page_that_needs_nothing_else(shared_engine: EngineProcess, accept: str | None) -> None:
    answer = get(shared_engine, **({"Accept": accept} if accept else {}))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = answer.body.decode()
    assert "This is Mailbox Engine" in page and "It is running." in page and "docs/errors" in page
    assert not re.search(r"https?:|src=|@import|url\(|<script", page)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    links = re.findall(r'href="([^"]+)"', page)
    assert {"admin", "docs/", "docs/api", "openapi.json", "health"} <= set(links)
    # A browser that follows to the pages is asked to sign in.
    assert all(shared_engine.request("GET", f"/{link}", token="").status in (200, 303) for link in links)


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/plain, */*"])
def test_programs_that_ask_for_json_get_it(shared_engine: EngineProcess, accept: str) -> None:
    answer = get(shared_engine, Accept=accept)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (answer.headers["Vary"], answer.json["name"], answer.json["success"]) == ("Accept", "Mailbox Engine", True)


def test_it_is_only_read(shared_engine: EngineProcess) -> None:
    assert shared_engine.request("POST", "/", {}, token="").status == 405
    head = shared_engine.request("HEAD", "/", token="")
    assert (head.status, head.body) == (200, b"")


def test_it_says_when_nothing_is_taken_in(engine: EngineProcess) -> None:
    (engine.folder / "journal.db").rename(engine.folder / "elsewhere")
    assert engine.request("GET", "/ready", token="").status == 503
    answer = get(engine)
    assert answer.status == 200 and b"It runs, but accepts nothing: " in answer.body
    told = get(engine, Accept="application/json").json
    assert told["success"] is False and told["message"]
    (engine.folder / "elsewhere").rename(engine.folder / "journal.db")


def test_answers_end_with_a_newline(shared_engine: EngineProcess) -> None:
    for path in ("/v1/accounts", "/v1/events", "/v1/account/none", "/none", "/health", "/openapi.json", "/%"):
        assert shared_engine.request("GET", path).body.endswith(b"}\n"), path
    assert shared_engine.request("GET", "/v1/accounts", headers={"Transfer-Encoding": "odd"}).body.endswith(b"}\n")
