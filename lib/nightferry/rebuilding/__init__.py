"""The ledger again, out of the archives alone: from each package's document and its sidecar.

What lies in an archive is read in ``finding.py``, what becomes of it in the ledger stands in
``recording.py``. Nothing that a row says is changed: so it may be done twice, over a second
archive, or after the restore of a backup that is older than the newest packages.

Rebuilt copies are `present` and have no verification: nobody has read them since. Verify does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from nightferry import jobs
from nightferry.db import REFUSED, Database, Row, Tx, first_line
from nightferry.errors import ConfigError, NightferryError
from nightferry.rebuilding.finding import Damaged, Found, Loose, look_through
from nightferry.rebuilding.lacking import FROM_BACKUP, NOT_WRITTEN
from nightferry.rebuilding.recording import Conflict, Recorder
from nightferry.stores import open_location

__all__ = ["FROM_BACKUP", "NOT_WRITTEN", "Damaged", "Rebuilt", "rebuild"]

LEASE = timedelta(minutes=10)

_STOPPED = (
    "the ledger was rebuilt from archives, which know no holds: place them again, then nf reap "
    "resume"
)


@dataclass
class Rebuilt:
    """What a run did, or one location's part of it."""

    packages: int = 0
    files: int = 0
    observations: int = 0
    copies: int = 0
    known: int = 0  # copies that the ledger had
    loose: int = 0  # files in no package
    damaged: list[Damaged] = field(default_factory=list)
    refused: list[Damaged] = field(default_factory=list)  # whole, and at odds with the ledger

    @property
    def whole(self) -> bool:
        return not self.damaged and not self.refused


def rebuild(
    database: Database,
    locations: Sequence[str],
    mounted: Mapping[str, Path],
    *,
    me: str,
    tell: Callable[[str, Rebuilt], None] = lambda _, __: None,
) -> dict[str, Rebuilt]:
    """Reads every package at ``locations`` and writes the rows that the ledger lacks.

    ``tell`` hears of each package's location and its numbers so far.

    Raises:
        ConfigError: a location is unknown, unmarked, not mounted here, or neither archive nor
            buffer.
        Unavailable: its marker is not there, or another's.
        NightferryError: daemons run, or another rebuild does.
    """
    places = [database.run(lambda tx, n=name: _place(tx, n, mounted)) for name in locations]  # type: ignore[misc]
    awake = database.run(lambda tx: tx.run("rebuild.awake"))
    if awake:
        names = ", ".join(f"{r.daemon} on {r.host}" for r in awake)
        raise NightferryError(
            f"{names} runs: files would be registered a second time, under new ids. Stop the "
            "daemons on every host (systemctl stop nightferry.target), then again"
        )
    lease = database.run(lambda tx: jobs.take_lease(tx, "", "rebuild", me, LEASE))
    if lease is None:
        raise NightferryError("another rebuild runs, or did minutes ago")
    try:
        run = _Run(database, lease, tell)
        for place in places:
            run.one(place, mounted[place.name])
        return run.end()
    finally:
        database.run(lambda tx: jobs.drop_lease(tx, lease))


def _place(tx: Tx, name: str, mounted: Mapping[str, Path]) -> Row:
    place = tx.one("rebuild.place", location=name)
    if place is None:
        raise ConfigError(f"there is no location {name!r}: nf config apply first")
    if place.type not in ("LONG_TERM_ARCHIVE", "BUFFER"):
        raise ConfigError(f"{name} is a {place.type}: packages lie in archives and buffers")
    if name not in mounted:
        raise ConfigError(f"{name} is not mounted on this host: name it in nightferry.yaml")
    if place.marker is None:
        raise ConfigError(f"the database does not know the marker of {name}: nf locations init")
    return place


def _stop_deletion(tx: Tx) -> None:
    """Nothing goes before a person has placed the holds again."""
    if not tx.run("reap.stops"):
        tx.run("reap.stop", reason=_STOPPED)


class _Run:
    """One run over all its locations."""

    def __init__(
        self, database: Database, lease: jobs.Lease, tell: Callable[[str, Rebuilt], None]
    ) -> None:
        self.database, self.lease, self.tell = database, lease, tell
        self.recorder = Recorder()
        self.done: dict[str, Rebuilt] = {}

    def one(self, place: Row, path: Path) -> None:
        done = self.done[place.name] = Rebuilt()
        store = open_location(place.storage, place.name, place.settings, path, place.marker)
        try:
            store.probe()
            for found in look_through(store, self._is_known):
                match found:
                    case Loose():
                        done.loose += 1
                    case Damaged():
                        done.damaged.append(found)
                    case Found():
                        self._record(place, found, done)
                        self.tell(place.name, done)
        finally:
            store.close()

    def end(self) -> dict[str, Rebuilt]:
        """Joins what was found in any order; what is damaged and known whole is looked at again."""
        self.database.run(self.recorder.join)
        for location, done in self.done.items():
            for bad in done.damaged:
                self.database.run(
                    lambda tx, b=bad, at=location: tx.run(  # type: ignore[misc]
                        "rebuild.doubtful_copy", location=at, path=b.path
                    )
                )
        return self.done

    def _is_known(self, package: str, sha256: str, size: int) -> bool:
        row = self.database.run(
            lambda tx: tx.one("rebuild.known", package=package, sha256=sha256, size=size)
        )
        return row is not None

    def _record(self, place: Row, found: Found, done: Rebuilt) -> None:
        def work(tx: Tx) -> tuple[int, int, int, bool]:
            jobs.hold_lease(tx, self.lease, LEASE)
            if found.document is not None:
                _stop_deletion(tx)
            return self.recorder.record(tx, place, found)

        try:
            packages, files, observations, copied = self.database.run(work)
        except Conflict as conflict:
            done.refused.append(Damaged(found.path, str(conflict)))
        except REFUSED as error:
            done.refused.append(Damaged(found.path, f"the database refuses: {first_line(error)}"))
        else:
            done.packages += packages
            done.files += files
            done.observations += observations
            done.copies += copied
            done.known += not copied
