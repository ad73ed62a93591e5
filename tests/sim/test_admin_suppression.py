"""The pages of suppression: who gets no mail at all, lists, who is on one, adding and removing."""

from __future__ import annotations

from pathlib import Path

import msgspec
from asking import Caller
from test_admin_pages import HOSTILE, entries, visiting

from engine.store import blocklists, suppressions
from engine.store.blocklists import Entry
from engine.store.suppressions import Suppression

PATH = "/admin/suppression"
FORM = {"recipient": "ann@example.com", "listId": "news", "account": "acme"}


async def test_someone_is_added_found_and_removed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        assert ann.has("No one is suppressed")
        await ann.follow(await ann.post(PATH, **FORM))
        assert ann.url == f"{PATH}/news" and ann.has("ann@example.com is on the list")
        await ann.follow(await ann.post(PATH, **{**FORM, "recipient": "Bob@example.org", "reason": "bounced"}))
        assert ann.has("bounced") and ann.has("2 recipients get no mail")
        await ann.follow(await ann.post(PATH, **FORM))
        assert ann.has("was on the list already")
        await ann.get(f"{PATH}/news?query=BOB@")
        assert ann.has("One recipient matches.") and not ann.has("ann@example.com")
        await ann.get(f"{PATH}/news?query=nobody")
        assert ann.has("No recipient has “nobody”")
        await ann.follow(await ann.post(f"{PATH}/news/remove", recipient="bob@example.org"))
        assert ann.has("gets mail of the list again") and ann.url == f"{PATH}/news"
        await ann.follow(await ann.post(f"{PATH}/news/remove", recipient="ann@example.com"))
        assert ann.url == PATH and ann.has("No one is suppressed")
        assert (await ann.follow(await ann.get(f"{PATH}/news"))).status == 200
        assert [each[1] for each in entries(ann.engine)][:3] == ["blocklist.remove"] * 2 + ["blocklist.add"]


async def test_faults_stand_beside_their_fields(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        for wrong in (
            {"recipient": "x"},
            {"listId": "a b"},
            {"account": ""},
            {"account": "other"},
            {"expires": "2030-01-01"},
        ):
            answer = await ann.post(PATH, **{**FORM, **wrong})
            assert answer.status == 422 and ann.page.count('aria-invalid="true"') == 1, wrong
        for wrong in ({"recipient": "x"}, {"account": "other"}, {"expires": "soon"}):
            answer = await ann.post(PATH, **{**FORM, "listId": "", **wrong})
            assert answer.status == 422 and ann.page.count('aria-invalid="true"') == 1, wrong
        reader = ann.engine.context.store.reader
        assert blocklists.lists(reader, "", 0, 9)[0] == suppressions.entries(reader, None, 0.0, 0, 9)[0] == 0


async def test_a_recipient_gets_no_mail_at_all_and_then_again(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        form = {"recipient": "ann@example.com", "listId": "", "reason": "asked by telephone"}
        await ann.follow(await ann.post(PATH, **form, account="", expires="2999-12-31"))
        assert ann.url == PATH and ann.has("ann@example.com gets no mail any more")
        assert ann.has("asked by telephone") and ann.has("all accounts") and ann.has("Until 2999-12-31 00:00 UTC")
        await ann.follow(await ann.post(PATH, **form, account="acme"))
        assert ann.has("For mail from acme") and ann.has("Until the entry is removed")
        reader, gone = ann.engine.context.store.reader, "is not suppressed here any more"
        await ann.follow(await ann.post("/admin/unsuppress", recipient="ann@example.com", account="acme"))
        assert ann.has(gone) and [each.scope for each in suppressions.entries(reader, None, 0.0, 0, 9)[1]] == [""]
        await ann.follow(await ann.post("/admin/unsuppress", recipient="ann@example.com", account=""))
        assert ann.has(gone) and ann.has("No one is suppressed")
        await ann.follow(await ann.post("/admin/unsuppress", recipient="ann@example.com", account=""))
        assert ann.has("was not suppressed any more")
        did = [each[1] for each in entries(ann.engine)][:4]
        assert did == ["suppression.remove"] * 2 + ["suppression.add"] * 2


async def test_many_who_get_no_mail_with_odd_addresses_and_a_reader(tmp_path: Path, autojump_clock: object) -> None:
    """What a bounce names need not be an address that a request may name; it can be removed all the same."""
    async with visiting(tmp_path) as ann:
        odd = f"{HOSTILE} x@example.com"
        some = Suppression(scope="", recipient=odd, reason="hard-bounce", source="event", evidence=4711, created=1.0)
        others = [msgspec.structs.replace(some, recipient=f"{at}@x", reason="complaint") for at in range(60)]
        store = ann.engine.context.store
        await store.commit(lambda tx: [suppressions.put(tx, each) for each in (some, *others)])
        rita = await ann.also("rita")
        for visitor in (ann, rita):
            await visitor.get(f"{PATH}?query=EXAMPLE.com")
            assert visitor.has("bounced for good") and "/events/4711" in visitor.page and "<img" not in visitor.page
            assert not visitor.has("Complained")
            await visitor.get(PATH)
            assert visitor.has("Page 1 of 2") and visitor.has("Complained") and len(visitor.page) < 150_000
        assert (await rita.post("/admin/unsuppress", recipient=odd)).status == 403
        await ann.follow(await ann.post("/admin/unsuppress", recipient=odd))
        assert suppressions.entries(store.reader, None, 0.0, 0, 1)[0] == 60


async def test_many_hostile_entries_and_a_reader(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:

        def entry(number: int, recipient: str) -> Entry:
            return Entry(
                list_id=f"list{number % 70}",
                scope="",
                recipient=recipient,
                account=HOSTILE[:200],
                source="one-click",
                reason=HOSTILE[:256],
                remote_address=HOSTILE[:40],
                created=1.0,
            )

        hostile = [entry(0, f"{number}{HOSTILE}@example.com") for number in range(120)]
        others = [entry(number, f"{number}@example.com") for number in range(70)]
        await ann.engine.context.store.commit(lambda tx: [blocklists.add(tx, each) for each in (*hostile, *others)])
        rita = await ann.also("rita")
        for visitor in (ann, rita):
            await visitor.get(PATH)
            assert visitor.has("Page 1 of 2") and len(visitor.page) < 150_000
            await visitor.get(f"{PATH}/list0")
            assert visitor.has("121 recipients") and "<img" not in visitor.page and visitor.has("gnp.exe")
            assert len(visitor.page) < 150_000
        assert ann.has("unsubscribed by themselves") and '<form method="post"' not in rita.page.partition("<main")[2]
        assert (await rita.post(f"{PATH}/list0/remove", recipient="0@example.com")).status == 403
        assert (await rita.post(PATH, **FORM)).status == 403


async def test_a_list_is_searched_by_request(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.get(PATH)
        await ann.post(PATH, **FORM)
        caller = await Caller.of(ann.engine, app=ann._caller._app)
        for part, total in (("ANN@", 1), ("%", 0), ("_", 0), ("example.com", 1)):
            assert (await caller.ask("GET", f"/v1/blocklist/news?query={part}")).json["total"] == total
        assert (await caller.ask("GET", "/v1/blocklist/none?query=a")).status == 404
