"""Whether the SPF record of the envelope's domain permits the server. *pure* but for the look-ups that it is given.

Which IP address a message leaves from can only be guessed: the account's server may hand it to another one, and may
replace its sender. A well-known provider is judged by an address in its own SPF record; any other server by the address
of its host, if that is public.
"""

from __future__ import annotations

import ipaddress

from engine.checks.found import found, quoted
from engine.checks.name_servers import Ask
from engine.checks.sending import FROM, Judged, Sending, State
from engine.checks.spf import Evaluated, an_address_of, evaluate_spf
from engine.checks.spf_record import Ip
from engine.schema.submit_checks import Severity

NO_ADDRESS: Ip = ipaddress.IPv4Address("192.0.2.1")
"""An address of the documentation (RFC 5737), to evaluate a record for its faults alone."""
MOST_ADDRESSES = 2
_INSIDE = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10"),
    )
)
"""Networks that no receiver sees mail come from."""


async def check_spf(ask: Ask, sending: Sending) -> Judged:
    """Whether the record of the envelope's domain permits the server."""
    domain = sending.sender_domain
    field = FROM if domain == sending.author else "envelope.from"
    if not domain:
        text = (
            "With the null sender, receivers look for the SPF record of the server's own name, which is not known here"
        )
        return Judged((found("spfUnknown", "info", text, "envelope.from"),))
    told = quoted(domain)
    ips, where = await _addresses(ask, sending)
    result = await evaluate_spf(ask, ips[0] if ips else NO_ADDRESS, domain, sending.sender)
    if result.result == "none":
        text = f"{told} has no SPF record: publish one that permits {_permit(sending)}"
        return Judged((found("spfMissing", "warning", text, field),), "no", domain)
    if result.result == "permerror":
        text = f"The SPF record of {told} cannot be used, so receivers ignore or refuse it: {quoted(result.why)}"
        return Judged((found("spfInvalid", "error", text, field),), "no", domain)
    if not ips:
        text = f"{told} has an SPF record; whether it permits the server cannot be known, because {where}"
        return Judged((found("spfUnknown", "info", text, field),), "unknown", domain)
    for ip in ips[1:]:
        if result.result != "pass":
            break
        result = await evaluate_spf(ask, ip, domain, sending.sender)
    if result.result == "pass":
        text = f"The SPF record of {told} permits {sending.server} ({where}){_guess(sending)}"
        return Judged((found("spfOk", "ok", text, field),), "yes", domain)
    return _not_permitted(sending, told, result, where, field)


def _not_permitted(sending: Sending, told: str, result: Evaluated, where: str, field: str) -> Judged:
    says = {"fail": "refuses", "softfail": "distrusts", "neutral": "says nothing about"}.get(result.result, "refuses")
    text = f"The SPF record of {told} {says} {sending.server} ({where}): add {_permit(sending)} to it{_guess(sending)}"
    severity: Severity = "error" if sending.service and result.result == "fail" else "warning"
    # Of a server that is not well known, the address that receivers see is a guess.
    holds: State = "no" if sending.service is not None else "unknown"
    return Judged((found("spfFails", severity, text, field),), holds, sending.sender_domain)


def _permit(sending: Sending) -> str:
    service = sending.service
    return f"include:{service.spf[0]}" if service is not None and service.spf else "the addresses of your mail server"


def _guess(sending: Sending) -> str:
    if sending.service is not None:
        return ""
    return ". If that server hands mail to another one, this says nothing about it"


async def _addresses(ask: Ask, sending: Sending) -> tuple[list[Ip], str]:
    """IP addresses that the message may leave from, and where they are from; none, and why.

    Raises `LookupFailed`.
    """
    service = sending.service
    if service is not None:
        if sending.sender_domain in service.domains:
            # Its own record permits its own servers, however it is written.
            domain = sending.sender_domain
        else:
            domain = service.spf[0] if service.spf else ""
        ip = await an_address_of(ask, domain) if domain else None
        if ip is None:
            return [], f"{service.name} publishes no address that mail leaves from"
        return [ip], f"{ip}, one of the addresses in the record of {domain}"
    if not sending.host:
        return [], "the sandbox delivers nothing"
    try:
        ips: list[Ip] = [ipaddress.ip_address(sending.host.strip("[]").partition("%")[0])]
    except ValueError:
        values = (await ask(sending.host, "A")).values or (await ask(sending.host, "AAAA")).values
        ips = [ip for value in values if (ip := _ip(value)) is not None]
    public = [ip for ip in ips if not any(ip in network for network in _INSIDE)]
    if not public:
        return [], f"{quoted(sending.host)} has no public address, so it is not known where mail leaves from"
    return public[:MOST_ADDRESSES], ", ".join(map(str, public[:MOST_ADDRESSES]))


def _ip(text: str) -> Ip | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
