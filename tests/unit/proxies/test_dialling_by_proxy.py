"""Dialling through a proxy on real sockets: the tunnel, the rule of what may be dialled, what is said of failures."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trustme
from proxy_server import ProxyServer

from engine.config import Network
from engine.egress import Egress
from engine.errors import NetworkError
from engine.proxies import tunnel
from engine.proxies.proxy import parse
from engine.proxies.route import Route
from engine.silent_hosts import Hosts
from engine.transport import TlsRules, Transport
from engine.world import World

LOGIN = ("jo", "se:cr et")
PROTOCOLS = ["socks5", "socks4", "http"]
GREETING = b"* OK hello\r\n"


class Names(World):
    """A world with names of its own; `asked` has those that were looked up."""

    def __init__(self, **names: list[str]) -> None:
        super().__init__()
        self._names = names
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int | None) -> list[str]:
        self.asked.append(host)
        return self._names.get(host.removesuffix(".example"), [host])


async def greet(stream: trio.abc.Stream) -> None:
    """A server that speaks first and then repeats what it hears."""
    try:
        await stream.send_all(GREETING)
        while data := await stream.receive_some():
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass


@asynccontextmanager
async def listening(serve: Callable[[Any], Awaitable[None]]) -> AsyncIterator[int]:
    """A listener on loopback for as long as the block runs: its port."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def dialler(world: World, url: str, hosts: Hosts | None = None, restricted: bool = False, **rules: Any) -> Any:
    route = Route(parse(url))
    return Egress(Network(**rules), world, hosts or Hosts()).dialer(restricted=restricted, route=route)


async def read(stream: trio.abc.Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive_some(count - len(data)) or b"(end)"
    return data


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("login", [None, LOGIN])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_is_reached_through_each_kind_of_proxy(
    protocol: str, login: tuple[str, str] | None, greedy: bool
) -> None:
    """A server that speaks first may be heard in one piece with the proxy's answer, and nothing of it is lost."""
    proxy = ProxyServer(protocol, trio.open_tcp_stream, login)
    proxy.greedy = greedy
    given = "" if login is None else "jo@" if protocol == "socks4" else "jo:se%3Acr%20et@"
    world = Names(mail=["127.0.0.1"])
    async with listening(greet) as port, listening(proxy.serve) as at:
        stream = await dialler(world, f"{protocol}://{given}127.0.0.1:{at}")("mail.example", port)
        assert await read(stream, len(GREETING)) == GREETING
        await stream.send_all(b"x" * 100_000)
        assert await read(stream, 100_000) == b"x" * 100_000
        await stream.aclose()
    assert proxy.asked == [("127.0.0.1", port)], "the name was looked up here"
    assert isinstance(stream, trio.SocketStream), "its user may ask the socket"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("login", ["", "jo:wrong@", "other@"])
async def test_a_login_that_the_proxy_refuses(protocol: str, login: str) -> None:
    if protocol == "socks4" and ":" in login:
        login = "jon@"
    proxy = ProxyServer(protocol, trio.open_tcp_stream, LOGIN)
    async with listening(proxy.serve) as at:
        with pytest.raises(NetworkError, match=f"^The proxy {protocol}://127.0.0.1:{at} ") as caught:
            await dialler(World(), f"{protocol}://{login}127.0.0.1:{at}")("127.0.0.1", 25)
    assert caught.value.code == "EPROXYAUTH"
    assert "wrong" not in str(caught.value)
    assert proxy.asked == []
    assert proxy.connections == 1, "a refused login is not tried again"


async def test_a_proxy_that_is_not_there() -> None:
    async with listening(greet) as port:
        pass
    hosts = Hosts()
    with pytest.raises(NetworkError, match=rf"^The proxy socks5://127.0.0.1:{port} cannot be reached: ") as caught:
        await dialler(World(), f"socks5://127.0.0.1:{port}", hosts)("127.0.0.1", 25)
    assert caught.value.code == "EPROXY"
    assert "ECONNREFUSED" in str(caught.value)
    assert hosts._silent.keys() == {"127.0.0.1"}, "it is the proxy that is silent, not the server behind it"
    assert hosts._silent["127.0.0.1"].keys() == {port}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_target_that_the_proxy_does_not_reach(protocol: str) -> None:
    async with listening(greet) as port:
        pass
    proxy = ProxyServer(protocol, trio.open_tcp_stream)
    hosts = Hosts()
    async with listening(proxy.serve) as at:
        with pytest.raises(NetworkError, match=f" does not connect to 127.0.0.1:{port}: ") as caught:
            await dialler(World(), f"{protocol}://127.0.0.1:{at}", hosts)("127.0.0.1", port)
    assert caught.value.code == "EPROXYTARGET"
    assert hosts._silent.keys() == {f"127.0.0.1 via 127.0.0.1:{at}"}


async def test_the_next_address_is_asked_for_where_the_proxy_does_not_reach_one() -> None:
    async with listening(greet) as port:
        proxy = ProxyServer("socks5", trio.open_tcp_stream)
        world = Names(mail=["::1", "127.0.0.9", "127.0.0.1"])
        async with listening(proxy.serve) as at:
            stream = await dialler(world, f"socks5://127.0.0.1:{at}")("mail.example", port)
            assert await read(stream, len(GREETING)) == GREETING
            await stream.aclose()
    assert [host for host, _ in proxy.asked] == ["127.0.0.9", "127.0.0.1"], "IPv4 first, which every proxy has"


async def test_a_proxy_that_denies_is_asked_once() -> None:
    proxy = ProxyServer("http", trio.open_tcp_stream)
    proxy.refuse = 403
    async with listening(proxy.serve) as at:
        with pytest.raises(NetworkError) as caught:
            await dialler(Names(mail=["127.0.0.9", "127.0.0.1"]), f"http://127.0.0.1:{at}")("mail.example", 25)
    assert caught.value.code == "EPROXYDENIED"
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("names", "url", "rules", "restricted", "says"),
    [
        ({"mail": ["169.254.169.254"]}, "socks5://127.0.0.1:{}", {}, False, "mail.example leads to 169.254.169.254"),
        ({"mail": ["127.0.0.1"]}, "socks5://127.0.0.1:{}", {}, True, "mail.example leads to an address"),
        ({"mail": ["127.0.0.1"]}, "socks5://127.0.0.1:{}", {"proxy_names": True}, True, "mail.example leads to"),
        ({"mail": ["203.0.114.1"]}, "socks5://p.example:{}", {"deny": ("127.0.0.0/8",)}, False, "p.example leads to"),
        ({"mail": ["203.0.114.1"]}, "socks5://127.0.0.1:{}", {"allow_private": False}, False, "127.0.0.1 leads to"),
    ],
)
async def test_the_rule_of_what_may_be_dialled_holds_for_both_ends(
    names: dict[str, list[str]], url: str, rules: dict[str, Any], restricted: bool, says: str
) -> None:
    proxy = ProxyServer("socks5", trio.open_tcp_stream)
    world = Names(p=["127.0.0.1"], **names)
    async with listening(proxy.serve) as at:
        with pytest.raises(NetworkError, match=says) as caught:
            await dialler(world, url.format(at), restricted=restricted, **rules)("mail.example", 25)
    assert caught.value.code == "EACCES"
    assert proxy.asked == []


@pytest.mark.parametrize("proxy_names", [False, True])
async def test_no_clear_text_leaves_for_a_public_host_through_a_private_proxy(proxy_names: bool) -> None:
    proxy = ProxyServer("socks5", trio.open_tcp_stream)
    world = Names(public=["203.0.114.1"], private=["127.0.0.1"])
    async with listening(greet) as port, listening(proxy.serve) as at:
        egress = Egress(Network(proxy_names=proxy_names), world, Hosts())
        route = Route(parse(f"socks5://127.0.0.1:{at}"))
        dial = egress.dialer(restricted=False, route=route, clear_text=True)
        with pytest.raises(NetworkError, match=r"public\.example is asked without TLS") as caught:
            await dial("public.example", port)
        assert (caught.value.code, proxy.asked) == ("ETLS", [])
        stream = await dial("private.example", port)
        assert await read(stream, len(GREETING)) == GREETING
        await stream.aclose()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_names_are_left_to_the_proxy_where_the_configuration_says_so(protocol: str) -> None:
    async with listening(greet) as port:

        async def connect(host: str, _: int) -> trio.SocketStream:
            assert host == "mail.example"
            return await trio.open_tcp_stream("127.0.0.1", port)

        proxy = ProxyServer(protocol, connect)
        world = Names()
        async with listening(proxy.serve) as at:
            dial = dialler(world, f"{protocol}://127.0.0.1:{at}", proxy_names=True)
            stream = await dial("mail.example", port)
            assert await read(stream, len(GREETING)) == GREETING
            await stream.aclose()
            with pytest.raises(NetworkError, match=r"169\.254\.169\.254"):
                await dial("169.254.169.254", port)
    assert world.asked.count("mail.example") == 0
    assert proxy.asked == [("mail.example", port)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_proxy_that_says_nothing(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "HANDSHAKE_SECONDS", 0.05)
    proxy = ProxyServer(protocol, trio.open_tcp_stream)
    proxy.silent = True
    async with listening(proxy.serve) as at:
        with pytest.raises(NetworkError, match=f"^The proxy {protocol}://127.0.0.1:{at} ") as caught:
            await dialler(Names(mail=["127.0.0.9", "127.0.0.1"]), f"{protocol}://127.0.0.1:{at}")("mail.example", 25)
    assert caught.value.code == ("EPROXY" if protocol == "socks5" else "EPROXYTARGET")
    assert proxy.connections == 1, "it is not asked for the next address too"


async def test_something_else_where_the_proxy_should_be() -> None:
    for protocol in PROTOCOLS:
        async with listening(greet) as at:
            with pytest.raises(NetworkError) as caught:
                await dialler(World(), f"{protocol}://127.0.0.1:{at}")("127.0.0.1", 25)
        assert caught.value.code == "EPROXY"


async def test_tls_is_with_the_server_and_not_with_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS to an `https` proxy is one layer, TLS to the server within it another, and both names are checked."""
    authority = trustme.CA()
    contexts = {}
    for name in ("mail.example", "127.0.0.1"):
        contexts[name] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(contexts[name])
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(tunnel, "_context", lambda: trusting)
    ca = authority.cert_pem.bytes().decode()
    proxy = ProxyServer("http", trio.open_tcp_stream, LOGIN)

    async def serve(stream: trio.SocketStream) -> None:
        await greet(trio.SSLStream(stream, contexts["mail.example"], server_side=True, https_compatible=True))

    async def serve_proxy(stream: trio.SocketStream) -> None:
        await proxy.serve(trio.SSLStream(stream, contexts["127.0.0.1"], server_side=True, https_compatible=True))

    world = Names(mail=["127.0.0.1"], other=["127.0.0.1"])
    async with listening(serve) as port, listening(serve_proxy) as at:
        dial = dialler(world, f"https://jo:se%3Acr%20et@127.0.0.1:{at}")
        transport = await Transport.open(dial, "mail.example", port, secure=True, tls=TlsRules(ca=ca), timeout=5)
        assert await transport.receive(5) == GREETING
        await transport.send(b"hello", 5)
        assert await transport.receive(5) == b"hello"
        await transport.close()
        with pytest.raises(NetworkError) as caught:
            await Transport.open(dial, "other.example", port, secure=True, tls=TlsRules(ca=ca), timeout=5)
        assert caught.value.code == "ERR_TLS_CERT_ALTNAME_INVALID"
        monkeypatch.setattr(tunnel, "_context", ssl.create_default_context)
        with pytest.raises(NetworkError, match="cannot be reached by TLS: ") as caught:
            await dial("mail.example", port)
        assert caught.value.code == "EPROXY"


async def test_who_waits_behind_a_dead_proxy_is_woken_when_it_answers_and_nobody_else() -> None:
    hosts, woken = Hosts(), []
    proxy = ProxyServer("socks5", trio.open_tcp_stream)
    async with listening(greet) as port:
        async with listening(proxy.serve) as at:
            pass
        world = Names(p=["127.0.0.1"])
        by_proxy, direct = dialler(world, f"socks5://p.example:{at}", hosts), Egress(Network(), world, hosts)
        with pytest.raises(NetworkError):
            await by_proxy("127.0.0.1", port)
        via = ("p.example", at)
        with (
            hosts.listening("127.0.0.1", port, lambda: woken.append("behind it"), via),
            hosts.listening("elsewhere.example", 993, lambda: woken.append("elsewhere behind it"), via),
            hosts.listening("127.0.0.1", port, lambda: woken.append("direct")),
        ):
            await (await direct.dialer(restricted=False)("127.0.0.1", port)).aclose()
            assert woken == [], "that the server answers directly says nothing of the way through the proxy"
            (listener,) = await trio.open_tcp_listeners(at, host="127.0.0.1")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
                await (await by_proxy("127.0.0.1", port)).aclose()
                nursery.cancel_scope.cancel()
            assert sorted(woken) == ["behind it", "elsewhere behind it"]
    assert hosts._silent == {}


async def test_cancelled_nothing_stays_open() -> None:
    proxy = ProxyServer("socks5", trio.open_tcp_stream)
    proxy.silent = True
    ended = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(3)
        assert await stream.receive_some(1) == b""
        ended.set()

    async with listening(serve) as at:
        with trio.move_on_after(0.05):
            await dialler(World(), f"socks5://127.0.0.1:{at}")("127.0.0.1", 25)
        with trio.fail_after(60):
            await ended.wait()


async def test_a_way_that_cannot_be_gone_is_replaced_by_no_other() -> None:
    async with listening(greet) as port:
        dial = Egress(Network(), World(), Hosts()).dialer(restricted=False, route=Route(fault="It cannot be read"))
        with pytest.raises(NetworkError, match="It cannot be read"):
            await dial("127.0.0.1", port)
