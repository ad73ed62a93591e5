"""The newest events in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.events.recent import RecentEvents


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 20), st.integers(1, 200), st.integers(0, 70))
def test_it_gives_everything_after_a_number_or_nothing(sizes: list[int], most: int, most_bytes: int, seq: int) -> None:
    recent = RecentEvents(7, most, most_bytes)
    entries = {8 + place: (8 + place, "a", "x", b"." * size) for place, size in enumerate(sizes)}
    for entry in entries.values():
        recent.add(entry)
    last = 7 + len(sizes)
    assert recent.last == last
    assert len(recent._entries) <= most
    assert sum(len(entry[3]) for entry in recent._entries.values()) <= most_bytes
    found = recent.after(seq, last)
    if found is not None:
        assert found == [entries[number] for number in range(seq + 1, last + 1)]
    else:
        assert seq + 1 < recent.first


def test_a_number_that_does_not_follow_makes_a_fresh_start() -> None:
    recent = RecentEvents(0)
    recent.add((1, None, "x", b""))
    recent.add((5, None, "x", b""))
    assert recent.after(0, 5) is None
    assert recent.after(4, 5) == [(5, None, "x", b"")]
