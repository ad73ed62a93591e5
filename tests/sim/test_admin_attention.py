"""What needs someone: packages of other versions, and the number beside Home on every page."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
import trio
from test_admin_pages import visiting
from visitor import Visitor

from engine import installed_packages
from engine.oauth.apps import App
from engine.sink_config import SinkConfig
from engine.web import attention


@pytest.fixture
def wrong_versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(installed_packages, "REQUIRED", ("trio>=99,<100", "no-such-thing>=1,<2"))
    attention._wrong_packages.cache_clear()
    yield
    attention._wrong_packages.cache_clear()


def count_of(visitor: Visitor) -> str:
    """The number beside Home; "" for none."""
    return visitor.page.partition('class="count">')[2].partition("</span>")[2].partition("</span>")[0]


async def test_packages_of_other_versions_need_someone(
    tmp_path: Path, autojump_clock: object, wrong_versions: None
) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin")
        assert ann.has("One thing needs you") and ann.has("no-such-thing>=1,<2 is missing")
        assert count_of(ann) == "1"


async def test_every_page_says_how_many_things_need_someone(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/settings")
        assert count_of(ann) == ""
        await ann.engine.pause(True)
        await ann.get("/admin/settings")
        assert count_of(ann) == "", "counted a moment ago"
        await trio.sleep(attention.COUNTED_SECONDS)
        await ann.get("/admin/settings")
        assert count_of(ann) == "1"
        await ann.get("/admin")
        await ann.follow(await ann.post("/admin/resume", queue="submit"))
        await ann.get("/admin/settings")
        assert count_of(ann) == "", "an action counts at once"


async def test_a_broker_that_takes_no_events_needs_someone(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        ann.engine.context.sinks.configure({"bus": SinkConfig(url="nats://nowhere.example")})
        await trio.sleep(attention.COUNTED_SECONDS)
        await ann.get("/admin")
        assert ann.has("The broker takes no events") and ann.has("nowhere.example")
        ann.engine.context.sinks.configure({})
        await trio.sleep(attention.COUNTED_SECONDS)
        await ann.get("/admin")
        assert not ann.has("The broker takes no events")


@pytest.mark.parametrize(("off", "words"), [(-250, "4 minutes ahead of"), (64, "a minute behind")])
async def test_a_wrong_clock_needs_someone(tmp_path: Path, autojump_clock: object, off: int, words: str) -> None:
    async with visiting(tmp_path) as ann:
        context = ann.engine.context
        await ann.get("/admin")
        assert ann.has("Nothing needs you")
        date = formatdate(context.world.now() + off, usegmt=True)
        context.access.egress.clocks.note("<b>login.example", date, 0.1)
        await ann.get("/admin")
        assert ann.has(f"It is {words} the clock of <b>login.example.") and ann.has("timedatectl set-ntp true")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (2.5, "Ends in 2 days"),
        (1.5, "Ends in a day"),
        (0.5, "Ends in less than a day"),
        (-0.5, "Secret has ended"),
        (30.5, "Nothing needs you"),
    ],
)
async def test_a_secret_about_to_end_says_how_long_it_still_holds(
    tmp_path: Path, autojump_clock: object, days: float, said: str
) -> None:
    async with visiting(tmp_path) as ann:
        context = ann.engine.context
        expires = context.world.now() + days * 86_400
        await context.oauth.book.add(
            App(id="x", provider="sandbox", name="x", client_id="x", client_secret_expires=expires)
        )
        await ann.get("/admin")
        assert ann.has(said)
