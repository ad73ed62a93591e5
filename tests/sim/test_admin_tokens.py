"""The pages of tokens, and the operations under them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import trio
from asking import Caller
from test_admin_pages import HOSTILE, entries, visiting

SECRET = re.compile(r'<code class="secret" translate="no">([0-9a-f]{64})</code>')
PATH = "/admin/settings/tokens"


async def test_a_token_is_issued_shown_once_used_and_revoked(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        made = await ann.post(PATH, [("scopes", "api"), ("description", "shop"), ("account", "acme"), ("days", "7")])
        await ann.follow(made)
        (secret,) = SECRET.findall(ann.page)
        await ann.get(PATH)
        assert secret not in ann.page and ann.has("shop") and ann.has("For the account acme") and ann.has("ends")
        caller = Caller(ann._caller._app, secret)
        assert (await caller.ask("GET", "/v1/account/acme")).status == 200
        assert (await caller.ask("GET", "/v1/tokens")).status == 403
        assert (await caller.ask("PUT", "/v1/account/acme", {"name": "new"})).status == 200
        id = hashlib.sha256(bytes.fromhex(secret)).hexdigest()[:12]
        assert f'tokens/{id}"' in ann.page
        await ann.get(f"{PATH}/{id}")
        assert ann.has("account.update") and ann.has("Revoke the token")
        await ann.follow(await ann.post(f"{PATH}/{id}/revoke"))
        assert ann.has("The token is revoked.") and (await caller.ask("GET", "/v1/account/acme")).status == 401
        await ann.get(f"{PATH}/{id}")
        assert ann.has("This token was revoked.") and ann.has("account.update")
        assert [entry[:2] for entry in entries(ann.engine)][:1] == [("person:ann", "token.revoke")]
        assert ("person:ann", "token.issue", id) in entries(ann.engine)


async def test_faults_stand_beside_the_fields_and_nothing_is_issued(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        answer = await ann.post(PATH, [("description", " "), ("days", "7")])
        assert answer.status == 422 and ann.has("Say what it is for")
        answer = await ann.post(PATH, [("description", "x"), ("days", "junk")])
        assert answer.status == 422 and ann.has("Choose at least one.")
        answer = await ann.post(PATH, [("description", "x"), ("scopes", "metal")])
        assert answer.status == 422
        answer = await ann.post(PATH, [("description", HOSTILE), ("scopes", "*"), ("account", HOSTILE[:200])])
        assert answer.status == 422 and "<img" not in ann.page and "gnp.exe" in ann.page
        assert not [each for each in entries(ann.engine) if each[1] == "token.issue"]


async def test_hostile_descriptions_are_text_and_are_found(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        for number in range(60):
            await ann.post(PATH, [("description", HOSTILE if not number else f"p{number}"), ("scopes", "smtp")])
        await ann.get(PATH)
        assert "<img" not in ann.page and ann.has("Page 1 of 2") and len(ann.page) < 150_000
        await ann.get(f"{PATH}?query=gnp")
        assert ann.has("One token matches.") and "<img" not in ann.page
        await ann.get(f"{PATH}?query=%3Cimg%3E")
        assert ann.has("No token has “<img>”")
        assert (await ann.get(f"{PATH}?page=-1")).status == 400


async def test_tokens_are_for_owners(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        for role in ("operator", "reader"):
            other = await ann.also(role, role)
            assert (await other.get(PATH)).status == 403
            assert (await other.post(PATH, [("description", "x"), ("scopes", "*")])).status == 403
            await other.get("/admin/settings")
            assert not other.has("Tokens")


async def test_a_token_gives_no_scope_that_it_lacks(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        caller = await Caller.of(ann.engine, app=ann._caller._app, scopes=["api"])
        for scope, status in (("api", 200), ("*", 403), ("oauth-token", 403), ("smtp", 403)):
            answer = await caller.ask("POST", "/v1/tokens", {"description": "x", "scopes": scope})
            assert answer.status == status, scope
        assert answer.json["code"] == "ScopeNotHeld"
        body = {"description": "x", "scopes": ["api"], "expires": "2020-01-01T00:00:00Z"}
        assert (await caller.ask("POST", "/v1/tokens", body)).json["fields"][0]["path"] == "expires"
        assert (await caller.ask("POST", "/v1/tokens", {**body, "expires": None, "account": "no"})).status == 404


async def test_tokens_are_listed_read_and_revoked_by_request(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        caller = await Caller.of(ann.engine, app=ann._caller._app)
        body = {"description": "Shop", "scopes": ["api", "api"], "account": "acme"}
        made = (await caller.ask("POST", "/v1/tokens", body)).json
        listed = (await caller.ask("GET", "/v1/tokens?query=SHOP")).json
        (shown,) = listed["tokens"]
        assert (shown["id"], shown["scopes"], shown["account"]) == (made["id"], ["api"], "acme")
        assert made["token"] not in str(listed)
        assert (await caller.ask("GET", "/v1/tokens?account=acme")).json["total"] == 1
        assert (await caller.ask("GET", f"/v1/tokens/{made['id'][:12].upper()}")).json == shown
        for wrong in (made["token"], made["id"][:11], "x"):
            assert (await caller.ask("GET", f"/v1/tokens/{wrong}")).status == 404
            assert (await caller.ask("DELETE", f"/v1/tokens/{wrong}")).json == {"deleted": False}
        await trio.sleep(1)
        assert (await caller.ask("DELETE", f"/v1/tokens/{made['id']}")).json == {"deleted": True}
        assert (await caller.ask("GET", f"/v1/tokens/{made['id']}")).status == 404


async def test_a_token_is_narrowed_at_the_page(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        form = [
            ("description", "shop"),
            ("scopes", "api"),
            ("actions", "read"),
            ("groups", "account"),
            ("addresses", "127.0.0.0/8, 2001:db8::1"),
            ("maxRequests", "9"),
            ("timeWindow", "60"),
        ]
        await ann.follow(await ann.post(PATH, form))
        (secret,) = SECRET.findall(ann.page)
        assert ann.has("Narrowed")
        caller = Caller(ann._caller._app, secret)
        assert (await caller.ask("GET", "/v1/account/acme")).headers["x-ratelimit-remaining"] == "8"
        assert (await caller.ask("GET", "/v1/outbox")).json["requiredPermission"]["group"] == "outbox"
        caller.address = "192.0.2.1"
        assert (await caller.ask("GET", "/v1/account/acme")).json["message"] == "Unauthorized address"
        id = hashlib.sha256(bytes.fromhex(secret)).hexdigest()[:12]
        await ann.get(f"{PATH}/{id}")
        for said in ("127.0.0.0/8, 2001:db8::1", "9 requests in 60 s", "refused: group", "GET /v1/outbox", "192.0.2.1"):
            assert ann.has(said), said
        for field, value in (("addresses", "home"), ("maxRequests", "0"), ("timeWindow", "soon")):
            await ann.get(PATH)
            answer = await ann.post(PATH, [("description", "x"), ("scopes", "api"), (field, value)])
            assert answer.status == 422 and f'value="{value}"' in ann.page, field
