from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.submission import inline_css
from engine.submission.inline_css import InlineCss


async def test_styles_go_into_tags_and_those_that_cannot_stay() -> None:
    made = await InlineCss().inlined("<style>p{color:red}a:hover{color:blue}</style><p>\u017c &amp;</p>")
    assert '<p style="color: red;">\u017c &amp;</p>' in made
    assert "a:hover{color:blue}" in made


async def test_no_sheet_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p{color:red}")
    for link in (f"{tmp_path}/a.css", f"file://{tmp_path}/a.css", "http://127.0.0.1:9/a.css"):
        made = await InlineCss().inlined(f'<link rel="stylesheet" href="{link}"><style>b{{top:0}}</style><p>x</p>')
        assert "red" not in made and link in made


async def test_html_without_styles_stays_as_it_is() -> None:
    assert await InlineCss().inlined("<p>x</p>") == "<p>x</p>"


async def test_odd_styles_are_killed_in_time_and_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline_css, "SECONDS", 0.5)
    odd = "<style>" + "".join(f"*{{a{number}:b}}" for number in range(5000)) + "</style>" + "<p>" * 16_000
    turns = 0

    async def ticking() -> None:
        nonlocal turns
        while True:
            await trio.sleep(0.01)
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticking)
        with pytest.raises(ValueError, match="cannot be put into its tags within"):
            await InlineCss().inlined(odd)
        nursery.cancel_scope.cancel()
    assert turns > 5


async def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="is longer than 1,000,000"):
        await InlineCss().inlined("<style></style>" + "x" * 1_000_000)
