"""A file of a location appears whole or not at all, vanishes only as it was told to, and each step
can be cut short anywhere and be done again.

Over 300 lines: each step of appearing and vanishing, with what can go wrong in it.
"""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nightferry import durable, place
from nightferry.durable import Root, init_location, parse_temporary, temporary_path
from nightferry.errors import GiveUp, Occupied, Retry, Unreadable
from nightferry.filesystem import file_system_type

TOKEN = "0190b5a0-7e1c-7000-8000-0123456789ab"
FINAL = "2024/05/d1001.fits"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def arrive(root: Root, data: bytes, final: str = FINAL, token: str = TOKEN) -> str:
    with root.temporary(final, token) as temporary:
        temporary.write(data)
        temporary.finish()
    return temporary.path


def put(root: Root, data: bytes, final: str = FINAL) -> None:
    root.publish(arrive(root, data, final, str(uuid.uuid4())), final, sha(data))


def files(directory: Path) -> dict[str, bytes]:
    """Every file below ``directory`` but the marker, and what is in it."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".nightferry-location"
    }


@pytest.fixture(params=["disk", "memory"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An empty directory, on the disk's file system and on tmpfs."""
    if request.param == "disk":
        yield tmp_path
        return
    if not Path("/dev/shm").is_dir() or file_system_type("/dev/shm") != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        yield Path(memory)


def refuse(number: int) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


RENAME = os.rename  # itself, also where a test counts the calls of os.rename


def rename(old_directory: int, old: bytes, new_directory: int, new: bytes) -> None:
    RENAME(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)


@pytest.fixture(params=["renameat2", "careless", "only links", "neither"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system can do: the capabilities it lacks are refused as the kernel would. A
    careless one renames over what is there, whatever it was told, as some FUSE libraries do."""
    if request.param == "careless":
        monkeypatch.setattr(durable, "rename_no_replace", rename)
    elif request.param != "renameat2":
        monkeypatch.setattr(durable, "rename_no_replace", refuse(errno.EINVAL))
    if request.param == "neither":
        monkeypatch.setattr(durable, "link", refuse(errno.EPERM))
    return str(request.param)


@pytest.fixture
def root(directory: Path) -> Iterator[Root]:
    init_location(directory, "archive")
    with Root.open("archive", directory) as opened:
        yield opened


@pytest.mark.usefixtures("calls")
class TestPublishing:
    def test_gives_the_temporary_its_name(self, root: Root, directory: Path) -> None:
        temporary = arrive(root, b"bytes")
        assert files(directory) == {temporary: b"bytes"}
        assert root.publish(temporary, FINAL, sha(b"bytes")) == "published"
        assert files(directory) == {FINAL: b"bytes"}

    def test_adopts_the_same_bytes(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        assert root.publish(arrive(root, b"bytes"), FINAL, sha(b"bytes")) == "identical"
        assert files(directory) == {FINAL: b"bytes"}

    @pytest.mark.parametrize("there", [b"other", b"another length"])
    def test_never_overwrites(self, root: Root, directory: Path, there: bytes) -> None:
        put(root, there)
        temporary = arrive(root, b"bytes")
        with pytest.raises(Occupied, match=FINAL):
            root.publish(temporary, FINAL, sha(b"bytes"))
        assert files(directory) == {FINAL: there, temporary: b"bytes"}

    def test_refuses_where_a_directory_or_link_stands(self, root: Root, directory: Path) -> None:
        temporary = arrive(root, b"bytes")
        (directory / FINAL).symlink_to("/etc/passwd")
        with pytest.raises(Occupied):
            root.publish(temporary, FINAL, sha(b"bytes"))
        (directory / FINAL).unlink()
        (directory / FINAL).mkdir()
        with pytest.raises(Occupied):
            root.publish(temporary, FINAL, sha(b"bytes"))

    def test_done_again_after_it_was_done_makes_it_durable_again(
        self, root: Root, directory: Path, synced: set[int]
    ) -> None:
        temporary = arrive(root, b"bytes")
        root.publish(temporary, FINAL, sha(b"bytes"))
        synced.clear()
        with Root.open("archive", directory) as after_a_crash:
            done = after_a_crash.publish(temporary, FINAL, sha(b"bytes"))
        assert done == "identical"
        assert synced >= inodes(directory, "", "2024", "2024/05", FINAL)

    def test_finds_other_bytes_where_it_was_done(self, root: Root, directory: Path) -> None:
        temporary = arrive(root, b"bytes")
        root.publish(temporary, FINAL, sha(b"bytes"))
        (directory / FINAL).write_bytes(b"rotte")
        with pytest.raises(Occupied):
            root.publish(temporary, FINAL, sha(b"bytes"))

    def test_syncs_file_directory_and_each_new_parent(
        self, root: Root, directory: Path, synced: set[int]
    ) -> None:
        root.publish(arrive(root, b"bytes"), FINAL, sha(b"bytes"))
        assert synced >= inodes(directory, "", "2024", "2024/05", FINAL)

    def test_says_when_neither_file_is_there(self, root: Root) -> None:
        with pytest.raises(FileNotFoundError, match=FINAL):
            root.publish(temporary_path(FINAL, TOKEN), FINAL, sha(b""))

    def test_takes_only_the_temporary_of_that_file(self, root: Root) -> None:
        temporary = arrive(root, b"bytes")
        with pytest.raises(ValueError, match="no temporary file of"):
            root.publish(temporary, "2024/05/d1002.fits", sha(b"bytes"))
        put(root, b"data", "2024/05/data.fits")
        with pytest.raises(ValueError):
            root.publish("2024/05/data.fits", FINAL, sha(b"data"))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The inodes that were fsynced."""
    seen: set[int] = set()
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        seen.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def inodes(directory: Path, *paths: str) -> set[int]:
    return {(directory / path).stat().st_ino for path in paths}


@pytest.mark.parametrize("calls", ["renameat2", "only links"], indirect=True)
@pytest.mark.usefixtures("calls")
def test_of_two_that_publish_at_once_one_wins_and_nothing_is_lost(root: Root) -> None:
    for turn in range(20):
        final = f"race/{turn}.fits"
        rivals = {
            arrive(root, data, final, str(uuid.uuid4())): data for data in (b"first", b"other")
        }
        outcomes: list[str] = []

        def publish(
            temporary: str, data: bytes, final: str = final, outcomes: list[str] = outcomes
        ) -> None:
            try:
                outcomes.append(root.publish(temporary, final, sha(data)))
            except Occupied:
                outcomes.append("occupied")

        threads = [threading.Thread(target=publish, args=rival) for rival in rivals.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["occupied", "published"]
        assert sum(one.path in rivals for one in root.temporaries()) == 1
        for temporary in rivals:
            root.discard(temporary)


def test_nothing_is_published_while_somebody_still_writes(root: Root, directory: Path) -> None:
    temporary = arrive(root, b"bytes")
    with (directory / temporary).open("ab"), pytest.raises(Retry, match="open for writing"):
        root.publish(temporary, FINAL, sha(b"bytes"))
    assert root.publish(temporary, FINAL, sha(b"bytes")) == "published"


def test_a_file_whose_bytes_the_disk_did_not_take_is_not_published(
    root: Root, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = arrive(root, b"bytes")
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(Retry, match="Input/output error"):
        root.publish(temporary, FINAL, sha(b"bytes"))
    assert files(directory) == {}


class Killer:
    """Ends a child process at its Nth call that changes or syncs anything, before or after it."""

    KILLED = 9

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.after = False
        for name in ("rename", "unlink", "rmdir", "mkdir", "fsync"):
            monkeypatch.setattr(os, name, self.deadly(getattr(os, name)))
        for name in ("rename_no_replace", "link"):
            monkeypatch.setattr(durable, name, self.deadly(getattr(durable, name)))

    def deadly(self, call: Callable[..., None]) -> Callable[..., None]:
        def deadly_call(*args: object, **kwargs: object) -> None:
            self.left -= 1
            if self.left == 0 and not self.after:
                os._exit(self.KILLED)
            try:
                call(*args, **kwargs)
            finally:
                if self.left == 0:
                    os._exit(self.KILLED)

        return deadly_call

    def was_killed(self, act: Callable[[Root], object], where: Path, number: int) -> bool:
        child = os.fork()
        if not child:
            with Root.open("archive", where) as root:
                self.left = number
                act(root)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, self.KILLED)
        return code == self.KILLED

    def everywhere(
        self, directory: Path, prepare: Callable[[Root], object], act: Callable[[Root], object]
    ) -> Iterator[Root]:
        """A location for each place where ``act`` can be cut short, after it was done again."""
        for number in range(1, 100):
            for self.after in (False, True):
                where = directory / f"{number}{self.after}"
                where.mkdir()
                init_location(where, "archive")
                with Root.open("archive", where) as before:
                    prepare(before)
                killed = self.was_killed(act, where, number)
                with Root.open("archive", where) as again:
                    act(again)
                    yield again
                shutil.rmtree(where)
            if not killed:
                assert number > 3, "it has so few steps that this test looked at none"
                return
        raise AssertionError("it never ended")


@pytest.mark.usefixtures("calls")
class TestCutShortAnywhereAndDoneAgain:
    @pytest.fixture
    def killer(self, calls: str, monkeypatch: pytest.MonkeyPatch) -> Killer:
        return Killer(monkeypatch)

    def test_publishing_ends_with_the_file_and_no_temporary(
        self, killer: Killer, tmp_path: Path
    ) -> None:
        temporary = temporary_path(FINAL, TOKEN)

        def write(root: Root) -> None:
            arrive(root, b"bytes")

        def publish(root: Root) -> None:
            root.publish(temporary, FINAL, sha(b"bytes"))

        for root in killer.everywhere(tmp_path, write, publish):
            assert files(root.path) == {FINAL: b"bytes"}

    def test_writing_ends_with_the_whole_file(self, killer: Killer, tmp_path: Path) -> None:
        for root in killer.everywhere(
            tmp_path, lambda root: None, lambda root: arrive(root, b"bytes")
        ):
            assert files(root.path) == {temporary_path(FINAL, TOKEN): b"bytes"}

    def test_trashing_ends_with_the_file_in_the_trash(self, killer: Killer, tmp_path: Path) -> None:
        entry = f".nightferry/trash/{TOKEN}/{FINAL}"
        for root in killer.everywhere(
            tmp_path, lambda root: put(root, b"bytes"), lambda root: root.trash(FINAL, TOKEN)
        ):
            assert files(root.path) == {entry: b"bytes"}

    def test_restoring_ends_with_the_file_in_its_place(
        self, killer: Killer, tmp_path: Path
    ) -> None:
        entry = f".nightferry/trash/{TOKEN}/{FINAL}"

        def trash(root: Root) -> None:
            put(root, b"bytes")
            root.trash(FINAL, TOKEN)

        for root in killer.everywhere(tmp_path, trash, lambda root: root.restore(entry, FINAL)):
            assert files(root.path) == {FINAL: b"bytes"}

    def test_trashing_after_a_restore_cut_short_ends_in_the_trash(
        self, killer: Killer, tmp_path: Path
    ) -> None:
        entry = f".nightferry/trash/{TOKEN}/{FINAL}"

        def trash(root: Root) -> None:
            put(root, b"bytes")
            root.trash(FINAL, TOKEN)

        restores = killer.everywhere(tmp_path, trash, lambda root: root.restore(entry, FINAL))
        for root in restores:
            root.trash(FINAL, TOKEN)
            assert files(root.path) == {entry: b"bytes"}

    def test_erasing_ends_with_nothing_and_no_empty_trash(
        self, killer: Killer, tmp_path: Path
    ) -> None:
        entry = f".nightferry/trash/{TOKEN}/{FINAL}"

        def trash(root: Root) -> None:
            put(root, b"bytes")
            root.trash(FINAL, TOKEN)

        for root in killer.everywhere(tmp_path, trash, lambda root: root.erase(entry)):
            assert files(root.path) == {}
            assert list((root.path / ".nightferry/trash").iterdir()) == []
            assert (root.path / "2024/05").is_dir()


def test_a_trash_cut_short_after_a_link_is_not_taken_for_done(
    root: Root, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, b"bytes")
    entry = root.trash(FINAL, TOKEN)
    os.link(directory / entry, directory / FINAL)  # a restore by link that never ended
    assert root.trash(FINAL, TOKEN) == entry
    assert files(directory) == {entry: b"bytes"}


@pytest.mark.usefixtures("calls")
class TestTheTrash:
    def test_keeps_the_path_and_the_token_in_its_entry(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        assert root.trash(FINAL, TOKEN) == f".nightferry/trash/{TOKEN}/{FINAL}"

    def test_leaves_a_new_file_under_the_old_name_where_it_is(
        self, root: Root, directory: Path
    ) -> None:
        put(root, b"bytes")
        entry = root.trash(FINAL, TOKEN)
        put(root, b"the next night's")
        assert root.trash(FINAL, TOKEN) == entry
        assert files(directory) == {entry: b"bytes", FINAL: b"the next night's"}

    def test_gives_nothing_back_over_a_new_file(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        entry = root.trash(FINAL, TOKEN)
        put(root, b"new")
        with pytest.raises(Occupied, match="move one of them by hand"):
            root.restore(entry, FINAL)
        assert files(directory) == {entry: b"bytes", FINAL: b"new"}

    @pytest.mark.parametrize("calls", ["renameat2", "only links"], indirect=True)
    def test_ends_a_restore_that_was_cut_short_after_a_link(
        self, root: Root, directory: Path
    ) -> None:
        put(root, b"bytes")
        entry = root.trash(FINAL, TOKEN)
        os.link(directory / entry, directory / FINAL)
        root.restore(entry, FINAL)
        assert files(directory) == {FINAL: b"bytes"}

    def test_gives_back_into_a_directory_that_has_gone(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        entry = root.trash(FINAL, TOKEN)
        (directory / "2024/05").rmdir()
        root.restore(entry, FINAL)
        assert files(directory) == {FINAL: b"bytes"}

    def test_never_removes_a_directory_of_the_source(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        root.erase(root.trash(FINAL, TOKEN))
        assert (directory / "2024/05").is_dir()
        assert not (directory / ".nightferry/trash" / TOKEN).exists()

    def test_keeps_the_entries_that_were_not_erased(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        put(root, b"other", "2024/05/d1002.fits")
        first, second = root.trash(FINAL, TOKEN), root.trash("2024/05/d1002.fits", TOKEN)
        root.erase(first)
        assert files(directory) == {second: b"other"}

    def test_takes_no_directory_and_no_link(self, root: Root, directory: Path) -> None:
        put(root, b"bytes")
        (directory / "link.fits").symlink_to(FINAL)
        for path in ("2024", "link.fits"):
            with pytest.raises(GiveUp, match="no regular file"):
                root.trash(path, TOKEN)
        assert files(directory)[FINAL] == b"bytes"

    def test_says_when_neither_file_nor_entry_is_there(self, root: Root) -> None:
        with pytest.raises(FileNotFoundError):
            root.trash(FINAL, TOKEN)
        with pytest.raises(FileNotFoundError):
            root.restore(f".nightferry/trash/{TOKEN}/{FINAL}", FINAL)


@pytest.mark.parametrize(
    "path",
    [
        FINAL,
        ".nightferry-location",
        ".nightferry/trash",
        f".nightferry/trash/{TOKEN}",
        f".nightferry/trash/not-a-token/{FINAL}",
        f".nightferry/set-aside/{TOKEN}/{FINAL}",
        f".nightferry/trash/{TOKEN}/../../../{FINAL}",
        f"sub/.nightferry/trash/{TOKEN}/{FINAL}",
    ],
)
def test_nothing_is_erased_but_entries_of_the_trash(root: Root, path: str) -> None:
    put(root, b"bytes")
    with pytest.raises(ValueError):
        root.erase(path)
    with pytest.raises(ValueError):
        root.restore(path, "elsewhere.fits")


@pytest.mark.parametrize(
    "name",
    [FINAL, ".hidden.part", "frame.part", ".frame.0190b5a0.part", f"frame.{TOKEN}.part", TOKEN],
)
def test_nothing_is_discarded_but_temporaries(root: Root, directory: Path, name: str) -> None:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(b"somebody's")
    with pytest.raises(ValueError, match="no temporary file"):
        root.discard(name)
    assert files(directory) == {name: b"somebody's"}


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out", "", ".", "a//b", "a/%00"])
def test_no_path_leaves_the_location(root: Root, path: str) -> None:
    verbs: list[Callable[[], object]] = [
        lambda: root.open_file(path),
        lambda: root.stat(path),
        lambda: root.temporary(path, TOKEN),
        lambda: root.publish(path, path, sha(b"")),
        lambda: root.trash(path, TOKEN),
        lambda: root.set_aside(path, TOKEN),
        lambda: root.restore(f".nightferry/trash/{TOKEN}/a", path),
        lambda: root.erase(path),
        lambda: root.discard(path),
    ]
    for verb in verbs:
        with pytest.raises(ValueError):
            verb()


@pytest.mark.parametrize("path", [".nightferry-location", ".nightferry/a", ".Nightferry/a"])
def test_what_is_ours_is_neither_written_nor_trashed(root: Root, path: str) -> None:
    for verb in (root.temporary, root.trash, root.set_aside):
        with pytest.raises(ValueError, match="own"):
            verb(path, TOKEN)


def test_nothing_is_read_or_written_through_a_symbolic_link(
    root: Root, directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_bytes(b"secret")
    (directory / "link").symlink_to(outside)
    (directory / "secret").symlink_to(outside / "secret")
    with pytest.raises(GiveUp, match="symbolic link"):
        root.temporary("link/new", TOKEN)
    with pytest.raises(GiveUp, match="symbolic link"):
        root.temporary("link/sub/new", TOKEN)
    for path in ("link/secret", "secret"):
        with pytest.raises(Unreadable, match="symbolic link"):
            root.open_file(path)
    with pytest.raises((GiveUp, Unreadable), match="symbolic link"):
        root.trash("link/secret", TOKEN)
    assert files(outside) == {"secret": b"secret"}


def test_a_vanished_mount_is_not_written_under(root: Root, directory: Path) -> None:
    temporary = arrive(root, b"bytes")
    mounted = directory / "disk"
    mounted.mkdir()
    init_location(mounted, "disk")
    with Root.open("disk", mounted) as disk:
        mounted.rename(directory / "unmounted")
        mounted.mkdir()
        put(disk, b"bytes")
        assert not disk.marker_still_there()
    assert files(mounted) == {}
    root.discard(temporary)


def test_a_fifo_is_refused_and_not_waited_for(root: Root, directory: Path) -> None:
    os.mkfifo(directory / "fifo")
    with pytest.raises(Unreadable, match="no regular file"):
        root.open_file("fifo")


def test_files_are_written_through_temporaries_only(root: Root) -> None:
    put(root, b"bytes")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC):
        with pytest.raises(ValueError, match="temporary"):
            root.open_file(FINAL, flags)


@needs_root
def test_a_file_on_another_file_system_is_not_trashed_by_copying(tmp_path: Path) -> None:
    init_location(tmp_path, "source")
    below = tmp_path / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", below], check=True)
    try:
        (below / "frame").write_bytes(b"bytes")
        with Root.open("source", tmp_path) as root, pytest.raises(GiveUp, match="location of its"):
            root.trash("below/frame", TOKEN)
        assert (below / "frame").read_bytes() == b"bytes"
    finally:
        subprocess.run(["umount", below], check=True)


def test_an_open_writer_is_seen(tmp_path: Path) -> None:
    init_location(tmp_path, "source")
    with Root.open("source", tmp_path) as root:
        put(root, b"bytes")
        assert root.has_writer(FINAL) is False
        with (tmp_path / FINAL).open("ab"):
            assert root.has_writer(FINAL) is True
        with (tmp_path / FINAL).open("rb"):
            assert root.has_writer(FINAL) is False


def test_on_a_network_file_system_nobody_can_tell_who_writes(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, b"bytes")
    monkeypatch.setattr(place, "file_system_type_of", lambda fd: "nfs4")
    assert root.has_writer(FINAL) is None


def test_a_writer_that_comes_while_we_look_does_not_end_us(tmp_path: Path) -> None:
    init_location(tmp_path, "source")
    with Root.open("source", tmp_path) as root:
        put(root, b"bytes")
    look = (
        "import sys, pathlib; from nightferry.durable import Root\n"
        "with Root.open('source', pathlib.Path(sys.argv[1])) as root:\n"
        f"    seen = {{root.has_writer({FINAL!r}) for _ in range(3000)}}\n"
        "    print(sorted(seen))\n"
    )
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            os.close(os.open(tmp_path / FINAL, os.O_WRONLY))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        looked = subprocess.run(
            [sys.executable, "-c", look, tmp_path],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(durable.__file__).parents[1])},
        )
    finally:
        done.set()
        writer.join()
    assert looked.returncode == 0, looked.stderr
    assert looked.stdout == "[False, True]\n"


def test_a_sweep_sees_names_as_the_ledger_writes_them_and_nothing_of_ours(
    root: Root, directory: Path
) -> None:
    put(root, b"bytes")
    root.set_aside(FINAL, TOKEN)
    for name in (b"plain", b"100%", b"new\nline", b"\xff\xfe", "ü".encode()):
        (directory / os.fsdecode(name)).write_bytes(name)
    assert sorted(entry.name for entry in root.scan()) == [
        "%FF%FE",
        "100%25",
        "2024",
        "new%0Aline",
        "plain",
        "ü",
    ]
    for entry in root.scan():
        assert root.stat(entry.name).st_ino == entry.stat.st_ino


def test_temporaries_are_found_but_not_in_the_trash(root: Root) -> None:
    there = arrive(root, b"bytes")
    trashed = arrive(root, b"bytes", "other.fits")
    root.trash(trashed, TOKEN)
    assert [(one.path, one.token) for one in root.temporaries()] == [(there, TOKEN)]
    assert parse_temporary(there) == TOKEN


@needs_root
def test_all_of_it_works_without_root() -> None:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        os.chown(directory, 65534, 65534)
        child = os.fork()
        if not child:
            code = 1
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                init_location(directory, "archive")
                with Root.open("archive", directory) as root:
                    put(root, b"bytes")
                    assert root.has_writer(FINAL) is False
                    root.erase(root.trash(FINAL, TOKEN))
                code = 0
            finally:
                traceback.print_exc()
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
