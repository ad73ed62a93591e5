"""How much work a rendering may still do.

Time and memory are bounded by counting, not by a clock: each node that is rendered, each turn of a loop, each item of a
list that is made into text, and each 64 characters that are compared or written cost a step, and each character written
takes room. When either is used up, the rendering ends with `TooMuch`, wherever it is, so no list in the parameters and
no loop in a loop can hold a thread.
"""

from __future__ import annotations

from typing import Final

from engine.handlebars.tree import TemplateError

STEPS: Final = 500_000
"""Of one rendering: at most about half a second."""


class TooMuch(TemplateError):
    """The template does too much work, or writes too much, for what its rendering may cost."""


class Steps:
    """How many steps are left, for one rendering or for all of a request."""

    __slots__ = ("left",)

    def __init__(self, left: int = STEPS) -> None:
        self.left = left

    def take(self, steps: int) -> None:
        """Use some. Raises `TooMuch` when there are no more."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch("it takes too much work to render: its loops make too many turns")
