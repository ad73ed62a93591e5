"""Whether a domain's SPF record permits an IP address (RFC 7208). *pure* but for the look-ups that it is given.

At most ten terms may cause look-ups, and two of these may find nothing; `mx` and `ptr` follow at most ten names. A
record that includes itself ends by that.
"""

from __future__ import annotations

import ipaddress
from typing import Literal, NamedTuple

from engine.checks.name_servers import Ask, LookupFailed, exchangers
from engine.checks.spf_record import (
    LOOKUP_TERMS,
    Ip,
    MacroValues,
    Mechanism,
    SpfError,
    SpfRecord,
    expand,
    parse_spf,
    spf_records,
)

MOST_LOOKUPS = 10
MOST_VOID = 2
MOST_NAMES = 10

SpfResult = Literal["none", "neutral", "pass", "fail", "softfail", "permerror"]
_RESULTS: dict[str, SpfResult] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


class Evaluated(NamedTuple):
    """A result. `why` says what is wrong for `permerror`; `lookups`: the terms that caused some."""

    result: SpfResult
    why: str = ""
    lookups: int = 0


async def evaluate_spf(ask: Ask, ip: Ip, domain: str, sender: str, helo: str = "unknown") -> Evaluated:
    """The result for mail with the envelope sender `sender` from `ip`. Raises `LookupFailed` (`temperror`)."""
    check = _Check(ask, ip, sender, helo)
    try:
        result = await check.of(domain)
    except SpfError as error:
        return Evaluated("permerror", str(error), check.lookups)
    return Evaluated(result, lookups=check.lookups)


class _Check:
    """One evaluation, and the look-ups that it has made."""

    def __init__(self, ask: Ask, ip: Ip, sender: str, helo: str) -> None:
        self._ask = ask
        self._ip = (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip
        self._sender = sender
        self._helo = helo
        self.lookups = 0
        self._void = 0

    async def of(self, domain: str) -> SpfResult:
        """The result of a domain's record. Raises `SpfError`, `LookupFailed`."""
        record = await self._record(domain)
        if record is None:
            return "none"
        values = MacroValues(self._sender, domain, self._ip, self._helo)
        for mechanism in record.mechanisms:
            if await self._matches(mechanism, domain, values):
                return _RESULTS[mechanism.qualifier]
        if record.redirect is None:
            return "neutral"
        self._count("redirect")
        there = await self.of(expand(record.redirect, values))
        if there == "none":
            raise SpfError(f"redirect={record.redirect} leads to a domain without an SPF record")
        return there

    async def _record(self, domain: str) -> SpfRecord | None:
        texts = spf_records((await self._ask(domain, "TXT")).values)
        if not texts:
            return None
        if len(texts) > 1:
            raise SpfError(f"{domain} has {len(texts)} SPF records, where one is allowed")
        try:
            return parse_spf(texts[0])
        except SpfError as error:
            raise SpfError(f"in the record of {domain}, {error}") from error

    async def _matches(self, mechanism: Mechanism, domain: str, values: MacroValues) -> bool:
        kind = mechanism.kind
        if kind == "all":
            return True
        if mechanism.network is not None:
            return self._ip in mechanism.network
        self._count(kind)
        name = expand(mechanism.name, values) if mechanism.name else domain
        match kind:
            case "include":
                result = await self.of(name)
                if result == "none":
                    raise SpfError(f"include:{name} leads to a domain without an SPF record")
                return result == "pass"
            case "a":
                return await self._has_address(name, mechanism)
            case "mx":
                return await self._has_exchanger(name, mechanism)
            case "exists":
                return bool(await self._asked(name, "A"))
            case _:
                return await self._is_named_below(name)

    async def _has_address(self, name: str, mechanism: Mechanism, *, counts: bool = True) -> bool:
        kind: Literal["A", "AAAA"] = "A" if self._ip.version == 4 else "AAAA"
        found = await self._asked(name, kind) if counts else (await self._ask(name, kind)).values
        length = mechanism.v4 if self._ip.version == 4 else mechanism.v6
        return any(self._is_near(each, length) for each in found)

    def _is_near(self, address: str, length: int) -> bool:
        try:
            return self._ip in ipaddress.ip_network(f"{address}/{length}", strict=False)
        except ValueError:
            return False

    async def _has_exchanger(self, name: str, mechanism: Mechanism) -> bool:
        answer = await self._ask(name, "MX")
        names = exchangers(answer)
        if not answer.values:
            self._count_void()
        if len(names) > MOST_NAMES:
            raise SpfError(f"{name} has more than {MOST_NAMES} mail exchangers, where mx follows at most that many")
        for each in names:
            if each and await self._has_address(each, mechanism, counts=False):
                return True
        return False

    async def _is_named_below(self, name: str) -> bool:
        """Whether a verified name of the IP address is below `name` (section 5.5: any failure is no match)."""
        try:
            pointers = await self._asked(self._ip.reverse_pointer, "PTR")
            for pointer in pointers[:MOST_NAMES]:
                host = pointer.rstrip(".").lower()
                if f".{host}".endswith(f".{name.lower()}") and await self._has_address(
                    host, Mechanism("+", "a"), counts=False
                ):
                    return True
        except LookupFailed:
            pass
        return False

    async def _asked(self, name: str, kind: Literal["A", "AAAA", "PTR"]) -> tuple[str, ...]:
        found = (await self._ask(name, kind)).values
        if not found:
            self._count_void()
        return found

    def _count(self, kind: str) -> None:
        if kind in LOOKUP_TERMS:
            self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise SpfError(f"it needs more than {MOST_LOOKUPS} look-ups, where receivers stop")

    def _count_void(self) -> None:
        self._void += 1
        if self._void > MOST_VOID:
            raise SpfError(f"more than {MOST_VOID} of its look-ups find nothing, where receivers stop")


async def an_address_of(ask: Ask, domain: str) -> Ip | None:
    """An IP address that a provider's own SPF record permits; None if it names none. Raises `LookupFailed`."""
    ahead, seen = [domain], 0
    while ahead and seen < MOST_LOOKUPS:
        name, seen = ahead.pop(0), seen + 1
        for text in spf_records((await ask(name, "TXT")).values)[:1]:
            try:
                record = parse_spf(text)
            except SpfError:
                continue
            for each in record.mechanisms:
                if each.qualifier == "+" and each.network is not None and each.kind == "ip4":
                    return each.network.network_address + (1 if each.network.num_addresses > 2 else 0)
            more = [each.name for each in record.mechanisms if each.kind == "include"]
            ahead += [each for each in (*more, record.redirect or "") if each and "%" not in each]
    return None
