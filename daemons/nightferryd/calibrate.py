"""nightferry-calibrate -- from measured stars to standard magnitudes.

Claims    'calibrate' jobs, one per file of a SOURCE with content: photometry
Writes    calibrations, good and failed, each with its table of stars; the magnitudes of targets;
          tiles that a remote catalogue gave
Settings  calibrate: in etc/nightferry.yaml
Killed    at any moment: safe. A file's rows are written together, or not at all.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nightferry import calibrating, catalogs, jobs
from nightferry.calibrating import Fetched, Result, Source
from nightferry.catalogs import loading
from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import Retry
from nightferry.instruments.definitions import Instruments
from nightferry.instruments.photometry import Photometry
from nightferry.jobs import Job, Wanted
from nightferry.photometry import transformations
from nightferry.photometry.result import PREFERRED, Request
from nightferry.photometry.zeropoint import STARS


@dataclass(frozen=True)
class Settings:
    """Which catalogues, in which order, and how few stars are enough."""

    catalogs: tuple[str, ...] = PREFERRED
    remote: tuple[str, ...] = ()  # of these: asked of their archive where the cache has no tile
    min_stars: int = STARS
    transformations: Path | None = None  # a folder of one's own; absent: those that come with it


def calibrate(job: Job, settings: Settings, work: Work) -> tuple[Result, ...]:
    facts: dict[str, Any] = job.facts
    content = _read(job, work)
    known = {d.instrument: d for d in Instruments.load(work.instruments).definitions}
    instrument = known.get(facts["instrument"])
    photometry = instrument.photometry if instrument else Photometry()
    source = Source(facts["path"], job.location, str(facts["id"]), facts["instrument"])
    if facts["zone"] is not None:
        source = replace(
            source, zone=facts["zone"], turnover=facts["turnover"], label=facts["label"]
        )

    def keep(definition: catalogs.Definition, found: catalogs.Found) -> None:
        work.emit(Fetched(definition.key, found, definition.tap.url if definition.tap else ""))

    return tuple(
        calibrating.run(
            content, source, calibrating.reading_of(photometry),
            Request(
                catalogs=settings.catalogs, min_stars=settings.min_stars,
                transformations=transformations.load(settings.transformations),
                colour_terms=calibrating.colour_terms(photometry),
            ),
            calibrating.catalogs(catalogs.definitions(), work.ask, settings.remote, keep),
            work.ask, work.progress,
        )
    )  # fmt: skip


def _read(job: Job, work: Work) -> bytes:
    path = str(job.facts["path"])
    with os.fdopen(work.root(job.location).open_file(path), "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != job.facts["sha256"]:
        raise Retry(f"{job.location}:{path} has changed since it was registered: ingest reads it")
    return content


def record(tx: Tx, job: Job, results: tuple[Result, ...]) -> Iterator[tuple[str, Wanted]]:
    for result in results:
        calibrating.record(tx, result)
    yield from ()


def fetched(tx: Tx, job: Job, got: Fetched) -> Iterator[tuple[str, Wanted]]:
    loading.store(tx, catalogs.definitions()[got.catalog], got.found, got.source)
    jobs.breaker_succeeds(tx, f"catalog {got.catalog}")
    yield from ()


daemon = JobDaemon("calibrate", Settings, calibrate, record, batch=fetched)
main = command(daemon)
