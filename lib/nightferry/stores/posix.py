"""A directory of a mounted file system as a store. What appears or vanishes, durable.py does."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from nightferry.durable import Root, Temporary, parse_temporary
from nightferry.errors import ConfigError, NoRoom, Unavailable
from nightferry.readback import Reading, Unfinished
from nightferry.stores.base import CHUNK, Abandoned, Space, Stored
from nightferry.system_errors import reading


class PosixStore:
    """The location ``location`` at the directory ``path``, proven by its marker's uuid.

    Opened at its first use, and again by ``probe`` when something else is mounted there.
    """

    def __init__(
        self, location: str, path: Path, marker: str | None = None, reserve: float = 0.0
    ) -> None:
        self.location = location
        self.path = path
        self.marker = marker
        self.reserve = reserve  # this share of the file system is left free by what we write
        self._root: Root | None = None

    @classmethod
    def from_settings(cls, location: str, settings: Mapping[str, object]) -> Self:
        """``path`` (absolute), ``marker`` (the uuid) once it is known, ``reserve`` (a share)."""
        path, marker = settings.get("path"), settings.get("marker")
        if other := sorted(settings.keys() - {"path", "marker", "reserve"}):
            raise ConfigError(f"location {location}: a directory has no setting {other[0]!r}")
        if not isinstance(path, str | Path) or not Path(path).is_absolute():
            raise ConfigError(f"location {location}: 'path' must be an absolute path, not {path!r}")
        reserve = settings.get("reserve") or 0.0
        assert isinstance(reserve, int | float)
        return cls(location, Path(path), None if marker is None else str(marker), float(reserve))

    @property
    def root(self) -> Root:
        """The location's directory. Raises Unavailable."""
        if self._root is None:
            self._root = Root.open(self.location, self.path, self.marker)
        return self._root

    def probe(self) -> None:
        if not self.root.marker_still_there():
            self.close()
            if not self.root.marker_still_there():
                raise Unavailable(
                    self.location, f"{self.location}: {self.path} is changing under us."
                )

    def space(self) -> Space:
        return Space(*self.root.space())

    def size(self, path: str) -> int:
        return self.root.stat(path).st_size

    def stat(self, path: str) -> Stored:
        found = self.root.stat(path)
        return Stored(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def has_writer(self, path: str) -> bool | None:
        return self.root.has_writer(path)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        fd = self.root.open_file(path)
        try:
            os.posix_fadvise(fd, offset, length or 0, os.POSIX_FADV_SEQUENTIAL)
            while length is None or length > 0:
                with reading(self.location, path):
                    chunk = os.pread(fd, CHUNK if length is None else min(CHUNK, length), offset)
                if not chunk:
                    return
                offset += len(chunk)
                if length is not None:
                    length -= len(chunk)
                yield chunk
        finally:
            os.close(fd)

    def read_back(
        self,
        path: str,
        progress: Callable[[int], None] | None = None,
        unfinished: Unfinished | None = None,
    ) -> Reading:
        return self.root.read_back(path, progress, unfinished)

    def write(self, final: str, token: str, resume: bool = False, sha256: str = "") -> Temporary:
        out = self.root.temporary(final, token, resume)
        out.keep_free = round(self.reserve * self.space().total)
        try:
            out.leave_room()
        except NoRoom:
            with out:  # an empty one is discarded, one that can be resumed is kept
                raise
        return out

    def publish(self, temporary: str, final: str, sha256: str) -> Literal["published", "identical"]:
        return self.root.publish(temporary, final, sha256)

    def discard(self, temporary: str) -> None:
        self.root.discard(temporary)

    def trash(self, path: str, token: str, seen: Stored | None = None) -> str:
        return self.root.trash(path, token, _meant(seen))

    def restore(self, trash_path: str, path: str) -> None:
        self.root.restore(trash_path, path)

    def erase(self, trash_path: str) -> None:
        self.root.erase(trash_path)

    def set_aside(self, path: str, token: str, seen: Stored | None = None) -> str:
        return self.root.set_aside(path, token, _meant(seen))

    def aside(self, path: str, token: str) -> str | None:
        return self.root.aside(path, token)

    def temporaries(self) -> Iterator[Abandoned]:
        for left in self.root.temporaries():
            yield Abandoned(left.path, left.token, left.modified)

    def walk(self, under: str = "") -> Iterator[Stored]:
        for path, found in self.root.walk(under):
            if parse_temporary(path) is None:
                yield Stored(path, found.st_size, found.st_mtime_ns)

    def close(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _meant(seen: Stored | None) -> tuple[int, int] | None:
    return None if seen is None else (seen.size, seen.mtime_ns)
