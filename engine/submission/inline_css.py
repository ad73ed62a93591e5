"""Inlines the rules of `<style>` into `style` attributes, since some mail programs drop `<style>`.

Nothing is loaded: neither linked sheets nor files. `<style>` stays for what no attribute can say: `:hover`, `@media`.

The work is done in a process of its own. css-inline cannot be stopped, a few kilobytes of odd styles take it minutes,
and it holds the interpreter's lock meanwhile, so in a thread it would stall every account. The process has limits on
time and memory, and is killed when it exceeds them.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import trio

SECONDS: Final = 5
"""For one message, and for the processor time of its process."""
LONGEST: Final = 1_000_000
"""The longest HTML that is taken, and that it may become; in characters."""
AT_ONCE: Final = 2
_MEMORY: Final = 512 * 1024 * 1024
_PROGRAM: Final = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, {_MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
import css_inline
inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_link_tags=True)
try:
    made = inliner.inline(sys.stdin.buffer.read().decode())
except css_inline.InlineError:
    sys.exit(2)
sys.stdout.buffer.write(made.encode())
"""


class InlineCss:
    """Inlines styles, for a few messages at a time."""

    def __init__(self) -> None:
        self._turn = trio.CapacityLimiter(AT_ONCE)

    async def inlined(self, html: str) -> str:
        """`html` as a whole document with its styles inlined. Raises ValueError, which says why that is impossible.

        Cancelled: the process is killed.
        """
        if len(html) > LONGEST:
            raise ValueError(f"is longer than {LONGEST:,} characters, which `inlineCss` takes")
        if "<style" not in html.lower():
            return html
        async with self._turn:
            with trio.move_on_after(SECONDS) as time:
                done = await trio.run_process(
                    [sys.executable, "-I", "-c", _PROGRAM],
                    stdin=html.encode("utf-8", "replace"),
                    capture_stdout=True,
                    stderr=subprocess.DEVNULL,
                    check=False,
                    deliver_cancel=_kill,
                )
        if time.cancelled_caught or done.returncode not in (0, 2):
            raise ValueError(f"has styles that cannot be put into its tags within {SECONDS} seconds")
        if done.returncode == 2:
            raise ValueError("has styles that cannot be read")
        made = done.stdout.decode()
        if len(made) > LONGEST:
            raise ValueError(f"is longer than {LONGEST:,} characters once its styles are in its tags")
        return made


async def _kill(process: trio.Process) -> None:
    process.kill()
