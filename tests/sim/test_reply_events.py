"""A reply to a sent message is announced once, with what its author wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from inbox import box, folder
from simulation import Engine, Simulation

from engine.accounts.replies import may_be_reply
from engine.imap.session import ImapSession
from engine.store import messages, replies

REPLY = (
    b"From: =?utf-8?q?B=C3=B6b?= <you@sandbox.example>\r\nTo: acme@sandbox.example\r\nSubject: Re: Hello\r\n"
    b"Message-ID: %(id)s\r\n%(header)sMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Sch=C3=B6n, Tuesday.\r\n\r\n-- \r\nBob\r\n\r\n"
    b"On Sat, Nov 28, 2026 at 10:00 AM Acme <acme@sandbox.example> wrote:\r\n\r\n> When?\r\n"
)


def deliver(
    engine: Engine, sent: str, header: bytes = b"", *, message_id: bytes = b"<r1@x.example>", path: str = "INBOX"
) -> None:
    named = header or b"In-Reply-To: " + sent.encode() + b"\r\n"
    raw = REPLY % {b"id": message_id, b"header": named}
    folder(engine, path).add(raw, engine.context.world.now())


async def sent(engine: Engine, *recipients: str) -> dict[str, Any]:
    await engine.register("acme")
    answer = await engine.submit("acme", *(recipients or ("you@sandbox.example",)))
    await engine.event("acme", "messageSent")
    return answer


async def test_a_reply(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        answer = await sent(engine)
        deliver(engine, answer["messageId"])
        event = await engine.event("acme", "messageReply")
        new = engine.events("acme", "messageNew")[-1]
        assert event["path"] == "INBOX"
        date = event["data"].pop("date")
        assert date == new["data"]["date"]
        assert event["data"] == {
            "id": new["data"]["id"],
            "queueId": answer["queueId"],
            "inReplyTo": answer["messageId"],
            "messageId": "<r1@x.example>",
            "subject": "Re: Hello",
            "from": {"name": "Böb", "address": "you@sandbox.example"},
            "auto": False,
            "extractedText": "Schön, Tuesday.",
            "sandbox": True,
        }


@pytest.mark.parametrize("path", ["INBOX", "Archive"])
async def test_only_references_name_it(tmp_path: Path, path: str, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        answer = await sent(engine)
        if path != "INBOX":
            box(engine).create(path, engine.context.world.now())
        header = b"In-Reply-To: <other@x.example>\r\nAuto-Submitted: auto-replied (vacation)\r\n"
        header += b"References: <a@x.example>\r\n "
        deliver(engine, "", header + answer["messageId"].encode() + b" <other@x.example>\r\n", path=path)
        event = await engine.event("acme", "messageReply")
        assert (event["path"], event["data"]["queueId"]) == (path, answer["queueId"])
        assert event["data"]["auto"] == "outOfOffice"


async def test_once_in_two_folders_and_after_a_restart(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    simulation = Simulation(tmp_path / "data", 4711)
    async with simulation.running() as engine:
        answer = await sent(engine)
        box(engine).create("Elsewhere", engine.context.world.now())
        deliver(engine, answer["messageId"])
        deliver(engine, answer["messageId"], path="Elsewhere")
        await trio.sleep(2000)
        new = [each["data"] for each in engine.events("acme", "messageNew") if each["data"]["path"] != "Sent"]
        assert {each["path"]: each["subject"] for each in new} == {"INBOX": "Re: Hello", "Elsewhere": "Re: Hello"}
        assert len(engine.events("acme", "messageReply")) == 1
    async with simulation.running() as engine:
        # The sandbox starts again empty, so the first look at its folders comes first.
        await trio.sleep(2000)
        deliver(engine, answer["messageId"])
        deliver(engine, answer["messageId"], message_id=b"<r2@x.example>")
        await engine.event("acme", "messageReply", 2)
        await trio.sleep(2000)
        shown = [each["data"]["messageId"] for each in engine.events("acme", "messageReply")]
        assert shown == ["<r1@x.example>", "<r2@x.example>"]
        db = engine.context.store.reader
        message = messages.by_queue_id(db, answer["queueId"])
        assert message is not None
        await engine.context.store.commit(
            lambda tx: tx.execute("DELETE FROM message WHERE id = ?", (message.id,)) and None
        )
        assert db.execute("SELECT count(*) FROM reply").fetchone() == (0,)


async def test_what_is_no_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    fetched: list[str] = []
    fetch = ImapSession.fetch

    async def noting(self: ImapSession, uids: Any, items: Any) -> Any:
        fetched.extend(items)
        return await fetch(self, uids, items)

    async with Simulation(tmp_path / "data", 4711).running() as engine:
        answer = await sent(engine)
        monkeypatch.setattr(ImapSession, "fetch", noting)
        deliver(engine, "<unknown@x.example>")
        for path in ("Sent", "Trash"):
            deliver(engine, answer["messageId"], path=path)
        # The account writes again to somebody else; a copy of it comes back.
        again = await engine.submit("acme", "other@sandbox.example")
        await engine.event("acme", "messageSent", 2)
        deliver(engine, answer["messageId"], message_id=b"<r9@x.example>", header=b"References: <>\r\n")
        await trio.sleep(2000)
        assert engine.events("acme", "messageReply") == []
        assert not any(item.startswith("BODY.PEEK[1]") for item in fetched)
        raw = b"From: acme@sandbox.example\r\nIn-Reply-To: %s\r\nMessage-ID: %s\r\n\r\nOne more thing.\r\n"
        copy = raw % (answer["messageId"].encode(), again["messageId"].encode())
        folder(engine).add(copy, engine.context.world.now())
        receipt = (
            b"From: you@sandbox.example\r\nIn-Reply-To: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report;"
            b' report-type=disposition-notification; boundary="b"\r\n\r\n--b\r\n\r\nRead.\r\n--b\r\n'
            b"Content-Type: message/disposition-notification\r\n\r\nDisposition: manual-action/MDN-sent-manually;"
            b" displayed\r\n\r\n--b--\r\n"
        )
        folder(engine).add(receipt % answer["messageId"].encode(), engine.context.world.now())
        await trio.sleep(2000)
        assert engine.events("acme", "messageReply") == []


@pytest.mark.parametrize(
    ("data", "may_be"),
    [
        ({}, True),
        ({"messageSpecialUse": "\\Inbox"}, True),
        ({"messageSpecialUse": "\\Sent"}, False),
        ({"isBounce": True}, False),
        ({"deliveryReport": []}, False),
    ],
)
def test_reports_and_own_mail_in_all_mail_are_none(data: dict[str, Any], may_be: bool) -> None:
    assert may_be_reply(data) is may_be


async def test_a_text_that_the_server_refuses(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    def script(tag: str, name: str, line: bytes) -> bytes | None:
        return b"%s NO not today\r\n" % tag.encode() if b"BODY.PEEK[1]" in line else None

    async with Simulation(tmp_path / "data", 4711).running() as engine:
        answer = await sent(engine)
        engine.sandbox.faults.imap_script = script
        deliver(engine, answer["messageId"])
        data = (await engine.event("acme", "messageReply"))["data"]
        assert data["queueId"] == answer["queueId"]
        assert "extractedText" not in data and data["auto"] is False


async def test_sent_messages_are_found_by_index(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        answer = await sent(engine)
        db = engine.context.store.reader
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        found = replies.find_sent(db, "acme", ["<x@x.example>", answer["messageId"]])
        db.set_trace_callback(None)
        assert found is not None and found.queue_id == answer["queueId"]
        (plan,) = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
        assert "INDEX message_by_message_id (message_id=?)" in plan
        assert replies.find_sent(db, "other", [answer["messageId"]]) is None
