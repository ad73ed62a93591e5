"""Passwords as they are stored: each with a salt of its own, at a cost that makes guessing from a stolen file slow."""

from __future__ import annotations

from seeded_world import SeededWorld

from engine.web.passwords import Passwords

PASSWORD = "correct horse battery"


async def test_a_hash_costs_what_it_should_and_is_of_its_password() -> None:
    passwords = Passwords(SeededWorld(1))
    stored = await passwords.hashed(PASSWORD)
    # OWASP's advice for scrypt: N = 2^15, r = 8, p = 3.
    assert stored.startswith("scrypt$32768$8$3$")
    assert await passwords.hashed(PASSWORD) != stored, "each has a salt of its own"
    assert await passwords.holds(PASSWORD, stored)
    assert not await passwords.holds(f"{PASSWORD}.", stored)
    assert not await passwords.holds(PASSWORD, None)
