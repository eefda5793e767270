"""Unpacking makes the files that the document names, and acts on nothing else in a hostile tar."""

import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from nightferry.errors import Retry
from nightferry.names import to_bytes
from nightferry.packaging import tar
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Document
from nightferry.packaging.read import Refused, Source
from nightferry.packaging.unpack import unpack

from tests.unit.packaging_night import (
    CONTENTS,
    document,
    intruder,
    with_member,
    write_package,
    write_sources,
)

GIVEN = document()
TOP = GIVEN.name


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("package")
    write_sources(folder / "source")
    write_package(folder / "source", folder / "x.tar", GIVEN)
    return (folder / "x.tar").read_bytes()


def unpack_bytes(raw: bytes, destination: Path, what: Document = GIVEN) -> None:
    unpack(Source(len(raw), lambda at, length: iter([raw[at : at + length]])), destination, what)


def tree(folder: Path) -> dict[bytes, bytes]:
    found = {}
    for parent, folders, names in os.walk(os.fsencode(folder)):
        for name in folders + names:
            path = os.path.join(parent, name)
            assert not os.path.islink(path)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[os.path.relpath(path, os.fsencode(folder))] = file.read()
            else:
                assert os.path.isdir(path)
    return found


def test_the_files_come_back_under_their_original_names(good: bytes, tmp_path: Path) -> None:
    unpack_bytes(good, tmp_path / "new")
    assert tree(tmp_path / "new") == CONTENTS
    for m in GIVEN.members[:3]:
        status = os.stat(os.path.join(os.fsencode(tmp_path / "new"), to_bytes(m.path)))
        assert (status.st_mtime, status.st_mode & 0o7777, status.st_nlink) == (m.mtime, 0o644, 1)


HOSTILE = {
    "absolute": (intruder("/tmp/nightferry-was-here"), "an absolute path"),
    "dot dot": (intruder(f"{TOP}/data/../../../out"), r"a path with '\.\.'"),
    "symlink": (intruder(f"{TOP}/data/2024", tarfile.SYMTYPE, linkname="/"), "a symbolic link"),
    "hard link": (intruder(f"{TOP}/data/x", tarfile.LNKTYPE, linkname="/etc/passwd"), "a hard"),
    "character device": (intruder(f"{TOP}/data/x", tarfile.CHRTYPE), "a character device"),
    "block device": (intruder(f"{TOP}/data/x", tarfile.BLKTYPE), "a block device"),
    "FIFO": (intruder(f"{TOP}/data/x", tarfile.FIFOTYPE), "a FIFO"),
    "directory": (intruder(f"{TOP}/data/x", tarfile.DIRTYPE), "a directory"),
    "sparse": (intruder(f"{TOP}/data/x", tarfile.GNUTYPE_SPARSE), "a sparse file"),
    "setuid": (intruder(f"{TOP}/data/x", mode=0o4755), "with mode 0004755"),
    "duplicate": (intruder(f"{TOP}/{GIVEN.members[0].name}"), "a second time"),
    "not in the manifest": (intruder(f"{TOP}/data/extra", size=700), "a file named"),
    "4096-byte name": (intruder("d/" * 2047 + "xx"), "a file with a long name"),
    "not UTF-8": (intruder(f"{TOP}/data/\udce9"), "a name that is not UTF-8"),
}


@pytest.mark.parametrize("where", ["bagit.txt", "data/empty.fits", "nightferry.json"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_member_is_refused_with_the_reason(
    good: bytes, tmp_path: Path, kind: str, where: str
) -> None:
    foreign, reason = HOSTILE[kind]
    bad = with_member(good, GIVEN, where, foreign)
    (tmp_path / "inside").mkdir()
    with pytest.raises(Refused, match=reason) as caught:
        unpack_bytes(bad, tmp_path / "inside" / "new")
    assert f"left in {tmp_path / 'inside' / 'new'}" in str(caught.value)
    assert os.listdir(tmp_path) == ["inside"]
    assert os.listdir(tmp_path / "inside") == ["new"]
    assert tree(tmp_path / "inside" / "new").items() <= CONTENTS.items()
    assert not os.path.lexists("/tmp/nightferry-was-here")


def test_a_link_in_the_place_of_a_file_is_refused(good: bytes, tmp_path: Path) -> None:
    entry = next(e for e in plan(GIVEN).entries() if e.name == "data/empty.fits")
    link = intruder(f"{TOP}/data/empty.fits", tarfile.SYMTYPE, linkname="/etc/passwd")
    bad = good[: entry.offset - 512] + link + good[entry.offset :]
    with pytest.raises(Refused, match="a symbolic link"):
        unpack_bytes(bad, tmp_path / "new")
    assert not os.path.lexists(tmp_path / "new" / "empty.fits")


def test_a_tar_with_100_000_more_members_is_refused_at_the_first(
    good: bytes, tmp_path: Path
) -> None:
    start = plan(GIVEN).offsets[0] - 512
    flood = b"".join(tar.header(b"%s/data/%06d" % (TOP.encode(), n), 0, 0) for n in range(100_000))
    with pytest.raises(Refused, match="data/000000"):
        unpack_bytes(good[:start] + flood + good[start:], tmp_path / "new")
    assert tree(tmp_path / "new") == {}


def test_a_package_cut_at_any_member_is_refused(good: bytes, tmp_path: Path) -> None:
    for n, entry in enumerate(plan(GIVEN).entries()):
        with pytest.raises(Refused, match="the end of the file"):
            unpack_bytes(good[: entry.offset - len(entry.header)], tmp_path / str(n))
    with pytest.raises(Refused, match="should end after"):
        unpack_bytes(good[:-1024], tmp_path / "no end blocks")
    with pytest.raises(Refused, match="should end after"):
        unpack_bytes(good[:-512], tmp_path / "one end block")


def test_an_end_that_is_not_empty_is_refused(good: bytes, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="should end after"):
        unpack_bytes(good[:-1024] + b"x" * 1024, tmp_path / "new")


def test_bytes_after_the_end_are_refused(good: bytes, tmp_path: Path) -> None:
    for n, tail in enumerate((b"!", bytes(512), intruder("late") + tar.END)):
        with pytest.raises(Refused, match="should end after"):
            unpack_bytes(good + tail, tmp_path / str(n))


def test_a_file_that_rotted_is_refused_and_named(good: bytes, tmp_path: Path) -> None:
    at = plan(GIVEN).offsets[2]
    m = GIVEN.members[2]
    bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    with pytest.raises(Refused, match="its SHA-256 is not the registered one") as caught:
        unpack_bytes(bad, tmp_path / "new")
    assert m.path in str(caught.value)


def test_the_package_of_another_document_is_refused(good: bytes, tmp_path: Path) -> None:
    other = replace(GIVEN, owner="somebody else")
    with pytest.raises(Refused, match=r"tagmanifest-sha256\.txt is not the one"):
        unpack_bytes(good, tmp_path / "new", other)


def test_a_destination_that_exists_is_never_written_into(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for name in ("there", "link"):
        with pytest.raises(Retry, match="File exists"):
            unpack_bytes(good, tmp_path / name)
    assert os.listdir(tmp_path / "there") == []


def test_a_disk_that_says_it_took_more_than_it_has_is_found_out(
    good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is played: no disk here lies when it is asked to."""
    write = os.write
    lies = iter([1])
    monkeypatch.setattr(os, "write", lambda fd, part: next(lies, None) or write(fd, part))
    with pytest.raises(Retry, match="its disk took") as caught:
        unpack_bytes(good, tmp_path / "new")
    assert "kernel's log" in str(caught.value)
