"""Reads an EmailEngine's Redis: which one it is, and everything that could be imported, as stored.

EmailEngine's keys may begin with a prefix (`EENGINE_REDIS_PREFIX` and a colon). If none is given, the prefix is found
by the set of all accounts. Nothing is written, and every command is one that an account limited to reading may run.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import trio
from coredis import Redis
from coredis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError, WrongTypeError

from engine.errors import EngineError, Fault, leaves

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds for a connection, and for each answer."""
DEFAULT_PORT = 6379
SCAN_COUNT = 1000
_ACCOUNTS = "ia:accounts"
_THEIRS = re.compile(r"bull:|EmailEngine", re.IGNORECASE)
_OURS = frozenset({b"serviceSecret", b"idcount", b"license", b"webhooks"})
"""Settings by which an EmailEngine without accounts is known."""


class SourceFailed(EngineError):
    """EmailEngine's data cannot be read; the text says why, without the password in the URL."""

    fault = Fault.CALLER


class Entry(msgspec.Struct, frozen=True):
    """A record in two parts, as templates and webhook routes are stored. `owner`: its account, "" for all."""

    id: str
    meta: bytes | None
    content: bytes | None
    owner: str = ""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read, by id; what EmailEngine encrypted is still encrypted.

    `queued` and `events`: how many messages and events wait there. `runs`: EmailEngine is connected.
    """

    prefix: str
    settings: dict[str, bytes]
    accounts: dict[str, dict[str, bytes]]
    apps: dict[str, bytes]
    gateways: dict[str, dict[str, bytes]]
    templates: list[Entry]
    routes: list[Entry]
    tokens: dict[str, bytes]
    blocklists: dict[str, dict[str, bytes]]
    queued: int
    events: int
    runs: bool

    def values(self) -> Iterable[bytes]:
        """Every stored value that may hold something encrypted."""
        for several in (self.settings, self.apps, *self.accounts.values(), *self.gateways.values()):
            yield from several.values()
        for entry in self.routes:
            yield entry.meta or b""


async def read(url: str, prefix: str | None) -> Stored:
    """Read the EmailEngine at this Redis; `prefix` None: the only one there. Raises `SourceFailed`."""
    place = shown(url)
    try:
        with trio.fail_after(PATIENCE) as opening:
            async with _opened(url) as redis:
                await redis.ping()
                opening.deadline = float("inf")
                return await _Reader(redis, place).read(prefix)
    except trio.TooSlowError as error:
        raise SourceFailed(f"Redis at {place} does not answer within {PATIENCE:g} s") from error
    except (RedisError, OSError) as error:
        raise SourceFailed(_why(place, error)) from error
    except BaseExceptionGroup as group:
        causes = leaves(group)
        known = [each for each in causes if isinstance(each, SourceFailed)]
        if known:
            raise known[0] from group
        if all(isinstance(each, RedisError | OSError | trio.Cancelled) for each in causes):
            raise SourceFailed(_why(place, causes[0])) from group
        raise


def shown(url: str) -> str:
    """The URL without its login. Raises `SourceFailed` if it is none of Redis."""
    wrong = SourceFailed("--redis must look like redis://127.0.0.1:6379/8, or rediss:// for TLS")
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise wrong
    return f"{parts.hostname}:{port}/{parts.path.strip('/') or 0}"


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Redis[bytes]]:
    parts = urlsplit(url)
    # The client's own parser of URLs keeps %-escapes in passwords, and accepts any certificate.
    redis = Redis(
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORT,
        db=int(parts.path.strip("/") or 0),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        ssl_context=ssl.create_default_context() if parts.scheme == "rediss" else None,
        decode_responses=False,
        verify_version=False,
        connect_timeout=PATIENCE,
        stream_timeout=PATIENCE,
    )
    async with redis:
        yield redis


def _why(place: str, error: BaseException) -> str:
    if isinstance(error, AuthenticationError | AuthorizationError):
        return f"Redis at {place} refuses the login: name user and password as in redis://user:password@host:6379/8"
    if isinstance(error, ResponseError):
        return f"Redis at {place} refuses a command: {error}"
    return f"Redis at {place} cannot be reached: {error}"


class _Reader:
    def __init__(self, redis: Redis[bytes], place: str) -> None:
        self._redis = redis
        self._place = place
        self._prefix = ""

    async def read(self, prefix: str | None) -> Stored:
        self._prefix = await self._found(prefix)
        apps, routes = await self._hash("oapp:c"), await self._hash("wh:c")
        lists = await self._hash("lists:unsub:lists")
        accounts = await self._members(_ACCOUNTS)
        return Stored(
            prefix=self._prefix,
            settings=await self._hash("settings"),
            accounts={each: await self._hash(f"iad:{each}") for each in accounts},
            apps={each: apps.get(f"{each}:data", b"") for each in await self._members("oapp:i")},
            gateways={each: await self._hash(f"gateway:{each}") for each in await self._members("gateways")},
            templates=[entry for owner in ("", *accounts) for entry in await self._templates(owner)],
            routes=_entries(await self._members("wh:i"), routes),
            tokens=await self._hash("tokens"),
            blocklists={each: await self._hash(f"lists:unsub:entries:{each}") for each in sorted(lists)},
            queued=await self._waiting("submit"),
            events=await self._waiting("notify"),
            runs=await self._runs(),
        )

    async def _found(self, given: str | None) -> str:
        if given is not None:
            prefix = f"{given.removesuffix(':')}:" if given else ""
            if not await self._is_one(prefix):
                where = f"with the prefix {given!r}" if given else "without a prefix"
                raise SourceFailed(f"Redis at {self._place} has no data of an EmailEngine {where}{await self._near()}")
            return prefix
        found = [
            _text(key).removesuffix(_ACCOUNTS)
            async for key in self._redis.scan_iter(match=f"*{_ACCOUNTS}", count=SCAN_COUNT)
        ]
        prefixes = sorted({each for each in found if not each or each.endswith(":")})
        if not prefixes and await self._is_one(""):
            return ""
        if not prefixes:
            raise SourceFailed(
                f"Redis at {self._place} has no data of an EmailEngine{await self._near()}. Its database is usually 8, "
                "as in redis://127.0.0.1:6379/8"
            )
        if len(prefixes) > 1:
            names = ", ".join(repr(each.removesuffix(":")) for each in prefixes)
            raise SourceFailed(
                f"Redis at {self._place} has the data of several EmailEngines: name one with --prefix, which are: "
                f"{names}"
            )
        return prefixes[0]

    async def _is_one(self, prefix: str) -> bool:
        self._prefix = prefix
        return bool(await self._members(_ACCOUNTS)) or not _OURS.isdisjoint(
            {each.encode() for each in await self._hash("settings")}
        )

    async def _near(self) -> str:
        """The databases that contain keys."""
        try:
            keyspace = await self._redis.info("keyspace")
        except RedisError:
            return ""
        names = sorted(each for each in map(str, keyspace) if re.fullmatch(r"db[0-9]+", each))
        return f"; databases with data there: {', '.join(each[2:] for each in names) or 'none'}"

    async def _templates(self, owner: str) -> list[Entry]:
        ids = await self._members(f"tpl:{owner}:i")
        return _entries(ids, await self._hash(f"tpl:{owner}:c"), owner) if ids else []

    async def _waiting(self, queue: str) -> int:
        """How many jobs of a queue have not ended."""
        count = 0
        for state, size in (("wait", self._redis.llen), ("active", self._redis.llen), ("paused", self._redis.llen)):
            count += await _or(0, size(self._key(f"bull:{queue}:{state}")))
        return count + await _or(0, self._redis.zcard(self._key(f"bull:{queue}:delayed")))

    async def _runs(self) -> bool:
        """Whether a connection to this database has a name like EmailEngine's; False if that may not be queried."""
        try:
            mine = await self._redis.client_id()
            clients = await self._redis.client_list()
        except RedisError:
            return False
        database = [each["db"] for each in clients if each["id"] == mine]
        return any(each["db"] in database and _THEIRS.match(str(each["name"])) is not None for each in clients)

    async def _members(self, name: str) -> list[str]:
        return sorted(map(_text, await _or(set(), self._redis.smembers(self._key(name)))))

    async def _hash(self, name: str) -> dict[str, bytes]:
        found = await _or({}, self._redis.hgetall(self._key(name)))
        return {_text(each): bytes(value) for each, value in found.items()}

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"


async def _or(default: T, answer: Awaitable[T]) -> T:
    """The answer; `default` if the key holds another type, which loses only the content of that key."""
    try:
        return await answer
    except WrongTypeError:
        return default


def _entries(ids: list[str], stored: dict[str, bytes], owner: str = "") -> list[Entry]:
    return [Entry(each, stored.get(f"{each}:meta"), stored.get(f"{each}:content"), owner) for each in ids]


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
