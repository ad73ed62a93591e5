"""The caller's own header fields: what may stand once stands once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.mail.addresses import Address
from engine.mail.header_writing import HeaderError
from engine.mail.repeated_fields import own_fields

ONE, TWO = Address("one@x.example", "One"), Address("two@x.example")
ONCE = ("Reply-To", "reply-to", "Sender", "sender", "References", "REFERENCES", "In-Reply-To", "List-Unsubscribe")


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ([("X-A", "1"), ("X-A", "2")], ["X-A: 1", "X-A: 2"]),
        ([("References", "<a@x>"), ("X-A", "1"), ("references", "b@x, <a@x>")], ["References: <a@x> <b@x>", "X-A: 1"]),
        ([("In-Reply-To", "<a@x>"), ("In-Reply-To", "<b@x>")], ["In-Reply-To: <a@x> <b@x>"]),
        ([("Sender", "a@x.example"), ("sender", "a@x.example")], ["Sender: a@x.example"]),
        (
            [("List-Unsubscribe", "<mailto:u@x.example>"), ("list-unsubscribe", "<https://x.example/u>")],
            ["List-Unsubscribe: <mailto:u@x.example>, <https://x.example/u>"],
        ),
        ([("Mail-Reply-To", "a@x.example"), ("mail-reply-to", "A <a@x.example>")], ["Mail-Reply-To: a@x.example"]),
        ([("Content-Language", "de"), ("content-language", "de")], ["Content-Language: de"]),
        ([("X-Empty", ""), ("References", " "), ("Sender", "\t"), ("X-A", "1")], ["X-A: 1"]),
        ([("References", ","), ("References", "<>")], []),
        ([("Sender", ""), ("sender", "b@x.example")], ["sender: b@x.example"]),
    ],
)
def test_fields(headers: list[tuple[str, str]], fields: list[str]) -> None:
    assert own_fields(headers, ()) == ("", [f"{field}\r\n" for field in fields])


@pytest.mark.parametrize(
    ("reply_to", "headers", "field"),
    [
        ((), [], ""),
        ((ONE,), [], "Reply-To: One <one@x.example>\r\n"),
        ((), [("reply-to", "two@x.example")], "reply-to: two@x.example\r\n"),
        ((ONE,), [("Reply-To", "two@x.example")], "Reply-To: One <one@x.example>, two@x.example\r\n"),
        ((ONE,), [("Reply-To", "Someone <one@x.example>")], "Reply-To: One <one@x.example>\r\n"),
        ((ONE,), [("Reply-To", "")], "Reply-To: One <one@x.example>\r\n"),
        (
            (),
            [("Reply-To", "a@x.example, b@x.example"), ("reply-to", "B <b@x.example>")],
            "Reply-To: a@x.example, b@x.example\r\n",
        ),
        (
            (),
            [("Reply-To", "Team: a@x.example;"), ("reply-to", "b@x.example")],
            "Reply-To: Team: a@x.example;, b@x.example\r\n",
        ),
    ],
)
def test_reply_to(reply_to: tuple[Address, ...], headers: list[tuple[str, str]], field: str) -> None:
    reply, others = own_fields(headers, reply_to)
    assert [reply, *others] == ([field] if reply_to else ["", field] if field else [""])


@pytest.mark.parametrize(
    ("headers", "named", "reason"),
    [
        ([("Sender", "a@x.example"), ("sender", "b@x.example")], "headers.sender", "is given beside Sender"),
        ([("List-Id", "<a.x>"), ("List-Id", "<b.x>")], "headers.List-Id", "is given twice"),
        ([("Content-Language", "de"), ("content-language", "en")], "headers.content-language", "beside"),
        ([("Sender", "a@x.example, b@x.example")], "headers.Sender", "must be one address"),
        ([("Subject", "")], "headers.Subject", "is not allowed"),
    ],
)
def test_two_values_of_one_are_refused(headers: list[tuple[str, str]], named: str, reason: str) -> None:
    with pytest.raises(HeaderError) as caught:
        own_fields(headers, ())
    assert caught.value.field == named
    assert reason in caught.value.reason


@given(
    st.lists(
        st.tuples(st.sampled_from(ONCE), st.sampled_from(["", "a@x.example", "<a@x.example>", "b@x.example,", ","]))
    ),
    st.lists(st.sampled_from([ONE, TWO]), max_size=2),
)
def test_no_field_stands_twice_or_empty(headers: list[tuple[str, str]], reply_to: list[Address]) -> None:
    try:
        reply, others = own_fields(headers, reply_to)
    except HeaderError:
        return
    written = [field.partition(":") for field in ([reply] if reply else []) + others]
    assert max(Counter(name.lower() for name, _, _ in written).values(), default=1) == 1
    assert all(value.strip() for _, _, value in written)
