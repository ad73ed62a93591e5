"""Ids are read back as what they were made from, and whatever else callers send leads nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import message_ids
from engine.accounts.message_ids import NoId, Place

MAILBOXES = st.integers(1, 2**32 - 1)
UIDS = st.integers(1, 2**63 - 1)
SECTIONS = st.lists(st.integers(1, 99_999).map(str), min_size=1, max_size=5).map(".".join)
READERS = (message_ids.read_message, message_ids.read_attachment, message_ids.read_text)


@given(MAILBOXES, UIDS)
def test_a_message(mailbox: int, uid: int) -> None:
    assert message_ids.read_message(message_ids.message_id(mailbox, uid)) == Place(mailbox, uid)


@given(MAILBOXES, UIDS, SECTIONS)
def test_an_attachment(mailbox: int, uid: int, section: str) -> None:
    written = message_ids.attachment_id(mailbox, uid, section)
    assert message_ids.read_attachment(written) == Place(mailbox, uid, part=section)


@given(MAILBOXES, UIDS, st.lists(SECTIONS, max_size=3), st.lists(SECTIONS, max_size=3))
def test_a_text(mailbox: int, uid: int, plain: list[str], html: list[str]) -> None:
    written = message_ids.text_id(mailbox, uid, plain, html)
    assert message_ids.read_text(written) == Place(mailbox, uid, plain=tuple(plain), html=tuple(html))


def test_ids_as_emailengine_writes_them() -> None:
    assert message_ids.message_id(1, 1) == "AAAAAQAAAAE"
    assert message_ids.read_message("AAAAAQAAAAE=") == Place(1, 1)
    assert message_ids.read_text("AAAAAQAAAAGTkaExkJA") == Place(1, 1, plain=("1",))
    assert message_ids.read_attachment("AAAAAQAAAAIy") == Place(1, 2, part="2")


@pytest.mark.parametrize("written", ["", "ä", "AAAA AQ", "AAAAAQAAAAE===", "+/+/", "A", "A" * 20_000])
@pytest.mark.parametrize("read", READERS)
def test_what_is_no_base64url(read, written: str) -> None:
    with pytest.raises(NoId):
        read(written)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (message_ids.read_message, "AAAA"),
        (message_ids.read_message, message_ids.attachment_id(1, 1, "2")),
        (message_ids.read_attachment, message_ids.message_id(1, 1)),
        (message_ids.read_attachment, message_ids.attachment_id(1, 1, "2.MIME")),
        (message_ids.read_attachment, message_ids.attachment_id(1, 1, "2] BODY[")),
        (message_ids.read_text, message_ids.message_id(1, 1)),
        (message_ids.read_text, message_ids.text_id(1, 1, ["1] X"], [])),
        (message_ids.read_text, message_ids.text_id(1, 1, ["1\r\n"], [])),
    ],
)
def test_ids_nobody_gave_out(read, written: str) -> None:
    assert read(written) is None


@given(st.text(max_size=60) | st.text("AQz09-_=", max_size=60))
def test_nothing_else_is_raised(written: str) -> None:
    for read in READERS:
        try:
            place = read(written)
        except NoId:
            continue
        assert place is None or place.uid >= 0
