"""What renders the texts of a submission: once, or for each entry of a merge."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import UNSET

from engine.errors import Problem
from engine.handlebars.steps import STEPS, Steps
from engine.model.registration import Registration
from engine.schema.submit import Render, Submit
from engine.store.templates import Content, Stored, Summary
from engine.submission.template import Rendering, Variables, merge_steps
from engine.world import World

ACCOUNT = msgspec.convert({"account": "a", "name": "Shop", "email": "shop@x.example"}, Registration)


def variables(name: str = "Ann") -> Variables:
    return Variables(ACCOUNT, "https://x.example", {"name": name, "address": "ann@x.example"})


async def test_one_rendering_serves_many_entries() -> None:
    world = World()
    body = Submit(
        subject="Hi {{rcpt.name}}",
        html="<p>{{params.n}} {{account.name}}</p>",
        preview_text="p{{params.n}}",
        render=Render(),
    )
    rendering = await Rendering.of(body, None, world)
    assert rendering is not None
    for number in range(3):
        made = await rendering.content(body, variables(f"R{number}"), {"n": number}, world)
        assert (made.subject, made.text) == (f"Hi R{number}", f"{number} Shop")
        assert (
            isinstance(made.html, str)
            and made.html.endswith(f"<p>{number} Shop</p>")
            and f">p{number}</div>" in made.html
        )
        assert (made.template, made.render, made.preview_text) == (UNSET, UNSET, UNSET)


async def test_nothing_to_render_is_no_rendering() -> None:
    assert await Rendering.of(Submit(text="{{x}}"), None, World()) is None
    assert await Rendering.of(Submit(text="{{x}}", render=False), None, World()) is None


async def test_a_stored_template_stands_in_place_of_the_texts_and_the_format() -> None:
    world = World()
    stored = Stored(Summary("t", None, "t", None, "markdown", 0.0, None), Content(html="# {{params.x}}"))
    body = Submit(subject="mine", text="mine", html="mine", render=Render(format="html", params={"x": "*y*"}))
    rendering = await Rendering.of(body, stored, world)
    assert rendering is not None
    made = await rendering.content(body, variables(), {"x": "*y*"}, world)
    assert (made.subject, made.text, made.html) == ("mine", "mine", "<h1><em>y</em></h1>\n")


async def test_steps_are_shared_by_the_entries_of_a_request() -> None:
    world, steps = World(), Steps(25_000)
    body = Submit(text="{{#each params.n}}{{/each}}", render=Render())
    rendering = await Rendering.of(body, None, world)
    assert rendering is not None
    await rendering.content(body, variables(), {"n": [0] * 5000}, world, steps)
    left = steps.left
    assert 0 < left < 20_000
    with pytest.raises(Problem) as caught:
        await rendering.content(body, variables(), {"n": [0] * 5000 * 5}, world, steps)
    assert caught.value.status == 422
    assert steps.left == 0
    await rendering.content(body, variables(), {"n": [0]}, world, steps)


async def test_one_rendering_takes_no_more_than_its_own_steps_of_many() -> None:
    world, steps = World(), merge_steps(1000)
    before = steps.left
    body = Submit(text="{{#each params.n}}{{#each ../params.n}}{{/each}}{{/each}}", render=Render())
    rendering = await Rendering.of(body, None, world)
    assert rendering is not None
    with pytest.raises(Problem, match="too much work"):
        await rendering.content(body, variables(), {"n": [0] * 1000}, world, steps)
    assert before - steps.left == STEPS


async def test_styles_are_put_into_tags_on_request() -> None:
    world = World()
    body = Submit(html="<style>p{color:red}</style><p>{{params.x}}</p>", render=Render(inline_css=True))
    rendering = await Rendering.of(body, None, world)
    assert rendering is not None
    made = await rendering.content(body, variables(), {"x": "<"}, world)
    assert isinstance(made.html, str) and '<p style="color: red;">&lt;</p>' in made.html
