"""All checks of one message: what it contains, and what its domain publishes, within `SECONDS`.

A rule that crashes costs only itself: it is logged, and its check says so.
"""

from __future__ import annotations

import logging

import trio

from engine.checks.checked_mail import CheckedMail
from engine.checks.content_rules import CONTENT_RULES
from engine.checks.domain_rules import check_domain
from engine.checks.found import found
from engine.checks.lookups import Lookups
from engine.checks.sending import FROM, Sending
from engine.schema.submit_checks import SubmitCheck

log = logging.getLogger("engine.checks")

SECONDS = 3.0
"""For all questions to name servers about one request."""
SANDBOX_DOMAIN = "sandbox.example"


async def domain_checks(lookups: Lookups, sending: Sending) -> list[SubmitCheck]:
    """What the domains of a message publish, asked for at most `SECONDS`."""
    domain = sending.author
    if f".{domain}".endswith(f".{SANDBOX_DOMAIN}") or "." not in domain or domain.startswith("["):
        text = f"SPF, DKIM and DMARC are not checked: {domain} is not a domain on the internet"
        return [found("notLookedUp", "info", text, FROM)]
    deadline = trio.current_time() + SECONDS
    return await check_domain(lookups.until(deadline), sending)


def content_checks(mail: CheckedMail) -> list[SubmitCheck]:
    """What the rules say about the contents of a message."""
    checks: list[SubmitCheck] = []
    for rule in CONTENT_RULES:
        try:
            checks += rule(mail)
        except Exception:
            log.exception("the check %s crashed", rule.__name__)
            text = f"The check {rule.__name__} failed for a fault of the engine, which is in its log"
            checks.append(found("checkFailed", "info", text))
    return checks
