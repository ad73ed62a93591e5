"""No event is larger than its readers take, and what it is found by is always there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events.size_limit import GROUPS, MOST, fit
from engine.model.message import Recipient
from engine.model.message_states import State
from engine.queue import outcome_events
from engine.smtp.verdict import Kind, Stage, Verdict


def fitted(data: dict[str, Any], **outside: Any) -> tuple[dict[str, Any], int]:
    event = {"serviceUrl": None, "account": "a", "event": "x", "data": data, "seq": 7, "eventId": "e", **outside}
    body = fit(event, msgspec.json.encode(event))
    return msgspec.json.decode(body), len(body)


def test_what_fits_stays_as_it_is() -> None:
    event = {"data": {"text": "x" * (MOST - 100)}, "seq": 1}
    body = msgspec.json.encode(event)
    assert fit(event, body) is body


def refused(count: int) -> list[dict[str, Any]]:
    return [
        {
            "address": f"someone.{number}@recipients.example",
            "response": f"550 5.1.{number % 2} <someone.{number}@recipients.example>: User unknown " + "x" * 600,
            "responseCode": 550 + number % 2,
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [600, 3000, 50_000])
def test_refused_recipients_are_counted_and_grouped(count: int) -> None:
    data = {
        "queueId": "1a210b17e9b8ceea519",
        "messageId": "<7c2d@sandbox.example>",
        "envelope": {"from": "a@x.example", "to": [each["address"] for each in refused(count)]},
        "rejected": refused(count),
    }
    event, size = fitted(data)
    assert MOST // 20 < size <= MOST
    assert (event["truncated"], event["seq"], event["eventId"]) == (True, 7, "e")
    shown = event["data"]
    assert (shown["queueId"], shown["messageId"]) == (data["queueId"], data["messageId"])
    assert len(shown["rejected"]) + shown["rejectedMore"] == count
    assert len(shown["envelope"]["to"]) + shown["envelope"].get("toMore", 0) == count
    assert [(kind["responseCode"], kind["count"]) for kind in shown["rejectedGroups"]] == [
        (550, count // 2),
        (551, count // 2),
    ]
    assert all(each["address"] and each["response"].startswith("550 5.1.") for each in shown["rejected"])


def test_groups_are_bounded_too() -> None:
    replies = [{"address": "a@x", "response": f"{chr(65 + n % 26)}{chr(65 + n // 26 % 26)}" * 99} for n in range(9000)]
    event, size = fitted({"queueId": "q", "rejected": replies})
    assert len(event["data"]["rejectedGroups"]) == GROUPS
    assert size <= MOST


@pytest.mark.parametrize(
    "data",
    [
        {"id": "AAAB", "text": {"id": "T", "plain": "é" * 900_000, "html": "<p>" * 900_000}},
        {"id": "AAAB", "headers": {f"x-{n}": ["\x00" * 900] * 9 for n in range(900)}},
        {"id": "AAAB", "attachments": [{"id": f"A{n}", "filename": "x" * 300} for n in range(20_000)]},
        {"id": "AAAB", "subject": "s" * 1_000_000, "labels": ["l" * 1000] * 1000},
        {"queueId": "AAAB", "error": "x" * 5_000_000, "response": "y" * 5_000_000},
        {"id": "AAAB", "k" * 400_000: 1},
        {"id": "AAAB", "messageId": "<" + "m" * 400_000},
        {"id": "AAAB", "deep": [[[[["x" * 40] * 10] * 10] * 10] * 10] * 10},
        {"id": "AAAB", "path": ["p" * 2000] * 3, "more": [{"id": "i" * 2000, "path": {"id": ["x" * 2000] * 9}}] * 900},
    ],
)
def test_every_kind_of_event_fits_and_keeps_its_id(data: dict[str, Any]) -> None:
    event, size = fitted(data, path="p" * 500)
    assert size <= MOST
    assert event["data"].get("id", event["data"].get("queueId")) == "AAAB"
    assert event["truncated"] and event["path"] == "p" * 500


def test_what_becomes_of_a_message_to_thousands_is_bounded() -> None:
    """The data as the queue makes it."""
    people = [
        Recipient(n, f"{n}@{'x' * 60}.example", State.FAILED, 550, f"550 5.7.1 <{n}@x>: {'no ' * 200}")
        for n in range(3000)
    ]
    message: Any = _Message()
    verdict = Verdict(Kind.REJECTED, Stage.RCPT, 550, None, "550 " + "no " * 200)
    for data in (
        outcome_events.sent(message, people, people, people, "250 ok"),
        outcome_events.failed(message, people, people, verdict),
        outcome_events.delivery_error(message, people, people, verdict, None),
        outcome_events.cancelled(message, people),
    ):
        event, size = fitted(data)
        assert size <= MOST
        assert event["data"]["queueId"] == "q"
        assert event["data"]["envelope"]["from"] == "me@x.example"


class _Message:
    queue_id, message_id, sender, attempts_made, attempts_max = "q", "<m@x>", "me@x.example", 1, 10
    gateway = None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9) | st.just("\x01" * 9000),
    lambda inside: (
        st.lists(inside, max_size=5)
        | st.dictionaries(st.sampled_from(["id", "path", "a", "k" * 3000]), inside, max_size=4)
        | inside.map(lambda each: [each] * 9)
    ),
    max_leaves=6,
)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(st.sampled_from(["queueId", "id", "rejected", "x"]), JSON, max_size=4))
def test_whatever_is_in_it(data: dict[str, Any]) -> None:
    _, size = fitted(data)
    assert size <= MOST
