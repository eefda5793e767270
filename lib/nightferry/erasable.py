"""May a folder be erased? What is in it, read to the last byte, and what the ledger knows of that.

The answer is about bytes, not names: a file may go if the ledger knows its SHA-256 and that file is
safe in the archives. Nothing is changed. A folder of an archive itself is never called erasable.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from nightferry.db import Row, Tx
from nightferry.marker import MARKER_FILE, read_marker
from nightferry.names import to_text

Progress = Callable[[int], None]  # told of the bytes that were read
Outcome = Literal["safe", "not safe", "cannot tell", "not a file"]

CHUNK = 1 << 20


@dataclass(frozen=True)
class Looked:
    """One thing in the folder. ``sha256`` is '' for what has no bytes of its own to read."""

    path: str
    size: int
    sha256: str
    outcome: Outcome
    why: str


def look(path: bytes, progress: Progress) -> Iterator[Looked]:
    """Everything at and below ``path``, in the order of the names."""
    name = to_text(path)
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode):
            entries = sorted(os.listdir(path))
        elif stat.S_ISREG(found.st_mode):
            if path.rpartition(b"/")[2] == MARKER_FILE.encode():
                yield Looked(name, found.st_size, "", "not a file", "a location's marker")
                return
            yield _hash(path, name, progress)
            return
        else:
            yield Looked(name, 0, "", "not a file", _kind(path, found.st_mode))
            return
    except OSError as error:
        yield Looked(name, 0, "", "cannot tell", f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        yield from look(os.path.join(path, entry), progress)


def _kind(path: bytes, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return f"a link to {to_text(os.readlink(path))}: what it points at was not looked at"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _hash(path: bytes, name: str, progress: Progress) -> Looked:
    """Reads one file; it must be the same before and after.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb", buffering=0) as file:
        before = os.fstat(fd)
        digest = sha256()
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            progress(len(chunk))
        after = os.fstat(fd)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return Looked(name, after.st_size, "", "cannot tell", "it changed while it was read")
    return Looked(name, after.st_size, digest.hexdigest(), "cannot tell", "")


def answered(tx: Tx, things: list[Looked]) -> list[Looked]:
    """``things`` with what the ledger says of their bytes."""
    sums = list({thing.sha256 for thing in things})
    rows = tx.run("safe.known", sums=sums) if sums else []
    known = {row.sha256: row for row in rows}
    return [_answered(thing, known.get(thing.sha256)) for thing in things]


def _answered(thing: Looked, row: Row | None) -> Looked:
    outcome: Outcome = "not safe"
    if row is None:
        why = "an empty file" if thing.size == 0 else "these bytes were never registered"
    elif row.safe:
        outcome, why = "safe", f"{row.path} of night {row.night}, at {row.proven} archives"
    else:
        why = f"{row.path} of night {row.night}: {row.reason}"
    return Looked(thing.path, thing.size, thing.sha256, outcome, why)


def archives_at(tx: Tx, folder: Path, mounted: Mapping[str, Path]) -> set[str]:
    """The archives that ``folder`` is a part of, or has within."""
    here = folder.resolve()
    found = set()
    for place in [here, *here.parents]:
        found |= _marked(place)
    for below, _, files in os.walk(here):
        if MARKER_FILE in files:
            found |= _marked(Path(below))
    for name, root in mounted.items():
        root = root.resolve()
        if root.is_relative_to(here) or here.is_relative_to(root):
            found.add(name)
    # A marker that the ledger does not know may be another observatory's archive.
    rows = tx.run("safe.locations", names=list(found))
    return found - {row.name for row in rows if row.type != "LONG_TERM_ARCHIVE"}


def _marked(place: Path) -> set[str]:
    try:
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return set()
    try:
        marker = read_marker(fd)
    except (ValueError, OSError):
        return {f"the location at {place}, whose marker cannot be read"}
    finally:
        os.close(fd)
    return {marker.location} if marker is not None else set()
