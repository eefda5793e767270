"""Disk against database, both ways: files that no row knows, and copies that have no file.

It reads names and sizes, no bytes: that is verify's. What the daemons move meanwhile is no
difference: whatever looks wrong is looked at again, on the disk and in the ledger, after all has
been seen. Each answer is kept, with the database that gave it: after a restore, the database is
trusted once every location has passed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nightferry.db import Database, Tx
from nightferry.db import json as jsonb
from nightferry.errors import ConfigError
from nightferry.place import BACKUPS
from nightferry.stores import Store, open_location
from nightferry.watch.settle import looks_temporary

AT_ONCE = 5000
MUCH = 0.1  # a wrong or half-empty disk differs by more than this share


@dataclass(frozen=True)
class Audit:
    """One location's answer. Paths, sorted."""

    location: str
    files: int
    copies: int
    unknown: tuple[str, ...]  # on the disk, in no row
    absent: tuple[str, ...]  # in the ledger as present, not on the disk
    other_size: tuple[str, ...]
    awaited: bool  # a SOURCE: what ingest has not registered yet is no difference

    @property
    def clean(self) -> bool:
        return not (self.absent or self.other_size or (self.unknown and not self.awaited))

    @property
    def differences(self) -> int:
        """What applying would change: on a SOURCE nothing, for ingest concludes there."""
        if self.awaited:
            return 0
        return len(self.unknown) + len(self.absent) + len(self.other_size)

    @property
    def much(self) -> bool:
        """More than a tenth differs: it looks like the wrong disk."""
        return self.differences > MUCH * max(self.files, self.copies)


@dataclass(frozen=True)
class Applied:
    """How many rows followed: files to quarantine, copies to repair, copies to be read again."""

    quarantined: int
    missing: int
    doubted: int


def audit(database: Database, location: str, path: Path) -> Audit:
    """Compares what lies at ``path``, the root of ``location``, with its rows.

    Raises:
        ConfigError: the database does not know the location.
        Unavailable: its marker is not there, or another's.
    """
    row = database.run(lambda tx: tx.one("audit.place", location=location))
    if row is None:
        raise ConfigError(f"there is no location {location!r}; see: nf locations list")
    store = open_location(row.storage, location, row.settings, path, row.marker)
    try:
        store.probe()
        found = _compare(database, store, awaited=row.type == "SOURCE")
    finally:
        store.close()
    database.run(lambda tx: _keep(tx, found))
    return found


def apply(tx: Tx, found: Audit) -> Applied:
    """Makes the rows follow the disk: nothing is moved, and nothing of a SOURCE is concluded.

    A file that no row knows goes to quarantine, or, where it is a copy that was missing, is read
    again; a copy that is not there is missing, and is repaired; one of another size is read again.
    """
    if found.awaited:
        return Applied(0, 0, 0)
    at = found.location
    back = {r.path for r in tx.run("audit.is_back", location=at, paths=list(found.unknown))}
    strange = [p for p in found.unknown if p not in back]
    quarantined = tx.run(
        "audit.quarantine", location=at, paths=strange,
        reason="no row of the ledger knows this file",
        advice=f"look at it: nf rebuild {at} takes a package that is whole, nf adopt {at} takes "
        "other files; or release it, to be ignored",
        evidence=jsonb({"found by": "nf audit"}),
    )  # fmt: skip
    missing = tx.run("audit.missing", location=at, paths=list(found.absent))
    doubted = tx.run("audit.doubt", location=at, paths=list(found.other_size))
    return Applied(len(quarantined), len(missing), len(back) + len(doubted))


def not_passed(tx: Tx) -> list[str]:
    """Locations that have not passed yet, by the running database's word."""
    return [r.name for r in tx.run("audit.not_passed")]


def _keep(tx: Tx, found: Audit) -> None:
    tx.run(
        "audit.keep", location=found.location, passed=found.clean, files=found.files,
        copies=found.copies, unknown=len(found.unknown), absent=len(found.absent),
        other_size=len(found.other_size),
    )  # fmt: skip


def _is_ours(path: str) -> bool:
    """What no row speaks of, and need not: temporary files, and dumps of the database."""
    return looks_temporary(path) or path.startswith(f"{BACKUPS}/")


def _compare(database: Database, store: Store, awaited: bool) -> Audit:
    location = store.location
    sizes = {seen.path: seen.size for seen in store.walk() if not _is_ours(seen.path)}
    files, copies = len(sizes), 0
    absent: list[str] = []
    other_size: list[str] = []
    for path, size in _copies(database, location):
        copies += 1
        found = sizes.pop(path, None)
        if found is None:
            absent.append(path)
        elif found != size:
            other_size.append(path)
    # Once more: what was moved, published or deleted while we looked is where it belongs now.
    unknown = [p for p in _not_known(database, location, list(sizes)) if _is_there(store, p)]
    absent = [p for p in _still(database, location, absent) if not _is_there(store, p)]
    other_size = _still(database, location, other_size)
    return Audit(location, files, copies, tuple(unknown), tuple(absent), tuple(other_size), awaited)


def _copies(database: Database, location: str) -> Iterator[tuple[str, int]]:
    after = ""
    while True:
        rows = database.run(
            lambda tx, after=after: tx.run(  # type: ignore[misc]
                "audit.copies", location=location, after=after, most=AT_ONCE
            )
        )
        yield from ((r.path, r.size) for r in rows)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].path


def _not_known(database: Database, location: str, paths: list[str]) -> list[str]:
    return sorted(set(paths) - _asked(database, "audit.known", location, paths))


def _still(database: Database, location: str, paths: list[str]) -> list[str]:
    return sorted(_asked(database, "audit.still_there", location, paths))


def _asked(database: Database, statement: str, location: str, paths: list[str]) -> set[str]:
    found: set[str] = set()
    left = iter(paths)
    while part := list(islice(left, AT_ONCE)):
        rows = database.run(
            lambda tx, part=part: tx.run(statement, location=location, paths=part)  # type: ignore[misc]
        )
        found |= {r.path for r in rows}
    return found


def _is_there(store: Store, path: str) -> bool:
    try:
        store.stat(path)
    except FileNotFoundError:
        return False
    return True
