"""The pages of templates: writing one, how it looks, changing, removing; the frame that shows its HTML."""

from __future__ import annotations

import html
import re
from pathlib import Path

from asking import Caller
from test_admin_pages import HOSTILE, entries, visiting
from visitor import Visitor

PATH = "/admin/templates"
FORM = {
    "name": "Receipt",
    "format": "html",
    "content.subject": "Order {{params.order}}",
    "content.html": "<p>Hello {{params.name}}</p>{{#each params.items}}<i>{{title}}</i>{{/each}}",
    "content.text": "Hello\r\n{{account.name}}",
}


async def written(ann: Visitor, **form: str) -> str:
    """The path of a new template."""
    await ann.get(PATH)
    await ann.follow(await ann.post(PATH, **{**FORM, **form}))
    return ann.url


def frame(visitor: Visitor) -> str:
    """The URL of the frame on the last page."""
    (url,) = re.findall(r'<iframe class="card mail" sandbox src="([^"]*)"', visitor.page)
    return html.unescape(url)


async def test_a_template_is_written_shown_changed_and_removed(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        assert ann.has("No templates yet")
        url = await written(ann)
        assert ann.has("The template is saved.")
        for name in ("order", "name", "items"):
            assert f'name="p.{name}"' in ann.page
        await ann.get(f"{url}?p.order=4711&p.name=%3Cb%3EBob&p.items=%5B%7B%22title%22%3A%22Book%22%7D%5D")
        assert ann.has("Order 4711") and 'value="&lt;b&gt;Bob"' in ann.page
        shown = await ann.get(frame(ann))
        assert b"<p>Hello &lt;b&gt;Bob</p><i>Book</i>" in shown.body
        await ann.follow(await ann.post(url, **{**FORM, "name": "Bill"}))
        assert ann.has("Bill") and ann.has("Messages that were taken before stay as they were.")
        stored = await Caller.of(ann.engine, app=ann._caller._app)
        read = (await stored.ask("GET", f"/v1/templates/template/{url.rpartition('/')[2]}")).json
        assert read["content"]["text"] == "Hello\n{{account.name}}" and "previewText" not in read["content"]
        await ann.follow(await ann.post(f"{url}/remove"))
        assert ann.has("No templates yet") and (await ann.get(url)).status == 404
        told = [each[1] for each in entries(ann.engine)]
        assert told[:3] == ["template.remove", "template.update", "template.create"]


async def test_the_frame_runs_nothing_and_loads_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        evil = "<script>top.location='https://evil.example'</script><img src=https://evil.example/x>{{{params.raw}}}"
        url = await written(ann, **{"content.html": evil})
        await ann.get(f"{url}?p.raw=%3Cscript%3E1%3C/script%3E")
        assert "evil.example" not in ann.page.partition("<h2>Change it")[0]
        answer = await ann.get(frame(ann))
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox; default-src 'none'") and "script" not in policy
        assert "frame-ancestors 'self'" in policy and answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert "allow" not in policy and answer.headers["content-type"].startswith("text/html")


async def test_what_cannot_be_stored_or_rendered_is_said(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.get(PATH)
        answer = await ann.post(PATH, **{**FORM, "content.html": "{{#if}}"})
        assert answer.status == 422 and re.search('id="f-content.html"[^>]*aria-invalid="true"', ann.page)
        answer = await ann.post(PATH, **FORM, account="nobody")
        assert answer.status == 422 and re.search('id="f-account"[^>]*aria-invalid="true"', ann.page)
        url = await written(
            ann, **{"content.subject": "{{lookup params.a params.b}}", "content.html": "{{params.c.d}}"}
        )
        await ann.get(f"{url}?p.a=%5B1%5D&p.b=0")
        assert ann.has("0") and 'name="p.c"' in ann.page
        await ann.get(f"{url}?account=nobody")
        assert ann.has("It cannot be rendered so.")
        assert (await ann.get(f"{PATH}?account=nobody")).status == 404 and ann.has("There is no account nobody.")


async def test_hostile_words_long_texts_and_a_reader(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        url = await written(ann, name=HOSTILE[:256], description=HOSTILE, **{"content.subject": HOSTILE})
        assert "<img" not in ann.page and ann.has("gnp.exe")
        long = await written(ann, **{"content.text": "<" * 60_000})
        assert ann.has("Its texts are too long to be changed here.") and len(ann.page) < 150_000
        await ann.get(PATH)
        assert "<img" not in ann.page
        rita = await ann.also("rita")
        await rita.get(f"{url}?p.name=Rita")
        assert rita.has("How it looks") and 'method="post"' not in rita.page.partition("<main")[2]
        assert b"Hello Rita" in (await rita.get(frame(rita))).body
        for target in (PATH, url, f"{long}/remove"):
            assert (await rita.post(target, **FORM)).status == 403


async def test_a_template_is_rendered_by_request(tmp_path: Path, autojump_clock: object) -> None:
    async with visiting(tmp_path) as ann:
        await ann.engine.register("acme")
        await ann.engine.register("other")
        ids = [(await written(ann, account=name)).rpartition("/")[2] for name in ("acme", "")]
        mine = await Caller.of(ann.engine, "acme", app=ann._caller._app)
        others = await Caller.of(ann.engine, "other", app=ann._caller._app)
        path = f"/v1/templates/template/{ids[0]}/preview"
        done = (await mine.ask("POST", path, {"params": {"name": "Bo", "order": 1}})).json
        assert (done["subject"], done["params"]) == ("Order 1", ["order", "name", "items"])
        assert done["html"].startswith("<p>Hello Bo</p>") and done["text"].startswith("Hello\n")
        assert (await others.ask("POST", path)).status == 404
        assert (await others.ask("POST", f"/v1/templates/template/{ids[1]}/preview")).status == 200
        wrong = await others.ask("POST", f"/v1/templates/template/{ids[1]}/preview", {"account": "acme"})
        assert wrong.status == 403
