"""What is known of the mailbox that is selected, after what the server said of it since."""

from __future__ import annotations

import pytest

from engine.imap.responses import Exists, Expunge, Fetch, Untagged, Vanished
from engine.imap.selection import Selected


def selected(exists: int = 5, uid_validity: int | None = 7) -> Selected:
    return Selected(exists=exists, uid_validity=uid_validity, uid_next=10, highest_modseq=20, read_only=True)


@pytest.mark.parametrize(
    ("news", "exists"),
    [
        ([], 5),
        ([Exists(8)], 8),
        ([Expunge(1), Expunge(1)], 3),
        ([Exists(8), Expunge(3)], 7),
        ([Expunge(3), Exists(8)], 8),
        ([Vanished(False, ((1, 2), (4, 4)))], 2),
        ([Vanished(True, ((1, 2),))], 5),
        ([Vanished(False, ((1, 2**32 - 1),))], 0),
        ([Expunge(1)] * 9, 0),
        ([Fetch(1, {"FLAGS": []})], 5),
    ],
)
def test_how_many_messages_there_are(news: list[Untagged], exists: int) -> None:
    after = selected().after(news)
    assert after.exists == exists
    assert after.same_messages is (exists == 5)


@pytest.mark.parametrize(
    ("status", "agrees"),
    [
        ({"UIDVALIDITY": 7, "MESSAGES": 5}, True),
        ({"UIDVALIDITY": 7, "MESSAGES": 5, "UIDNEXT": 99}, True),
        ({"UIDVALIDITY": 8, "MESSAGES": 5}, False),
        ({"UIDVALIDITY": 7, "MESSAGES": 4}, False),
        ({"MESSAGES": 5}, False),
        ({"UIDVALIDITY": 7}, False),
        ({}, False),
    ],
)
def test_whether_a_path_leads_to_it(status: dict[str, int], agrees: bool) -> None:
    assert selected().agrees(status) is agrees
