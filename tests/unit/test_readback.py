"""A copy is read in full and past the cache, and what is said of it is what was done."""

import errno
import fcntl
import hashlib
import os
import random
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry import readback
from nightferry.durable import Root, init_location
from nightferry.errors import Unavailable, Unreadable
from nightferry.filesystem import file_system_type, is_network
from nightferry.readback import BLOCK, Unfinished

SIZES = [0, 1, 4095, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 40 * BLOCK + 12345]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    init_location(tmp_path, "archive")
    with Root.open("archive", tmp_path) as opened:
        yield opened


def make(path: Path, size: int) -> str:
    data = random.Random(size).randbytes(size)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_read_to_its_last_byte(root: Root, tmp_path: Path, size: int) -> None:
    sha256 = make(tmp_path / "file", size)
    seen: list[int] = []
    reading = root.read_back("file", seen.append)
    assert (reading.sha256, reading.size) == (sha256, size)
    assert seen == sorted(set(seen))
    assert (seen or [0])[-1] == size


def test_a_disk_is_read_past_the_cache(root: Root, tmp_path: Path) -> None:
    make(tmp_path / "file", 100)
    try:
        os.close(os.open(tmp_path / "file", os.O_RDONLY | os.O_DIRECT))
    except OSError:
        pytest.skip("the file system of the temporary directory has no O_DIRECT")
    if file_system_type(tmp_path) in ("tmpfs", "zfs"):
        pytest.skip("the temporary directory is in memory")
    assert root.read_back("file").how == "medium"


def test_a_file_in_memory_is_not_said_to_be_read_from_a_medium() -> None:
    if not Path("/dev/shm").is_dir() or file_system_type("/dev/shm") != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        init_location(Path(directory), "memory")
        sha256 = make(Path(directory, "file"), BLOCK + 1)
        with Root.open("memory", Path(directory)) as root:
            reading = root.read_back("file")
    assert (reading.how, reading.sha256) == ("cache", sha256)


def test_a_network_file_system_is_said_to_be_one(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readback, "file_system_type_of", lambda fd: "nfs4")
    make(tmp_path / "file", 100)
    assert root.read_back("file").how == "remote"
    assert is_network("fuse.sshfs")
    assert not is_network("ext4")


@pytest.mark.parametrize("size", SIZES)
def test_without_o_direct_it_reads_the_same_and_says_cache(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(readback, "try_direct", lambda fd: False)
    sha256 = make(tmp_path / "file", size)
    reading = root.read_back("file")
    assert (reading.sha256, reading.how) == (sha256, "cache")


@pytest.mark.parametrize("size", [100, 10 * BLOCK + 7])
def test_o_direct_that_is_taken_and_then_refused_is_not_said_to_have_worked(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    real = os.preadv

    def refuse(fd: int, buffers: list[memoryview], offset: int) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", refuse)
    sha256 = make(tmp_path / "file", size)
    reading = root.read_back("file")
    assert (reading.sha256, reading.how) == (sha256, "cache")


def test_a_read_that_is_under_way_when_o_direct_is_given_up_is_done_again_too(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, give_up = os.preadv, readback._buffered
    first, second, given_up = threading.Lock(), threading.Event(), threading.Event()

    def refuse(fd: int, buffers: list[memoryview], offset: int) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            if first.acquire(blocking=False):
                assert second.wait(30)
            else:
                second.set()
                assert given_up.wait(30)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(fd, buffers, offset)

    def buffered(fd: int) -> None:
        give_up(fd)
        given_up.set()

    monkeypatch.setattr(os, "preadv", refuse)
    monkeypatch.setattr(readback, "_buffered", buffered)
    sha256 = make(tmp_path / "file", 10 * BLOCK + 7)
    assert root.read_back("file").sha256 == sha256


def test_short_reads_lose_nothing(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv

    def short(fd: int, buffers: list[memoryview], offset: int) -> int:
        return real(fd, [buffers[0][:8192]], offset)

    monkeypatch.setattr(os, "preadv", short)
    sha256 = make(tmp_path / "file", 3 * BLOCK + 5)
    assert root.read_back("file").sha256 == sha256


@pytest.mark.parametrize("size", [100, 20 * BLOCK])
def test_a_file_that_changes_meanwhile_is_neither_good_nor_bad(
    root: Root, tmp_path: Path, size: int
) -> None:
    make(tmp_path / "file", size)

    def append(_: int) -> None:
        with (tmp_path / "file").open("ab") as file:
            file.write(b"more")

    with pytest.raises(Unreadable, match="changed while it was read"):
        root.read_back("file", append)


@pytest.mark.parametrize("size", [100, 20 * BLOCK])
def test_a_disk_error_is_not_a_wrong_hash(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def fail(fd: int, buffers: list[memoryview], offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    make(tmp_path / "file", size)
    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(Unreadable, match="archive:file: Input/output error"):
        root.read_back("file")


def test_a_server_that_is_gone_is_an_unavailable_location(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, buffers: list[memoryview], offset: int) -> int:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    make(tmp_path / "file", 100)
    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(Unavailable) as caught:
        root.read_back("file")
    assert caught.value.what == "archive"


@pytest.mark.parametrize("size", [100, 20 * BLOCK])
def test_progress_stops_it_with_its_own_error(root: Root, tmp_path: Path, size: int) -> None:
    def stop(_: int) -> None:
        raise BrokenPipeError

    make(tmp_path / "file", size)
    with pytest.raises(BrokenPipeError):
        root.read_back("file", stop)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("after", [1, 3])
def test_a_reading_that_was_stopped_goes_on_where_it_ended(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, after: int
) -> None:
    sha256 = make(tmp_path / "file", size)
    part = Unfinished()
    calls: list[int] = []

    def stop(done: int) -> None:
        calls.append(done)
        if len(calls) % after == 0:
            raise BrokenPipeError

    for _ in range(100):
        stopped_at = part.size
        try:
            reading = root.read_back("file", stop, part)
        except BrokenPipeError:
            assert part.size > stopped_at or not size
        else:
            break
    assert (reading.sha256, reading.size) == (sha256, size)
    assert calls == sorted(set(calls)), "no byte was read twice"


def test_a_file_that_is_another_one_since_is_read_from_its_beginning(
    root: Root, tmp_path: Path
) -> None:
    make(tmp_path / "file", 5 * BLOCK)
    part = Unfinished()

    def stop(done: int) -> None:
        if done > 2 * BLOCK:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        root.read_back("file", stop, part)
    (tmp_path / "file").unlink()
    sha256 = make(tmp_path / "file", 4 * BLOCK)
    assert root.read_back("file", unfinished=part).sha256 == sha256


@pytest.mark.skipif(os.geteuid() != 0, reason="a loop device needs root")
def test_rot_under_the_cache_is_seen(tmp_path: Path) -> None:
    """One byte is changed on the medium while the page cache still has the good one."""
    image, mounted = tmp_path / "disk", tmp_path / "mounted"
    image.write_bytes(bytes(16 * 1024 * 1024))
    mounted.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        init_location(mounted, "archive")
        sha256 = make(mounted / "file", 100_000)
        data = (mounted / "file").read_bytes()
        with Root.open("archive", mounted) as root:
            assert root.read_back("file").sha256 == sha256
            loop = subprocess.run(
                ["findmnt", "-no", "SOURCE", mounted], check=True, capture_output=True, text=True
            ).stdout.strip()
            with open(loop, "r+b") as device:
                where = device.read().index(data[:4096])
                device.seek(where + 10)
                device.write(bytes([data[10] ^ 1]))
                device.flush()
                os.fsync(device.fileno())
            assert (mounted / "file").read_bytes() == data
            assert root.read_back("file").sha256 != sha256
    finally:
        subprocess.run(["umount", mounted], check=True)
