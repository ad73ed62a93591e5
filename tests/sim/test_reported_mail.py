"""Bounces and complaints find the message they are about."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from asking import Caller
from simulation import Engine, Simulation

from engine.imap.session import ImapSession
from engine.store import bounces, messages


def report(kind: str, part: bytes, original: bytes) -> bytes:
    return (
        b"From: MAILER-DAEMON@mx.example\r\nTo: acme@sandbox.example\r\nSubject: report\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary="b"; report-type=' + kind.encode() + b"\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\n"
        + part
        + b"\r\n--b\r\n"
        + original
        + b"\r\n--b--\r\n"
    )


def deliver(engine: Engine, raw: bytes, path: str = "INBOX") -> None:
    folder = engine.sandbox.account("acme@sandbox.example").folder(path)
    folder.add(raw, engine.context.world.now())


async def test_the_queue_id_travels_as_envelope_id(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "you@example.com")
        await engine.event("acme", "messageSent")
        ((envelope, _),) = engine.sandbox.outside
        assert envelope.envelope_id == answer["queueId"]


@pytest.mark.parametrize("told", ["message", "headers", "envelope id"])
async def test_a_bounce(tmp_path: Path, told: str, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "You@sandbox.example", "other@sandbox.example")
        await engine.event("acme", "messageSent")
        header = b"Message-ID: " + answer["messageId"].encode() + b"\r\nSubject: Hello\r\n"
        original = {
            "message": b"Content-Type: message/rfc822\r\n\r\n" + header + b"\r\nHi\r\n",
            "headers": b"Content-Type: text/rfc822-headers\r\n\r\n" + header,
            "envelope id": b"Content-Type: text/plain\r\n\r\ngone\r\n",
        }[told]
        status = (
            b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n"
            b"Original-Envelope-Id: " + answer["queueId"].encode() + b"\r\n\r\n"
            b"Final-Recipient: rfc822; you@sandbox.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
            b"Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
            b"Final-Recipient: rfc822; other@sandbox.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n"
        )
        deliver(engine, report("delivery-status", status, original))
        bounce = (await engine.event("acme", "messageBounce"))["data"]
        (new,) = [each["data"] for each in engine.events("acme", "messageNew") if each["data"]["path"] == "INBOX"]
        assert new["isBounce"] is True
        assert new["deliveryReport"] == [
            {"recipient": "other@sandbox.example", "action": "delayed", "status": "4.4.1"},
        ]
        assert bounce["bounceMessage"] == new["id"]
        assert bounce["queueId"] == answer["queueId"]
        assert (bounce["recipient"], bounce["action"], bounce["mta"]) == ("you@sandbox.example", "failed", "mx.example")
        assert bounce["response"] == {
            "source": "smtp",
            "message": "550 5.1.1 User unknown",
            "status": "5.1.1",
            "category": "user_unknown",
            "recommendedAction": "remove",
        }
        assert (bounce["bounceType"], bounce["source"]) == ("hard", "dsn")
        assert (bounce["explain"]["fault"], bounce["explain"]["what"]) == (
            "recipient",
            "There is no mailbox with this address.",
        )
        if told != "envelope id":
            assert bounce["messageId"] == new["relatedMessageId"] == answer["messageId"]
            assert bounce["messageHeaders"]["subject"] == ["Hello"]
        db = engine.context.store.reader
        message = messages.by_queue_id(db, answer["queueId"])
        assert message is not None
        (marked,) = bounces.of_message(db, message.id).values()
        assert (marked.address, marked.action, marked.status) == ("you@sandbox.example", "failed", "5.1.1")
        # The message itself tells of it too, where it is read and where it is new.
        deliver(engine, b"From: acme@sandbox.example\r\nMessage-ID: " + answer["messageId"].encode() + b"\r\n\r\nHi")
        again = (await engine.event("acme", "messageNew", len(engine.events("acme", "messageNew")) + 1))["data"]
        shown = (await (await Caller.of(engine)).ask("GET", f"/v1/account/acme/message/{again['id']}")).json
        (earlier,) = shown["bounces"]
        assert again["bounces"] == [earlier]
        assert earlier.pop("date").endswith("Z")
        assert earlier == {
            "message": new["id"],
            "recipient": "you@sandbox.example",
            "action": "failed",
            "response": {"message": "550 5.1.1 User unknown", "status": "5.1.1"},
        }
        assert "bounces" not in new
        await engine.context.store.commit(
            lambda tx: tx.execute("DELETE FROM message WHERE id = ?", (message.id,)) and None
        )
        assert bounces.of_message(db, message.id) == {}


async def test_a_bounce_of_somebody_elses_mail_and_a_report_of_success(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        original = b"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <unknown@x.example>\r\n"
        status = b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; m\r\n\r\n"
        failed = status + b"Final-Recipient: rfc822; a@x.example\r\nAction: failed\r\n"
        fine = status + b"Final-Recipient: rfc822; a@x.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n"
        for path in ("INBOX", "Trash"):
            deliver(engine, report("delivery-status", failed, original), path)
        deliver(engine, report("delivery-status", fine, original))
        deliver(engine, report("delivery-status", b"Content-Type: text/plain\r\n\r\nx\r\n", original))
        await trio.sleep(2000)
        (bounce,) = engine.events("acme", "messageBounce")
        assert "queueId" not in bounce["data"]
        assert bounce["data"]["messageId"] == "<unknown@x.example>"
        shown = [each["data"] for each in engine.events("acme", "messageNew")]
        assert [each.get("isBounce") for each in shown] == [True, None, None, None]
        assert shown[1]["deliveryReport"] == [{"recipient": "a@x.example", "action": "delivered", "status": "2.0.0"}]


async def test_a_complaint(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "you@sandbox.example")
        await engine.event("acme", "messageSent")
        part = (
            b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: X/1\r\nVersion: 1\r\n"
            b"Original-Rcpt-To: <you@sandbox.example>\r\n"
        )
        header = b"Message-ID: " + answer["messageId"].encode() + b"\r\nTo: you@sandbox.example\r\nSubject: Hello\r\n"
        deliver(
            engine, report("feedback-report", part, b"Content-Type: message/rfc822\r\n\r\n" + header + b"\r\nHi\r\n")
        )
        data = (await engine.event("acme", "messageComplaint"))["data"]
        assert data == {
            "complaintMessage": data["complaintMessage"],
            "queueId": answer["queueId"],
            "arf": {
                "feedbackType": "abuse",
                "userAgent": "X/1",
                "version": "1",
                "originalRcptTo": ["you@sandbox.example"],
            },
            "headers": {"messageId": answer["messageId"], "to": ["you@sandbox.example"], "subject": "Hello"},
            "sandbox": True,
        }


async def test_nobody_wrote_it(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        fields = [
            b"Auto-Submitted: auto-replied (vacation)\r\n",
            b"Subject: Automatic reply: hi\r\nIn-Reply-To: <1@x.example>\r\n",
            b"Precedence: auto_reply\r\n",
            b"X-Autoreply: yes\r\n",
            b"Auto-Submitted: no\r\nSubject: Automatic reply\r\n",
            b"Precedence: bulk\r\n",
            b"X-Auto-Response-Suppress: All\r\n",
            b"X-Auto-Response-Suppress: DR, OOF, AutoReply\r\nList-Id: <news.x.example>\r\n",
            b"X-Auto-Response-Suppress: DR, RN\r\n",
            b"Subject: OOO: hi\r\nReferences: <1@x.example>\r\n",
            b"Subject: =?utf-8?q?R=C3=A9ponse?= automatique : hi\r\nIn-Reply-To: <1@x.example>\r\n",
            b"Subject: Auto parts\r\nIn-Reply-To: <1@x.example>\r\n",
        ]
        for field in fields:
            deliver(engine, b"From: a@x.example\r\n" + field + b"\r\nhi\r\n")
        await engine.event("acme", "messageNew", len(fields))
        shown = [each["data"].get("isAutoReply", False) for each in engine.events("acme", "messageNew")]
        assert shown == [*[True] * 4, False, False, True, False, False, True, True, False]


PROSE = (
    b"Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example>\r\nTo: acme@sandbox.example\r\n"
    b"Subject: Mail delivery failed\r\n\r\nThe following address failed:\r\n\r\n"
    b"  <you@sandbox.example>:\r\n    550 5.1.1 no such user\r\n\r\n"
    b"--- Below this line is a copy of the message.\r\n\r\n"
)


async def test_a_bounce_in_prose(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "you@sandbox.example")
        await engine.event("acme", "messageSent")
        deliver(engine, PROSE + b"From: acme@sandbox.example\r\nMessage-ID: " + answer["messageId"].encode() + b"\r\n")
        bounce = (await engine.event("acme", "messageBounce"))["data"]
        assert (bounce["recipient"], bounce["bounceType"], bounce["source"]) == ("you@sandbox.example", "hard", "text")
        assert (bounce["queueId"], bounce["messageId"]) == (answer["queueId"], answer["messageId"])
        assert bounce["response"]["message"] == "550 5.1.1 no such user"
        message = messages.by_queue_id(engine.context.store.reader, answer["queueId"])
        assert message is not None
        assert list(bounces.of_message(engine.context.store.reader, message.id)) == ["you@sandbox.example"]


async def test_a_report_below_other_parts_linked_by_what_it_answers(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        answer = await engine.submit("acme", "you@sandbox.example")
        await engine.event("acme", "messageSent")
        deliver(
            engine,
            b"From: x@mx.example\r\nTo: acme@sandbox.example\r\nSubject: about your mail\r\n"
            b"References: <other@x.example> " + answer["messageId"].encode() + b"\r\nMIME-Version: 1.0\r\n"
            b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\n'
            b'Content-Type: multipart/related; boundary="b"\r\n\r\n'
            b"--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
            b"\r\n\r\n\r\nFinal-Recipient: rfc822; you@sandbox.example\r\nStatus: 4.2.2\r\n"
            b"Diagnostic-Code: smtp; 452 4.2.2 over quota\r\n\r\n--b--\r\n--o--\r\n",
        )
        bounce = (await engine.event("acme", "messageBounce"))["data"]
        assert (bounce["queueId"], bounce["action"], bounce["bounceType"]) == (answer["queueId"], "failed", "soft")
        assert bounce["response"]["category"] == "mailbox_full"


async def test_the_text_of_ordinary_mail_is_not_asked_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetch = ImapSession.fetch

    async def noted(self: ImapSession, which: tuple[tuple[int, int], ...], items: list[str]) -> object:
        asked.extend(each for each in items if each.startswith("BODY.PEEK[]"))
        return await fetch(self, which, items)

    monkeypatch.setattr(ImapSession, "fetch", noted)
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        for head in (
            b"From: a@x.example\r\nSubject: Re: Undelivered Mail Returned to Sender\r\n",
            b"From: a@x.example\r\nSubject: lunch\r\n",
            b"Return-Path: <>\r\nFrom: a@x.example\r\nAuto-Submitted: auto-replied\r\nSubject: away\r\n",
        ):
            deliver(engine, head + b"To: acme@sandbox.example\r\n\r\nfailed: 550 <you@sandbox.example>\r\n")
        await engine.event("acme", "messageNew", 3)
        assert asked == []
        deliver(engine, PROSE)
        await engine.event("acme", "messageBounce")
        assert asked == ["BODY.PEEK[]<0.65536>"]
