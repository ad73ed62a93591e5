"""Credentials from the operator's own server, over real HTTP: what is asked, what is believed, and for how long."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import trio
import trio.lowlevel
import trio.testing
from http_peer import Asked, Said, dial, served
from seeded_world import SeededWorld
from trio.testing import MockClock

from engine.oauth.auth_server import AuthServer
from engine.oauth.auth_server_logins import AuthServerLogins
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.http_client import Wire

GOOD = {"user": "ann@x.example", "accessToken": "t0ken-geheim"}
GONE, PASSING = Trouble.GRANT_GONE, Trouble.PASSING


class Operator:
    """A server whose next answers are `says`, the last one for good."""

    def __init__(self, *says: Said) -> None:
        self.says = list(says)
        self.asked: list[Asked] = []
        self.slow: trio.Event | None = None

    async def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if self.slow is not None:
            await self.slow.wait()
        return self.says.pop(0) if len(self.says) > 1 else self.says[0]


@asynccontextmanager
async def logins(operator: Operator, path: str = "/creds", login: str = "") -> AsyncIterator[AuthServerLogins]:
    """The IMAP logins of the account `acme`."""
    async with served(operator.answer) as url:
        setting = url.replace("://", f"://{login}") + path
        yield AuthServerLogins(AuthServer(Wire(dial, dial), lambda: setting, SeededWorld(1)), "a/b&c", "imap")


async def refused(work: Callable[[], Awaitable[object]]) -> TokenError:
    with pytest.raises(TokenError) as caught:
        await work()
    return caught.value


async def test_what_is_asked_for() -> None:
    operator = Operator(Said(body=GOOD))
    async with logins(operator, "/creds?key=geheim&proto=x", "jo:p%40ss@") as found:
        given = await found.token()
    assert (given.user, given.access_token, given.password) == ("ann@x.example", "t0ken-geheim", None)
    (asked,) = operator.asked
    parts = urlsplit(asked.target)
    assert (asked.method, parts.path) == ("GET", "/creds")
    assert parse_qs(parts.query) == {"key": ["geheim"], "account": ["a/b&c"], "proto": ["imap"]}
    assert asked.headers["authorization"] == f"Basic {base64.b64encode(b'jo:p@ss').decode()}"
    assert "geheim" not in repr(given)


@pytest.mark.parametrize(
    ("body", "user", "password", "token"),
    [
        ({"user": "a", "pass": "p"}, "a", "p", None),
        ({"user": "a", "pass": "", "accessToken": "t"}, "a", None, "t"),
        ({"user": "a", "pass": "p", "accessToken": "t"}, "a", None, "t"),
        ({"user": "a", "password": "p", "more": [1]}, "a", "p", None),
        ({"user": "ü", "access_token": "t", "pass": None}, "ü", None, "t"),
    ],
)
async def test_what_is_believed(body: object, user: str, password: str | None, token: str | None) -> None:
    async with logins(Operator(Said(body=body))) as found:
        given = await found.token()
    assert (given.user, given.password, given.access_token) == (user, password, token)


@pytest.mark.parametrize(
    ("said", "trouble", "text", "hint"),
    [
        (Said(body={}), PASSING, "names no user", "Have it answer"),
        (Said(body={"user": "a"}), PASSING, "holds neither", "Have it answer"),
        (Said(body={"user": "a", "pass": "geheim\r\nX"}), PASSING, "holds a pass", "Have it answer"),
        (Said(body={"user": "a" * 257, "pass": "x"}), PASSING, "holds a user", "Have it answer"),
        (Said(body={"user": "a\x85b", "pass": "x"}), PASSING, "holds a user", "Have it answer"),
        (Said(body={"user": 7, "pass": "x"}), PASSING, "holds a user", "Have it answer"),
        (Said(body=[GOOD]), PASSING, "no JSON object", "Have it answer"),
        (Said(body=b"<html>geheim"), PASSING, "is no JSON", "Have it answer"),
        (Said(body=b"[" * 100_000), PASSING, "is no JSON", "Have it answer"),
        (Said(body=b" " * 300_000), PASSING, "more than 262144 bytes", "no stored password"),
        (Said(404, "geheim"), GONE, "no credentials for this account: it answered 404", "Have it answer 200"),
        (Said(403, "x"), GONE, "403", "Have it answer 200"),
        (Said(401, "x"), PASSING, "401", "user and password into authServer"),
        (Said(302, "x", {"location": "http://10.0.0.1/"}), PASSING, "302", "redirects"),
        (Said(500, "x"), PASSING, "500", "no stored password"),
    ],
)
async def test_what_is_not_believed_is_an_error_in_words(said: Said, trouble: Trouble, text: str, hint: str) -> None:
    operator = Operator(said)
    async with logins(operator, "/creds?key=geheim", "jo:geheim@") as found:
        error = await refused(found.token)
        assert not found.ready
    assert error.trouble is trouble
    assert text in str(error) and hint in (error.hint or "")
    assert len(operator.asked) == 1
    assert "geheim" not in str(error.shown())
    assert error.request["url"].endswith("/creds?key=******&account=a%2Fb%26c&proto=imap")


async def test_without_the_setting_nothing_is_asked() -> None:
    found = AuthServerLogins(AuthServer(Wire(dial, dial), lambda: None, SeededWorld(1)), "acme", "smtp")
    error = await refused(found.token)
    assert "authServer is not set" in str(error) and "POST /v1/settings" in (error.hint or "")


@pytest.mark.parametrize(
    ("body", "headers", "life"),
    [
        ({}, {}, 60),
        ({"expiresIn": 3600}, {}, 3600),
        ({"expires_in": "3600"}, {}, 3600),
        ({"expires": "2027-01-15T09:00:00Z"}, {}, 3600),
        ({"expires": "2027-01-15T09:00:00"}, {}, 3600),
        ({"expires": 1_800_003_600}, {}, 3600),
        ({"expires": 1_800_003_600_000}, {}, 3600),
        ({"expires": "soon"}, {}, 60),
        ({"expiresIn": True}, {}, 60),
        ({"expiresIn": 1e300}, {}, 86_400),
        ({"expiresIn": msgspec.Raw(b"1e400")}, {}, 60),
        ({"expires": msgspec.Raw(b"1" + b"0" * 400)}, {}, 60),
        ({}, {"cache-control": "private, max-age=600"}, 600),
        ({"expiresIn": 100}, {"cache-control": "max-age=600"}, 100),
        ({}, {"cache-control": "no-store"}, 0),
        ({"expiresIn": -5}, {}, 0),
    ],
)
async def test_how_long_it_is_kept(
    body: dict[str, object], headers: dict[str, str], life: float, mock_clock: MockClock
) -> None:
    operator = Operator(Said(body={**GOOD, **body}, headers=headers))
    async with logins(operator) as found:
        await found.token()
        margin = min(5.0, life / 8)
        if life:
            mock_clock.jump(life - margin - 0.1)
            await found.token()
            assert found.asked == 1
            mock_clock.jump(0.2)
        await found.token()
        assert found.asked == 2


async def test_one_request_serves_all_who_wait() -> None:
    operator = Operator(Said(body=GOOD))
    operator.slow = trio.Event()
    async with logins(operator) as found, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(found.token)
        while not operator.asked:
            await trio.lowlevel.checkpoint()
        operator.slow.set()
    assert len(operator.asked) == 1


async def test_a_refused_login_is_worth_one_more_with_something_else() -> None:
    operator = Operator(*(Said(body={**GOOD, "accessToken": each}) for each in ("old", "new", "newer", "newest")))
    async with logins(operator) as found:
        old = await found.token()
        new = await found.after_refusal("imap", old.secret)
        assert new is not None and new.access_token == "new"
        assert await found.after_refusal("imap", new.secret) is None, "the second refusal counts"
        newer = await found.token()
        assert newer.access_token == "newer", "what was refused is not tried again"
        assert await found.after_refusal("imap", newer.secret) is None, "no two logins at each attempt"
        assert found.asked == 3
        await found.accepted("imap", "")
        newest = await found.token()
        assert await found.after_refusal("imap", newest.secret) is None, "the same again is no other login"


async def test_a_token_that_another_login_has_brought_is_taken_without_asking() -> None:
    operator = Operator(*(Said(body={**GOOD, "accessToken": each}) for each in ("old", "new", "newer")))
    async with logins(operator) as found:
        old = await found.token()
        new = await found.after_refusal("imap", old.secret)
        await found.accepted("imap", "")
        assert await found.after_refusal("imap", old.secret) == new
        assert found.asked == 2


async def test_while_it_is_down_it_is_asked_ever_later_and_nothing_else_is_used(mock_clock: MockClock) -> None:
    operator = Operator(Said(body={"user": "a", "pass": "p", "expiresIn": 100}), Said(503, "x"))
    async with logins(operator) as found:
        await found.token()
        mock_clock.jump(100)
        asked, hour = found.asked, trio.current_time() + 3600
        while trio.current_time() < hour:
            for _ in range(3):
                error = await refused(found.token)
                assert str(error) == "The auth server answered 503"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(found.recovers, error)
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(30)
                nursery.cancel_scope.cancel()
        assert 8 <= found.asked - asked <= 11
        operator.says = [Said(body=GOOD)]
        mock_clock.jump(600)
        assert (await found.token()).access_token == "t0ken-geheim"


async def test_retry_after_is_obeyed(mock_clock: MockClock) -> None:
    async with logins(Operator(Said(429, "x", {"retry-after": "300"}), Said(body=GOOD))) as found:
        await refused(found.token)
        mock_clock.jump(299)
        await refused(found.token)
        mock_clock.jump(31)
        await found.token()


async def test_a_changed_setting_ends_every_wait_and_voids_what_was_given() -> None:
    broken, operator = Operator(Said(500, "x")), Operator(Said(body=GOOD), Said(body={**GOOD, "accessToken": "second"}))
    async with served(broken.answer) as old, served(operator.answer) as new:
        setting = [old]
        server = AuthServer(Wire(dial, dial), lambda: setting[0], SeededWorld(1))
        found = AuthServerLogins(server, "acme", "imap")
        error = await refused(found.token)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(found.recovers, error)
            await trio.testing.wait_all_tasks_blocked()
            setting[0] = new
            server.changed()
        first = await found.token()
        server.changed()
        assert not found.ready
        assert (await found.token()).secret == "second" != first.secret


async def test_a_server_that_cannot_be_reached_is_named(tcp_port_nobody_listens_at: int) -> None:
    url = f"http://127.0.0.1:{tcp_port_nobody_listens_at}/"
    world = SeededWorld(1)

    async def dial(host: str, port: int) -> trio.abc.Stream:
        return await world.dial(host, port, list)

    wire = Wire(dial, dial)
    error = await refused(AuthServerLogins(AuthServer(wire, lambda: url, world), "acme", "imap").token)
    assert (error.trouble, error.status) == (PASSING, None)
    assert "it uses no stored password instead" in (error.hint or "")


async def test_a_silent_server_is_given_up_after_twenty_seconds(autojump_clock: MockClock) -> None:
    async def silence(host: str, port: int) -> trio.abc.Stream:
        return trio.testing.memory_stream_pair()[0]

    found = AuthServerLogins(
        AuthServer(Wire(silence, silence), lambda: "http://x.example/", SeededWorld(1)), "acme", "imap"
    )
    began = trio.current_time()
    assert "did not answer within 20 s" in str(await refused(found.token))
    assert trio.current_time() - began == pytest.approx(20)


@pytest.fixture
async def tcp_port_nobody_listens_at() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = int(listener.socket.getsockname()[1])
    await listener.aclose()
    return port
