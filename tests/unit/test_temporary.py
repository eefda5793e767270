"""A temporary file says whose it is, resumes, and never passes lost bytes off as written."""

import errno
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightferry import temporary as temporary_module
from nightferry.durable import Root, init_location, parse_temporary, temporary_path
from nightferry.errors import Retry, Unavailable
from nightferry.names import to_bytes, to_text

TOKEN = "0190b5a0-7e1c-7000-8000-0123456789ab"
FINAL = "2024/05/package.tar"
TEMPORARY = f"2024/05/.package.tar.{TOKEN}.part"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    init_location(tmp_path, "archive")
    with Root.open("archive", tmp_path) as opened:
        yield opened


def test_its_name_lies_beside_the_file_and_carries_the_token() -> None:
    assert temporary_path(FINAL, TOKEN) == TEMPORARY
    assert parse_temporary(TEMPORARY) == TOKEN


@given(st.binary(min_size=1, max_size=255).filter(lambda b: not {0, 47} & set(b)))
def test_its_name_fits_and_is_found_again_whatever_the_file_is_called(name: bytes) -> None:
    if name in (b".", b".."):
        name += b"_"
    path = temporary_path(to_text(b"night/" + name), TOKEN)
    assert parse_temporary(path) == TOKEN
    assert len(to_bytes(path).rpartition(b"/")[2]) <= 255


def test_long_names_that_begin_alike_do_not_share_a_temporary() -> None:
    names = ["n" * 254 + end for end in "ab"]
    assert len({temporary_path(name, TOKEN) for name in names}) == 2


@pytest.mark.parametrize("token", ["", "../up", TOKEN.upper(), TOKEN + "x", "*"])
def test_a_token_is_a_uuid(token: str) -> None:
    with pytest.raises(ValueError, match="uuid"):
        temporary_path(FINAL, token)


def test_it_goes_on_after_what_is_there(root: Root, tmp_path: Path) -> None:
    with root.temporary(FINAL, TOKEN, resume=True) as first:
        first.write(b"begun, ")
    with root.temporary(FINAL, TOKEN, resume=True) as second:
        assert second.offset == 7
        second.write(b"ended")
        second.finish()
    assert (tmp_path / TEMPORARY).read_bytes() == b"begun, ended"


def test_without_resume_what_is_there_is_begun_anew(root: Root, tmp_path: Path) -> None:
    with root.temporary(FINAL, TOKEN, resume=True) as first:
        first.write(b"begun")
    with root.temporary(FINAL, TOKEN) as second:
        assert second.offset == 0
        second.write(b"new")
        second.finish()
    assert (tmp_path / TEMPORARY).read_bytes() == b"new"


@pytest.mark.parametrize("resume", [True, False])
def test_a_worker_that_wakes_late_writes_into_nothing(
    root: Root, tmp_path: Path, resume: bool
) -> None:
    frozen = root.temporary(FINAL, TOKEN, resume=True)
    frozen.write(b"old")
    with root.temporary(FINAL, TOKEN, resume=resume) as successor:
        assert successor.offset == 0
        successor.write(b"new")
        frozen.write(b" and late")
        frozen.discard()
        successor.finish()
    assert (tmp_path / TEMPORARY).read_bytes() == b"new"


def test_a_published_file_is_not_written_through_its_left_over_second_name(
    root: Root, tmp_path: Path
) -> None:
    with root.temporary(FINAL, TOKEN) as published:
        published.write(b"published")
        published.finish()
    os.link(tmp_path / TEMPORARY, tmp_path / FINAL)
    with root.temporary(FINAL, TOKEN, resume=True) as again:
        assert again.offset == 0
        again.write(b"other")
        again.finish()
    assert (tmp_path / FINAL).read_bytes() == b"published"


def test_an_error_keeps_it_only_where_it_can_be_resumed(root: Root, tmp_path: Path) -> None:
    for resume in (True, False):
        with pytest.raises(InterruptedError), root.temporary(FINAL, TOKEN, resume=resume):
            raise InterruptedError
        assert (tmp_path / TEMPORARY).exists() == resume


def test_a_failed_fsync_is_final(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with root.temporary(FINAL, TOKEN, resume=True) as temporary:
        temporary.write(b"bytes")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(Retry, match="discarded"):
            temporary.finish()
    assert not (tmp_path / TEMPORARY).exists()


def test_bytes_that_the_disk_refuses_on_the_way_are_as_final(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, offset: int, size: int, flags: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(temporary_module, "_sync_range", fail)
    temporary = root.temporary(FINAL, TOKEN, resume=True)
    with temporary, pytest.raises(Retry, match="discarded"):
        temporary.write(bytes(temporary_module.STEP))
    assert not (tmp_path / TEMPORARY).exists()


def test_little_is_unsynced_at_any_time(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_module, "STEP", 1024)
    real, waited = temporary_module._sync_range, [0]

    def sync(fd: int, offset: int, size: int, flags: int) -> None:
        real(fd, offset, size, flags)
        if flags & temporary_module._WAIT_AFTER:
            assert offset == waited[-1]
            waited.append(offset + size)

    monkeypatch.setattr(temporary_module, "_sync_range", sync)
    with root.temporary(FINAL, TOKEN) as temporary:
        for size in (10, 5000, 1, 1024, 3000):
            temporary.write(bytes(size))
            assert temporary.offset - waited[-1] <= 3 * 1024


def test_where_ranges_cannot_be_synced_the_file_is(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, offset: int, size: int, flags: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    synced = []
    monkeypatch.setattr(temporary_module, "_sync_range", refuse)
    monkeypatch.setattr(os, "fsync", synced.append)
    with root.temporary(FINAL, TOKEN) as temporary:
        temporary.write(bytes(3 * temporary_module.STEP))
        assert len(synced) == 3


def test_any_buffer_can_be_written(root: Root, tmp_path: Path) -> None:
    with root.temporary(FINAL, TOKEN) as temporary:
        for buffer in (b"ab", bytearray(b"cd"), memoryview(b"ef"), memoryview(b"0123").cast("I")):
            temporary.write(buffer)
        temporary.finish()
    assert (tmp_path / TEMPORARY).read_bytes() == b"abcdef0123"


@needs_root
@pytest.mark.parametrize("options", ["size=64k", "nr_inodes=4,size=1M"])
def test_a_full_location_is_named_and_what_fits_is_kept(tmp_path: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", tmp_path], check=True)
    try:
        init_location(tmp_path, "buffer")
        with Root.open("buffer", tmp_path) as root:
            with pytest.raises(Retry, match="buffer is full: make room there"):
                fill(root)
            for one in root.temporaries():
                root.discard(one.path)
            with root.temporary("small", TOKEN) as small:
                small.write(b"fits")
                small.finish()
            assert root.publish(small.path, "small", hashlib.sha256(b"fits").hexdigest())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def fill(root: Root) -> None:
    for number in range(10):
        with root.temporary(f"package-{number}.tar", TOKEN, resume=True) as temporary:
            temporary.write(bytes(20_000))


@needs_root
def test_a_location_mounted_read_only_is_unavailable_for_writing(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=True)
    try:
        init_location(tmp_path, "source")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        with Root.open("source", tmp_path) as root, pytest.raises(Unavailable, match="for writing"):
            root.temporary(FINAL, TOKEN)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
