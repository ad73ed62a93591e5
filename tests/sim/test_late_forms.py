"""A form sent after its session has ended: nothing is done, what was typed is kept, and it can be sent again."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

from asking import Answer
from simulation import Simulation
from visitor import Visitor

from engine.web import layout
from engine.web.kept_form import SECRET

TYPED = {"name": "Welcome", "format": "html", "html": "<p>Long\r\nwork</p>\u202e", "subject": '"><b>'}
PATH = "/admin/templates"


@asynccontextmanager
async def ann_typing(tmp_path: Path) -> AsyncIterator[Visitor]:
    """Ann is at the page of templates, and her session ends."""
    async with Simulation(tmp_path / "data", 4711).running() as engine:
        ann = await Visitor.at(engine)
        await ann.enter()
        await ann.get(PATH)
        other = Visitor(engine, ann._caller)
        await other.sign_in()
        await other.get("/admin")
        await other.post("/admin/settings/sessions/end-others")
        yield ann


async def send(ann: Visitor, fields: dict[str, str], **headers: str) -> Answer:
    said = {"sec_fetch_site": "same-origin", "referer": f"https://host/prefix{PATH}?page=2", **headers}
    return await ann._ask("POST", ann.url, urlencode(fields).encode(), said)


def kept(ann: Visitor) -> dict[str, str]:
    """The fields of the page's form, as a browser sends them again."""
    found = re.findall('<input type="hidden" name="([^"]*)" value="([^"]*)">', ann.page)
    return {html.unescape(name): html.unescape(value) for name, value in found}


async def test_what_was_typed_is_sent_again_after_signing_in(tmp_path: Path, autojump_clock: object) -> None:
    async with ann_typing(tmp_path) as ann:
        db = ann.engine.context.store.reader
        late = await send(ann, {**TYPED, "form_token": ann.token})
        assert late.status == 401 and ann.has("Your session has ended") and ann.has("Nothing was done.")
        assert 'sign-in?next=%2Fadmin%2Ftemplates%3Fpage%3D2"' in ann.page and 'target="_blank"' in ann.page
        assert kept(ann) == {"form_token": "", **TYPED}
        again, token = kept(ann), ann.token
        await ann.sign_in()
        for fields in (again, {**again, "form_token": token}):
            ann.url = PATH
            looked_at = await send(ann, fields)
            assert looked_at.status == 403 and ann.has("Send this form?") and ann.has("<p>Long")
            assert db.execute("SELECT count(*) FROM template").fetchone() == (0,)
        done = await send(ann, kept(ann))
        await ann.follow(done)
        assert ann.has("The template is saved.")


async def test_no_password_goes_back_into_a_page(tmp_path: Path, autojump_clock: object) -> None:
    async with ann_typing(tmp_path) as ann:
        ann.url = "/admin/add-account"
        late = await send(ann, {"email": "a@x.example", "password": "hunter2 hunter2", "form_token": ann.token})
        assert late.status == 401 and "hunter2" not in ann.page and ann.has("a@x.example")
        assert ann.has("Passwords are not kept") and "Send it again" not in ann.page


async def test_only_a_form_that_the_browser_vouches_for_is_kept(tmp_path: Path, autojump_clock: object) -> None:
    async with ann_typing(tmp_path) as ann:
        await ann.sign_in()
        for site in ("", "none", "cross-site", "same-site"):
            ann.url = PATH
            refused = await send(ann, {**TYPED, "form_token": "0" * 64}, sec_fetch_site=site)
            assert refused.status == 403 and "Welcome" not in ann.page


async def test_signing_out_and_in_after_the_session_has_ended(tmp_path: Path, autojump_clock: object) -> None:
    async with ann_typing(tmp_path) as ann:
        await ann.follow(await ann.get("/admin/outbox?state=sent"))
        assert ann.has("Your session has ended. Sign in, and you are back where you were.")
        assert (await ann.post("/admin/sign-out")).status == 303
        ann.cookies.clear()
        await ann.get("/admin/sign-in")
        assert not ann.has("has ended")


def test_every_field_for_a_password_is_known() -> None:
    folder = Path(layout.__file__).parent / "templates"
    texts = "".join(file.read_text() for file in folder.glob("*.html"))
    named = set(re.findall(r'm\.field\("(\w+)"[^\n]*type="password"', texts))
    assert named and named <= SECRET
