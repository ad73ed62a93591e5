"""What needs attention, in words, each with its remedy: the first thing that the pages show.

All of it comes from the API's own operations; only the disk is examined here.
"""

from __future__ import annotations

import functools
import math
import shutil
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
import trio
from markupsafe import Markup

from engine import installed_packages
from engine.api import account, gateways, oauth2, outbox, queue_control, webhooks
from engine.errors import EngineError
from engine.http.readiness import must_be_well
from engine.model.account_states import AccountState
from engine.schema.account import AccountSummary
from engine.schema.outbox import OutboxEntry
from engine.store.disk_reserve import LEAST_FREE
from engine.web.account_words import for_people
from engine.web.layout import path
from engine.web.page import ROOT
from engine.web.visit import Visit

SHOWN = 5
"""Of each kind, this many are named; the rest is a number with a link to the list."""
COUNTED_SECONDS = 10.0
SECRETS_SOON = 30 * 86_400.0
WEBHOOKS = "/admin/settings/webhooks"


class Need(msgspec.Struct, frozen=True):
    """One thing that needs attention. `kind` is `bad` or `warn`; `count` is the number of cases.

    `href` is where the button leads; if `posts`, pressing it is an action with `values`.
    """

    kind: str
    chip: str
    title: str
    sentence: Markup
    button: str
    href: str
    main: bool = False
    posts: bool = False
    values: dict[str, str] = {}
    count: int = 1
    query: dict[str, str] = {}


async def needs(visit: Visit) -> list[Need]:
    """All needs, the worst first."""
    found = [each for part in _PARTS async for each in part(visit)]
    return sorted(found, key=lambda each: each.kind != "bad")


async def _storage(visit: Visit) -> AsyncIterator[Need]:
    t, store = visit.text, visit.context.store
    try:
        must_be_well(store)
    except EngineError as error:
        sentence = t("needs.storage", error=str(error))
        yield Need("bad", t("needs.storage_chip"), str(store.path), sentence, t("needs.again"), ROOT)
        return
    try:
        free = shutil.disk_usage(store.path).free
    except OSError:
        return
    if not store.has_room():
        sentence = t("needs.disk_full")
        yield Need("bad", t("needs.disk_full_chip"), str(store.path), sentence, t("needs.again"), ROOT)
    elif free < LEAST_FREE:
        sentence = t("needs.disk", free=free // 1024**2, least=LEAST_FREE // 1024**2)
        yield Need("warn", t("needs.disk_chip"), str(store.path), sentence, t("needs.again"), ROOT)


async def _versions(visit: Visit) -> AsyncIterator[Need]:
    t, wrong = visit.text, _wrong_packages()
    if wrong:
        sentence = t("needs.versions", wrong="; ".join(wrong), way_out=installed_packages.WAY_OUT)
        yield Need("warn", t("needs.versions_chip"), t("needs.versions_title"), sentence, t("needs.again"), ROOT)


@functools.cache
def _wrong_packages() -> list[str]:
    """Checked once per process: packages installed later count from the next start."""
    return installed_packages.look().wrong


async def _clock(visit: Visit) -> AsyncIterator[Need]:
    t, wrong = visit.text, visit.context.access.egress.clocks.wrong()
    if wrong is not None:
        which = "ahead" if wrong.ahead > 0 else "behind"
        sentence = t(
            f"needs.clock_{which}",
            count=round(abs(wrong.ahead) / 60),
            hosts=Markup("<bdi>{}</bdi>").format(_short(", ".join(wrong.hosts[:SHOWN]))),
        )
        sentence += Markup(" ") + t("needs.clock_remedy")
        yield Need("bad", t("needs.clock_chip"), t("needs.clock_title"), sentence, t("needs.again"), ROOT)


async def _paused(visit: Visit) -> AsyncIterator[Need]:
    t, settings = visit.text, visit.context.settings.values
    for name, paused in (("submit", settings.queue_paused), ("notify", settings.webhooks_paused)):
        if paused is True:
            yield Need(
                "warn",
                t("needs.paused_chip"),
                t(f"needs.paused_{name}"),
                t(f"needs.paused_{name}_text"),
                t("needs.resume"),
                "/admin/resume",
                posts=True,
                values={"queue": name},
            )


async def _accounts(visit: Visit) -> AsyncIterator[Need]:
    for state, kind in ((AccountState.AUTHENTICATION_ERROR, "bad"), (AccountState.CONNECT_ERROR, "warn")):
        listed = await visit.ask(account.listing, query={"state": state.value, "pageSize": SHOWN})
        for each in listed.accounts:
            yield await _account(visit, each, kind)
        if listed.total > SHOWN:
            t = visit.text
            yield Need(
                kind,
                t(f"needs.{state.value}_chip"),
                t("needs.more_accounts", count=listed.total - SHOWN),
                t(f"needs.{state.value}_more"),
                t("needs.look"),
                "/admin/accounts",
                count=listed.total - SHOWN,
                query={"state": state.value},
            )


async def _account(visit: Visit, each: AccountSummary, kind: str) -> Need:
    t, error = visit.text, each.last_error
    counted = await visit.ask(queue_control.read, "submit", query={"account": each.account})
    waiting = counted.jobs.active + counted.jobs.delayed + counted.jobs.waiting
    why = "" if error is None else for_people(error.hint or error.description or error.response, t)
    sentence = t("needs.account", why=Markup("<bdi>{}</bdi>").format(_short(why)))
    if waiting:
        sentence += Markup(" ") + t("needs.account_waiting", count=waiting)
    return Need(
        kind,
        t(f"needs.{each.state}_chip"),
        str(each.email or each.name or each.account),
        sentence,
        t(f"needs.{each.state}_button"),
        path("/admin/accounts/{}", each.account),
        main=kind == "bad",
    )


async def _messages(visit: Visit) -> AsyncIterator[Need]:
    t = visit.text
    for state, kind in (("in_doubt", "bad"), ("held", "warn")):
        listed = await visit.ask(outbox.listing, query={"state": state, "pageSize": SHOWN})
        for each in listed.messages:
            yield Need(
                kind,
                t(f"needs.{state}_chip"),
                _subject(visit, each),
                t(f"needs.{state}"),
                t(f"needs.{state}_button"),
                path("/admin/outbox/{}", each.queue_id),
            )
        if listed.total > SHOWN:
            yield Need(
                kind,
                t(f"needs.{state}_chip"),
                t("needs.more_messages", count=listed.total - SHOWN),
                t(f"needs.{state}_more"),
                t("needs.look"),
                "/admin/outbox",
                count=listed.total - SHOWN,
                query={"state": state},
            )


def _subject(visit: Visit, message: OutboxEntry) -> str:
    return visit.text(
        "needs.message",
        subject=_short(message.subject or visit.text("needs.no_subject"), 120),
        to=_short(", ".join(message.envelope.to), 120),
    )


async def _webhooks(visit: Visit) -> AsyncIterator[Need]:
    t = visit.text
    listed = await visit.ask(webhooks.listing, query={"pageSize": 1000})
    for each in listed.webhooks:
        href = path(f"{WEBHOOKS}/{{}}", each.id)
        if each.state == "failing" or each.disabled_reason:
            error = each.disabled_reason or (each.last_error.message if each.last_error is not None else "")
            sentence = t("needs.webhook_failing", error=Markup("<bdi>{}</bdi>").format(_short(str(error))))
            if each.behind or each.lines:
                waits = "needs.webhook_behind" if each.behind else "webhook.lines"
                sentence += Markup(" ") + t(waits, count=each.behind or len(each.lines))
            kind = "bad" if each.disabled_reason else "warn"
            yield Need(kind, t("needs.webhook_chip"), each.url or each.id, sentence, t("needs.look"), href)
        if each.parked:
            sentence = t("needs.parked", count=each.parked)
            yield Need("warn", t("needs.parked_chip"), each.url or each.id, sentence, t("needs.look"), href)


async def _sinks(visit: Visit) -> AsyncIterator[Need]:
    t = visit.text
    for each in visit.context.sinks.every():
        if each.state.error is not None:
            sentence = t("needs.sink", error=Markup("<bdi>{}</bdi>").format(_short(each.state.error)))
            if each.lag:
                sentence += Markup(" ") + t("needs.webhook_behind", count=each.lag)
            yield Need("warn", t("needs.sink_chip"), each.name, sentence, t("needs.again"), ROOT)


async def _gateways(visit: Visit) -> AsyncIterator[Need]:
    t = visit.text
    listed = await visit.ask(gateways.listing, query={"pageSize": 1000})
    for each in listed.gateways:
        if each.last_error is not None:
            why = for_people(each.last_error.description or each.last_error.response, t)
            sentence = t("needs.gateway", why=Markup("<bdi>{}</bdi>").format(_short(why)))
            href = path("/admin/settings/gateways/{}", each.gateway)
            yield Need("bad", t("needs.gateway_chip"), each.name or each.gateway, sentence, t("needs.look"), href)


async def _apps(visit: Visit) -> AsyncIterator[Need]:
    t, now = visit.text, visit.context.world.now()
    listed = await visit.ask(oauth2.listing, query={"pageSize": 1000})
    for each in listed.apps:
        href = path("/admin/settings/oauth-apps/{}", each.id)
        if each.last_error is not None:
            why = each.last_error.description or each.last_error.response
            sentence = t("needs.app", why=Markup("<bdi>{}</bdi>").format(_short(str(why))))
            yield Need("bad", t("needs.app_chip"), each.name, sentence, t("needs.look"), href)
        if not each.client_secret_expires:
            continue
        left = datetime.fromisoformat(each.client_secret_expires).timestamp() - now
        if left < SECRETS_SOON:
            used = (await visit.ask(oauth2.read, each.id)).accounts or 0
            if left <= 0:
                chip = t("needs.secret_over_chip")
            else:
                days = int(left // 86_400)
                chip = t("needs.secret_chip", count=days) if days else t("needs.secret_today_chip")
            sentence = t("needs.secret", count=used) if used else t("needs.secret_unused")
            yield Need("warn" if left > 0 else "bad", chip, each.name, sentence, t("needs.renew"), href)


class Attention:
    """How many things need attention, for the navigation; counted again after some seconds and after each action."""

    def __init__(self) -> None:
        self._count = 0
        self._until = -math.inf

    async def count(self, visit: Visit) -> int:
        """The count; 0 if the engine cannot tell, and Home says why."""
        if visit.declared.method != "GET":
            self._until = -math.inf
        elif trio.current_time() >= self._until:
            try:
                self._count = sum(each.count for each in await needs(visit))
            except EngineError:
                self._count = 0
            self._until = trio.current_time() + COUNTED_SECONDS
        return self._count


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


_PARTS = (_storage, _clock, _versions, _accounts, _messages, _gateways, _webhooks, _sinks, _apps, _paused)
