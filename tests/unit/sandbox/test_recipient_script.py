import pytest

from engine.sandbox import recipient_script
from engine.sandbox.answering_mail import AnswerKind
from engine.sandbox.recipient_script import Act, Played, ScriptStage


@pytest.mark.parametrize(
    ("address", "word", "number"),
    [
        ("defer2+x@sandbox.example", "defer", 2),
        ("DEFER2+x@sandbox.example", "defer", 2),
        ("defer+x@sandbox.example", "defer", None),
        ("deferdata3+x@a.example", "deferdata", 3),
        ("cut-after-dot1+x@a.example", "cut-after-dot", 1),
        ("greylist60+x", "greylist", 60),
        ("slow0+x", "slow", 0),
    ],
)
def test_an_address_names_a_row(address, word, number):
    outcome = recipient_script.read(address)
    assert (outcome.row.word, outcome.number) == (word, number)


@pytest.mark.parametrize(
    "address",
    [
        "demo@sandbox.example",
        "demo+tag@a.example",
        "reject@a.example",
        "2defer+x@a",
        "defer2@a",
        "",
        "defer1234567+x@a",
    ],
)
def test_anything_else_is_a_plain_address(address):
    assert recipient_script.read(address) is None


def test_every_row_is_described_and_can_be_asked_for():
    described = recipient_script.describe()
    assert len(described) == len(recipient_script.ROWS) == len({row.word for row in recipient_script.ROWS})
    for (pattern, meaning), row in zip(described, recipient_script.ROWS, strict=True):
        assert recipient_script.read(pattern.replace("[N]", "1")).row is row
        assert meaning
        assert ("attempts" in meaning) == row.counts_attempts


def test_a_row_that_answers_has_a_reply_and_no_other_has():
    for row in recipient_script.ROWS:
        assert bool(row.reply) == (row.act in (Act.REPLY, Act.REPLY_AND_CLOSE, Act.UNTIL))
        assert bool(row.mail) == (row.act is Act.MAIL) == (row.mail in list(AnswerKind))


def test_tries_are_counted_per_recipient_and_message():
    played, outcome = Played(), recipient_script.read("deferdata2+x@a.example")
    acts = [played.acts(outcome, "r", "<1@a>", 0) for _ in range(4)]
    assert acts == [True, True, False, False]
    assert played.acts(outcome, "r", "<2@a>", 0)
    assert played.acts(outcome, "other", "<1@a>", 0)


def test_without_a_number_it_acts_every_time():
    played, outcome = Played(), recipient_script.read("reject+x@a.example")
    assert all(played.acts(outcome, "r", "me", 0) for _ in range(5))


def test_counting_starts_again_once_a_message_was_kept():
    played, outcome = Played(), recipient_script.read("defer1+x@a.example")
    assert [played.acts(outcome, "r", "me", 0) for _ in range(2)] == [True, False]
    played.kept("r", "me")
    assert [played.acts(outcome, "r", "me", 0) for _ in range(2)] == [True, False]


def test_greylisting_counts_seconds_from_the_first_try():
    played, outcome = Played(), recipient_script.read("greylist60+x@a.example")
    assert [played.acts(outcome, "r", "me", now) for now in (100, 159.9, 160, 1000)] == [True, True, False, False]
    assert played.acts(outcome, "r", "someone else", 160)


def test_memory_is_bounded():
    played, outcome = Played(remembered=3), recipient_script.read("defer1+x@a.example")
    for sender in range(4):
        assert played.acts(outcome, "r", str(sender), 0)
    assert not played.acts(outcome, "r", "3", 0)
    assert played.acts(outcome, "r", "0", 0), "the oldest was forgotten"


def test_every_stage_is_used():
    assert {row.stage for row in recipient_script.ROWS} == set(ScriptStage)
