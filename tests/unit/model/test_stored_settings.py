"""The settings as they are stored: every name, and what a stored value must be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.api import settings
from engine.model.settings import STORED_NAMES, Settings, read
from engine.model.webhook import Header
from engine.schema.settings import SettingsUpdate


def test_what_the_api_sets_is_stored_under_the_name_it_has_there() -> None:
    asked = {
        field.name: field.encode_name
        for field in msgspec.structs.fields(SettingsUpdate)
        if field.name not in settings.DOOR
    }
    paused = {"queue_paused": "queuePaused", "webhooks_paused": "webhooksPaused"}
    assert asked | paused == STORED_NAMES


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_what_was_never_made_and_what_was_taken_back_say_the_same(name: str) -> None:
    assert read(name, None) is getattr(Settings(), name) is None


@pytest.mark.parametrize(
    ("name", "built", "value"),
    [
        ("webhooks", "", ""),
        ("webhooks", "x" * 100_000, "x" * 100_000),
        ("webhook_events", ["*", "later"], ("*", "later")),
        ("delivery_attempts", -5, -5),
        (
            "webhooks_custom_headers",
            [{"key": "A", "value": "b", "later": 1}, {"key": ""}],
            (Header("A", "b"), Header("")),
        ),
        ("queue_paused", False, False),
    ],
)
def test_no_limit_of_the_api_counts(name: str, built: Any, value: Any) -> None:
    assert read(name, built) == value


@pytest.mark.parametrize(
    ("name", "built"),
    [
        ("webhooks", 7),
        ("webhooks_enabled", "true"),
        ("webhook_events", "*"),
        ("webhook_events", [7]),
        ("queue_paused", 1),
        ("delivery_attempts", 1.5),
        ("webhooks_custom_headers", [{"value": "secret"}]),
        ("webhooks_custom_headers", {"key": "secret"}),
        ("notify_headers", [None]),
        ("proxy_url", 7),
        ("local_addresses", "192.0.2.1"),
        ("imap_strategy", ["secret"]),
    ],
)
def test_a_value_of_another_type_is_refused_and_not_quoted(name: str, built: Any) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        read(name, built)
    assert "secret" not in str(caught.value)
