"""Columns derived again from the headers that the ledger holds: no archive is read.

Identity and bytes stay (id, path, SHA-256, night); what the headers are taken to mean may change,
by better instrument definitions or by corrections.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from nightferry.capture import Meaning, Reader, Telescope, reader_of
from nightferry.db import Database, Row, Tx, json
from nightferry.instruments import FileFacts, Hdu, Instruments

AT_ONCE = 500
_FIRST = UUID(int=0)


@dataclass(frozen=True)
class Which:
    """The files that are meant; all of them if nothing is said."""

    file: UUID | None = None
    night: date | None = None
    instrument: str | None = None


@dataclass(frozen=True)
class Done:
    """How many files were looked at and changed, and how many now say another night."""

    seen: int = 0
    changed: int = 0
    other_night: int = 0

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.seen + other.seen,
            self.changed + other.changed,
            self.other_night + other.other_night,
        )


def rederive(database: Database, which: Which, definitions: Path | None = None) -> Done:
    """Derives the columns of all files that ``which`` means again, some hundred a transaction.

    Raises:
        ConfigError: a definition in the folder ``definitions`` is wrong.
    """
    again = _Again(Instruments.load(definitions))
    done, after = Done(), _FIRST
    while True:
        part, last = database.run(lambda tx, after=after: again.chunk(tx, which, after))  # type: ignore[misc]
        done += part
        if last is None:
            return done
        after = last


class _Again:
    """One run: its instruments, and the rules of each location, asked for once."""

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.readers: dict[str, Reader] = {}

    def chunk(self, tx: Tx, which: Which, after: UUID) -> tuple[Done, UUID | None]:
        rows = tx.run(
            "headers.chunk",
            after=after,
            file=which.file,
            night=which.night,
            instrument=which.instrument,
            most=AT_ONCE,
        )
        if not rows:
            return Done(), None
        meant = [(row, self._mean(tx, row)) for row in rows]
        tx.run("ingest.instruments", names=[m.exposure.instrument for _, (m, _) in meant])
        columns = [_columns(row, m, defects) for row, (m, defects) in meant]
        changed = [r.id for r in tx.run("headers.rederive", rows=json(columns))]
        tx.run("headers.told", files=changed)
        other = sum(m.night != row.night for row, (m, _) in meant if m.night_from == "exposure")
        return Done(len(rows), len(changed), other), rows[-1].id

    def _mean(self, tx: Tx, row: Row) -> tuple[Meaning, list[str]]:
        """What the headers mean now, and the file's defects."""
        hdus = tuple(Hdu(i, tuple(cards.split("\n"))) for i, cards in enumerate(row.headers))
        facts = FileFacts(row.sha256, row.size, row.header, (), hdus, None)
        reader = self._reader(tx, row.location)
        arrived = row.registered
        if row.handling == "adopted":
            arrived = datetime.fromtimestamp(row.mtime_ns / 1e9, UTC)
        plain = reader.mean(facts, row.path, arrived)
        meaning = reader.mean(facts, row.path, arrived, dict(row.corrections))
        # What was found in the bytes stays; what was found in the meaning is found anew.
        of_meaning = {*plain.exposure.defects, *meaning.exposure.defects}
        own = [d for d in row.defects if d not in of_meaning]
        return meaning, [*own, *meaning.exposure.defects]

    def _reader(self, tx: Tx, location: str) -> Reader:
        if location not in self.readers:
            place = tx.run("headers.place", location=location)[0]
            telescopes = {
                r[0]: Telescope(*r[1:]) for r in tx.run("ingest.telescopes", location=location)
            }
            settings: Mapping[str, Any] = place.settings
            if place.type != "SOURCE":  # adopted: an archive's frames are not of today
                settings = {**settings, "replayed": True}
            self.readers[location] = reader_of(
                _NoFiles(), False, self.instruments, telescopes, settings
            )
        return self.readers[location]


class _NoFiles:
    """Deriving again reads rows only."""

    def open_file(self, path: str, flags: int = os.O_RDONLY) -> int:
        raise FileNotFoundError(path)


def _columns(row: Row, meaning: Meaning, defects: list[str]) -> dict[str, Any]:
    e = meaning.exposure
    return {
        "id": str(row.id),
        "defects": defects,
        "clock": meaning.clock,
        "instrument": e.instrument,
        "module": e.module,
        "frame_type": str(e.frame_type),
        "object": e.object or "",
        "program": e.program,
        "exposure_start": e.start.isoformat() if e.start else None,
        "exposure_seconds": e.seconds,
        "filter": e.filter,
        "ra": e.ra,
        "dec": e.dec,
        "airmass": e.airmass,
        "counter": e.counter,
        "exposure_key": e.exposure_key,
        "attributes": e.attributes,
    }
