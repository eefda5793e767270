"""nightferry-calibrate -- from images and measured stars to standard magnitudes.

Claims    'calibrate' jobs, one per file of a SOURCE with content: photometry, and per frame of the
          sky of one with content: images
Writes    calibrations, good and failed, each with its table of stars; the magnitudes of targets;
          master frames; tiles that a remote catalogue gave
Settings  calibrate: in etc/nightferry.yaml
Killed    at any moment: safe. A file's rows are written together, or not at all.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightferry import jobs
from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import Retry
from nightferry.instruments.definitions import Instruments
from nightferry.instruments.photometry import Photometry
from nightferry.jobs import Job, Wanted
from nightferry.photometry.choices import MASTER_DAYS, PREFERRED, STARS
from nightferry.yamlfile import nearest, shipped

if TYPE_CHECKING:  # numpy and astropy come with the first frame: a daemon that waits has neither
    from nightferry import catalogs
    from nightferry.calibrating import Fetched, Result
    from nightferry.images import NewMaster


@dataclass(frozen=True)
class Settings:
    """Which catalogues, in which order, and how few stars are enough."""

    catalogs: tuple[str, ...] = PREFERRED
    remote: tuple[str, ...] = ()  # of these: asked of their archive where the cache has no tile
    min_stars: int = STARS
    transformations: Path | None = None  # a folder of one's own; absent: those that come with it
    master_days: int = MASTER_DAYS  # a frame's masters are of a night no farther than this
    cosmic_rays: bool = True  # of images; without them a frame takes a third of the time

    def __post_init__(self) -> None:
        known = sorted(file.stem for file in shipped("catalogs").glob("*.yaml"))
        for key in ("catalogs", "remote"):
            for name in getattr(self, key):
                if name not in known:
                    raise ValueError(f"{key}: there is no catalogue {name!r}{nearest(name, known)}")


def calibrate(job: Job, settings: Settings, work: Work) -> "tuple[Result, ...]":
    from nightferry import calibrating, catalogs, images
    from nightferry.calibrating import Fetched, Source
    from nightferry.photometry import transformations
    from nightferry.photometry.result import Request

    facts: dict[str, Any] = job.facts
    content = _read(job, work)
    instruments = Instruments.load(work.instruments)
    known = {d.instrument: d for d in instruments.definitions}
    instrument = known.get(facts["instrument"])
    photometry = instrument.photometry if instrument else Photometry()
    source = Source(
        facts["path"], job.location, str(facts["id"]), facts["instrument"],
        registered=facts["night"],
    )  # fmt: skip
    if facts["zone"] is not None:
        source = replace(
            source, zone=facts["zone"], turnover=facts["turnover"], label=facts["label"]
        )

    def keep_tile(definition: "catalogs.Definition", found: "catalogs.Found") -> None:
        work.emit(Fetched(definition.key, found, definition.tap.url if definition.tap else ""))

    def open_file(path: str) -> BufferedReader:
        return os.fdopen(work.root(job.location).open_file(path), "rb")

    return tuple(
        images.run(
            content, source, calibrating.reading_of(photometry, facts["corrections"]),
            Request(
                catalogs=settings.catalogs, min_stars=settings.min_stars,
                transformations=transformations.load(settings.transformations),
                colour_terms=calibrating.colour_terms(photometry),
            ),
            calibrating.catalogs(catalogs.definitions(), work.ask, settings.remote, keep_tile),
            work.ask,
            images.Darkroom(
                instruments, open_file, work.emit, dict(facts["corrections"]),
                days=settings.master_days, cosmic_rays=settings.cosmic_rays,
            ),
            work.progress,
        )
    )  # fmt: skip


def _read(job: Job, work: Work) -> bytes:
    path = str(job.facts["path"])
    with os.fdopen(work.root(job.location).open_file(path), "rb") as file:
        content = file.read()
    if hashlib.sha256(content).hexdigest() != job.facts["sha256"]:
        raise Retry(f"{job.location}:{path} has changed since it was registered: ingest reads it")
    return content


def record(tx: Tx, job: Job, results: "tuple[Result, ...]") -> Iterator[tuple[str, Wanted]]:
    from nightferry import calibrating

    for result in results:
        calibrating.record(tx, result)
    yield from ()


def keep(tx: Tx, job: Job, got: "Fetched | NewMaster") -> Iterator[tuple[str, Wanted]]:
    from nightferry import catalogs, images
    from nightferry.catalogs import loading

    if isinstance(got, images.NewMaster):
        images.record_master(tx, got)
        return
    loading.store(tx, catalogs.definitions()[got.catalog], got.found, got.source)
    jobs.breaker_succeeds(tx, f"catalog {got.catalog}")
    yield from ()


daemon = JobDaemon("calibrate", Settings, calibrate, record, batch=keep)
main = command(daemon)
