"""Templates rendered as Handlebars.js renders them, with EmailEngine's helpers.

`cases.json` holds what Handlebars.js 4.7.9 and @postalsys/templates 2.0 made of each template, octet by octet, once for
HTML and once for plain text (`error`: they refused it). The second half of it was made at random, for white space.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.handlebars.template import Template
from engine.handlebars.tree import TemplateError

RECORDED = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
CONTEXT = RECORDED["context"]
CASES = [case for case in RECORDED["cases"] if "html" in case]
REFUSED = [case["template"] for case in RECORDED["cases"] if "error" in case]


def rendered(source: str, context: Any = CONTEXT, *, html: bool = True) -> str:
    return Template(source, html=html).render(context)


def test_there_are_enough_cases() -> None:
    assert len(CASES) > 200
    assert len(REFUSED) > 20


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])
def test_the_output_is_that_of_handlebars(case: dict[str, str]) -> None:
    assert rendered(case["template"]) == case["html"]
    assert rendered(case["template"], html=False) == case["text"]


@pytest.mark.parametrize("source", REFUSED)
def test_what_handlebars_refuses_is_refused_when_it_is_compiled(source: str) -> None:
    with pytest.raises(TemplateError):
        Template(source, html=True)


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("a\nb {{#if x}}\nc", 2, "`if` is never closed"),
        ("a\n\n{{#if x}}{{/each}}", 3, "`if` is closed by `each`"),
        ("{{/if}}", 1, "`{{/` without a block that it could belong to"),
        ("\n{{name", 2, "this tag has no end"),
        ("\r\n{{> footer}}", 2, "partials (`{{>`) are not supported: a template is one text"),
        ('{{#*inline "x"}}{{/inline}}', 1, "decorators and inline partials (`*`) are not supported"),
        ("{{upper name}}", 1, "there is no helper `upper`"),
        ("x\n{{#if (upper name)}}{{/if}}", 2, "there is no helper `upper`"),
        ("{{#upper name}}x{{/upper}}", 1, "there is no helper `upper`"),
        ("{{if name}}", 1, "`if` is a block: write `{{#if ...}} ... {{/if}}`"),
        ("{{#if}}x{{/if}}", 1, "`if` takes 1 parameter, not 0"),
        ("{{lookup o}}", 1, "`lookup` takes 2 parameters, not 1"),
        ("{{items.0}}", 1, "expected a name, found `0`"),
        ("{{#length items}}{{/length}}", 1, "`length` is no block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", 1, "`if` has a second `else`"),
        ("{{{{raw}}}}\n{{x", 1, "`{{{{raw}}}}` is never closed"),
    ],
)
def test_a_fault_names_its_line(source: str, line: int, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source, html=True)
    assert (caught.value.line, caught.value.reason) == (line, reason)


def test_helpers_with_a_truth_can_stand_in_parentheses() -> None:
    assert rendered('{{#if (equals key "b")}}yes{{/if}}{{#if (and t (notEquals n 0))}}no{{/if}}') == "yes"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('"2026-11-28" "YYYY-MM-DD"', "2026-11-28"),
        ('"2026-11-28T13:05:09.123Z" "D MMMM YYYY, H:mm" "+0200"', "28 November 2026, 15:05"),
        ('"2026-11-28T13:05:09+02:00"', "2026-11-28T11:05:09+00:00"),
        ('0 "ddd DDDD hh:mm a"', "Thu 001 12:00 am"),
        (
            '"2026-11-28" "Q Qo W WW Wo GGGG GG w ww wo gggg gg e do Mo DDDo"',
            "4 4th 48 48 48th 2026 26 48 48 48th 2026 26 6 6th 11th 332nd",
        ),
        ('"2027-01-02" "W GGGG w gggg"', "53 2026 1 2027"),
        ('"2028-12-31" "W GGGG w gggg"', "52 2028 1 2029"),
        ('"9999-12-31" "W GGGG w"', "52 9999 1"),
        ('1e21 "YYYY"', "Invalid date"),
        ('"tomorrow" "YYYY"', "Invalid date"),
        ('missing "YYYY"', "Invalid date"),
    ],
)
def test_dates_are_written_by_a_pattern(given: str, expected: str) -> None:
    if given.startswith("1e21"):
        assert rendered('{{formatDate huge "YYYY"}}') == expected
    else:
        assert rendered("{{formatDate " + given + "}}", html=False) == expected


def test_a_template_is_rendered_many_times_and_keeps_nothing() -> None:
    template = Template("{{#each a as |x|}}{{x}}{{#unless @last}},{{/unless}}{{/each}}", html=True)
    assert [template.render({"a": [1, 2]}), template.render({"a": ["<"]}), template.render({})] == ["1,2", "&lt;", ""]
