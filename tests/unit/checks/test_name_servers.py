"""Look-ups by a real resolver from name servers that answer, cut answers short, lie, fail or are silent."""

from __future__ import annotations

import dns.message
import dns.rcode
import outcome
import pytest
import trio
from name_server import Answer, AskingWorld, fails, gives, name_server, silent

from engine.checks.lookups import Lookups
from engine.checks.name_servers import LookupFailed, exchangers
from engine.dns_records import RecordKind, Records

LONG = 200
"""Strings of a text that fits into no datagram."""


def text(*strings: str) -> str:
    return " ".join(f'"{each}"' for each in strings)


async def asked(answer: Answer | None, kind: RecordKind = "TXT", seconds: float = 10.0) -> Records:
    """What is found at `x.test` on a name server that does `answer`."""
    async with name_server() as server:
        if answer is not None:
            server.answers[f"x.test {kind}"] = answer
        ask = Lookups(AskingWorld(server)).until(trio.current_time() + seconds)
        found = await outcome.acapture(ask, "X.test.", kind)
    return found.unwrap()


def wrong_id_first(question: dns.message.Message, over_tcp: bool) -> list[bytes]:
    """A forged answer, then the right one."""
    (right,) = gives("TXT", text("v=spf1 -all"))(question, over_tcp)
    forged = gives("TXT", text("v=spf1 +all"))(question, over_tcp)[0]
    return [bytes([forged[0] ^ 1]) + forged[1:], right]


def about_another_name(question: dns.message.Message, over_tcp: bool) -> list[bytes]:
    """An answer to a question that was not asked."""
    other = dns.message.make_query("y.test", "TXT")
    other.id = question.id
    return gives("TXT", text("v=spf1 +all"))(other, over_tcp)


async def test_texts_are_joined() -> None:
    found = await asked(gives("TXT", text("v=spf1 ", "-all"), text("other")))
    assert sorted(found.values) == ["other", "v=spf1 -all"]


async def test_octets_beyond_ascii() -> None:
    found = await asked(gives("TXT", text("v=spf1 include:b\\195\\188cher.test")))
    assert found == Records(("v=spf1 include:b\xc3\xbccher.test",))


async def test_an_answer_that_is_cut_short_is_asked_for_over_tcp() -> None:
    found = await asked(gives("TXT", text(*["x" * 250] * LONG)))
    assert [len(each) for each in found.values] == [250 * LONG]


async def test_a_forged_answer_counts_for_nothing() -> None:
    assert await asked(wrong_id_first) == Records(("v=spf1 -all",))


@pytest.mark.parametrize("kind", ["TXT", "A", "MX"])
async def test_no_such_name(kind: RecordKind) -> None:
    assert await asked(None, kind) == Records(exists=False)


async def test_a_name_without_such_records() -> None:
    assert await asked(fails(dns.rcode.NOERROR)) == Records()


async def test_mail_exchangers() -> None:
    answer = await asked(gives("MX", "20 b.test.", "10 A.test."), "MX")
    assert exchangers(answer) == ["a.test", "b.test"]
    assert exchangers(await asked(gives("MX", "0 ."), "MX")) == [""]


@pytest.mark.parametrize(
    "answer",
    [
        fails(dns.rcode.SERVFAIL),
        fails(dns.rcode.REFUSED),
        silent,
        about_another_name,
        lambda question, over_tcp: [b"\x00"],
        lambda question, over_tcp: [question.to_wire()],
        lambda question, over_tcp: [question.to_wire()[:2] + b"\xff" * 40],
    ],
    ids=["servfail", "refused", "silent", "other name", "an octet", "echo", "noise"],
)
async def test_name_servers_in_trouble(answer: Answer) -> None:
    with pytest.raises(LookupFailed, match=r"x\.test \(TXT\)"):
        await asked(answer, seconds=0.3)


async def test_a_name_that_no_question_can_hold() -> None:
    async with name_server() as server:
        ask = Lookups(AskingWorld(server)).until(trio.current_time() + 10.0)
        for name in ("x..test", "a" * 64 + ".test", "a." * 130 + "test", "localhost", "b\xfccher.test", "a b.test"):
            assert await ask(name, "TXT") == Records(exists=False)
        for name in ("a\\046b.test", ""):
            assert await ask(name, "TXT") == Records(exists=False)
        assert server.asked == []
