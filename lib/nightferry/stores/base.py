"""One storage system, whatever its kind: what every store promises.

Files are named by relative paths as the ledger writes them. A SHA-256 is 64 hexadecimal digits in
lower case, a size is bytes. The contract suite is ``nightferry.testing.store_contract``.

Every store raises only these: Unavailable (the location does not answer), Unreadable (a copy could
not be read: neither good nor bad), Occupied (something else stands there), Retry and GiveUp (in
words), FileNotFoundError, and ValueError for a path that is none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Literal, Protocol, Self

from nightferry.readback import Reading, Unfinished

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Space:
    """Room of a store in bytes: ``total``, and ``free`` for us; none at all if ``read_only``."""

    total: int
    free: int
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in a store: ``size`` in bytes, ``mtime_ns`` as the store gives it. ``ctime_ns``, where
    it has one: when the file was last written, renamed or otherwise touched."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int | None = None


@dataclass(frozen=True)
class Abandoned:
    """A temporary file in a store. Garbage only if no row and no running claim names it."""

    path: str
    token: str
    modified: datetime


class Writing(Protocol):
    """A temporary file that is being written. Leaving its context without ``finish`` keeps it
    where it was to be resumable, and discards it otherwise."""

    @property
    def path(self) -> str:
        """The temporary's path in the store."""

    @property
    def offset(self) -> int:
        """How many bytes it holds: where the next ``write`` goes."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Never leaves more than 256 MB unsynced. Retry: no room, or a failed disk."""

    def finish(self) -> None:
        """Make the bytes durable. Retry: they are lost, and the file was discarded."""

    def discard(self) -> None:
        """Remove the temporary file."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Store(Protocol):
    """Every verb can be cut short and done again; done before = done."""

    @property
    def location(self) -> str:
        """The location's name."""

    def probe(self) -> None:
        """Return if the store answers and is the one it is taken for; else raise Unavailable."""

    def space(self) -> Space | None:
        """None where the store does not say."""

    def size(self, path: str) -> int: ...

    def stat(self, path: str) -> Stored:
        """The file as the store has it now."""

    def has_writer(self, path: str) -> bool | None:
        """Whether some process has it open for writing; None where the store can't tell."""

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes from ``offset``, ``length`` of them or to the end, at most CHUNK at a time."""

    def read_back(
        self,
        path: str,
        progress: Callable[[int], None] | None = None,
        unfinished: Unfinished | None = None,
    ) -> Reading:
        """Read in full, as near to the medium as can be. ``progress(bytes so far)`` may raise.

        ``unfinished`` notes how far it came, and the next reading may go on there.
        """

    def write(self, final: str, token: str, resume: bool = False, sha256: str = "") -> Writing:
        """Begin a temporary file for ``final``, or continue the one of this ``token``.

        ``sha256`` is what it will have, where that is known: a store may note it beside the bytes.
        """

    def publish(self, temporary: str, final: str, sha256: str) -> Literal["published", "identical"]:
        """Give a verified temporary its final name, durably; never overwrite.

        "identical": these bytes stood there already. Occupied: other bytes do.
        """

    def discard(self, temporary: str) -> None:
        """Remove a temporary file, and nothing but a temporary file (ValueError)."""

    def trash(self, path: str, token: str, seen: Stored | None = None) -> str:
        """Move a file to the trash; where it is now. The entry's path carries ``token``.

        Another file than ``seen`` that bears its name is left where it is (Retry): between a look
        and a move a process can be frozen for as long as it takes others to use the name again.
        """

    def restore(self, trash_path: str, path: str) -> None:
        """Move an entry of the trash back. Occupied: a file has the name again."""

    def erase(self, trash_path: str) -> None:
        """Remove an entry of the trash, for good, and nothing that is not there (ValueError)."""

    def set_aside(self, path: str, token: str, seen: Stored | None = None) -> str:
        """Move a file to where a person looks at it; where it is now. ``seen`` as for trash."""

    def aside(self, path: str, token: str) -> str | None:
        """Where ``set_aside`` has put a file; None: it has put none there."""

    def temporaries(self) -> Iterator[Abandoned]: ...

    def walk(self, under: str = "") -> Iterator[Stored]:
        """Every file below ``under``; no temporaries, no trash, nothing of our own."""

    def close(self) -> None: ...
