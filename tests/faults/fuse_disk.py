"""A FUSE file system that shows a folder, and hangs while a gate is shut.

``python -m tests.faults.fuse_disk FOLDER MOUNT_POINT GATE``: in the foreground, until it is unmounted
or killed. While the file GATE exists, whoever asks it anything waits, and can't be killed.
"""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mfusepy


class Disk(mfusepy.Operations):  # type: ignore[misc]  # mfusepy has no types
    """What the daemons ask of a disk, done to the folder below."""

    use_ns = True  # times in whole nanoseconds

    def __init__(self, folder: Path, gate: Path) -> None:
        self.folder, self.gate = os.fsencode(folder), gate

    def answer(self) -> None:
        """Nothing is answered while the gate is shut; that somebody waits is left beside it."""
        while self.gate.exists():
            self.gate.with_suffix(".waits").touch()
            threading.Event().wait(0.05)  # it stands for a disk that does not answer

    def below(self, path: str) -> bytes:
        self.answer()
        return self.folder + os.fsencode(path)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        seen = os.lstat(self.below(path))
        names = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size")
        times = {f"st_{t}": getattr(seen, f"st_{t}_ns") for t in ("atime", "mtime", "ctime")}
        return {name: getattr(seen, name) for name in names} | times

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        yield from (".", "..", *(os.fsdecode(n) for n in os.listdir(self.below(path))))

    def statfs(self, path: str) -> dict[str, int]:
        seen = os.statvfs(self.below(path))
        names = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_files", "f_ffree", "f_frsize")
        return {name: getattr(seen, name) for name in (*names, "f_namemax")}

    def open(self, path: str, flags: int) -> int:
        return os.open(self.below(path), flags & ~os.O_DIRECT)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self.below(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self.answer()
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self.answer()
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self.below(path), length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.answer()
        os.fsync(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        self.answer()
        os.close(fh)
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self.below(path))
        return 0

    def rename(self, old: str, new: str) -> int:
        # The library does not hand on whether a file may be replaced: here it never may.
        os.link(self.below(old), self.below(new))
        os.unlink(self.below(old))
        return 0

    def link(self, target: str, source: str) -> int:
        os.link(self.below(source), self.below(target))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self.below(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self.below(path))
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self.below(path), ns=times)
        return 0


if __name__ == "__main__":
    below, mount_point, shut = (Path(word) for word in sys.argv[1:])
    mfusepy.FUSE(Disk(below, shut), str(mount_point), foreground=True)
