"""What JavaScript makes of JSON values, where Handlebars leaves it to JavaScript: text, truth, equality, members.

A value is what `json.loads` gives: a dict, a list, a string, a number, a boolean or None; `undefined` is None too. Only
members of dicts, items of lists and the characters and lengths of texts can be reached: no attribute of any Python
object.
"""

from __future__ import annotations

import math
import re
from typing import Final

from engine.handlebars.steps import Steps, TooMuch
from engine.handlebars.tree import TemplateError

Value = object
DEEPEST_LIST = 100
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "`": "&#x60;", "=": "&#x3D;"}
)
_NEEDS_ESCAPE = re.compile("[&<>\"'`=]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 400
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


def escaped(text: str) -> str:
    """`text` as it may stand in HTML, between tags and in quoted attributes."""
    return text.translate(_ESCAPES) if _NEEDS_ESCAPE.search(text) else text


def text_of(value: Value, most: int, steps: Steps, depth: int = 0) -> str:
    """`value` as text; None is empty. Raises `TooMuch` for a list of more than about `most` characters."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if not isinstance(value, list):
        return "[object Object]"
    if depth > DEEPEST_LIST:
        raise TemplateError(f"a list may be nested at most {DEEPEST_LIST} deep to be printed")
    steps.take(len(value))
    items = list[str]()
    for item in value:
        shown = text_of(item, most, steps, depth + 1)
        most -= len(shown) + 1
        if most < -1:
            raise TooMuch("a list is too long to be printed")
        items.append(shown)
    return ",".join(items)


def number_text(number: int | float) -> str:
    """A number as JavaScript writes it."""
    if isinstance(number, int) and abs(number) <= 2**53:
        return str(number)
    try:
        number = float(number)
    except OverflowError:
        number = math.inf if number > 0 else -math.inf
    if math.isnan(number) or math.isinf(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    mantissa, _, exponent = f"{number!r}".lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # The decimal point stands behind this many of the digits.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        shown = digits.ljust(point, "0")
        shown = shown[:point] + ("." + shown[point:] if len(shown) > point else "")
    elif -6 < point <= 0:
        shown = "0." + "0" * -point + digits
    else:
        shown = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{point - 1:+d}"
    return sign + shown


def member(value: Value, name: str, steps: Steps) -> Value:
    """The member of a dict, the item of a list, the character of a text, or a `length`; None if there is none."""
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list | str):
        if name == "length":
            return length(value, steps)
        if _INDEX.fullmatch(name) and int(name) < len(value):
            return value[int(name)]
    return None


def length(value: list[Value] | str, steps: Steps) -> int:
    """The number of items, or of UTF-16 code units."""
    if isinstance(value, list) or value.isascii():
        return len(value)
    steps.take(len(value) >> 6)
    return len(value.encode("utf-16-le", "surrogatepass")) // 2


def is_true(value: Value) -> bool:
    """Whether JavaScript takes a value for true: lists and objects always are."""
    if isinstance(value, dict | list):
        return True
    return bool(value) and value == value


def is_empty(value: Value) -> bool:
    """What `#if` and `#with` take for nothing besides 0."""
    if isinstance(value, list):
        return not value
    return not is_true(value) and (isinstance(value, bool) or not isinstance(value, int | float) or value != value)


def number_of(value: Value) -> float:
    """`value` as a number; NaN if it is none."""
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, list):
        value = text_of(value, _LONGEST_NUMBER, Steps(_LONGEST_NUMBER)) if len(value) < 2 else "x"
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return math.nan
    text = value.strip()
    if not text:
        return 0.0
    if _NUMBER.fullmatch(text):
        return float(text)
    return math.inf * (-1 if text[0] == "-" else 1) if text.lstrip("+-") == "Infinity" else math.nan


def equal(first: Value, second: Value, most: int, steps: Steps) -> bool:
    """JavaScript's `==`."""
    if first is None or second is None:
        return first is None and second is None
    if isinstance(first, dict | list) or isinstance(second, dict | list):
        if isinstance(first, dict | list) and isinstance(second, dict | list):
            return first is second
        first = text_of(first, most, steps) if isinstance(first, dict | list) else first
        second = text_of(second, most, steps) if isinstance(second, dict | list) else second
    if isinstance(first, str) and isinstance(second, str):
        return first == second
    return number_of(first) == number_of(second)


def keys_in_order(value: dict[str, Value]) -> list[str]:
    """The names of an object's members in JavaScript's order: array indexes first, by their number."""
    keys = list(value)
    indexes = [key for key in keys if _INDEX.fullmatch(key) and int(key) < 2**32 - 1]
    if not indexes:
        return keys
    indexes.sort(key=int)
    chosen = set(indexes)
    return indexes + [key for key in keys if key not in chosen]
