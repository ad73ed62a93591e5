"""SPF: what a record says about an address, and where evaluation ends (RFC 7208)."""

from __future__ import annotations

import ipaddress

import pytest
from published import DEAD, Zone

from engine.checks.name_servers import LookupFailed
from engine.checks.spf import MOST_LOOKUPS, an_address_of, evaluate_spf

CHAIN = {f"i{n}.test": f"v=spf1 include:i{n + 1}.test -all" for n in range(30)}
WIDE = {f"w{n}.test": "v=spf1 ip4:198.51.100.1 -all" for n in range(20)}
ZONE: dict[str, dict[str, str | list[str]]] = {
    "TXT": {
        "ip4.test": "v=spf1 ip4:203.0.113.0/24 -all",
        "ip6.test": "v=spf1 ip6:2001:db8::/32 ~all",
        "open.test": "v=spf1 ?all",
        "plain.test": "v=spf1 a mx -all",
        "near.test": "v=spf1 a:host.test/24//64 -all",
        "far.test": "v=spf1 redirect=ip4.test",
        "lost.test": "v=spf1 redirect=nothing.test",
        "in.test": "v=spf1 include:ip4.test ~all",
        "loose.test": "v=spf1 include:nothing.test -all",
        "loop.test": "v=spf1 include:loop.test -all",
        "turn.test": "v=spf1 redirect=turn.test",
        "two.test": ["v=spf1 -all", "v=spf1 +all"],
        "other.test": ["google-site-verification=x", "v=spf10 +all", "V=SPF1 -ALL"],
        "macro.test": "v=spf1 exists:%{i}._spf.%{d2} -all",
        "user.test": "v=spf1 exists:%{l1r-}.user.test -all",
        "ptr.test": "v=spf1 ptr -all",
        "void.test": "v=spf1 a:x1.test a:x2.test a:x3.test ip4:203.0.113.5 -all",
        "dead.test": DEAD,
        "half.test": "v=spf1 a:gone.test -all",
        "wide.test": "v=spf1 " + " ".join(f"include:w{n}.test" for n in range(20)) + " -all",
        "ten.test": "v=spf1 " + " ".join(f"include:w{n}.test" for n in range(10)) + " ip4:203.0.113.5 -all",
        "crowd.test": "v=spf1 mx -all",
        "unread.test": "v=spf1 ip4:203.0.113.5 x-new=1 -all",
        "long.test": "v=spf1 " + "ip4:198.51.100.7 " * 3_000 + "ip4:203.0.113.5 -all",
        **CHAIN,
        **WIDE,
    },
    "A": {
        "plain.test": "198.51.100.9",
        "host.test": "203.0.113.200",
        "mail.plain.test": "203.0.113.5",
        "203.0.113.5._spf.macro.test": "127.0.0.2",
        "a.user.test": "127.0.0.2",
        "mx.ptr.test": "203.0.113.5",
        "gone.test": DEAD,
    },
    "MX": {"plain.test": "10 mail.plain.test.", "crowd.test": [f"10 m{n}.test." for n in range(11)]},
    "PTR": {"5.113.0.203.in-addr.arpa": ["liar.test.", "mx.ptr.test."]},
}


@pytest.mark.parametrize(
    ("domain", "ip", "result"),
    [
        ("ip4.test", "203.0.113.5", "pass"),
        ("ip4.test", "::ffff:203.0.113.5", "pass"),
        ("ip4.test", "198.51.100.1", "fail"),
        ("ip6.test", "2001:db8::1", "pass"),
        ("ip6.test", "203.0.113.5", "softfail"),
        ("open.test", "203.0.113.5", "neutral"),
        ("plain.test", "198.51.100.9", "pass"),
        ("plain.test", "203.0.113.5", "pass"),
        ("near.test", "203.0.113.5", "pass"),
        ("far.test", "203.0.113.5", "pass"),
        ("far.test", "198.51.100.1", "fail"),
        ("in.test", "198.51.100.1", "softfail"),
        ("other.test", "203.0.113.5", "fail"),
        ("macro.test", "203.0.113.5", "pass"),
        ("macro.test", "203.0.113.6", "fail"),
        ("user.test", "203.0.113.6", "pass"),
        ("ptr.test", "203.0.113.5", "pass"),
        ("ptr.test", "203.0.113.6", "fail"),
        ("unread.test", "203.0.113.5", "pass"),
        ("ten.test", "203.0.113.5", "pass"),
        ("long.test", "203.0.113.5", "pass"),
        ("nothing.test", "203.0.113.5", "none"),
    ],
)
async def test_what_a_record_says(domain: str, ip: str, result: str) -> None:
    found = await evaluate_spf(Zone(**ZONE), ipaddress.ip_address(ip), domain, f"a-bob@{domain}")
    assert (found.result, found.why) == (result, "")


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("lost.test", "without an SPF record"),
        ("loose.test", "without an SPF record"),
        ("loop.test", "more than 10 look-ups"),
        ("turn.test", "more than 10 look-ups"),
        ("i0.test", "more than 10 look-ups"),
        ("wide.test", "more than 10 look-ups"),
        ("two.test", "2 SPF records"),
        ("void.test", "find nothing"),
        ("crowd.test", "more than 10 mail exchangers"),
    ],
)
async def test_a_record_that_receivers_cannot_use(domain: str, why: str) -> None:
    zone = Zone(**ZONE)
    found = await evaluate_spf(zone, ipaddress.ip_address("203.0.113.5"), domain, f"a@{domain}")
    assert found.result == "permerror"
    assert why in found.why
    assert len(zone.asked) <= MOST_LOOKUPS + 2


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 ip4:203.0.113.0/33 -all",
        "v=spf1 ip4:example.com",
        "v=spf1 ip6:203.0.113.5",
        "v=spf1 include:",
        "v=spf1 include",
        "v=spf1 all:x",
        "v=spf1 a:203.0.113.5",
        "v=spf1 a/-1",
        "v=spf1 mx:host.test/99",
        "v=spf1 exists:x.test/24",
        "v=spf1 everything",
        "v=spf1 -",
        "v=spf1 redirect=a.test redirect=b.test",
        "v=spf1 redirect=",
        "v=spf1 -redirect=a.test",
        "v=spf1 include:%{z}.test",
        "v=spf1 include:50%.test",
        "v=spf1 include:b\xc3\xbccher.test -all",
        "v=spf1 \x00 -all",
        "v=spf1 ip4:203.0.113.5 and:more",
    ],
)
async def test_a_record_with_a_fault_is_used_nowhere(record: str) -> None:
    zone = Zone(TXT={"x.test": record})
    found = await evaluate_spf(zone, ipaddress.ip_address("203.0.113.5"), "x.test", "a@x.test")
    assert found.result == "permerror"


@pytest.mark.parametrize("domain", ["dead.test", "half.test"])
async def test_a_silent_name_server_is_no_result(domain: str) -> None:
    with pytest.raises(LookupFailed):
        await evaluate_spf(Zone(**ZONE), ipaddress.ip_address("203.0.113.5"), domain, f"a@{domain}")


async def test_an_address_that_a_provider_sends_from() -> None:
    zone = Zone(
        TXT={
            "top.test": "v=spf1 include:nets.test include:%{d}.test ~all",
            "nets.test": "v=spf1 ip6:2001:db8::/32 -ip4:198.51.100.0/24 ip4:203.0.113.0/24 ?all",
            "none.test": "v=spf1 include:none.test -all",
        }
    )
    assert await an_address_of(zone, "top.test") == ipaddress.ip_address("203.0.113.1")
    assert await an_address_of(zone, "none.test") is None
