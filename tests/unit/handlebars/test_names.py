import pytest

from engine.handlebars.names import names_read
from engine.handlebars.tree import TemplateError


def test_every_place_in_which_a_name_may_stand() -> None:
    source = (
        "{{params.a}} {{{params.b.deep}}} {{#if params.c}}{{params.d}}{{else if params.e}}x{{else}}{{params.f}}{{/if}}"
        "{{#each params.g}}{{title}}{{/each}}{{formatDate params.h locale=params.i}}"
        "{{lookup (lookup params.j 0) params.k}}"
        "{{@root.params.l}} {{params}} {{account.name}} {{! params.comment }} {{params.a}}"
    )
    assert "".join(names_read(source, "params")) == "abcdefghijkl"
    assert names_read(source, "account") == ("name",)


def test_what_is_no_template() -> None:
    assert names_read("no braces, params.x", "params") == ()
    with pytest.raises(TemplateError):
        names_read("{{#if params.a}}", "params")
