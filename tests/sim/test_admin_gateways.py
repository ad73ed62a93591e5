"""The pages of gateways: adding, trouble in words, changing, removing."""

from __future__ import annotations

from pathlib import Path

from test_admin_pages import HOSTILE, entries, visiting

PATH = "/admin/settings/gateways"
FORM = {"name": "Relay", "gateway": "relay", "host": "127.0.0.1", "port": "2525", "secure": "starttls"}


async def test_a_gateway_is_added_changed_and_removed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        assert ann.has("No gateways")
        await ann.follow(await ann.post(PATH, **FORM, user="me", **{"pass": "s3cret"}))
        assert ann.url == f"{PATH}/relay" and ann.has("The gateway is added.") and "s3cret" not in ann.page
        held = ann.engine.context.gateways.get("relay")
        assert held is not None and held.record is not None
        assert (held.record.password, held.record.secure, held.record.port) == ("s3cret", False, 2525)
        again = await ann.post(PATH, **FORM)
        assert again.status == 422 and ann.has("There is a gateway with this id.")
        await ann.follow(await ann.post(f"{PATH}/relay", **{**FORM, "name": "Ours", "user": "me", "pass": ""}))
        held = ann.engine.context.gateways.get("relay")
        assert held is not None and held.record is not None and held.record.password == "s3cret"
        assert ann.has("Ours") and ann.has("Leave this empty to keep it")
        await ann.post(f"{PATH}/relay", **{**FORM, "user": ""})
        held = ann.engine.context.gateways.get("relay")
        assert held is not None and held.record is not None
        assert (held.record.password, held.record.user) == (None, None)
        await ann.follow(await ann.post(f"{PATH}/relay/remove"))
        assert ann.has("The gateway is removed.") and ann.has("No gateways")
        assert entries(ann.engine)[0] == ("person:ann", "gateway.remove", "relay")


async def test_faults_stand_beside_their_fields(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        answer = await ann.post(PATH, **{**FORM, "name": "", "port": "x", "host": "a b"})
        assert answer.status == 422
        assert ann.page.count('aria-invalid="true"') == 3 and 'value="a b"' in ann.page
        assert (await ann.get(f"{PATH}/none")).status == 404


async def test_hostile_names_and_a_reader(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        await ann.follow(await ann.post(PATH, **{**FORM, "name": HOSTILE[:256], "user": HOSTILE[:256]}))
        assert "<img" not in ann.page and ann.has("gnp.exe")
        await ann.get(PATH)
        assert "<img" not in ann.page
        rita = await ann.also("rita")
        await rita.get(PATH)
        assert rita.has("gnp.exe") and not rita.has("Add a gateway")
        await rita.get(f"{PATH}/relay")
        assert rita.has("127.0.0.1:2525") and "<form" not in rita.page.partition("<main")[2]
        for url in (PATH, f"{PATH}/relay", f"{PATH}/relay/remove"):
            assert (await rita.post(url, **FORM)).status == 403
