"""Mail to lists, and tracked mail, from the request to what arrives."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from asking import Answer, Caller
from msgspec import UNSET
from person import SERVICE
from simulation import Engine, Simulation, servers

from engine.api.app import make_app
from engine.web.site import pages

FORM = "application/x-www-form-urlencoded"
HTML = (
    '<html><body><a href="https://example.com/?a=1&amp;b=2">Offer</a> <a href="mailto:a@x.example">us</a></body></html>'
)


class Sender:
    """One who submits for the account `acme` and can read what arrives."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        self.engine = engine
        self.caller = caller

    async def submit(self, account: str = "acme", **members: Any) -> Answer:
        body = {"to": [{"address": "you@sandbox.example"}], "subject": "x", "text": "x", **members}
        body = {name: value for name, value in body.items() if value is not UNSET}
        return await self.caller.ask("POST", f"/v1/account/{account}/submit", body)

    async def sent(self, **members: Any) -> EmailMessage:
        """What arrives of a submission."""
        answer = await self.submit(**members)
        assert answer.status == 200, answer.body
        await self.engine.until_ended(answer.json["queueId"])
        raw = self.engine.sandbox.account("you@sandbox.example").folder("INBOX").messages[-1].raw
        found: Any = email.message_from_bytes(raw, policy=email.policy.default)
        assert found["Message-ID"] == answer.json["messageId"]
        return found

    async def visit(self, link: str, method: str = "GET", raw: bytes = b"") -> Answer:
        assert link.startswith(SERVICE), link
        headers = {"Authorization": "", "Content-Type": FORM}
        return await self.caller.ask(method, link.removeprefix(SERVICE), headers=headers, raw=raw)


@asynccontextmanager
async def sending(tmp_path: Path, **settings: Any) -> AsyncIterator[Sender]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        await engine.register("acme")
        await engine.context.settings.update(**{"service_url": SERVICE, **settings})
        yield Sender(engine, await Caller.of(engine, app=make_app(engine.context, pages(engine.context))))


def link_in(message: EmailMessage) -> str:
    return str(message["List-Unsubscribe"]).strip("<>")


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


async def test_one_leaves_a_list_by_what_stands_in_the_mail(tmp_path: Path, autojump_clock: object) -> None:
    async with sending(tmp_path) as sender:
        headers = {"List-ID": "<mine>", "list-unsubscribe": "<https://mine.example/>", "X-Mine": "1"}
        message = await sender.sent(listId="news", headers=headers)
        assert message.get_all("List-ID") == ["<news.mail.example.com>"] and message["X-Mine"] == "1"
        assert message.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
        assert len(message.get_all("List-Unsubscribe")) == 1 and link_in(message).startswith(f"{SERVICE}/unsubscribe?")
        assert "you@sandbox.example" in (await sender.visit(link_in(message))).body.decode()
        assert (await sender.visit(link_in(message), "POST", b"List-Unsubscribe=One-Click")).body == b"ok"
        told = await sender.engine.event("acme", "listUnsubscribe")
        assert told["data"]["messageId"] == message["Message-ID"] and told["data"]["recipient"] == "you@sandbox.example"

        queued = len(sender.engine.context.store.reader.execute("SELECT 1 FROM message").fetchall())
        others: tuple[dict[str, Any], ...] = ({}, {"dryRun": True}, {"to": [{"address": "YOU@sandbox.example"}]})
        for more in others:
            answer = await sender.submit(listId="News", **more)
            skipped = {"response": "Skipped", "skipped": {"reason": "unsubscribe", "listId": "News"}}
            assert (answer.status, answer.json) == (200, skipped)
        assert len(sender.engine.context.store.reader.execute("SELECT 1 FROM message").fetchall()) == queued
        assert (await sender.submit(listId="other")).json["queueId"] and (await sender.submit()).json["queueId"]

        await sender.visit(link_in(message), "POST", b"action=subscribe")
        assert (await sender.submit(listId="news")).json["queueId"]


@pytest.mark.parametrize("secret", [None, "s3cret"])
async def test_links_outlive_a_change_of_the_secret(tmp_path: Path, autojump_clock: object, secret: str | None) -> None:
    async with sending(tmp_path, service_secret=secret) as sender:
        link = link_in(await sender.sent(listId="news"))
        await sender.engine.context.settings.update(service_secret="another")
        assert (await sender.visit(link)).status == 200


@pytest.mark.parametrize(
    "url", [None, "http://localhost:3000", "http://10.0.0.1", "https://mail.local", "http://[::1]"]
)
async def test_recipients_of_a_public_server_need_a_public_url(
    tmp_path: Path, autojump_clock: object, url: str | None
) -> None:
    async with sending(tmp_path, service_url=url) as sender:
        account = servers("acme", "x")
        for name in ("imap", "smtp"):
            account[name]["host"] = f"{name}.provider.com"
        await sender.engine.register("public", **account)
        answer = await sender.submit("public", listId="news")
        assert answer.status == 400 and "serviceUrl" in answer.json["fields"][0]["message"]
        assert answer.json["fields"][0]["key"] == "listId"
        near = await sender.submit("acme", listId="news")
        assert near.status == (400 if url is None else 200)
        good = await sender.submit("public", listId="news", baseUrl="https://mail.example.com/")
        assert good.status == 200


async def test_a_gateway_decides_whether_the_url_must_be_public(tmp_path: Path, autojump_clock: object) -> None:
    async with sending(tmp_path, service_url="http://10.0.0.1") as sender:
        far = servers("acme", "x")
        for name in ("imap", "smtp"):
            far[name]["host"] = f"{name}.provider.com"
        await sender.engine.register("public", **far)
        for name, host in (("near", "10.0.0.2"), ("far", "relay.provider.com")):
            record = {"gateway": name, "name": name, "host": host, "port": 2525, "secure": False}
            assert (await sender.caller.ask("POST", "/v1/gateway", record)).status == 200
        for account, gateway, status in (
            ("public", "near", 200),
            ("public", "far", 400),
            ("public", "nosuch", 400),
            ("acme", "near", 200),
            ("acme", "far", 400),
            ("acme", "nosuch", 200),
        ):
            answer = await sender.submit(account, listId="news", gateway=gateway, dryRun=True)
            assert answer.status == status, (account, gateway, answer.body)


async def test_the_texts_of_one_message_to_a_list_are_templates(tmp_path: Path, autojump_clock: object) -> None:
    async with sending(tmp_path) as sender:
        text = "{{rcpt.name}}|{{rcpt.address}}|{{rcpt.unsubscribeUrl}}|{{account.email}}|{{params.a}}"
        to = [{"name": "Yo <b>", "address": "you@sandbox.example"}]
        message = await sender.sent(listId="news", to=to, text=text, subject="For {{rcpt.name}}")
        name, address, link, own, parameter = content(message, "plain").strip().split("|")
        assert (name, address, own, parameter) == ("Yo <b>", "you@sandbox.example", "acme@sandbox.example", "")
        assert link == link_in(message) and message["Subject"] == "For Yo <b>"
        message = await sender.sent(listId="news", to=to, html="<p>{{rcpt.name}}</p>", render={"params": {"a": 1}})
        assert content(message, "html").strip() == "<p>Yo &lt;b&gt;</p>"

        message = await sender.sent(listId="news", text=text, messageId="<mine@x.example>")
        assert link_in(message) in content(message, "plain") and message["Message-ID"] == "<mine@x.example>"
        assert (await sender.visit(link_in(message), "POST", b"List-Unsubscribe=One-Click")).body == b"ok"
        assert (await sender.engine.event("acme", "listUnsubscribe"))["data"]["messageId"] == "<mine@x.example>"
        await sender.visit(link_in(message), "POST", b"action=subscribe")

        bare = {"to": UNSET, "envelope": {"to": ["you@sandbox.example"]}}
        assert content(await sender.sent(listId="news", text=text, **bare), "plain").startswith(
            "|you@sandbox.example|h"
        )
        assert content(await sender.sent(listId="news", text=text, render=False), "plain").strip() == text
        assert content(await sender.sent(text=text), "plain").strip() == text
        several = await sender.submit(listId="news", text=text, cc=[{"address": "b@x.example"}])
        assert several.status == 400 and "exactly one recipient" in several.json["fields"][0]["message"]
        wrong = await sender.submit(listId="news", text="{{#if}}")
        assert wrong.status == 422 and wrong.json["code"] == "SubmitFail"


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"cc": [{"address": "b@x.example"}]}, "exactly one recipient"),
        ({"bcc": [{"address": "b@x.example"}]}, "exactly one recipient"),
        ({"envelope": {"to": ["a@x.example", "b@x.example"]}}, "exactly one recipient"),
        ({"listId": "a b"}, "must be a valid hostname"),
        ({"listId": "<script>"}, "must be a valid hostname"),
        ({"listId": "x" * 300}, "length must be less than or equal to 255"),
        ({"listId": ".".join(["x" * 60] * 4)}, "too long"),
        ({"listId": "\u202enews"}, "must be a valid hostname"),
        ({"baseUrl": "ftp://x.example"}, "must be a valid uri"),
        ({"raw": "VG86IGFAeC5leGFtcGxlDQoNCng=", "text": UNSET, "subject": UNSET, "to": UNSET}, "not allowed with raw"),
    ],
)
async def test_what_cannot_be_a_list(
    tmp_path: Path, autojump_clock: object, members: dict[str, Any], fault: str
) -> None:
    async with sending(tmp_path) as sender:
        answer = await sender.submit(**{"listId": "news", **members})
        assert answer.status == 400 and fault in answer.json["fields"][0]["message"], answer.json


async def test_a_list_of_one_account_is_its_own(tmp_path: Path, autojump_clock: object) -> None:
    async with sending(tmp_path) as sender:
        await sender.engine.register("other")
        app = make_app(sender.engine.context, pages(sender.engine.context))
        tenant = Sender(sender.engine, await Caller.of(sender.engine, "acme", app=app))
        link = link_in(await tenant.sent(listId="news"))
        await sender.visit(link, "POST")
        assert (await sender.submit(listId="news")).json["response"] == "Skipped"
        assert (await tenant.submit(listId="news")).json["response"] == "Skipped"
        assert (await sender.submit("other", listId="news")).json["queueId"], "another account's mail is not theirs"
        for caller, accounts in ((sender.caller, ["acme", "other"]), (tenant.caller, ["acme"])):
            entry = {"account": "other", "recipient": "they@x.example", "reason": ""}
            added = await caller.ask("POST", "/v1/blocklist/news", entry)
            assert added.status == (200 if "other" in accounts else 403)
            listed = (await caller.ask("GET", "/v1/blocklist/NEWS")).json
            assert sorted(each["account"] for each in listed["addresses"]) == accounts
            lists = (await caller.ask("GET", "/v1/blocklists")).json["blocklists"]
            assert lists == [{"listId": "news", "count": len(accounts)}]
        everybody = "/v1/blocklist/news?recipient=they@x.example"
        assert (await tenant.caller.ask("DELETE", everybody)).json == {"deleted": False}
        assert (await sender.caller.ask("DELETE", everybody)).json == {"deleted": True}
        skipped = await sender.submit(to=[{"address": "they@x.example"}], listId="news")
        assert "queueId" in skipped.json


async def test_blocklists_as_emailengine_has_them(tmp_path: Path, autojump_clock: object) -> None:
    async with sending(tmp_path) as sender:
        ask = sender.caller.ask
        assert (await ask("GET", "/v1/blocklists")).json == {"total": 0, "page": 0, "pages": 0, "blocklists": []}
        assert (await ask("GET", "/v1/blocklist/news")).status == 404
        assert (await ask("DELETE", "/v1/blocklist/news?recipient=a@x.example")).status == 404
        entry = {"account": "acme", "recipient": "A@X.example"}
        headers = {"User-Agent": "tests/1"}
        for added in (True, False):
            answer = await ask("POST", "/v1/blocklist/news", entry, headers=headers)
            assert answer.json == {"success": True, "added": added}
        found = (await ask("GET", "/v1/blocklist/news?pageSize=1")).json
        (shown,) = found.pop("addresses")
        assert found == {"total": 1, "page": 0, "pages": 1, "listId": "news"}
        assert {**shown, "created": ""} == {
            "recipient": "A@X.example",
            "account": "acme",
            "source": "api",
            "reason": "block",
            "remoteAddress": "127.0.0.1",
            "userAgent": "tests/1",
            "created": "",
        }
        assert (await ask("POST", "/v1/blocklist/news", {**entry, "account": "none"})).status == 404
        assert (await ask("POST", "/v1/blocklist/a%20b", entry)).status == 400
        assert (await ask("GET", f"/v1/blocklist/{'x' * 300}")).status == 400
        assert (await ask("DELETE", "/v1/blocklist/news?recipient=a@x.EXAMPLE")).json == {"deleted": True}
        assert not sender.engine.events("acme", "listUnsubscribe") + sender.engine.events("acme", "listSubscribe")


async def test_tracked_mail_tells_of_opens_and_clicks(tmp_path: Path, autojump_clock: object) -> None:
    async with sending(tmp_path) as sender:
        message = await sender.sent(html=HTML, text=None, trackOpens=True, trackClicks=True)
        html = content(message, "html")
        (picture,) = re.findall(r'<img src="([^"]*)"', html)
        (link,) = re.findall(r'href="(https://mail[^"]*)"', html)
        assert "redirect" not in content(message, "plain") and "https://example.com/?a=1&b=2" in content(
            message, "plain"
        )
        put_back = re.sub("<img[^>]*>", "", html).replace(link, "https://example.com/?a=1&amp;b=2")
        assert put_back.rstrip("\n") == HTML
        await sender.visit(picture.replace("&amp;", "&"))
        away = await sender.visit(link.replace("&amp;", "&"))
        assert away.headers["location"] == "https://example.com/?a=1&b=2"
        opened, clicked = [(await sender.engine.event("acme", name))["data"] for name in ("trackOpen", "trackClick")]
        assert opened["messageId"] == clicked["messageId"] == message["Message-ID"]
        assert clicked["url"] == "https://example.com/?a=1&b=2"


@pytest.mark.parametrize(
    ("settings", "members", "opens", "clicks"),
    [
        ({}, {}, False, False),
        ({}, {"trackingEnabled": True}, True, True),
        ({}, {"trackingEnabled": True, "trackClicks": False}, True, False),
        ({"track_opens": True}, {}, True, False),
        ({"track_sent_messages": True, "track_opens": False}, {}, False, True),
        ({"track_opens": True, "track_clicks": True}, {"trackingEnabled": False}, False, False),
        ({"service_url": None}, {"trackingEnabled": True}, False, False),
        ({"service_url": None}, {"trackClicks": True, "baseUrl": SERVICE}, False, True),
    ],
)
async def test_what_is_tracked(
    tmp_path: Path,
    autojump_clock: object,
    settings: dict[str, Any],
    members: dict[str, Any],
    opens: bool,
    clicks: bool,
) -> None:
    async with sending(tmp_path, **settings) as sender:
        html = content(await sender.sent(html=HTML, **members), "html")
        assert ("/open.gif?" in html, "/redirect?" in html) == (opens, clicks)
        shown = base64.b64decode((await sender.submit(html=HTML, dryRun=True, **members)).json["preview"])
        preview: Any = email.message_from_bytes(shown, policy=email.policy.default)
        assert content(preview, "html").rstrip("\n") == HTML, "a rehearsal is not tracked"


HEADER = (
    b"From: acme@sandbox.example\r\nTo: you@sandbox.example\r\nDate: Sat, 1 Jan 2028 00:00:00 +0000\r\n"
    b"Message-ID: <raw@x.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n"
)
ABOVE = b"\r\n--x\r\n\r\nhttps://x.example\r\n--x\r\nContent-Type: text/html\r\n\r\n"
LINK = b'<a href="https://x.example">x</a>'
BELOW = b"\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("settings", "members", "control", "more", "opens", "clicks"),
    [
        ({}, {}, b"", b"", False, False),
        ({}, {"trackOpens": True}, b"", b"", True, False),
        ({}, {}, b"X-EE-Tracking-Enabled: true\r\n", b"", True, True),
        ({"track_clicks": True}, {}, b"", b"", False, True),
        ({"track_clicks": True}, {"trackOpens": True}, b"X-EE-Tracking-Enabled: false\r\n", b"", False, False),
        ({"service_url": None}, {}, b"X-EE-Tracking-Enabled: true\r\n", b"", False, False),
        ({}, {"trackingEnabled": True}, b"", b"DKIM-Signature: v=1\r\n", False, False),
        ({}, {"trackClicks": True}, b"", b"List-Unsubscribe: <https://x.example>\r\n", False, False),
    ],
)
async def test_raw_mail_is_tracked_unless_it_is_signed(
    tmp_path: Path,
    autojump_clock: object,
    settings: dict[str, Any],
    members: dict[str, Any],
    control: bytes,
    more: bytes,
    opens: bool,
    clicks: bool,
) -> None:
    raw = base64.b64encode(control + more + HEADER + ABOVE + LINK + BELOW).decode()
    async with sending(tmp_path, **settings) as sender:
        await sender.sent(raw=raw, to=UNSET, text=UNSET, subject=UNSET, **members)
        arrived = sender.engine.sandbox.account("you@sandbox.example").folder("INBOX").messages[-1].raw
        _, found, html = arrived.partition(more + HEADER + ABOVE)
        assert found and html.endswith(BELOW)
        assert (b"/open.gif?" in html, b"/redirect?" in html) == (opens, clicks)
        assert clicks or html.startswith(LINK)
