"""What a location's file system can do, tried on temporary files in it, and written in its row."""

import mmap
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from stat import S_ISDIR

from nightferry.durable import (
    TRASH,
    Root,
    link,
    parse_temporary,
    rename_no_replace,
    temporary_path,
)
from nightferry.errors import GiveUp
from nightferry.filesystem import answers_from_memory, file_system_type_of, is_network
from nightferry.names import to_bytes
from nightferry.readback import try_direct


@dataclass(frozen=True)
class Capabilities:
    """What was tried and works. None = could not be tried, since the directory is read-only here.

    ``file_system`` is the kernel's name of the type, ``name_max`` the longest name in bytes.
    """

    file_system: str
    network: bool
    name_max: int
    writable: bool
    renameat2: bool | None = None
    link: bool | None = None
    o_direct: bool | None = None
    directory_fsync: bool | None = None
    rename_to_trash: bool | None = None
    case_sensitive: bool | None = None

    @property
    def one_writer_only(self) -> bool:
        """Nothing here refuses to overwrite: two hosts that publish at once could lose a file."""
        return self.renameat2 is False and self.link is False

    def as_json(self) -> dict[str, str | int | bool | None]:
        """All of it by name, for a jsonb column."""
        return {**asdict(self), "one_writer_only": self.one_writer_only}


def probe(path: Path) -> Capabilities:
    """Try what the file system of the directory ``path`` can do; nothing stays behind.

    Raises:
        Unavailable: ``path`` cannot be opened.
        Retry: the directory cannot be written, though it should be.
    """
    with Root.unmarked(path) as root:
        fd = root._fd
        kind = file_system_type_of(fd)
        about = Capabilities(
            file_system=kind,
            network=is_network(kind),
            name_max=os.fpathconf(fd, "PC_NAME_MAX"),
            writable=os.access(path, os.W_OK | os.X_OK),
        )
        return _tried(root, about) if about.writable else about


def _tried(root: Root, about: Capabilities) -> Capabilities:
    token = str(uuid.uuid4())
    first, second, third = (temporary_path(f"probe-{n}", token) for n in (1, 2, 3))
    try:
        with root.temporary("probe-1", token) as temporary:
            temporary.write(b"probe")
            temporary.finish()
        linked = _works(link, root, first, third)
        renamed = _works(rename_no_replace, root, first, second)
        now = second if renamed else first
        direct = not answers_from_memory(about.file_system) and _reads_directly(root, now)
        case_sensitive = not _is_there(root, now.replace("probe", "PROBE"))
        try:
            root.trash(now, token)
            trashed = True
        except GiveUp:
            trashed = False  # the trash is on another file system
        return replace(
            about,
            renameat2=renamed,
            link=linked,
            o_direct=direct,
            directory_fsync=_syncs(root._fd),
            rename_to_trash=trashed,
            case_sensitive=case_sensitive,
        )
    finally:
        for path in (first, second, third):
            root.discard(path)
        _clear_trash(root)


def _clear_trash(root: Root) -> None:
    """Erases what this probe, or an earlier one that was cut short, put there: no sweep would."""
    with suppress(FileNotFoundError):
        for token in [one for one in root.scan(TRASH) if S_ISDIR(one.stat.st_mode)]:
            for left in root.scan(f"{TRASH}/{token.name}"):
                if parse_temporary(left.name) == token.name and left.name.startswith(".probe-"):
                    root.erase(f"{TRASH}/{token.name}/{left.name}")


def _works(call: Callable[[int, bytes, int, bytes], None], root: Root, old: str, new: str) -> bool:
    try:
        call(root._fd, to_bytes(old), root._fd, to_bytes(new))
    except OSError:
        return False
    return True


def _reads_directly(root: Root, path: str) -> bool:
    fd = root.open_file(path)
    try:
        return try_direct(fd) and bool(os.preadv(fd, [mmap.mmap(-1, mmap.PAGESIZE)], 0))
    except OSError:
        return False
    finally:
        os.close(fd)


def _is_there(root: Root, path: str) -> bool:
    try:
        root.stat(path)
    except FileNotFoundError:
        return False
    return True


def _syncs(fd: int) -> bool:
    try:
        os.fsync(fd)
    except OSError:
        return False
    return True
