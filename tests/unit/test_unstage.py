"""What staging may remove again: what it made, in a PROCESSING location, and nothing else."""

import os
import socket
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from nightferry.child import Place, Task, Work
from nightferry.durable import Root, init_location
from nightferry.errors import GiveUp, Retry


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Root]:
    """A place to work, with a package that is staged and a person's own file beside it."""
    place = tmp_path / "work"
    (place / "staged/pkg/data/night").mkdir(parents=True)
    (place / "staged/pkg/data/night/f1.fits").write_bytes(b"frame")
    (place / "own.txt").write_bytes(b"mine")
    with Root.open("work", place, init_location(place, "work").marker) as root:
        yield root


def test_what_was_staged_goes_with_all_that_is_in_it_and_twice_is_once(work: Root) -> None:
    work.unstage("staged/pkg")
    work.unstage("staged/pkg")
    assert not (work.path / "staged/pkg").exists()
    assert (work.path / "own.txt").read_bytes() == b"mine"


def test_what_another_staged_there_since_it_was_looked_at_stays(work: Root) -> None:
    seen = work.stat("staged/pkg")
    work.unstage("staged/pkg", seen)
    (work.path / "staged/pkg/data").mkdir(parents=True)
    with pytest.raises(Retry, match="left as it is"):
        work.unstage("staged/pkg", seen)
    assert (work.path / "staged/pkg/data").is_dir()


@pytest.mark.parametrize(
    "path",
    [
        "own.txt", "staged", "requests", "staged/pkg/data", "staged/..", "../work", "/staged/pkg",
        ".nightferry/trash", "frames/pkg", "staged/",
    ],
)  # fmt: skip
def test_nothing_but_what_staging_makes_is_removed(work: Root, path: str) -> None:
    with pytest.raises(ValueError):
        work.unstage(path)
    assert (work.path / "staged/pkg/data/night/f1.fits").exists()


def test_a_link_in_it_goes_and_what_it_leads_to_stays(work: Root, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "f1.fits").write_bytes(b"the only one")
    (work.path / "staged/pkg/archive").symlink_to(archive)
    (work.path / "staged/pkg/f1.fits").symlink_to(archive / "f1.fits")
    work.unstage("staged/pkg")
    assert (archive / "f1.fits").read_bytes() == b"the only one"


def test_a_link_in_its_own_place_is_not_followed(work: Root, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "f1.fits").write_bytes(b"the only one")
    (work.path / "staged/other").symlink_to(archive)
    with pytest.raises(GiveUp, match="symbolic link"):
        work.unstage("staged/other")
    assert (archive / "f1.fits").exists()


def test_what_a_person_mounted_in_it_is_not_entered(work: Root, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a directory")
    archive, below = tmp_path / "archive", work.path / "staged/pkg/data/archive"
    archive.mkdir()
    below.mkdir()
    (archive / "f1.fits").write_bytes(b"the only one")
    subprocess.run(["mount", "--bind", archive, below], check=True)
    try:
        with pytest.raises(GiveUp, match="data/archive is a mount of its own") as caught:
            work.unstage("staged/pkg")
        assert caught.value.reason == "a mount among what was staged"
        assert (work.path / "staged/pkg/data/night/f1.fits").exists()
    finally:
        subprocess.run(["umount", below], check=True)
    assert (archive / "f1.fits").read_bytes() == b"the only one"
    work.unstage("staged/pkg")


def test_a_location_that_is_no_processing_one_is_not_touched(work: Root) -> None:
    """An instrument may have a folder of this name on its disk."""
    ours, _ = socket.socketpair()
    place = Place("work", work.path, "posix", "SOURCE", work.marker)
    task = Task("x:y", (), {"work": place})
    channel = Work(Connection(ours.detach()), task)
    with pytest.raises(GiveUp, match="work is a SOURCE: nothing is staged there"):
        channel.staging("work")
    channel.close()
