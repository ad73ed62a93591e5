import types
from collections.abc import Callable
from typing import Any

import pytest

from engine.web import layout
from engine.web.page import action, declared_in, page
from engine.web.pages import pages
from engine.web.roles import Role


async def _one(visit: Any, queue_id: str) -> Any: ...


async def _none(visit: Any) -> Any: ...


def module(**handlers: Callable[..., Any]) -> types.ModuleType:
    made = types.ModuleType("engine.web.pages.thing")
    for name, handler in handlers.items():
        copy = types.FunctionType(handler.__code__, {}, name)
        vars(copy).update(vars(handler))
        copy.__module__ = made.__name__
        setattr(made, name, copy)
    return made


def copied(handler: Callable[..., Any]) -> Any:
    return types.FunctionType(handler.__code__, {}, handler.__name__)


def test_a_page_is_found_by_its_declaration() -> None:
    one = page("/admin/things/{queue_id}", role=Role.READER, under="outbox")(copied(_one))
    two = action("/admin/things", role=Role.OWNER)(copied(_none))
    first, second = declared_in([module(one=one, two=two)])
    assert (first.rule, first.name, first.under, first.method) == ("/admin/things/<queue_id>", "thing", "outbox", "GET")
    assert (second.method, second.under, second.role) == ("POST", "thing", Role.OWNER)


@pytest.mark.parametrize(
    ("path", "handler"),
    [("/admin/things", _one), ("/admin/things/{id}", _one), ("/v1/things", _none), ("/adminx", _none)],
)
def test_a_declaration_that_does_not_fit_is_refused(path: str, handler: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"its handler takes|is not under"):
        declared_in([module(one=page(path, role=None)(copied(handler)))])


def test_a_path_is_declared_once() -> None:
    one, two = (page("/admin/things", role=None)(copied(_none)) for _ in range(2))
    with pytest.raises(ValueError, match="twice"):
        declared_in([module(one=one, two=two)])


@pytest.mark.once
def test_every_page_has_a_template_of_its_name() -> None:
    for name in {each.name for each in pages() if each.method == "GET"}:
        assert layout.environment.get_template(f"{name}.html")


def test_links_are_relative_to_the_page() -> None:
    assert layout.link("/admin", "/admin/outbox") == "admin/outbox"
    assert (
        layout.link("/admin/outbox/a%2Fb", "/admin", {"page": 0, "state": None, "q": "a b&"})
        == "../../admin?page=0&q=a+b%26"
    )
    assert layout.path("/admin/outbox/{}", "a/b?{c}") == "/admin/outbox/a%2Fb%3F%7Bc%7D"
