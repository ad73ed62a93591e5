"""Challenges: how long, for what and how often one counts."""

from __future__ import annotations

from engine.web.challenges import LIFETIME, Challenges
from engine.world import World


class At(World):
    """A world at a time that a test says."""

    time = 1e9

    def now(self) -> float:
        return self.time


def test_it_counts_once_for_its_purpose_and_for_an_hour() -> None:
    world = At()
    challenges = Challenges(world)
    made = challenges.make("sign in")
    assert challenges.make("sign in") != made
    assert challenges.is_open(made, "sign in")
    assert not challenges.is_open(made, "make 1")
    assert not Challenges(world).is_open(made, "sign in"), "that of another process"
    assert not any(challenges.is_open(made[:n], "sign in") for n in (0, 1, 24, len(made) - 1))
    assert not challenges.is_open(made[:-1] + bytes([made[-1] ^ 1]), "sign in")
    assert not challenges.is_open(bytes([made[0] ^ 1]) + made[1:], "sign in")
    world.time += LIFETIME
    assert challenges.is_open(made, "sign in")
    challenges.use(made)
    assert not challenges.is_open(made, "sign in")
    late = challenges.make("sign in")
    world.time += LIFETIME + 1
    assert not challenges.is_open(late, "sign in")


def test_what_was_used_is_forgotten_once_it_is_too_old_anyway() -> None:
    world = At()
    challenges = Challenges(world)
    for _ in range(100):
        challenges.use(challenges.make("x"))
        world.time += LIFETIME
    assert len(challenges._used) <= 3
