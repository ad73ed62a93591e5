"""Links to the form, made by us or by others: valid ones are read back, altered and expired ones are refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import trio
from seeded_world import SeededWorld

from engine.accounts.form_links import CLOCK_SKEW, LIFETIME, FormLinks, LinkRefused, LinkTooLong, NoServiceUrl
from engine.schema.authentication import AuthenticationForm
from engine.settings import SettingsBook
from engine.signed_links import LinkKeys
from engine.store import database
from engine.store.vault import Vault
from engine.store.writer import Store

CALLER = "https://app.example.com/connected"
KEY = b"k" * 32


@asynccontextmanager
async def links(folder: Path, key: bytes = KEY, **settings: Any) -> AsyncIterator[tuple[FormLinks, SettingsBook]]:
    world = SeededWorld(1)
    database.prepare_folder(folder)
    store = Store(folder, world, 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        vault = Vault(key, world)
        book = SettingsBook(store, vault)
        await book.update(**{"service_url": "https://mail.example.com/engine/", **settings})
        yield FormLinks(book, LinkKeys(book, store, vault, world), vault, world), book
        nursery.cancel_scope.cancel()


def parts(url: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(url).query)
    return query["data"][0], query["sig"][0]


def made_elsewhere(secret: str, **members: Any) -> tuple[str, str]:
    """As EmailEngine makes a link."""
    data = json.dumps({"redirectUrl": CALLER, "n": "bm9uY2U", "t": 1_800_000_000_000, **members}).encode()
    signature = hmac.digest(secret.encode(), data, hashlib.sha256)
    return tuple(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in (data, signature))  # type: ignore


async def test_what_a_link_says_comes_back(tmp_path: Path, autojump_clock: object) -> None:
    given = {
        "account": "acme",
        "name": "Ann",
        "email": "ann@x.example",
        "expectedEmail": "ann@x.example",
        "delegated": True,
        "notifyFrom": None,
        "subconnections": ["Sent"],
        "path": ["*"],
        "redirectUrl": CALLER,
        "errorRedirect": "https://app.example.com/failed",
        "type": "imap",
    }
    form = msgspec.convert(given, AuthenticationForm)
    async with links(tmp_path) as (found, _):
        url = await found.url(form)
        assert url.startswith("https://mail.example.com/engine/accounts/new?data=") and url.endswith("&type=imap")
        link = found.read(*parts(url))
        assert link.form == form and link.expires == 1_800_000_000 + LIFETIME
        other = found.read(*parts(await found.url(form)))
        assert other.nonce != link.nonce


async def test_without_a_service_url_there_is_no_link(tmp_path: Path, autojump_clock: object) -> None:
    async with links(tmp_path, service_url=None) as (found, _):
        with pytest.raises(NoServiceUrl):
            await found.url(AuthenticationForm(redirect_url=CALLER))


async def test_a_link_that_nobody_could_follow_is_not_made(tmp_path: Path, autojump_clock: object) -> None:
    async with links(tmp_path) as (found, _):
        longest = f"https://app.example.com/{'x' * 2000}"
        url = await found.url(AuthenticationForm(redirect_url=longest, error_redirect=longest))
        assert len(url) < 8000 and found.read(*parts(url)).form.error_redirect == longest
        with pytest.raises(LinkTooLong):
            await found.url(AuthenticationForm(redirect_url=CALLER, path=("x" * 1000,) * 6))


async def test_our_own_key_is_sealed_and_outlives_a_restart(tmp_path: Path, autojump_clock: object) -> None:
    async with links(tmp_path) as (found, _):
        url = await found.url(AuthenticationForm(redirect_url=CALLER))
        own = await found._keys.own()
    raw = b"".join([each.read_bytes() for each in tmp_path.glob("journal.db*")])  # noqa: ASYNC240 - nothing else runs
    assert own.encode() not in raw
    async with links(tmp_path) as (found, _):
        found.read(*parts(url))
    async with links(tmp_path, key=b"l" * 32) as (found, _):
        with pytest.raises(LinkRefused):
            found.read(*parts(url))
        found.read(*parts(await found.url(AuthenticationForm(redirect_url=CALLER))))


async def test_links_made_before_a_secret_was_set_stay_good(tmp_path: Path, autojump_clock: object) -> None:
    async with links(tmp_path) as (found, book):
        before = await found.url(AuthenticationForm(redirect_url=CALLER))
        await book.update(service_secret="a secret")
        after = await found.url(AuthenticationForm(redirect_url=CALLER))
        for url in (before, after):
            found.read(*parts(url))
        data, sig = parts(after)
        text = base64.urlsafe_b64decode(data + "==")
        assert sig == base64.urlsafe_b64encode(hmac.digest(b"a secret", text, hashlib.sha256)).rstrip(b"=").decode()
        await book.update(service_secret="another")
        with pytest.raises(LinkRefused):
            found.read(data, sig)


async def test_a_link_made_with_the_secret_elsewhere_is_good(tmp_path: Path, autojump_clock: object) -> None:
    members = {"account": None, "name": "", "subconnections": None, "syncFrom": None, "email": "ann@x.example"}
    async with links(tmp_path, service_secret="s") as (found, _):
        link = found.read(*made_elsewhere("s", **members))
        assert (link.nonce, link.form.account, link.form.email) == ("bm9uY2U", None, "ann@x.example")
        with pytest.raises(LinkRefused):
            found.read(*made_elsewhere("t", **members))


@pytest.mark.parametrize(
    "members",
    [
        {"redirectUrl": "javascript:alert(1)"},
        {"redirectUrl": None},
        {"errorRedirect": "data:text/html,x"},
        {"n": None},
        {"n": ""},
        {"n": "x" * 101},
        {"n": 1},
        {"t": "soon"},
        {"t": 10**400},
        {"email": "no address"},
        {"account": "x" * 257},
    ],
)
async def test_what_a_signed_link_says_is_looked_at(
    tmp_path: Path, autojump_clock: object, members: dict[str, Any]
) -> None:
    async with links(tmp_path, service_secret="s") as (found, _):
        with pytest.raises(LinkRefused) as refused:
            found.read(*made_elsewhere("s", **members))
        assert refused.value.form is None


@pytest.mark.parametrize(
    ("ahead", "good"),
    [(-LIFETIME - 1, False), (-LIFETIME + 1, True), (CLOCK_SKEW - 1, True), (CLOCK_SKEW + 1, False)],
)
async def test_a_link_is_good_for_a_day(tmp_path: Path, autojump_clock: object, ahead: float, good: bool) -> None:
    async with links(tmp_path, service_secret="s") as (found, _):
        link = made_elsewhere("s", t=int((1_800_000_000 + ahead) * 1000))
        if good:
            found.read(*link)
            return
        with pytest.raises(LinkRefused) as refused:
            found.read(*link)
        assert refused.value.form is not None, "who made it can be told"
