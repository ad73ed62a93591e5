"""The files of exports: what is noted is on disk, what is not noted is cut off, and their room is bounded."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from engine.export.files import FOLDER, ExportFiles, OutOfRoom
from engine.world import World


@pytest.fixture
def files(tmp_path: Path) -> ExportFiles:
    return ExportFiles(tmp_path, 1_000_000, 0, World())


async def whole(files: ExportFiles, export: str, first: int = 0, end: int = 10**9) -> bytes:
    return b"".join([piece async for piece in files.read(export, first, end)])


async def test_members_one_after_the_other(files: ExportFiles) -> None:
    file = await files.open("a", 0)
    await file.write(b"one\n")
    first = await file.end_member()
    assert await file.end_member() == first, "nothing more was given"
    await file.write(os.urandom(600_000))
    await file.aclose()
    assert files.path("a").stat().st_size > first, "some of it is there, and was never noted"

    file = await files.open("a", first)
    await file.write(b"two\n")
    size = await file.end_member()
    await file.aclose()
    assert size == files.path("a").stat().st_size
    assert gzip.decompress(await whole(files, "a")) == b"one\ntwo\n"
    assert await whole(files, "a", 2, 7) == files.path("a").read_bytes()[2:7]


async def test_it_is_the_owners_alone(files: ExportFiles) -> None:
    await (await files.open("a", 0)).aclose()
    assert files.path("a").stat().st_mode & 0o777 == 0o600
    assert files.path("a").parent.stat().st_mode & 0o777 == 0o700


async def test_a_file_that_has_lost_something_is_an_error(files: ExportFiles) -> None:
    await (await files.open("a", 0)).aclose()
    with pytest.raises(OSError, match="shorter"):
        await files.open("a", 10)


async def test_those_of_no_export_are_swept_away(files: ExportFiles) -> None:
    await files.sweep(lambda: {"a"})
    for name in "ab":
        await (await files.open(name, 0)).aclose()
    await files.sweep(lambda: {"a"})
    assert [each.name for each in files.path("a").parent.iterdir()] == ["a.ndjson.gz"]
    await files.remove("a")
    await files.remove("a")
    assert list(files.path("a").parent.iterdir()) == []


@pytest.mark.parametrize(("quota", "spare", "said"), [(10, 0, "export.quota"), (1000, 2**60, "export.spare")])
async def test_there_is_no_room(tmp_path: Path, quota: int, spare: int, said: str) -> None:
    tmp_path.joinpath(FOLDER).mkdir()
    tmp_path.joinpath(FOLDER, "a.ndjson.gz").write_bytes(b"x" * 10)
    with pytest.raises(OutOfRoom, match=said):
        await ExportFiles(tmp_path, quota, spare, World()).refuse_unless_room()
    await ExportFiles(tmp_path, 11, 0, World()).refuse_unless_room()
