"""Three hundred real mails through the whole engine: bounces are found, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio.testing
from simulation import Engine, Simulation

from engine.mail.bounce_categories import ABOUT_THE_ADDRESS
from engine.store import suppressions

MAILS = Path(__file__).parents[1] / "data" / "bounces"
Told = set[tuple[str, str]]


def expected() -> dict[str, Told]:
    found: dict[str, Told] = {}
    for line in (MAILS / "expected.tsv").read_text().splitlines():
        name, recipient, kind = line.split("\t")
        found.setdefault(name, set()).update({(recipient.lower(), kind)} - {("-", "-")})
    return found


async def read(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """The events about each of the mails, in the order in which they are told."""
    await engine.context.settings.update(suppress_bounces="account", suppress_complaints="account")
    await engine.register("acme")
    folder = engine.sandbox.account("acme@sandbox.example").folder("INBOX")
    names = {}
    for file in sorted(MAILS.glob("*.eml")):
        raw = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        names[folder.add(raw, engine.context.world.now()).uid] = file.stem
    await engine.event("acme", "messageNew", len(names))
    by_id: dict[str, list[dict[str, Any]]] = {}
    for event in engine.events("acme"):
        data = event["data"]
        about = data.get("bounceMessage") or data.get("complaintMessage") or data.get("id")
        by_id.setdefault(about, []).append(event)
    return {names[events[0]["data"]["uid"]]: events for events in by_id.values() if "uid" in events[0]["data"]}


@pytest.fixture
async def told(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> dict[str, list[dict[str, Any]]]:
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        told = await read(engine)
        now = engine.context.world.now()
        _, suppressed = suppressions.entries(engine.context.store.reader, "acme", now, 0, 10_000)
        told["suppressed"] = [msgspec.to_builtins(each) for each in suppressed]
        return told


def takes_no_mail(bounce: dict[str, Any]) -> bool:
    """Whether a bounce for good is about the address: not about the message, its sender or a server."""
    fault = bounce.get("explain", {}).get("fault", "unknown")
    return fault in ("recipient", "unknown") and bounce["response"]["category"] in ABOUT_THE_ADDRESS


def outcome(events: list[dict[str, Any]]) -> Told:
    new, bounces = events[0]["data"], [each["data"] for each in events if each["event"] == "messageBounce"]
    failed = {(each["recipient"].lower(), each["bounceType"]) for each in bounces}
    return failed | {(each["recipient"].lower(), each["action"]) for each in new.get("deliveryReport", [])}


async def test_real_mail(told: dict[str, list[dict[str, Any]]]) -> None:
    suppressed = told.pop("suppressed")
    each_event = [each for events in told.values() for each in events]
    bounced = [each["data"] for each in each_event if each["event"] == "messageBounce"]
    by_kind: dict[str, set[str]] = {"hard": set(), "soft": set()}
    for each in bounced:
        if each["bounceType"] == "hard" and not takes_no_mail(each):
            continue
        original = each.get("originalRecipient", "")
        by_kind[each["bounceType"]].add((original if "@" in original else each["recipient"]).lower())
    hard = {each for each in by_kind["hard"] if all(each.partition("@"))}
    assert {each["recipient"].lower() for each in suppressed if each["reason"] == "hard-bounce"} == hard
    assert len(hard) > 80
    assert {f"{name}@libsisimai.net" for name in ("userunknown", "hasmoved", "syntaxerror")} <= hard
    innocent = ("mesgtoobig", "exceedlimit", "spamdetected", "policyviolation", "mailboxfull")
    assert not {f"{name}@libsisimai.net" for name in innocent} & hard
    assert len(by_kind["soft"] - hard) > 10
    numbers = {each["seq"]: each["event"] for each in each_event}
    assert {numbers[each["evidence"]] for each in suppressed} == {"messageBounce", "messageComplaint"}

    wanted = expected()
    assert set(wanted) | {name for name in told if name.startswith(("arf-", "rfc3834-"))} == set(told)
    wrong = {name: (outcome(told[name]), wanted[name]) for name in wanted if outcome(told[name]) != wanted[name]}
    assert not wrong

    for name, events in told.items():
        kinds = [each["event"] for each in events]
        new = events[0]["data"]
        if name.startswith(("arf-", "rfc3834-")):
            assert "messageBounce" not in kinds and "isBounce" not in new and "deliveryReport" not in new, name
        if name.startswith("rfc3834-"):
            assert new["isAutoReply"], name
        for each in events[1:]:
            if each["event"] == "messageBounce":
                assert new["isBounce"] and each["data"]["source"] in ("dsn", "text"), name
                assert each["data"]["response"]["category"], name
    linked = [name for name in wanted if any("messageId" in each["data"] for each in told[name][1:])]
    assert len(linked) > 0.85 * len(wanted)
    assert sum("messageComplaint" in [each["event"] for each in events] for events in told.values()) >= 6
