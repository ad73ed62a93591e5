from __future__ import annotations

from typing import Any

import pytest

from engine.errors import NetworkError, NetworkKind
from engine.queue.lifecycle import State
from engine.queue.outcome import Judgement, judge
from engine.smtp.replies import Reply
from engine.smtp.verdict import Kind, Stage, Verdict, of_network, of_reply
from engine.store.messages import Message, Recipient

RETRY_AT = 1_800_000_060.0


def message(made: int = 1, most: int = 10) -> Message:
    return Message(
        id=1,
        queue_id="0190000000000000000",
        account="acme",
        message_id="<1@a.example>",
        subject=None,
        sender="me@a.example",
        smtputf8=False,
        size=100,
        copy_path=None,
        created=0.0,
        send_at=0.0,
        next_at=0.0,
        state=State.SENDING,
        attempts_made=made,
        attempts_max=most,
        dot_at=None,
        last_error=None,
        ended=None,
    )


def reply(stage: Stage, code: int, text: str) -> Verdict:
    return of_reply(stage, Reply(code, (text,)))


ACCEPTED = reply(Stage.DOT, 250, "2.0.0 Ok")
LATER = reply(Stage.RCPT, 451, "4.3.0 Try again")
REJECTED = reply(Stage.RCPT, 550, "5.1.1 Unknown")
LOGIN = reply(Stage.AUTH, 535, "5.7.8 No")
DOWN = of_network(Stage.CONNECT, NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "refused"), dot_sent=False)
DOUBT = of_network(Stage.DOT, NetworkError(NetworkKind.CLOSED, "ECONNRESET", "closed"), dot_sent=True)
VERDICTS = {"a": ACCEPTED, "l": LATER, "r": REJECTED, "p": LOGIN, "n": DOWN, "d": DOUBT}
ORDER = (Kind.ACCEPTED, Kind.DOUBT, Kind.LATER, Kind.LOGIN_REFUSED, Kind.REJECTED)


def judged(mix: str, made: int = 1, most: int = 10, before: tuple[str, ...] = ()) -> Judgement:
    """The judgement of a try whose recipients met `mix`, after those who ended in an earlier try as `before`."""
    ended = [Recipient(place, f"old{place}@x.example", state) for place, state in enumerate(before)]
    tried = [Recipient(len(before) + place, f"{place}{kind}@x.example", "sending") for place, kind in enumerate(mix)]
    verdicts = {each.address: VERDICTS[kind] for each, kind in zip(tried, mix, strict=True)}
    overall = min(verdicts.values(), key=lambda verdict: ORDER.index(verdict.kind))
    return judge(message(made, most), [*ended, *tried], verdicts, overall, retry_at=RETRY_AT)


def names(judgement: Judgement) -> list[str]:
    return [name for name, _ in judgement.events]


def data(judgement: Judgement, name: str) -> dict[str, Any]:
    (found,) = [data for each, data in judgement.events if each == name]
    return found


S, E, F = "messageSent", "messageDeliveryError", "messageFailed"


@pytest.mark.parametrize(
    ("mix", "states", "state", "again", "events"),
    [
        ("a", "sent", "sent", False, [S]),
        ("aa", "sent sent", "sent", False, [S]),
        ("l", "deferred", "deferred", True, [E]),
        ("n", "deferred", "deferred", True, [E]),
        ("p", "deferred", "deferred", True, [E]),
        ("d", "in_doubt", "in_doubt", True, [E]),
        ("r", "failed", "failed", False, [E, F]),
        ("rr", "failed failed", "failed", False, [E, F]),
        ("ar", "sent failed", "sent", False, [S]),
        ("al", "sent deferred", "deferred", True, [S, E]),
        ("alr", "sent deferred failed", "deferred", True, [S, E]),
        ("lr", "deferred failed", "deferred", True, [E]),
        ("dr", "in_doubt failed", "in_doubt", True, [E]),
        ("nn", "deferred deferred", "deferred", True, [E]),
    ],
)
def test_a_try(mix: str, states: str, state: str, again: bool, events: list[str]) -> None:
    judgement = judged(mix)
    assert [each.state for each in judgement.recipients] == states.split()
    assert judgement.state == state
    assert judgement.next_at == (RETRY_AT if again else None)
    assert names(judgement) == events


@pytest.mark.parametrize(
    ("mix", "states", "state", "events"),
    [
        ("a", "sent", "sent", [S]),
        ("l", "failed", "failed", [E, F]),
        ("n", "failed", "failed", [E, F]),
        ("p", "failed", "failed", [E, F]),
        ("d", "failed", "failed", [E, F]),
        ("al", "sent failed", "sent", [S, E, F]),
        ("ar", "sent failed", "sent", [S]),
        ("lr", "failed failed", "failed", [E, F]),
    ],
)
def test_the_last_try(mix: str, states: str, state: str, events: list[str]) -> None:
    judgement = judged(mix, made=10)
    assert [each.state for each in judgement.recipients] == states.split()
    assert judgement.state == state
    assert judgement.next_at is None
    assert names(judgement) == events
    if E in events:
        assert data(judgement, E)["job"] == {
            "id": "0190000000000000000",
            "attemptsMade": 10,
            "attempts": 10,
            "nextAttempt": False,
        }


def test_one_accepted_one_put_off_one_refused() -> None:
    judgement = judged("alr")
    sent, error = data(judgement, S), data(judgement, E)
    assert sent["accepted"] == ["0a@x.example"]
    assert sent["rejected"] == [
        {"address": "2r@x.example", "response": "550 5.1.1 Unknown", "responseCode": 550},
    ]
    assert sent["envelope"] == {"from": "me@a.example", "to": ["0a@x.example", "1l@x.example", "2r@x.example"]}
    assert sent["response"] == "250 2.0.0 Ok"
    assert error["envelope"]["to"] == ["1l@x.example", "2r@x.example"]
    assert (error["smtpResponseCode"], error["smtpResponse"]) == (451, "451 4.3.0 Try again")
    assert (error["smtpCommand"], error["errorCode"]) == ("RCPT TO", "EENVELOPE")
    assert error["job"]["nextAttempt"] == "2027-01-15T08:01:00.000Z"
    assert error["job"]["attemptsMade"] == 1
    assert [each["address"] for each in error["rejected"]] == ["2r@x.example"]
    assert judgement.error is not None
    assert judgement.error["statusCode"] == 451


@pytest.mark.parametrize("before", [("sent",), ("failed",), ("sent", "failed")])
def test_who_ended_in_an_earlier_try_is_left_alone(before: tuple[str, ...]) -> None:
    judgement = judged("l", made=2, before=before)
    assert [each.address for each in judgement.recipients] == ["0l@x.example"]
    assert judgement.state == "deferred"
    assert judged("r", made=2, before=("sent",)).state == "sent"
    assert judged("a", made=2, before=("failed",)).state == "sent"


def test_a_doubt_is_named() -> None:
    judgement = judged("d")
    error = data(judgement, E)
    assert error["inDoubt"] is True
    assert "smtpResponseCode" not in error
    assert error["messageId"] == "<1@a.example>"
    assert "inDoubt" not in data(judged("l"), E)


def test_only_a_reply_that_was_read_carries_a_code() -> None:
    for kind in "nd":
        judgement = judged(kind, made=10)
        assert all("smtpResponseCode" not in data for _, data in judgement.events)
        assert judgement.error is not None
        assert "statusCode" not in judgement.error
    assert data(judged("r"), F)["smtpResponseCode"] == 550


def test_success_leaves_no_error() -> None:
    assert judged("aa").error is None
