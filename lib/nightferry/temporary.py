"""Temporary files: their names, and how their bytes get to the disk.

A temporary file lies in the directory of the file it will be, and its name carries the uuid of the
copy it is for: so the next claim finds it, and a stranger can tell it from data.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Callable
from typing import Self

from nightferry.errors import NoRoom, Retry
from nightferry.names import check_relative, to_bytes, to_text
from nightferry.system_errors import writing

TOKEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"\..+\.(" + TOKEN.pattern + r")\.part", re.DOTALL)
_LONGEST_NAME = 255
_CLUE = 9  # "~" and 8 hex digits, which keep two long names apart that begin alike

# Dirty pages are started towards the disk this early, and waited for one step later: at most two
# steps are unsynced, and the last fsync is short.
STEP = 16 * 1024 * 1024
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4  # SYNC_FILE_RANGE_*
_libc = ctypes.CDLL(None, use_errno=True)


def check_token(token: str) -> str:
    """``token`` if it is a uuid in its usual form; it becomes part of a file's name.

    Raises:
        ValueError: it is not.
    """
    if not TOKEN.fullmatch(token):
        raise ValueError(f"not a uuid in lower case: {token!r}")
    return token


def temporary_path(final: str, token: str) -> str:
    """The temporary file's path for the file ``final``: in its directory, a function of both."""
    directory, slash, name = to_bytes(check_relative(final)).rpartition(b"/")
    suffix = f".{check_token(token)}.part".encode()
    room = _LONGEST_NAME - 1 - len(suffix)
    if len(name) > room:
        clue = hashlib.sha256(name).hexdigest()[: _CLUE - 1].encode()
        name = name[: room - _CLUE] + b"~" + clue
    return to_text(directory + slash + b"." + name + suffix)


def parse_temporary(name: str) -> str | None:
    """The token in the name (or path) of a temporary file; None for any other name."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return found[1] if found else None


def _sync_range(fd: int, offset: int, size: int, flags: int) -> None:
    if _libc.sync_file_range(
        fd, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(flags)
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Temporary:
    """One temporary file being written. A context manager; made by ``Root.temporary``.

    ``path`` is its path in the location, ``offset`` how many bytes it holds. Leaving the context
    without ``finish`` keeps the file where it can be resumed, and discards it where it cannot.
    """

    def __init__(
        self,
        location: str,
        path: str,
        fd: int,
        resumable: bool,
        discard: Callable[[str], None],
    ) -> None:
        self.path = path
        self.offset = os.lseek(fd, 0, os.SEEK_END)
        self._location = location
        self._fd = fd
        self._resumable = resumable
        self._discard = discard
        self._started = self._synced = self.offset
        self.keep_free = 0  # bytes of the file system that are not ours to fill

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append ``data``. Never leaves more than 256 MB unsynced.

        Raises:
            NoRoom: what is left of the disk is to be kept free.
            Retry: the location is full, or its disk failed; the text says which.
        """
        with writing(self._location, self.path):
            rest = memoryview(data).cast("B")
            while rest:
                written = os.write(self._fd, rest[:STEP])
                self.offset += written
                rest = rest[written:]
                if self.offset - self._started >= STEP:
                    self.leave_room()
                    self.sync()

    def leave_room(self) -> None:
        """Our own copies stop before the disk is full: on an instrument's disk others write too.

        Raises:
            NoRoom: less is free than is to be kept.
        """
        if not self.keep_free:
            return
        disk = os.fstatvfs(self._fd)
        if disk.f_bavail * disk.f_frsize < self.keep_free:
            raise NoRoom(
                f"{self._location}:{self.path}: no more is written to {self._location}, whose last "
                f"{self.keep_free / 1e9:.1f} GB are kept free (reserve: in observatory.yaml). It "
                "goes on by itself when there is room; see: nf reap plan"
            )

    def sync(self) -> None:
        """Start what was written towards the disk, and wait for what was started before.

        This bounds what is unsynced; only :meth:`finish` makes the file durable.
        """
        try:
            _sync_range(self._fd, self._started, self.offset - self._started, _WRITE)
            _sync_range(
                self._fd,
                self._synced,
                self._started - self._synced,
                _WAIT_BEFORE | _WRITE | _WAIT_AFTER,
            )
            self._synced = self._started
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP):
                raise self._lost(error) from error
            self._fsync()
            self._synced = self.offset
        self._started = self.offset

    def finish(self) -> None:
        """Make the bytes durable, and close. The file still has its temporary name.

        Raises:
            Retry: the disk did not take the bytes. The file was discarded: after a failed fsync a
                second one succeeds with the data gone, so the writer starts again.
        """
        self._fsync()
        self._close()

    def discard(self) -> None:
        """Close the file and remove it, if the name is still this file's and not a successor's."""
        ours = self._fd >= 0 and os.fstat(self._fd).st_nlink > 0
        self._close()
        if ours:
            self._discard(self.path)

    def _fsync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> Retry:
        self.discard()
        return Retry(
            f"{self._location}:{self.path}: the disk did not take the bytes "
            f"({os.strerror(error.errno or 0)}); the temporary file was discarded and is written "
            f"again from its source. If this returns, look at the disk and the room on "
            f"{self._location}."
        )

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0 and not self._resumable:
            self.discard()
        self._close()


def lock(fd: int) -> bool:
    """Take the temporary file for this process; False if another writes it, or none can tell.

    A worker that was frozen past its lease may wake and write on: its lock says so.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
