"""Requests to providers: against the sandbox's provider, and what a hostile or broken server costs."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from keeping import APP, provider
from seeded_world import SeededWorld

from engine.errors import NetworkError, NetworkKind, ProtocolError
from engine.oauth import authorization
from engine.oauth.apps import App
from engine.oauth.assertions import assertion, service_key
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.http_client import AT_ONCE, AnswerLost, Wire
from engine.oauth.providers import Endpoints
from engine.oauth.token_requests import TokenRequests
from engine.sandbox.oauth import Fault
from engine.sandbox.provider import Sandbox

REDIRECT = "https://mail.example.com/oauth"
OWN = App(id="x", provider="oidc", name="x", client_id="c", endpoints=Endpoints(token="https://login.example/t"))


def requests_of(sandbox: Sandbox, world: SeededWorld) -> TokenRequests:
    return TokenRequests(Wire(sandbox.dial, sandbox.dial), Wire(sandbox.dial, sandbox.dial), world)


Query = dict[str, str]


async def consented(world: SeededWorld, sandbox: Sandbox, app: App, **form: str) -> tuple[Query, authorization.Pending]:
    """Walk through the consent page as a browser does; the callback's query."""
    requests, wire, user = requests_of(sandbox, world), Wire(sandbox.dial, sandbox.dial), "ann@x.example"
    endpoints = await requests.endpoints(app)
    url, pending = authorization.begin(app, endpoints, REDIRECT, world.token_bytes, world.now(), login_hint=user)
    page = (await requests.page(app, url)).body.decode()
    assert "engine asks to" in page
    query = query_of(url)
    ticked = {f"scope:{each}": "on" for each in query["scope"].split()}
    filled = {**query, **ticked, "user": user, "decision": "allow", **form}
    answer = await wire.post(endpoints.authorize or "", filled)
    assert answer.status == 303
    return query_of(answer.headers["location"]), pending


def query_of(url: str) -> Query:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def over_tcp(host: str, port: int) -> trio.abc.Stream:
    return await trio.open_tcp_stream(host, port)


@asynccontextmanager
async def served(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A server on loopback; its URL."""
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


async def test_a_whole_sign_in(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    async with provider(world) as sandbox:
        requests = requests_of(sandbox, world)
        back, pending = await consented(world, sandbox, APP)
        code = authorization.code_of(pending, back, world.now())
        tokens = await requests.exchange(APP, code, pending.verifier, REDIRECT)
        authorization.check_granted(APP, tokens)
        found = authorization.identity(APP, tokens, pending, world.now())
        assert found is not None
        assert found.user == "ann@x.example"
        assert (await requests.userinfo(APP, tokens.access_token))["email"] == "ann@x.example"
        assert sandbox.oauth.opens("ann@x.example", tokens.access_token)
        assert not sandbox.oauth.opens("bob@x.example", tokens.access_token)
        with pytest.raises(TokenError) as caught:
            await requests.exchange(APP, code, pending.verifier, REDIRECT)
        assert caught.value.trouble is Trouble.GRANT_GONE
        assert await requests.revoke(APP, tokens.refresh_token or "")
        assert not sandbox.oauth.opens("ann@x.example", tokens.access_token)


async def test_a_code_without_its_verifier_is_worth_nothing(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    async with provider(world) as sandbox:
        back, pending = await consented(world, sandbox, APP)
        with pytest.raises(TokenError, match="verifier"):
            await requests_of(sandbox, world).exchange(APP, back["code"], "x" * 43, REDIRECT)
        assert pending.verifier


async def test_a_no_and_an_unticked_box(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    async with provider(world) as sandbox:
        back, pending = await consented(world, sandbox, APP, decision="deny")
        with pytest.raises(authorization.CallbackRefused) as caught:
            authorization.code_of(pending, back, world.now())
        assert caught.value.error == "access_denied"
        code = sandbox.oauth.consent("ann@x.example", "engine", REDIRECT, ("openid", "email"))
        tokens = await requests_of(sandbox, world).exchange(APP, code, "", REDIRECT)
        with pytest.raises(authorization.CallbackRefused):
            authorization.check_granted(APP, tokens)


@pytest.mark.parametrize("given", [{"clientId": "<b>"}, {"login_hint": '"><script>'}])
async def test_the_consent_page_escapes_what_it_is_given(
    autojump_clock: trio.testing.MockClock, given: dict[str, str]
) -> None:
    world = SeededWorld(1)
    async with provider(world) as sandbox:
        query = {"response_type": "code", "client_id": "<script>", "redirect_uri": REDIRECT, "scope": "<i>", **given}
        answer = await Wire(sandbox.dial, sandbox.dial).get(
            f"http://sign-in.sandbox.example/authorize?{urlencode(query)}"
        )
        assert answer.status == 200
        assert b"<script" not in answer.body
        assert b"<i>" not in answer.body


async def test_discovery_is_read_once_and_a_stale_one_is_better_than_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = SeededWorld(1)
    app = msgspec.structs.replace(APP, provider="oidc", endpoints=Endpoints(issuer="http://sign-in.sandbox.example"))
    async with provider(world) as sandbox:
        requests = requests_of(sandbox, world)
        found = await requests.endpoints(app)
        assert found.token == "http://sign-in.sandbox.example/token"
        sandbox.faults.dead.add("sign-in.sandbox.example")
        await trio.sleep(2 * 86_400)
        assert await requests.endpoints(app) == found
        other = msgspec.structs.replace(app, endpoints=Endpoints(issuer="http://other.sandbox.example"))
        with pytest.raises(TokenError) as caught:
            await requests.endpoints(other)
        assert caught.value.trouble is Trouble.PASSING


async def test_a_stale_document_costs_a_provider_that_is_down_one_request_in_ten_minutes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world, dialled = SeededWorld(1), 0
    app = msgspec.structs.replace(APP, provider="oidc", endpoints=Endpoints(issuer="http://sign-in.sandbox.example"))
    async with provider(world) as sandbox:

        async def dial(host: str, port: int) -> trio.abc.Stream:
            nonlocal dialled
            dialled += 1
            return await sandbox.dial(host, port)

        requests = TokenRequests(Wire(dial, dial), None, world)
        await requests.endpoints(app)
        await trio.sleep(2 * 86_400)
        sandbox.faults.dead.add("sign-in.sandbox.example")
        dialled = 0
        for _ in range(10):
            with pytest.raises(TokenError) as caught:
                await requests.refresh(app, "x")
            assert caught.value.trouble is Trouble.PASSING
            await trio.sleep(60)
        assert dialled == 10 + 1
        sandbox.faults.dead.clear()
        await trio.sleep(600)
        assert await requests.endpoints(app)
        assert dialled == 12
        await trio.sleep(3600)
        assert await requests.endpoints(app)
        assert dialled == 12, "it has been read again"


async def test_a_failed_request_is_shown_without_secrets(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    async with provider(world) as sandbox:
        echo = {"error": "invalid_grant", "error_description": "token refresh-geheim", "client": "s3cret-geheim"}
        sandbox.oauth.outage = Fault(status=400, body=msgspec.json.encode(echo))
        app = msgspec.structs.replace(APP, client_secret="s3cret-geheim")
        with pytest.raises(TokenError) as caught:
            await requests_of(sandbox, world).refresh(app, "refresh-geheim")
        shown = caught.value.shown()
        assert "geheim" not in str(shown)
        assert shown["tokenRequest"]["clientId"] == "engine"
        assert shown["tokenRequest"]["clientSecret"] == "******"
        assert shown["tokenRequest"]["status"] == 400


def test_service_keys() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    for text in (pem, pem.replace("\n", "\\n"), msgspec.json.encode({"private_key": pem}).decode()):
        assert service_key(text).private_numbers() == key.private_numbers()
    signed = assertion(key, "svc@x.example", "ann@x.example", ("a", "b"), "https://t.example", 1000.5)
    head, claims, signature = signed.split(".")
    assert msgspec.json.decode(base64.urlsafe_b64decode(claims + "==")) == {
        "iss": "svc@x.example",
        "sub": "ann@x.example",
        "scope": "a b",
        "aud": "https://t.example",
        "iat": 1000,
        "exp": 1300,
    }
    octets = base64.urlsafe_b64decode(signature + "==")
    key.public_key().verify(octets, f"{head}.{claims}".encode(), PKCS1v15(), SHA256())


async def test_a_service_account_speaks_for_a_mailbox(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    app = App(
        id="g",
        provider="gmailService",
        name="g",
        service_client="1",
        service_client_email="svc@x.example",
        service_key=pem,
        endpoints=Endpoints(token="http://sign-in.sandbox.example/token"),
    )
    async with provider(world) as sandbox:
        tokens = await requests_of(sandbox, world).for_itself(app, "ann@x.example")
        assert sandbox.oauth.opens("ann@x.example", tokens.access_token)
        assert not sandbox.oauth.opens("bob@x.example", tokens.access_token)
        with pytest.raises(TokenError) as caught:
            await requests_of(sandbox, world).for_itself(msgspec.structs.replace(app, service_key="x"), "ann@x.example")
        assert caught.value.trouble is Trouble.APP_BROKEN


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", AnswerLost),
        (b"SSH-2.0-x\r\n\r\n", AnswerLost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", NetworkError),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 400_000, AnswerLost),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, NetworkError),
        (b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", NetworkError),
    ],
)
async def test_a_broken_server_costs_its_own_request(answer: bytes, error: type[Exception] | None) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        try:
            await stream.receive_some(65536)
            await stream.send_all(answer)
        except trio.BrokenResourceError:
            pass

    async with served(serve) as url:
        if error is None:
            assert (await Wire(over_tcp, over_tcp).post(url, {"a": "b"})).status == 302
        else:
            with pytest.raises(error):
                await Wire(over_tcp, over_tcp).post(url, {"a": "b"})


async def test_a_silent_server_is_given_up_after_twenty_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        return trio.testing.memory_stream_pair()[0]

    began = trio.current_time()
    with pytest.raises(NetworkError) as caught:
        await Wire(dial, dial).get("http://x.example/")
    assert caught.value.kind is NetworkKind.TIMEOUT
    assert trio.current_time() - began == 20


async def test_a_slow_server_holds_up_no_other(autojump_clock: trio.testing.MockClock) -> None:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        if port != 8001 or host == "other.example":
            raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "refused")
        await trio.sleep(6)
        raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "refused")

    wire = Wire(dial, dial)

    async def ask(url: str) -> None:
        with pytest.raises(NetworkError, match="refused"):
            await wire.get(url)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(24):
            nursery.start_soon(ask, "https://one.example:8001/token")
        await trio.sleep(1)
        await ask("https://one.example/token")
        await ask("https://other.example:8001/token")
        assert trio.current_time() - began == 1
    assert trio.current_time() - began == 18


async def test_at_most_eight_requests_to_one_host_at_once(autojump_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    async with provider(world) as sandbox:
        sandbox.oauth.outage = Fault(status=503, after=10.0)
        requests = requests_of(sandbox, world)

        async def ask() -> None:
            with pytest.raises(TokenError):
                await requests.refresh(APP, "x")

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(24):
                nursery.start_soon(ask)
        assert trio.current_time() - began == 30


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_clear_text_has_a_way_of_its_own(scheme: str) -> None:
    async def refuse(host: str, port: int) -> trio.abc.Stream:
        raise NetworkError(NetworkKind.TLS, "ETLS", "use https")

    async def reach(host: str, port: int) -> trio.abc.Stream:
        raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "reached")

    with pytest.raises(NetworkError, match="use https" if scheme == "http" else "reached"):
        await Wire(reach, refuse).post(f"{scheme}://x.example/", {"a": "b"})


@pytest.mark.parametrize("url", ["ftp://x.example/", "x", "http://", "http://[::1", "javascript:alert(1)"])
async def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ProtocolError):
        await Wire(over_tcp, over_tcp).get(url)


def test_nothing_here_shows_a_secret() -> None:
    assert "s3cret" not in repr(APP)


@pytest.mark.parametrize(("queued", "most"), [(True, AT_ONCE), (False, 2 * AT_ONCE)])
async def test_requests_of_many_accounts_take_turns_at_one_server(
    autojump_clock: trio.testing.MockClock, queued: bool, most: int
) -> None:
    """Each account has a way of its own; only those behind a proxy of their own have a queue of their own."""
    under_way = peak = 0

    async def dial(host: str, port: int) -> trio.abc.Stream:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await trio.sleep(1)
        under_way -= 1
        raise NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", "connect")

    world = SeededWorld(1)
    ways = [TokenRequests(Wire(dial, dial), None, world)]
    ways.append(ways[0].through(Wire(dial, dial), queued=queued))

    async def ask(way: TokenRequests) -> None:
        with pytest.raises(TokenError):
            await way.refresh(OWN, "r")

    async with trio.open_nursery() as nursery:
        for way in ways:
            for _ in range(2 * AT_ONCE):
                nursery.start_soon(ask, way)
    assert peak == most
