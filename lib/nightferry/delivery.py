"""One file, out of whichever copy this host can read, to where a person wants it.

The bytes are a stretch of a package, or a loose file. They are hashed while they are written, under
a temporary name beside the wanted one; only bytes that agree get that name, and nothing is ever
overwritten. So there is never a part of a file under the name that was asked for.
"""

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightferry.db import Row
from nightferry.durable import Root
from nightferry.errors import NightferryError, Unavailable, Unreadable
from nightferry.names import to_text
from nightferry.stores import open_location


@dataclass(frozen=True)
class Wanted:
    """The file: its ledger's path, bytes and SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A present copy that has it: ``length`` bytes from ``offset`` of ``path`` at ``location``."""

    copy: str
    location: str
    path: str
    storage: str
    settings: Mapping[str, Any]
    marker: str | None
    offset: int
    package: str | None

    @classmethod
    def of(cls, row: Row) -> "Source":
        return cls(
            str(row.copy), row.location, row.path, row.storage, row.settings, row.marker,
            row.data_offset, row.package,
        )  # fmt: skip


@dataclass
class Delivered:
    """What became of it: the copy that was taken, and what was wrong with those before."""

    source: Source | None = None
    bad: list[tuple[Source, str]] = field(default_factory=list)  # other bytes, or unreadable
    away: list[tuple[Source, str]] = field(default_factory=list)  # not on this host


class _OtherBytes(NightferryError):
    """What lies there is not the file."""


def deliver(
    wanted: Wanted,
    sources: Sequence[Source],
    mounted: Mapping[str, Path],
    out: Path,
) -> Delivered:
    """Writes the file to ``out``, from the first of ``sources`` that has it whole.

    Raises:
        Occupied: another file stands at ``out``.
        Retry: ``out`` can't be written.
        Unavailable: its folder is not there.
    """
    done = Delivered()
    with Root.unmarked(out.parent) as folder:
        for source in sources:
            if source.location not in mounted:
                done.away.append((source, "not mounted on this host"))
                continue
            try:
                _write(wanted, source, mounted[source.location], folder, out.name)
            except Unavailable as error:
                if error.what != source.location:
                    raise
                done.away.append((source, str(error)))
            except (_OtherBytes, Unreadable) as error:
                done.bad.append((source, str(error)))
            except FileNotFoundError:
                done.bad.append((source, f"{source.location}:{source.path} is not there"))
            else:
                done.source = source
                return done
    return done


def _write(wanted: Wanted, source: Source, mount: Path, folder: Root, name: str) -> None:
    final = to_text(os.fsencode(name))
    store = open_location(source.storage, source.location, source.settings, mount, source.marker)
    try:
        store.probe()
        with folder.temporary(final, str(uuid.uuid4())) as temporary:
            chunks = store.read(source.path, source.offset, wanted.size)
            for chunk in _agreeing(wanted, source, chunks):
                temporary.write(chunk)
            temporary.finish()
        folder.publish(temporary.path, final, wanted.sha256)
    finally:
        store.close()


def _agreeing(wanted: Wanted, source: Source, chunks: Iterator[bytes]) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        yield chunk
    if (size, digest.hexdigest()) != (wanted.size, wanted.sha256):
        raise _OtherBytes(
            f"{source.location}:{source.path}: the {size} bytes from {source.offset} have the "
            f"SHA-256 {digest.hexdigest()}, not that of {wanted.path}"
        )
