"""Messages stored by request: composed or raw, their ids afterwards, and their events."""

from __future__ import annotations

import base64
import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from changing import Mail, changing
from inbox import SERVERS, folder
from simulation import Simulation


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


def stored(mail: Mail, path: str) -> EmailMessage:
    raw = folder(mail.engine, path).messages[-1].raw
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


async def test_composed(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing, count=0) as mail:
        body = {
            "path": "\\Drafts",
            "flags": ["\\Draft", "\\Seen"],
            "internalDate": "2027-01-16T10:00:00Z",
            "to": [{"address": "to@x.example"}],
            "bcc": [{"address": "hidden@x.example"}],
            "subject": "Grüße",
            "text": "Hallo",
            "messageId": "<1@x.example>",
            "attachments": [{"filename": "a.txt", "content": base64.b64encode(b"x").decode()}],
        }
        done = await mail.ask("POST", "message", body)
        assert (done["path"], done["messageId"], done["uid"]) == ("Drafts", "<1@x.example>", 1)
        shown = await mail.ask("GET", f"message/{done['id']}?textType=*")
        assert (shown["subject"], shown["bcc"][0]["address"], shown["draft"]) == ("Grüße", "hidden@x.example", True)
        assert shown["text"]["plain"].strip() == "Hallo"
        (message,) = folder(mail.engine, "Drafts").messages
        assert (message.flags, message.date) == ({"\\Draft", "\\Seen"}, 1800093600.0)
        await mail.rounds()
        assert mail.told() == [("messageNew", "Drafts", 1, "api")]


async def test_a_server_that_stores_nothing_in_a_mailbox_selected_for_reading(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """Courier."""
    async with changing(simulation, frozenset({"LITERAL+"})) as mail:
        selected = b""

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            nonlocal selected
            if name in ("EXAMINE", "SELECT"):
                selected = line.upper()
            refused = name == "APPEND" and b"EXAMINE" in selected and b"INBOX" in selected
            return f"{tag} NO Current box is selected READ-ONLY.\r\n".encode() if refused else None

        mail.engine.sandbox.faults.imap_script = script
        await mail.ask("GET", "messages?path=INBOX")
        raw = base64.b64encode(b"Subject: one\r\n\r\nx\r\n").decode()
        done = await mail.ask("POST", "message", {"path": "INBOX", "raw": raw})
        assert done["uid"] == 4
        assert (await mail.ask("GET", "messages?path=INBOX"))["total"] == 4


async def test_as_it_is(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        raw = b"Subject: one\nBcc: a@x.example,\n b@x.example\nX-Odd: \xff\n\nbody \xe4\nend"
        done = await mail.ask("POST", "message", {"path": "INBOX", "raw": base64.b64encode(raw).decode()})
        kept = folder(mail.engine).messages[-1].raw
        assert kept.count(b"\r\n") == kept.count(b"\n")
        head, body = kept.split(b"\r\n\r\n", 1)
        assert body == b"body \xe4\r\nend"
        assert head.startswith(b"Subject: one\r\nX-Odd: \xff\r\nMessage-ID: " + done["messageId"].encode())
        assert b"\r\nDate: " in head
        assert head.endswith(b"\r\nBcc: a@x.example,\r\n b@x.example")
        await mail.rounds()
        assert mail.told() == [("messageNew", "INBOX", 1, "api")]


async def test_members_beside_raw_replace_its_fields(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        raw = (
            b"From: Old <old@x.example>\r\nSUBJECT: old\r\n folded\r\nTo: a@x.example\r\nTo: b@x.example\r\n"
            b"Bcc: c@x.example\r\nX-Tag: old\r\nX-Own: kept\r\nMessage-ID: <old@x>\r\n"
            b"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
            b"<p>h\xc3\xa9</p>\r\n"
        )
        given = {
            "subject": "Größe",
            "to": {"name": "Zoë", "address": "z@x.example"},
            "bcc": [{"address": "d@x.example"}],
            "cc": [],
            "messageId": "new@x",
            "headers": {"x-tag": ["one", "two"]},
        }
        done = await mail.ask("POST", "message", {"path": "INBOX", "raw": base64.b64encode(raw).decode(), **given})
        assert done["messageId"] == "<new@x>"
        found = email.message_from_bytes(folder(mail.engine).messages[-1].raw, policy=email.policy.default)
        shown = {name.lower(): [str(each) for each in found.get_all(name)] for name in found}
        assert shown == {
            "from": ["Old <old@x.example>"],
            "subject": ["Größe"],
            "to": ["Zoë <z@x.example>"],
            "bcc": ["d@x.example"],
            "x-tag": ["one", "two"],
            "x-own": ["kept"],
            "message-id": ["<new@x>"],
            "date": ["Mon, 01 Jan 2024 10:00:00 +0000"],
            "content-type": ['text/html; charset="utf-8"'],
        }
        assert found.get_content() == "<p>hé</p>\r\n"


@pytest.mark.parametrize(
    ("action", "subject", "to", "cc", "answers"),
    [
        ("reply", "Re: Grüße", "answers@x.example", None, True),
        ("reply-all", "Re: Grüße", "answers@x.example, bob@x.example", "carol@x.example", True),
        ("forward", "Fwd: Grüße", None, None, False),
    ],
)
async def test_what_follows_from_a_reference(
    simulation: Simulation,
    action: str,
    subject: str,
    to: str | None,
    cc: str | None,
    answers: bool,
    autojump_clock: trio.testing.MockClock,
) -> None:
    original = (
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: Alice <alice@x.example>\r\nReply-To: answers@x.example\r\n"
        "To: acme@sandbox.example, bob@x.example\r\nCc: carol@x.example, bob@x.example\r\n"
        "Message-ID: <2@x.example>\r\nReferences: <0@x.example> <1@x.example>\r\n\r\nx\r\n"
    )
    async with changing(simulation, count=0) as mail:
        folder(mail.engine).add(original.encode(), mail.engine.context.world.now())
        id = await mail.id_of(1)
        body: dict[str, Any] = {"path": "Drafts", "text": "x", "reference": {"message": id, "action": action}}
        done = await mail.ask("POST", "message", body)
        assert done["reference"] == {"message": id, "success": True}
        made = stored(mail, "Drafts")
        assert (made["Subject"], made["To"], made["Cc"]) == (subject, to, cc)
        assert made["References"] == "<0@x.example> <1@x.example> <2@x.example>"
        assert (made["In-Reply-To"] == "<2@x.example>") == answers

        body["reference"]["messageId"] = "<other@x.example>"
        answer = await mail.answer("POST", "message", body)
        assert (answer.status, answer.json["code"]) == (404, "MessageNotFound")
        body["reference"] = {"message": id[:-1] + "9"}
        answer = await mail.answer("POST", "message", body)
        assert (answer.status, answer.json["code"]) == (404, "ReferenceNotFound")
        body["reference"]["ignoreMissing"] = True
        assert (await mail.ask("POST", "message", body))["reference"]["success"] is False


@pytest.mark.parametrize(
    ("more", "status", "what"),
    [
        ({"path": "Nowhere"}, 404, "Nowhere"),
        ({"flags": ["a b"]}, 400, "flags[0]"),
        ({"raw": "eA==", "reference": {"message": "AAAAAQAAAAE", "inline": True}}, 400, "reference"),
        ({"reference": {"message": "AAAAAQAAAAE", "forwardAttachments": True}}, 400, "unless action is forward"),
        ({"reference": {"action": "reply"}}, 400, "reference.message"),
        ({"reference": {"message": "?"}}, 400, "reference.message"),
        ({"attachments": [{"filename": "x"}]}, 400, "attachments[0].content"),
        ({"attachments": [{"content": "eA==", "reference": "AAAAAQAAAAEy"}]}, 400, "attachments[0].content"),
        ({"attachments": [{"content": "eA=="}, {"reference": "?"}]}, 400, "attachments[1].reference"),
        ({"attachments": [{"content": "eA=="}, {"reference": "AAAAAQAAAAEy"}]}, 404, "attachments[1].reference"),
        ({"reference": {"message": "AAAAAQAAAAE"}, "tz": "Mars/Olympus"}, 400, "tz"),
        ({"raw": "eA==", "text": ""}, 400, "text"),
        ({"headers": {"Subject": "x"}}, 400, "headers"),
        ({"internalDate": "yesterday"}, 400, "internalDate"),
    ],
)
async def test_what_cannot_be_stored(
    simulation: Simulation, more: dict[str, object], status: int, what: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        answer = await mail.answer("POST", "message", {"path": "INBOX", **more})
        assert answer.status == status
        assert what in answer.body.decode()
        assert folder(mail.engine).messages == []


async def test_a_server_that_does_not_take_it(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        mail.engine.sandbox.faults.sent_append_fails = 1
        answer = await mail.answer("POST", "message", {"path": "INBOX", "text": "x"})
        assert (answer.status, answer.json["code"]) == (502, "UploadFail")
        assert "failed" in answer.json["message"]


async def test_large(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, SERVERS["nothing"], count=0) as mail:
        raw = b"Subject: large\r\n\r\n" + b"x" * 70 + b"\r\n" * 3_000_000
        done = await mail.ask("POST", "message", {"path": "INBOX", "raw": base64.b64encode(raw).decode()})
        assert done["uid"] == 1
        assert len(folder(mail.engine).messages[0].raw) > len(raw)
