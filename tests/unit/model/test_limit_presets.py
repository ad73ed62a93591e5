from __future__ import annotations

import re

import msgspec
import pytest

from engine.accounts.providers import BY_DOMAIN, BY_MX
from engine.model.limit_presets import PRESETS, quota_of
from engine.model.limits import Quota, SendingLimits


def test_each_preset_says_where_it_is_from_and_of_when():
    for name, preset in PRESETS.items():
        assert re.fullmatch(r"20\d\d-\d\d", preset.as_of)
        assert preset.source.startswith("https://") or name == "none"


@pytest.mark.parametrize(
    ("given", "quota"),
    [
        ({}, Quota()),
        ({"preset": "none"}, Quota()),
        ({"preset": "gmail"}, Quota(per_day=500, recipients_per_message=100)),
        ({"preset": "gmail", "perDay": 50, "perHour": 7}, Quota(per_day=50, per_hour=7, recipients_per_message=100)),
        ({"preset": "gmail", "perDay": None}, Quota(recipients_per_message=100)),
        ({"recipientsPerDay": 9, "tooManyRecipients": "refuse"}, Quota(recipients_per_day=9)),
        ({"preset": "microsoft365"}, Quota(per_minute=30, recipients_per_day=10_000)),
    ],
)
def test_members_replace_those_of_the_preset(given: dict[str, object], quota: Quota):
    assert quota_of(msgspec.convert(given, SendingLimits)) == quota


def test_limits_without_a_number_are_no_window():
    assert Quota(recipients_per_message=5).windows == ()
    assert [each.name for each in Quota(per_day=1, recipients_per_day=2).windows] == ["perDay", "recipientsPerDay"]


def test_providers_name_presets_that_exist():
    for provider in (*BY_DOMAIN.values(), *BY_MX.values()):
        assert {provider.limits, provider.domain_limits} <= {None, *PRESETS}
