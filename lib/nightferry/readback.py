"""Reading a copy in full, as near to its medium as the system allows, and saying how near.

Reading again right after writing reads RAM, and dropping the cache does nothing for a file that
another process has mapped. So the file is opened with O_DIRECT where the file system has it.
"""

import errno
import fcntl
import hashlib
import mmap
import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from nightferry.errors import Unreadable
from nightferry.filesystem import answers_from_memory, file_system_type_of, is_network
from nightferry.system_errors import reading

BLOCK = 1024 * 1024
AHEAD = 12  # many small reads under way keep a disk busy, also a shared one; 12 MB
_DIRECT = getattr(os, "O_DIRECT", 0)

How = Literal["medium", "cache", "remote"]


@dataclass(frozen=True)
class Reading:
    """A file was read in full.

    ``sha256`` is 64 hexadecimal digits, ``size`` bytes; ``began`` and ``ended`` are this host's
    clock (UTC). ``how``: "medium" = past the page cache, "cache" = perhaps from RAM, "remote" =
    from a network file system, whose server may have answered from its RAM.
    """

    sha256: str
    size: int
    began: datetime
    ended: datetime
    how: How


@dataclass
class Unfinished:
    """How far a reading came, so that the next one goes on there: if the file is still the same."""

    size: int = 0  # bytes that are hashed
    digest: Any = field(default_factory=hashlib.sha256)
    file: tuple[int, ...] = ()

    def of(self, seen: os.stat_result) -> "Unfinished":
        """This, for a file that looks so; from its beginning if it looked otherwise before."""
        file = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        if self.file != file:
            self.size, self.digest, self.file = 0, hashlib.sha256(), file
        return self


def read_in_full(
    fd: int,
    location: str,
    path: str,
    progress: Callable[[int], None] | None = None,
    unfinished: Unfinished | None = None,
) -> Reading:
    """Read the open regular file ``fd`` in full and hash it; a large one is read ahead meanwhile.

    ``location`` and ``path`` stand in errors. ``progress`` is called with the bytes read so far,
    and may raise to stop. ``unfinished`` is where it goes on, and tells how far it came.

    Raises:
        Unreadable: it could not be read to its end, or changed meanwhile.
        Unavailable: the location does not answer.
    """
    began = datetime.now(UTC)
    before = os.fstat(fd)
    kind = file_system_type_of(fd)
    source = _Source(fd, location, path, direct=not answers_from_memory(kind))
    so_far = (unfinished or Unfinished()).of(before)
    with closing(_blocks(source, before.st_size, so_far.size)) as blocks:
        for block in blocks:
            so_far.digest.update(block)
            so_far.size += len(block)
            if progress is not None:
                progress(so_far.size)
    size = so_far.size
    after = os.fstat(fd)
    if size != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise Unreadable(
            f"{location}:{path}: it changed while it was read ({before.st_size} bytes before, "
            f"{after.st_size} after, {size} read). Find out who writes to it, then verify again."
        )
    how: How = "remote" if is_network(kind) else "medium" if source.direct else "cache"
    return Reading(so_far.digest.hexdigest(), size, began, datetime.now(UTC), how)


def try_direct(fd: int) -> bool:
    """Switch ``fd`` to O_DIRECT; False where the file system has none."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | _DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return bool(_DIRECT)


def _buffered(fd: int) -> None:
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~_DIRECT)


def _blocks(source: "_Source", size: int, offset: int) -> Generator[memoryview, None, None]:
    """The file's bytes from ``offset``, in buffers that are used again: each is valid until the
    next is asked for.

    Whole blocks are read ahead on threads while the caller hashes; the rest, in sequence, to the
    read that returns nothing and so proves the end. A file that grows is not chased.
    """
    if size - offset >= 2 * BLOCK:
        with ThreadPoolExecutor(AHEAD) as readers:
            starts = iter(range(offset, size - BLOCK + 1, BLOCK))
            ahead = deque(
                (buffer, readers.submit(source.read, buffer, start))
                for buffer, start in zip(_buffers(BLOCK, AHEAD), starts, strict=False)
            )
            whole = True
            while ahead and whole:
                buffer, read = ahead.popleft()
                got = read.result()
                whole = got == BLOCK
                if got:
                    yield buffer[:got]
                    offset += got
                start = next(starts, None)
                if start is not None:
                    ahead.append((buffer, readers.submit(source.read, buffer, start)))
    (buffer,) = _buffers(min(BLOCK, max(size - offset, 0)), 1)
    while offset <= size and (got := source.read(buffer, offset)):
        yield buffer[:got]
        offset += got


def _buffers(size: int, count: int) -> list[memoryview]:
    """Buffers of whole pages, as O_DIRECT wants, that hold at least ``size`` bytes."""
    pages = max(1, -(-size // mmap.PAGESIZE))
    return [memoryview(mmap.mmap(-1, pages * mmap.PAGESIZE)) for _ in range(count)]


class _Source:
    """Reads one file at offsets; ``direct`` says whether O_DIRECT carried what was read."""

    def __init__(self, fd: int, location: str, path: str, direct: bool) -> None:
        self._fd = fd
        self._location = location
        self._path = path
        self.direct = direct and try_direct(fd)
        if not self.direct:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def read(self, buffer: memoryview, offset: int) -> int:
        # Only the system's own errors speak of the copy; what ``progress`` raises does not.
        with reading(self._location, self._path):
            return self._read(buffer, offset)

    def _read(self, buffer: memoryview, offset: int) -> int:
        direct = self.direct  # as it is when we begin: other threads may find out meanwhile
        if direct and offset % mmap.PAGESIZE:
            # The last read ended within a page: the end of the file, which one more read proves.
            # O_DIRECT refuses to begin there.
            _buffered(self._fd)
        try:
            return os.preadv(self._fd, [buffer], offset)
        except OSError as error:
            if error.errno != errno.EINVAL or not direct:
                raise
            _buffered(self._fd)  # taken at open, refused at the read: some file systems do
            self.direct = False  # last: who sees it reads without
            return os.preadv(self._fd, [buffer], offset)
