"""The accounts among the pages: the list, one account and its ways out, adding by form and by link; by role."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import trio
from simulation import Simulation, servers
from visitor import Visitor

from engine.schema.account import AccountCreate

HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe' + "W" * 200
LATER = "2030-01-01T00:00:00Z"


@asynccontextmanager
async def visiting(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4716).running() as engine:
        visitor = await Visitor.at(engine)
        await visitor.enter()
        await visitor.get("/admin")
        yield visitor


async def register(ann: Visitor, **members: Any) -> None:
    await ann.engine.context.registry.register(msgspec.convert(members, AccountCreate))


async def refused(ann: Visitor) -> None:
    """An account whose login the servers refuse from now on."""
    await ann.engine.register("shop", email="shop@sandbox.example", **servers("shop", "right"))
    ann.engine.sandbox.set_password("shop@sandbox.example", "other-one")
    await ann.post("/admin/accounts/shop/reconnect")
    await ann.engine.event("shop", "authenticationError")


async def test_the_list(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/accounts")
        assert ann.has("No accounts yet") and ann.has("Add an account") and ann.has("Send a link")
        await ann.engine.register("orders")
        await register(ann, account="news", name="Newsletter", email="news@sandbox.example", sandbox=True)
        await ann.engine.event("news", "accountInitialized")
        await ann.get("/admin/accounts")
        assert ann.has("2 accounts") and ann.has("The engine reads all of them.") and ann.has("Connected")
        assert ann.has("Add an account") and ann.has("Send a link")
        for query, there in (("NEWSL", True), ("news@", True), ("nothing", False)):
            await ann.get(f"/admin/accounts?query={query}")
            assert (ann.has("Newsletter"), ann.has("orders@")) == (there, False), query
        await ann.get("/admin/accounts?state=authenticationError")
        assert ann.has("No account matches")
        assert (await ann.get("/admin/accounts?state=none")).status == 400
        assert (await ann.get(f"/admin/accounts?query={'q' * 300}")).status == 400


async def test_two_hundred_accounts_have_pages(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        for number in range(30):
            await register(ann, account=f"a{number}", name="N", sandbox=True)
        await ann.get("/admin/accounts?query=a")
        assert ann.has("Page 1 of 2, 30 in all")
        (further,) = re.findall(r'rel="next" href="([^"]+)"', ann.page)
        await ann.get(further.replace("&amp;", "&"))
        assert ann.has("Page 2 of 2") and "query=a" in ann.url


async def test_a_hostile_account(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        nobody = {"host": "192.0.2.1", "port": 9, "auth": {"user": HOSTILE[:256], "pass": "x"}}
        await register(ann, account=HOSTILE[:256], name=HOSTILE[:256], imap=nobody, smtp=nobody, logs=True)
        at = f"/admin/accounts/{quote(HOSTILE[:256], safe='')}"
        for url in ("/admin/accounts", at, f"{at}/log", f"{at}/folders"):
            assert (await ann.get(url)).status == 200, url
            assert "<img" not in ann.page and "gnp.exe" in ann.page, url
        assert (await ann.get(f"/admin/send-link?account={quote(HOSTILE)}")).status == 200
        assert "<img" not in ann.page
        await ann.follow(await ann.post(f"{at}/remove"))
        assert ann.has("is removed") and "<img" not in ann.page


async def test_one_that_works(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        given = servers("shop", "x")
        given["smtp"]["rateLimit"] = {"messages": 500, "seconds": 86_400}
        await ann.engine.register("shop", **given)
        sent = await ann.engine.submit("shop", "a@sandbox.example")
        await ann.engine.until_ended(sent["queueId"])
        await ann.get("/admin/accounts/shop")
        for text in (
            "The engine follows the mailbox.",
            "imap.sandbox.example:143",
            "smtp.sandbox.example:587",
            "499 of 500 messages left in any 24 hours",
            "1 sent, 0 failed",
            "No message waits",
        ):
            assert ann.has(text), text
        assert "******" not in ann.page
        await ann.get("/admin/accounts/shop/folders")
        assert ann.has("INBOX") and ann.has("Sent")
        await ann.follow(await ann.post("/admin/accounts/shop/sync"))
        assert ann.has("The engine looks into every folder.")
        await ann.follow(await ann.post("/admin/accounts/shop/reconnect"))
        assert ann.has("The engine connects again.")


async def test_why_its_mail_does_not_go_and_mending_it(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await refused(ann)
        sent = await ann.engine.submit("shop", "a@sandbox.example")
        await trio.sleep(30)  # the attempt ends
        await ann.get(f"/admin/outbox/{sent['queueId']}")
        assert ann.has("The login was refused (Invalid login: 535") and "/v1/" not in ann.page
        await ann.get("/admin")
        assert ann.has("Correct the user name and password for IMAP.")
        await ann.get("/admin/accounts")
        assert ann.has("One has to sign in again") and ann.has("Mend")
        await ann.get("/admin/accounts/shop")
        assert ann.has("The IMAP server refuses the login.") and ann.has("One message waits")
        assert '<details class="block" id="password" open>' in ann.page
        assert (await ann.post("/admin/accounts/shop/password", password="")).status == 422
        await ann.follow(await ann.post("/admin/accounts/shop/password", password="other-one", side="both"))
        assert ann.has("The password is changed.") and "other-one" not in ann.page
        await ann.engine.until_ended(sent["queueId"])
        await trio.sleep(60)  # reading works again, too
        await ann.get("/admin/accounts/shop")
        assert ann.has("The engine follows the mailbox.") and ann.has("No message waits")


async def test_another_server(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        given = servers("shop", "x")
        await register(ann, account="shop", name="Shop", **given)
        await ann.get("/admin/accounts/shop/servers")
        assert 'value="imap.sandbox.example"' in ann.page
        sides = {
            f"{side}.{member}": value
            for side, port in (("imap", "143"), ("smtp", "587"))
            for member, value in (("host", f"{side}2.sandbox.example"), ("port", port), ("secure", "starttls"))
        }
        for wrong in ({"imap.host": "no host"}, {"smtp.port": "99999"}, {"smtp.port": "x"}, {"imap.host": ""}):
            assert (await ann.post("/admin/accounts/shop/servers", **{**sides, **wrong})).status == 422, wrong
        await ann.follow(await ann.post("/admin/accounts/shop/servers", **sides))
        assert ann.has("The servers are changed.") and ann.has("smtp2.sandbox.example:587")
        record = ann.engine.context.registry.get("shop")
        assert record is not None and record.record.imap.auth.password == "x"


async def test_pausing_and_resuming(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("shop")
        await ann.follow(await ann.post("/admin/accounts/shop/pause", paused="true"))
        assert ann.has("Sending is paused.") and ann.has("Resume sending")
        await ann.follow(await ann.post("/admin/accounts/shop/pause", paused="false"))
        assert ann.has("The engine sends messages again.") and ann.has("Pause sending")


async def test_watching_the_log(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("shop")
        await ann.get("/admin/accounts/shop/log")
        assert ann.has("The engine keeps no log of this account")
        await ann.follow(await ann.post("/admin/accounts/shop/logs", logs="true"))
        await trio.sleep(60)
        await ann.get("/admin/accounts/shop/log")
        assert ann.has("→") and ann.has("←") and ann.has("IDLE")
        await ann.follow(await ann.post("/admin/accounts/shop/logs", logs="false"))
        assert ann.has("keeps no log any more")


async def test_removing_one_names_what_goes(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("shop")
        await ann.engine.submit("shop", "a@x.example", sendAt=LATER)
        await ann.get("/admin/accounts/shop")
        assert ann.has("one message that has not been sent: the engine cancels it")
        await ann.follow(await ann.post("/admin/accounts/shop/remove"))
        assert ann.has("The account shop is removed.") and ann.has("No accounts yet")
        assert (await ann.get("/admin/accounts/shop")).status == 404


async def test_adding_one_by_form(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/add-account")
        new = {"email": "new@sandbox.example", "account": "new", "name": ""}
        sides = {
            f"{side}.{member}": value
            for side, port in (("imap", "143"), ("smtp", "587"))
            for member, value in (("host", f"{side}.sandbox.example"), ("port", port), ("secure", "starttls"))
        }
        assert (await ann.post("/admin/add-account", **new, **sides)).status == 422 and ann.has("Give the password")
        bad = {**sides, "imap.port": "ninety"}
        assert (await ann.post("/admin/add-account", **new, **bad, password="secret-1")).status == 422
        assert "secret-1" not in ann.page and 'value="ninety"' in ann.page
        answer = await ann.post("/admin/add-account", **new, **sides, password="secret-1", anyway="on")
        assert answer.headers["location"].endswith("accounts/new")
        await ann.follow(answer)
        assert ann.has("The account is added.")
        again = await ann.post("/admin/add-account", **new, **sides, password="x", anyway="on")
        assert again.status == 422 and ann.has("An account has this id already")
        box = await ann.post("/admin/add-account", email="box@sandbox.example", account="box", sandbox="on")
        await ann.follow(box)
        assert ann.has("inside the engine")


async def test_adding_one_by_a_link(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/send-link")
        assert ann.has("Where browsers reach this engine")
        assert (await ann.post("/admin/send-link", email="mira@", serviceUrl="nothing")).status == 422
        made = await ann.post("/admin/send-link", email="mira@x.example", serviceUrl="https://mail.example")
        assert made.status == 200 and "https://mail.example/accounts/new?data=" in ann.page
        await ann.get("/admin/send-link")
        assert not ann.has("Where browsers reach this engine")
        await ann.engine.register("shop")
        made = await ann.post("/admin/accounts/shop/link")
        assert made.status == 200 and ann.has("gives a new login for this account")
        (url,) = re.findall(r"https://mail\.example(/accounts/new\?data=\S+?)</textarea>", ann.page)
        form = await ann.get(url.replace("&amp;", "&"))
        assert form.status == 200


async def test_a_reader_sees_it_and_changes_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("shop")
        rae = await ann.also("rae")
        for url in ("/admin/accounts", "/admin/accounts/shop", "/admin/accounts/shop/log"):
            assert (await rae.get(url)).status == 200
            assert {each.rpartition("/")[2] for each in re.findall(r'action="([^"]+)"', rae.page)} <= {
                "sign-out",
                "accounts",
            }
        for url in ("/admin/add-account", "/admin/send-link", "/admin/accounts/shop/servers"):
            assert (await rae.get(url)).status == 403
            assert (await rae.post(url, email="a@x.example", sandbox="on")).status == 403
        for what in ("reconnect", "sync", "pause", "logs", "password", "link", "remove"):
            assert (await rae.post(f"/admin/accounts/shop/{what}", password="x")).status == 403
        assert ann.engine.context.registry.get("shop") is not None
