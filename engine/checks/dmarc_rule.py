"""What DMARC makes of the results of SPF and DKIM: one that holds for an aligned domain is enough. *pure*"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from engine.checks.dmarc import Walk, policy_for
from engine.checks.found import found, quoted
from engine.checks.name_servers import LookupFailed
from engine.checks.sending import FROM, Judged, State
from engine.schema.submit_checks import SubmitCheck


class _Way(NamedTuple):
    """One of the two ways to pass, and why it is none."""

    by: str
    holds: State
    why: str = ""


def judge_dmarc(
    author: Walk, judged: Mapping[str, Judged | LookupFailed], walks: Mapping[str, Walk | LookupFailed]
) -> list[SubmitCheck]:
    """The findings; `judged` are the results of SPF and DKIM, `walks` those of the domains that these are for."""
    told, record, checks = quoted(author.domain), author.record, []
    if author.fault:
        checks.append(found("dmarcInvalid", "warning", f"Receivers ignore the record: {quoted(author.fault)}", FROM))
    if record is None:
        if not author.fault:
            text = (
                f"{told} has no DMARC record, which Gmail, Yahoo and Microsoft require of those who send much: publish "
                f'"v=DMARC1; p=none" at _dmarc.{told} to begin with'
            )
            checks.append(found("dmarcMissing", "warning", text, FROM))
        return checks
    strict = {"SPF": record.strict_spf, "DKIM": record.strict_dkim}
    ways = [_way(by, result, author, walks, strict=strict[by]) for by, result in judged.items()]
    asked = policy_for(author.domain, record)
    is_harmless = asked == "none" or record.tested
    if good := [way.by for way in ways if way.holds == "yes"]:
        return [*checks, found("dmarcOk", "ok", f"DMARC (p={asked}) is satisfied by {' and '.join(good)}", FROM)]
    whys = "; ".join(way.why for way in ways)
    if any(way.holds == "unknown" for way in ways):
        text = f"{told} asks receivers for p={asked}. Whether this message passes DMARC is not known: {whys}"
        return [*checks, found("dmarcUnknown", "info" if is_harmless else "warning", text, FROM)]
    text = f"The message fails DMARC, for which {told} asks receivers for p={asked}: {whys}"
    return [*checks, found("dmarcFails", "warning" if is_harmless else "error", text, FROM)]


def _way(
    by: str,
    result: Judged | LookupFailed,
    author: Walk,
    walks: Mapping[str, Walk | LookupFailed],
    *,
    strict: bool,
) -> _Way:
    """Whether a result counts: it must hold for the author's domain, or (relaxed) one of its organisation."""
    if isinstance(result, LookupFailed):
        return _Way(by, "unknown", f"{by} could not be looked up")
    if result.holds == "no":
        return _Way(by, "no", f"{by} does not hold")
    domain = result.domain
    if domain and domain != author.domain:
        if strict:
            return _Way(by, "no", f"{by} is for {quoted(domain)}, and only {quoted(author.domain)} itself counts")
        other = walks[domain]
        if isinstance(other, LookupFailed):
            return _Way(by, "unknown", f"the organisation of {quoted(domain)} could not be looked up")
        if other.organisation != author.organisation:
            return _Way(by, "no", f"{by} is for {quoted(domain)}, which is not of the same organisation")
    return _Way(by, result.holds, f"what {by} says is not known")
