"""From where a token may be used, on which pages, and what makes another one wider."""

from __future__ import annotations

import time

import pytest

from engine.model.token_restrictions import (
    UNREADABLE,
    RateLimit,
    Restrictions,
    outside,
    parsed_network,
    read,
    stored,
    widened,
)


@pytest.mark.parametrize(
    ("addresses", "client", "inside"),
    [
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["192.0.2.0/24"], "192.0.2.200", True),
        (["192.0.2.99/24"], "192.0.2.200", True),
        (["192.0.2.0/24"], "192.0.3.1", False),
        (["192.0.2.7"], "::ffff:192.0.2.7", True),
        (["::ffff:192.0.2.7"], "192.0.2.7", True),
        (["::ffff:192.0.2.0/120"], "192.0.2.9", True),
        (["::ffff:192.0.2.0/120"], "192.0.3.9", False),
        (["::ffff:c000:207"], "::FFFF:192.0.2.7", True),
        (["2001:db8::/32"], "2001:DB8:1::9", True),
        (["2001:db8::1"], "2001:0db8:0:0::0001", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["::/0"], "192.0.2.7", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["0.0.0.0/0"], "::ffff:192.0.2.7", True),
        (["10.0.0.0/8", "192.0.2.7"], "192.0.2.7", True),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "unknown", False),
        ([], "192.0.2.7", False),
    ],
)
def test_addresses(addresses: list[str], client: str, inside: bool) -> None:
    assert outside(Restrictions(addresses=tuple(addresses)), client, None) == (None if inside else "address")


@pytest.mark.parametrize(
    ("patterns", "referrer", "matches"),
    [
        (["https://shop.example.com/*"], "https://shop.example.com/cart?x=1", True),
        (["https://shop.example.com/*"], "HTTPS://Shop.Example.COM/cart", True),
        (["https://shop.example.com/*"], "https://shop.example.com.evil.example/", False),
        (["https://shop.example.com/*"], "https://evil.example/?https://shop.example.com/", False),
        (["https://shop.example.com/"], "https://shop.example.com/x", False),
        (["*web.domain.org/*"], "https://web.domain.org/", True),
        (["*.domain.org/*"], "https://a.b.domain.org/x/y", True),
        (["*.domain.org/*"], "https://domain.org/x", False),
        (["a.example", "b.example"], "b.example", True),
        (["https://x.example/*", "!*/private/*"], "https://x.example/private/1", False),
        (["https://x.example/*", "!*/private/*"], "https://x.example/public/1", True),
        (["!*evil*"], "https://good.example/", True),
        (["!*evil*"], "https://evil.example/", False),
        (["*"], None, False),
        (["!*evil*"], None, False),
        (["*"], "", True),
        (["a*a"], "a", False),
        (["a*a"], "aa", True),
        (["**a***b**"], "xaxxbx", True),
        (["*a*b*"], "ba", False),
        (["h.ttp?[x]"], "h.ttp?[x]", True),
        (["h.ttp"], "hxttp", False),
    ],
)
def test_referrers(patterns: list[str], referrer: str | None, matches: bool) -> None:
    found = outside(Restrictions(referrers=tuple(patterns)), "192.0.2.7", referrer)
    assert found == (None if matches else "referrer")


def test_no_referrer_makes_the_search_long() -> None:
    begun = time.process_time()
    assert outside(Restrictions(referrers=("*a" * 200 + "*b",)), "", "a" * 50_000) == "referrer"
    assert time.process_time() - begun < 1


OWN = Restrictions(("192.0.2.0/24", "2001:db8::/32"), ("https://a.example/*", "!*x*"), RateLimit(100, 60))
SAME = {"addresses": OWN.addresses, "referrers": OWN.referrers, "rate_limit": OWN.rate_limit}


@pytest.mark.parametrize(
    ("changes", "wider"),
    [
        ({}, []),
        ({"addresses": ("192.0.2.7",)}, []),
        ({"addresses": ("192.0.2.0/25", "2001:db8:1::/48", "::ffff:192.0.2.9")}, []),
        ({"addresses": ("192.0.2.0/23",)}, ["addresses"]),
        ({"addresses": ("192.0.2.7", "10.0.0.1")}, ["addresses"]),
        ({"addresses": ("::/0",)}, ["addresses"]),
        ({"addresses": None}, ["addresses"]),
        ({"referrers": ("https://a.example/*", "!*x*", "!*y*")}, []),
        ({"referrers": ("https://a.example/*",)}, ["referrers"]),
        ({"referrers": ("https://a.example/sub/*", "!*x*")}, ["referrers"]),
        ({"referrers": ("!*x*",)}, ["referrers"]),
        ({"referrers": None}, ["referrers"]),
        ({"rate_limit": RateLimit(50, 60)}, []),
        ({"rate_limit": RateLimit(100, 61)}, []),
        ({"rate_limit": RateLimit(101, 6000)}, ["rateLimit"]),
        ({"rate_limit": RateLimit(100, 59)}, ["rateLimit"]),
        ({"rate_limit": RateLimit(50, 29)}, ["rateLimit"]),
        ({"rate_limit": None}, ["rateLimit"]),
        ({"rate_limit": None, "addresses": None}, ["addresses", "rateLimit"]),
    ],
)
def test_what_would_be_wider(changes: dict[str, object], wider: list[str]) -> None:
    assert widened(OWN, Restrictions(**{**SAME, **changes})) == wider  # type: ignore[arg-type]


def test_a_token_without_restrictions_issues_what_it_likes() -> None:
    assert widened(None, OWN) == widened(None, None) == widened(Restrictions(), None) == []
    assert widened(OWN, None) == ["addresses", "referrers", "rateLimit"]
    # Where the own pattern only refuses, all else is allowed, so a pattern that allows is narrower.
    refusing = Restrictions(referrers=("!*evil*",))
    assert widened(refusing, Restrictions(referrers=("https://a.example/*", "!*evil*"))) == []
    assert widened(refusing, Restrictions(referrers=("https://a.example/*",))) == ["referrers"]


def test_what_is_stored_is_read() -> None:
    for each in (OWN, Restrictions(("10.0.0.1",)), Restrictions(rate_limit=RateLimit(1, 1))):
        assert read(stored(each)) == each
    assert stored(None) is stored(Restrictions()) is read(None) is None
    assert stored(Restrictions(rate_limit=RateLimit(1, 2))) == '{"rateLimit":{"maxRequests":1,"timeWindow":2}}'


@pytest.mark.parametrize("text", ["", "[]", "{", '{"addresses":["x"]}', '{"addresses":7}', '{"countries":["de"]}'])
def test_what_cannot_be_read_allows_no_address(text: str) -> None:
    assert read(text) == UNREADABLE
    assert outside(UNREADABLE, "127.0.0.1", None) == "address"


@pytest.mark.parametrize("text", ["fe80::1%eth0", "10.0.0.0/33", "10.0.0", "", "::ffff:1.2.3.4/129", "x/8"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError):
        parsed_network(text)
