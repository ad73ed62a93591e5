"""What a token for one account may ask, of every operation there is: its own, and nothing of anybody else's."""

from __future__ import annotations

import base64
import email
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Answer, Caller
from inbox import MAIL
from simulation import Engine, Simulation

from engine.api import operations
from engine.api.app import make_app
from engine.config import Http, WebhooksConfig
from engine.http.account_tokens import Access, check
from engine.http.operation import Operation, operation
from engine.store import blocklists, events, sandbox, suppressions, templates, tokens

OPERATIONS = [each for each in operations() if not each.websocket]
CANARY = "canary-of-b"
MINE = "a"
THEIRS = "b"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


class World:
    """An engine with two accounts, in which everything of `b` says so."""

    def __init__(self, engine: Engine, operator: Caller, tenant: Caller, ids: dict[str, str]) -> None:
        self.engine = engine
        self.operator = operator
        self.tenant = tenant
        self.ids = ids


async def two(engine: Engine) -> World:
    app = make_app(engine.context)
    await engine.context.settings.update(service_url="https://mail.example.com")
    await engine.register(MINE)
    await engine.register(THEIRS, email=f"{CANARY}@sandbox.example")
    operator = await Caller.of(engine, app=app)
    tenant, other = await Caller.of(engine, MINE, app), await Caller.of(engine, THEIRS, app)
    queued = await engine.submit(THEIRS, f"{CANARY}@sandbox.example", subject=CANARY, sendAt="2027-06-01T00:00:00Z")
    made = await other.ask("POST", "/v1/webhooks", {"url": f"https://203.0.114.9/{CANARY}", "description": CANARY})
    assert made.status == 200
    assert (await other.ask("PUT", f"/v1/events/consumers/{CANARY}", {"seq": 1})).status == 200
    blocked = {"account": THEIRS, "recipient": f"{CANARY}@sandbox.example"}
    assert (await other.ask("POST", f"/v1/blocklist/{CANARY}", blocked)).status == 200
    suppressed = {"account": THEIRS, "recipient": f"{CANARY}@sandbox.example", "reason": CANARY}
    assert (await other.ask("POST", "/v1/suppression", suppressed)).status == 200
    made_app = await operator.ask("POST", "/v1/oauth2", {"name": CANARY, "provider": "sandbox", "clientId": CANARY})
    assert made_app.status == 200
    relay = {"gateway": CANARY, "name": CANARY, "host": f"{CANARY}.example", "port": 587}
    assert (await operator.ask("POST", "/v1/gateway", relay)).status == 200
    inbox = engine.sandbox.account(f"{CANARY}@sandbox.example").folder("INBOX")
    inbox.add(MAIL % 1, 1_800_000_000.0, ("\\Draft",))
    mail = (await engine.event(THEIRS, "messageNew"))["data"]
    span = {"startDate": "2020-01-01", "endDate": "2040-01-01"}
    exported = await other.ask("POST", f"/v1/account/{THEIRS}/export", span)
    await engine.event(THEIRS, "exportCompleted")
    with_file = {"content": "aGk=", "filename": "hi.bin"}
    sent = await engine.submit(THEIRS, "x@outside.invalid", subject=CANARY, text="x", attachments=[with_file])
    await engine.until_ended(sent["queueId"])
    await trio.sleep(1)  # the endpoint takes its place behind these events
    text = {"account": THEIRS, "name": CANARY, "content": {"text": CANARY}}
    template = await other.ask("POST", "/v1/templates/template", text)
    ids = {
        "template": template.json["id"],
        "exportId": exported.json["exportId"],
        "app": made_app.json["id"],
        "gateway": CANARY,
        "account": THEIRS,
        "queueId": queued["queueId"],
        "webhook": made.json["id"],
        "consumer": CANARY,
        "listId": CANARY,
        "queue": "submit",
        "message": mail["id"],
        "text": mail["text"]["id"],
        "attachment": mail["attachments"][0]["id"],
        "caught": next(reversed(engine.sandbox.caught)),
        "file": "2",
        "token": tokens.find(engine.context.store.reader, other.token, 0).id,
    }
    return World(engine, operator, tenant, ids)


BODIES: dict[str, Any] = {
    "POST /v1/account": {"account": THEIRS, "name": "x", "imap": False, "smtp": False},
    "PUT /v1/account/{account}": {"name": "x"},
    "PUT /v1/account/{account}/reconnect": {"reconnect": True},
    "PUT /v1/account/{account}/sync": {"sync": True},
    "PUT /v1/account/{account}/flush": {"flush": True},
    "PUT /v1/account/{account}/quota": {"reopen": True},
    "POST /v1/verifyAccount": {"imap": {"host": "127.0.0.1", "port": 1, "auth": {"user": "u", "pass": "p"}}},
    "POST /v1/account/{account}/submit": {"to": [{"address": "x@sandbox.example"}]},
    "POST /v1/account/{account}/mailbox": {"path": "x"},
    "PUT /v1/account/{account}/mailbox": {"path": "INBOX", "subscribed": True},
    "POST /v1/account/{account}/search": {"search": {"seen": False}},
    "PUT /v1/account/{account}/message/{message}": {"flags": {"add": ["\\Seen"]}},
    "PUT /v1/account/{account}/message/{message}/move": {"path": "Trash"},
    "POST /v1/account/{account}/message": {"path": "INBOX", "text": "x"},
    "POST /v1/account/{account}/message/{message}/submit": {},
    "PUT /v1/account/{account}/messages": {"search": {}, "update": {"flags": {"add": ["\\Seen"]}}},
    "PUT /v1/account/{account}/messages/move": {"search": {}, "path": "Trash"},
    "PUT /v1/account/{account}/messages/delete": {"search": {}},
    "POST /v1/account/{account}/export": {"startDate": "2020-01-01", "endDate": "2040-01-01"},
    "PUT /v1/outbox/{queueId}": {"sendNow": True},
    "PUT /v1/settings/queue/{queue}": {"paused": True, "account": THEIRS},
    "POST /v1/authentication/form": {"account": THEIRS, "redirectUrl": "https://x.example/"},
    "POST /v1/settings": {"serviceUrl": "https://x.example"},
    "PUT /v1/events/consumers/{consumer}": {"seq": 0},
    "POST /v1/oauth2": {"name": "x", "provider": "sandbox", "clientId": "x"},
    "PUT /v1/oauth2/{app}": {"name": "x"},
    "POST /v1/oauth2/{app}/verify": {"account": THEIRS},
    "POST /v1/gateway": {"gateway": None, "name": "x", "host": "x.example", "port": 587},
    "PUT /v1/gateway/edit/{gateway}": {"name": "x"},
    "POST /v1/blocklist/{listId}": {"account": THEIRS, "recipient": "x@sandbox.example"},
    "POST /v1/sandbox/script": {"account": THEIRS, "steps": [{"stage": "rcpt", "reply": "451 4.7.1 Later"}]},
    "POST /v1/suppression": {"account": THEIRS, "recipient": "x@sandbox.example"},
    "POST /v1/templates/template": {"account": THEIRS, "name": "x", "content": {"text": "x"}},
    "PUT /v1/templates/template/{template}": {"name": "x"},
    "POST /v1/templates/template/{template}/preview": {"params": {}},
    "POST /v1/tokens": {"description": "x", "scopes": ["api"], "account": THEIRS},
    "POST /v1/webhooks": {"url": "https://203.0.114.9/", "accounts": [THEIRS]},
    "POST /v1/webhooks/try": {"seq": 9},
    "PUT /v1/webhooks/{webhook}": {"description": "x"},
    "POST /v1/webhooks/{webhook}/replay": {"after": 0},
    "POST /v1/webhooks/{webhook}/parked": {"action": "skip"},
}
OF_ONES_OWN = {
    "PUT /v1/events/consumers/{consumer}",
    "DELETE /v1/events/consumers/{consumer}",
    "DELETE /v1/outbox/{queueId}",
    "DELETE /v1/templates/template/{template}",
}
"""A consumer's name is each account's own, and a message that is not there counts as cancelled, whosever it is."""


async def of_theirs(world: World, route: Operation) -> list[Answer]:
    """The answers to an operation asked for what is of `b`, in every place where that can be said."""
    path = re.sub(r"\{(\w+)\}", lambda match: world.ids[match[1]], route.path)
    if "{queue}" in route.path and route.method == "GET":
        path += f"?account={THEIRS}"
    queries = [""]
    if route.query is not None and "account" in route.query.__struct_fields__ and "?" not in path:
        queries.append(f"?account={THEIRS}")
    if route.path.startswith("/v1/templates/account/"):
        queries = ["?force=true"]
    if route.path == "/v1/sandbox/script" and route.method != "POST":
        queries = [f"?account={THEIRS}"]
    if "path" in getattr(route.query, "__struct_fields__", ()):
        queries = ["?path=INBOX"]
    if route.name == "DELETE /v1/suppression":
        queries = [f"{account}recipient={CANARY}@sandbox.example" for account in ("?", f"?account={THEIRS}&")]
    if "/v1/blocklist" in route.path and "recipient" in getattr(route.query, "__struct_fields__", ()):
        queries = [f"?recipient={CANARY}@sandbox.example"]
    if "email" in getattr(route.query, "__struct_fields__", ()):
        queries = ["?email=x@sandbox.example"]
    body = BODIES.get(f"{route.method} {route.path}")
    return [await world.tenant.ask(route.method, path + query, body) for query in queries]


def state(world: World) -> Any:
    """Everything a change by the tenant could have changed of `b`'s."""
    context = world.engine.context
    account = context.registry.get(THEIRS)
    made = context.webhooks.get(world.ids["webhook"])
    consumer = context.streams.consumers.find(THEIRS, CANARY)
    assert account is not None and made is not None and consumer is not None
    return (
        account.record,
        made.record,
        made.endpoint.position,
        consumer,
        blocklists.entries(context.store.reader, THEIRS, CANARY, 0, 10),
        suppressions.entries(context.store.reader, THEIRS, 0.0, 0, 10, ""),
        sandbox.steps(context.store.reader),
        templates.get(context.store.reader, world.ids["template"]),
        world.engine.state(world.ids["queueId"]),
        context.pauses.paused(THEIRS),
        context.settings.values,
        {id: made.app for id, made in context.oauth.book.made.items()},
    )


async def test_no_operation_shows_or_changes_what_is_anothers(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        world = await two(engine)
        before = state(world)
        for route in OPERATIONS:
            if route.body is not None:
                assert route.name in BODIES, f"say what to send to {route.name}"
            answers = await of_theirs(world, route)
            for answer in answers:
                shown = answer.body.replace(f'"consumer":"{CANARY}"'.encode(), b"")
                assert CANARY.encode() not in shown, route.name
                assert not re.search(rb'"account": ?"b"', shown), route.name
            names_theirs = route.path.count("{") > route.path.count("{queue}") or len(answers) > 1
            names_theirs = names_theirs or route.body is not None or route.path == "/v1/sandbox/script"
            if (names_theirs or route.access is Access.ALL_ACCOUNTS) and route.name not in OF_ONES_OWN:
                assert answers[-1].status in (403, 404), (route.name, answers[-1])
            assert state(world) == before, route.name


def _order(route: Operation) -> tuple[bool, ...]:
    """What removes what others need comes last."""
    removes = route.method == "DELETE"
    moves = route.path.endswith(("/move", "/delete", "{message}/submit"))
    return (
        removes and route.path == "/v1/account/{account}",
        removes,
        moves,
        "flush" in route.path,
        "{account}" in route.path,
    )


async def test_the_operator_may_ask_all_of_it(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    """The requests above are refused for their token alone: each is good with one for all accounts."""
    async with simulation.running() as engine:
        world = await two(engine)
        world.tenant = world.operator
        world.ids["consumer"] = "mine"
        await world.operator.ask("PUT", "/v1/events/consumers/mine", {"seq": 0})
        for route in sorted(OPERATIONS, key=_order):
            gone = {"Requested queue entry was not found"}
            if "{message}" in route.path and route.method != "GET":
                gone.add("Requested message was not found")  # another operation has moved it
            for answer in await of_theirs(world, route):
                if route.path.endswith("/oauth-token"):  # off until the operator switches it on
                    assert answer.json["code"] == "ApiEndpointDisabled"
                    continue
                fits = answer.status == 200 or (answer.status == 404 and answer.json["message"] in gone)
                fits = fits or answer.json.get("code") == "ApiEndpointDisabled"  # refused to everybody by a setting
                assert fits, (route.method, route.path, answer)


def test_an_operation_that_does_not_say_who_may_ask_does_not_start() -> None:
    with pytest.raises(TypeError, match="access"):
        functools.partial(operation, "GET", "/v1/new")(scope="api", tags=("x",))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("path", "access", "takes_caller", "scope"),
    [
        ("/v1/new", Access.PATH, True, "api"),
        ("/v1/new", Access.QUERY, True, "api"),
        ("/v1/new", Access.HANDLER, False, "api"),
        ("/v1/new", Access.ANYONE, True, "api"),
        ("/v1/new", Access.ALL_ACCOUNTS, True, None),
        ("/v1/new/{account}", Access.HANDLER, True, "api"),
    ],
)
def test_an_operation_that_cannot_be_narrowed_as_it_says_does_not_start(path, access, takes_caller, scope) -> None:
    route = Operation(method="GET", path=path, summary="x", handler=trio.sleep, scope=scope, access=access)
    with pytest.raises(ValueError):
        check(route, takes_caller=takes_caller)


async def test_numbers_tell_nothing_of_what_others_do(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async def seen(world: World) -> list[Any]:
        asked = [
            "/v1/events?after=0",
            "/v1/events?after=0&events=messageFailed",
            "/v1/events/consumers",
            "/v1/webhooks",
        ]
        answers = [(await world.tenant.ask("GET", each)).json for each in asked]
        answers.append((await world.tenant.ask("GET", "/v1/events?after=99999")).json)
        stream = await world.tenant.ask("GET", "/v1/events/sse")
        answers.append(re.findall(rb"\d+", re.sub(rb"Mailbox Engine v[0-9.]+", b"", stream.body)))
        return answers

    async with simulation.running() as engine:
        world = await two(engine)
        await world.tenant.ask("PUT", "/v1/events/consumers/mine", {"seq": 1})
        await world.tenant.ask("POST", "/v1/webhooks", {"url": "https://203.0.114.9/"})
        await trio.sleep(5)
        before = await seen(world)
        for number in range(20):
            await engine.submit(THEIRS, f"you{number}@sandbox.example")
        await trio.sleep(60)
        assert engine.context.streams.journal.last > before[0]["last"] + 20
        assert await seen(world) == before
        made = await world.tenant.ask("POST", "/v1/webhooks", {"url": "https://203.0.114.9/new"})
        assert made.json["seq"] == before[0]["last"]
        await engine.submit(MINE, "you@sandbox.example")
        await trio.sleep(60)
        page = (await world.tenant.ask("GET", f"/v1/events?after={before[0]['next']}")).json
        assert "messageSent" in [each["event"] for each in page["events"]]
        assert page["last"] == page["next"] == page["events"][-1]["seq"]


async def test_a_cursor_of_ones_own_outlives_the_removal_of_old_events(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        world = await two(engine)
        next_ = (await world.tenant.ask("GET", "/v1/events?after=0")).json["next"]
        last = engine.context.streams.journal.last
        assert 0 < next_ < last
        await engine.context.store.commit(lambda tx: events.remove(tx, last))
        answer = await world.tenant.ask("GET", f"/v1/events?after={next_}")
        assert (answer.status, answer.json["events"]) == (200, [])
        assert (await world.tenant.ask("GET", f"/v1/events?after={last + 1}")).json["code"] == "FutureCursor"


async def test_a_revoked_token_ends_changes(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        world = await two(engine)
        share = engine.context.streams.share
        answers: list[Answer] = []
        async with trio.open_nursery() as nursery:

            async def follow() -> None:
                answers.append(await world.operator.ask("GET", "/v1/changes"))

            nursery.start_soon(follow)
            await trio.sleep(1)
            assert share.taken == 1
            hash_ = tokens.find(engine.context.store.reader, world.operator.token, 0).hash
            await engine.context.store.commit(lambda tx: tx.execute("DELETE FROM token WHERE hash = ?", (hash_,)))
            engine.context.changes.state(THEIRS, "connecting", None)
            await trio.sleep(1)
            assert answers and b"connecting" not in answers[0].body
        assert share.taken == 0


async def test_each_token_has_its_share(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    http = Http(streams=5, streams_per_token=2, requests_per_token=3, consumers=2)
    simulation = Simulation(tmp_path / "data", 4711, http=http, webhooks=WebhooksConfig(endpoints=2))
    async with simulation.running() as engine:
        world = await two(engine)
        async with trio.open_nursery() as nursery:
            for path in ("/v1/changes", "/v1/events/sse"):
                nursery.start_soon(world.tenant.ask, "GET", path)
            await trio.sleep(1)
            for path in ("/v1/changes", "/v1/events/sse", "/v1/events?wait=30&after=99"):
                answer = await world.tenant.ask("GET", path.replace("99", "0") if "99" in path else path)
                assert (answer.status, "retry-after" in answer.headers) == (429, True), path
            assert (await world.tenant.ask("GET", "/v1/events")).status == 200
            for _ in range(3):
                nursery.start_soon(world.operator.ask, "GET", "/v1/events/sse")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        for name, status in (("one", 200), ("two", 200), ("three", 429), ("one", 200)):
            assert (await world.tenant.ask("PUT", f"/v1/events/consumers/{name}", {"seq": 0})).status == status
        for status in (200, 200, 429):
            made = await world.tenant.ask("POST", "/v1/webhooks", {"url": "https://203.0.114.9/"})
            assert made.status == status
        assert (await world.operator.ask("POST", "/v1/webhooks", {"url": "https://203.0.114.9/"})).status == 200
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(world.operator.ask, "GET", "/v1/autoconfig?email=x@slow.example")
            with engine.context.requests.hold("somebody else"):
                pass
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", ["/v1/changes", "/v1/events/sse"])
async def test_no_stream_begins_that_has_no_share(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, path: str
) -> None:
    simulation = Simulation(tmp_path / "data", 4711, http=Http(streams=9, streams_per_token=2))
    async with simulation.running() as engine:
        world = await two(engine)
        answers: list[Answer] = []

        async def follow() -> None:
            answers.append(await world.tenant.ask("GET", path))

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(follow)
        assert sorted(answer.status for answer in answers) == [200] * 2 + [429] * 10
        assert all(answer.body.startswith(b'{"statusCode":429') for answer in answers if answer.status == 429)
        assert engine.context.streams.share.taken == 0
        assert (await world.tenant.ask("HEAD", path)).status == 200
        assert engine.context.streams.share.taken == 0


async def test_names_of_consumers_are_checked_where_they_are_made(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        world = await two(engine)
        for name in ("a%2Fb", "a%20b", "x" * 101):
            answer = await world.operator.ask("PUT", f"/v1/events/consumers/{name}", {"seq": 0})
            assert (answer.status, answer.json["fields"][0]["key"]) == (400, "consumer")


async def test_headers_of_webhooks_hold_no_control_characters(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        world = await two(engine)
        for value, status in (
            *((chr(each), 400) for each in (*range(9), *range(10, 32), 127)),
            *((text, 200) for text in ("a\tb", "\u00e9", "Basic dTpw", "")),
        ):
            headers = [{"key": "X-Key", "value": value}]
            for method, target, body in (
                ("POST", "/v1/settings", {"webhooksCustomHeaders": headers}),
                ("PUT", f"/v1/account/{MINE}", {"webhooksCustomHeaders": headers}),
                ("POST", "/v1/webhooks", {"url": "https://203.0.114.9/", "headers": headers}),
            ):
                answer = await world.operator.ask(method, target, body)
                assert answer.status == status, (method, target, value)
                assert status == 200 or "must not contain" in answer.json["fields"][0]["message"]


async def test_a_large_rehearsal_is_what_a_small_one_is(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        world = await two(engine)
        for size in range(300_000, 300_003):
            content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            body = {
                "dryRun": True,
                "to": [{"address": "x@sandbox.example"}],
                "bcc": [{"address": "y@sandbox.example"}],
                "attachments": [{"content": base64.b64encode(content).decode(), "filename": "a.bin"}],
            }
            answer = await world.operator.ask("POST", "/v1/account/a/submit", body)
            assert int(answer.headers["content-length"]) == len(answer.body)
            message: Any = email.message_from_bytes(base64.b64decode(answer.json["preview"], validate=True))
            assert answer.json["response"] == "Dry run" and message["Bcc"] == "y@sandbox.example"
            assert message.get_payload()[1].get_payload(decode=True) == content
