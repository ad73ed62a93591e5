"""The pages of OAuth apps: adding one, its steps in words, changing, removing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_admin_pages import HOSTILE, entries, visiting
from visitor import Visitor

from engine.web.pages.oauth_apps import PROVIDERS, fields_of

PATH = "/admin/settings/oauth-apps"


async def added(ann: Visitor, **form: str) -> str:
    """The path of a new app."""
    await ann.get(PATH)
    given = {"provider": "sandbox", "name": "Try out", "clientId": "x", "enabled": "on", **form}
    made = await ann.post(PATH, **given)
    await ann.follow(made)
    return ann.url


async def test_an_app_is_added_tested_changed_and_removed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.context.settings.update(service_url="https://mail.example")
        await ann.get(PATH)
        assert ann.has("No apps yet")
        url = await added(ann)
        assert ann.has("The app is added.") and "https://mail.example/oauth" in ann.page
        answer = await ann.post(f"{url}/verify", account="")
        assert answer.status == 200
        for words in ("The app is complete", "The provider can be reached", "Not tested"):
            assert ann.has(words), words
        await ann.follow(await ann.post(url, name="Renamed", clientId="y", clientSecret="s3cret", enabled="on"))
        assert ann.has("Renamed") and "s3cret" not in ann.page and ann.has("Leave this empty to keep it")
        await ann.follow(await ann.post(url, name="Renamed", clientId="y", clientSecret=""))
        made = ann.engine.context.oauth.book.made[url.rpartition("/")[2]]
        assert (made.app.client_secret, made.app.enabled) == ("s3cret", False)
        await ann.follow(await ann.post(f"{url}/remove"))
        assert ann.has("The app is removed.") and ann.has("No apps yet")
        assert (await ann.get(url)).status == 404
        operations = [each[1] for each in entries(ann.engine)]
        assert operations[:4] == ["oauth2.remove", "oauth2.update", "oauth2.update", "oauth2.create"]


async def test_an_app_that_is_not_complete_says_what_it_lacks(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(f"{PATH}?provider=gmail")
        answer = await ann.post(PATH, provider="gmail", name="", clientId="x", redirectUrl="nonsense")
        assert answer.status == 422
        for field in ("name", "clientSecret", "redirectUrl"):
            assert re.search(f'id="f-{field}"[^>]*aria-invalid="true"', ann.page), field
        assert 'value="nonsense"' in ann.page
        answer = await ann.post(PATH, provider="nobody", name="x")
        assert answer.status == 422 and ann.has("provider")


async def test_each_provider_has_its_form(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        for provider in PROVIDERS:
            answer = await ann.get(f"{PATH}?provider={provider}")
            assert answer.status == 200
            assert all(f'name="{field}"' in ann.page for field in (*fields_of(provider), "name"))
        await ann.get(f"{PATH}?provider=<script>")
        assert ann.has("Add an app") and "<script>" not in ann.page


@pytest.mark.parametrize("member", ["name", "title", "description", "clientId"])
async def test_hostile_words_are_text(tmp_path: Path, autojump_clock: object, member: str) -> None:
    async with visiting(tmp_path) as ann:
        url = await added(ann, **{member: HOSTILE[:256]})
        assert "<img" not in ann.page and "gnp.exe" in ann.page
        await ann.post(f"{url}/verify", account=HOSTILE[:256])
        assert "<img" not in ann.page
        await ann.get(PATH)
        assert "<img" not in ann.page


async def test_a_reader_sees_the_app_and_changes_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        url = await added(ann, clientSecret="s3cret")
        rita = await ann.also("rita")
        await rita.get(PATH)
        assert rita.has("Try out") and not rita.has("Add an app")
        await rita.get(url)
        assert rita.has("Client id") and "s3cret" not in rita.page
        assert "<form" not in rita.page.partition("<main")[2]
        for what in ("", "/verify", "/remove"):
            assert (await rita.post(f"{url}{what}", name="x")).status == 403
        assert (await rita.post(PATH, provider="sandbox", name="x", clientId="y")).status == 403
