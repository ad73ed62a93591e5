"""Replies and forwards: who gets them, what they quote and take along, and what the answer says."""

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
from inbox import folder
from simulation import Simulation

from engine.accounts.message_ids import attachment_id
from engine.errors import NetworkError, NetworkKind
from engine.isotime import iso

PICTURE = b"\x89PNG one"
ORIGINAL = f"""\
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
From: "Alice, A." <alice@x.example>
Reply-To: answers@x.example
To: ACME@sandbox.example, bob@x.example, "Tagged" <acme+tag@sandbox.example>
Cc: carol@x.example, bob@x.example
Message-ID: <2@x.example>
References: <0@x.example> <1@x.example>
Date: Sun, 22 Nov 2026 11:45:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: multipart/related; boundary=r

--r
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; charset=utf-8

one
> two
--a
Content-Type: text/html; charset=utf-8

<style>p {{ color: red }}</style><p onclick="x()">one</p><script>x()</script><img src="cid:logo@x"><img src="cid:no@x">
--a--
--r
Content-Type: image/png; name=logo.png
Content-Transfer-Encoding: base64
Content-ID: <logo@x>
Content-Disposition: inline; filename=logo.png

{base64.b64encode(PICTURE).decode()}
--r--
--m
Content-Type: text/csv; charset=iso-8859-1
Content-Disposition: attachment; filename*=utf-8''%C3%BC.csv
Content-Transfer-Encoding: quoted-printable

a=3Db
--m
Content-Type: message/rfc822

Subject: inner

inner text
--m--
""".replace("\n", "\r\n")


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def original(mail: Mail, raw: str = ORIGINAL) -> str:
    folder(mail.engine).add(raw.encode(), mail.engine.context.world.now())
    return await mail.id_of(1)


async def rehearsed(mail: Mail, reference: dict[str, Any], **members: Any) -> EmailMessage:
    """The message that a dry run shows."""
    made = await mail.ask("POST", "submit", {"reference": reference, "dryRun": True, **members})
    assert made["reference"] == {"message": reference["message"], "documentStore": False, "success": True}
    found = email.message_from_bytes(base64.b64decode(made["preview"]), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def queued(mail: Mail) -> int:
    row = mail.engine.context.store.reader.execute("SELECT count(*) FROM message").fetchone()
    return int(row[0])


def in_an_hour(mail: Mail) -> str:
    return iso(mail.engine.context.world.now() + 3_600)


def left(mail: Mail) -> int:
    """How much is still to follow from sent mail."""
    row = mail.engine.context.store.reader.execute("SELECT count(*) FROM follow_up").fetchone()
    return int(row[0])


def texts(message: EmailMessage) -> dict[str, str]:
    parts = [part for part in message.walk() if part.get_content_maintype() == "text" and not part.is_attachment()]
    return {part.get_content_subtype(): part.get_content().replace("\r\n", "\n") for part in parts}


@pytest.mark.parametrize(
    ("action", "given", "subject", "to", "cc"),
    [
        ("reply", {}, "Re: Grüße", "answers@x.example", None),
        ("reply", {"to": [{"address": "t@x.example"}]}, "Re: Grüße", "t@x.example", None),
        ("reply", {"cc": [{"address": "t@x.example"}]}, "Re: Grüße", "answers@x.example", "t@x.example"),
        ("reply-all", {"subject": "Other"}, "Other", "answers@x.example, bob@x.example", "carol@x.example"),
        (
            "reply-all",
            {"to": [{"address": "t@x.example"}], "bcc": [{"address": "bob@x.example"}]},
            "Re: Grüße",
            "t@x.example, answers@x.example",
            "carol@x.example",
        ),
        ("forward", {"to": [{"address": "t@x.example"}]}, "Fwd: Grüße", "t@x.example", None),
    ],
)
async def test_who_gets_it(
    simulation: Simulation,
    action: str,
    given: dict[str, Any],
    subject: str,
    to: str,
    cc: str | None,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with changing(simulation, count=0) as mail:
        made = await rehearsed(mail, {"message": await original(mail), "action": action}, text="new", **given)
        assert (made["Subject"], made["To"], made["Cc"]) == (subject, to, cc)
        assert made["References"] == "<0@x.example> <1@x.example> <2@x.example>"
        assert made["In-Reply-To"] == (None if action == "forward" else "<2@x.example>")
        assert texts(made) == {"plain": "new\n"}


async def test_what_a_reply_quotes(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        reference = {"message": await original(mail), "inline": True}
        made = await rehearsed(mail, reference, text="new", html="<p>new</p>", locale="de", tz="Europe/Berlin")
        shown = texts(made)
        assert shown["plain"] == "new\n\nAm 22.11.2026 um 12:45 schrieb Alice, A.:\n> one\n>> two"
        assert shown["html"].startswith("<p>new</p><br><div><p>Am 22.11.2026 um 12:45 schrieb Alice, A.:</p>")
        assert '<p>one</p><img src="cid:logo@x"><img src="cid:no@x"></blockquote></div>' in shown["html"]
        assert "x()" not in shown["html"]
        (picture,) = [part for part in made.walk() if part.get_content_maintype() == "image"]
        assert (picture["Content-ID"], picture.get_content()) == ("<logo@x>", PICTURE)
        assert (picture.get_content_disposition(), picture.get_filename()) == ("inline", "logo.png")
        assert [part.get_content_type() for part in made.walk()] == [
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/png",
        ]
        plain = await rehearsed(mail, reference, text="new")
        assert [part.get_content_type() for part in plain.walk()] == ["text/plain"]
        assert set(texts(await rehearsed(mail, reference))) == {"plain", "html"}


async def test_the_settings_give_language_and_time_zone_where_nothing_else_does(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        reference = {"message": await original(mail), "inline": True}
        settings = {"locale": "fr", "timezone": "Europe/Berlin"}
        assert (await mail.caller.ask("POST", "/v1/settings", settings)).status == 200
        assert (
            "Le 22/11/2026 à 12:45, Alice, A. a écrit :" in texts(await rehearsed(mail, reference, text="n"))["plain"]
        )
        own = await rehearsed(mail, reference, text="new", locale="de", tz="UTC")
        assert "Am 22.11.2026 um 11:45 schrieb" in texts(own)["plain"]
        answer = await mail.caller.ask("POST", "/v1/settings", {"timezone": "Mars/Olympus"})
        assert [each["message"] for each in answer.json["fields"]] == [
            '"timezone" is no time zone; "Europe/Berlin" is one'
        ]


async def test_a_picture_whose_id_is_taken_gets_another(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        own = {"filename": "own.png", "cid": "logo@x", "content": base64.b64encode(b"own").decode()}
        reference = {"message": await original(mail), "inline": True}
        made = await rehearsed(mail, reference, html='<img src="cid:logo@x">', attachments=[own])
        pictures = {
            part["Content-ID"].strip("<>"): part.get_content() for part in made.walk() if part["Content-ID"] is not None
        }
        assert sorted(pictures.values()) == [b"own", PICTURE]
        renamed = next(name for name, data in pictures.items() if data == PICTURE)
        assert pictures["logo@x"] == b"own"
        assert texts(made)["html"].count("cid:logo@x") == 1
        assert texts(made)["html"].count(f"cid:{renamed}") == 1


async def test_what_a_forward_takes_along(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        reference = {"message": await original(mail), "action": "forward", "forwardAttachments": True}
        to = {"address": "t@x.example"}
        made = await rehearsed(mail, reference, to=to, text="see below")
        files = [(part.get_content_type(), part.get_filename()) for part in made.iter_attachments()]
        assert files == [("text/csv", "ü.csv"), ("message/rfc822", "message.eml")]
        table, inner = made.iter_attachments()
        assert (table.get_content(), table.get_content_charset()) == ("a=b", "iso-8859-1")
        assert inner.get_content().get_content() == "inner text"

        reference["inline"] = True
        made = await rehearsed(mail, reference, to=to, html="<p>see below</p>")
        kinds = [part.get_content_type() for part in made.walk() if not part.is_multipart()]
        assert kinds == ["text/plain", "text/html", "image/png", "text/csv", "text/plain"]
        assert "<b>From:</b> Alice, A. &lt;alice@x.example&gt;<br>" in texts(made)["html"]


async def test_files_of_other_messages(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        id = await original(mail)
        listed = (await mail.ask("GET", f"message/{id}"))["attachments"]
        table = next(each["id"] for each in listed if each["contentType"] == "text/csv")
        given = [
            {"filename": "new.txt", "content": "eA=="},
            {"reference": table},
            {"reference": table, "filename": "other.txt", "contentType": "text/plain", "cid": "c@x"},
            {"reference": None, "content": "eQ=="},
        ]
        body = {"to": {"address": "t@x.example"}, "html": "<img src=cid:c@x>", "attachments": given, "dryRun": True}
        made = await mail.ask("POST", "submit", body)
        assert "reference" not in made
        found = email.message_from_bytes(base64.b64decode(made["preview"]), policy=email.policy.default)
        files = [
            (
                part.get_filename(),
                part.get_content_type(),
                part.get_content_disposition(),
                part.get_payload(decode=True),
            )
            for part in found.walk()
            if part.get_content_disposition()
        ]
        assert files == [
            ("other.txt", "text/plain", "inline", b"a=b"),
            ("new.txt", "text/plain", "attachment", b"x"),
            ("ü.csv", "text/csv", "attachment", b"a=b"),
            (None, "application/octet-stream", "attachment", b"y"),
        ]
        for wrong, status in ((id, 404), ("AAAAAQAAAGMy", 404), (attachment_id(1, 1, "9.9"), 404), ("?", 400)):
            body["attachments"] = [given[0], {"reference": wrong}]
            answer = await mail.answer("POST", "submit", body)
            assert answer.status == status
            assert answer.json["fields"][0]["path"] == "attachments[1].reference"


async def test_what_is_missing(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        id = await original(mail)
        body: dict[str, Any] = {"text": "x", "reference": {"message": id[:-1] + "9"}}
        answer = await mail.answer("POST", "submit", body)
        assert (answer.status, answer.json["code"]) == (404, "ReferenceNotFound")
        body["reference"]["ignoreMissing"] = True
        answer = await mail.answer("POST", "submit", body)  # nobody is left to get it
        assert (answer.status, answer.json["fields"][0]["path"]) == (400, "to")
        body["to"] = {"address": "t@x.example"}
        done = await mail.ask("POST", "submit", body)
        shown = {"message": body["reference"]["message"], "documentStore": False, "success": False}
        assert done["reference"] == {**shown, "error": "Referenced message was not found"}
        assert done["response"] == "Queued for delivery"

        body["reference"] = {"message": id, "messageId": "<other@x.example>", "ignoreMissing": True}
        answer = await mail.answer("POST", "submit", body)
        assert (answer.status, answer.json["code"]) == (404, "MessageNotFound")
        body["reference"]["messageId"] = "2@x.example"
        assert (await mail.ask("POST", "submit", body))["reference"]["success"] is True
        assert queued(mail) == 2


async def test_a_mailbox_that_is_away(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        id = await original(mail)
        faults = mail.engine.sandbox.faults
        faults.refuse_dial = NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "refused")
        faults.cut_imap()
        await trio.sleep(10)
        body = {"to": {"address": "t@x.example"}, "text": "x", "reference": {"message": id, "ignoreMissing": True}}
        answer = await mail.answer("POST", "submit", body)
        assert (answer.status, answer.json["code"]) == (503, "IMAPUnavailable")
        assert queued(mail) == 0
        del body["reference"]
        assert (await mail.answer("POST", "submit", body)).status == 200  # nothing of the mailbox is needed


@pytest.mark.parametrize(
    ("action", "flag"), [("reply", "\\Answered"), ("reply-all", "\\Answered"), ("forward", "$Forwarded")]
)
async def test_the_original_is_marked_once_that_is_sent(
    simulation: Simulation, missing: frozenset[str], action: str, flag: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing, count=0) as mail:
        body = {
            "to": {"address": "t@x.example"},
            "text": "x",
            "sendAt": in_an_hour(mail),
            "reference": {"message": await original(mail), "action": action},
        }
        done = await mail.ask("POST", "submit", body)
        await trio.sleep(600)
        assert flag not in mail.flags(1)
        mail.told()
        await mail.engine.until_ended(done["queueId"])
        await trio.sleep(60)
        assert mail.flags(1) >= {flag}
        assert [each for each in mail.told() if each[0] == "messageUpdated"] == [("messageUpdated", "INBOX", 1, "api")]
        await mail.rounds()
        assert [each for each in mail.told() if each[0] == "messageUpdated"] == []
        assert not left(mail)


async def test_marks_survive_an_outage(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        id, faults = await original(mail), mail.engine.sandbox.faults
        refused: list[str] = []

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            if name != "UID STORE":
                return None
            refused.append(tag)
            return f"{tag} NO [UNAVAILABLE] later\r\n".encode()

        faults.imap_script = script
        done = await mail.ask("POST", "submit", {"text": "x", "reference": {"message": id}})
        await mail.engine.until_ended(done["queueId"])
        await trio.sleep(60)
        assert (mail.flags(1), left(mail)) == (frozenset(), 1)
        assert refused
        faults.imap_script = None
        await trio.sleep(7_200)
        assert (mail.flags(1), left(mail)) == ({"\\Answered"}, 0)


async def test_a_folder_that_is_gone_costs_nothing(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        await mail.ask("POST", "mailbox", {"path": ["Deals"]})
        folder(mail.engine, "Deals").add(ORIGINAL.encode(), mail.engine.context.world.now())
        id = await mail.id_of(1, "Deals")
        await mail.rounds()
        later = {"text": "x", "reference": {"message": id}, "sendAt": in_an_hour(mail)}
        done = await mail.ask("POST", "submit", later)
        await mail.caller.ask("DELETE", "/v1/account/acme/mailbox?path=Deals")
        await mail.rounds()
        await mail.engine.until_ended(done["queueId"])
        await trio.sleep(60)
        assert left(mail) == 0
        assert len(mail.engine.events("acme", "messageSent")) == 1


async def test_nothing_follows_from_a_message_that_is_cancelled(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        later = {"text": "x", "reference": {"message": await original(mail)}, "sendAt": in_an_hour(mail)}
        done = await mail.ask("POST", "submit", later)
        assert left(mail) == 1
        await mail.caller.ask("DELETE", f"/v1/outbox/{done['queueId']}")
        await trio.sleep(60)
        assert (mail.flags(1), left(mail)) == (frozenset(), 0)


async def test_the_newest_message_of_a_conversation(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        mail.engine.sandbox.faults.play_gmail = True
        mail.engine.sandbox.faults.cut_imap()
        await trio.sleep(600)
        thread = (await mail.ask("GET", f"message/{await original(mail)}"))["threadId"]

        def script(tag: str, name: str, line: bytes) -> bytes | None:
            if name != "UID SEARCH" or b"X-GM-THRID" not in line:
                return None
            found = b" ALL 1" if thread.encode() in line else b""
            return b'* ESEARCH (TAG "%b") UID%b\r\n%b OK done\r\n' % (tag.encode(), found, tag.encode())

        mail.engine.sandbox.faults.imap_script = script
        body = {"text": "x", "dryRun": True, "reference": {"threadId": thread}}
        made = await mail.ask("POST", "submit", body)
        assert made["reference"] == {"threadId": thread, "documentStore": False, "success": True}
        assert b"In-Reply-To: <2@x.example>" in base64.b64decode(made["preview"])
        body["reference"] = {"threadId": "1"}
        answer = await mail.answer("POST", "submit", body)
        assert (answer.status, answer.json["code"]) == (404, "ReferenceNotFound")


async def test_beside_raw_it_adds_what_lacks(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=0) as mail:
        raw = base64.b64encode(b"From: acme@sandbox.example\r\nTo: t@x.example\r\n\r\nmine\r\n").decode()
        made = await rehearsed(mail, {"message": await original(mail), "action": "reply"}, raw=raw)
        assert (made["To"], made["Subject"], made["In-Reply-To"]) == ("t@x.example", "Re: Grüße", "<2@x.example>")
        assert made.get_content() == "mine\r\n"


@pytest.mark.parametrize(
    ("author", "shown"),
    [
        (b"Some One <nowhere>", "Some One <nowhere>"),
        (b"=?utf-8?q?J=C3=B6rg?= <a@x..example>", "J\u00f6rg <a@x..example>"),
        (b"daemon", "daemon"),
    ],
)
async def test_a_forward_shows_an_author_to_whom_nothing_can_be_sent(
    simulation: Simulation, author: bytes, shown: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, count=0) as mail:
        raw = b"From: " + author + b"\r\nTo: ok@x.example, Printer <lp0>\r\nSubject: x\r\n\r\nHallo\r\n"
        uid = folder(mail.engine).add(raw, 1.0, ()).uid
        await mail.rounds()
        reference = {"message": await mail.id_of(uid), "action": "forward", "inline": True}
        answer = await mail.ask("POST", "submit", {"to": "t@x.example", "reference": reference, "dryRun": True})
        made = email.message_from_bytes(base64.b64decode(answer["preview"]), policy=email.policy.default)
        for kind in ("plain", "html"):
            part = made.get_body((kind,))
            lines = part.get_content().replace("<br>", "\n").replace("&lt;", "<").replace("&gt;", ">")
            line = next(each for each in lines.splitlines() if "From:" in each)
            assert shown in line, lines
            assert "Printer <lp0>" in next(each for each in lines.splitlines() if "To:" in each)
