"""Which addresses a webhook reaches, and whose secrets it carries."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from endpoint_engine import URL, running, world
from receivers import Post

from engine.egress import EgressRefused
from engine.model.webhook import Header


async def test_a_name_that_is_moved_to_a_forbidden_address_is_not_followed(tmp_path: Path, autojump_clock) -> None:
    """DNS rebinding: good while the endpoint is made, the metadata service when it is used."""
    async with world() as w, running(tmp_path, w) as engine:
        good = w.host("hooks.example", "203.0.114.9")
        metadata = w.host("metadata.example", "169.254.169.254")
        local = w.host("local.example", "127.0.0.1")
        await engine.webhooks.check(URL, restricted=True)
        made = await engine.make(owner="a", accounts=("a",))
        await engine.add("a")
        await engine.done(made)
        assert good.seqs == [1]
        for address in ("169.254.169.254", "127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1"):
            w.names["hooks.example"] = [address]
            await engine.webhooks.update(made, made.record)
            await engine.add("a")
            await trio.sleep(30)
            assert "leads to an address, which may not be reached" in (made.endpoint.health.error or "")
        assert set(w.dialled) == {"203.0.114.9"}
        assert (metadata.posts, local.posts) == ([], [])
        w.names["hooks.example"] = ["10.0.0.1", "203.0.114.9"]
        await engine.webhooks.update(made, made.record)
        await engine.done(made, within=60)
        assert good.seqs == [1, 2, 3, 4, 5]
        assert set(w.dialled) == {"203.0.114.9"}


@pytest.mark.parametrize(
    ("address", "restricted", "allow_private", "may"),
    [
        ("127.0.0.1", False, True, True),
        ("10.1.2.3", False, True, True),
        ("127.0.0.1", True, True, False),
        ("192.168.1.1", True, True, False),
        ("127.0.0.1", False, False, False),
        ("169.254.169.254", False, True, False),
        ("169.254.169.254", True, True, False),
        ("203.0.114.9", True, False, True),
    ],
)
async def test_who_may_reach_what(
    tmp_path: Path, autojump_clock, address: str, restricted: bool, allow_private: bool, may: bool
) -> None:
    async with world() as w, running(tmp_path, w, allow_private=allow_private) as engine:
        receiver = w.host("hooks.example", address)
        if may:
            await engine.webhooks.check(URL, restricted=restricted)
        else:
            with pytest.raises(EgressRefused):
                await engine.webhooks.check(URL, restricted=restricted)
        await engine.make(owner="a" if restricted else None)
        await engine.add("a")
        await trio.sleep(20)
        assert bool(receiver.posts) is may


async def test_a_redirect_into_the_private_network_is_not_followed(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        receiver = w.host("hooks.example")
        w.host("local.example", "127.0.0.1")

        async def redirect(post: Post):
            return 307, {"Location": "http://127.0.0.1/"}, b""

        receiver.behave = redirect
        made = await engine.make(owner="a")
        await engine.add("a")
        await trio.sleep(20)
        assert made.endpoint.health.error == "the answer was 307, a redirect, which is not followed"
        assert set(w.dialled) == {"203.0.114.1"}


async def test_an_account_url_set_with_its_own_token_stays_out_of_private_networks(
    tmp_path: Path, autojump_clock
) -> None:
    async with world() as w:
        local = w.host("local.example", "127.0.0.1")
        async with running(tmp_path, w) as engine:
            async with engine.webhooks.setting("a", "url", bound=True):
                engine.webhooks.account("a", "http://local.example/")
            engine.webhooks.configure(None, True, ["*"])
            await engine.add("a")
            await trio.sleep(60)
            assert local.posts == []
        async with running(tmp_path, w) as engine:
            engine.webhooks.account("a", "http://local.example/")
            engine.webhooks.configure(None, True, ["*"])
            await trio.sleep(60)
            assert local.posts == []
            async with engine.webhooks.setting("a", "url", bound=False):
                engine.webhooks.account("a", "http://local.example/")
            await engine.until(lambda: local.seqs == [1], within=10)


OPERATORS = (Header("X-Api-Key", "operators"), Header("X-Other", "too"))


async def test_a_url_of_a_tenant_never_gets_what_is_the_operators(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        everybody, own = w.host("hooks.example"), w.host("own.example", "203.0.114.2")
        engine.webhooks.configure("http://u:p@hooks.example/", True, ["*"], OPERATORS, "whsec_" + "QUFB" * 10)

        async def posted(receiver, account: str) -> dict[str, str]:
            before = len(receiver.posts)
            await engine.add(account)
            await engine.until(lambda: len(receiver.posts) > before)
            return receiver.posts[-1].headers

        theirs = (("x-api-key", "tenants"), ("X-Mine", "1"), ("Authorization", "Bearer tenants"))
        engine.webhooks.account("a", None, (("X-Set-By", "operators"),))
        async with engine.webhooks.setting("a", "url", bound=True):
            engine.webhooks.account("a", "http://own.example/", (("X-Set-By", "operators"),))
        assert "operators" not in str(await posted(own, "a"))
        async with engine.webhooks.setting("a", "headers", bound=True):
            engine.webhooks.account("a", "http://own.example/", theirs)
        headers = await posted(own, "a")
        assert "operators" not in str(headers) and "x-other" not in headers
        assert not {"webhook-signature", "x-ee-wh-signature"} & headers.keys()
        assert (headers["x-api-key"], headers["x-mine"]) == ("tenants", "1")
        # The settings change while the URL stays: still nothing of them.
        engine.webhooks.configure("http://u:p@hooks.example/", True, ["*"], OPERATORS[:1], "whsec_" + "QkJC" * 10)
        assert "operators" not in str(await posted(own, "a"))

        engine.webhooks.account("a", None, theirs)
        headers = await posted(everybody, "a")
        assert (headers["x-api-key"], headers["x-mine"]) == ("operators", "1")
        assert headers["authorization"].startswith("Basic ")
        assert "webhook-signature" in headers

        async with engine.webhooks.setting("a", "url", bound=False):
            engine.webhooks.account("a", "http://own.example/", theirs)
        headers = await posted(own, "a")
        assert headers["x-api-key"] == "operators" and "webhook-signature" in headers
        async with engine.webhooks.setting("a", "headers", bound=False):
            engine.webhooks.account("a", "http://own.example/", (("X-Api-Key", "operators, for a"),))
        assert (await posted(own, "a"))["x-api-key"] == "operators, for a"


async def test_a_refused_change_leaves_a_url_whose_it_was(tmp_path: Path, autojump_clock) -> None:
    async with world() as w, running(tmp_path, w) as engine:
        own = w.host("own.example", "203.0.114.2")
        engine.webhooks.configure(None, True, ["*"], OPERATORS)
        async with engine.webhooks.setting("a", "url", bound=False):
            engine.webhooks.account("a", "http://own.example/")
        with pytest.raises(ValueError):
            async with engine.webhooks.setting("a", "url", bound=True):
                raise ValueError("a member is missing")
        await engine.add("a")
        await engine.until(lambda: bool(own.posts))
        assert own.posts[0].headers["x-api-key"] == "operators"
