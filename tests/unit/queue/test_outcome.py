from __future__ import annotations

from typing import Any

import pytest

from engine.errors import NetworkError, NetworkKind
from engine.isotime import iso
from engine.model.message import Message, OnDoubt, Recipient
from engine.model.message_states import ENDED, State
from engine.queue import judgements
from engine.queue.doubt import PATIENCE
from engine.queue.outcome import Judgement, judge
from engine.smtp.replies import Reply
from engine.smtp.verdict import Kind, Stage, Verdict, of_network, of_reply

NOW = 1_800_000_000.0
RETRY_AT = NOW + 60


def message(made: int = 1, most: int = 10, on_doubt: str = "resend") -> Message:
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
        on_doubt=OnDoubt(on_doubt),
        doubt_since=None,
        interruptions=0,
        expires_at=NOW + 1000,
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


def judged(
    mix: str,
    made: int = 1,
    before: tuple[State, ...] = (),
    *,
    on_doubt: str = "resend",
    evidence: bool = False,
) -> Judgement:
    """The judgement of an attempt whose recipients met `mix`, after those who ended before as `before`."""
    ended = [Recipient(place, f"old{place}@x.example", state) for place, state in enumerate(before)]
    tried = [
        Recipient(len(before) + place, f"{place}{kind}@x.example", State.SENDING) for place, kind in enumerate(mix)
    ]
    verdicts = {each.address: VERDICTS[kind] for each, kind in zip(tried, mix, strict=True)}
    overall = min(verdicts.values(), key=lambda verdict: ORDER.index(verdict.kind))
    about = message(made, on_doubt=on_doubt)
    return judge(about, [*ended, *tried], verdicts, overall, now=NOW, retry_at=RETRY_AT, evidence=evidence)


def names(judgement: Judgement) -> list[str]:
    return [name for name, _ in judgement.events]


def data(judgement: Judgement, name: str) -> dict[str, Any]:
    (found,) = [data for each, data in judgement.events if each == name]
    return found


S, E, D, F = "messageSent", "messageDeliveryError", "messageInDoubt", "messageFailed"


@pytest.mark.parametrize(
    ("mix", "states", "state", "again", "events"),
    [
        ("a", "sent", "sent", False, [S]),
        ("aa", "sent sent", "sent", False, [S]),
        ("l", "deferred", "deferred", True, [E]),
        ("n", "deferred", "deferred", True, [E]),
        ("p", "deferred", "deferred", True, [E]),
        ("d", "in_doubt", "in_doubt", True, [E, D]),
        ("ad", "sent in_doubt", "in_doubt", True, [S, E, D]),
        ("dl", "in_doubt deferred", "in_doubt", True, [E, D]),
        ("r", "failed", "failed", False, [E, F]),
        ("rr", "failed failed", "failed", False, [E, F]),
        ("ar", "sent failed", "sent", False, [S]),
        ("al", "sent deferred", "deferred", True, [S, E]),
        ("alr", "sent deferred failed", "deferred", True, [S, E]),
        ("lr", "deferred failed", "deferred", True, [E]),
        ("dr", "in_doubt failed", "in_doubt", True, [E, D]),
        ("nn", "deferred deferred", "deferred", True, [E]),
    ],
)
def test_a_try(mix: str, states: str, state: str, again: bool, events: list[str]) -> None:
    judgement = judged(mix)
    assert [each.state for each in judgement.recipients] == states.split()
    assert judgement.state == state
    assert judgement.next_at == (RETRY_AT if again else None)
    assert judgement.ended is not again
    assert names(judgement) == events


@pytest.mark.parametrize(
    ("mix", "states", "state", "events"),
    [
        ("a", "sent", "sent", [S]),
        ("l", "failed", "failed", [E, F]),
        ("n", "failed", "failed", [E, F]),
        ("p", "failed", "failed", [E, F]),
        ("d", "failed", "failed", [E, D, F]),
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


def test_ten_refused_recipients_of_an_event_are_explained() -> None:
    refused = data(judged("r" * 12), F)
    assert refused["explain"]["fault"] == "recipient"
    assert ["explain" in each for each in refused["rejected"]] == [True] * 10 + [False] * 2


def test_one_accepted_one_put_off_one_refused() -> None:
    judgement = judged("alr")
    sent, error = data(judgement, S), data(judgement, E)
    assert sent["accepted"] == ["0a@x.example"]
    assert [(each["address"], each["response"], each["responseCode"]) for each in sent["rejected"]] == [
        ("2r@x.example", "550 5.1.1 Unknown", 550)
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


@pytest.mark.parametrize("before", [(State.SENT,), (State.FAILED,), (State.SENT, State.FAILED)])
def test_who_ended_in_an_earlier_attempt_is_left_alone(before: tuple[State, ...]) -> None:
    judgement = judged("l", made=2, before=before)
    assert [each.address for each in judgement.recipients] == ["0l@x.example"]
    assert judgement.state == "deferred"
    assert judged("r", made=2, before=(State.SENT,)).state == "sent"
    assert judged("a", made=2, before=(State.FAILED,)).state == "sent"


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


@pytest.mark.parametrize(
    ("mix", "on_doubt", "evidence", "made", "states", "next_at", "events"),
    [
        ("d", "hold", False, 1, "in_doubt", None, [E, D]),
        ("d", "hold", True, 1, "in_doubt", None, [E, D]),
        ("d", "hold", False, 10, "in_doubt", None, [E, D]),
        ("d", "fail", False, 1, "failed", None, [E, D, F]),
        ("d", "fail", True, 1, "in_doubt", NOW + PATIENCE, [E, D]),
        ("d", "resend", True, 1, "in_doubt", NOW + PATIENCE, [E, D]),
        ("d", "resend", True, 10, "in_doubt", NOW + PATIENCE, [E, D]),
        ("dl", "hold", False, 1, "in_doubt deferred", RETRY_AT, [E, D]),
        ("dl", "fail", False, 1, "failed deferred", RETRY_AT, [E, D]),
        ("da", "hold", False, 1, "in_doubt sent", None, [S, E, D]),
        ("dr", "hold", False, 1, "in_doubt failed", None, [E, D]),
    ],
)
def test_a_doubt_follows_evidence_and_choice(
    mix: str, on_doubt: str, evidence: bool, made: int, states: str, next_at: float | None, events: list[str]
) -> None:
    judgement = judged(mix, made, on_doubt=OnDoubt(on_doubt), evidence=evidence)
    assert [each.state for each in judgement.recipients] == states.split()
    assert judgement.next_at == next_at
    assert judgement.ended is (judgement.state in ENDED)
    assert judgement.doubt_since == (NOW if State.IN_DOUBT in states.split() else None)
    assert names(judgement) == events
    said = data(judgement, D)
    assert said["onDoubt"] == on_doubt
    assert said["searchingSentFolder"] is evidence
    assert said["envelope"]["to"] == ["0d@x.example"]
    assert said["nextAttempt"] == (False if next_at is None else iso(next_at))


@pytest.mark.parametrize("kind", ["n", "p"])
def test_where_the_account_cannot_send_time_ends_the_message(kind: str) -> None:
    def judged_at(now: float) -> Judgement:
        verdict = VERDICTS[kind]
        tried = [Recipient(0, "a@x.example", State.QUEUED)]
        return judge(message(2), tried, {"a@x.example": verdict}, verdict, now=now, retry_at=now + 5000, evidence=False)

    assert judged_at(NOW).next_at == NOW + 1000
    late = judged_at(NOW + 1000)
    assert (late.state, late.ended) == (State.FAILED, True)
    assert names(late) == [E, F]


def test_an_older_doubt_stays_one_while_others_are_tried() -> None:
    about = message(2, on_doubt="hold")
    about.doubt_since = NOW - 100
    old, new = Recipient(0, "old@x.example", State.IN_DOUBT), Recipient(1, "new@x.example", State.DEFERRED)
    judgement = judge(about, [old, new], {new.address: ACCEPTED}, ACCEPTED, now=NOW, retry_at=RETRY_AT, evidence=False)
    assert (judgement.state, judgement.ended, judgement.next_at) == (State.IN_DOUBT, False, None)
    assert judgement.doubt_since == NOW - 100
    assert names(judgement) == [S]


def open_message(*states: State, made: int = 1) -> tuple[Message, list[Recipient]]:
    about = message(made)
    about.state, about.doubt_since = State.IN_DOUBT, NOW - 20
    return about, [Recipient(place, f"{place}@x.example", state) for place, state in enumerate(states)]


def test_what_the_sent_folder_holds_was_sent() -> None:
    about, recipients = open_message(State.IN_DOUBT, State.FAILED)
    judgement = judgements.found(about, recipients, NOW)
    assert (judgement.state, judgement.ended, judgement.next_at) == (State.SENT, True, None)
    assert names(judgement) == [S]
    assert data(judgement, S)["accepted"] == ["0@x.example"]
    assert [each["address"] for each in data(judgement, S)["rejected"]] == ["1@x.example"]


def test_what_the_sent_folder_lacks_is_sent_again() -> None:
    about, recipients = open_message(State.IN_DOUBT, State.SENT)
    judgement = judgements.not_found(about, recipients, NOW)
    assert (judgement.state, judgement.ended, judgement.next_at) == (State.DEFERRED, False, NOW)
    assert judgement.doubt_since is None
    assert names(judgement) == []
    about, recipients = open_message(State.IN_DOUBT, made=10)
    judgement = judgements.not_found(about, recipients, NOW)
    assert (judgement.state, judgement.ended) == (State.FAILED, True)
    assert names(judgement) == [F]
    assert "inDoubt" not in data(judgement, F)


def test_a_doubt_given_up_leaves_the_others_alone() -> None:
    about, recipients = open_message(State.IN_DOUBT, State.DEFERRED)
    about.next_at = NOW + 5
    judgement = judgements.doubt_given_up(about, recipients, NOW)
    assert [(each.position, each.state) for each in judgement.recipients] == [(0, State.FAILED)]
    assert (judgement.state, judgement.ended, judgement.next_at) == (State.DEFERRED, False, NOW + 5)
    about, recipients = open_message(State.IN_DOUBT, State.SENT)
    judgement = judgements.doubt_given_up(about, recipients, NOW)
    assert (judgement.state, judgement.ended) == (State.SENT, True)
    assert data(judgement, F)["inDoubt"] is True


def test_a_recipient_in_doubt_who_is_suppressed_is_not_said_to_have_got_nothing() -> None:
    recipients = [
        Recipient(0, "sent-perhaps@x.example", State.IN_DOUBT, None, DOUBT.text),
        Recipient(1, "waiting@x.example", State.DEFERRED, 451, LATER.text),
    ]
    reasons = dict.fromkeys(("sent-perhaps@x.example", "waiting@x.example"), "suppressed (request)")
    judgement = judgements.left_out(message(), recipients, reasons, NOW, evidence=False)
    assert [each.response for each in judgement.recipients] == [
        "It is not known whether the message arrived, and it is not sent again: suppressed (request)",
        "Not sent: suppressed (request)",
    ]
    ((_, failed),) = judgement.events
    assert failed["inDoubt"]
