"""From which address of this machine a connection leaves: on real sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import trio
from seeded_world import SeededWorld

from engine.config import Network
from engine.egress import Egress
from engine.errors import NetworkError
from engine.proxies.route import Route
from engine.silent_hosts import Hosts
from engine.world import World


@pytest.fixture
async def port() -> AsyncIterator[int]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield listener.socket.getsockname()[1]


async def left_from(world: World, port: int, route: Route) -> str:
    stream = await Egress(Network(), world, Hosts()).dialer(restricted=False, route=route)("127.0.0.1", port)
    async with stream:
        assert isinstance(stream, trio.SocketStream)
        return str(stream.socket.getsockname()[0])


async def test_the_system_chooses_unless_something_is_said(port: int) -> None:
    assert await left_from(World(), port, Route()) == "127.0.0.1"


async def test_the_first_address_of_the_targets_family_is_taken(port: int) -> None:
    assert await left_from(World(), port, Route(local=("::1", "127.0.0.7", "127.0.0.8"))) == "127.0.0.7"


async def test_each_connection_leaves_from_another_where_it_is_said_so(port: int) -> None:
    world, route = SeededWorld(5), Route(local=("127.0.0.7", "127.0.0.8", "127.0.0.9"), at_random=True)
    counts = Counter([await left_from(world, port, route) for _ in range(60)])
    assert set(counts) == set(route.local)
    assert min(counts.values()) >= 8


async def test_an_address_that_the_machine_has_not_got_is_replaced_by_no_other(port: int) -> None:
    with pytest.raises(NetworkError, match=r"^bind EADDRNOTAVAIL 192\.0\.2\.1: ") as caught:
        await left_from(World(), port, Route(local=("192.0.2.1", "127.0.0.7")))
    assert caught.value.code == "EADDRNOTAVAIL"


async def test_there_is_none_of_the_targets_family(port: int) -> None:
    with pytest.raises(NetworkError, match=r"no address of 127\.0\.0\.1:\d+ is of the same family") as caught:
        await left_from(World(), port, Route(local=("::1",)))
    assert caught.value.code == "EADDRNOTAVAIL"


async def test_a_local_address_takes_no_port_for_itself_alone(port: int) -> None:
    """As many connections may leave from one address to different servers as without one being said."""
    streams, egress = [], Egress(Network(), World(), Hosts())
    dial = egress.dialer(restricted=False, route=Route(local=("127.0.0.7",)))
    for _ in range(20):
        streams.append(await dial("127.0.0.1", port))
    for stream in streams:
        await stream.aclose()


@pytest.mark.parametrize(
    ("address", "has"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("192.0.2.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("255.255.255.255", False),
    ],
)
async def test_which_addresses_this_machine_has(address: str, has: bool) -> None:
    assert World().has_address(address) is has
