"""The writer: one pass over the files, each hashed and compared, the whole tar hashed.

This thread reads and writes; one hashes the files, one hashes the tar. What they are handed is a
large buffer, with many small files in one, so that handing over costs little; the buffers are few
and used again, so that memory is bounded and nothing is copied.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from nightferry.errors import GiveUp, Unreadable
from nightferry.packaging import tar
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Document, Member

__all__ = ["MemberChanged", "Packed", "pack", "plan"]

_BATCH = 2 * 1024 * 1024
_BUFFERS = 8
# Written in slices: for larger ones the kernel looks for large pages, and that can cost more than
# the copy (measured on ext4: up to three times).
_SLICE = 256 * 1024

Change: TypeAlias = Literal["gone", "short", "grown", "different"]
_WORDS: dict[Change, str] = {
    "gone": "it is no longer there",
    "short": "it is shorter than when it was registered",
    "grown": "it is longer than when it was registered",
    "different": "its SHA-256 is not the registered one",
}


class MemberChanged(GiveUp):
    """A file is not the one that was registered: there is no package of it as it is now."""

    def __init__(self, path: str, change: Change) -> None:
        super().__init__(
            "a file changed before it was packaged",
            f"{path}: {_WORDS[change]}. Nothing was packaged. The next sweep registers the file as"
            " it is now; a version that is gone is counted as lost",
        )
        self.path = path
        self.change = change

    def __reduce__(self) -> tuple[type["MemberChanged"], tuple[str, Change]]:
        return type(self), (self.path, self.change)


@dataclass(frozen=True)
class Packed:
    """What was written: the SHA-256 and the bytes of the whole tar; how many files of the night."""

    sha256: str
    size: int
    members: int


def pack(
    document: Document,
    open_member: Callable[[Member], int],
    write: Callable[[memoryview], object],
    progress: Callable[[int], object],
) -> Packed:
    """Write the package of ``document``, and compare every file with its registered SHA-256.

    ``open_member`` gives a descriptor at the file's beginning, which is closed here. ``write``
    takes all of what it is given, and keeps no reference to it: the buffer is used again.
    ``progress`` is told how many bytes of the tar are written. Both may raise, to stop the work.

    Raises:
        MemberChanged: a file is gone, shorter, longer or different.
        Unreadable: the system could not read a file.
        NotPackable: the document can't be stored.
    """
    layout = plan(document)
    with _Conveyor(write, progress) as conveyor:
        for entry in layout.entries():
            conveyor.add(entry.header)
            if entry.member:
                conveyor.add_member(entry.member, open_member)
            else:
                conveyor.add(entry.content)
            conveyor.add(entry.padding)
        conveyor.add(tar.END)
        digest, size = conveyor.finish()
    if size != layout.size:
        raise AssertionError(f"package {document.name}: {size} bytes, planned {layout.size}")
    return Packed(digest, size, len(document.members))


@dataclass(frozen=True)
class _Piece:
    """A stretch of a buffer that belongs to a file; ``last``: the file ends with it."""

    member: Member
    start: int
    end: int
    last: bool


@dataclass
class _Batch:
    """One buffer, and who is still busy with what is in it."""

    view: memoryview = field(default_factory=lambda: memoryview(bytearray(_BATCH)))
    filled: int = 0
    pieces: list[_Piece] = field(default_factory=list)
    busy: tuple[Future[None], ...] = ()

    def wait(self) -> None:
        """Until the hashers are done with it; raises what they raised."""
        for future in self.busy:
            future.result()
        self.filled, self.pieces, self.busy = 0, [], ()


class _Conveyor:
    """Fills buffers, hands each to both hashers, and writes it meanwhile."""

    def __init__(
        self, write: Callable[[memoryview], object], progress: Callable[[int], object]
    ) -> None:
        self._write = write
        self._progress = progress
        self._of_files = ThreadPoolExecutor(1, "hash-files")
        self._of_tar = ThreadPoolExecutor(1, "hash-tar")
        self._tar_hash = hashlib.sha256()
        self._file_hash = hashlib.sha256()
        self._batches = [_Batch() for _ in range(_BUFFERS)]
        self._turn = 0
        self._written = 0

    def __enter__(self) -> "_Conveyor":
        return self

    def __exit__(self, *_: object) -> None:
        self._of_files.shutdown(cancel_futures=True)
        self._of_tar.shutdown(cancel_futures=True)

    def add(self, content: bytes) -> None:
        """Bytes of the tar that are no file's."""
        rest = memoryview(content)
        while rest:
            batch = self._room()
            now = rest[: _BATCH - batch.filled]
            batch.view[batch.filled : batch.filled + len(now)] = now
            batch.filled += len(now)
            rest = rest[len(now) :]

    def add_member(self, member: Member, open_member: Callable[[Member], int]) -> None:
        """Exactly the registered bytes of a file; one byte more is a file that has grown."""
        try:
            fd = open_member(member)
            try:
                self._read(member, fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            raise MemberChanged(member.path, "gone") from None

    def _read(self, member: Member, fd: int) -> None:
        left = member.size
        while True:
            batch = self._room()
            wanted = min(left, _BATCH - batch.filled)
            end = batch.filled + wanted
            position = batch.filled
            try:
                while position < end:
                    got = os.readv(fd, [batch.view[position:end]])
                    if not got:
                        raise MemberChanged(member.path, "short")
                    position += got
                left -= wanted
                if not left and os.read(fd, 1):
                    raise MemberChanged(member.path, "grown")
            except OSError as error:
                raise Unreadable(
                    f"{member.path}: {error.strerror} while it was packaged. Nothing was packaged;"
                    " look at the disk it is on"
                ) from error
            batch.pieces.append(_Piece(member, batch.filled, end, not left))
            batch.filled = end
            if not left:
                return

    def finish(self) -> tuple[str, int]:
        """The SHA-256 and the size of the tar, when every hash has been compared."""
        self._send()
        for batch in self._batches:
            batch.wait()
        return self._tar_hash.hexdigest(), self._written

    def _room(self) -> _Batch:
        """The buffer being filled, with room in it."""
        if self._batches[self._turn].filled == _BATCH:
            self._send()
        return self._batches[self._turn]

    def _send(self) -> None:
        batch = self._batches[self._turn]
        ready = batch.view[: batch.filled]
        batch.busy = (
            self._of_tar.submit(self._tar_hash.update, ready),
            self._of_files.submit(self._hash_files, batch),
        )
        for begin in range(0, batch.filled, _SLICE):
            self._write(ready[begin : begin + _SLICE])
        self._written += batch.filled
        self._progress(self._written)
        self._turn = (self._turn + 1) % _BUFFERS
        self._batches[self._turn].wait()

    def _hash_files(self, batch: _Batch) -> None:
        for piece in batch.pieces:
            self._file_hash.update(batch.view[piece.start : piece.end])
            if piece.last:
                if self._file_hash.hexdigest() != piece.member.sha256:
                    raise MemberChanged(piece.member.path, "different")
                self._file_hash = hashlib.sha256()
