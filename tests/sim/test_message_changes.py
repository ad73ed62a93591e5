"""Messages changed by request: the mailbox afterwards, and the events, with servers of every ability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from changing import changing
from inbox import box, deliver, folder
from simulation import Simulation

from engine.model.account_states import AccountState


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def test_flags(simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, missing) as mail:
        id = await mail.id_of(2)
        assert await mail.ask("PUT", f"message/{id}", {"flags": {"add": ["\\Seen", "$Label1"]}}) == {
            "flags": {"add": True}
        }
        assert mail.flags(2) == {"\\Seen", "$Label1"}
        assert mail.told() == [("messageUpdated", "INBOX", 2, "api")]
        done = await mail.ask("PUT", f"message/{id}", {"flags": {"add": "\\Flagged", "delete": ["\\Seen"]}})
        assert done == {"flags": {"add": True, "delete": True}}
        assert mail.flags(2) == {"\\Flagged", "$Label1"}
        # `set` alone counts; what is so already is no news.
        done = await mail.ask("PUT", f"message/{id}", {"flags": {"set": ["\\Answered"], "add": ["\\Seen"]}})
        assert (done, mail.flags(2)) == ({"flags": {"set": True}}, {"\\Answered"})
        assert len(mail.told()) == 2
        await mail.ask("PUT", f"message/{id}", {"flags": {"set": ["\\Answered"]}, "labels": {"add": ["x"]}})
        await mail.rounds()
        assert mail.told() == []
        # Another client's change is announced as such.
        folder(mail.engine).set_flags(folder(mail.engine).messages[1], frozenset({"\\Seen"}))
        await mail.rounds()
        assert mail.told() == [("messageUpdated", "INBOX", 2, None)]


async def test_a_request_that_finds_anothers_change_does_not_claim_it(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation) as mail:
        moved = await mail.ask("PUT", f"message/{await mail.id_of(2)}/move", {"path": "Trash"})
        await mail.rounds()
        await trio.sleep(90)  # away from the next round
        mail.told()
        trash = box(mail.engine).folder("Trash")
        trash.set_flags(trash.messages[0], frozenset({"\\Flagged", "$a"}))
        await mail.ask("PUT", f"message/{moved['id']}", {"flags": {"add": ["$A"]}})
        trash.set_flags(trash.messages[0], frozenset({"\\Flagged", "$a", "$b"}))
        await mail.ask("PUT", f"message/{moved['id']}", {"flags": {"add": ["$a", "$c"], "delete": ["$d"]}})
        trash.set_flags(trash.messages[0], frozenset({"\\Flagged"}))
        await mail.ask("PUT", f"message/{moved['id']}", {"flags": {"delete": ["$d"]}})
        # The first shows that flag, as the second does, in which both changed something; the third does not.
        assert [each[3] for each in mail.told()] == ["api", "api", None]


async def test_a_change_of_a_message_that_was_not_announced_yet_is_the_requests(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation) as mail:
        mail.engine.sandbox.faults.imap_silent_about.add(4)
        for number in (4, 5):
            deliver(mail.engine, number)
        await trio.sleep(2)  # the fifth has been read, and waits for the fourth
        await mail.ask("PUT", f"message/{await mail.id_of(5)}", {"flags": {"add": ["$a"]}})
        assert mail.told() == []
        await trio.sleep(10)
        assert mail.told() == [("messageNew", "INBOX", 5, None), ("messageUpdated", "INBOX", 5, "api")]
        # What another client does to it is not the request's.
        folder(mail.engine).set_flags(folder(mail.engine).messages[4], frozenset({"$a", "\\Seen"}))
        await trio.sleep(10)
        folder(mail.engine).remove([5])
        await trio.sleep(10)
        assert mail.told() == [("messageUpdated", "INBOX", 5, None), ("messageDeleted", "INBOX", 5, None)]


async def test_reading_with_mark_as_seen_is_such_a_change(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation) as mail:
        assert "unseen" not in await mail.ask("GET", f"message/{await mail.id_of(2)}?markAsSeen=true")
        await mail.rounds()
        assert mail.told() == [("messageUpdated", "INBOX", 2, "api")]


async def test_moved(simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, missing) as mail:
        box(mail.engine).folder("INBOX").set_flags(folder(mail.engine).messages[2], frozenset({"\\Deleted"}))
        await mail.rounds()
        mail.told()
        id = await mail.id_of(2)
        moved = await mail.ask("PUT", f"message/{id}/move", {"path": "Trash"})
        assert moved["path"] == "Trash"
        assert mail.uids() == [1, 3]  # what somebody else has marked as deleted stays
        assert mail.flags(3) == {"\\Deleted"}
        await trio.sleep(10)
        source = "api" if "UIDPLUS" not in missing else None
        assert mail.told() == [("messageDeleted", "INBOX", 2, "api"), ("messageNew", "Trash", 1, source)]
        assert (await mail.answer("GET", f"message/{id}")).status == 404
        if "UIDPLUS" in missing:
            assert moved == {"path": "Trash"}
        else:
            assert (await mail.ask("GET", f"message/{moved['id']}"))["uid"] == moved["uid"] == 1
        await mail.rounds()
        assert mail.told() == []


async def test_deleted(simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, missing) as mail:
        done = await mail.ask("DELETE", f"message/{await mail.id_of(1)}")
        assert (done["deleted"], done["moved"]["destination"]) == (False, "Trash")
        assert ("message" in done["moved"]) == ("UIDPLUS" not in missing)
        assert await mail.ask("DELETE", f"message/{await mail.id_of(2)}?force=true") == {"deleted": True}
        assert await mail.ask("DELETE", f"message/{await mail.id_of(1, 'Trash')}") == {"deleted": True}
        assert (mail.uids(), mail.uids("Trash")) == ([3], [])
        await mail.rounds()
        told = mail.told()
        assert [each for each in told if each[1] == "INBOX"] == [
            ("messageDeleted", "INBOX", 1, "api"),
            ("messageDeleted", "INBOX", 2, "api"),
        ]
        # Whether the trash was looked into before the message was gone again is chance.
        assert {each[0] for each in told if each[1] == "Trash"} in (set(), {"messageNew", "messageDeleted"})


async def test_all_that_is_found(
    simulation: Simulation, missing: frozenset[str], autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, missing, count=1200) as mail:
        seen = {"search": {"uid": "1:1100"}, "update": {"flags": {"add": ["\\Seen"]}}}
        assert await mail.ask("PUT", "messages?path=INBOX", seen) == {"flags": {"add": True}}
        told = mail.told()
        assert told == [("messageUpdated", "INBOX", uid, "api") for uid in range(1, 1101)]
        moved = await mail.ask("PUT", "messages/move?path=INBOX", {"search": {"seen": True}, "path": "\\Trash"})
        assert moved["path"] == "Trash"
        assert len(mail.uids("Trash")) == 1100
        if "UIDPLUS" not in missing:
            assert len(moved["idMap"]) == 1100
            assert (await mail.ask("GET", f"message/{moved['idMap'][600][1]}"))["path"] == "Trash"
        removed = await mail.ask("PUT", "messages/delete?path=INBOX", {"search": {}})
        assert (removed["deleted"], removed["moved"]["destination"]) == (False, "Trash")
        assert await mail.ask("PUT", "messages/delete?path=Trash", {"search": {"seen": False}}) == {"deleted": True}
        assert mail.uids() == []
        assert len(mail.uids("Trash")) == 1100
        await mail.rounds()
        events = [each[:3] for each in mail.told()]
        assert len(events) == len(set(events))
        assert {each for each in events if each[1] == "INBOX"} == {
            ("messageDeleted", "INBOX", uid) for uid in range(1, 1201)
        }


async def test_nothing_that_is_found(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation) as mail:
        search: dict[str, Any] = {"search": {"subject": "nowhere"}}
        update = {**search, "update": {"flags": {"add": ["\\Seen"]}}}
        assert await mail.ask("PUT", "messages?path=INBOX", update) == {"flags": {"add": False}}
        assert await mail.ask("PUT", "messages/move?path=INBOX", {**search, "path": "Trash"}) == {"path": "Trash"}
        assert await mail.ask("PUT", "messages/delete?path=INBOX", search) == {"deleted": False}
        assert await mail.ask("PUT", "messages/delete?path=INBOX&force=true", search) == {"deleted": False}
        for method, target, body in (
            ("PUT", "messages?path=Nowhere", update),
            ("PUT", "messages/move?path=INBOX", {"search": {}, "path": "Nowhere"}),
            ("PUT", f"message/{await mail.id_of(1)}/move", {"path": "Nowhere"}),
        ):
            answer = await mail.answer(method, target, body)
            assert (answer.status, answer.json["path"]) == (404, "Nowhere")
        id = (await mail.id_of(3))[:-1] + "9"
        for method, target, body in (
            ("PUT", f"message/{id}", {"flags": {"add": ["\\Seen"]}}),
            ("PUT", f"message/{id}/move", {"path": "Trash"}),
            ("DELETE", f"message/{id}", None),
        ):
            answer = await mail.answer(method, target, body)
            assert (answer.status, answer.json["code"]) == (404, "MessageNotFound")


@pytest.mark.parametrize("flag", ["a b", "", "\\", "(x)", "é", "a*", "x" * 129, "\\Recent", 'a"b', "a\r\nb", "]"])
async def test_what_is_no_flag(simulation: Simulation, flag: str, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation, count=1) as mail:
        answer = await mail.answer("PUT", f"message/{await mail.id_of(1)}", {"flags": {"add": [flag]}})
        assert (answer.status, answer.json["fields"][0]["path"]) == (400, "flags.add[0]")
        assert mail.flags(1) == frozenset()


@pytest.mark.parametrize("flag", ["$MDNSent", "NonJunk", "nonjunk", "a]b", "\\Seen", "x" * 128, "{5}", "a.b-c_d"])
async def test_odd_flags(simulation: Simulation, flag: str, autojump_clock: trio.testing.MockClock) -> None:
    if "{" in flag:
        pytest.skip("`{` begins a literal, so no atom can hold it")
    async with changing(simulation, count=1) as mail:
        answer = await mail.answer("PUT", f"message/{await mail.id_of(1)}", {"flags": {"add": [flag]}})
        assert answer.status in (200, 400)
        assert (answer.status == 200) == (flag in mail.flags(1))


async def test_a_change_whose_answer_is_lost(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    """The caller is told that it took too long; what was done is told once, and as done by the API."""

    def without_its_end(response: bytes) -> bytes:
        return b"" if b"Move completed" in response or b"COPYUID" in response else response

    async with changing(simulation) as mail:
        id = await mail.id_of(2)
        mail.engine.sandbox.faults.imap_rewrite = without_its_end
        answer = await mail.answer("PUT", f"message/{id}/move", {"path": "Trash"})
        mail.engine.sandbox.faults.imap_rewrite = None
        assert (answer.status, answer.json["code"]) == (504, "Timeout")
        assert mail.uids() == [1, 3]
        await mail.rounds()
        assert mail.told() == [("messageDeleted", "INBOX", 2, "api"), ("messageNew", "Trash", 1, "api")]


async def test_what_is_still_listed_after_its_removal_is_told_as_the_requests(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with changing(simulation, frozenset({"ESEARCH", "QRESYNC", "CONDSTORE"})) as mail:
        id = await mail.id_of(2)
        mail.engine.sandbox.faults.imap_rewrite = lambda response: response.replace(b"* SEARCH\r\n", b"* SEARCH 2\r\n")
        answer = await mail.ask("DELETE", f"message/{id}?force=true")
        mail.engine.sandbox.faults.imap_rewrite = None
        assert (answer, mail.uids()) == ({"deleted": False}, [1, 3])
        await mail.rounds()
        assert mail.told() == [("messageDeleted", "INBOX", 2, "api")]


async def test_reading_while_disconnected(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with changing(simulation) as mail:
        account = mail.engine.context.registry.get("acme")
        assert account is not None
        id = await mail.id_of(1)
        account.status.state = AccountState.DISCONNECTED
        for method, target, body in (
            ("GET", "messages?path=INBOX", None),
            ("GET", f"message/{id}", None),
            ("PUT", f"message/{id}", {"flags": {"add": ["\\Seen"]}}),
        ):
            answer = await mail.answer(method, target, body)
            told = (answer.status, answer.json["code"], answer.json["state"])
            assert told == (503, "NoAvailable", "disconnected")


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("Important", '"Important"'),
        ("Clients/Zoë & co", '"Clients/Zo&AOs- &- co"'),
        ('say "no" \\', '"say \\"no\\" \\\\"'),
        ("(x)", '"(x)"'),
        ("\\Starred", "\\Starred"),
        ("\\not one", '"\\\\not one"'),
        ("\\", '"\\\\"'),
        ("\\ü", '"\\\\&APw-"'),
    ],
)
async def test_gmails_labels(
    simulation: Simulation, label: str, written: str, autojump_clock: trio.testing.MockClock
) -> None:
    stored: list[str] = []

    def script(tag: str, name: str, line: bytes) -> bytes | None:
        if name != "UID STORE":
            return None
        stored.append(line.decode().partition(" ")[2])
        return tag.encode() + b" OK done\r\n"

    async with changing(simulation) as mail:
        mail.engine.sandbox.faults.play_gmail = True
        mail.engine.sandbox.faults.imap_script = script
        id = await mail.id_of(2)
        done = await mail.ask("PUT", f"message/{id}", {"labels": {"add": label, "delete": ["old", label]}})
        assert done == {"labels": {"add": True, "delete": True}}
        assert stored == [
            f"UID STORE 2 +X-GM-LABELS.SILENT ({written})",
            f'UID STORE 2 -X-GM-LABELS.SILENT ("old" {written})',
        ]
