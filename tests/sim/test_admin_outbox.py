"""The outbox among the pages: filters, one message, what it waits for, and what can be done about it; by role."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from simulation import Simulation
from visitor import Visitor

HOSTILE = '"><img src=x onerror=alert(1)>\u202egnp.exe' + "W" * 300
LATER = "2030-01-01T00:00:00Z"


@asynccontextmanager
async def visiting(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with Simulation(tmp_path / "data", 4715).running() as engine:
        visitor = await Visitor.at(engine)
        await visitor.enter()
        await engine.register("shop")
        await visitor.get("/admin")
        yield visitor


async def waits(ann: Visitor, *to: str, **members: Any) -> str:
    """A message that is due in years, unless told otherwise."""
    answer = await ann.engine.submit("shop", *(to or ("a@sandbox.example",)), **{"sendAt": LATER, **members})
    return str(answer["queueId"])


async def test_what_the_list_says(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        assert (await ann.get("/admin/outbox")).status == 200
        assert ann.has("Nothing is on its way") and ann.has("Nothing waits to go")
        queue_id = await waits(ann, "mira@fabrikam.example", "x@y.example", subject="Your order")
        await ann.get("/admin/outbox")
        assert ann.has("One message on its way") and ann.has("shop to mira@fabrikam.example and one other")
        assert f"outbox/{queue_id}" in ann.page
        for query, there in (
            ("recipient=MIRA@", True),
            ("recipient=fabrikam", False),
            ("account=shop&state=queued", True),
            ("account=other", False),
            ("state=deferred", False),
            ("account=&recipient=&state=", True),
        ):
            assert (await ann.get(f"/admin/outbox?{query}")).status == 200
            assert ann.has("Your order") == there, query
        assert (await ann.get("/admin/outbox?state=none")).status == 400
        assert (await ann.get(f"/admin/outbox?recipient={'a' * 300}")).status == 400
        assert (await ann.get("/admin/outbox?page=7")).status == 200 and ann.has("The list has no such page")


async def test_a_hostile_message(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann, subject=HOSTILE)
        for url in ("/admin/outbox", f"/admin/outbox/{queue_id}"):
            assert (await ann.get(url)).status == 200
            assert "<img" not in ann.page and "gnp.exe" in ann.page
        await ann.get("/admin/outbox?recipient=%22%3E%3Cimg%20src%3Dx%3E&account=%3Cimg%3E")
        assert "<img" not in ann.page


async def test_a_long_list_has_pages(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        for number in range(27):
            await waits(ann, f"r{number}@x.example")
        await ann.get("/admin/outbox?account=shop")
        assert ann.has("Page 1 of 2, 27 in all")
        (further,) = re.findall(r'rel="next" href="([^"]+)"', ann.page)
        await ann.get(further.replace("&amp;", "&"))
        assert ann.has("Page 2 of 2") and ann.page.count("r2") >= 2 and "account=shop" in ann.url


async def test_sending_now(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann)
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("It is not due yet.") and ann.has("Send now")
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/send-now"))
        assert ann.has("It is due now")
        await ann.engine.until_ended(queue_id)
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("The server accepted it.") and ann.has("Attempt 1 was accepted")
        assert ann.has("C: MAIL FROM:<shop@sandbox.example>")
        assert not ann.has("Send now") and not ann.has("Cancel")
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/send-now"))
        assert ann.has("Nothing is changed: It was sent already.")


async def test_moving_it(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann)
        now = ann.engine.context.world.now()
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/move", amount="2", unit="hours"))
        assert ann.has("The message is moved.")
        entry = await ann.engine.entry(queue_id)
        assert entry["nextAttempt"] == entry["scheduled"]
        with trio.fail_after(3 * 3600):
            await ann.engine.until_ended(queue_id)
        assert ann.engine.context.world.now() - now >= 2 * 3600
        other = await waits(ann)
        for amount, unit in (("", "hours"), ("-1", "hours"), ("1.5", "days"), ("1", "years"), ("99999999", "days")):
            assert (await ann.post(f"/admin/outbox/{other}/move", amount=amount, unit=unit)).status == 422
        assert (await ann.engine.entry(other))["nextAttempt"].startswith("2030-01-01")


async def test_cancelling_it(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann, "a@x.example", "b@x.example")
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("Those of the 2 recipients who have not got it yet get nothing")
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/cancel"))
        assert ann.has("The message is cancelled. No one gets it.") and ann.has("It was cancelled.")
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/cancel"))
        assert ann.has("Nothing is changed")


async def test_what_a_deferred_message_says(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann, "defer+a@sandbox.example", "b@sandbox.example", sendAt="2020-01-01T00:00:00Z")
        await ann.engine.event("shop", "messageDeliveryError")
        await ann.get("/admin/outbox?state=deferred")
        assert ann.has("One deferred message") and ann.has("451 4.3.0") and ann.has("attempt 1 of 10")
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("At the server: The server takes no mail at the moment.")
        assert ann.has("The last attempt did not succeed.") and ann.has("Attempt 2 is due")
        assert ann.has("2 recipients") and ann.has("Deferred 1") and ann.has("Sent 1")


async def test_an_attempt_that_only_some_accept(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        to = ("a@sandbox.example", "defer+b@sandbox.example", "reject+c@sandbox.example")
        queue_id = (await ann.engine.submit("shop", *to))["queueId"]
        await trio.sleep(1)
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("Attempt 1 was accepted for some recipients")
        attempt = ann.page.partition("accepted for some recipients")[2].partition("</li>")[0]
        assert "250 2.0.0" in attempt and "takes no mail" not in attempt
        # The words of the deferral are about the one who is tried again; the other has words of its own.
        entry = ann.page.partition("Not accepted this time")[2].partition("</li>")[0]
        assert re.findall(r"\w+\+[bc]@", entry)[:2] == ["defer+b@", "reject+c@"]
        assert entry.index("451 4.3.0") < entry.index("reject+c@") < entry.index("550 5.1.1")


async def test_paused_it_leads_to_its_account(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.pause(True, "shop")
        queue_id = await waits(ann, sendAt="2020-01-01T00:00:00Z")
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("Sending is paused.") and "accounts/shop" in ann.page and "PUT /v1" not in ann.page


@pytest.mark.parametrize(
    ("choice", "says"), [("resend", "the engine sends it again"), ("hold", "waits"), ("fail", "as failed")]
)
async def test_what_to_do_about_a_doubt_beforehand(
    tmp_path: Path, autojump_clock: object, choice: str, says: str
) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann)
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/decide", choice=choice))
        assert ann.has(says) and (await ann.engine.entry(queue_id))["onDoubt"] == choice
        assert (await ann.post(f"/admin/outbox/{queue_id}/decide", choice="maybe")).status == 400


@pytest.mark.parametrize(("choice", "ends"), [("resend", "sent"), ("fail", "failed"), ("hold", "in_doubt")])
async def test_deciding_a_doubt(tmp_path: Path, autojump_clock: object, choice: str, ends: str) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann, "cut-before-keep1+x@sandbox.example", sendAt="2020-01-01T00:00:00Z", onDoubt="hold")
        await ann.engine.event("shop", "messageInDoubt")
        await ann.get("/admin/outbox?state=in_doubt")
        assert ann.has("One message in doubt")
        await ann.get(f"/admin/outbox/{queue_id}")
        assert ann.has("You have to decide.") and ann.has("Did it arrive?") and not ann.has("Send now")
        await ann.follow(await ann.post(f"/admin/outbox/{queue_id}/decide", choice=choice))
        await trio.sleep(3600)
        assert ann.engine.state(queue_id) == ends


async def test_a_reader_sees_it_and_changes_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        queue_id = await waits(ann)
        rae = await ann.also("rae")
        assert (await rae.get(f"/admin/outbox/{queue_id}")).status == 200
        assert not rae.has("Send now") and not rae.has("Cancel") and not rae.has("Send later")
        for what in ("send-now", "move", "cancel", "decide"):
            answer = await rae.post(f"/admin/outbox/{queue_id}/{what}", amount="1", unit="days", choice="fail")
            assert answer.status == 403
        assert (await ann.engine.entry(queue_id))["state"] == "queued"


async def test_an_unknown_message(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        assert (await ann.get("/admin/outbox/nothing")).status == 404
        assert (await ann.post("/admin/outbox/nothing/send-now")).status == 404
