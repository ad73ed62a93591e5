from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from engine.model.message_states import ENDED, TRANSITIONS, WAITING, State, diagram, message_state

DOCS = Path(__file__).parents[3] / "docs" / "lifecycle.md"

ROWS = {
    ("queued", "sending"),
    ("queued", "failed"),
    ("queued", "cancelled"),
    ("queued", "held"),
    ("sending", "sent"),
    ("sending", "deferred"),
    ("sending", "in_doubt"),
    ("sending", "failed"),
    ("sending", "queued"),
    ("sending", "held"),
    ("sending", "cancelled"),
    ("deferred", "sending"),
    ("deferred", "failed"),
    ("deferred", "cancelled"),
    ("deferred", "held"),
    ("in_doubt", "sending"),
    ("in_doubt", "cancelled"),
    ("in_doubt", "sent"),
    ("in_doubt", "deferred"),
    ("in_doubt", "failed"),
    ("held", "queued"),
    ("held", "cancelled"),
}


def reachable(start: State) -> set[State]:
    found, ahead = {start}, [start]
    while ahead:
        for state in TRANSITIONS[ahead.pop()]:
            if state not in found:
                found.add(state)
                ahead.append(state)
    return found


def test_every_row() -> None:
    assert {(str(one), str(other)) for one, after in TRANSITIONS.items() for other in after} == ROWS
    assert all(why for after in TRANSITIONS.values() for why in after.values())
    assert set(TRANSITIONS) == set(State)


def test_what_has_ended_stays_ended() -> None:
    assert {"sent", "failed", "cancelled"} == ENDED
    assert not any(TRANSITIONS[state] for state in ENDED)


def test_every_end_is_reachable_from_the_start() -> None:
    assert reachable(State.QUEUED) >= ENDED


@pytest.mark.parametrize("state", [state for state in State if state not in ENDED])
def test_no_open_state_is_a_trap(state: State) -> None:
    assert reachable(state) >= ENDED
    assert State.CANCELLED in TRANSITIONS[state]


def test_a_message_that_waits_may_be_tried() -> None:
    assert {state for state in State if State.SENDING in TRANSITIONS[state]} == WAITING


@pytest.mark.parametrize(
    ("recipients", "message"),
    [
        ("sent", "sent"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
        ("queued", "queued"),
        ("held", "held"),
        ("sent failed", "sent"),
        ("sent cancelled", "sent"),
        ("failed cancelled", "failed"),
        ("sent failed cancelled", "sent"),
        ("sent deferred", "deferred"),
        ("failed deferred", "deferred"),
        ("sent failed deferred", "deferred"),
        ("deferred in_doubt", "in_doubt"),
        ("sent in_doubt", "in_doubt"),
        ("sending sent", "sending"),
        ("sending deferred in_doubt", "sending"),
        ("queued sent", "queued"),
        ("held sent", "held"),
        ("queued deferred", "deferred"),
    ],
)
def test_a_message_is_the_sum_of_its_recipients(recipients: str, message: str) -> None:
    for order in itertools.permutations(recipients.split()):
        assert message_state(State(each) for each in order) == message


def test_a_message_is_open_as_long_as_one_recipient_is() -> None:
    for size in (1, 2, 3):
        for states in itertools.combinations_with_replacement(State, size):
            assert (message_state(states) in ENDED) == all(state in ENDED for state in states), states


def test_the_documentation_shows_the_table() -> None:
    assert f"```mermaid\n{diagram()}```\n" in DOCS.read_text(encoding="utf-8"), "docs/lifecycle.md is out of date"
