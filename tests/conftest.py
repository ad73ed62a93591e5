"""Fixtures for all tests: real servers, the engine as a process, and the rule that nothing is swallowed.

The mail servers are started once a run, when the first test asks for them. Where they cannot run, a test that needs
them is skipped with the reason; with CI=true it fails, since a machine that checks changes has to check all of them.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from dealing import dealt
from real.brokers import BrokerProcess
from real.certificates import Certificates
from real.dovecot import Dovecot
from real.engine_process import EngineProcess
from real.far_side import FarSide
from real.postfix import Postfix
from real.redis_server import RedisServer
from real.servers import ServerMissing, private_folder
from real.smtp_server import SmtpServer
from real.smtp_sink import SmtpSink
from real.webhook_receiver import WebhookReceiver

CI = os.environ.get("CI") == "true"

hypothesis.settings.register_profile("dev", deadline=None, derandomize=False)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.register_profile("further", deadline=None, derandomize=True, max_examples=20)
hypothesis.settings.load_profile("ci" if CI else "dev")


def pytest_configure() -> None:
    """Being terminated ends a run as Ctrl-C does: through the fixtures, which stop their servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is read stays: looking for garbage in it takes a quarter of the time, and later some of every test's."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits is begun first, by each of the processes that test at the same time."""
    items[:] = dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


@contextlib.contextmanager
def _needing(what: str) -> Iterator[None]:
    try:
        yield
    except ServerMissing as missing:
        if CI:
            pytest.fail(f"{what} left out, which CI does not allow: {missing}", pytrace=False)
        pytest.skip(f"{what} left out: {missing}")


@pytest.fixture(scope="session")
def certificates() -> Iterator[Certificates]:
    """The test authority and the files of the certificates it signed."""
    with private_folder("certificates") as folder:
        yield Certificates(folder)


@pytest.fixture(scope="session")
def dovecot(certificates: Certificates) -> Iterator[Dovecot]:
    """A real Dovecot. Use `dovecot.user()` for a mailbox no other test has touched."""
    with private_folder("dovecot") as folder, _needing("Dovecot"):
        server = Dovecot(folder, certificates)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def relay() -> Iterator[SmtpServer]:
    """Where the real Postfix sends mail for other domains."""
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(certificates: Certificates) -> Iterator[RedisServer]:
    """A real Redis; each test puts in it what it needs."""
    with private_folder("redis") as folder, _needing("Redis"):
        server = RedisServer(folder, certificates)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postfix(certificates: Certificates, dovecot: Dovecot, relay: SmtpServer) -> Iterator[Postfix]:
    """A real Postfix that delivers into `dovecot` and passes other mail on to `relay`."""
    with private_folder("postfix") as folder, _needing("Postfix"):
        server = Postfix(folder, certificates, dovecot, relay.port)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """Postfix's `smtp-sink`, which accepts and keeps everything."""
    with private_folder("sink") as folder, _needing("smtp-sink"), SmtpSink(folder) as sink:
        yield sink


@pytest.fixture
def smtp_server() -> Iterator[SmtpServer]:
    """A scripted SMTP server for what a decent one never does."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def far_side() -> Iterator[FarSide]:
    """A network namespace the way to which can lose packets."""
    with _needing("a network namespace"), FarSide() as side:
        yield side


@pytest.fixture
def start_broker() -> Iterator[Callable[..., BrokerProcess]]:
    """`start_broker(NatsServer, ...)` starts a real broker, for this test alone."""
    with contextlib.ExitStack() as stack:

        def start(kind: Callable[..., BrokerProcess], *arguments: object) -> BrokerProcess:
            folder = stack.enter_context(private_folder("broker"))
            with _needing("a broker"):
                broker = kind(folder, *arguments)
            stack.callback(broker.kill9)
            broker.start()
            return broker

        yield start


@pytest.fixture
def webhook_receiver() -> Iterator[WebhookReceiver]:
    """An HTTP server that keeps the webhooks it gets."""
    with WebhookReceiver() as receiver:
        yield receiver


@contextlib.contextmanager
def _starter(folder: Path, executed: bool = False) -> Iterator[Callable[..., EngineProcess]]:
    engines: list[EngineProcess] = []

    def start(**settings: str) -> EngineProcess:
        own = folder / f"engine-{len(engines)}"
        own.mkdir()
        engine = EngineProcess(own, executed=executed, **settings)
        engines.append(engine)
        engine.start()
        return engine

    yield start
    for engine in engines:
        engine.kill9()
    for engine in engines:
        if not engine.crash_expected and "Traceback (most recent call last)" in engine.log:
            pytest.fail(f"the engine logged a crash:\n{engine.log}", pytrace=False)


@pytest.fixture
def start_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., EngineProcess]]:
    """`start_engine(ENGINE_RETRY__SCHEDULE="1s", ...)` starts an engine process with those settings.

    It is forked, or a start of Python where the test is marked `executed`. A traceback in its log fails the test at
    the end, unless the test has set `engine.crash_expected`.
    """
    with _starter(tmp_path, request.node.get_closest_marker("executed") is not None) as start:
        yield start


@pytest.fixture
def engine(start_engine: Callable[..., EngineProcess]) -> EngineProcess:
    """An engine process with the default settings."""
    return start_engine()


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine process that all tests of a file share which leave nothing behind that another one would see."""
    with _starter(tmp_path_factory.mktemp("shared")) as start:
        yield start()


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def engine_errors() -> list[logging.LogRecord]:
    """What the engine logs as an error inside this test. Asking for it makes the test the one who judges them."""
    return []


@pytest.fixture(autouse=True)
def nothing_swallowed(request: pytest.FixtureRequest) -> Iterator[None]:
    """An error the engine logs in a test that does not expect any fails that test, whatever it asserted."""
    handler = _Errors()
    if expected := "engine_errors" in request.fixturenames:
        handler.records = request.getfixturevalue("engine_errors")
    logger = logging.getLogger("engine")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    if handler.records and not expected:
        lines = [f"{record.name}: {handler.format(record)}" for record in handler.records]
        pytest.fail("the engine logged errors:\n" + "\n".join(lines), pytrace=False)
