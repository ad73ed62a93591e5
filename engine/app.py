"""The engine from start to stop, in the order in which it happens.

Services start from the store outwards and stop in reverse: no new requests, lanes finish their current message, event
readers end, the store closes last. SIGTERM and SIGINT stop the engine; a second signal exits at once.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import FrameType

import trio

from engine.api.app import make_app
from engine.api.context import Context
from engine.assembly import Engine, assemble, read_certificates
from engine.config import Config
from engine.edge.listener import listen, listen_at
from engine.errors import EngineError, StorageFailed, leaves
from engine.http.control_requests import Started
from engine.http.server import serve_http, url_of
from engine.log import to_stderr as log_to_stderr
from engine.metrics.own_port import CONNECTIONS, make_metrics_app
from engine.msa.door import Listeners as DoorListeners
from engine.oauth.secret_expiry import SecretExpiry
from engine.queue.restored_backup import Releases
from engine.queue.retention import Retention
from engine.reloading import Reloading, hangups, reload_at
from engine.repeated_errors import counted
from engine.service_manager import ServiceManager
from engine.store import control_socket, database, entry_links, people, sealed, vault_keys
from engine.store.rotation import Rotation
from engine.store.writer import Store
from engine.version import VERSION
from engine.web.site import pages
from engine.world import World

log = logging.getLogger("engine")

SAY_AFTER = 1.0
"""Seconds after which a slow stop is logged."""
LAST_RESORT = 5.0
"""Seconds after the grace time at which a stop that still hangs ends the process, with exit code 1."""
SWITCH_SECONDS = 0.001
"""How long a worker thread may hold the interpreter: a request needs it about twenty times until its answer."""
LARGE_BLOCK = 1024**2
"""Octets from which a block of memory is one of its own."""
STUCK_SHOWN = 10
"""Maximum tasks named if a stop hangs."""
_M_MMAP_THRESHOLD = -3  # malloc.h of glibc


def serve(config: Config, file: Path | None = None) -> int:
    """Run until a signal stops it; return the exit code. `file` is the configuration file.

    Raises `ConfigError` if it cannot start.
    """
    log_to_stderr(config.log.level, config.log.format)
    folder = Path(config.store.path)
    database.prepare_folder(folder)
    _take_all_descriptors()
    _give_large_blocks_back()
    sys.setswitchinterval(SWITCH_SECONDS)
    here = Path.cwd()
    with database.lock_folder(folder), control_socket.opened(folder, here) as door:
        try:
            trio.run(_run_until_signal, config, file, Started(file and file.absolute(), here), door)
        except BaseExceptionGroup as group:
            causes = leaves(group)
            if any(isinstance(each, StorageFailed) for each in causes):
                return 1
            if isinstance(causes[0], sqlite3.DatabaseError):
                log.error("%s cannot be read: %s; see: engine doctor", folder / database.FILE, causes[0])
                return 1
            raise (causes[0] if len(causes) == 1 else group) from None
        log.info("stopped cleanly")
    return 0


async def run(
    config: Config,
    world: World,
    stop: trio.Event,
    *,
    http: bool = True,
    started: Started | None = None,
    door: socket.socket | None = None,
    task_status: trio.TaskStatus[Context] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run the whole engine until `stop` is set, then stop in order. The folder must be prepared and locked.

    `started` is how the process was started, `door` its control socket. Raises `ConfigError` if it cannot start, and
    `StorageFailed` if the disk fails. Cancelled: ends as soon as what is under way is recorded; everything acknowledged
    is on disk.
    """
    trio.socket.set_custom_hostname_resolver(world.resolver())
    certificates = read_certificates(config, world)
    folder = Path(config.store.path)
    if not (folder / database.FILE).exists():
        # A first start creates its key before anything else, so that a fault there is reported in one line.
        vault_keys.load(folder, config.store, world, needed=())
    store = Store(folder, world, config.store.reserve)
    async with _outliving(store.run):
        vault = vault_keys.load(folder, config.store, world, sealed.key_ids(store.reader)).vault(world)
        rotation = Rotation(store, vault, config.store, world)
        await rotation.take_up()
        engine = await assemble(config, world, store, vault, started, certificates)
        context, registry = engine.context, engine.context.registry
        # Listen before anything runs, so that for a port in use the error is the only log line.
        listener = listen(config.http) if http else None
        metrics = config.metrics
        for_prometheus = None
        if http and metrics.port:
            for_prometheus = listen_at(metrics.host, metrics.port, "metrics.port", config.http.write_timeout)
        door_listeners = None
        if http and context.door is not None:
            door_listeners = DoorListeners(config.msa, certificates.get("msa"))
        _say_where("nothing" if listener is None else url_of(listener, tls="http" in certificates), folder, engine)
        sandbox = context.access.sandbox
        async with (
            _service(Retention(store, engine.queue.ledger.spool, config.retention, world).run),
            _service(engine.queue.clock.run),
            _service(context.webhooks.run),
            _service(context.sinks.run),
            _service(Releases(store, engine.queue.dispatch.schedule).run),
            _service(sandbox.run) if sandbox is not None else nullcontext(),
            _service(engine.queue.dispatch.slots.run),
            _service(SecretExpiry(context.oauth.book, store, context.streams.journal, world).run),
            _service(context.wrong_tokens.run),
            _service(context.gate.uses.run),
            _service(registry.run),
            _service(context.gateways.run),
            _service(context.rehearsing.time.run) if context.rehearsing is not None else nullcontext(),
            _service(context.exports.run),
            _service(context.metrics.loop_lag.run) if started is not None else nullcontext(),
        ):
            async with trio.open_nursery() as nursery:
                if http:
                    nursery.start_soon(rotation.run, context.stopping)
                    serve_api = partial(
                        serve_http,
                        make_app(context, pages(context)),
                        config.http,
                        stop=context.stopping,
                        control=door,
                        listener=listener,
                        certificate=certificates.get("http"),
                    )
                    context.started.urls = await nursery.start(serve_api)
                    if started is not None:
                        await _invite(context)
                if for_prometheus is not None:
                    serve_metrics = partial(
                        serve_http,
                        make_metrics_app(context.metrics),
                        config.http,
                        stop=context.stopping,
                        listener=for_prometheus,
                        connections=CONNECTIONS,
                    )
                    (url,) = await nursery.start(serve_metrics)
                    log.info("Prometheus reads %s/metrics", url)
                if context.door is not None and door_listeners is not None:
                    await nursery.start(context.door.run, door_listeners, context.stopping)
                    context.started.urls = [*context.started.urls, *door_listeners.urls()]
                    log.info("the SMTP door listens on %s", " and ".join(door_listeners.urls()))
                task_status.started(context)
                await stop.wait()
                context.stopping.set()
                context.streams.hub.stop()
                context.changes.stop()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(context.gateways.stop_lanes, config.shutdown.grace)
                nursery.start_soon(registry.stop_lanes, config.shutdown.grace)


def _say_where(url: str, folder: Path, engine: Engine) -> None:
    log.info(
        "mailbox engine %s listens on %s, data in %s: %s, %s waiting",
        VERSION,
        url,
        os.path.abspath(folder),
        counted(len(engine.context.registry.every()), "account"),
        counted(engine.queue.waiting, "message"),
    )


async def _invite(context: Context) -> None:
    """If no one can sign in to the pages yet, print a link at which the owner chooses a password.

    It goes to the terminal, not into the log, since any reader of it can become the owner. A log of JSON has no such
    lines.
    """
    if people.count(context.store.reader):
        return
    if context.config.log.format == "json":
        log.info("nobody can sign in to the pages yet; engine people link prints a link")
        return
    try:
        key = await context.store.admit(lambda tx: entry_links.make(tx, context.world, "owner"))
    except EngineError as error:
        log.warning("no link to the pages could be made: %s; later: engine people link", error)
        return
    base = context.settings.values.service_url or context.started.urls[0]
    url = f"{base.rstrip('/')}{entry_links.PATH}?key={key}"
    print(
        f"Nobody can sign in to the pages yet. This link works once, within 24 hours:\n{url}",
        file=sys.stderr,
        flush=True,
    )


@asynccontextmanager
async def _service(run: Callable[..., Awaitable[None]]) -> AsyncIterator[None]:
    """Run a service while the block runs, then cancel it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _outliving(run: Callable[..., Awaitable[None]]) -> AsyncIterator[None]:
    """The same for a service that must outlive the block even if both are cancelled from outside, since what ends in
    the block still reads and commits. The shield ends with the block."""
    shielded = trio.CancelScope(shield=True)

    async def outlive(task_status: trio.TaskStatus[None]) -> None:
        with shielded:
            await run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(outlive)
        try:
            yield
        finally:
            shielded.cancel()


async def _run_until_signal(config: Config, file: Path | None, started: Started, door: socket.socket | None) -> None:
    stop, manager = trio.Event(), ServiceManager(os.environ)
    with hangups() as signals:
        async with trio.open_nursery() as around:
            await around.start(_watch_signals, stop, config.shutdown.grace, manager)
            async with trio.open_nursery() as nursery:
                context = await nursery.start(partial(run, config, World(), stop, started=started, door=door))
                status = f"listens on {' and '.join(context.started.urls)}"
                around.start_soon(reload_at, signals, Reloading(config, file, context, os.environ), manager, status)
                if not stop.is_set():
                    await manager.ready(status)
                around.start_soon(manager.keep_alive, context.store.stalled)
            around.cancel_scope.cancel()


async def _watch_signals(
    stop: trio.Event,
    grace: float,
    manager: ServiceManager,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        await anext(signals)
        stop.set()
        with trio.move_on_after(grace + LAST_RESORT) as patience:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(manager.stopping)
                nursery.start_soon(_say_that_it_takes_time)
                await anext(signals)
                nursery.cancel_scope.cancel()
    if patience.cancelled_caught:
        log.error(
            "the shutdown hangs and is aborted after %g s; still running: %s", grace + LAST_RESORT, ", ".join(_stuck())
        )
        os._exit(1)
    log.warning("exiting at once")
    os._exit(0)


async def _say_that_it_takes_time() -> None:
    await trio.sleep(SAY_AFTER)
    log.info("stopping: waiting for the messages that are being sent; a second signal exits at once")


def _stuck() -> list[str]:
    """The current places of at most `STUCK_SHOWN` other tasks, innermost first."""
    found: list[str] = []
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is None or task is trio.lowlevel.current_task():
            continue
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        ours = [(frame, line) for frame, line in task.iter_await_frames() if trio.__name__ not in _packages(frame)]
        if ours:
            frame, line = ours[-1]
            found.append(f"{frame.f_code.co_qualname} ({Path(frame.f_code.co_filename).name}:{line})")
    return found[: -STUCK_SHOWN - 1 : -1]


def _packages(frame: FrameType) -> list[str]:
    return str(frame.f_globals.get("__name__", "")).split(".")


def _give_large_blocks_back() -> None:
    """Have the C library take large blocks from the system and give them back, as it does at first.

    Once it has freed one, glibc takes blocks of that size from its heap, which then stays as large as a few attachments
    in pieces. Another C library has no `mallopt`, and nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)


def _take_all_descriptors() -> None:
    """Raise the soft limit of open files: two connections per account soon exceed the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
