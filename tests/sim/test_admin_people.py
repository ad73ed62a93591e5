"""The pages about people: inviting, roles, removing, one's own password and one-time codes."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from test_admin_pages import HOSTILE, visiting
from visitor import PASSWORD, Visitor

from engine.store import people
from engine.web import totp


async def test_an_owner_invites_promotes_and_removes(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/settings/people")
        await ann.post("/admin/settings/people/invite", role="reader")
        (link,) = re.findall(r"<code>(http://x/admin/enter\?key=\w+)</code>", ann.page)
        eve = Visitor(ann.engine, ann._caller)
        key = urlsplit(link).query.removeprefix("key=")
        await eve.follow(await eve.post("/admin/enter", key=key, name=HOSTILE[:100], password=PASSWORD))
        assert (await eve.get("/admin/settings/people")).status == 403
        assert (await eve.post("/admin/settings/people/1/remove")).status == 403
        await ann.get("/admin/settings/people")
        assert ann.has("2 people may sign in") and "<img" not in ann.page
        assert (await ann.post("/admin/settings/people/2/role", role="god")).status == 400
        await ann.follow(await ann.post("/admin/settings/people/2/role", role="owner"))
        assert ann.has("is owner now") and "<img" not in ann.page
        assert (await eve.get("/admin/settings/people")).status == 200
        await ann.follow(await ann.post("/admin/settings/people/2/remove"))
        assert (await eve.get("/admin")).status == 303
        for person in ("2", "x", "9" * 30):
            assert (await ann.post(f"/admin/settings/people/{person}/remove")).status == 404


async def test_the_last_owner_stays(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/settings/people")
        assert (await ann.post("/admin/settings/people/1/role", role="reader")).status == 422
        assert (await ann.post("/admin/settings/people/1/remove")).status == 422
        assert ann.has("At least one person must stay an owner")
        assert people.owners(ann.engine.context.store.reader) == 1


async def test_a_new_password_ends_other_sessions(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        phone = Visitor(ann.engine, ann._caller)
        await phone.sign_in()
        await ann.get("/admin/settings/sign-in")
        wrong = await ann.post("/admin/settings/sign-in/password", old="not this one", new="another good one")
        assert wrong.status == 422 and ann.has("The password is wrong")
        await ann.follow(await ann.post("/admin/settings/sign-in/password", old=PASSWORD, new="another good one"))
        assert ann.has("Your password is changed")
        assert (await phone.get("/admin")).status == 303
        assert (await phone.sign_in(password="another good one")).status == 303


async def test_codes_are_turned_on_and_off_with_a_code(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get("/admin/settings/sign-in")
        await ann.post("/admin/settings/sign-in/codes")
        (text,) = re.findall('name="key" value="([A-Z2-7]+)"', ann.page)
        assert 'role="img" aria-label="QR code of the key"><svg' in ann.page and "style=" not in ann.page
        key, step = totp.from_text(text), int(ann.engine.context.world.now() // totp.STEP)
        assert (await ann.post("/admin/settings/sign-in/codes/on", key=text, code="000000")).status == 422
        for broken in ("", "1", "MFRGG"):
            assert (await ann.post("/admin/settings/sign-in/codes/on", key=broken, code="000000")).status == 400
        await ann.follow(await ann.post("/admin/settings/sign-in/codes/on", key=text, code=totp.code(key, step)))
        assert ann.has("One-time codes are on.") and text not in ann.page
        again = await ann.post("/admin/settings/sign-in/codes/off", code=totp.code(key, step))
        assert again.status == 422
        await ann.follow(await ann.post("/admin/settings/sign-in/codes/off", code=totp.code(key, step + 1)))
        assert ann.has("One-time codes are off.")
