"""What a domain asks of receivers (DMARC, RFC 9989, which replaced RFC 7489): its record, and alignment.

An organisation's domain is found as RFC 9989 section 4.10 says, by walking up the tree of names, with no list of public
suffixes. *pure* but for the look-ups that it is given.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from engine.checks.dkim import tags_of
from engine.checks.name_servers import Ask

Policy = Literal["none", "quarantine", "reject"]
MOST_STEPS = 8
"""Questions of one walk (RFC 9989 section 4.10)."""
_RECORD = re.compile(r"v\s*=\s*DMARC1\s*(?:;|\Z)")
_POLICIES: dict[str, Policy] = {"none": "none", "quarantine": "quarantine", "reject": "reject"}


class DmarcRecord(NamedTuple):
    """A record that can be used, and the domain that publishes it.

    `policy` is for the domain itself, `subdomains` for those below it. `strict_spf`, `strict_dkim`: alignment needs the
    very same domain. `suffix`: whether it says that it is a public suffix (`psd=y`), or is none (`psd=n`). `tested`: it
    asks not to be applied (`t=y`, or `pct=0` of RFC 7489).
    """

    domain: str
    policy: Policy
    subdomains: Policy
    strict_spf: bool = False
    strict_dkim: bool = False
    suffix: bool | None = None
    tested: bool = False


class Walk(NamedTuple):
    """What a walk up from `domain` found.

    `record` is the one that applies to it, None without one; `organisation` the domain of its organisation. `fault`:
    why a record on the way cannot be used; "" without such.
    """

    domain: str
    organisation: str
    record: DmarcRecord | None
    fault: str = ""


def dmarc_record(domain: str, texts: tuple[str, ...]) -> DmarcRecord | str | None:
    """The record among TXT records of `_dmarc.domain`; why it cannot be used; None if there is none.

    Several are as good as none (section 4.10), but are reported as a fault.
    """
    records = [text for text in texts if _RECORD.match(text)]
    if not records:
        return None
    if len(records) > 1:
        return f"_dmarc.{domain} has {len(records)} DMARC records, where one is allowed"
    tags = tags_of(records[0])
    asked = tags.get("p", "").lower()
    if asked not in _POLICIES and not ("rua" in tags and asked == ""):
        return f"the policy in _dmarc.{domain} is neither none, quarantine nor reject"
    policy = _POLICIES.get(asked, "none")
    return DmarcRecord(
        domain=domain,
        policy=policy,
        subdomains=_POLICIES.get(tags.get("sp", "").lower(), policy),
        strict_spf=tags.get("aspf", "r").lower() == "s",
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        suffix={"y": True, "n": False}.get(tags.get("psd", "u").lower()),
        tested=tags.get("t", "n").lower() == "y" or tags.get("pct") == "0",
    )


async def walk(ask: Ask, domain: str) -> Walk:
    """Walk up from a domain. Raises `LookupFailed`."""
    found: list[DmarcRecord] = []
    fault = ""
    for name in _steps(domain):
        record = dmarc_record(name, (await ask(f"_dmarc.{name}", "TXT")).values)
        if isinstance(record, str):
            fault = fault or record
        elif record is not None:
            found.append(record)
            if record.suffix is not None:
                break
    organisation = _organisation(domain, found)
    own = next((each for each in found if each.domain == domain), None)
    parent = next((each for each in found if each.domain == organisation), None)
    suffix = next((each for each in found if each.suffix is True), None)
    return Walk(domain, organisation, own or parent or suffix, fault)


def _steps(domain: str) -> list[str]:
    """The domain and those above it; of a long one, the parts in the middle are left out."""
    labels = domain.split(".")
    above = labels[1:] if len(labels) < MOST_STEPS else labels[-(MOST_STEPS - 1) :]
    return [domain, *(".".join(above[start:]) for start in range(len(above)))]


def _organisation(domain: str, found: list[DmarcRecord]) -> str:
    for record in found:
        if record.suffix is False:
            return record.domain
        if record.suffix is True and record.domain != domain:
            below = domain.removesuffix(f".{record.domain}").rpartition(".")[2]
            return f"{below}.{record.domain}"
    return min(found, key=lambda each: each.domain.count("."), default=DmarcRecord(domain, "none", "none")).domain


def policy_for(domain: str, record: DmarcRecord) -> Policy:
    """What a record asks for mail of a domain."""
    return record.policy if record.domain == domain else record.subdomains
