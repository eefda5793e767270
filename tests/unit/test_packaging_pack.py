"""Packing compares every file with what was registered, and reads no byte beyond."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from nightferry.errors import LeaseLost, Unreadable
from nightferry.names import to_bytes
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Member
from nightferry.packaging.pack import MemberChanged, pack
from nightferry.packaging.read import Source, check

from tests.unit.packaging_night import document, write_package, write_sources

FILES = {b"a.fits": b"a" * 3_000_000, b"b.fits": b"b" * 70_000, b"c.fits": b"c"}


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def rot(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


@pytest.mark.parametrize("name", ["a.fits", "b.fits", "c.fits"])
@pytest.mark.parametrize(
    ("spoil", "change"),
    [(grow, "grown"), (shorten, "short"), (rot, "different"), (os.unlink, "gone")],
)
def test_a_file_that_is_not_the_registered_one_aborts_the_package(
    tmp_path: Path, name: str, spoil: Callable[[Path], None], change: str
) -> None:
    write_sources(tmp_path, FILES)
    spoil(tmp_path / name)
    with pytest.raises(MemberChanged, match=name) as caught:
        write_package(tmp_path, tmp_path / "x.tar", document(FILES))
    assert caught.value.path == name
    assert caught.value.change == change
    assert caught.value.reason == "a file changed before it was packaged"


def test_the_error_crosses_from_the_child_to_the_parent() -> None:
    error = pickle.loads(pickle.dumps(MemberChanged("a.fits", "grown")))
    assert (error.path, error.change) == ("a.fits", "grown")
    assert "longer" in str(error)


def test_a_file_that_cannot_be_read_is_said_to_be_unreadable(tmp_path: Path) -> None:
    write_sources(tmp_path, FILES)

    def open_a_folder(m: Member) -> int:
        return os.open(tmp_path, os.O_RDONLY)

    with pytest.raises(Unreadable, match=r"a\.fits: Is a directory"):
        pack(document(FILES), open_a_folder, lambda chunk: None, lambda written: None)


def test_every_descriptor_is_closed_also_after_an_error(tmp_path: Path) -> None:
    write_sources(tmp_path, FILES)
    before = set(os.listdir("/proc/self/fd"))
    write_package(tmp_path, tmp_path / "x.tar", document(FILES))
    rot(tmp_path / "b.fits")
    with pytest.raises(MemberChanged):
        write_package(tmp_path, tmp_path / "y.tar", document(FILES))
    assert set(os.listdir("/proc/self/fd")) == before


def test_progress_ends_at_the_size_of_the_tar_and_may_stop_the_work(tmp_path: Path) -> None:
    write_sources(tmp_path, FILES)
    seen: list[int] = []
    what = document(FILES)

    def opened(m: Member) -> int:
        return os.open(os.path.join(os.fsencode(tmp_path), to_bytes(m.path)), os.O_RDONLY)

    packed = pack(what, opened, lambda chunk: None, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == packed.size == plan(what).size
    assert packed.members == 3

    def lost(written: int) -> None:
        raise LeaseLost("another worker has it")

    with pytest.raises(LeaseLost):
        pack(what, opened, lambda chunk: None, lost)


def test_a_thousand_small_files_and_one_over_many_buffers_are_packed_right(tmp_path: Path) -> None:
    files = {b"big.fits": os.urandom(21_000_001)}
    files |= {b"s/%04d.fits" % n: os.urandom(n * 37) for n in range(1000)}
    write_sources(tmp_path, files)
    packed = write_package(tmp_path, tmp_path / "x.tar", document(files))
    with (tmp_path / "x.tar").open("rb") as file:
        assert check(Source.of_fd(file.fileno()), document(files)) == []
    assert packed.members == 1001
