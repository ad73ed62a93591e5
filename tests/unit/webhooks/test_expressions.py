"""Filters and maps: what they may do, and what they may cost."""

from __future__ import annotations

import re

import pytest

from engine.webhooks.expression_checks import ExpressionError
from engine.webhooks.expressions import LONGEST, Expression

EVENT = {
    "event": "messageSent",
    "account": "a",
    "data": {"queueId": "q1", "accepted": ["x@y.example"], "rejected": [], "n": 3, "nested": {"a": {"b": [1, 2]}}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event == 'messageSent'", True),
        ("event == 'messageFailed'", False),
        ("data.rejected", False),
        ("data.accepted", True),
        ("data.missing", False),
        ("data.n > `2`", True),
        ("data.n > `2` && account == 'b'", False),
        ("contains(data.accepted, 'x@y.example')", True),
        ("data.accepted[?ends_with(@, '.example')]", True),
        ("`0`", True),
        ("''", False),
        ("`{}`", False),
    ],
)
def test_a_filter_holds_by_jmespaths_truth(text: str, expected: bool) -> None:
    assert Expression(text).holds(EVENT) is expected


def test_a_map_makes_another_value_and_leaves_the_event_alone() -> None:
    before = repr(EVENT)
    made = Expression("{id: data.queueId, to: data.accepted, who: account}").evaluate(EVENT)
    assert made == {"id": "q1", "to": ["x@y.example"], "who": "a"}
    assert repr(EVENT) == before


@pytest.mark.parametrize(
    "text",
    ["", "a b", "[", "unclosed(", "'x", "a." * 3, "x" * (LONGEST + 1), "(" * 500 + "a" + ")" * 500, "!" * 1900 + "a"],
)
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["length(data.n)", "unknown(@)", "sum(data.accepted)", "to_number(@, @)", "sort(data.nested)"]
)
def test_what_does_not_fit_is_one_line(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text).evaluate(EVENT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "|".join(["[@,@]"] * 25),
        "|".join(["to_string([@,@])"] * 25),
        "|".join(["join('', [to_string(@),to_string(@)])"] * 25),
        "|".join(["{a:@,b:@}"] * 25),
        "|".join(["[@,@][]"] * 25),
        "|".join(["[*,@,@][]"] * 25),
    ],
)
def test_what_would_double_for_ever_is_stopped(text: str) -> None:
    with pytest.raises(ExpressionError, match="too much work"):
        Expression(text).evaluate(EVENT)


@pytest.mark.parametrize(
    "text", ["__class__", "data.__class__", "@.__init__", "keys(@)[0].__class__", "env", "data.get"]
)
def test_nothing_but_the_event_is_seen(text: str) -> None:
    assert Expression(text).evaluate(EVENT) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("!data.inDoubt", "write !(data.inDoubt)"),
        ("event == 'messageSent' && !data.inDoubt", "write !(data.inDoubt)"),
        ("!data.a.b.c", "write !(data.a.b.c)"),
        ("data.list[?!a.b]", "write !(a.b)"),
        ("!data[?a]", "write !("),
        ("!data.rejected[0].address", "write !("),
        ("{ok: !data.inDoubt}", "write !(data.inDoubt)"),
        ("(event == 'a').b", "has no members"),
        ("length(data.rejected).x", "has no members"),
        ("event == messageSent", "write 'messageSent'"),
        ('event == "messageSent"', "write 'messageSent'"),
        ("messageSent == event || data.x", "write 'messageSent'"),
        ("data.attemptsMade > '3'", "write `5`"),
        ("'2026-01-01' <= date", "write `5`"),
    ],
)
def test_what_can_never_have_a_value_is_told_with_what_was_meant(text: str, hint: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(hint)):
        Expression(text).check()
    Expression(text).evaluate(EVENT)  # one that was accepted before goes on


@pytest.mark.parametrize(
    "text",
    [
        *(
            "!(data.inDoubt)",
            "!data",
            "!data[0]",
            "!contains(data.rejected, 'x')",
            "data.a == data.b",
            "account == path",
        ),
        *(
            "data.list[?a == b]",
            "data | a == b",
            "data.{x: a == b}",
            "seq > `5`",
            "`5` < seq",
            "data.n != null_thing.x",
        ),
        *("data.response.category == 'x'", "length(data.rejected) > `3`", "[event, seq]", "sort_by(data.l, &n)[0].n"),
        *("event == 'messageSent' && !(data.inDoubt)", "map(&a == b, data.l)", "truncated == `true`"),
    ],
)
def test_what_makes_sense_passes(text: str) -> None:
    Expression(text).check()
