"""The world outside the process, as one object that is passed in.

Wall clock, randomness, ids, threads, name resolution and dialling come through `World` and nothing else reads them, so
that a simulation can pass another world and run days in seconds from a seed. Timers use `trio.current_time()`, which a
test's clock already moves.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import logging
import os
import queue
import random
import resource
import socket
import string
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import outcome
import trio

from engine.descriptor_reserve import DescriptorReserve, next_descriptor
from engine.dns_records import RecordKind, Records
from engine.errors import NetworkError, NetworkKind
from engine.proxies.route import same_family
from engine.resolver import Resolver

if TYPE_CHECKING:
    import dns.asyncresolver

log = logging.getLogger("engine.world")

T = TypeVar("T")

LOOKUPS, LOOKUPS_SHARE = 100, 16
"""Simultaneous lookups of quick and of slow names each, but at most 1/`LOOKUPS_SHARE` of all descriptors."""
DNS_SECONDS = 10.0
STAGGER_SECONDS = 0.25
"""Seconds to wait for one address before the next is dialled in parallel (RFC 8305 section 8)."""

UNACKNOWLEDGED_SECONDS = 60.0
"""Seconds after which the kernel gives up a connection whose octets are not acknowledged (`endure`)."""
STEP = 1.0
"""Seconds by which the wall clock and Trio's may drift apart before one of them counts as set, or as stopped."""
STANDSTILL = 86_400.0
"""The longest suspension assumed; a wall clock that is further ahead must have been set."""
LOOK_AGAIN = 60.0
"""Seconds after which a wait checks the clocks again: one may have been set, or the machine suspended."""
BIND_ADDRESS_NO_PORT = 24
"""Linux's IP_BIND_ADDRESS_NO_PORT: bind an address now, but choose its port only at the connect."""


class Dial(Protocol):
    """Opens one byte stream to a server. Raises `NetworkError`; cancelled: nothing stays open."""

    async def __call__(self, host: str, port: int) -> trio.abc.Stream: ...


Choose = Callable[[Sequence[str]], Sequence[str]]
"""Selects the addresses of a host that may be dialled; raises `NetworkError` if there are none."""


class StoreThread(Protocol):
    """The thread for the store's commits, which run one after another."""

    async def run(self, job: Callable[[], None]) -> None:
        """Run `job` and raise what it raises. Cancellation does not interrupt it: a commit completes or fails."""

    def close(self) -> None:
        """Accept no more jobs."""


class Srv(msgspec.Struct, frozen=True):
    """One SRV record (RFC 2782); an empty `target` means that the service does not exist."""

    target: str
    port: int


class World:
    """The real one: the machine's clock, kernel randomness for keys and ids, the system resolver, TCP."""

    def __init__(self) -> None:
        self.random = random.Random(os.urandom(32))
        self._descriptors = DescriptorReserve()
        self._ahead: float | None = None
        self._stood_still = 0.0

    def now(self) -> float:
        """Wall clock, seconds since 1970-01-01 UTC."""
        return time.time()

    def elapsed(self) -> float:
        """Seconds on a monotonic clock: Trio's, plus the time for which the machine was suspended.

        Trio's clock stops during a suspension, which shows in the wall clock being ahead afterwards. A wall clock that
        is set back, or is ahead by more than `STANDSTILL`, has no effect. A task that sleeps by this clock must check
        it again every `LOOK_AGAIN` seconds.
        """
        here = trio.current_time()
        ahead = self.now() - here
        if self._ahead is None:
            self._ahead = ahead
        elif abs(leap := ahead - self._ahead) > STEP:
            self._ahead = ahead
            if 0 < leap <= STANDSTILL:
                self._stood_still += leap
        return here + self._stood_still

    def boot(self) -> tuple[str, float]:
        """Which start of the machine this is, and the seconds since then, suspensions included.

        Both outlive the process, and no one who sets the wall clock changes them. The id is empty where the system
        tells none.
        """
        return _boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME)

    def token_bytes(self, n: int) -> bytes:
        """`n` random bytes for keys and tokens."""
        return os.urandom(n)

    def uuid(self) -> str:
        """A random UUID (RFC 9562 version 4) in its text form."""
        return str(uuid.UUID(bytes=self.token_bytes(16), version=4))

    def letters(self, length: int, alphabet: str = string.ascii_lowercase + string.digits) -> str:
        """An id of `length` random letters of `alphabet`. Not for secrets."""
        return "".join(self.random.choice(alphabet) for _ in range(length))

    def store_thread(self) -> StoreThread:
        """A dedicated thread for the store; a round trip costs half of what `trio.to_thread` takes."""
        return _OwnThread()

    async def in_thread(self, job: Callable[..., T], *arguments: Any) -> T:
        """Run a `job` that computes or waits for the disk in a worker thread; return or raise what it does.

        Cancelled: the job still completes.
        """
        return await trio.to_thread.run_sync(job, *arguments)

    def resolver(self) -> trio.abc.HostnameResolver:
        """The resolver for all connections of the process."""
        return Resolver(max(1, min(LOOKUPS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // LOOKUPS_SHARE)))

    async def resolve(self, host: str, port: int | None) -> list[str]:
        """The IP addresses of `host`, best first. Raises `NetworkError`. The caller sets the deadline."""
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            if isinstance(error, UnicodeError):
                raise NetworkError(NetworkKind.DNS, "ENOTFOUND", f"{host} is not a host name") from error
            raise map_os_error(error, host, port) from error
        return [str(entry[4][0]) for entry in found]

    async def dial(
        self, host: str, port: int, choose: Choose | None = None, local: Sequence[str] = ()
    ) -> trio.abc.Stream:
        """Open a TCP stream with TCP_NODELAY to `host:port`: to any of its addresses, or of those `choose` returns.

        The local address is the first in `local` of the same family, or the system's choice if `local` is empty. The
        kernel notices a vanished peer within one minute while data is unacknowledged (`endure` changes that), else
        within two. The caller sets the deadline. Cancelled: nothing stays open.

        Raises `NetworkError`: EADDRNOTAVAIL if no address in `local` fits or the machine does not have it, EMFILE if
        only descriptors reserved for other purposes are left.
        """
        self._descriptors.refuse_dial(next_descriptor(), host, port)
        addresses = await self.resolve(host, port)
        chosen = choose(addresses) if choose else addresses
        ends = [(each, None) for each in chosen] if not local else _ends(host, port, chosen, local)
        stream = await _connect(host, port, ends, self._descriptors)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _NOTICE_SILENCE:
            stream.setsockopt(socket.IPPROTO_TCP, option, value)
        return stream

    def has_address(self, address: str) -> bool:
        """Whether this IP address can be used as a local address: it is the machine's, and unicast."""
        ip = ipaddress.ip_address(address)
        if ip.is_unspecified or ip.is_multicast:
            return False
        with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
                probe.connect((address, 9))  # fails for a broadcast address, which could be bound; sends nothing
            except OSError:
                return False
        return True

    async def srv(self, name: str) -> list[Srv]:
        """The SRV records of a name, best first; empty if there are none. Raises `NetworkError`."""
        found = await _ask(name, "SRV", DNS_SECONDS, self.name_servers()) or ()
        records = sorted(found, key=lambda record: (record.priority, -record.weight))
        return [Srv(str(record.target).rstrip("."), record.port) for record in records]

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        """The mail exchangers of a domain as (preference, name), best first. Raises `NetworkError`."""
        found = await _ask(domain, "MX", DNS_SECONDS, self.name_servers()) or ()
        return sorted((record.preference, str(record.exchange).rstrip(".")) for record in found)

    async def records(self, name: str, kind: RecordKind, seconds: float) -> Records:
        """All records of one kind that a name has; name servers have `seconds` to answer. Raises `NetworkError`."""
        found = await _ask(name, kind, seconds, self.name_servers())
        if found is None:
            return Records(exists=False)
        if kind == "TXT":
            return Records(tuple(b"".join(record.strings).decode("latin-1") for record in found))
        return Records(tuple(record.to_text() for record in found))

    def name_servers(self) -> dns.asyncresolver.Resolver | None:
        """The name servers to ask; None: those of the machine."""
        return None


def endure(stream: trio.abc.Stream, seconds: float) -> None:
    """Let the kernel wait `seconds` for acknowledgements, and for a peer that does not read.

    Does nothing if the stream is not TCP.
    """
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream) and stream.socket.family != socket.AF_UNIX:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


_NOTICE_SILENCE = (
    (socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_SECONDS * 1000)),  # milliseconds
    (socket.TCP_KEEPIDLE, 60),  # seconds
    (socket.TCP_KEEPINTVL, 15),  # seconds
    (socket.TCP_KEEPCNT, 4),
)


_Ends = tuple[str, str | None]
"""A peer's address, and the address of this machine to leave from; None: the system's choice."""


def _ends(host: str, port: int, addresses: Sequence[str], local: Sequence[str]) -> list[_Ends]:
    """Each peer address that an address in `local` can reach, with the first that can. Raises `NetworkError`."""
    ends: list[_Ends] = []
    for address in addresses:
        fitting = next((each for each in local if same_family(each, address)), None)
        if fitting is not None:
            ends.append((address, fitting))
    if not ends:
        text = f"bind EADDRNOTAVAIL {', '.join(local)}: no address of {host}:{port} is of the same family"
        raise NetworkError(NetworkKind.CONNECT, "EADDRNOTAVAIL", text)
    return ends


async def _bind(connecting: trio.socket.SocketType, local: str) -> None:
    """Bind a socket to this local address. Raises `NetworkError` if the machine does not have it."""
    try:
        connecting.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        await connecting.bind((local, 0))
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "ESOCKET")
        text = f"bind {code} {local}: it is no address of this machine"
        raise NetworkError(NetworkKind.CONNECT, "EADDRNOTAVAIL", text) from error


async def _connect(host: str, port: int, ends: Sequence[_Ends], descriptors: DescriptorReserve) -> trio.SocketStream:
    """The first connection that any address accepts; dials start in order, `STAGGER_SECONDS` apart.

    Each socket's descriptor is checked once it exists: with many dials at once, its number is not known before.
    """
    made: list[trio.SocketStream] = []
    failures: list[OSError | NetworkError] = []

    async def attempt(address: str, local: str | None, failed: trio.Event) -> None:
        try:
            ((family, kind, protocol, _, target), *_) = await trio.socket.getaddrinfo(
                address, port, type=trio.socket.SOCK_STREAM
            )
            connecting = trio.socket.socket(family, kind, protocol)
            try:
                descriptors.refuse_dial(connecting.fileno(), host, port)
                if local is not None:
                    await _bind(connecting, local)
                await connecting.connect(target)
                made.append(trio.SocketStream(connecting))
            except BaseException:
                connecting.close()
                raise
        except (OSError, NetworkError) as error:
            failures.append(error)
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    try:
        try:
            async with trio.open_nursery() as nursery:
                for address, local in ends:
                    failed = trio.Event()
                    nursery.start_soon(attempt, address, local, failed)
                    with trio.move_on_after(STAGGER_SECONDS):
                        await failed.wait()
        except* trio.Cancelled:
            pass  # a nursery wraps it in a group, which callers that expect `Cancelled` do not handle
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        for stream in made:
            stream.socket.close()
        raise
    for stream in made[1:]:
        stream.socket.close()
    if made:
        return made[0]
    if isinstance(failures[0], NetworkError):
        raise failures[0]
    raise map_os_error(failures[0], host, port) from failures[0]


async def _ask(
    name: str, kind: str, seconds: float, name_servers: dns.asyncresolver.Resolver | None
) -> list[Any] | None:
    """The records of one kind; None if there is no such name."""
    # Imported on demand: few requests need it, and it is megabytes of modules.
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    try:
        resolver = name_servers or dns.asyncresolver.get_default_resolver()
        answer = await resolver.resolve(name, kind, lifetime=seconds)
    except dns.resolver.NXDOMAIN:
        return None
    except dns.resolver.NoAnswer:
        return []
    except (dns.exception.DNSException, OSError, UnicodeError) as error:
        raise NetworkError(NetworkKind.DNS, "EDNS", f"query {kind} {name}: {error}") from error
    return list(answer)


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class _OwnThread:
    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], trio.lowlevel.Task] | None] = queue.SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._work, name="store", daemon=True).start()

    async def run(self, job: Callable[[], None]) -> None:
        self._jobs.put((job, trio.lowlevel.current_task()))
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, task = entry
            result = outcome.capture(job)
            try:
                self._token.run_sync_soon(trio.lowlevel.reschedule, task, result)
            except trio.RunFinishedError:
                return


def map_os_error(error: OSError, host: str, port: int | None) -> NetworkError:
    """The `NetworkError` for `error`, worded as API callers know it."""
    if isinstance(error, trio.socket.gaierror):
        temporary = error.errno == trio.socket.EAI_AGAIN
        code = "EAI_AGAIN" if temporary else "ENOTFOUND"
        return NetworkError(NetworkKind.DNS, code, f"getaddrinfo {code} {host}")
    number = error.errno or 0
    code = errno.errorcode.get(number, "ESOCKET")
    kind = NetworkKind.TIMEOUT if number == errno.ETIMEDOUT else NetworkKind.CONNECT
    return NetworkError(kind, code, f"connect {code} {host}:{port}")
