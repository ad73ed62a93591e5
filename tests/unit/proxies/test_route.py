"""Which of several addresses an account gets."""

from __future__ import annotations

from collections import Counter

from engine.proxies.route import dedicated, same_family

ADDRESSES = tuple(f"192.0.2.{each}" for each in range(1, 9))
ACCOUNTS = [f"account{each}" for each in range(2000)]


def test_an_account_keeps_its_address_and_all_are_used_alike() -> None:
    first = {account: dedicated(ADDRESSES, account)[0] for account in ACCOUNTS}
    again = {account: dedicated(reversed(ADDRESSES), account)[0] for account in ACCOUNTS}
    assert first == again
    assert all(180 < count < 330 for count in Counter(first.values()).values())


def test_an_address_that_goes_moves_only_those_who_had_it() -> None:
    moved = {
        account for account in ACCOUNTS if dedicated(ADDRESSES, account)[0] != dedicated(ADDRESSES[1:], account)[0]
    }
    assert moved == {account for account in ACCOUNTS if dedicated(ADDRESSES, account)[0] == ADDRESSES[0]}


def test_families() -> None:
    assert same_family("192.0.2.1", "10.0.0.1")
    assert same_family("2001:db8::1", "fe80::1%eth0")
    assert not same_family("192.0.2.1", "2001:db8::1")
