"""Which addresses the engine may dial."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest
import trio

from engine.config import Network
from engine.egress import Egress, EgressRefused
from engine.errors import NetworkError
from engine.silent_hosts import Hosts
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession, Timeouts
from engine.transport import TlsRules, Transport
from engine.world import Choose, World

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
    "192.0.0.192",
    "192.0.0.9",
    "192.88.99.1",
    "::ffff:192.0.0.192",
    "64:ff9b::c000:c0",
    "2002:c000:c0::1",
    "3fff::1",
    "3fff:fff:ffff::1",
    "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "5f00::1",
    "fd20:ce::254",
    "168.63.129.16",
    "198.18.0.1",
    "100::1",
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


def permits(ip: str, *, restricted: bool = False, **rules: Any) -> bool:
    return Egress(Network(**rules), World(), Hosts()).permits(ip, restricted=restricted)


@pytest.mark.parametrize("ip", NEVER)
def test_never(ip: str) -> None:
    assert not permits(ip)
    assert not permits(ip, restricted=True)
    assert not permits(ip, allow=("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize("ip", PRIVATE)
def test_only_where_private_is_allowed(ip: str) -> None:
    assert permits(ip)
    assert not permits(ip, restricted=True)
    assert not permits(ip, allow_private=False)
    assert permits(ip, restricted=True, allow_private=False, allow=("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize("ip", PUBLIC)
def test_always(ip: str) -> None:
    assert permits(ip)
    assert permits(ip, restricted=True, allow_private=False)
    assert not permits(ip, deny=("0.0.0.0/0", "::/0"))


def test_deny_wins_over_allow_and_allow_is_as_narrow_as_it_is_written() -> None:
    rules: dict[str, Any] = {"allow": ("10.1.0.0/16", "192.168.7.3"), "deny": ("10.1.2.0/24",)}
    assert permits("10.1.1.1", restricted=True, **rules)
    assert not permits("10.1.2.1", restricted=True, **rules)
    assert not permits("10.1.2.1", **rules)
    assert permits("192.168.7.3", restricted=True, **rules)
    assert not permits("192.168.7.4", restricted=True, **rules)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "2130706433", "0x7f.1"])
async def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    egress = Egress(Network(), World(), Hosts())
    with pytest.raises(EgressRefused, match="may not be reached"):
        await egress.dialer(restricted=True)(host, 80)
    with pytest.raises(EgressRefused, match="may not be reached"):
        await egress.check(host, 80, restricted=True)


async def test_connects_to_the_address_it_checked() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        stream = await Egress(Network(), World(), Hosts()).dialer(restricted=False)("localhost", port)
        assert isinstance(stream, trio.SocketStream) and stream.socket.getpeername() == ("127.0.0.1", port)
        await stream.aclose()


async def test_a_restricted_caller_is_not_told_what_a_name_leads_to() -> None:
    class Inside(World):
        async def resolve(self, host: str, port: int | None) -> list[str]:
            return ["10.20.30.40"]

    egress = Egress(Network(allow_private=False), Inside(), Hosts())
    with pytest.raises(EgressRefused) as told:
        await egress.check("db.internal", 5432, restricted=False)
    assert "10.20.30.40" in str(told.value)
    with pytest.raises(EgressRefused) as told:
        await egress.check("db.internal", 5432, restricted=True)
    assert "10.20.30.40" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "may"),
    [("10.1.2.3", True), ("127.0.0.1", True), ("fd12::1", True), ("203.0.114.1", False), ("2606:4700::1", False)],
)
async def test_clear_text_goes_to_private_addresses_only(address: str, may: bool) -> None:
    class Names(World):
        async def dial(self, host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
            assert choose is not None
            raise ConnectionError(choose([address])[0])

    dial = Egress(Network(), Names(), Hosts()).dialer(restricted=False, clear_text=True)
    with pytest.raises(ConnectionError if may else NetworkError, match=address if may else "use a URL with TLS"):
        await dial("sign-in.example", 80)


@pytest.mark.parametrize(("port", "may"), [(25, True), (993, True), (22, False), (6379, False), (3000, False)])
async def test_only_mail_ports_for_mail_servers_of_a_restricted_caller(port: int, may: bool) -> None:
    class Nobody(World):
        async def dial(self, host: str, port: int, choose: Choose | None = None) -> trio.abc.Stream:
            raise ConnectionError("dialled")

    egress = Egress(Network(), Nobody(), Hosts())
    with pytest.raises(ConnectionError if may else EgressRefused):
        await egress.dialer(restricted=True, mail=True)("203.0.114.1", port)
    with pytest.raises(ConnectionError):
        await egress.dialer(restricted=True)("203.0.114.1", port)
    with pytest.raises(ConnectionError):
        await egress.dialer(restricted=False, mail=True)("203.0.114.1", port)


async def test_an_address_that_does_not_answer_keeps_nobody_from_the_next() -> None:
    """The first address is taken but its listener's queue is full, so that a connection to it hangs."""
    (full,) = await trio.open_tcp_listeners(0, host="127.0.0.2", backlog=1)
    port = full.socket.getsockname()[1]
    (good,) = await trio.open_tcp_listeners(port, host="127.0.0.1")

    class Both(World):
        async def resolve(self, host: str, port: int | None) -> list[str]:
            return ["127.0.0.3", "127.0.0.2", "127.0.0.1"]

    held: list[socket.socket] = []
    async with full, good:
        connected = True
        while connected:
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(("127.0.0.2", port))
            # Where there is room the kernel connects at once, however busy the machine is.
            connected = bool(select.select([], held[-1:], [], 0.3)[1])
        with trio.fail_after(60):
            stream = await Both().dial("mail.example", port)
        assert isinstance(stream, trio.SocketStream) and stream.socket.getpeername() == ("127.0.0.1", port)
        await stream.aclose()
        for each in held:
            each.close()


async def test_an_address_that_accepted_and_said_nothing_is_dialled_last() -> None:
    listeners = [await trio.open_tcp_listeners(0, host="127.0.0.2")]
    port = listeners[0][0].socket.getsockname()[1]
    listeners.append(await trio.open_tcp_listeners(port, host="127.0.0.3"))

    class Two(World):
        async def resolve(self, host: str, port: int | None) -> list[str]:
            return ["127.0.0.2", "127.0.0.3"]

    hosts = Hosts()
    dial = Egress(Network(), Two(), hosts).dialer(restricted=False)
    transport = await Transport.open(dial, "mail.example.com", port, secure=False, tls=TlsRules(), timeout=10)
    with pytest.raises(NetworkError) as caught:
        await transport.receive(0.05)
    await transport.close()
    hosts.note_mute(caught.value.mute)
    endpoint = SmtpEndpoint("mail.example.com", port, False, TlsRules(), None)
    with pytest.raises(DeliveryError) as failed:
        await SmtpSession.connect(endpoint, dial=dial, ehlo_name="me", timeouts=Timeouts(greeting=0.05))
    assert (caught.value.mute, failed.value.mute) == ("127.0.0.2", "127.0.0.3")
    for (listener,) in listeners:
        await listener.aclose()
