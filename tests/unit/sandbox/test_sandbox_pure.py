import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

POISON = """
import importlib, sys
import email.message  # the standard library's own, which draws in what the machine has
for name in ("trio", "os.path", "socket", "ssl", "time", "random"):
    if name not in sys.modules:
        sys.modules[name] = None
importlib.import_module(sys.argv[1])
assert sys.modules.get("trio") is None
"""


@pytest.mark.parametrize(
    "name",
    [
        "recipient_script",
        "script",
        "answering_mail",
        "imap_input",
        "imap_view",
        "imap_fetch",
        "imap_mime",
        "imap_search",
        "accounts",
    ],
)
def test_pure_modules_import_neither_trio_nor_the_machine(name):
    """Run apart, in an interpreter where Trio and what talks to the machine cannot be imported."""
    run = subprocess.run(
        [sys.executable, "-c", POISON, f"engine.sandbox.{name}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
