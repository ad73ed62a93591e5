"""The signal "this host answers again", for all tasks that wait to dial a host that did not answer.

1. Every dial of a mail server or webhook reports here (`watched`).
2. If a dial succeeds after others to the same host and port were unanswered, it ends the waits for that port at once.
   It also ends those for the host's other silent ports, at most every `OTHER_PORTS_SECONDS`: a port that stays closed
   must not be dialled each time another one is.
3. A dial that succeeds while none is unanswered wakes no task, so servers that accept and hang up cannot make their
   callers wake each other. After a refusal by the server, callers wait without listening here.
4. A host behind a proxy (`via`) counts as a different host from the same one dialled directly. Its callers listen for
   the proxy too; the proxy's silence does not count as silence of the hosts behind it.
5. Addresses that accepted a connection and then never sent a byte are remembered for an hour and dialled last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import trio

from engine.errors import NetworkError, NetworkKind
from engine.proxies.proxy import TARGET_UNREACHED, UNREACHED, with_port
from engine.world import Dial

OTHER_PORTS_SECONDS = 30.0
"""Least seconds between two wakes of a host's silent ports by another port."""
KEPT = 10_000
"""Maximum silent hosts, and maximum mute addresses, that are remembered."""
MUTE_SECONDS = 3600.0
"""Seconds for which an address that accepted and stayed silent is dialled last."""

_UNANSWERED = frozenset(
    {"ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"}
    | {UNREACHED, TARGET_UNREACHED}
)

Via = tuple[str, int] | None
"""Host and port of the proxy through which a host is dialled; None: it is dialled from here."""


def unanswered(error: Exception) -> bool:
    """Whether a dial failed because nothing answered: no name, no route, silence, or a closed port."""
    if not isinstance(error, NetworkError):
        return False
    return error.kind in (NetworkKind.DNS, NetworkKind.TIMEOUT) or error.code in _UNANSWERED


class Hosts:
    """The silent hosts, and the callbacks for when they answer. One instance for the whole engine."""

    def __init__(self) -> None:
        self._silent: dict[str, dict[int, float]] = {}
        """The silent ports of each host, and when another port last woke each."""
        self._listeners: dict[tuple[str, int], dict[object, Callable[[], None]]] = {}
        self._mute: dict[str, float] = {}

    def watched(self, dial: Dial, via: Via = None) -> Dial:
        """Wrap `dial`, which uses the proxy `via`, so that it reports how each dial ended.

        A cancelled dial, as at a time limit, counts as unanswered. If the host answers another dial, those under way
        are restarted, since the kernel repeats its attempts only after ever longer pauses.
        """

        async def watched(host: str, port: int) -> trio.abc.Stream:
            stream, silent, name = None, True, _name(host, via)
            try:
                while stream is None:
                    with trio.CancelScope() as scope, self._listening(name, port, scope.cancel):
                        stream = await dial(host, port)
                silent = False
            except NetworkError as error:
                silent = unanswered(error) and error.code != UNREACHED
                raise
            finally:
                if silent:
                    self.silent(name, port)
            self.answered(name, port)
            return stream

        return watched

    def silent(self, host: str, port: int) -> None:
        """Note an unanswered dial."""
        self._silent.setdefault(host.lower(), {}).setdefault(port, -math.inf)
        if len(self._silent) > KEPT:
            del self._silent[next(iter(self._silent))]

    def answered(self, host: str, port: int) -> None:
        """Note a successful dial; wake the tasks that wait for this host if it was silent."""
        name = host.lower()
        silent = self._silent.get(name)
        if silent is None:
            return
        now = trio.current_time()
        ports = [each for each, woken in silent.items() if each == port or now - woken >= OTHER_PORTS_SECONDS]
        silent.update(dict.fromkeys(ports, now))
        silent.pop(port, None)
        if not silent:
            del self._silent[name]
        for each in ports:
            for wake in list(self._listeners.get((name, each), {}).values()):
                wake()

    def note_mute(self, address: str | None) -> None:
        """Remember an address that accepted a connection and stayed silent; None: the failure was another one."""
        if address is not None:
            self._mute.pop(address, None)
            self._mute[address] = trio.current_time()
            if len(self._mute) > KEPT:
                del self._mute[next(iter(self._mute))]

    def ordered(self, addresses: Sequence[str]) -> list[str]:
        """The addresses of a host in dialling order: recently mute ones come last, the longest ago first."""
        since = trio.current_time() - MUTE_SECONDS
        mute = {each: when for each in addresses if (when := self._mute.get(each, since)) > since}
        return sorted(addresses, key=lambda each: mute.get(each, -math.inf))

    @contextmanager
    def listening(self, host: str, port: int, wake: Callable[[], None], via: Via = None) -> Iterator[None]:
        """While the block runs, call `wake` whenever the host, or its proxy, answers again.

        `wake` must not block or raise.
        """
        with self._listening(_name(host, via), port, wake), ExitStack() as stack:
            if via is not None:
                stack.enter_context(self._listening(*via, wake))
            yield

    @contextmanager
    def _listening(self, name: str, port: int, wake: Callable[[], None]) -> Iterator[None]:
        key, mine = (name.lower(), port), object()
        listeners = self._listeners.setdefault(key, {})
        listeners[mine] = wake
        try:
            yield
        finally:
            del listeners[mine]
            if not listeners and self._listeners.get(key) is listeners:
                del self._listeners[key]

    async def wait(self, host: str, port: int, seconds: float, via: Via = None) -> bool:
        """Sleep `seconds`, or until the host answers again; return whether it does. Cancelled: nothing stays."""
        heard = trio.Event()
        with self.listening(host, port, heard.set, via), trio.move_on_after(seconds):
            await heard.wait()
        return heard.is_set()


def _name(host: str, via: Via) -> str:
    """The key for a host: different behind each proxy."""
    return host if via is None else f"{host} via {with_port(*via)}"
