"""Merges: many messages by one request, all of them or none."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Caller
from simulation import Engine, Simulation

from engine.api import submit
from engine.errors import Problem
from engine.handlebars.steps import Steps
from engine.model.message_states import State
from engine.schema.submit import MergeEntry, NamedAddress, Submit
from engine.store import messages
from engine.submission import merge
from engine.submission.merge import Failed, prepare_merge
from engine.submission.terms import Terms

SUBMIT = "/v1/account/acme/submit"
BIG = "QUJD" * 100_000


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4714)


def to(count: int) -> list[dict[str, Any]]:
    return [{"to": {"name": f"No {n}", "address": f"u{n}@sandbox.example"}} for n in range(count)]


def queued(engine: Engine) -> int:
    (count,) = engine.context.store.reader.execute("SELECT count(*) FROM message").fetchone()
    return int(count)


async def test_each_gets_a_message_of_its_own(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        entries = to(3)
        entries[1] |= {"messageId": "own@x.example", "sendAt": "2027-06-01T00:00:00Z", "params": {"name": ["a", 1]}}
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "subject": "Hi", "html": "<p>Hello</p>"})
        assert answer.status == 200, answer.json
        results = answer.json["mailMerge"]
        assert [each["to"] for each in results] == [each["to"] for each in entries]
        assert all(each["success"] for each in results)
        assert results[1]["messageId"] == "<own@x.example>"
        assert results[1]["sendAt"] == "2027-06-01T00:00:00.000Z"
        await engine.until_ended(results[0]["queueId"], results[2]["queueId"])
        await trio.sleep(60)  # the copies are filed
        delivered = {each.recipient: each.message_id for each in engine.sandbox.delivered}
        assert delivered == {f"u{n}@sandbox.example": results[n]["messageId"] for n in (0, 2)}
        for n in (0, 2):
            folder = engine.sandbox.account("acme@sandbox.example").folder("Sent")
            (copy,) = [each for each in folder.messages if results[n]["messageId"].encode() in each.raw]
            read = email.message_from_bytes(copy.raw)
            assert read["To"] == f"No {n} <u{n}@sandbox.example>"
            assert read["Bcc"] is None
        entry = await engine.entry(results[1]["queueId"])
        assert entry["waitingFor"]["kind"] == "schedule"


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"mailMerge": []}, "mailMerge"),
        ({"mailMerge": to(1001)}, "mailMerge"),
        ({"mailMerge": [*to(2), {"to": {"address": "x"}}]}, "mailMerge[2].to.address"),
        ({"mailMerge": [{"params": {}}]}, "mailMerge[0].to"),
        ({"mailMerge": [{**to(1)[0], "messageId": "x"}]}, "mailMerge[0].messageId"),
        ({"mailMerge": to(1), "to": {"address": "x@x.example"}}, "to"),
        ({"mailMerge": to(1), "bcc": {"address": "x@x.example"}}, "bcc"),
        ({"mailMerge": to(1), "envelope": {"to": "x@x.example"}}, "envelope"),
        ({"mailMerge": to(1), "headers": {"Date": "now"}}, "headers.Date"),
        ({"mailMerge": to(1), "attachments": [{"filename": "x", "content": "", "cid": "a b"}]}, "attachments[0].cid"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_queued(
    simulation: Simulation, members: dict[str, Any], path: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await (await Caller.of(engine)).ask("POST", SUBMIT, {"subject": "Hi", **members})
        assert (answer.status, answer.json["fields"][0]["path"]) == (400, path), answer.json
        assert queued(engine) == 0


async def test_a_key_repeats_the_whole_answer(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller, body, key = await Caller.of(engine), {"mailMerge": to(120)}, {"Idempotency-Key": "k"}
        first = (await caller.ask("POST", SUBMIT, body, key)).json
        assert first["idempotency"] == {"key": "k", "status": "MISS"}
        again = (await caller.ask("POST", SUBMIT, body, key)).json
        assert again["idempotency"] == {"key": "k", "status": "HIT"}
        assert again["mailMerge"] == first["mailMerge"]
        assert queued(engine) == 120
        assert (await caller.ask("POST", SUBMIT, {"mailMerge": to(119)}, key)).status == 409
        both: list[Any] = []

        async def ask() -> None:
            both.append((await caller.ask("POST", SUBMIT, body, {"Idempotency-Key": "other"})).json)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        assert both[0]["mailMerge"] == both[1]["mailMerge"]
        assert {each["idempotency"]["status"] for each in both} == {"MISS", "HIT"}
        assert queued(engine) == 240


async def test_a_rehearsal_queues_nothing(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        answer = await (await Caller.of(engine)).ask("POST", SUBMIT, {"mailMerge": to(2), "dryRun": True})
        assert [sorted(each) for each in answer.json["mailMerge"]] == [["messageId", "success", "to"]] * 2
        assert queued(engine) == 0


async def test_all_are_queued_or_none(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """A fault while the third slice is inserted: the first two go, too, and so do the files."""
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        insert, calls = messages.insert, 0

        def fails(*given: Any) -> list[int]:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise Problem(404, "Account record was not found for requested ID")
            return insert(*given)

        monkeypatch.setattr(messages, "insert", fails)
        body = {"mailMerge": to(200), "attachments": [{"filename": "a.bin", "content": BIG}]}
        assert (await caller.ask("POST", SUBMIT, body)).status == 404
        assert calls == 3
        assert queued(engine) == 0
        assert list((simulation.folder / "spool").iterdir()) == []
        monkeypatch.undo()
        assert (await caller.ask("POST", SUBMIT, body)).status == 200
        assert queued(engine) == 200


async def test_large_contents_are_on_disk_once(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.pause(True)
        caller = await Caller.of(engine)
        body = {"mailMerge": to(50), "text": "Hi", "attachments": [{"filename": "a.bin", "content": BIG}]}
        results = (await caller.ask("POST", SUBMIT, body)).json["mailMerge"]
        files = [*(simulation.folder / "spool").iterdir()]
        assert len(files) == 50
        assert len({each.stat().st_ino for each in files}) == 1
        await engine.pause(False)
        await engine.until_ended(*(each["queueId"] for each in results))
        assert {engine.state(each["queueId"]) for each in results} == {State.SENT}
        await trio.sleep(60)
        assert list((simulation.folder / "spool").iterdir()) == []


async def test_files_are_on_disk_once_beside_texts_that_differ(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "MOST_OCTETS", 100_000)
    async with simulation.running() as engine:
        await engine.register("acme")
        await engine.pause(True)
        caller = await Caller.of(engine)
        files = [
            {"filename": "a.bin", "content": BIG},
            {"filename": "logo.png", "content": "iVBORw==", "cid": "logo@x"},
            {"contentType": "text/calendar; method=REQUEST", "content": "QkVHSU4="},
        ]
        texts = {"subject": "Hi {{params.n}}", "html": '<p>{{params.n}}</p><img src="cid:logo@x">'}
        entries = [{**each, "params": {"n": n}} for n, each in enumerate(to(10))]
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "attachments": files, **texts})
        assert answer.status == 200, answer.json
        results = answer.json["mailMerge"]
        spooled = [*(simulation.folder / "spool").iterdir()]
        assert len(spooled) == 10
        assert len({each.stat().st_ino for each in spooled}) == 1
        await engine.pause(False)
        await engine.until_ended(*(each["queueId"] for each in results))
        await trio.sleep(60)
        assert list((simulation.folder / "spool").iterdir()) == []
        copies = [each.raw for each in engine.sandbox.account("acme@sandbox.example").folder("Sent").messages]
        sent = [each.raw for each in engine.sandbox.caught.values()]
        for n, result in enumerate(results):
            (copy,) = [each for each in copies if result["messageId"].encode() in each]
            assert copy in sent
            read = email.message_from_bytes(copy, policy=email.policy.default)
            leaves = [part for part in read.walk() if not part.is_multipart()]
            kinds = ["text/plain", "text/html", "image/png", "text/calendar", "application/octet-stream"]
            assert [part.get_content_type() for part in leaves] == kinds
            assert f"<p>{n}</p>" in leaves[1].get_content()
            assert leaves[4].get_content() == b"ABC" * 100_000


async def test_an_entry_fails_by_itself(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        account = engine.context.registry.get("acme")
        assert account is not None

        async def render(entry: MergeEntry, recipient: dict[str, str]) -> Submit:
            if entry.to.address.startswith("u1@"):
                raise Problem(422, "Failed rendering", code="SubmitFail")
            return body

        entries = tuple(MergeEntry(to=each) for each in _named(3))
        body = Submit(mail_merge=entries, text="Hi")
        terms = Terms(now=0.0, send_at=0.0)
        prepared = await prepare_merge(engine.context.submissions, account, body, terms, render=render)
        assert prepared[1].outcome == Failed("Failed rendering", "SubmitFail", 422)
        outcomes = [each.outcome for each in prepared if not isinstance(each.outcome, Failed)]
        assert [each.recipients for each in outcomes] == [("u0@sandbox.example",), ("u2@sandbox.example",)]
        assert outcomes[0].content.body is outcomes[1].content.body


async def test_texts_are_rendered_for_each(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        await engine.context.settings.update(service_url="https://mail.example.com")
        html = '<p>{{rcpt.address}} <a href="{{rcpt.unsubscribeUrl}}">x</a></p>'
        content = {"subject": "For {{params.name}}", "html": html}
        template = {"account": "acme", "name": "News", "content": content}
        stored = (await caller.ask("POST", "/v1/templates/template", template)).json["id"]
        entries = [{**each, "params": {"name": f"<{n}>"}} for n, each in enumerate(to(2))]
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "template": stored, "listId": "news"})
        assert answer.status == 200, answer.json
        results = answer.json["mailMerge"]
        await engine.until_ended(*(each["queueId"] for each in results))
        await trio.sleep(60)
        copies = engine.sandbox.account("acme@sandbox.example").folder("Sent").messages
        for n, result in enumerate(results):
            (copy,) = [each.raw for each in copies if result["messageId"].encode() in each.raw]
            read = email.message_from_bytes(copy, policy=email.policy.default)
            html = read.get_body(("html",)).get_content()
            assert read["Subject"] == f"For <{n}>"
            assert f"<p>u{n}@sandbox.example <a" in html
            assert read["List-Unsubscribe"].strip("<>") in html.replace("&amp;", "&").replace("&#x3D;", "=")


async def test_heavy_texts_share_what_a_request_may_take(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "merge_steps", lambda entries: Steps(15_000 * entries))
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        turns = (20_000, 20_000, 10, 20_000)
        entries = [{**each, "params": {"l": [0] * n}} for each, n in zip(to(4), turns, strict=True)]
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "text": "{{#each params.l}}{{/each}}"})
        results = answer.json["mailMerge"]
        assert [each["success"] for each in results] == [True, False, True, False]
        assert (results[1]["statusCode"], results[1]["code"]) == (422, "SubmitFail")
        assert "too much work" in results[1]["error"]


async def test_a_recipient_may_be_given_as_text(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        entries = [{"to": "a@sandbox.example"}, {"to": "Bea Ü <b@sandbox.example>"}]
        results = (await caller.ask("POST", SUBMIT, {"mailMerge": entries, "text": "Hi"})).json["mailMerge"]
        named = {"name": "Bea Ü", "address": "b@sandbox.example"}
        assert [each["to"] for each in results] == [{"address": "a@sandbox.example"}, named]
        refused = await caller.ask("POST", SUBMIT, {"mailMerge": [{"to": "a@x.example, b@x.example"}], "text": "Hi"})
        assert (refused.status, refused.json["fields"][0]["path"]) == (400, "mailMerge[0].to")


async def test_other_tasks_run_between_long_texts(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        account, turns, ended = engine.context.registry.get("acme"), 0, trio.Event()
        assert account is not None
        entries = tuple(MergeEntry(to=each) for each in _named(10))

        async def render(entry: MergeEntry, variables: dict[str, str]) -> Submit:
            return Submit(text=f"{entry.to.address}\n" + "x\n" * 30_000)

        async def count() -> None:
            nonlocal turns
            while not ended.is_set():
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await prepare_merge(
                engine.context.submissions, account, Submit(mail_merge=entries), Terms(now=0.0, send_at=0.0),
                render=render,
            )  # fmt: skip
            ended.set()
        assert turns >= len(entries) // 2


async def test_long_texts_are_tracked_in_a_thread(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        await engine.context.settings.update(service_url="https://mail.example.com")
        world, jobs = engine.context.world, []
        in_thread = world.in_thread

        async def noted(job: Callable[..., Any], *arguments: Any) -> Any:
            jobs.append(job.__name__)
            return await in_thread(job, *arguments)

        monkeypatch.setattr(world, "in_thread", noted)
        body = {"mailMerge": to(2), "html": "<p>x</p>" * 20_000, "trackingEnabled": True}
        answer = await caller.ask("POST", SUBMIT, body)
        assert answer.status == 200, answer.json
        assert jobs.count("put_into") == 2
        assert {"draft_of", "with_text", "content_of"} <= {*jobs}


async def test_html_that_all_share_is_tracked_for_each(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        await engine.context.settings.update(service_url="https://mail.example.com")
        html = '<p>Hello <a href="https://shop.example/a">shop</a></p>'
        body = {"mailMerge": to(2), "subject": "Hi", "html": html, "trackingEnabled": True}
        results = (await caller.ask("POST", SUBMIT, body)).json["mailMerge"]
        await engine.until_ended(*(each["queueId"] for each in results))
        await trio.sleep(60)
        copies = engine.sandbox.account("acme@sandbox.example").folder("Sent").messages
        read = [email.message_from_bytes(each.raw, policy=email.policy.default) for each in copies]
        htmls = {each.get_body(("html",)).get_content() for each in read}
        assert len(htmls) == 2
        assert all("/redirect?data=" in each and "/open.gif?data=" in each for each in htmls)
        texts = {each.get_body(("plain",)).get_content() for each in read}
        assert texts == {"Hello shop <https://shop.example/a>"}


async def test_texts_are_no_templates_without_parameters(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        entries = to(1)
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "subject": "{{name}}", "text": "{{"})
        (result,) = answer.json["mailMerge"]
        assert (await engine.entry(result["queueId"]))["subject"] == "{{name}}"
        entries[0]["params"] = {"name": "Jo"}
        refused = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "subject": "{{name}}", "text": "{{"})
        assert (refused.status, refused.json["fields"][0]["path"]) == (422, "text")
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": entries, "subject": "{{params.name}}", "text": "x"})
        (result,) = answer.json["mailMerge"]
        assert (await engine.entry(result["queueId"]))["subject"] == "Jo"


async def test_who_has_left_the_list_is_skipped(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        await engine.context.settings.update(service_url="https://mail.example.com")
        left = {"account": "acme", "recipient": "u1@sandbox.example"}
        assert (await caller.ask("POST", "/v1/blocklist/news", left)).status == 200
        answer = await caller.ask("POST", SUBMIT, {"mailMerge": to(3), "text": "Hi", "listId": "news"})
        results = answer.json["mailMerge"]
        assert results[1]["success"] is True
        assert results[1]["skipped"]["listId"] == "news"
        assert "queueId" not in results[1]
        await engine.until_ended(results[0]["queueId"], results[2]["queueId"])
        await trio.sleep(60)
        copies = [each.raw for each in engine.sandbox.account("acme@sandbox.example").folder("Sent").messages]
        links = {email.message_from_bytes(each)["List-Unsubscribe"] for each in copies}
        assert len(links) == 2, links


def _named(count: int) -> list[NamedAddress]:
    return [NamedAddress(address=f"u{n}@sandbox.example") for n in range(count)]
