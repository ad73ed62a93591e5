"""The one signal "this host answers again", for whatever waits to dial a host that did not answer.

Every dial of a mail server or a webhook reports here (`watched`). A dial that succeeds after others to the same host
and port have gone unanswered ends the waits there at once, and those at the host's other silent ports now and then: a
port that stays shut beside one that works must not be dialled each time the other is. A dial that succeeds where none
went unanswered wakes nobody, so that servers which accept and hang up cannot make their callers wake each other. What
the server refused is no matter of answering: what waits after a refusal does not listen here.

A host behind a proxy is another one than the same host dialled from here: it is known together with the proxy (`via`).
Who waits for it listens for the proxy too, whose silence is its own and is no silence of the hosts behind it.

It also remembers for an hour which addresses accepted a connection and never said a word: they are dialled last.
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
"""At least so long between two wakes of a host's silent ports by another port."""
KEPT = 10_000
"""Silent hosts, and mute addresses, that are remembered."""
MUTE_SECONDS = 3600.0
"""How long an address that accepted and said nothing is dialled last."""

_UNANSWERED = frozenset(
    {"ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"}
    | {UNREACHED, TARGET_UNREACHED}
)

Via = tuple[str, int] | None
"""Host and port of the proxy through which a host is dialled; None: it is dialled from here."""


def unanswered(error: Exception) -> bool:
    """Whether a dial failed because nothing answered: no name, no way, no word, or a port that is shut."""
    if not isinstance(error, NetworkError):
        return False
    return error.kind in (NetworkKind.DNS, NetworkKind.TIMEOUT) or error.code in _UNANSWERED


class Hosts:
    """Which hosts are silent, and who wants to know when they answer. One for the whole engine."""

    def __init__(self) -> None:
        self._silent: dict[str, dict[int, float]] = {}
        """The silent ports of each host, and when each was last woken by another one."""
        self._listeners: dict[tuple[str, int], dict[object, Callable[[], None]]] = {}
        self._mute: dict[str, float] = {}

    def watched(self, dial: Dial, via: Via = None) -> Dial:
        """`dial`, which goes through the proxy `via`, reporting how each dial ended.

        One that is cancelled, as at a time limit, has gone unanswered. One under way when the host answers another
        begins anew: the kernel asks again only after ever longer pauses.
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
        """A dial has gone unanswered."""
        self._silent.setdefault(host.lower(), {}).setdefault(port, -math.inf)
        if len(self._silent) > KEPT:
            del self._silent[next(iter(self._silent))]

    def answered(self, host: str, port: int) -> None:
        """A dial has succeeded: wake who waits for this host, if it was silent."""
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
        """Remember an address that accepted a connection and never said a word; None: the failure was another."""
        if address is not None:
            self._mute.pop(address, None)
            self._mute[address] = trio.current_time()
            if len(self._mute) > KEPT:
                del self._mute[next(iter(self._mute))]

    def ordered(self, addresses: Sequence[str]) -> list[str]:
        """The addresses of a host as they are to be dialled: those that were mute of late last, longest ago first."""
        since = trio.current_time() - MUTE_SECONDS
        mute = {each: when for each in addresses if (when := self._mute.get(each, since)) > since}
        return sorted(addresses, key=lambda each: mute.get(each, -math.inf))

    @contextmanager
    def listening(self, host: str, port: int, wake: Callable[[], None], via: Via = None) -> Iterator[None]:
        """Within the block `wake` is called whenever the host, or its proxy, answers again.

        It must not block or raise.
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
        """Sleep for so many seconds, or until the host answers again: whether it does. Cancelled: nothing is left."""
        heard = trio.Event()
        with self.listening(host, port, heard.set, via), trio.move_on_after(seconds):
            await heard.wait()
        return heard.is_set()


def _name(host: str, via: Via) -> str:
    """What a host is known by: another name behind each proxy."""
    return host if via is None else f"{host} via {with_port(*via)}"
