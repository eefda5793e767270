"""An existing archive registered in place: nothing is moved, written or deleted there.

Every file is read once, in full: its SHA-256 and headers are registered, and the reading is a
verification. It can be interrupted: what is registered with the same size and mtime is not read
again. Reading is spread over processes, and gives way to everybody else's (``reading.py``); what
is committed stands in ``recording.py``.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path

from nightferry import jobs
from nightferry.adoption.reading import Read, Reading, read_all
from nightferry.adoption.recording import Adopted, record
from nightferry.capture import Telescope
from nightferry.db import Database, Row, Tx
from nightferry.errors import ConfigError, NightferryError
from nightferry.place import BACKUPS, Place
from nightferry.watch.settle import looks_temporary

__all__ = ["Adopted", "adopt"]

LISTED = 2000  # paths that the ledger is asked about at once
READ = 64  # files of one piece of work for a process
COMMIT = 1024  # files of one transaction
LEASE = timedelta(minutes=10)


def adopt(
    database: Database,
    location: str,
    path: Path,
    *,
    host: str,
    under: str = "",
    rate: int = 0,
    processes: int = 0,
    definitions: Path | None = None,
    tell: Callable[[Adopted], None] = lambda _: None,
) -> Adopted:
    """Registers what lies at ``path``, the root of ``location``, or below its directory ``under``.

    ``rate`` is bytes a second over all processes (0 = as fast as it goes). ``tell`` hears of each
    commit.

    Raises:
        ConfigError: the location is unknown, or no archive.
        Unavailable: its marker is not there, or another's.
        NightferryError: somebody else is adopting it.
    """
    place = database.run(lambda tx: tx.one("adopt.place", location=location))
    if place is None or place.type != "LONG_TERM_ARCHIVE":
        raise ConfigError(f"{location} is no LONG_TERM_ARCHIVE of the ledger: only one is adopted")
    if place.storage != "posix":
        raise ConfigError(f"{location} is no directory: an archive in a bucket can't be adopted")
    processes = processes or os.cpu_count() or 1
    me = f"adopt@{host}#{os.getpid()}"
    lease = database.run(lambda tx: jobs.take_lease(tx, location, "adopt", me, LEASE))
    if lease is None:
        raise NightferryError(f"{location} is being adopted by another run, or was minutes ago")
    done = Adopted()

    def commit(tx: Tx, batch: list[Read]) -> Adopted:
        jobs.hold_lease(tx, lease, LEASE)
        return record(tx, location, host, batch)

    try:
        how = database.run(lambda tx: _reading(tx, place, path, definitions, rate / processes))
        with Place.open(location, path, place.marker) as root:
            work = _unknown(database, root, under, done)
            for batch in _commits(read_all(work, how, processes)):
                done.add(database.run(lambda tx, b=batch: commit(tx, b)))  # type: ignore[misc]
                tell(done)
    finally:
        database.run(lambda tx: jobs.drop_lease(tx, lease))
    return done


def _reading(tx: Tx, place: Row, path: Path, definitions: Path | None, rate: float) -> Reading:
    telescopes = tx.run("ingest.telescopes", location=place.name)
    return Reading(
        place.name,
        path,
        place.marker,
        definitions,
        {r[0]: Telescope(*r[1:]) for r in telescopes},
        # The frames of an archive are of any day: their clock is not judged by today's.
        {**place.settings, "replayed": True},
        rate,
    )


def _unknown(database: Database, root: Place, under: str, done: Adopted) -> Iterator[list[str]]:
    """Pieces of work: paths that have to be read."""
    found = (
        (p, s)
        for p, s in root.walk(under)
        if not (looks_temporary(p) or p.startswith(f"{BACKUPS}/"))
    )
    waiting: list[str] = []
    while part := list(islice(found, LISTED)):
        known = database.run(lambda tx, p=part: _known(tx, root.location, p))  # type: ignore[misc]
        done.known += len(known)
        waiting += [path for path, _ in part if path not in known]
        while len(waiting) >= READ:
            yield waiting[:READ]
            del waiting[:READ]
    if waiting:
        yield waiting


def _known(tx: Tx, location: str, part: Sequence[tuple[str, os.stat_result]]) -> set[str]:
    rows = tx.run(
        "adopt.known",
        location=location,
        paths=[path for path, _ in part],
        sizes=[seen.st_size for _, seen in part],
        mtimes=[seen.st_mtime_ns for _, seen in part],
    )
    return {r.path for r in rows}


def _commits(pieces: Iterator[list[Read]]) -> Iterator[list[Read]]:
    """The pieces, gathered to what is worth a transaction, or a few seconds of waiting."""
    batch: list[Read] = []
    since = time.monotonic()
    for piece in pieces:
        batch += piece
        if len(batch) >= COMMIT or time.monotonic() - since > 5:
            yield batch
            batch, since = [], time.monotonic()
    if batch:
        yield batch
