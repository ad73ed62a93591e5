"""One message read: what is known of it, its text, its source, its files; odd ones too."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from asking import Answer, Caller
from inbox import box, deliver, folder
from simulation import Engine, Simulation

from engine.accounts import message_ids
from engine.accounts.message_text import GLANCE_BYTES, PIECE_BYTES
from engine.imap.reader import DOWNLOAD_BYTES

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
HTML = '<p onclick="x()">Grüße <img src="cid:pic@x"><img src="http://t.example/spy.gif"><script>x()</script></p>'
LETTER = (
    "From: =?utf-8?q?=C3=84lice?= <alice@x.example>\r\nSender: sec@x.example\r\nReply-To: r@x.example\r\n"
    "To: acme@sandbox.example, B <b@x.example>\r\nCc: c@x.example\r\nBcc: d@x.example\r\n"
    "Date: Sun, 22 Nov 2026 11:00:00 +0200\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@x.example>\r\n"
    "In-Reply-To: <0@x.example>\r\nAuto-Submitted: auto-replied\r\nX-Tag: one\r\nX-Tag: =?utf-8?q?zw=C3=B6lf?=\r\n"
    'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="m"\r\n\r\n'
    '--m\r\nContent-Type: multipart/alternative; boundary="a"\r\n\r\n'
    "--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    "Gr=FC=DFe=\r\n und mehr\r\n"
    '--a\r\nContent-Type: multipart/related; boundary="r"\r\n\r\n'
    "--r\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(HTML.encode()).decode().replace("\n", "\r\n")
    + "--r\r\nContent-Type: image/png\r\nContent-ID: <pic@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(PICTURE).decode().replace("\n", "\r\n")
    + "--r--\r\n--a--\r\n"
    "--m\r\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\n"
    "--m\r\nContent-Type: application/pdf; name=x\r\nContent-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename*=utf-8''%C3%9Cbersicht%22.pdf\r\n\r\nJVBERg==\r\n"
    "--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="i"\r\n\r\n--i\r\n\r\ninner text\r\n'
    "--i\r\nContent-Type: image/gif\r\nContent-Disposition: attachment; filename=i.gif\r\n\r\nGIF\r\n--i--\r\n"
    "--m--\r\n"
).encode()
TWO_TEXTS = (
    b'Content-Type: multipart/alternative; boundary="a"\r\n\r\n--a\r\n\r\none\r\n'
    b"--a\r\nContent-Type: text/html\r\n\r\n<p>two</p>\r\n--a--\r\n"
)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


class Mail:
    """One message in the inbox, and who asks for it."""

    def __init__(self, engine: Engine, caller: Caller, shown_id: str) -> None:
        self.engine = engine
        self.caller = caller
        self.id = shown_id

    async def ask(self, target: str, **more: Any) -> Answer:
        return await self.caller.ask("GET", f"/v1/account/acme/{target}", **more)

    async def read(self, query: str = "") -> Any:
        answer = await self.ask(f"message/{self.id}{query}")
        assert answer.status == 200, answer
        return answer.json


@asynccontextmanager
async def with_mail(simulation: Simulation, raw: bytes, missing: frozenset[str] = frozenset()) -> AsyncIterator[Mail]:
    async with simulation.running() as engine:
        engine.sandbox.faults.imap_capabilities_drop |= missing
        await engine.register("acme")
        folder(engine).add(raw, engine.context.world.now())
        event = await engine.event("acme", "messageNew")
        yield Mail(engine, await Caller.of(engine), event["data"]["id"])


async def test_everything_there_is_to_know(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with with_mail(simulation, LETTER, missing) as mail:
        shown = await mail.read("?textType=*")
        files = shown.pop("attachments")
        headers = shown.pop("headers")
        text = shown.pop("text")
        assert shown == {
            "id": mail.id,
            "uid": 1,
            "path": "INBOX",
            "date": "2026-11-22T09:00:00.000Z",
            "flags": [],
            "unseen": True,
            "size": len(LETTER),
            "subject": "Grüße",
            "from": {"name": "Älice", "address": "alice@x.example"},
            "sender": {"name": "", "address": "sec@x.example"},
            "replyTo": [{"name": "", "address": "r@x.example"}],
            "to": [{"name": "", "address": "acme@sandbox.example"}, {"name": "B", "address": "b@x.example"}],
            "cc": [{"name": "", "address": "c@x.example"}],
            "bcc": [{"name": "", "address": "d@x.example"}],
            "messageId": "<1@x.example>",
            "inReplyTo": "<0@x.example>",
            "isAutoReply": True,
            "specialUse": "\\Inbox",
            "messageSpecialUse": "\\Inbox",
        }
        assert (headers["x-tag"], headers["subject"]) == (["one", "zwölf"], ["Grüße"])
        assert (text["plain"], text["html"], text["hasMore"]) == ("Grüße und mehr", HTML, False)
        assert [
            (each["contentType"], each.get("filename"), each["embedded"], each["inline"], each["encodedInMessage"])
            for each in files
        ] == [
            ("image/png", None, True, True, False),
            ("text/calendar", "invite.ics", False, False, False),
            ("application/pdf", 'Übersicht".pdf', False, False, False),
            ("message/rfc822", None, False, False, False),
            ("image/gif", "i.gif", False, False, True),
        ]
        assert (files[0]["contentId"], files[1]["method"]) == ("<pic@x>", "REQUEST")
        event = await mail.engine.event("acme", "messageNew")
        told = {name: event["data"][name] for name in ("id", "date", "subject", "from", "to", "attachments")}
        assert told == {**{name: shown[name] for name in told if name in shown}, "attachments": files}
        assert text["id"] == event["data"]["text"]["id"]


@pytest.mark.parametrize(
    ("query", "members"),
    [
        ("", {}),
        ("?textType=plain", {"plain": "Grüße und mehr", "hasMore": False}),
        ("?textType=html&maxBytes=6", {"html": HTML[:6], "hasMore": True}),
        ("?textType=*&maxBytes=14", {"plain": "Grüße und mehr", "html": HTML[:14], "hasMore": True}),
        ("?textType=plain&maxBytes=0", {"plain": "Grüße und mehr", "hasMore": False}),
    ],
)
async def test_as_much_of_the_text_as_is_asked_for(
    simulation: Simulation, query: str, members: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with with_mail(simulation, LETTER) as mail:
        text = (await mail.read(query))["text"]
        assert {name: text[name] for name in text if name not in ("id", "encodedSize")} == members
        answer = await mail.ask(f"text/{text['id']}{query or '?textType=html'}")
        assert answer.json == (members or {"html": HTML, "hasMore": False})


async def test_flowed_text_is_paragraphs_wherever_it_is_shown(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    kind = b"Content-Type: text/plain; charset=utf-8; Format=Flowed; delsp=yes\r\n\r\n"
    long = b"\r\n" + b"a \r\n" * GLANCE_BYTES
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        await caller.ask("POST", "/v1/settings", {"notifyText": True})
        await engine.register("acme")
        folder(engine).add(kind + b"> two  \r\n> lines\r\nend\r\n" + long, engine.context.world.now())
        told = (await engine.event("acme", "messageNew"))["data"]
        shown = (await caller.ask("GET", f"/v1/account/acme/message/{told['id']}?textType=*")).json
        alone = (await caller.ask("GET", f"/v1/account/acme/text/{told['text']['id']}")).json
        expected = "> two lines\nend\n\n" + "a" * GLANCE_BYTES
        assert told["text"]["plain"] == shown["text"]["plain"] == alone["plain"] == expected


@pytest.mark.parametrize("octets", [GLANCE_BYTES - 2, GLANCE_BYTES, GLANCE_BYTES + 1, PIECE_BYTES + 1])
async def test_a_text_of_any_length_comes_whole(
    simulation: Simulation, octets: int, autojump_clock: trio.testing.MockClock
) -> None:
    content = b"line of eight\r\n" * (octets // 15) + b"." * (octets % 15)
    async with with_mail(simulation, b"Subject: long\r\n\r\n" + content) as mail:
        text = (await mail.read("?textType=*"))["text"]
        assert (text["plain"], text["hasMore"]) == (content.decode().replace("\r\n", "\n"), False)


async def test_texts_are_asked_for_together_with_all_else_where_the_server_bears_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    asked: list[bytes] = []
    refused: list[bytes] = []

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name == "UID FETCH" and b"BODY.PEEK[" in line:
            asked.append(line)
            if refuses and b"BODY.PEEK[2]" in line and b"ENVELOPE" in line:
                refused.append(line)
                return tag.encode() + b" BAD no such part\r\n"
        return None

    refuses = False
    async with with_mail(simulation, TWO_TEXTS) as mail:
        mail.engine.sandbox.faults.imap_script = script
        first = (await mail.read("?textType=*"))["text"]
        assert (first["plain"], first["html"], len(asked)) == ("one", "<p>two</p>", 1)
        refuses = True
        for _ in range(3):
            assert (await mail.read("?textType=*"))["text"] == first
        assert (len(refused), len(asked)) == (1, 1 + 3 + 2 * 2)


async def test_html_for_a_web_page(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    picture = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    kept = f'<p>Grüße <img src="{picture}"><img src="http://t.example/spy.gif"></p>'
    safe = f'<div style="overflow: auto;">{kept}</div>'
    async with with_mail(simulation, LETTER) as mail:
        text = (await mail.read("?webSafeHtml=true"))["text"]
        assert (text["html"], text["plain"], text["webSafe"]) == (safe, "Grüße und mehr", True)
        assert (await mail.ask(f"text/{text['id']}?webSafeHtml=1")).json["html"] == safe
        embedded = (await mail.read("?textType=html&embedAttachedImages=true"))["text"]
        assert embedded["html"] == HTML.replace("cid:pic@x", picture)
        dropped = (await mail.read("?textType=html&preProcessHtml=true&remoteImages=drop"))["text"]["html"]
        assert dropped == '<div style="overflow: auto;"><p>Grüße <img src="cid:pic@x"><img></p></div>'
        proxied = (await mail.read("?textType=html&preProcessHtml=true&imageProxy=https://p.example/"))["text"]["html"]
        assert 'src="https://p.example/http%3A%2F%2Ft.example%2Fspy.gif"' in proxied


async def test_it_is_read_only_where_that_is_said(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with with_mail(simulation, LETTER) as mail:
        await mail.read("?textType=*&webSafeHtml=true")
        assert folder(mail.engine).messages[0].flags == frozenset()
        shown = await mail.read("?markAsSeen=true")
        assert (shown["flags"], "unseen" in shown) == (["\\Seen"], False)
        assert folder(mail.engine).messages[0].flags == {"\\Seen"}
        event = await mail.engine.event("acme", "messageUpdated")
        assert event["data"]["changes"]["flags"]["added"] == ["\\Seen"]


async def test_a_message_is_read_over_the_session_that_has_its_folder_open(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    opened: list[str] = []

    def script(_: str, name: str, line: str) -> None:
        if name in ("SELECT", "EXAMINE"):
            opened.append(line)

    async with with_mail(simulation, LETTER) as mail:
        folder(mail.engine, "Sent").add(LETTER, mail.engine.context.world.now())
        async with trio.open_nursery() as nursery:
            for path in ("INBOX", "Sent"):
                nursery.start_soon(mail.ask, f"messages?path={path}")
        sent = (await mail.ask("messages?path=Sent")).json["messages"][0]["id"]
        await mail.read()
        mail.engine.sandbox.faults.imap_script = script
        for _ in range(3):
            await mail.read()
            assert (await mail.ask(f"message/{sent}")).status == 200
        assert opened == []


async def test_files(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with with_mail(simulation, LETTER) as mail:
        files = {each["contentType"]: each["id"] for each in (await mail.read())["attachments"]}
        pdf = await mail.ask(f"attachment/{files['application/pdf']}")
        assert (pdf.status, pdf.body, pdf.headers["content-type"]) == (200, b"%PDF", "application/pdf")
        assert pdf.headers["content-disposition"] == (
            "attachment; filename=\"_bersicht_.pdf\"; filename*=utf-8''%C3%9Cbersicht%22.pdf"
        )
        calendar = await mail.ask(f"attachment/{files['text/calendar']}")
        assert calendar.headers["content-type"] == "text/calendar; charset=utf-8"
        assert (await mail.ask(f"attachment/{files['image/gif']}")).body == b"GIF"
        inner = await mail.ask(f"attachment/{files['message/rfc822']}")
        assert inner.body.startswith(b"Subject: inner\r\n") and inner.body.endswith(b"--i--")
        source = await mail.ask(f"message/{mail.id}/source")
        assert (source.body, source.headers["content-type"]) == (LETTER, "message/rfc822")
        part = await mail.ask(f"message/{mail.id}/source", headers={"Range": "bytes=10-19"})
        assert (part.status, part.body, part.headers["content-range"]) == (
            206,
            LETTER[10:20],
            f"bytes 10-19/{len(LETTER)}",
        )
        for asked, body in (("bytes=-3", b"DAR"), ("bytes=5-", b":VCALENDAR"), ("bytes=0-1,3-4", b"BEGIN:VCALENDAR")):
            assert (await mail.ask(f"attachment/{files['text/calendar']}", headers={"Range": asked})).body == body
        refused = await mail.ask(f"message/{mail.id}/source", headers={"Range": f"bytes={len(LETTER)}-"})
        assert (refused.status, refused.headers["content-range"]) == (416, f"bytes */{len(LETTER)}")


async def test_a_large_file_comes_whole(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    content = bytes(range(256)) * 4096
    raw = (
        b"Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: application/zip; name=a.zip\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(content).replace(b"\n", b"\r\n")
    )
    assert len(content) > 3 * DOWNLOAD_BYTES
    async with with_mail(simulation, raw) as mail:
        (file,) = (await mail.read())["attachments"]
        answer = await mail.ask(f"attachment/{file['id']}")
        assert (answer.body, answer.headers["content-disposition"]) == (content, 'attachment; filename="a.zip"')
        assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("kinds", "protected", "names"),
    [
        (
            ["multipart/encrypted", "application/pgp-encrypted", "application/octet-stream"],
            {"encrypted": "pgp"},
            ["version.txt", "encrypted.asc"],
        ),
        (["multipart/signed", "text/plain", "application/pgp-signature"], {"signed": "pgp"}, ["signature.asc"]),
        (["multipart/signed", "text/plain", "application/pkcs7-signature"], {"signed": "smime"}, ["smime.p7s"]),
        (["application/pkcs7-mime; smime-type=enveloped-data"], {"encrypted": "smime"}, ["smime.p7m"]),
        (["application/x-pkcs7-mime; smime-type=signed-data"], {"signed": "smime"}, ["smime.p7m"]),
    ],
)
async def test_what_is_encrypted_and_what_is_signed(
    simulation: Simulation,
    kinds: list[str],
    protected: dict[str, str],
    names: list[str],
    autojump_clock: trio.testing.MockClock,
) -> None:
    first, *parts = kinds
    raw = f"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: {first}" + (
        "; boundary=b\r\n\r\n" if parts else "\r\n\r\nx"
    )
    raw += "".join(f"--b\r\nContent-Type: {kind}\r\n\r\nx\r\n" for kind in parts) + ("--b--\r\n" if parts else "")
    async with with_mail(simulation, raw.encode()) as mail:
        shown = await mail.read()
        assert shown["protection"] == protected
        assert [each["filename"] for each in shown["attachments"]] == names


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no header at all",
        b"\r\n\r\n",
        b"Subject: \xff\xfe\r\nFrom: <<<>>>\r\nDate: yesterday\r\n\r\n\xff",
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\nno boundary",
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\n--y--",
        b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=none\r\nContent-Transfer-Encoding: x-uue\r\n\r\n<p>x",
        b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" * 30 + b"Subject: deep\r\n\r\nx",
        b"".join(
            b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
            for n in range(15)
        ),
    ],
)
async def test_odd_messages_are_read_as_far_as_can_be(
    simulation: Simulation, raw: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with with_mail(simulation, raw) as mail:
        shown = await mail.read("?webSafeHtml=true")
        assert (await mail.ask(f"message/{mail.id}/source")).body == raw
        assert (await mail.ask(f"text/{shown['text']['id']}")).status == 200
        for each in shown.get("attachments", ()):
            assert (await mail.ask(f"attachment/{each['id']}")).status == 200


async def test_ids_nobody_gave_out(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with with_mail(simulation, LETTER) as mail:
        deliver(mail.engine, 2)
        for kind in ("message/{}", "message/{}/source"):
            for shown_id, status in (
                ("AAAAAQAAAeE", 404),
                (message_ids.message_id(1, 2**40), 404),
                ("AAAA", 404),
                ("AAAAAAAAAAA", 404),
                ("%2F%2B%3D", 400),
            ):
                answer = await mail.ask(kind.format(shown_id))
                assert answer.status == status, (kind, shown_id)
                if status == 404:
                    assert (answer.json["code"], answer.json["message"]) == (
                        "MessageNotFound",
                        "Requested message was not found",
                    )
        assert (await mail.ask("message/!!")).json["fields"][0]["key"] == "message"
        assert (await mail.ask("attachment/AAAAAQAAAAE")).status == 404
        assert (await mail.ask(f"attachment/{message_ids.attachment_id(1, 1, '9.9')}")).status == 404
        assert (await mail.ask("text/AAAAAQAAAAE")).status == 404
        gone = message_ids.message_id(1, 2)
        assert (await mail.ask(f"message/{gone}")).status == 200
        folder(mail.engine).remove([2])
        assert (await mail.ask(f"message/{gone}")).status == 404


async def test_the_ids_of_one_account_lead_nowhere_in_another(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with with_mail(simulation, LETTER) as mail:
        await mail.engine.register("other")
        shown = await mail.read()
        file = shown["attachments"][0]["id"]
        targets = (
            f"message/{mail.id}",
            f"message/{mail.id}/source",
            f"text/{shown['text']['id']}",
            f"attachment/{file}",
        )
        for target in targets:
            answer = await mail.caller.ask("GET", f"/v1/account/other/{target}")
            assert (answer.status, answer.json["statusCode"]) == (404, 404)


async def test_ids_are_void_when_the_folder_is_numbered_anew(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with with_mail(simulation, LETTER) as mail:
        assert (await mail.ask(f"message/{mail.id}")).status == 200
        box(mail.engine).renumber("INBOX")
        await trio.sleep(20)
        assert (await mail.ask(f"message/{mail.id}")).status == 404
