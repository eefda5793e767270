"""What lies in an archive: packages that are what they say, those that are not, and other files.

A package is believed if its sidecar, its size, the texts at its beginning and the document at its
end agree. Where the sidecar is missing or says otherwise, every byte is compared instead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nightferry.errors import Unreadable
from nightferry.packaging.manifest import Document
from nightferry.packaging.read import Refused, Source, check, read_document, require_tags
from nightferry.packaging.sidecar import SUFFIX, Sidecar, parse
from nightferry.place import BACKUPS, CANARIES
from nightferry.stores.base import Store, Stored
from nightferry.watch.settle import looks_temporary

_TAR = ".tar"
_LONGEST_SIDECAR = 4096

Known = Callable[[str, str, int], bool]


@dataclass(frozen=True)
class Found:
    """A package at ``path``. ``document`` is None where the ledger has the package already."""

    path: str
    package: str
    sha256: str
    size: int
    document: Document | None


@dataclass(frozen=True)
class Damaged:
    """What is no whole package, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class Loose:
    """A file in no package."""

    path: str


def look_through(store: Store, known: Known) -> Iterator[Found | Damaged | Loose]:
    """Everything at the location. ``known(package, sha256, size)``: does the ledger have it?"""
    for stored in store.walk():
        path = stored.path
        if looks_temporary(path) or path.startswith((f"{BACKUPS}/", f"{CANARIES}/")):
            continue
        if path.endswith(_TAR):
            yield _package(store, stored, known)
        elif path.endswith(_TAR + SUFFIX):
            # A directory is walked in the order of its names: the tar comes before its sidecar.
            if not _is_there(store, path.removesuffix(SUFFIX)):
                yield Damaged(path, "its package is not there")
        else:
            yield Loose(path)


def _is_there(store: Store, path: str) -> bool:
    try:
        store.stat(path)
    except FileNotFoundError:
        return False
    return True


def _package(store: Store, stored: Stored, known: Known) -> Found | Damaged:
    path, size = stored.path, stored.size
    try:
        sidecar = _sidecar(store, stored)
        if sidecar is not None and known(sidecar.package, sidecar.sha256, size):
            return Found(path, sidecar.package, sidecar.sha256, size, None)
        source = Source(size, lambda at, length: store.read(path, at, length))
        document = read_document(source)
        require_tags(source, document)
        if sidecar is not None and (sidecar.package, sidecar.members) == (
            document.id,
            len(document.members),
        ):
            return Found(path, document.id, sidecar.sha256, size, document)
        findings = check(source, document)
        if findings:
            return Damaged(path, f"{findings[0].name or 'the package'}: {findings[0].what}")
        return Found(path, document.id, store.read_back(path).sha256, size, document)
    except (Refused, Unreadable) as error:
        return Damaged(path, str(error))
    except FileNotFoundError:
        return Damaged(path, "it vanished while it was read")


def _sidecar(store: Store, stored: Stored) -> Sidecar | None:
    """The sidecar, if it is one for a file of this name and size."""
    try:
        text = b"".join(store.read(stored.path + SUFFIX, 0, _LONGEST_SIDECAR)).decode()
        sidecar = parse(text)
    except (FileNotFoundError, Unreadable, ValueError):
        return None  # every byte of the package is compared instead
    named = sidecar.file == stored.path.rpartition("/")[2] and sidecar.size == stored.size
    return sidecar if named else None
