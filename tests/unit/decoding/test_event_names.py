"""Names of events that are asked for: one that no event has would wait for ever, so it is refused."""

from __future__ import annotations

import pytest

from engine.decoding.value_checks import event_name, event_names


@pytest.mark.parametrize("name", ["messageSent", "webhookGap", "trackOpen", "*"])
def test_a_name_there_is(name: str) -> None:
    assert event_name(name) == name


def test_a_name_there_is_not() -> None:
    with pytest.raises(ValueError, match="is not the name of an event, messageSent is"):
        event_name("messageSnt")
    with pytest.raises(ValueError, match=r"is not the name of an event$"):
        event_names("messageSent, xyz")
    assert event_names(" messageSent ,,messageNew") == " messageSent ,,messageNew"
