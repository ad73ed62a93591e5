"""The pages of `/admin`: signing in and out, roles, forms from elsewhere, limits, headers, hostile names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from asking import Answer
from simulation import CLEAR_TEXT, Engine, Simulation
from visitor import PASSWORD, Visitor

from engine.schema.account import AccountCreate
from engine.store import audit, entry_links, people, web_sessions
from engine.web import totp
from engine.web.login_limits import FREE, WINDOW
from engine.web.page import Declared
from engine.web.pages import pages
from engine.web.roles import Role

HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe\u2066' + "W" * 300


@asynccontextmanager
async def visiting(tmp_path: Path, *, signed_in: bool = True) -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        visitor = await Visitor.at(engine)
        if signed_in:
            await visitor.enter()
        yield visitor


def entries(engine: Engine) -> list[tuple[str, str, str]]:
    found = audit.entries(engine.context.store.reader, audit.AuditFilter())
    return [(each.token, each.operation, each.object) for each in found]


async def register(engine: Engine, **members: Any) -> None:
    await engine.context.registry.register(msgspec.convert(members, AccountCreate))


async def test_the_first_link_makes_an_owner_once(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path, signed_in=False) as ann:
        context = ann.engine.context
        await ann.get("/admin/sign-in")
        assert ann.has("engine people link")
        key = await context.store.commit(lambda tx: entry_links.make(tx, context.world, "owner"))
        for _ in range(2):
            assert (await ann.get(f"/admin/enter?key={key}")).status == 200
        short = await ann.post("/admin/enter", key=key, name="ann", password="too short")
        assert short.status == 422 and ann.has("12 to 1,000 characters")
        made = await ann.post("/admin/enter", key=key, name=" ann ", password=PASSWORD)
        home = await ann.follow(made)
        assert (home.status, ann.url) == (200, "/admin") and ann.has("Nothing needs you")
        assert (await ann.post("/admin/enter", key=key, name="eve", password=PASSWORD)).status == 410
        assert [(each.name, each.role) for each in people.every(context.store.reader)] == [("ann", "owner")]
        assert entries(ann.engine)[:2] == [
            ("person:ann", "session.begin", "ann"),
            ("person:ann", "person.create", "ann"),
        ]


async def test_a_link_expires_and_a_newer_one_replaces_it(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path, signed_in=False) as ann:
        context = ann.engine.context
        first = await context.store.commit(lambda tx: entry_links.make(tx, context.world, "owner"))
        second = await context.store.commit(lambda tx: entry_links.make(tx, context.world, "owner"))
        assert (await ann.get(f"/admin/enter?key={first}")).status == 410
        assert (await ann.get(f"/admin/enter?key={second}")).status == 200
        await trio.sleep(entry_links.LIFETIME + 1)
        assert (await ann.get(f"/admin/enter?key={second}")).status == 410


async def test_signing_in_leads_where_one_wanted_to(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        assert "HttpOnly" in ann.cookie_line and "SameSite=Lax" in ann.cookie_line
        ann.cookies.clear()
        asked = await ann.get("/admin/settings/sessions?page=1")
        await ann.follow(asked)
        assert ann.url == "/admin/sign-in?next=%2Fadmin%2Fsettings%2Fsessions%3Fpage%3D1"
        assert (await ann.sign_in(password="wrong horse battery")).status == 422
        assert ann.has("Name or password is wrong") and "wrong horse" not in ann.page
        done = await ann.sign_in(next="/admin/settings/sessions?page=1")
        await ann.follow(done)
        assert ann.url == "/admin/settings/sessions?page=1" and ann.has("This browser")


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/admin/", "//evil.example", "/v1/x", "/admin/\r\nX: y", "/adminx"]
)
async def test_signing_in_leads_nowhere_else(tmp_path: Path, autojump_clock: object, elsewhere: str) -> None:
    async with visiting(tmp_path) as ann:
        ann.cookies.clear()
        assert (await ann.sign_in(next=elsewhere)).headers["location"] == "../admin"


async def test_over_tls_the_cookie_is_for_this_host_alone(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        ann.cookies.clear()
        raw = f"name=ann&password={PASSWORD.replace(' ', '+')}".encode()
        answer = await ann._ask("POST", "/admin/sign-in", raw, {"origin": "https://x", "host": "x"})
        assert answer.status == 303
        assert ann.cookie_line.startswith("__Host-mailbox-engine-session=")
        assert "Secure" in ann.cookie_line and "Path=/" in ann.cookie_line and "Domain" not in ann.cookie_line
        assert (await ann.get("/admin")).status == 200


async def test_a_session_ends_after_twelve_idle_hours(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        for _ in range(3):
            await trio.sleep(web_sessions.IDLE - 60)
            assert (await ann.get("/admin")).status == 200
        # A page that renews its blocks by itself is no visit.
        await trio.sleep(web_sessions.IDLE - 60)
        assert (await ann.get("/admin", hx_request="true")).status == 200
        await trio.sleep(120)
        renewed = await ann.get("/admin", hx_request="true")
        assert renewed.status == 401 and not {"hx-redirect", "location"} & renewed.headers.keys()
        assert (await ann.get("/admin")).status == 303


async def test_sessions_are_listed_and_ended(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        phone = Visitor(ann.engine, ann._caller)
        await phone.sign_in()
        other = await ann.also("bob")
        await ann.get("/admin/settings/sessions")
        (url,) = re.findall(r'action="\.\./\.\./([^"]*/end)"', ann.page)
        assert (await other.post(f"/{url}")).status == 404
        assert (await phone.get("/admin")).status == 200
        await ann.follow(await ann.post(f"/{url}"))
        assert ann.has("That browser is signed out.")
        assert (await phone.get("/admin")).status == 303
        await phone.sign_in()
        await ann.get("/admin/settings/sessions")
        await ann.follow(await ann.post("/admin/settings/sessions/end-others"))
        assert ann.has("One other browser is signed out.")
        await ann.get("/admin")
        assert not ann.has("One other browser is signed out.")
        assert (await phone.get("/admin")).status == 303
        assert (await other.get("/admin")).status == 200
        assert (await ann.post("/admin/sign-out")).status == 303
        assert (await ann.get("/admin")).status == 303


async def test_a_new_link_for_someone_replaces_the_password_and_ends_sessions(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with visiting(tmp_path) as ann:
        context = ann.engine.context
        row = people.named(context.store.reader, "ANN")
        assert row is not None
        key = await context.store.commit(lambda tx: entry_links.make(tx, context.world, "owner", row.id))
        fresh = Visitor(ann.engine, ann._caller)
        assert (await fresh.post("/admin/enter", key=key, name="eve", password="another good one")).status == 303
        assert (await ann.get("/admin")).status == 303
        assert (await ann.sign_in()).status == 422
        assert (await ann.sign_in(password="another good one")).status == 303


async def test_guessing_is_slowed_down_by_name_and_by_address(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        thief = Visitor(ann.engine, ann._caller)
        for number in range(FREE):
            assert (await thief.sign_in(name=f"nobody{number}", password="guess guess guess")).status == 422
        assert (await thief.sign_in()).status == 422 and thief.has("Too many attempts. Wait 10 minutes")
        await trio.sleep(WINDOW - 50)
        await thief.sign_in()
        assert thief.has("Too many attempts. Wait a minute, then try again")
        await trio.sleep(51)
        assert (await thief.sign_in()).status == 303


async def test_one_time_codes(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        context, key = ann.engine.context, b"k" * 20
        row = people.named(context.store.reader, "ann")
        assert row is not None
        sealed = context.vault.seal("", f"person.{row.id}.totp", totp.as_text(key))
        await context.store.commit(lambda tx: people.set_totp(tx, row.id, sealed))
        ann.cookies.clear()
        assert (await ann.sign_in()).status == 422 and ann.has("Give the one-time code")
        assert (await ann.sign_in(code="000000")).status == 422
        code = totp.code(key, int(context.world.now() // 30))
        assert (await ann.sign_in(code=code)).status == 303
        assert (await ann.sign_in(code=code)).status == 422 and ann.has("was used already")


def test_codes_are_those_of_rfc_6238() -> None:
    key = b"12345678901234567890"
    for now, expected in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert totp.code(key, now // 30) == expected
        assert totp.step_of(key, f" {expected[:3]} {expected[3:]}", now + 30) == now // 30
        assert totp.step_of(key, expected, now + 61) is None
    assert totp.from_text(totp.as_text(key)) == key


async def test_a_form_of_another_session_is_refused(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        eve = await ann.also("eve", "owner")
        await ann.engine.pause(True)
        await ann.get("/admin")
        mine = ann.token
        await eve.get("/admin")
        for stolen in (eve.token, "", "00" * 32, "zz", mine[:-2]):
            answer = await ann.post("/admin/resume", form_token=stolen, queue="submit")
            assert answer.status == 403 and ann.has("another session")
        assert ann.engine.context.settings.values.queue_paused is True
        assert (await ann.post("/admin/resume", form_token=mine, queue="submit")).status == 303
        assert ann.engine.context.settings.values.queue_paused is False


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_a_form_of_another_site_is_refused(
    tmp_path: Path, autojump_clock: object, headers: dict[str, str]
) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin")
        for url in ("/admin/sign-out", "/admin/sign-in", "/admin/enter"):
            answer = await ann._ask("POST", url, f"form_token={ann.token}".encode(), headers)
            assert answer.status == 403
        assert (await ann.get("/admin")).status == 200


async def test_a_reader_only_looks(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        reader = await ann.also("rita", "reader")
        await ann.engine.pause(True)
        await ann.get("/admin")
        assert 'action="admin/resume"' in ann.page
        await reader.get("/admin")
        assert reader.has("Sending is paused") and "resume" not in reader.page
        answer = await reader.post("/admin/resume", queue="submit")
        assert answer.status == 403 and reader.has("This needs the role operator")
        assert ann.engine.context.settings.values.queue_paused is True
        operator = await ann.also("otto", "operator")
        await operator.get("/admin")
        await operator.follow(await operator.post("/admin/resume", queue="submit"))
        assert operator.has("The engine sends messages again.")
        assert entries(ann.engine)[0] == ("person:otto", "settings.queue", "submit *")


def test_every_action_needs_a_role() -> None:
    open_to_all = {(each.method, each.path) for each in pages() if each.role is None}
    both = {(method, path) for method in ("GET", "POST") for path in ("/admin/sign-in", "/admin/enter")}
    assert open_to_all == both | {
        ("POST", "/admin/sign-in/passkey"),
        ("GET", "/admin/sign-in/provider"),
        ("GET", "/admin/sign-in/provider/back"),
    }
    # Trying an operation asks for the role of that operation.
    own = re.compile("/sessions|/sign-(in|out)|/api/")
    for each in pages():
        assert each.method == "GET" or each.role is not Role.READER or own.search(each.path)


@pytest.mark.parametrize("declared", [each for each in pages() if each.role is not None], ids=lambda each: each.path)
async def test_nobody_sees_anything_without_a_session(
    tmp_path: Path, autojump_clock: object, declared: Declared
) -> None:
    async with visiting(tmp_path, signed_in=False) as nobody:
        nobody.cookies = {"mailbox-engine-session": "0" * 64, "__Host-mailbox-engine-session": ""}
        answer = await nobody._ask(declared.method, re.sub(r"\{\w+\}", "x", declared.path), b"a=b", {})
        if declared.method == "POST" and declared.path != "/admin/sign-out":
            assert answer.status == 401 and nobody.has("Your session has ended") and nobody.has("Nothing was done")
        else:
            assert answer.status == 303 and "sign-in" in answer.headers["location"]


async def test_the_headers_of_pages_files_and_errors(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        for url, status in (("/admin", 200), ("/admin/nothing", 404), ("/admin/settings/sessions", 200)):
            answer = await ann.get(url)
            assert answer.status == status
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
            assert "<style" not in ann.page and " style=" not in ann.page and not re.search(r"\son\w+=", ann.page)
        assert "<script>" not in ann.page
        await ann.get("/admin")
        for file in re.findall(r'(?:src|href)="(admin/static/[^"]*)"', ann.page):
            answer = await ann.get(f"/{file}", accept_encoding="gzip")
            assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
        assert (await ann.get("/admin/static/app.js")).status == 404
        assert (await ann.get("/admin/", accept_encoding="gzip")).body[:2] == b"\x1f\x8b"


async def test_hostile_names_are_text(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        login = {"user": "x", "pass": "wrong"}
        server = {"host": "sandbox.example", "port": 143, "secure": False, "auth": login, "tls": CLEAR_TEXT}
        await register(ann.engine, account=HOSTILE[:200], name=HOSTILE[:200], imap=server, smtp={**server, "port": 587})
        await ann.engine.event(HOSTILE[:200], "authenticationError")
        await ann.get("/admin")
        assert ann.has("One thing needs you") and ann.has("gnp.exe")
        assert "<img" not in ann.page
        (name,) = re.findall('<b>(<bdi class="name"[^<]*<.bdi>)</b>', ann.page)
        assert "…" in name
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", ann.page)
        other = await ann.also(HOSTILE[:100])
        await other.get("/admin/settings/sessions", user_agent=HOSTILE)
        assert "<img" not in other.page and other.has("gnp.exe")


async def test_a_page_tells_which_blocks_changed_at_most_once_a_second(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin")
        streams: list[Answer] = []

        async def follow() -> None:
            streams.append(await ann.get("/admin/stream"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await trio.sleep(2)
            await ann.engine.register("acme")
            await trio.sleep(3)
            await ann.post("/admin/sign-out")
        (answer,) = streams
        assert answer.headers["content-type"] == "text/event-stream"
        told = [line for line in answer.body.decode().splitlines() if line.startswith("data: ")]
        topics = {topic for line in told for topic in line.removeprefix("data: ").split()}
        assert {"account", "mailbox", "data"} <= topics and len(told) <= 6
        assert (await ann.get("/admin/stream")).status == 401
