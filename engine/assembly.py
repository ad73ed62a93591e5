"""Creates and connects the parts of one engine, in the order in which they depend on each other.

Only the store is running at this point; `app.run` starts the other services. What is wrong on disk is corrected here,
before any part can see it: stray files in the spool, times written by a wrong clock, interrupted attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from engine.accounts.account import Account
from engine.accounts.form_links import FormLinks
from engine.accounts.ledger import Ledger
from engine.accounts.login_slots import LoginSlots
from engine.accounts.passing_time import PassingTime
from engine.accounts.proxy_choice import Routes
from engine.accounts.reauth import Reauth
from engine.accounts.registry import Registry
from engine.accounts.rehearsing import Rehearsing
from engine.accounts.sandbox_scripts import SandboxScripts
from engine.accounts.server_access import ServerAccess
from engine.api.context import Context, Streams
from engine.checks.lookups import Lookups
from engine.config import Config
from engine.edge.certificate import Certificate
from engine.edge.token_gate import TokenGate
from engine.edge.token_uses import TokenUses
from engine.edge.wrong_tokens import WrongTokens
from engine.egress import Egress
from engine.events.consumers import Consumers
from engine.events.hub import Hub
from engine.events.journal import Journal
from engine.events.state_changes import StateChanges
from engine.export.files import ExportFiles
from engine.export.service import Exports
from engine.gateways.gateway import RunningGateway
from engine.gateways.registry import Gateways
from engine.http.call_counts import CallCounts
from engine.http.control_requests import Started
from engine.http.cross_origin import CrossOrigin
from engine.http.request_bodies import Bodies
from engine.http.shared_limits import SharedLimit
from engine.metrics.collector import Metrics, Sources
from engine.model.message import OnDoubt
from engine.msa.door import Door
from engine.msa.handover import HandOver
from engine.msa.logins import Logins
from engine.oauth.app_book import AppBook
from engine.oauth.auth_server import AuthServer
from engine.oauth.http_client import Wire
from engine.oauth.keepers import Keepers, OAuth
from engine.oauth.sign_ins import SignIns
from engine.oauth.token_requests import TokenRequests
from engine.proxies.route import DIRECT
from engine.queue.accept import Intake
from engine.queue.attempt import Attempts, Policy
from engine.queue.clock_correction import ClockCorrection
from engine.queue.dispatch import Dispatch, lane_limits
from engine.queue.outbox import Outbox
from engine.queue.pause import Pauses
from engine.queue.queue_ids import QueueIds
from engine.queue.recorder import Recorder
from engine.queue.recovery import recover
from engine.queue.schedule import Schedule
from engine.queue.session_slots import SessionSlots
from engine.sandbox.provider import Sandbox
from engine.settings import ROUTE_SETTINGS, WEBHOOK_SETTINGS, SettingsBook
from engine.signed_links import LinkKeys
from engine.silent_hosts import Hosts
from engine.sinks.service import Sinks
from engine.sinks.sink import Sink
from engine.store import accounts
from engine.store.bodies import Spool
from engine.store.vault import Vault
from engine.store.writer import Store
from engine.submission.checking import Checking
from engine.submission.composer import Composer
from engine.submission.gateway_choice import GatewayChoice
from engine.submission.mail_links import MailLinks
from engine.submission.mailbox_files import Room
from engine.submission.reference_reading import References
from engine.submission.submissions import Submissions
from engine.submission.suppression import Suppressions
from engine.webhooks.registry import EndpointRegistry
from engine.world import World


class Queue(NamedTuple):
    """The parts of the queue. `waiting`: how many messages waited at the start."""

    ledger: Ledger
    dispatch: Dispatch
    clock: ClockCorrection
    waiting: int


class Engine(NamedTuple):
    """All parts: `context` for the API's handlers, and what `app.run` runs and stops."""

    context: Context
    queue: Queue


def read_certificates(config: Config, world: World) -> dict[str, Certificate]:
    """The certificates of the ports that have one, by the section that names each. Raises `ConfigError`."""
    found = {}
    if config.http.cert:
        found["http"] = Certificate("http", "the API", config.http.cert, config.http.key, world)
    if config.msa.enabled and config.msa.cert:
        found["msa"] = Certificate("msa", "the SMTP door", config.msa.cert, config.msa.key, world)
    return found


async def assemble(
    config: Config,
    world: World,
    store: Store,
    vault: Vault,
    started: Started | None,
    certificates: Mapping[str, Certificate],
) -> Engine:
    """Create all parts on a running store. Raises `StorageFailed`."""
    hub, hosts = Hub(), Hosts()
    journal = Journal(store, hub, world)
    settings = SettingsBook(store, vault)
    settings.listen(lambda: setattr(journal, "service_url", settings.values.service_url), "service_url")
    queue = await _queue(config, world, store, journal, hosts)
    ledger, dispatch = queue.ledger, queue.dispatch
    settings.listen(lambda: dispatch.pauses.pause_everyone(settings.values.queue_paused is True), "queue_paused")
    sandbox = Sandbox(world) if config.sandbox.enabled else None
    egress, routes = Egress(config.network, world, hosts), Routes(settings, vault)
    access = ServerAccess(config.imap, hosts, LoginSlots(config.imap.logins), egress, sandbox, routes, world, settings)
    webhooks = EndpointRegistry(journal, store, vault, config.webhooks, world, egress)
    consumers = Consumers(store, world)
    make_sink = partial(Sink, journal=journal, consumers=consumers, store=store, egress=egress, world=world)
    sinks = Sinks(make_sink, config.sinks)
    oauth = _oauth(store, vault, journal, access, settings)
    expires_at = dispatch.attempts.expires_at
    outbox = Outbox(store, ledger.recorder, expires_at, world)
    link_keys = LinkKeys(settings, store, vault, world)
    form_links = FormLinks(settings, link_keys, vault, world)
    reauth = Reauth(form_links, settings, oauth.book)
    make_account = partial(
        Account,
        ledger=ledger,
        access=access,
        dispatch=dispatch,
        settings=settings,
        oauth=oauth,
        reauth=reauth,
    )
    registry = Registry(
        make_account, store, vault, journal, outbox, webhooks, oauth.keepers, world, config.shutdown.grace
    )
    rehearsing = None if sandbox is None else _rehearsing(config, sandbox, store, registry, dispatch, world)
    settings.listen(lambda: _configure(webhooks, settings), *WEBHOOK_SETTINGS)
    settings.listen(lambda: webhooks.pause(settings.values.webhooks_paused is True), "webhooks_paused")
    settings.listen(registry.change_routes, *ROUTE_SETTINGS, "ignore_mail_cert_errors")
    make_gateway = partial(RunningGateway, ledger=ledger, access=access, dispatch=dispatch, registry=registry)
    gateways = Gateways(make_gateway, store, vault, dispatch, world, config.shutdown.grace)
    settings.listen(gateways.change_routes, *ROUTE_SETTINGS, "ignore_mail_cert_errors")
    files = ExportFiles(Path(config.store.path), config.export.quota, config.export.spare, world)
    exports = Exports(files, registry.get, store, journal, settings, config.export, world)
    share = SharedLimit("streams", config.http.streams, config.http.streams_per_token)
    bodies, wrong_tokens = (
        Bodies(config.http.bodies, config.http.slowest, Path(config.store.path), world),
        WrongTokens(),
    )
    room = Room(config.http.bodies, Path(config.store.path), world)
    choice = GatewayChoice(gateways.host_of)
    intake = Intake(store, ledger.spool, config.store.spool_above, dispatch.schedule, expires_at)
    queue_ids = QueueIds(store.reader, world)
    calls, stopping = CallCounts(), trio.Event()
    composer = Composer(bodies.heavy, world)
    submissions = Submissions(
        composer,
        References(store, settings, config.http.max_body, room, bodies.heavy, world),
        MailLinks(settings, link_keys, choice, store),
        intake,
        queue_ids,
        routes,
        lambda: settings.values.delivery_attempts or config.retry.attempts,
        choice,
        OnDoubt(config.queue.on_doubt),
        Suppressions(store, world),
        world,
    )
    gate = TokenGate(TokenUses(store, world, lambda: settings.values.token_audit_log is True), world)
    logins = Logins(
        store.reader, config.msa.password, wrong_tokens, gate, lambda account: registry.get(account) is not None, world
    )
    hand_over = HandOver(submissions, registry.get, ledger.spool, world)
    spool_above = config.store.spool_above
    door = (
        Door(config.msa, logins, hand_over, ledger.spool, spool_above, queue_ids, world) if config.msa.enabled else None
    )
    context = Context(
        store=store,
        world=world,
        config=config,
        started=started or Started(None, Path(config.store.path)),
        bodies=bodies,
        requests=SharedLimit("requests", None, config.http.requests_per_token),
        wrong_tokens=wrong_tokens,
        cross_origin=CrossOrigin(config.http),
        certificates=certificates,
        calls=calls,
        stopping=stopping,
        gate=gate,
        ports={} if door is None else {"smtpDoor": lambda: door.listens},
        vault=vault,
        registry=registry,
        gateways=gateways,
        settings=settings,
        submissions=submissions,
        checking=Checking(Lookups(world), gateways, access.sizes, composer),
        door=door,
        outbox=outbox,
        pauses=dispatch.pauses,
        webhooks=webhooks,
        sinks=sinks,
        access=access,
        rehearsing=rehearsing,
        oauth=oauth,
        link_keys=link_keys,
        form_links=form_links,
        reauth=reauth,
        sign_ins=SignIns(store, vault, world),
        streams=Streams(journal, hub, consumers, share, config.http.consumers),
        changes=ledger.changes,
        exports=exports,
        metrics=Metrics(
            Sources(
                store=store,
                world=world,
                registry=registry,
                journal=journal,
                webhooks=webhooks,
                sinks=sinks,
                intake=intake,
                attempts=dispatch.attempts,
                refreshes=oauth.requests.refreshes,
                calls=calls,
                streams=share,
                certificates=certificates,
                door=door,
                stopping=stopping,
            )
        ),
    )
    return Engine(context, queue)


async def _queue(config: Config, world: World, store: Store, journal: Journal, hosts: Hosts) -> Queue:
    spool, schedule = Spool(Path(config.store.path) / "spool", store, world), Schedule(world)
    spool.sweep(store.reader)
    recorder = Recorder(spool, journal, schedule)
    policy = Policy(config.retry.schedule, config.retry.jitter)
    clock = ClockCorrection(store, policy, config.imap.copy_schedule, world)
    await clock.put_right()
    # What is found out now is told before the accounts start.
    journal.sandboxes |= accounts.in_sandbox(store.reader)
    waiting = await recover(store, recorder, schedule, world.now())
    dispatch = Dispatch(
        schedule,
        Attempts(store, spool, recorder, policy, world),
        SessionSlots(config.smtp.sessions),
        Pauses(schedule, world),
        lane_limits(config.smtp),
        config.smtp.ehlo_name,
        hosts,
        world,
    )
    return Queue(Ledger(store, spool, journal, recorder, StateChanges()), dispatch, clock, waiting)


def _rehearsing(
    config: Config, sandbox: Sandbox, store: Store, registry: Registry, dispatch: Dispatch, world: World
) -> Rehearsing:
    scripts, smtp = SandboxScripts(store, world.now), config.smtp
    sandbox.scripts = scripts
    limits = (smtp.greeting_timeout, smtp.command_timeout, smtp.data_timeout, smtp.block_timeout, smtp.dot_timeout)
    sandbox.patience = max(limits)
    time = PassingTime(store, sandbox, registry.get, dispatch.schedule, world)
    return Rehearsing(sandbox, scripts, time, world)


def _oauth(store: Store, vault: Vault, journal: Journal, access: ServerAccess, settings: SettingsBook) -> OAuth:
    book = AppBook(store, vault, journal, access.world)
    inside = Wire(access.sandbox.dial, access.sandbox.dial) if access.sandbox is not None else None
    requests = TokenRequests(access.provider_wire(access.routes.of_settings), inside, access.world)
    # It is the operator's own and near, so no proxy leads to it.
    near = access.provider_wire(lambda: DIRECT)
    auth_server = AuthServer(near, lambda: settings.values.auth_server, access.world)
    settings.listen(auth_server.changed, "auth_server")
    return OAuth(book, requests, Keepers(book, requests, store, vault, access.world), auth_server)


def _configure(webhooks: EndpointRegistry, settings: SettingsBook) -> None:
    values = settings.values
    webhooks.configure(
        values.webhooks,
        settings.webhooks_enabled,
        ("*",) if values.webhook_events is None else values.webhook_events,
        values.webhooks_custom_headers or (),
        values.service_secret,
        inbox_only=values.inbox_new_only is True,
    )
