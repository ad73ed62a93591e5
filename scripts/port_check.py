"""Whether the port that the quickstart is to use is free: nothing happens, or one plain reason and exit code 1.

Run by any Python before anything is installed, so it imports nothing that is not part of Python.
"""

from __future__ import annotations

import os
import re
import socket
import sys


def why_not(host: str, port: str) -> OSError | ValueError | OverflowError | None:
    """What keeps the port from being listened to; None: nothing."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, ValueError, OverflowError) as error:
        return error
    return None


def refusal(host: str, port: str, again: str) -> str | None:
    """The advice to run `again` with a free port; None if this port is free."""
    wrong = why_not(host, port)
    if wrong is None:
        return None
    free = next((str(each) for each in range(3100, 9000, 100) if why_not(host, str(each)) is None), "0")
    other = re.sub(r"\bENGINE_HTTP__PORT=\S* ", "", again)
    advice = "Stop what is on it, or choose another port:"
    if isinstance(wrong, PermissionError):
        advice = "Only root may listen on ports below 1024. Choose another one:"
    return f"Port {port} on {host} cannot be used ({wrong}).\n{advice}  ENGINE_HTTP__PORT={free} {other}"


if __name__ == "__main__":
    text = refusal(
        os.environ.get("ENGINE_HTTP__HOST", "127.0.0.1"),
        os.environ.get("ENGINE_HTTP__PORT", "3000"),
        os.environ.get("QUICKSTART", "scripts/quickstart"),
    )
    if text is not None:
        sys.exit(f"\n{text}")
