"""docs/api.md is what `scripts/api_docs` makes, and every example in it is one that the engine would take or give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from answers import plain

from engine.api import operations
from engine.api.tags import TAGS
from engine.decoding.decode import decode_body, decode_query
from engine.http.examples import example
from engine.http.operation import Operation
from engine.schema.fields import Response

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = operations()


def named(found: Iterator[Operation]) -> list[object]:
    return [pytest.param(each, id=each.name) for each in found]


def test_the_file_is_what_the_script_makes() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "api_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_operation_is_in_one_group_that_there_is() -> None:
    assert {tag for each in OPERATIONS for tag in each.tags} == set(TAGS)
    assert all(len(each.tags) == 1 for each in OPERATIONS)


def test_no_two_operations_have_one_heading() -> None:
    assert len({each.summary for each in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("operation", named(each for each in OPERATIONS if each.body))
def test_a_body_that_is_shown_is_taken(operation: Operation) -> None:
    assert operation.body is not None
    decode_body(operation.body, msgspec.json.encode(example(operation.body)))


@pytest.mark.parametrize("operation", named(each for each in OPERATIONS if each.query))
def test_a_query_that_is_shown_is_taken(operation: Operation) -> None:
    assert operation.query is not None
    shown = (operation.query.EXAMPLE or {}).items()
    decode_query(operation.query, [(name, str(value)) for name, value in shown])


@pytest.mark.parametrize("operation", named(each for each in OPERATIONS if each.answers))
def test_an_answer_that_is_shown_is_one(operation: Operation) -> None:
    for kind in operation.answers:
        shown = example(kind)
        assert plain(msgspec.convert(shown, kind)) == shown


class Nothing(Response, frozen=True, kw_only=True):
    """A member without an example."""

    member: str


def test_a_member_without_an_example_is_named() -> None:
    with pytest.raises(ValueError, match=r"Nothing\.member"):
        example(Nothing)
