"""An unexpected error in a page: the log says which operation it ended, and the page names that line."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from simulation import Simulation
from visitor import Visitor

from engine.http.edge_log import EdgeLog, Peer, serve_peer
from engine.web import documents
from engine.web.pages import home

LINE = "192.0.2.1:7: {} ended by FileNotFoundError"


def lost(*_: object) -> None:
    raise FileNotFoundError("a file of the engine")


async def test_a_page_that_breaks_says_where_the_reason_is(
    tmp_path: Path,
    autojump_clock: object,
    monkeypatch: pytest.MonkeyPatch,
    engine_errors: list[logging.LogRecord],
) -> None:
    peer = Peer("192.0.2.1:7", 10, EdgeLog())
    serve_peer(peer)
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        ann = await Visitor.at(engine)
        await ann.enter()
        engine_errors.clear()
        with monkeypatch.context() as patch:
            patch.setattr(home, "needs", lost)
            peer.requests = 1
            answer = await ann.get("/admin")
        assert (answer.status, answer.headers["x-request-id"]) == (500, "a.1")
        assert ann.has("Something went wrong here") and ann.has("under a.1.") and 'aria-label="Pages"' in ann.page
        monkeypatch.setattr(documents, "FOLDER", tmp_path / "gone")
        peer.requests = 2
        answer = await ann.get("/docs/grafana.json")
        assert (answer.status, answer.headers["x-request-id"]) == (500, "a.2") and ann.has("under a.2.")
        told = [(each.getMessage(), each.__dict__["request"]) for each in engine_errors]
    for (line, request), operation, reference in zip(told, ("/admin", "/docs/<name>"), ("a.1", "a.2"), strict=True):
        assert line.startswith(LINE.format(f"GET {operation}")) and request == reference
