"""All rules about what the domain of a message publishes, asked at once.

Each rule costs only itself: if its look-ups fail, it says that instead of a result.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from engine.checks.dkim_rule import check_dkim
from engine.checks.dmarc import Walk, walk
from engine.checks.dmarc_rule import judge_dmarc
from engine.checks.found import found, quoted
from engine.checks.name_servers import Ask, LookupFailed, exchangers
from engine.checks.sending import FROM, Judged, Sending
from engine.checks.spf_rule import check_spf
from engine.schema.submit_checks import SubmitCheck

log = logging.getLogger("engine.checks")

T = TypeVar("T")
_FOLLOWS = frozenset({"spfMissing", "dkimUnknown", "dmarcMissing"})
"""What goes without saying of a domain that does not exist."""
_TITLES = {"mail": "Whether its domain takes mail", "spf": "SPF", "dkim": "DKIM"}


async def check_domain(ask: Ask, sending: Sending) -> list[SubmitCheck]:
    """All findings about the domains of a message."""
    judged: dict[str, Judged | LookupFailed] = {}
    walks: dict[str, Walk | LookupFailed] = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_into, judged, "mail", lambda: takes_mail(ask, sending))
        nursery.start_soon(_into, judged, "spf", lambda: check_spf(ask, sending))
        nursery.start_soon(_into, judged, "dkim", lambda: check_dkim(ask, sending))
        for domain in {sending.author, sending.sender_domain} - {""}:
            nursery.start_soon(_into, walks, domain, lambda domain=domain: walk(ask, domain))
    dkim = judged["dkim"]
    if isinstance(dkim, Judged) and dkim.domain and dkim.domain not in walks:
        await _into(walks, dkim.domain, lambda: walk(ask, dkim.domain))
    checks: list[SubmitCheck] = []
    for name, title in _TITLES.items():
        result = judged[name]
        if isinstance(result, Judged):
            checks += result.checks
        else:
            checks.append(_failed(title, result))
    policy = walks[sending.author]
    if isinstance(policy, Walk):
        checks += judge_dmarc(policy, {"SPF": judged["spf"], "DKIM": dkim}, walks)
    else:
        checks.append(_failed("DMARC", policy))
    if any(check.code == "domainUnknown" for check in checks):
        checks = [check for check in checks if check.code not in _FOLLOWS]
    return [*checks, *rewritten(sending)]


async def _into(results: dict[str, T | LookupFailed], name: str, work: Callable[[], Awaitable[T]]) -> None:
    try:
        results[name] = await work()
    except LookupFailed as error:
        results[name] = error
    except Exception:
        log.exception("a check of a domain crashed", extra={"check": name})
        results[name] = LookupFailed("a fault of the engine, which is in its log")


def _failed(title: str, error: LookupFailed) -> SubmitCheck:
    return found("lookupFailed", "info", f"{title} could not be looked up: {quoted(str(error))}", FROM)


async def takes_mail(ask: Ask, sending: Sending) -> Judged:
    """Whether replies and bounces can reach the author's domain; receivers distrust one that takes no mail."""
    domain = sending.author
    answer = await ask(domain, "MX")
    if not answer.exists:
        text = f"There is no domain {quoted(domain)}: receivers refuse its mail, and no reply reaches it"
        return Judged((found("domainUnknown", "error", text, FROM),))
    if answer.values and exchangers(answer) != [""]:
        return Judged(())
    if not answer.values and ((await ask(domain, "A")).values or (await ask(domain, "AAAA")).values):
        return Judged(())
    text = f"{quoted(domain)} takes no mail (its MX record says so, or it has none): replies and bounces are lost"
    return Judged((found("domainTakesNoMail", "warning", text, FROM),))


def rewritten(sending: Sending) -> list[SubmitCheck]:
    """A provider that replaces or refuses an author who is not the account."""
    service, login = sending.service, sending.login
    if service is None or not service.rewrites or "@" not in login:
        return []
    if login.lower() == sending.author_address.lower():
        return []
    text = f"From is not the account's own address ({quoted(login)}): {service.name} {service.rewrites}"
    return [found("senderRewritten", "info", text, FROM)]
