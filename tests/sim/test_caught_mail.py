"""Mail caught by the sandbox: through the API, and on the pages, however hostile it is."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from asking import Caller
from simulation import Simulation
from visitor import Visitor

from engine.accounts import caught_mail
from engine.config import SandboxConfig
from engine.sandbox.accounts import Limits
from engine.sandbox.post_office import PostOffice, ReceivedEnvelope

PATH = "/admin/sandbox"
HOSTILE = "\u202egnp.exe" + '"><img src=x onerror=alert(1)>' + "W" * 150
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
HTML = (
    "<h1>Hello</h1><script>document.title='taken'</script><img src='https://tracker.example/p.gif'>"
    "<img src='cid:logo'><a href='https://app.example/confirm'>Confirm</a><form action='/x'><input></form>"
)


@asynccontextmanager
async def visiting(tmp_path: Path, role: str = "reader") -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        bob = await Visitor.at(engine)
        await bob.enter("bob", role)
        yield bob


async def send(visitor: Visitor, **members: Any) -> str:
    engine = visitor.engine
    queued = await engine.submit("acme", "you@outside.invalid", **members)
    await engine.until_ended(queued["queueId"])
    return next(reversed(engine.sandbox.caught))


async def test_a_message_is_shown_as_its_reader_sees_it(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        await bob.get(PATH)
        assert bob.has("Nothing caught yet") and 'data-live="message data"' in bob.page
        files = [
            {"content": PIXEL, "filename": "logo.png", "cid": "logo", "contentType": "image/png"},
            {"content": "aGk=", "filename": f"{HOSTILE[:60]}.html", "contentType": "text/html"},
        ]
        name = await send(bob, subject=HOSTILE, text="plain words", html=HTML, attachments=files)
        await bob.get(PATH)
        assert bob.has("gnp.exe") and "<img" not in bob.page and bob.has("you@outside.invalid")
        await bob.get(f"{PATH}/{name}")
        assert '<iframe class="mail" sandbox="allow-popups allow-popups-to-escape-sandbox"' in bob.page
        assert "<img" not in bob.page and bob.has("acme@sandbox.example")
        await bob.get(f"{PATH}/{name}?tab=text")
        assert bob.has("plain words")
        await bob.get(f"{PATH}/{name}?tab=source")
        assert bob.has("Content-Type: multipart/") and "<script>document" not in bob.page
        await bob.get(f"{PATH}/{name}?tab=headers")
        assert bob.has("message-id") and bob.has("gnp.exe") and "<img" not in bob.page
        for link in set(re.findall(rf"sandbox/{name}/files/([\d.]+)", bob.page)):
            answer = await bob.get(f"{PATH}/{name}/files/{link}")
            assert answer.status == 200 and answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["content-security-policy"] == "sandbox"
        source = await bob.get(f"{PATH}/{name}/source")
        assert source.body == bob.engine.sandbox.caught[name].raw


async def test_the_html_is_harmless_and_loads_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        logo = {"content": PIXEL, "filename": "logo.png", "cid": "logo", "contentType": "image/png"}
        name = await send(bob, html=HTML, attachments=[logo])
        answer = await bob.get(f"{PATH}/{name}/html")
        page = bob.page
        assert f"data:image/png;base64,{PIXEL}" in page and "https://app.example/confirm" in page
        for gone in ("<script", "tracker.example", "<form", "<input", "onerror"):
            assert gone not in page
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; img-src data:;") and "allow-scripts" not in policy
        assert "allow-same-origin" not in policy and answer.headers["x-frame-options"] == "SAMEORIGIN"
        kept = await Caller.of(bob.engine)
        shown = (await kept.ask("GET", f"/v1/sandbox/messages/{name}?remoteImages=keep")).json
        assert "tracker.example" in shown["html"] and shown["hasHtml"] is True


async def test_what_is_not_there(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        name = await send(bob, text="x")
        for path in ("nothing", "nothing/html", f"{name}/files/9", f"{name}/files/x", "nothing/source"):
            assert (await bob.get(f"{PATH}/{path}")).status == 404
        stranger = Visitor(bob.engine, bob._caller)
        for path in ("", f"/{name}", f"/{name}/html", f"/{name}/source", f"/{name}/files/1"):
            assert (await stranger.get(PATH + path)).status == 303


async def test_a_sandbox_that_is_off_says_so(tmp_path: Path, autojump_clock: object) -> None:
    simulation = Simulation(tmp_path / "data", 4711)
    simulation.config = msgspec.structs.replace(simulation.config, sandbox=SandboxConfig(enabled=False))
    async with simulation.running() as engine:
        bob = await Visitor.at(engine)
        await bob.enter("bob", "reader")
        assert (await bob.get(PATH)).status == 200 and bob.has("The sandbox is switched off")
        assert (await bob.get(f"{PATH}/x")).status == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"no header",
        b"Subject: =?utf-8?b?" + b"A" * 5000 + b"\r\n\r\nx",
        b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n',
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 3000,
        b"Content-Type: text/html; charset=klingon\r\nContent-Transfer-Encoding: base64\r\n\r\n\xff\xfe===",
        b"Content-Type: message/rfc822\r\n\r\n" * 200,
        b"Content-Type: image/png; name*=klingon'x'%ff%fe\r\nContent-ID: <" + b"x" * 3000 + b">\r\n\r\n\0\0",
        b"Content-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<img src=cid:a>"
        b"\r\n--x\r\nContent-ID: <a>\r\nContent-Type: image/svg+xml\r\n\r\n<svg onload=alert(1)>\r\n--x--",
    ],
)
def test_odd_mail_is_shown_as_far_as_it_goes(raw: bytes) -> None:
    text = caught_mail.texts_of(raw)
    assert "<script" not in text.html
    assert all(each.part for each in caught_mail.files_of(raw))
    caught_mail.header_of(raw)


async def test_the_oldest_make_room(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        post = PostOffice(bob.engine.context.world, Limits(caught_bytes=1000, log_entries=3))
        envelope = ReceivedEnvelope(sender="a@x.example", recipients=("b@x.example", "c@outside.invalid"))
        names = [post.deliver(envelope, b"x" * 300) for _ in range(5)]
        assert list(post.caught) == names[2:]
        post.deliver(envelope, b"x" * 900)
        assert len(post.caught) == 1
        await trio.lowlevel.checkpoint()


async def test_all_of_it_is_removed_after_a_question(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as bob:
        for subject in ("One", "Two"):
            await send(bob, subject=subject)
        await bob.get(PATH)
        assert not bob.has("Empty …")
        assert (await bob.post(f"{PATH}/empty")).status == 403 and len(bob.engine.sandbox.caught) == 2
        oscar = await bob.also("oscar", "operator")
        await oscar.get(PATH)
        assert oscar.has("All 2 caught messages go, for good.")
        await oscar.follow(await oscar.post(f"{PATH}/empty"))
        assert oscar.has("2 messages are removed.") and oscar.has("Nothing caught yet")
        assert not bob.engine.sandbox.caught
        await send(bob, subject="Three")
        await oscar.get(PATH)
        assert oscar.has("Three") and not oscar.has("One")
