"""The pages to which links in mail lead: unsubscribing, opens and clicks, by whom and however they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import trio
from asking import Answer, Caller
from person import SERVICE, Person
from simulation import Engine, Simulation

from engine.api.app import make_app
from engine.signed_links import as_base64, query_of
from engine.store import accounts
from engine.submission.tracking import click_data, open_data
from engine.web.site import pages

ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
FORM = "application/x-www-form-urlencoded"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ANN = {"act": "unsub", "acc": "acme", "list": "news", "rcpt": "Ann@Example.com", "msg": "<1@example.com>"}


class Reader:
    """One who got mail of the account `acme`."""

    def __init__(self, engine: Engine, caller: Caller, key: str) -> None:
        self.engine = engine
        self.caller = caller
        self.key = key

    def link(self, path: str = "/unsubscribe", said: Any = None, **changed: Any) -> str:
        data = said if isinstance(said, bytes) else msgspec.json.encode({**ANN, **changed})
        return f"{path}?{query_of(data, self.key)}"

    async def ask(self, method: str, link: str, raw: bytes = b"", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in {"user_agent": BROWSER, **headers}.items()}
        return await self.caller.ask(method, link, headers={"Authorization": "", **given}, raw=raw)

    async def blocked(self) -> list[Any]:
        answer = await self.caller.ask("GET", "/v1/blocklist/news")
        return [] if answer.status == 404 else answer.json["addresses"]

    def told(self, name: str) -> list[Any]:
        return [each["data"] for each in self.engine.events("acme", name)]


@asynccontextmanager
async def reading(tmp_path: Path, secret: str | None = None) -> AsyncIterator[Reader]:
    simulation = Simulation(tmp_path / "data", 4711)
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.context.settings.update(service_url=SERVICE, service_secret=secret)
        app = make_app(engine.context, pages(engine.context))
        key = await engine.context.link_keys.own()
        yield Reader(engine, await Caller.of(engine, app=app), secret or key)


@pytest.mark.parametrize(
    ("body", "kind"),
    [(ONE_CLICK, FORM), (MULTIPART, "multipart/form-data; boundary=x"), (b"", FORM), (b"{}", "application/json")],
    ids=["form", "multipart", "empty", "json"],
)
async def test_one_click_unsubscribes_and_tells_once(
    tmp_path: Path, autojump_clock: object, body: bytes, kind: str
) -> None:
    async with reading(tmp_path) as ann:
        for _ in range(2):
            answer = await ann.ask("POST", ann.link(), body, content_type=kind)
            assert (answer.status, answer.body) == (200, b"ok") and "set-cookie" not in answer.headers
        (entry,) = await ann.blocked()
        assert entry.pop("created").endswith("Z")
        assert entry == {
            "recipient": "Ann@Example.com",
            "account": "acme",
            "messageId": "<1@example.com>",
            "source": "one-click",
            "reason": "unsubscribe",
            "remoteAddress": "127.0.0.1",
            "userAgent": BROWSER,
        }
        assert ann.told("listUnsubscribe") == [
            {
                "recipient": "Ann@Example.com",
                "messageId": "<1@example.com>",
                "listId": "news",
                "remoteAddress": "127.0.0.1",
                "userAgent": BROWSER,
            }
        ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_who_only_looks_stays_on_the_list(tmp_path: Path, autojump_clock: object, method: str) -> None:
    async with reading(tmp_path) as ann:
        assert (await ann.ask(method, ann.link())).status == 200
        assert await ann.blocked() == [] and ann.told("listUnsubscribe") == []


async def test_the_page_lets_one_leave_and_come_back(tmp_path: Path, autojump_clock: object) -> None:
    async with reading(tmp_path) as ann:
        person = await Person.of(ann.engine)
        await person.go(SERVICE + ann.link())
        assert person.status == 200 and "Ann@Example.com gets mail of the list news" in person.text
        assert "script-src" not in person.headers["content-security-policy"] and "<script" not in person.body
        await person.submit()
        assert "You are unsubscribed" in person.text and person.visited
        (entry,) = await ann.blocked()
        assert entry["source"] == "form"
        await person.submit()
        assert "Unsubscribe?" in person.text and await ann.blocked() == []
        await person.go(SERVICE + ann.link())
        assert "Unsubscribe?" in person.text
        assert len(ann.told("listUnsubscribe")) == 1
        assert [each["recipient"] for each in ann.told("listSubscribe")] == ["Ann@Example.com"]


@pytest.mark.parametrize("path", ["/unsubscribe", "/open.gif", "/redirect"])
async def test_a_link_that_was_not_signed_for_this_does_nothing(
    tmp_path: Path, autojump_clock: object, path: str
) -> None:
    async with reading(tmp_path) as ann:
        good = {
            "/unsubscribe": ann.link(),
            "/open.gif": ann.link(path, open_data("acme", "<1@x>")),
            "/redirect": ann.link(path, click_data("acme", "<1@x>", "https://evil.example/")),
        }
        data, sig = good[path].partition("?")[2].split("&")
        evil = as_base64(click_data("acme", "<1@x>", "https://evil.example/"))
        wrong = [
            path,
            f"{path}?{data}",
            f"{path}?{sig}",
            f"{path}?{data}&sig=",
            f"{path}?{data}A&{sig}",
            f"{path}?{data}&{sig[:-2]}AA",
            f"{path}?data={evil}&{sig}" if path != "/redirect" else f"{path}?data={evil}",
            f"{path}?data={'A' * 60_000}&{sig}",
            f"{path}?data=%00%ff&sig=%00",
            *(f"{path}?{link.partition('?')[2]}" for each, link in good.items() if each != path),
            ann.link(path, b"[]"),
            ann.link(path, b"\xff"),
            ann.link(path, b'{"act":' * 1000),
            ann.link(path, msgspec.json.encode({"act": {"/unsubscribe": "unsub"}.get(path, "click"), "acc": 1})),
        ]
        for link in wrong:
            for method in ("GET", "POST") if path == "/unsubscribe" else ("GET",):
                answer = await ann.ask(method, link, ONE_CLICK if method == "POST" else b"", content_type=FORM)
                assert answer.status == 403 and "location" not in answer.headers, (method, link[:100])
                assert b"evil" not in answer.body
        assert await ann.blocked() == []
        assert not any(ann.told(each) for each in ("trackOpen", "trackClick", "listUnsubscribe"))


@pytest.mark.parametrize(
    "name",
    [
        "<script>1</script>",
        "\"'><img src=x onerror=alert(1)>",
        "\u202e\u2066evil\u202d" * 20,
        "x" * 300,
        "{{7*7}}",
    ],
    ids=["script", "quotes", "bidi", "long", "template"],
)
async def test_names_are_text_whatever_they_hold(tmp_path: Path, autojump_clock: object, name: str) -> None:
    async with reading(tmp_path) as ann:
        answer = await ann.ask("GET", ann.link(list=name, rcpt=f"{name}@example.com"))
        page = answer.body.decode()
        assert answer.status == 200 and "<img" not in page and "<script" not in page and "49" not in page
        assert page.count("<bdi>") == page.count("</bdi>") == 2
        assert max(len(each) for each in page.split("<bdi>")) < 2500
        answer = await ann.ask("POST", ann.link(list=name, rcpt=f"{name}@example.com"), ONE_CLICK, content_type=FORM)
        assert answer.status == 200 and len(ann.told("listUnsubscribe")) == 1


async def test_links_of_an_emailengine_whose_secret_was_taken_over_work(tmp_path: Path, autojump_clock: object) -> None:
    async with reading(tmp_path, secret="s3cret") as ann:
        assert (await ann.ask("POST", ann.link(), ONE_CLICK, content_type=FORM)).body == b"ok"
        assert len(await ann.blocked()) == 1
        picture = await ann.ask("GET", ann.link("/open.gif", open_data("acme", "<1@x>")))
        assert picture.headers["content-type"] == "image/gif" and picture.body.startswith(b"GIF89a")
        away = await ann.ask("GET", ann.link("/redirect", click_data("acme", "<1@x>", "https://example.com/?a=1#b")))
        assert (away.status, away.headers["location"]) == (302, "https://example.com/?a=1#b")
        assert away.headers["referrer-policy"] == "no-referrer"


async def test_opens_and_clicks_are_told(tmp_path: Path, autojump_clock: object) -> None:
    async with reading(tmp_path) as ann:
        await ann.ask("GET", ann.link("/open.gif", open_data("acme", "<1@x>")))
        await ann.ask("GET", ann.link("/redirect", click_data("acme", "<1@x>", "https://example.com/")))
        who = {"messageId": "<1@x>", "remoteAddress": "127.0.0.1", "userAgent": BROWSER}
        assert ann.told("trackOpen") == [who]
        assert ann.told("trackClick") == [{**who, "url": "https://example.com/"}]


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://bücher.example/ä b?q=ü", "https://xn--bcher-kva.example/%C3%A4%20b?q=%C3%BC"),
        ("http://example.com/a|b?c={d}&e=%20#?", "http://example.com/a|b?c={d}&e=%20#?"),
        ("http://example.com/\r\nSet-Cookie: a=b", "http://example.com/%0D%0ASet-Cookie:%20a=b"),
        ("javascript:alert(1)", None),
        ("//evil.example", None),
        ("data:text/html,x", None),
    ],
)
async def test_where_a_link_leads_stands_in_a_header(
    tmp_path: Path, autojump_clock: object, url: str, where: str | None
) -> None:
    async with reading(tmp_path) as ann:
        answer = await ann.ask("GET", ann.link("/redirect", click_data("acme", "<1@x>", url)))
        assert answer.headers.get("location") == where and answer.status == (403 if where is None else 302)


async def test_links_work_when_the_account_is_gone(tmp_path: Path, autojump_clock: object) -> None:
    async with reading(tmp_path) as ann:
        await ann.caller.ask("DELETE", "/v1/account/acme")
        assert not accounts.exists(ann.engine.context.store.reader, "acme")
        away = await ann.ask("GET", ann.link("/redirect", click_data("acme", "<1@x>", "https://example.com/")))
        assert away.headers["location"] == "https://example.com/"
        assert (await ann.ask("GET", ann.link("/open.gif", open_data("acme", "<1@x>")))).status == 200
        assert (await ann.ask("POST", ann.link(), ONE_CLICK, content_type=FORM)).body == b"ok"
        assert len(await ann.blocked()) == 1, "an unsubscription is for good"
        assert not ann.told("trackOpen") and not ann.told("listUnsubscribe")
        counted = ann.engine.context.store.reader.execute("SELECT name FROM event_count WHERE account = 'acme'")
        assert {name for (name,) in counted} <= {"accountDeleted"}


async def test_many_opens_raise_few_events(tmp_path: Path, autojump_clock: object) -> None:
    async with reading(tmp_path) as ann:
        link = ann.link("/open.gif", open_data("acme", "<1@x>"))
        for _ in range(200):
            assert (await ann.ask("GET", link)).status == 200
        assert len(ann.told("trackOpen")) == 20
        other = ann.link("/open.gif", open_data("acme", "<2@x>"))
        await ann.ask("GET", other)
        assert len(ann.told("trackOpen")) == 21, "another mail has its own share"
        await trio.sleep(3600)
        for _ in range(100):
            await ann.ask("GET", link)
        assert len(ann.told("trackOpen")) == 41


@pytest.mark.parametrize(
    ("method", "headers", "automated"),
    [
        ("GET", {}, None),
        ("HEAD", {}, "head"),
        ("GET", {"sec_purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {"x_moz": "prefetch"}, "prefetch"),
        ("GET", {"user_agent": "Mozilla/5.0"}, "imageProxy"),
        (
            "GET",
            {"user_agent": "Mozilla/5.0 (Windows NT 5.1) (via ggpht.com GoogleImageProxy)"},
            "imageProxy",
        ),
        ("GET", {"user_agent": "YahooMailProxy; https://help.yahoo.com/"}, "imageProxy"),
        ("GET", {"user_agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, "scanner"),
        ("GET", {"user_agent": ""}, "scanner"),
        ("GET", {"user_agent": "curl/8.5"}, "scanner"),
    ],
)
async def test_programs_are_marked_and_told(
    tmp_path: Path, autojump_clock: object, method: str, headers: dict[str, str], automated: str | None
) -> None:
    async with reading(tmp_path) as ann:
        await ann.ask(method, ann.link("/open.gif", open_data("acme", "<1@x>")), **headers)
        (data,) = ann.told("trackOpen")
        assert data.get("automated") == automated


async def test_who_is_too_quick_is_marked(tmp_path: Path, autojump_clock: object) -> None:
    async with reading(tmp_path) as ann:
        sent = await ann.engine.submit("acme", "you@sandbox.example")
        await ann.engine.event("acme", "messageSent")
        link = ann.link("/open.gif", open_data("acme", sent["messageId"]))
        await ann.ask("GET", link)
        await trio.sleep(5)
        await ann.ask("GET", link)
        assert [each.get("automated") for each in ann.told("trackOpen")] == ["soon", None]
        for n in range(4):
            data = click_data("acme", sent["messageId"], f"https://example.com/{n}")
            await ann.ask("GET", ann.link("/redirect", data))
        assert [each.get("automated") for each in ann.told("trackClick")] == [None, "burst", "burst", "burst"]


async def test_a_full_disk_keeps_nobody_from_going_on(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(tmp_path) as ann:
        monkeypatch.setattr(ann.engine.context.store, "has_room", lambda size=0: False)
        away = await ann.ask("GET", ann.link("/redirect", click_data("acme", "<1@x>", "https://example.com/")))
        assert (away.status, away.headers["location"]) == (302, "https://example.com/")
        assert (await ann.ask("GET", ann.link("/open.gif", open_data("acme", "<1@x>")))).status == 200
        assert (await ann.ask("POST", ann.link(), ONE_CLICK, content_type=FORM)).status == 507, "it is tried again"
        monkeypatch.undo()
        assert await ann.blocked() == [] and not ann.told("trackClick")
        assert (await ann.ask("POST", ann.link(), ONE_CLICK, content_type=FORM)).body == b"ok"


async def test_no_log_line_holds_a_link(
    tmp_path: Path, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with reading(tmp_path) as ann:
        link = ann.link("/redirect", click_data("acme", "<1@x>", "https://example.com/"))
        await ann.ask("GET", link)
        await ann.ask("GET", link + "A")
        await ann.ask("POST", ann.link(), urlencode({"action": "unsubscribe"}).encode(), content_type=FORM)
    assert link[-43:] not in caplog.text and ann.link()[-43:] not in caplog.text
