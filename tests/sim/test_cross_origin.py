"""What pages of other origins may read of the API: those that are named, every answer, never with cookies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asking import Answer, Caller
from simulation import Engine, Simulation

from engine.api.app import make_app
from engine.config import Http
from engine.web.site import pages

SHOP = "https://shop.example.com"
OTHER = "https://other.example.com"
ALLOW = "access-control-allow-origin"
PREFLIGHT = {"Origin": SHOP, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}


@asynccontextmanager
async def open_to(folder: Path, *origins: str) -> AsyncIterator[tuple[Engine, Caller]]:
    """An engine whose API pages of these origins may call."""
    http = Http(cors_origins=origins, cors_max_age=90.0)
    async with Simulation(folder / "data", 4711, http=http).running() as engine:
        yield engine, await Caller.of(engine, app=make_app(engine.context, pages(engine.context)))


def named(answer: Answer) -> dict[str, str]:
    """What an answer says of other origins."""
    return {name: value for name, value in answer.headers.items() if name == "vary" or "access-control" in name}


async def test_answers_and_refusals_alike(tmp_path: Path, autojump_clock: object) -> None:
    async with open_to(tmp_path, SHOP) as (_, caller):
        nobody = Caller(caller._app, "0" * 64)
        limited = await caller.ask(
            "POST",
            "/v1/tokens",
            {
                "description": "x",
                "scopes": ["api"],
                "restrictions": {"rateLimit": {"maxRequests": 1, "timeWindow": 60}},
            },
        )
        often = Caller(caller._app, limited.json["token"])
        await often.ask("GET", "/v1/accounts")
        for who, method, path, status in (
            (caller, "GET", "/v1/accounts", 200),
            (caller, "GET", "/health", 200),
            (caller, "GET", "/openapi.json", 200),
            (caller, "GET", "/v1/account/nobody", 404),
            (caller, "GET", "/v1/nothing", 404),
            (caller, "DELETE", "/v1/accounts", 405),
            (caller, "POST", "/v1/account", 400),
            (nobody, "GET", "/v1/accounts", 401),
            (often, "GET", "/v1/accounts", 429),
        ):
            answer = await who.ask(method, path, headers={"Origin": SHOP})
            assert (answer.status, answer.headers.get(ALLOW)) == (status, SHOP), path
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in answer.headers
            for name in ("X-RateLimit-Remaining", "Retry-After", "X-Request-Id"):
                assert name in answer.headers["access-control-expose-headers"]


async def test_other_origins_and_none(tmp_path: Path, autojump_clock: object) -> None:
    async with open_to(tmp_path, SHOP, "http://localhost:8080") as (_, caller):
        for origin in (OTHER, "null", f"{SHOP}:8443", "http://shop.example.com", f"{SHOP}.evil.example"):
            for headers in ({"Origin": origin}, PREFLIGHT | {"Origin": origin}):
                method = "OPTIONS" if len(headers) > 1 else "GET"
                assert named(await caller.ask(method, "/v1/accounts", headers=headers)) == {"vary": "Origin"}, origin
        assert named(await caller.ask("GET", "/v1/accounts")) == {"vary": "Origin"}
        answer = await caller.ask("GET", "/v1/accounts", headers={"Origin": "http://localhost:8080"})
        assert answer.headers[ALLOW] == "http://localhost:8080"


async def test_a_preflight_needs_no_token_and_no_path(tmp_path: Path, autojump_clock: object) -> None:
    async with open_to(tmp_path, SHOP) as (_, caller):
        nobody = Caller(caller._app, "0" * 64)
        for path in ("/v1/account/acme", "/v1/nothing", "/v1/account/a%2Fb/submit"):
            answer = await nobody.ask("OPTIONS", path, headers=PREFLIGHT)
            assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
            assert (answer.headers[ALLOW], answer.headers["vary"]) == (SHOP, "Origin")
            assert answer.headers["access-control-max-age"] == "90"
            methods = answer.headers["access-control-allow-methods"].split(", ")
            assert {"GET", "POST", "PUT", "DELETE"} <= set(methods)
            allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
            assert {"authorization", "content-type", "idempotency-key", "x-ee-timeout"} <= set(allowed)
        plain = await nobody.ask("OPTIONS", "/v1/account/acme", headers={"Origin": SHOP})
        assert "GET" in plain.headers["allow"] and plain.headers[ALLOW] == SHOP


async def test_pages_for_people_stay_closed(tmp_path: Path, autojump_clock: object) -> None:
    async with open_to(tmp_path, "*") as (_, caller):
        for path in ("/admin", "/admin/sign-in", "/", "/docs/", "/control", "/accounts/new", "/v1"):
            for method in ("GET", "OPTIONS"):
                answer = await caller.ask(method, path, headers=PREFLIGHT)
                assert not [name for name in answer.headers if "access-control" in name], path


async def test_all_origins(tmp_path: Path, autojump_clock: object) -> None:
    async with open_to(tmp_path, "*") as (_, caller):
        for headers in ({"Origin": OTHER}, {"Origin": "null"}, {}):
            answer = await caller.ask("GET", "/v1/accounts", headers=headers)
            assert answer.headers[ALLOW] == "*" and "vary" not in answer.headers
        assert (await caller.ask("OPTIONS", "/v1/accounts", headers=PREFLIGHT)).headers[ALLOW] == "*"


async def test_off_and_on_while_it_runs(tmp_path: Path, autojump_clock: object) -> None:
    async with open_to(tmp_path) as (engine, caller):
        assert named(await caller.ask("GET", "/v1/accounts", headers={"Origin": SHOP})) == {}
        assert named(await caller.ask("OPTIONS", "/v1/accounts", headers=PREFLIGHT)) == {}
        engine.context.cross_origin.change(Http(cors_origins=(SHOP,)))
        assert (await caller.ask("GET", "/v1/accounts", headers={"Origin": SHOP})).headers[ALLOW] == SHOP
        engine.context.cross_origin.change(Http())
        assert named(await caller.ask("GET", "/v1/accounts", headers={"Origin": SHOP})) == {}


async def test_what_the_api_takes_and_says_is_named(tmp_path: Path, autojump_clock: object) -> None:
    """Each header that an operation declares may be sent."""
    async with open_to(tmp_path, SHOP) as (_, caller):
        document = (await caller.ask("GET", "/openapi.json")).json
        operations = [each for path in document["paths"].values() for each in path.values() if isinstance(each, dict)]
        declared = {
            one["name"].lower() for each in operations for one in each.get("parameters", ()) if one["in"] == "header"
        }
        methods = {name.upper() for path in document["paths"].values() for name in path if name != "parameters"}
        answer = await caller.ask("OPTIONS", "/v1/accounts", headers=PREFLIGHT)
        assert declared <= set(answer.headers["access-control-allow-headers"].lower().split(", ")), declared
        assert methods <= set(answer.headers["access-control-allow-methods"].split(", "))
