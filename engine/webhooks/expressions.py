"""Filters and maps of webhooks: JMESPath, which is data and not code.

An expression sees only the event, calls only JMESPath's own functions, changes nothing and cannot loop. Its cost is
bounded: its length, its nesting, and the work of one evaluation, measured by what each step produces (otherwise a few
nested lists could double a value a hundred times over). Too much work, a type that JMESPath refuses, or a wrong
function call raises `ExpressionError` with one line of text.
"""

from __future__ import annotations

import copy
from typing import Any

import jmespath.exceptions
import jmespath.parser
import jmespath.visitor

from engine.webhooks import expression_checks
from engine.webhooks.expression_checks import ExpressionError

LONGEST = 2000
"""Maximum characters of an expression."""
DEEPEST = 60
WORK = 200_000
"""Maximum work of one evaluation, about 30 ms. A step costs 10; each value it produces, and each 16 characters, 1."""
STEP = 10


class Expression:
    """One compiled expression. Raises `ExpressionError` if the text is invalid."""

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > LONGEST:
            raise ExpressionError(f"is longer than {LONGEST} characters")
        try:
            self._tree = copy.deepcopy(jmespath.parser.Parser().parse(text).parsed)
        except (jmespath.exceptions.JMESPathError, ValueError) as error:
            raise ExpressionError(f"is not JMESPath: {_one_line(error)}") from error
        except RecursionError as error:
            raise ExpressionError("is nested too deeply") from error
        if _depth(self._tree) > DEEPEST:
            raise ExpressionError("is nested too deeply")

    def check(self) -> None:
        """Raise `ExpressionError` if a part of it can never have a value, which is probably a mistake.

        This is not part of compiling, so that expressions stored earlier keep working.
        """
        expression_checks.check(self._tree)

    def evaluate(self, value: Any) -> Any:
        """Apply the expression to `value`, which is not changed. Raises `ExpressionError`."""
        try:
            return _Interpreter().visit(self._tree, value)
        except (jmespath.exceptions.JMESPathError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            if isinstance(error, ExpressionError):
                raise
            raise ExpressionError(_one_line(error)) from error

    def holds(self, value: Any) -> bool:
        """Whether the result is true in JMESPath's sense: not false, null, or an empty string, list or object."""
        result = self.evaluate(value)
        return not (result is None or result is False or result == "" or result == [] or result == {})


class _Interpreter(jmespath.visitor.TreeInterpreter):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self._left = WORK

    def visit(self, node: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        result = super().visit(node, *arguments, **named)
        self._left -= STEP
        self._charge(result if node["type"] in _MAKERS else None)
        return result

    def _charge(self, made: Any) -> None:
        waiting = [made]
        while waiting:
            value = waiting.pop()
            self._left -= 1 + (len(value) // 16 if isinstance(value, str) else 0)
            if self._left < 0:
                raise ExpressionError("is too much work")
            if isinstance(value, list):
                self._left -= len(value)
                waiting.extend(value if self._left >= 0 else ())
            elif isinstance(value, dict):
                self._left -= len(value)
                waiting.extend(value.values() if self._left >= 0 else ())


_MAKERS = {
    "multi_select_list",
    "multi_select_dict",
    "function_expression",
    "projection",
    "value_projection",
    "filter_projection",
    "flatten",
    "slice",
}
"""Steps whose result may be larger than their input."""


def _depth(tree: dict[str, Any]) -> int:
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in node.get("children", ()) if isinstance(child, dict))
    return deepest


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
