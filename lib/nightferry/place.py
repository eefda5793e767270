"""A location's directory, proven by its marker, and what can be seen in it. It changes nothing.

Everything is found from the directory descriptor on which the marker was read, one component at a
time and through no symbolic link.
"""

import errno
import fcntl
import os
import signal
import stat as stat_module
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from nightferry.errors import NotAFile, Unavailable
from nightferry.filesystem import file_system_type_of, is_network
from nightferry.marker import MARKER_FILE, Marker, require_marker
from nightferry.names import check_relative, to_bytes, to_text
from nightferry.readback import Reading, Unfinished, read_in_full
from nightferry.system_errors import reading
from nightferry.temporary import parse_temporary

OURS = ".nightferry"  # what we keep in a location's root, beside its marker
BACKUPS = "nightferry-backup"  # dumps of the database: no row of the ledger speaks of them
CANARIES = (
    "nightferry-canary"  # packages of canaries, and the instrument that they are said to be of
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer.
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKES_OR_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Entry(NamedTuple):
    """A name in a directory, as the ledger writes it, and its lstat."""

    name: str
    stat: os.stat_result


class Leftover(NamedTuple):
    """A temporary file found in a location: garbage if no row and no claim names it."""

    path: str
    token: str
    modified: datetime


class Place:
    """One location's directory. A context manager.

    Paths are relative, as the ledger writes them. A missing file is FileNotFoundError; anything
    else the system refuses is Unavailable or Unreadable, in words. A path that leaves the root is
    ValueError.
    """

    def __init__(self, location: str, path: Path, marker: Marker, fd: int) -> None:
        self.location = location
        self.path = path
        self.marker = marker.marker
        self._fd = fd

    @classmethod
    def open(cls, location: str, path: Path, marker: str | None = None) -> Self:
        """Open the location's directory and read its marker; ``marker`` is the uuid expected.

        Raises:
            Unavailable: no directory, no marker, or another's.
        """
        fd = open_root(location, path)
        try:
            return cls(location, path, require_marker(fd, path, location, marker), fd)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def marker_still_there(self) -> bool:
        """Whether the location's path still leads to this directory and this marker.

        A lazy unmount leaves the descriptor alive and blind; the path tells.
        """
        try:
            with Place.open(self.location, self.path, self.marker) as now:
                return os.path.samestat(os.fstat(now._fd), os.fstat(self._fd))
        except (Unavailable, OSError):
            return False

    def open_file(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of the regular file ``path``, for reading; the caller closes it."""
        if flags & _MAKES_OR_WRITES:
            raise ValueError("files are written through Root.temporary")
        with reading(self.location, path):
            no_file = NotAFile(
                f"{self.location}:{path}: it is no regular file; a symbolic link is not followed."
            )
            with self._parent(path) as (directory, name):
                try:
                    fd = os.open(name, flags | _FILE, dir_fd=directory)
                except OSError as error:
                    # A socket gives ENXIO, which a disk that is gone gives as well.
                    if error.errno in (errno.ELOOP, errno.ENXIO) and not _is_file(name, directory):
                        raise no_file from error
                    raise
            if not stat_module.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise no_file
            return fd

    def open_directory(self, path: str = "") -> int:
        """A descriptor of the directory ``path`` ("" is the root); the caller closes it."""
        with (
            reading(self.location, path or "."),
            self._directory(parts(path) if path else []) as fd,
        ):
            return os.dup(fd)

    def stat(self, path: str) -> os.stat_result:
        """The lstat of ``path``."""
        with reading(self.location, path), self._parent(path) as (directory, name):
            return os.stat(name, dir_fd=directory, follow_symlinks=False)

    def scan(self, directory: str = "") -> list[Entry]:
        """What is in ``directory`` ("" is the root), in no order; what vanishes meanwhile is not.

        Our own marker and folder are left out.
        """
        below = parts(directory) if directory else []
        entries = []
        with (
            reading(self.location, directory or "."),
            self._directory(below) as fd,
            os.scandir(fd) as found,
        ):
            for one in found:
                with suppress(FileNotFoundError):
                    entries.append(Entry(_text(one.name), one.stat(follow_symlinks=False)))
        return entries if below else [e for e in entries if e.name not in (OURS, MARKER_FILE)]

    def walk(self, under: str = "") -> Iterator[tuple[str, os.stat_result]]:
        """Every regular file below ``under``, sorted within its directory, with its lstat."""
        directories = [under]
        while directories:
            directory = directories.pop()
            try:
                entries = sorted(self.scan(directory))
            except FileNotFoundError:
                if directory == under:
                    raise
                continue  # removed since its parent was read
            below = []
            for entry in entries:
                path = f"{directory}/{entry.name}" if directory else entry.name
                if stat_module.S_ISDIR(entry.stat.st_mode):
                    below.append(path)
                elif stat_module.S_ISREG(entry.stat.st_mode):
                    yield path, entry.stat
            directories.extend(reversed(below))

    def temporaries(self) -> Iterator[Leftover]:
        """Every temporary file in the location; what lies in the trash or is set aside is not."""
        for path, found in self.walk():
            token = parse_temporary(path)
            if token is not None:
                yield Leftover(path, token, datetime.fromtimestamp(found.st_mtime, UTC))

    def read_back(
        self,
        path: str,
        progress: Callable[[int], None] | None = None,
        unfinished: Unfinished | None = None,
    ) -> Reading:
        """Read ``path`` in full, past the page cache where possible, and hash it.

        ``progress`` is called with the bytes read so far, and may raise to stop; ``unfinished`` is
        where it then can go on.

        Raises:
            Unreadable: it could not be read to its end, or changed meanwhile.
        """
        fd = self.open_file(path)
        try:
            return read_in_full(fd, self.location, path, progress, unfinished)
        finally:
            os.close(fd)

    def has_writer(self, path: str) -> bool | None:
        """Whether some process has ``path`` open for writing; None where the system can't tell."""
        fd = self.open_file(path)
        try:
            return has_writer(fd)
        finally:
            os.close(fd)

    def space(self) -> tuple[int, int, bool]:
        """Bytes of the location's file system: in all, and free for this user; and whether it is
        mounted read-only."""
        with reading(self.location, "."):
            now = os.fstatvfs(self._fd)
        read_only = bool(now.f_flag & os.ST_RDONLY)
        return now.f_blocks * now.f_frsize, now.f_bavail * now.f_frsize, read_only

    @contextmanager
    def _directory(self, directory: list[bytes]) -> Iterator[int]:
        fd = os.dup(self._fd)
        try:
            for part in directory:
                below = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        *directory, name = parts(path)
        with self._directory(directory) as fd:
            yield fd, name


def parts(path: str) -> list[bytes]:
    """The components of ``path``, as bytes for the system. Raises ValueError if it escapes."""
    return to_bytes(check_relative(path)).split(b"/")


def _is_file(name: bytes, directory: int) -> bool:
    seen = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return stat_module.S_ISREG(seen.st_mode)


def has_writer(fd: int) -> bool | None:
    """Ask for a read lease: the kernel refuses one while somebody has the file open to write."""
    if is_network(file_system_type_of(fd)):
        return None  # there EAGAIN also means that the server gave us no delegation
    # Should a writer come while we hold the lease, the signal must be one that is ignored: the
    # usual SIGIO would end this process.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def is_open(fd: int) -> bool | None:
    """Ask for a write lease: the kernel refuses one while anybody else has the file open."""
    if is_network(file_system_type_of(fd)):
        return None
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def open_root(location: str, path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Unavailable(
            location,
            f"{location}: {path} cannot be opened: {os.strerror(error.errno or 0)}. See that the "
            "disk is mounted and that the daemon's user may enter it.",
        ) from error


def _text(name: str) -> str:
    if name.isascii() and name.isprintable() and "%" not in name and "\\" not in name:
        return name  # nearly every name; a sweep meets a million
    return to_text(os.fsencode(name))
