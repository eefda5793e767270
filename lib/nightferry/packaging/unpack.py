"""The files of a package in a fresh directory: those that the document names, and nothing else.

Nothing in the tar is believed. The document says what every header must be, byte for byte; what
stands there instead is refused with the reason, so no name, link, device or mode of a foreign tar
is ever acted on. This only ever creates: what was made before an error stays, and the text says so.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nightferry.errors import NoRoom, Retry
from nightferry.names import to_bytes
from nightferry.packaging import tar
from nightferry.packaging.layout import Entry, plan
from nightferry.packaging.manifest import Document, Member
from nightferry.packaging.read import Refused, Source, walk
from nightferry.system_errors import FULL

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNSYNCED = 256 * 1024 * 1024


def unpack(source: Source, destination: Path, document: Document) -> None:
    """Make ``destination`` and put the files in it, each under its original path and name.

    Bytes, size and whole seconds of mtime are the registered ones, the mode 0644; every file and
    directory is synced.

    Raises:
        Refused: the tar is not exactly the package of ``document``.
        NoRoom: its disk is full, or over its quota.
        Retry: the destination is there already, or can't be written.
    """
    layout = plan(document)
    try:
        os.mkdir(destination)
        root = os.open(destination, _DIRECTORY)
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom(f"{destination}: its disk {FULL[error.errno]}: make room there") from error
        raise Retry(f"{destination}: {error.strerror}. Unpacking needs a new directory") from error
    try:
        for entry, header, body in walk(layout, source):
            if header != entry.header:
                raise Refused(f"where {entry.name} should be stands {_explain(header, document)}")
            _place(root, entry, body)
        after = b"".join(source.read(layout.size - len(tar.END), len(tar.END)))
        if after != tar.END or source.size != layout.size:
            raise Refused(f"it has {source.size} bytes, and should end after {layout.size}")
        os.fsync(root)
    except Refused as error:
        raise Refused(f"package {document.name}: {error}. {_left(destination)}") from error
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom(
                f"{destination}: its disk {FULL[error.errno]}: make room there. "
                f"{_left(destination)}"
            ) from error
        raise Retry(f"{destination}: {error.strerror}. {_left(destination)}") from error
    finally:
        os.close(root)


def _left(destination: Path) -> str:
    return f"What was unpacked before is left in {destination}: do not use it, and remove it"


def _explain(header: bytes, document: Document) -> str:
    """What stands there; a file that the document does name stands there once too often."""
    known = {f"{document.name}/{member.name}" for member in document.members}
    name = header[:100].split(b"\0")[0].decode(errors="replace")
    return tar.explain(header) + (", out of its place or a second time" if name in known else "")


def _place(root: int, entry: Entry, body: Iterator[bytes]) -> None:
    """Write the file, if it is one of the night; the tag files are compared and not kept."""
    if entry.member is None:
        for _ in body:
            pass
        return
    *folders, name = to_bytes(entry.member.path).split(b"/")
    directory = os.dup(root)
    try:
        for folder in folders:
            directory = _enter(directory, folder)
        fd = os.open(name, _NEW, 0o644, dir_fd=directory)
        try:
            _fill(fd, entry.member, body)
        finally:
            os.close(fd)
        os.fsync(directory)
    finally:
        os.close(directory)


def _enter(parent: int, folder: bytes) -> int:
    """The folder below ``parent``, made if need be; ``parent`` is closed."""
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, dir_fd=parent)
            os.fsync(parent)
        return os.open(folder, _DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)


def _fill(fd: int, member: Member, body: Iterator[bytes]) -> None:
    unsynced = 0
    for chunk in body:
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(fd, rest) :]
        unsynced += len(chunk)
        if unsynced >= _UNSYNCED:
            os.fdatasync(fd)
            unsynced = 0
    os.utime(fd, (member.mtime, member.mtime))
    os.fsync(fd)
    if (there := os.fstat(fd).st_size) != member.size:
        raise Retry(
            f"{member.path}: its disk took {member.size} bytes and has {there}. Look for errors of "
            "the disk in the kernel's log"
        )
