"""Sets of UIDs cut into portions that servers take, and expanded in their own order."""

from __future__ import annotations

import random

import pytest

from engine.imap.uid_sets import expanded, in_order, portions, written


@pytest.mark.parametrize("step", [1, 2, 7])
@pytest.mark.parametrize(("most", "octets"), [(500, 4000), (3, 4000), (500, 12), (1, 10)])
def test_every_number_is_in_one_portion(step: int, most: int, octets: int) -> None:
    numbers = list(range(1, 5_000, step))
    found = list(portions(numbers, most, octets))
    assert [uid for portion in found for uid in expanded(portion)] == numbers
    assert all(len(expanded(portion)) <= most and len(written(portion)) <= octets for portion in found)


def test_random_sets() -> None:
    dice = random.Random(4711)
    for _ in range(50):
        numbers = sorted(dice.sample(range(1, 2**32), 200))
        found = list(portions(numbers, dice.randint(1, 90), dice.randint(22, 300)))
        assert [uid for portion in found for uid in expanded(portion)] == numbers


def test_no_portion_of_nothing() -> None:
    assert list(portions([], 500, 4000)) == []


def test_the_order_of_a_set_is_kept() -> None:
    assert in_order(((7, 8), (2, 3)), 4) == [7, 8, 2, 3]
    assert in_order(((1, 2**40),), 1000) == []
