"""Whether a message is signed for its author's domain, or its server can sign it."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from engine.checks.dkim import KeyState, key_at
from engine.checks.found import found, listed, quoted
from engine.checks.name_servers import Ask, LookupFailed
from engine.checks.sending import FROM, Judged, Sending
from engine.checks.sending_services import USUAL_SELECTORS, service_of
from engine.schema.submit_checks import SubmitCheck


async def check_dkim(ask: Ask, sending: Sending) -> Judged:
    """Whether the message is signed for the author's domain, or its server can sign it."""
    checks: list[SubmitCheck] = []
    good: list[str] = []
    for each in sending.signatures:
        state = await key_at(ask, each.selector, each.domain)
        place = quoted(f"{each.selector}._domainkey.{each.domain}")
        if state == "good":
            good.append(each.domain)
            checks.append(found("dkimOk", "ok", f"The message is signed with the key at {place}", "raw"))
        else:
            text = (
                f"The message is signed with a key that is {_why(state)} at {place}, so the signature is worth nothing"
            )
            checks.append(found("dkimInvalid", "error", text, "raw"))
    if good:
        return Judged(tuple(checks), "yes", sending.author if sending.author in good else good[0])
    by_server = await _dkim_of_server(ask, sending)
    return by_server._replace(checks=(*checks, *by_server.checks))


async def _dkim_of_server(ask: Ask, sending: Sending) -> Judged:
    domain, service = sending.author, sending.service
    told = quoted(domain)
    if (owner := service_of(domain)) is not None:
        if service is not None and service.name == owner.name:
            text = f"{owner.name} signs the mail of {told} itself"
            return Judged((found("dkimOk", "ok", text, FROM),), "yes", domain)
        text = f"Only {owner.name} can sign mail of {told}, and this leaves through {sending.server}: "
        text += f"send it through an account at {owner.name}"
        return Judged((found("dkimMissing", "warning", text, FROM),), "no", domain)
    if service is None or not service.selectors:
        return await _unknown_selector(ask, sending)
    states = await _states(ask, service.selectors, domain)
    places = listed(f"{each}._domainkey.{domain}" for each in service.selectors)
    if "good" in states.values():
        place = next(selector for selector, state in states.items() if state == "good")
        text = (
            f"{told} has a key of {service.name}, at {quoted(place)}._domainkey. It counts once signing is switched on"
        )
        return Judged((found("dkimOk", "ok", text, FROM),), "yes", domain)
    if set(states.values()) == {"none"}:
        text = (
            f"No key at {places}, where those of {service.name} are by default: without one, mail is not signed for "
            f"{told}. If you chose another selector, this says nothing"
        )
        return Judged((found("dkimMissing", "warning", text, FROM),))
    text = f"The key at {places} is {_why(next(each for each in states.values() if each != 'none'))}: publish it again"
    return Judged((found("dkimInvalid", "warning", text, FROM),))


async def _unknown_selector(ask: Ask, sending: Sending) -> Judged:
    text = f"DKIM is not checked: it is not known which selector {sending.server} signs with"
    try:
        states = await _states(ask, USUAL_SELECTORS, sending.author)
    except LookupFailed:
        states = {}
    there = [f"{selector}._domainkey" for selector, state in states.items() if state == "good"]
    more = f". {quoted(sending.author)} has a key at {listed(there)}; whether it is this server's is not known"
    return Judged((found("dkimUnknown", "info", text + (more if there else ""), FROM),))


async def _states(ask: Ask, selectors: Sequence[str], domain: str) -> dict[str, KeyState]:
    """The state of the key at each selector, asked at once. Raises `LookupFailed` if none is known."""
    states: dict[str, KeyState] = {}
    failures: list[LookupFailed] = []

    async def one(selector: str) -> None:
        try:
            states[selector] = await key_at(ask, selector, domain)
        except LookupFailed as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for each in selectors:
            nursery.start_soon(one, each)
    if failures and "good" not in states.values():
        raise LookupFailed(str(failures[0]))
    return {each: states[each] for each in selectors if each in states}


def _why(state: KeyState) -> str:
    return {"none": "not published", "revoked": "revoked", "broken": "broken", "good": "good"}[state]
