"""Templates, stored and in submissions: what is sent, whose they are, and what is wrong with one."""

from __future__ import annotations

import base64
import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Answer, Caller
from simulation import Simulation

TO = {"to": [{"address": "you@sandbox.example"}]}
RECEIPT = {
    "account": "acme",
    "name": "Receipt",
    "description": "After an order",
    "format": "html",
    "content": {
        "subject": "Order {{params.order}} & {{account.name}}",
        "html": "<body class='a'><p>Hello {{params.name}}!</p>{{#each params.items}}<i>{{this}}</i>{{/each}}</body>",
        "previewText": "{{params.name}}, your <order>",
    },
}
PARAMS = {"order": "<7>", "name": "Ann & Bob", "items": ["a", "b"]}


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def dry(caller: Caller, account: str = "acme", **members: Any) -> EmailMessage:
    answer = await caller.ask("POST", f"/v1/account/{account}/submit", {**TO, "dryRun": True, **members})
    assert answer.status == 200, answer.body
    raw = base64.b64decode(answer.json["preview"])
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n").strip()


async def stored(caller: Caller, **members: Any) -> str:
    answer = await caller.ask("POST", "/v1/templates/template", {**RECEIPT, **members})
    assert answer.status == 200, answer.body
    return str(answer.json["id"])


def faults(answer: Answer) -> list[str]:
    return [field["message"] for field in answer.json["fields"]]


async def test_a_template_is_created_listed_read_changed_and_removed(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        id = await stored(caller)
        shared = await stored(caller, account=None, name="For all")
        listed = (await caller.ask("GET", "/v1/templates?account=acme")).json
        assert [listed["account"], listed["total"], listed["pages"]] == ["acme", 1, 1]
        assert [(each["id"], each["name"], each["format"]) for each in listed["templates"]] == [(id, "Receipt", "html")]
        listed = (await caller.ask("GET", "/v1/templates")).json
        assert (listed["account"], [each["id"] for each in listed["templates"]]) == (None, [shared])
        shown = (await caller.ask("GET", f"/v1/templates/template/{id}")).json
        assert (shown["account"], shown["content"], "updated" in shown) == ("acme", RECEIPT["content"], False)
        answer = await caller.ask("PUT", f"/v1/templates/template/{id}", {"name": "Bill", "content": {"text": "x"}})
        assert answer.json == {"updated": True, "account": "acme", "id": id}
        shown = (await caller.ask("GET", f"/v1/templates/template/{id}")).json
        assert (shown["name"], shown["description"], shown["content"]) == ("Bill", "After an order", {"text": "x"})
        assert "updated" in shown
        gone = (await caller.ask("DELETE", f"/v1/templates/template/{id}")).json
        assert gone == {"deleted": True, "account": "acme", "id": id}
        gone = (await caller.ask("DELETE", f"/v1/templates/template/{id}")).json
        assert gone == {"deleted": False, "account": None, "id": id}
        answer = await caller.ask("GET", f"/v1/templates/template/{id}")
        assert (answer.status, answer.json["code"]) == (404, "NotFound")
        await stored(caller)
        answer = await caller.ask("DELETE", "/v1/templates/account/acme")
        assert (answer.status, answer.json["code"]) == (400, "ForceRequired")
        answer = await caller.ask("DELETE", "/v1/templates/account/acme?force=true")
        assert answer.json == {"flushed": True, "account": "acme"}
        assert (await caller.ask("GET", "/v1/templates?account=acme")).json["total"] == 0
        assert (await caller.ask("GET", f"/v1/templates/template/{shared}")).status == 200
        assert (await caller.ask("GET", "/v1/templates?account=nobody")).status == 404


async def test_a_faulty_template_is_refused_with_member_and_line(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        content = {"subject": "{{#if x}}", "html": "a\nb {{upper name}}", "text": "{{fine}}", "previewText": "{{> p}}"}
        answer = await caller.ask("POST", "/v1/templates/template", {**RECEIPT, "content": content})
        assert answer.status == 400
        assert faults(answer) == [
            '"content.subject" is no template: line 1: `if` is never closed',
            '"content.html" is no template: line 2: there is no helper `upper`',
            '"content.previewText" is no template: line 1: partials (`{{>`) are not supported: a template is one text',
        ]
        id = await stored(caller)
        answer = await caller.ask("PUT", f"/v1/templates/template/{id}", {"content": {"text": "{{"}})
        assert faults(answer) == ['"content.text" is no template: line 1: this tag has no end']


async def test_a_submission_is_rendered_and_values_are_escaped_in_html_alone(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.context.settings.update(service_url="https://mail.example.com")
        caller = await Caller.of(engine)
        message = await dry(
            caller,
            subject="{{params.a}}",
            text="{{params.a}} {{service.url}} {{account.email}} {{account.name}}",
            html="<p>{{params.a}}</p>",
            render={"params": {"a": "<&>"}},
        )
        record = engine.context.registry.get("acme").record
        assert message["Subject"] == "<&>"
        assert text_of(message, "plain") == f"<&> https://mail.example.com {record.email} {record.name}"
        assert text_of(message, "html") == "<p>&lt;&amp;&gt;</p>"
        for render in (False, None):
            message = await dry(caller, text="{{params.a}}", render=render)
            assert text_of(message, "plain") == "{{params.a}}"
        assert text_of(await dry(caller, text="{{1}}a{{params.b}}", render={}), "plain") == "a"
        message = await dry(caller, subject="a {{params.b}} c", render={"params": {"b": "x\r\nBcc: y@z.example"}})
        assert (message["Subject"], message["Bcc"]) == ("a x Bcc: y@z.example c", None)


async def test_a_stored_template_gives_all_its_texts_and_a_hidden_preview(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.register("other", email="other@sandbox.example")
        caller = await Caller.of(engine)
        id = await stored(caller)
        message = await dry(caller, template=id, subject="overwritten", render={"params": PARAMS})
        assert str(message["Subject"]).startswith("Order <7> & ")
        html = text_of(message, "html")
        assert html.startswith("<body class='a'><div style=\"display:none;")
        assert ">Ann &amp; Bob, your &lt;order&gt;</div><p>Hello Ann &amp; Bob!</p><i>a</i><i>b</i></body>" in html
        assert text_of(message, "plain").split() == ["Hello", "Ann", "&", "Bob!", "ab"]
        assert "Hello !" in text_of(await dry(caller, template=id), "html")
        assert "{{params.name}}" in text_of(await dry(caller, template=id, render=False), "html")
        answer = await caller.ask("POST", "/v1/account/other/submit", {**TO, "template": id})
        assert (answer.status, answer.json["code"]) == (404, "TemplateNotFound")
        shared = await stored(caller, account=None, format="markdown", content={"html": "# Hi {{params.name}}\n\n*x*"})
        message = await dry(caller, "other", template=shared, render={"params": {"name": "<b>"}})
        assert text_of(message, "html") == "<h1>Hi &lt;b&gt;</h1>\n<p><em>x</em></p>"
        assert text_of(message, "plain").split() == ["Hi", "<b>", "x"]


async def test_a_removed_template_leaves_queued_messages_as_they_are(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        id = await stored(caller)
        body = {**TO, "template": id, "render": {"params": PARAMS}}
        answer = await caller.ask("POST", "/v1/account/acme/submit", body)
        assert (await caller.ask("DELETE", f"/v1/templates/template/{id}")).json["deleted"]
        sent = await engine.event("acme", "messageSent")
        assert sent["data"]["queueId"] == answer.json["queueId"]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"html": "a\n{{#if}}{{/if}}"}, '"html" cannot be rendered: line 2: `if` takes 1 parameter, not 0'),
        ({"subject": "{{x"}, '"subject" cannot be rendered: line 1: this tag has no end'),
        ({"subject": "{{params.long}}"}, '"subject" cannot be rendered: what it renders to is too long'),
        (
            {"previewText": "{{params.long}}", "html": "x"},
            '"previewText" cannot be rendered: what it renders to is too',
        ),
        ({"text": "{{#each params.n}}" * 3 + "{{/each}}" * 3}, None),
        (
            {"text": "{{#each params.n}}{{#each ../params.n}}{{#each ../../params.n}}{{/each}}{{/each}}{{/each}}"},
            '"text" cannot be rendered: it takes too much work to render: its loops make too many turns',
        ),
        ({"html": "{{params.long}}" * 10, "format": "markdown"}, '"html" cannot be rendered: is longer than 100,000'),
    ],
)
async def test_a_rendering_that_fails_is_a_422_that_names_the_member(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, members: dict[str, str], fault: str | None
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        given = dict(members)
        render = {"params": {"long": "x" * 20_000, "n": list(range(1000))}, "format": given.pop("format", "html")}
        answer = await caller.ask("POST", "/v1/account/acme/submit", {**TO, **given, "render": render})
        if fault is None:
            assert answer.status == 200
            return
        assert (answer.status, answer.json["code"]) == (422, "SubmitFail")
        assert faults(answer)[0].startswith(fault)


async def test_a_tenant_has_templates_of_its_own_and_reads_those_of_all(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.register("other", email="other@sandbox.example")
        operator, tenant = await Caller.of(engine), await Caller.of(engine, "acme")
        theirs = await stored(operator, account="other")
        shared = await stored(operator, account=None)
        mine = await stored(tenant, account=None)
        assert (await tenant.ask("GET", f"/v1/templates/template/{mine}")).json["account"] == "acme"
        assert (await tenant.ask("POST", "/v1/templates/template", {**RECEIPT, "account": "other"})).status == 403
        assert [each["id"] for each in (await tenant.ask("GET", "/v1/templates")).json["templates"]] == [mine]
        assert (await tenant.ask("GET", f"/v1/templates/template/{shared}")).status == 200
        assert (await tenant.ask("PUT", f"/v1/templates/template/{shared}", {"name": "x"})).status == 404
        assert not (await tenant.ask("DELETE", f"/v1/templates/template/{shared}")).json["deleted"]
        assert (await tenant.ask("GET", f"/v1/templates/template/{theirs}")).status == 404
        assert (await tenant.ask("PUT", f"/v1/templates/template/{theirs}", {"name": "x"})).status == 404
        assert (await tenant.ask("DELETE", f"/v1/templates/template/{theirs}")).json["deleted"] is False
        assert (await operator.ask("GET", f"/v1/templates/template/{theirs}")).status == 200


async def test_templates_go_with_their_account(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        id = await stored(caller)
        assert (await caller.ask("DELETE", "/v1/account/acme")).status == 200
        assert (await caller.ask("GET", f"/v1/templates/template/{id}")).status == 404


async def test_large_and_deep_parameters_cost_only_their_request(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        large = {**TO, "text": "{{length params.s}}", "render": {"params": {"s": "x" * 10_000_000}}}
        assert (await caller.ask("POST", "/v1/account/acme/submit", large)).status in (200, 400, 413)
        for depth in (100, 400, 900, 5000):
            raw = b'{"to": "x@sandbox.example", "text": "{{params.a}}", "render": {"params": {"a": %s}}}'
            raw %= b"[" * depth + b"]" * depth
            headers = {"Content-Type": "application/json"}
            answer = await caller.ask("POST", "/v1/account/acme/submit", headers=headers, raw=raw)
            assert answer.status in (200, 400, 422), (depth, answer.status)
