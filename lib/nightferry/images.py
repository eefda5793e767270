"""An image, from its bytes to rows: for the daemon and for ``nf cal run`` alike.

It is reduced, measured and placed, and then calibrated as a table of measured stars is. Raw frames
and masters are those of its instrument at its location; of a frame that was never registered, those
in its own folder.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from io import BufferedReader
from json import dumps as as_text
from pathlib import Path

from nightferry import calibrating
from nightferry.calibrating import Result, Source
from nightferry.catalogs import Ask, Catalog, Definition, Field, MissingTile
from nightferry.catalogs.base import Stars
from nightferry.catalogs.sky import index
from nightferry.db import Tx, json
from nightferry.imaging import pages
from nightferry.imaging.files import ImageFile, configuration, is_image
from nightferry.imaging.frame import Detector
from nightferry.imaging.library import Known, Library, Made, RawFrame, Wanted
from nightferry.imaging.observation import Image, Observed, observe
from nightferry.imaging.reduction import Masters
from nightferry.instruments import Exposure as Meaning
from nightferry.instruments import Hdu, Instruments, Value, derive
from nightferry.instruments.keywords import Header
from nightferry.photometry import absent, product
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.choices import MASTER_DAYS
from nightferry.photometry.measured import NotCalibrated, Reading, Unusable
from nightferry.photometry.result import Calibration, Request
from nightferry.photometry.unpacked import unpacked

MOST_FRAMES = 60  # of a night, in one master
_SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".gz")
_FEW = 5  # stars of a catalogue that say little of a position


@dataclass(frozen=True)
class NewMaster:
    """A master frame, on its way into the database."""

    made: Made
    location: str
    instrument: str


@dataclass(frozen=True)
class Darkroom:
    """What reducing images needs beside them."""

    instruments: Instruments
    open_file: Callable[
        [str], BufferedReader
    ]  # of a raw frame, by its path at the source's location
    keep: Callable[[NewMaster], None]
    corrections: Mapping[str, Value | None] = field(default_factory=dict)  # of the image's header
    folder: Path | None = None  # of frames that were never registered
    days: int = MASTER_DAYS
    cosmic_rays: bool = True


def run(
    content: bytes,
    source: Source,
    reading: Reading,
    request: Request,
    available: Mapping[str, Catalog],
    ask: Ask,
    darkroom: Darkroom,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Result]:
    """Calibrates a file, image or table. What fails is a result with its reason.

    Raises:
        Unavailable: a remote archive does not answer; nothing was made.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        plain = unpacked(content)
    except NotCalibrated as why:
        return [Result(calibrating.columns_of_failure(source, sha256, why))]
    if not is_image(plain):
        return calibrating.run(content, source, reading, request, available, ask, progress)
    try:
        with ImageFile(plain, source.name, to_show=True) as file:
            observed = _observed(file, source, reading, request, available, ask, darkroom, progress)
    except NotCalibrated as why:
        return [Result(calibrating.columns_of_failure(source, sha256, why))]
    return [_result(observed, source, sha256, request, available, ask)]


def _observed(
    file: ImageFile, source: Source, reading: Reading, request: Request,
    available: Mapping[str, Catalog], ask: Ask, darkroom: Darkroom,
    progress: Callable[[int, int], None],
) -> Observed:  # fmt: skip
    hdus = file.hdus
    meaning = derive(hdus, source.name, darkroom.instruments, darkroom.corrections)
    known = {d.instrument: d for d in darkroom.instruments.definitions}
    name = source.instrument or meaning.instrument
    imaging = known.get(name, darkroom.instruments.generic).imaging
    image = Image(file, meaning, Header(hdus, darkroom.corrections), imaging)

    def masters(at: Detector) -> Masters:
        start = reading.start or meaning.start
        if start is None:
            return Masters(notes=("no bias and flat: its night is not known",))
        records = _Folder if source.file is None and darkroom.folder is not None else _Ledger
        library = Library(
            records(source, name, darkroom, ask), f"{source.location} {name}", imaging,
            darkroom.days,
        )  # fmt: skip
        alike = configuration(image.keywords, file.shape, imaging.configuration)
        return library.masters_for(Wanted(alike, meaning.filter or "", source.night(start), at))

    start = reading.start or meaning.start
    year = 2000.0 if start is None else start.year + start.timetuple().tm_yday / 365.25

    def look_up(field: Field) -> tuple[Stars, Definition] | None:
        return _look_up(field, request, available, year)

    steps = iter(range(1, 1_000_000))
    return observe(
        image, reading, masters, look_up, cosmic_rays=darkroom.cosmic_rays,
        progress=lambda: progress(next(steps), 0),
    )  # fmt: skip


def _look_up(
    field: Field, request: Request, available: Mapping[str, Catalog], year: float
) -> tuple[Stars, Definition] | None:
    """The first catalogue that is complete in the middle of the field and has enough stars there;
    else the one that has most."""
    best: tuple[Stars, Definition] | None = None
    for name in request.catalogs:
        if name not in available:
            continue
        definition = available[name].definition
        try:
            found = available[name].field(field)
        except MissingTile:
            continue
        middle = index([field.ra], [field.dec])  # type: ignore[arg-type]
        if not definition.sparse and not found.coverage.holds(middle).all():
            continue
        stars = found.stars.at(definition, year)
        if best is None or len(stars) > len(best[0]):
            best = stars, definition
        if len(stars) > _FEW and not definition.sparse:
            return stars, definition
    return best if best is not None and len(best[0]) else None


def _result(
    observed: Observed, source: Source, sha256: str, request: Request,
    available: Mapping[str, Catalog], ask: Ask,
) -> Result:  # fmt: skip
    more = pages.hdus(observed)
    if observed.why is not None:
        seen = Unusable(observed.exposure, observed.why)
        columns = calibrating.columns_of_failure(source, sha256, seen.why, seen.exposure)
        columns["detail"] = dict(observed.detail)
        if observed.picture is None and not seen.has_stars:
            return Result(columns)
        return Result(columns, product.to_fits(calibrating.failure(seen), more))
    done = calibrate(observed.exposure, available, request)
    if not done.is_good:
        done = _flagged(done, observed.exposure.notes)
    if done.catalog is not None:
        done = _flagged(done, absent.notes(done, available[done.catalog].definition))
    columns = calibrating.columns_of(source, sha256, done)
    columns["detail"] = {**columns["detail"], **observed.detail}
    data = calibrating.data_of(done, ask("calibrate.targets"))
    return Result(columns, product.to_fits(done, more), tuple(data))


def _flagged(done: Calibration, notes: Sequence[str]) -> Calibration:
    return replace(done, flags=(*done.flags, *(n for n in notes if n not in done.flags)))


class _Ledger:
    """Raw frames and masters of one instrument at one location, as the database has them."""

    def __init__(self, source: Source, instrument: str, darkroom: Darkroom, ask: Ask) -> None:
        self._darkroom, self._ask, self._source = darkroom, ask, source
        self._of = {"location": source.location, "instrument": instrument}

    def known(
        self, kind: str, configuration: Mapping[str, str], filter: str, first: date, last: date
    ) -> list[Known]:
        rows = self._ask(
            "calibrate.masters", kind=kind, configuration=as_text(configuration), filter=filter,
            first=first, last=last, **self._of,
        )  # fmt: skip
        return [Known(str(identity), *rest) for identity, *rest in rows]

    def counts(self, kind: str, first: date, last: date) -> dict[date, int]:
        rows = self._ask(
            "calibrate.calibrators_known", kind=kind, first=first, last=last, **self._of
        )
        return {night: count for night, count in rows}

    def frames(self, kind: str, night: date) -> list[RawFrame]:
        rows = self._ask(
            "calibrate.calibrators", kind=kind, night=night, limit=MOST_FRAMES, **self._of
        )
        return [
            RawFrame(
                path, sha256, of, seconds or 0.0, filter_,
                tuple(Hdu(i, tuple(c.split("\n"))) for i, c in enumerate(cards or ())),
                dict(corrections), str(identity),
            )
            for identity, path, sha256, of, seconds, filter_, cards, corrections in rows
        ]  # fmt: skip

    def open(self, frame: RawFrame) -> BufferedReader:
        return self._darkroom.open_file(frame.name)

    def content(self, identity: str) -> bytes:
        return bytes(self._ask("calibrate.master", id=identity)[0][0])

    def new_id(self) -> str:
        return str(self._ask("calibrate.new_id")[0][0])

    def keep(self, made: Made) -> None:
        self._darkroom.keep(NewMaster(made, self._of["location"], self._of["instrument"]))


class _Folder(_Ledger):
    """The same of frames in one folder that nobody registered; masters are kept all the same."""

    def __init__(self, source: Source, instrument: str, darkroom: Darkroom, ask: Ask) -> None:
        super().__init__(source, instrument, darkroom, ask)
        self._found: list[tuple[str, RawFrame]] | None = None

    def counts(self, kind: str, first: date, last: date) -> dict[date, int]:
        counts: dict[date, int] = {}
        for of, frame in self._all():
            if of == kind and first <= frame.night <= last:
                counts[frame.night] = counts.get(frame.night, 0) + 1
        return counts

    def frames(self, kind: str, night: date) -> list[RawFrame]:
        return [f for of, f in self._all() if of == kind and f.night == night][:MOST_FRAMES]

    def open(self, frame: RawFrame) -> BufferedReader:
        assert self._darkroom.folder is not None
        return (self._darkroom.folder / frame.name).open("rb")

    def _all(self) -> list[tuple[str, RawFrame]]:
        if self._found is None:
            assert self._darkroom.folder is not None
            files = sorted(self._darkroom.folder.iterdir())
            named = [f for f in files if f.suffix.lower() in _SUFFIXES and f.is_file()]
            self._found = [found for f in named if (found := self._looked_at(f)) is not None]
        return self._found

    def _looked_at(self, path: Path) -> tuple[str, RawFrame] | None:
        try:
            with path.open("rb") as opened:
                with ImageFile(opened, path.name) as file:
                    hdus = file.hdus
                meaning: Meaning = derive(hdus, path.name, self._darkroom.instruments)
                if meaning.instrument != self._of["instrument"] or meaning.start is None:
                    return None
                if meaning.frame_type not in ("bias", "dark", "flat"):
                    return None
                with path.open("rb") as again:
                    sha256 = hashlib.file_digest(again, "sha256").hexdigest()
        except (OSError, NotCalibrated):
            return None
        night = self._source.night(meaning.start)
        raw = RawFrame(
            path.name, sha256, night, meaning.seconds or 0.0, meaning.filter or "", hdus, {}
        )
        return meaning.frame_type.value, raw


def record_master(tx: Tx, new: NewMaster) -> None:
    """Writes a master frame, and what it was made of."""
    made = new.made
    tx.run(
        "calibrate.add_master", id=made.id, location=new.location, instrument=new.instrument,
        kind=made.kind, configuration=json(made.configuration), filter=made.filter,
        night=made.night, frames=made.frames, considered=made.considered,
        detail=json(made.detail), content=made.content,
    )  # fmt: skip
    tx.run(
        "calibrate.add_members", master=made.id, names=[m.name for m in made.members],
        sha256s=[m.sha256 for m in made.members], files=[m.file for m in made.members],
    )  # fmt: skip
