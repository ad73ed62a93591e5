"""The control socket: how the owner of a data folder finds and reaches the engine that runs on it.

1. The engine listens on the socket `control` in its data folder, mode 0600 in a folder of mode 0700. Only the owner and
   root can open it, so it needs no token. The engine creates it while it holds the folder's lock, so an existing one
   was left by a killed engine and is replaced.
2. In the folder in which it was started, the engine leaves a link `.engine-<digits>` to its data folder. Commands look
   there first and follow a link only if an engine runs on its folder. The next engine started there removes the links
   that killed engines left.

Both are removed when the engine stops. If either cannot be created (no room, not supported by the file system), the
engine runs without it, and commands need `--url` and a token, or `--config`. A missing socket is logged once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from engine.store import database, files

log = logging.getLogger("engine.control")

BACKLOG = 64
LINK = ".engine-"


@contextlib.contextmanager
def opened(folder: Path, started_in: Path) -> Iterator[socket.socket | None]:
    """The listening socket of the engine that holds `folder`'s lock; None if it cannot be created."""
    folder = folder.absolute()
    link = _link(started_in, folder)
    try:
        listening = _listen(folder)
    except OSError as error:
        log.warning(
            "%s cannot be created (%s): commands need --url and a token", folder / files.CONTROL, error.strerror
        )
        yield None
        return
    try:
        _point(link, folder)
        yield listening
    finally:
        listening.close()
        for left in (link, folder / files.CONTROL):
            with contextlib.suppress(OSError):
                left.unlink()


def connect(folder: Path, timeout: float) -> socket.socket:
    """A connection to the engine on `folder`. `timeout` is in seconds. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with _short(folder) as path:
            sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def started_here(here: Path) -> tuple[list[Path], list[Path]]:
    """The data folders of running engines that were started in `here`, and those that other users' links name."""
    ours, others = [], []
    for link in sorted(here.glob(f"{LINK}*")):
        try:
            owner, folder = link.lstat().st_uid, Path(os.readlink(link))
            if owner != os.geteuid():
                others.append(folder)
            elif database.in_use(folder):
                ours.append(folder)
        except OSError:
            continue  # no link, or what it names is gone
    return ours, others


def _listen(folder: Path) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        (folder / files.CONTROL).unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(folder) as path:
            listening.bind(path)
        (folder / files.CONTROL).chmod(files.FILE_MODE)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A short path to the socket, through an open folder: the kernel allows only 107 bytes."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{files.CONTROL}"
    finally:
        os.close(handle)


def _link(started_in: Path, folder: Path) -> Path:
    return started_in / f"{LINK}{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def _point(link: Path, folder: Path) -> None:
    """Create the link and remove those that killed engines left. Failures are ignored: commands then need a flag."""
    with contextlib.suppress(OSError):
        for other in link.parent.glob(f"{LINK}*"):
            if other == link or (other.is_symlink() and not _runs(other)):
                other.unlink()
        link.symlink_to(folder)


def _runs(link: Path) -> bool:
    try:
        return database.in_use(Path(os.readlink(link)))
    except PermissionError:
        return True
    except OSError:
        return False
