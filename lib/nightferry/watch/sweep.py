"""One look at one directory: what is in it, and how that differs from what the ledger knows.

The loop over the entries is kept tight, for a sweep meets a million: a directory becomes a sorted
list of short byte strings, and whether anything changed is one digest over them. Only a directory
whose digest is new is compared, and only entries that differ are ever written out as names.

Over 300 lines: the look, and what it asks of the disk and of the ledger, are read together.
"""

import errno
import os
import stat
import struct
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Protocol

from nightferry.errors import Unreadable
from nightferry.names import to_bytes, to_text
from nightferry.system_errors import says_gone

OUR_DIRECTORY = ".nightferry"
OUR_MARKER = ".nightferry-location"

# A name on a source that leads away from it, or to no bytes at all, can't be captured faithfully.
ODD_KINDS = {
    stat.S_IFLNK: "a symbolic link: it may point out of the source, so it is not followed; "
    "put the file itself here if it is to be archived",
    stat.S_IFIFO: "a FIFO: it holds no bytes to archive; remove it, or leave it",
    stat.S_IFSOCK: "a socket: it holds no bytes to archive; remove it, or leave it",
    stat.S_IFBLK: "a block device: it is not read; remove it from the source",
    stat.S_IFCHR: "a character device: it is not read; remove it from the source",
}

_NUMBERS = struct.Struct("<xqqqq")  # the pad byte ends the name: no name holds a NUL
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_LIMIT = 2**63 - 1


class Signature(NamedTuple):
    """What tells one state of a file from the next, as the ledger keeps it (four bigints).

    ``size`` in bytes, times in nanoseconds since 1970, each clipped to what a bigint holds. The
    inode is 0 where the file system does not keep inodes stable. A tuple, because a sweep compares
    them by the hundred thousand.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


NO_SIGNATURE = Signature(0, 0, 0, 0)  # of what could not even be looked at


class Tree(Protocol):
    """What this package needs of a location's root. ``nightferry.durable.Root`` is one.

    Paths are relative ledger text. No call follows a symbolic link in any component. Errors are
    the system's own (OSError), or Unreadable with the system's as its cause; Unavailable passes
    through all of this package to the caller.
    """

    def open_directory(self, path: str) -> int:
        """A descriptor of a directory (``""`` is the root), to be closed by the caller."""

    def stat(self, path: str) -> os.stat_result:
        """The lstat of ``path``."""

    def marker_still_there(self) -> bool:
        """Is the marker at the location's path still the one this root was opened with?"""


class Ledger(Protocol):
    """What the ledger knows about this source; asked of the parent process."""

    def digest(self, directory: str) -> bytes | None:
        """The digest of the last ``AtRest`` of ``directory``; None if anything was registered,
        changed or set gone in it after that. The transaction that does so takes the digest away:
        else a file that came, was registered and went again leaves the directory as it was."""

    def known(
        self, directory: str, names: Collection[str] | None = None
    ) -> Mapping[str, Signature]:
        """Files registered as present, and entries in quarantine, directly in ``directory``:
        all of them, or those of ``names``."""

    def directories(self, under: str) -> Collection[str]:
        """The directories below ``under`` ("" = all, itself too) with known files in them."""


@dataclass(frozen=True, slots=True)
class Subdirectory:
    path: str
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Odd:
    """A path that can't be captured as it is, and why, in words for a person.

    ``may_pass``: the disk said no, and may say yes another time, with nothing changed.
    """

    path: str
    signature: Signature
    reason: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class DirectoryLook:
    """What one look at a directory found. Names are ledger text, without the directory.

    ``fresh`` and ``changed`` are at most as many as there was room for; ``more`` says that there
    are others. ``waiting`` counts entries that differ from what is known and are in hand already.
    ``unchanged``: the ledger's digest said so, and nothing was compared.
    """

    directory: str
    digest: bytes
    files: int
    fresh: Mapping[str, Signature]
    changed: Mapping[str, Signature]
    vanished: frozenset[str]
    subdirectories: tuple[Subdirectory, ...]
    oddities: tuple[Odd, ...]
    waiting: int = 0
    more: bool = False
    unchanged: bool = False

    @property
    def same(self) -> bool:
        """Everything here is known as it is."""
        differs = self.fresh or self.changed or self.vanished or self.oddities
        return not (differs or self.waiting or self.more)


def join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def split(path: str) -> tuple[str, str]:
    directory, _, name = path.rpartition("/")
    return directory, name


def is_ours(path: str) -> bool:
    """The marker file and our own directory, at the top of a location, are never its data."""
    return path in (OUR_MARKER, OUR_DIRECTORY) or path.startswith(OUR_DIRECTORY + "/")


def signature_of(seen: os.stat_result, stable_inodes: bool) -> Signature:
    return Signature(*_NUMBERS.unpack(_numbers(seen, stable_inodes)))


def look_at(
    tree: Tree,
    directory: str,
    ledger: Ledger,
    *,
    stable_inodes: bool,
    room: int,
    in_hand: Callable[[str, Signature], bool],
    watch_first: Callable[[str, int], None],
) -> DirectoryLook:
    """Look at ``directory`` once.

    ``watch_first`` gets its descriptor before anything is read. ``in_hand`` says of a path that
    differs from what is known, in this state, that it is followed already.

    Raises:
        OSError, Unreadable: it is not there (:func:`is_absence`), or can't be read.
    """
    fd = tree.open_directory(directory)
    try:
        watch_first(directory, fd)  # files that come between are then seen twice, never missed
        rows, subdirectories, oddities = _read(fd, directory, stable_inodes)
    finally:
        os.close(fd)
    rows.sort()
    digest = _digest(rows, subdirectories)
    files = len(rows) - len(oddities)
    if digest == ledger.digest(directory):
        return DirectoryLook(
            directory, digest, files, {}, {}, frozenset(), subdirectories, (), unchanged=True
        )
    known = ledger.known(directory)
    expected = {
        to_bytes(name) + _NUMBERS.pack(*signature): name for name, signature in known.items()
    }
    different = [row for row in rows if row not in expected]
    odd = {o.path: o for o in oddities}
    fresh: dict[str, Signature] = {}
    changed: dict[str, Signature] = {}
    met: list[Odd] = []
    waiting = 0
    for row in different:
        name, signature = _entry(row)
        path = join(directory, name)
        if in_hand(path, signature):
            waiting += 1
        elif path in odd:
            met.append(odd[path])
        elif len(fresh) + len(changed) < room:
            (changed if name in known else fresh)[name] = signature
    vanished: frozenset[str] = frozenset()
    if len(rows) - len(different) < len(expected):
        vanished = frozenset(known) - {_entry(row)[0] for row in rows}
    more = len(fresh) + len(changed) + len(met) + waiting < len(different)
    return DirectoryLook(
        directory,
        digest,
        files,
        fresh,
        changed,
        vanished,
        subdirectories,
        tuple(met),
        waiting,
        more,
    )


def nothing_at(directory: str, ledger: Ledger) -> DirectoryLook:
    """The look at a directory that is not there: all that was known in it has vanished."""
    known = frozenset(ledger.known(directory))
    return DirectoryLook(directory, b"", 0, {}, {}, known, (), ())


def is_absence(error: OSError | Unreadable) -> bool:
    """Does ``error`` say that nothing is there by this path, rather than that it can't be read?"""
    cause = error.__cause__ if isinstance(error, Unreadable) else error
    return isinstance(cause, OSError) and cause.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def _read(
    fd: int, directory: str, stable_inodes: bool
) -> tuple[list[bytes], tuple[Subdirectory, ...], tuple[Odd, ...]]:
    rows: list[bytes] = []
    subdirectories: list[Subdirectory] = []
    oddities: list[Odd] = []
    regular, folder, mask = stat.S_IFREG, stat.S_IFDIR, 0o170000
    encoding, errors = _ENCODING, _ERRORS
    with os.scandir(fd) as entries:
        for entry in entries:
            raw = entry.name.encode(encoding, errors)
            try:
                seen = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since its name was read: the next look tells
            except OSError as error:
                if says_gone(error):
                    raise  # all names would seem unreadable, one after the other
                rows.append(raw + _NUMBERS.pack(*NO_SIGNATURE))
                path = join(directory, to_text(raw))
                oddities.append(Odd(path, NO_SIGNATURE, unreadable(error)))
                continue
            kind = seen.st_mode & mask
            if kind == regular:
                if directory or raw != OUR_MARKER.encode():
                    rows.append(raw + _numbers(seen, stable_inodes))
                continue
            path = join(directory, to_text(raw))
            if kind == folder:
                if not is_ours(path):
                    subdirectories.append(Subdirectory(path, seen.st_ctime_ns))
            else:
                rows.append(raw + _numbers(seen, stable_inodes))
                oddities.append(Odd(path, signature_of(seen, stable_inodes), _odd_kind(kind)))
    return rows, tuple(subdirectories), tuple(oddities)


def _odd_kind(kind: int) -> str:
    return ODD_KINDS.get(kind, "no regular file: it is not read; remove it from the source")


def unreadable(error: OSError | Unreadable) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    return f"can't be read ({error.strerror}): make it readable for the daemon's user"


def _numbers(seen: os.stat_result, stable_inodes: bool) -> bytes:
    inode = seen.st_ino if stable_inodes else 0
    try:
        return _NUMBERS.pack(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, inode)
    except struct.error:  # a time after the year 2262, an inode with its highest bit set
        times = (max(-_LIMIT, min(_LIMIT, t)) for t in (seen.st_mtime_ns, seen.st_ctime_ns))
        return _NUMBERS.pack(seen.st_size, *times, inode & _LIMIT)


def _entry(row: bytes) -> tuple[str, Signature]:
    cut = len(row) - _NUMBERS.size
    return to_text(row[:cut]), Signature(*_NUMBERS.unpack(row[cut:]))


def _digest(rows: list[bytes], subdirectories: tuple[Subdirectory, ...]) -> bytes:
    """Over every entry; of subdirectories the names only, for each has a digest of its own."""
    whole = blake2b(digest_size=16)
    for start in range(0, len(rows), 10_000):
        whole.update(b"".join(rows[start : start + 10_000]))
    whole.update("\0/".join(["", *sorted(s.path for s in subdirectories)]).encode())
    return whole.digest()
