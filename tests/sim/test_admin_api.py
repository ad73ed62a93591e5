"""The pages of the API: every operation, and trying one: at once, or after a question."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_admin_pages import HOSTILE, entries, visiting

from engine.api import operations

PATH = "/admin/settings/api"


async def test_every_operation_is_listed_and_has_a_page(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        every = [each for each in operations() if not each.websocket]
        assert ann.has(f"{len(every)} operations") and len(ann.page) < 150_000
        for each in every:
            assert f'api/{each.id}"' in ann.page
            assert (await ann.get(f"{PATH}/{each.id}")).status == 200
            assert len(ann.page) < 150_000 and ann.has(each.summary)
            assert ann.has("Try it"), each.id
            await ann.get(PATH)
        await ann.get(f"{PATH}?query=gateway")
        assert ann.has("List gateways") and not ann.has("List templates")
        await ann.get(f"{PATH}?query=%3Cimg%3E")
        assert ann.has("No operation has “<img>”")
        assert (await ann.get(f"{PATH}/nothing")).status == 404


async def test_what_reads_is_done_at_once(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        url = f"{PATH}/get_v1_account_account"
        await ann.get(url)
        await ann.post(url, **{"path.account": "acme", "query.quota": ""})
        assert ann.has("Answer 200") and ann.has('"account": "acme"')
        await ann.post(url, **{"path.account": "acme", "query.quota": "junk"})
        assert ann.has("Answer 400") and ann.has('"path": "quota"')
        await ann.post(url, **{"path.account": HOSTILE})
        assert ann.has("Answer 404") and "<img" not in ann.page
        assert (await ann.post(url)).status == 422 and ann.has("Fill in what its path needs.")


async def test_what_changes_is_asked_about_first(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        url = f"{PATH}/delete_v1_account_account"
        await ann.get(url)
        await ann.post(url, **{"path.account": "acme"})
        assert ann.has("You cannot bring back what it removes.") and ann.has("Do it")
        assert ann.engine.context.registry.get("acme") is not None
        await ann.post(url, **{"path.account": "acme", "sure": "yes"})
        assert ann.has("Answer 200") and ann.engine.context.registry.get("acme") is None
        assert entries(ann.engine)[0] == ("person:ann", "account.remove", "acme")


@pytest.mark.parametrize("body", ["{", "[1]", "5", "null", "\ud7ff"])
async def test_a_body_that_is_none(tmp_path: Path, autojump_clock: object, body: str) -> None:
    async with visiting(tmp_path) as ann:
        url = f"{PATH}/post_v1_gateway"
        await ann.get(url)
        assert (await ann.post(url, body=body, sure="yes")).status in (200, 422)
        assert ann.has("The body") or ann.has("Answer 400")
        assert not ann.engine.context.gateways.every()


async def test_a_body_is_kept_while_it_is_asked_about(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        url = f"{PATH}/post_v1_gateway"
        await ann.get(url)
        body = '{"gateway": "relay", "name": "\\u003cimg src=x\\u003e", "host": "127.0.0.1", "port": 25}'
        await ann.post(url, body=body)
        (kept,) = re.findall('<input type="hidden" name="body" value="([^"]*)">', ann.page)
        assert kept.replace("&#34;", '"') == body
        await ann.post(url, body=body, sure="yes")
        assert ann.has('"state": "new"') and "<img" not in ann.page


async def test_roles_are_those_of_the_operations(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        rita, otto = await ann.also("rita"), await ann.also("otto", "operator")
        for who, name, may in (
            (rita, "get_v1_accounts", True),
            (rita, "post_v1_gateway", False),
            (rita, "get_v1_tokens", False),
            (otto, "post_v1_gateway", True),
            (otto, "get_v1_tokens", False),
            (otto, "post_v1_tokens", False),
            (otto, "get_v1_account_account_oauth_token", False),
            (ann, "post_v1_tokens", True),
        ):
            await who.get(f"{PATH}/{name}")
            assert who.has("Trying it needs the role") is not may, name
            form = {"body": '{"description": "x", "scopes": ["*"]}', "path.account": "x", "sure": "yes"}
            assert ((await who.post(f"{PATH}/{name}", **form)).status == 403) is not may, name


async def test_files_and_streams_are_not_tried(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        (file,) = [each for each in operations() if each.path == "/v1/changes" and not each.websocket]
        await ann.get(f"{PATH}/{file.id}")
        assert ann.has("You cannot try it here.")
        assert (await ann.post(f"{PATH}/{file.id}")).status == 404
