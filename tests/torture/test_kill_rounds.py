"""A few rounds of `scripts/torture`, and that its reckoning would notice what must not happen."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from real.engine_process import REPOSITORY
from torture_parts.ledger import Findings, reckon, unsettled

ACKNOWLEDGED = {"key": "k1", "messageId": "<1@x>", "queueId": "q1", "hold": False, "repeats": 0}
ARRIVED = {"key": "k1", "messageId": "<1@x>", "recipient": "ok.k1@x", "kept": True, "whole": True}


def told(*events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Events about the one message, numbered from 1."""
    return [
        {"seq": number, "event": name, "data": {"messageId": "<1@x>", **data}}
        for number, (name, data) in enumerate(events, 1)
    ]


SENT: tuple[str, dict[str, Any]] = ("messageSent", {})
DOUBT = ("messageInDoubt", {"inDoubt": True})


def faults(
    *arrived: dict[str, Any],
    events: list[dict[str, Any]],
    waiting: tuple[str, ...] = (),
    acknowledged: dict[str, Any] = ACKNOWLEDGED,
) -> list[str]:
    """The names of what is wrong with one acknowledged message."""
    found: Findings = reckon([acknowledged], arrived, events, waiting, keys=True)
    return list(found.faults)


@pytest.mark.process
def test_killed_again_and_again_under_load_nothing_is_lost() -> None:
    command = [sys.executable, "scripts/torture.py", "--rounds", "3", "--longest", "1", "--rate", "100"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "events                                    gapless" in ended.stdout
    (acknowledged,) = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("acknowledged")]
    assert int(acknowledged) > 0


def test_what_was_delivered_once_is_well() -> None:
    assert faults(ARRIVED, events=told(SENT)) == []


def test_what_is_in_the_outbox_or_was_said_to_have_ended_is_accounted_for() -> None:
    assert faults(events=[], waiting=("q1",)) == []
    assert faults(events=told(("messageFailed", {}))) == []


def test_what_never_came_and_is_nowhere_is_lost() -> None:
    assert faults(events=[]) == ["lost"]
    assert faults({**ARRIVED, "kept": False}, events=[]) == ["lost"]
    assert faults(events=told(SENT)) == ["lost", "untrue"]


def test_a_duplicate_has_to_be_said_to_be_in_doubt_and_is_never_a_held_one() -> None:
    assert faults(ARRIVED, ARRIVED, events=told(SENT)) == ["unnamed"]
    assert faults(ARRIVED, ARRIVED, events=told(DOUBT, SENT)) == []
    held = {**ACKNOWLEDGED, "hold": True}
    assert faults(ARRIVED, ARRIVED, events=told(DOUBT, SENT), acknowledged=held) == ["held_twice"]


def test_a_key_that_made_two_messages_is_a_fault() -> None:
    other = {**ARRIVED, "messageId": "<2@x>"}
    assert faults(ARRIVED, other, events=told(SENT)) == ["made_twice"]


def test_a_message_said_to_be_sent_twice_or_cut_short_is_a_fault() -> None:
    assert faults(ARRIVED, events=told(SENT, SENT)) == ["sent_twice"]
    assert faults({**ARRIVED, "whole": False}, events=told(SENT)) == ["torn"]


def test_what_was_deleted_must_not_come() -> None:
    for deleted, wrong in ((True, ["deleted_came"]), (False, [])):
        answer = {"messageId": "<1@x>", "deleted": deleted}
        found = reckon([ACKNOWLEDGED], [ARRIVED], told(SENT), (), keys=True, cancelled=[answer])
        assert list(found.faults) == wrong


def test_a_missing_number_is_a_gap() -> None:
    assert faults(ARRIVED, events=told(DOUBT, SENT)[1:]) == ["gaps"]


def test_settled_is_what_has_ended_or_is_held() -> None:
    assert unsettled([ACKNOWLEDGED], [], ()) == {"<1@x>"}
    assert unsettled([ACKNOWLEDGED], told(DOUBT), ()) == {"<1@x>"}
    assert unsettled([ACKNOWLEDGED], told(DOUBT), ("q1",)) == set()
    assert unsettled([ACKNOWLEDGED], told(SENT), ()) == set()
