"""A program beside the tests: has imported the engine once, and forks when a test starts one.

Starting Python and importing the engine costs most of what a short-lived engine costs at all. Forked from here, one has
its modules at once, and is in all else a process of its own: arguments, environment, folder, input and output, session,
and no open file of anybody else's. It runs `engine/__main__.py` as `python -m engine` does.

`fork_server.py HANDLE`: requests come on that socket, from `real.forking`, one at a time. It ends when the socket is
closed, and everything it forked with it. No thread runs here, nor may an event loop, since a fork copies neither.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
from typing import Any

LONGEST = 2**20
"""Bytes of a request."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer requests; returns only in a forked process, which is now set up to be an engine."""
    control = socket.socket(fileno=int(sys.argv[1]))
    del sys.path[0]  # The folder of this file, in which an engine has no business.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Ignored where the tests run under nohup.
    gc.disable()
    import engine.cli

    # All that an engine imports when it serves; a few only by the way.
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.freeze()  # Else the first collection of each engine would copy all pages of these modules.
    assert threading.active_count() == 1
    while True:
        message, handles, _, _ = socket.recv_fds(control, LONGEST, 3)
        if not message:
            os._exit(0)
        request: dict[str, Any] = json.loads(message)
        if (ended := request.get("ended")) is not None:
            _, status = os.waitpid(ended, 0)
            control.send(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())
            continue
        here = os.getpid()
        pid = os.fork()
        if pid == 0:
            control.detach()
            _become(request, handles, here)
            return
        handle = os.pidfd_open(pid)
        socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [handle])
        for each in (handle, *handles):
            os.close(each)


def _become(request: dict[str, Any], handles: list[int], parent: int) -> None:
    """What lies between fork and exec, and what Python does at its start."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    sys.argv[1:] = request["arguments"]
    # These are open as long as the process runs.
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    errors = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = errors  # type: ignore[misc]
    gc.enable()


def _end_quickly(ended: SystemExit) -> None:
    """End without taking all modules apart first, which copies the pages of them. Returns where it has to be done."""
    if not isinstance(ended.code, int) or any(not each.daemon for each in threading.enumerate()[1:]):
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended.code)


if __name__ == "__main__":
    main()
    try:
        runpy.run_module("engine", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end_quickly(ended)
        raise
