"""Which addresses webhooks may reach."""

from __future__ import annotations

import pytest
import trio

from engine.events.egress import EgressRefused, allowed, connect
from engine.world import World

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.51.100.1",
    "2001:db8::1",
    "fec0::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::ffff:0.0.0.0",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "fc00::1",
    "fd12:3456::1",
    "100.64.0.1",
    "100.127.255.254",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("ip", NEVER)
def test_never(ip: str) -> None:
    assert not allowed(ip, allow_private=True)
    assert not allowed(ip, allow_private=False)


@pytest.mark.parametrize("ip", PRIVATE)
def test_only_where_private_is_allowed(ip: str) -> None:
    assert allowed(ip, allow_private=True)
    assert not allowed(ip, allow_private=False)


@pytest.mark.parametrize("ip", PUBLIC)
def test_always(ip: str) -> None:
    assert allowed(ip, allow_private=True)
    assert allowed(ip, allow_private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "2130706433", "0x7f.1"])
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused, match="may not reach"):
        await connect(World(), host, 80, allow_private=False)


async def test_connects_to_the_address_it_checked() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        stream = await connect(World(), "localhost", port, allow_private=True)
        assert stream.socket.getpeername() == ("127.0.0.1", port)
        await stream.aclose()
