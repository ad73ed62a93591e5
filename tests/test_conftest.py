"""The rules of `conftest.py`, tried on a small file run by a pytest of its own, once as at home and once as in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILE = """
import logging
import hypothesis
from hypothesis import strategies

def test_error_logged():
    logging.getLogger("engine.queue.lane").error("lane of %s crashed", "example")

def test_error_logged_and_judged(engine_errors):
    logging.getLogger("engine.queue.lane").error("as expected")
    assert [record.getMessage() for record in engine_errors] == ["as expected"]

def test_warning_and_foreign_error_logged():
    logging.getLogger("engine").warning("only a warning")
    logging.getLogger("trio").error("not ours")

@hypothesis.given(strategies.integers())
def test_property(number):
    pass

def test_same_examples_every_time():
    assert hypothesis.settings().derandomize

def test_needs_dovecot(dovecot):
    pass
"""


@pytest.fixture(scope="module", params=["", "true"], ids=["home", "ci"])
def ci(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def report(ci: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints about the file on a machine without Dovecot."""
    folder = tmp_path_factory.mktemp("small")
    folder.joinpath("test_small.py").write_text(FILE)
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PATH": str(folder), "CI": ci}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-rA", "test_small.py"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True).stdout


def test_logged_error_fails_a_test_that_asserted_nothing_about_it(report: str) -> None:
    assert "ERROR test_small.py::test_error_logged - Failed: the engine logged errors" in report
    assert "engine.queue.lane: lane of example crashed" in report


def test_logged_error_is_left_to_a_test_that_asks_for_it(report: str) -> None:
    assert "PASSED test_small.py::test_error_logged_and_judged" in report
    assert "ERROR test_small.py::test_error_logged_and_judged" not in report


def test_warnings_and_other_loggers_are_nobodys_business(report: str) -> None:
    assert "PASSED test_small.py::test_warning_and_foreign_error_logged" in report
    assert "ERROR test_small.py::test_warning" not in report


def test_property_tests_live_with_the_rule(report: str) -> None:
    assert "PASSED test_small.py::test_property" in report


def test_only_ci_repeats_the_same_examples(report: str, ci: str) -> None:
    assert f"{'PASSED' if ci else 'FAILED'} test_small.py::test_same_examples_every_time" in report


def test_missing_server_skips_and_in_ci_fails(report: str, ci: str) -> None:
    if ci:
        assert "ERROR test_small.py::test_needs_dovecot - Failed: Dovecot left out, which CI does not allow" in report
    else:
        assert "Dovecot left out: Dovecot is not installed" in report or "Dovecot left out: a private Dovecot" in report
