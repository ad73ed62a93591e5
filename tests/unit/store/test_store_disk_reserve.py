from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from engine.store.disk_reserve import FILE, SHARE, Reserve

SIZE = 64 * 1024


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the file system says of itself: bytes in all, bytes free."""
    room = {"size": 1024**3, "free": 1024**3}

    class Statvfs:
        f_frsize = 4096

        @property
        def f_blocks(self) -> int:
            return room["size"] // 4096

        @property
        def f_bavail(self) -> int:
            return room["free"] // 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Statvfs())
    return room


def test_it_is_really_allocated(tmp_path: Path, room: dict[str, int]) -> None:
    kept = Reserve(tmp_path, SIZE)
    assert not kept.has_room()
    kept.take()
    assert kept.has_room()
    assert (tmp_path / FILE).stat().st_blocks * 512 >= SIZE


def test_without_a_size_there_is_always_room(tmp_path: Path, room: dict[str, int]) -> None:
    room["free"] = 0
    (tmp_path / FILE).write_bytes(b"of an earlier run")
    kept = Reserve(tmp_path, 0)
    kept.take()
    assert kept.has_room(10**9)
    assert not kept.release()
    assert not (tmp_path / FILE).exists()


def test_new_work_needs_the_file_and_the_mark(tmp_path: Path, room: dict[str, int]) -> None:
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    room["free"] = SIZE
    assert kept.has_room()
    assert not kept.has_room(4096)
    room["free"] = SIZE - 4096
    assert not kept.has_room()
    room["free"] = 10 * SIZE
    assert kept.has_room()
    assert kept.release()
    assert not kept.has_room()
    assert not kept.release()


def test_it_is_taken_again_only_when_both_fit(tmp_path: Path, room: dict[str, int]) -> None:
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    kept.release()
    room["free"] = 2 * SIZE - 4096
    kept.take()
    assert not kept.whole
    room["free"] = 2 * SIZE
    kept.take()
    assert kept.whole


def test_on_a_small_file_system_it_is_a_share(
    tmp_path: Path, room: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    room["size"] = room["free"] = 1024**2
    kept = Reserve(tmp_path, 16 * 1024**2)
    assert kept.size == kept.low_water == 1024**2 // SHARE
    kept.take()
    assert kept.has_room()
    (record,) = caplog.records
    assert "the reserve for a full disk is 128 KiB" in record.getMessage()


def test_a_file_of_another_size_is_made_anew(tmp_path: Path, room: dict[str, int]) -> None:
    Reserve(tmp_path, 2 * SIZE).take()
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    assert (tmp_path / FILE).stat().st_size == SIZE
    with (tmp_path / FILE).open("r+b") as sparse:
        sparse.truncate(0)
        sparse.truncate(SIZE)
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    assert (tmp_path / FILE).stat().st_blocks * 512 >= SIZE


def test_no_room_for_the_file_leaves_nothing(
    tmp_path: Path, room: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    assert not kept.whole
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_allocate_is_said_once(
    tmp_path: Path, room: dict[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unable(handle: int, offset: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unable)
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    kept.take()
    assert kept.has_room()
    room["free"] = 0
    assert not kept.has_room()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_a_change_of_mind_is_logged_once(
    tmp_path: Path, room: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    kept = Reserve(tmp_path, SIZE)
    kept.take()
    for free in (0, 0, 10 * SIZE, 10 * SIZE):
        room["free"] = free
        kept.has_room()
    assert len(caplog.records) == 2


def test_a_start_without_room_gives_it_up(tmp_path: Path, room: dict[str, int]) -> None:
    Reserve(tmp_path, SIZE).take()
    Reserve(tmp_path, SIZE).make_way()
    assert (tmp_path / FILE).exists()
    room["free"] = 0
    Reserve(tmp_path, SIZE).make_way()
    assert not (tmp_path / FILE).exists()
