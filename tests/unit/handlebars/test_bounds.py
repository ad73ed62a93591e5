"""A template cannot get at Python, and costs no more than it may."""

from __future__ import annotations

import pytest

from engine.handlebars.steps import STEPS, Steps, TooMuch
from engine.handlebars.template import Template
from engine.handlebars.tree import TemplateError

THOUSAND = list(range(1000))
BIG = "\u017c" * 10_000_000


class Secret:
    """What must not be reached, even if it were handed in by mistake."""

    password = "hunter2"

    def __str__(self) -> str:
        return "leaked"

    def method(self) -> str:
        return "called"


@pytest.mark.parametrize(
    "path",
    [
        *("a.__class__", "a.__class__.__mro__", "this.__init__", "@root.__class__", "@key.__class__", "__class__"),
        *(
            "s.format",
            "s.__len__",
            "s.upper",
            "o.keys",
            "o.items",
            "o.get",
            "a.append",
            "a.pop",
            "n.real",
            "n.__class__",
        ),
        *(
            "constructor",
            "a.constructor",
            "o.__proto__",
            "o.toString",
            "toString",
            "o.hasOwnProperty",
            "@root.constructor",
        ),
        *("secret.password", "secret.method", "secret.__class__", "@_parent", "a.[__class__]", "a.[-1]", "s.[-1]"),
    ],
)
def test_nothing_of_python_or_javascript_is_reached(path: str) -> None:
    context = {"a": [1], "s": "x", "o": {}, "n": 1, "secret": Secret()}
    for source in (f"{{{{{path}}}}}", f"{{{{#with {path}}}}}x{{{{/with}}}}", f"{{{{#each {path}}}}}x{{{{/each}}}}"):
        assert Template(source, html=True).render(context) == ""
    name = path.rpartition(".")[2].strip("[]")
    for holder in ("this", "a", "s", "o", "n", "secret"):
        assert Template(f'{{{{lookup {holder} "{name}"}}}}', html=True).render(context) == ""


def test_a_foreign_object_is_not_asked_for_its_text() -> None:
    assert Template("{{secret}}", html=False).render({"secret": Secret()}) == "[object Object]"


@pytest.mark.once
@pytest.mark.parametrize(
    ("source", "context"),
    [
        ("{{#each a}}{{#each ../a}}{{#each ../../a}}{{/each}}{{/each}}{{/each}}", {"a": THOUSAND}),
        ("{{#each a}}{{#each ../a}}{{#each ../../a}}x{{this}}{{/each}}{{/each}}{{/each}}", {"a": THOUSAND}),
        (
            "{{#each a}}{{#each ../a}}{{#if (lookup ../../a this)}}{{/if}}{{/each}}{{/each}}",
            {"a": THOUSAND},
        ),
        ('{{#each a}}{{#each ../a}}{{formatDate 1 "LLLL LLLL LLLL"}}{{/each}}{{/each}}', {"a": THOUSAND}),
        ("{{#each a}}{{../s}}{{/each}}", {"a": THOUSAND, "s": BIG}),
        ("{{#each a}}{{length ../s}}{{../s.length}}{{/each}}", {"a": THOUSAND, "s": BIG}),
        ("{{#each a}}{{#equals ../s ../r}}{{/equals}}{{/each}}", {"a": THOUSAND, "s": BIG, "r": BIG + "x"}),
        ("{{s}}", {"s": [1.5] * 1_000_000}),
        ("{{#each a}}{{lookup ../o ../s}}{{/each}}", {"a": THOUSAND, "o": {"x": 1}, "s": [1.5] * 100_000}),
        ("{{#each a}}{{#lessThan ../s 1}}{{/lessThan}}{{/each}}{{s}}", {"a": THOUSAND, "s": [[1] * 1_000_000]}),
        ("{{#each s}}{{/each}}", {"s": [0] * 1_000_000}),
        (
            "{{#each a}}{{#each ../s}}{{/each}}{{/each}}",
            {"a": THOUSAND, "s": {str(n): 1 for n in range(100_000)}},
        ),
    ],
)
def test_work_is_bounded_whatever_is_in_the_parameters(source: str, context: object) -> None:
    with pytest.raises(TooMuch):
        Template(source, html=True).render(context)


def test_output_is_bounded() -> None:
    assert Template("{{s}}", html=True).render({"s": "x" * 10}, most=10) == "x" * 10
    for source, value in (("{{s}}", "x" * 11), ("{{s}}", "<<<"), ("x" * 11, ""), ("{{s}}", [0] * 7)):
        with pytest.raises(TooMuch):
            Template(source, html=True).render({"s": value}, most=10)


@pytest.mark.once
def test_steps_can_be_shared_by_the_renderings_of_one_request() -> None:
    template, steps = Template("{{#each a}}{{this}}{{/each}}", html=True), Steps(STEPS)
    with pytest.raises(TooMuch):
        for _ in range(STEPS):
            template.render({"a": THOUSAND}, steps=steps)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{#if a}}" * 51 + "{{/if}}" * 51, "blocks may be nested at most 50 deep"),
        ("{{#if b}}" + "{{else if b}}x" * 100_000 + "{{/if}}", "blocks may be nested at most 50 deep"),
        ("{{lookup a " + "(lookup a " * 51 + "a" + ")" * 51 + "}}", "parentheses may be nested at most 50 deep"),
        ("{{a}}" * 10_001, "there may be at most 10,000 tags"),
        ("{{a" + ".b" * 2_000_000 + "}}", "there may be at most 100,000 words in tags"),
        ("x" * (5 * 1024 * 1024 + 1), "it may have at most 5,242,880 characters"),
    ],
)
def test_a_template_is_bounded_in_size_and_depth(source: str, reason: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(source, html=True)
    assert caught.value.reason == reason


def test_the_deepest_template_that_is_taken_can_be_rendered() -> None:
    blocks = Template("{{#if a}}" * 50 + "x" + "{{/if}}" * 50, html=True)
    assert blocks.render({"a": 1}) == "x"
    parentheses = Template("{{lookup o " + "(lookup o " * 49 + "k" + ")" * 49 + "}}", html=True)
    assert parentheses.render({"o": {"k": "k"}, "k": "k"}) == "k"


@pytest.mark.once
@pytest.mark.parametrize(
    "piece",
    [
        "{{{",
        "{{",
        '{{a "',
        "{{a '",
        "{{[",
        "{{!-- ",
        "{{! ",
        "{{{{a}}}}",
        "\\{{",
        "\\\\",
        "{{a ",
        "{{~",
        "}}",
        "{{a}} \n",
        '\\"',
    ],
)
def test_nonsense_takes_no_more_time_than_its_length(piece: str) -> None:
    """Ten seconds of a loaded machine would be a backtracking pattern; all of these take less than one."""
    for start in ("", "{{a ", '{{a "', "{{["):
        source = start + piece * (1_000_000 // len(piece))
        try:
            Template(source, html=True).render({})
        except TemplateError:
            continue


def test_lists_in_lists_are_printed_up_to_a_depth() -> None:
    deep: list[object] = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(TemplateError, match="nested at most 100 deep"):
        Template("{{deep}}", html=True).render({"deep": deep})
