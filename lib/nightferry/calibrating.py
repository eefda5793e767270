"""A file of photometry, from its bytes to rows: for the daemon and for ``nf cal run`` alike.

``run`` reads, calibrates and makes the products, and knows the database only by questions that it
asks; ``record`` writes rows. A later run adds rows, and the newest good one is the current one.

Over 300 lines: all that becomes a row stands here, for tables and for images.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs import Ask, Cache, Catalog, Definition, Field, Found
from nightferry.catalogs.cache import Keep
from nightferry.catalogs.sky import separation
from nightferry.catalogs.tap import Tap
from nightferry.db import Tx, json
from nightferry.instruments.photometry import Photometry
from nightferry.night import night_of
from nightferry.photometry import few, product, tables
from nightferry.photometry.calibration import calibrate, field_of, first_look
from nightferry.photometry.measured import Exposure, NotCalibrated, Reading, Unusable
from nightferry.photometry.result import Calibration, Request
from nightferry.photometry.times import bjd_tdb, mjd_utc
from nightferry.photometry.zeropoint import ColourTerm

Array = NDArray[np.float64]
_NAMED = 60.0  # arcsec: a star of the target's name is not farther off
_MOST_REJECTED = 20  # stars that are named


@dataclass(frozen=True)
class Source:
    """Where a file of photometry is from."""

    name: str
    location: str
    file: str | None = None  # id of the registered one
    instrument: str = ""
    zone: str = "UTC"
    turnover: str = "12:00"
    label: str = "evening"
    registered: date | None = None  # the registered file's night

    def night(self, moment: datetime) -> date:
        return night_of(moment, self.zone, self.turnover, self.label)  # type: ignore[arg-type]

    def night_of(self, exposure: Exposure | None) -> date | None:
        """By its beginning, else by its middle; of a failure of which neither is known, that of the
        registered file."""
        moment = None if exposure is None else exposure.start or exposure.known_middle
        return self.registered if moment is None else self.night(moment)


class Target(NamedTuple):
    """A row of ``calibrate.targets``."""

    id: Any
    name: str
    ra: float
    dec: float
    radius: float  # arcsec
    aliases: Sequence[str]


@dataclass(frozen=True)
class Datum:
    """A magnitude of a target."""

    target: str
    mjd: float
    bjd_tdb: float
    magnitude: float
    error: float
    zero_point_error: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """One exposure: the columns of its row, its table, and the magnitudes of targets."""

    columns: dict[str, Any]
    table: bytes | None = None
    data: tuple[Datum, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """What a remote archive gave, on its way into the cache."""

    catalog: str
    found: Found
    source: str


@dataclass
class _Once:
    """A catalogue that is asked once for all exposures of a file."""

    catalog: Catalog
    field_of_file: Field
    _found: Found | None = field(default=None, init=False)

    @property
    def definition(self) -> Definition:
        return self.catalog.definition

    def field(self, field: Field) -> Found:
        whole = self.field_of_file
        at = np.array([field.ra]), np.array([field.dec])
        if separation(*at, whole.ra, whole.dec)[0] > whole.radius:
            return self.catalog.field(field)  # elsewhere: positions were taken otherwise
        if self._found is None:
            self._found = self.catalog.field(self.field_of_file)
        return Found(self._found.stars.inside(field), self._found.coverage)


def catalogs(
    known: Mapping[str, Definition], ask: Ask, remote: Sequence[str] = (), keep: Keep | None = None
) -> dict[str, Catalog]:
    """The cached catalogues by name; those of ``remote`` are asked of their archive where the cache
    has no tile."""
    return {
        name: Cache(
            definition, ask,
            Tap(definition) if name in remote and definition.tap else None, keep,
        )
        for name, definition in known.items()
    }  # fmt: skip


def reading_of(photometry: Photometry, corrections: Iterable[tuple[str, Any]] = ()) -> Reading:
    """What an instrument's file says of its tables, and people of their headers."""
    return Reading(
        columns=photometry.columns, gain=photometry.gain, per_second=photometry.per_second,
        electrons=photometry.electrons, corrections=dict(corrections),
    )  # fmt: skip


def colour_terms(photometry: Photometry) -> dict[str, dict[str, ColourTerm]]:
    return {
        band: {colour: ColourTerm(*pair) for colour, pair in terms.items()}
        for band, terms in photometry.colour_terms.items()
    }


def run(
    content: bytes,
    source: Source,
    reading: Reading,
    request: Request,
    available: Mapping[str, Catalog],
    ask: Ask,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Result]:
    """Calibrates every exposure of a file. What fails is a result with its reason.

    Raises:
        Unavailable: a remote archive does not answer; nothing was made.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        exposures = tables.read(content, source.name, reading)
    except NotCalibrated as why:
        return [Result(columns_of_failure(source, sha256, why))]
    once = _shared(available, [e for e in exposures if isinstance(e, Exposure)])
    targets = ask("calibrate.targets")
    results = []
    for done, exposure in enumerate(exposures):
        progress(done, len(exposures))
        if isinstance(exposure, Unusable):
            columns = columns_of_failure(source, sha256, exposure.why, exposure.exposure)
            shown = product.to_fits(failure(exposure)) if exposure.has_stars else None
            results.append(Result(columns, shown))
            continue
        calibration = calibrate(exposure, once, request)
        results.append(
            Result(
                columns_of(source, sha256, calibration),
                product.to_fits(calibration),
                tuple(data_of(calibration, targets)),
            )
        )
    return results


def _shared(
    available: Mapping[str, Catalog], exposures: Sequence[Exposure]
) -> Mapping[str, Catalog]:
    """Catalogues that are asked once for all exposures, where these are of one field."""
    try:
        whole = field_of(exposures)
        widest = max(field_of([e]).radius for e in exposures)
    except (NotCalibrated, ValueError):
        return available  # each exposure by itself says what is wrong with it
    if whole.radius > 2 * widest:
        return available
    return {name: _Once(catalog, whole) for name, catalog in available.items()}


def failure(it: Unusable) -> Calibration:
    """What there is of a calibration that could not be tried."""
    return Calibration(it.exposure, status=first_look(it.exposure)).failed(it.why)


def columns_of_failure(
    source: Source, sha256: str, why: NotCalibrated, exposure: Exposure | None = None
) -> dict[str, Any]:
    """``exposure``: what is known of it all the same."""
    empty = dict.fromkeys(
        (
            "middle", "exposure_seconds", "airmass", "band", "system", "unit", "catalog",
            "transformation", "zero_point", "zero_point_error", "fit_error", "colour",
            "colour_reference", "colour_term", "colour_term_error", "scatter", "limiting",
        )
    )  # fmt: skip
    known: dict[str, Any] = {"part": "", "filter": "", "aperture": "", "measured": 0, "flags": []}
    if exposure is not None:
        e = exposure
        known |= {
            "part": e.part, "filter": e.filter, "aperture": e.aperture, "measured": len(e),
            "flags": list(e.notes), "middle": e.known_middle, "airmass": e.airmass,
            "exposure_seconds": None if np.isnan(e.seconds) else e.seconds,
        }  # fmt: skip
    return {
        **empty, **_of_source(source, sha256), **known, "state": "failed", "reason": why.reason,
        "advice": str(why), "night": source.night_of(exposure), "matched": 0, "used": 0,
        "detail": {},
    }  # fmt: skip


def _of_source(source: Source, sha256: str) -> dict[str, Any]:
    return {
        "file": source.file, "source_name": source.name, "source_location": source.location,
        "sha256": sha256, "instrument": source.instrument,
    }  # fmt: skip


def columns_of(source: Source, sha256: str, done: Calibration) -> dict[str, Any]:
    e, fit, relation = done.exposure, done.fit, done.transformation
    detail: dict[str, Any] = {"not used": done.rejected(), "match radius": done.radius}
    if done.candidates:
        detail["bands"] = done.candidates
    if fit is not None:
        detail["rejected"] = _rejected(done)
        detail["at colour 0"] = [fit.at_colour_0, fit.at_colour_0_error]
        detail["field"] = {"order": fit.order, "coefficients": fit.field.tolist()}
    return {
        **_of_source(source, sha256), "part": e.part, "state": "good" if fit else "failed",
        "reason": done.reason, "advice": done.advice, "night": source.night_of(e),
        "middle": e.middle, "exposure_seconds": e.seconds, "airmass": e.airmass, "filter": e.filter,
        "band": done.band, "system": relation.system if relation else None, "unit": e.unit,
        "aperture": e.aperture, "catalog": done.catalog,
        "transformation": relation.name if relation else None,
        "zero_point": fit and fit.value, "zero_point_error": fit and fit.error,
        "fit_error": fit and fit.fit_error, "colour": relation and relation.colour_name,
        "colour_reference": fit and fit.colour_reference, "colour_term": fit and fit.colour_term,
        "colour_term_error": fit and fit.colour_term_error, "scatter": fit and fit.scatter,
        "measured": len(e), "matched": done.matched, "used": fit.used if fit else 0,
        "limiting": done.limiting, "flags": list(done.flags), "detail": detail,
    }  # fmt: skip


def _rejected(done: Calibration) -> list[dict[str, Any]]:
    """The stars that do not belong, farthest first: their names where the catalogue has any."""
    e, fit = done.exposure, done.fit
    assert fit is not None
    which = np.flatnonzero(done.status == "outlier")
    z = done.residual / np.sqrt(
        e.error**2 + done.catalog_error**2 + max(fit.scatter, few.USUAL) ** 2
    )
    names = (
        dict(zip(done.catalog_stars.id, done.catalog_stars.names, strict=False))
        if (done.catalog_stars is not None and done.catalog_stars.names)
        else {}
    )
    return [
        {
            "star": str(names.get(done.catalog_id[k], f"{e.ra[k]:.5f} {e.dec[k]:+.5f}")),
            "residual": round(float(done.residual[k]), 4), "z": round(float(z[k]), 1),
        }
        for k in which[np.argsort(-np.abs(z[which]))][:_MOST_REJECTED]
    ]  # fmt: skip


def data_of(done: Calibration, targets: Sequence[Any]) -> list[Datum]:
    """The magnitudes of registered targets."""
    if not done.is_good:
        return []
    e = done.exposure
    light = np.isfinite(done.magnitude) & np.isfinite(e.error)
    found = []
    for target, star in targets_among(targets, e.ra, e.dec, e.stars, light):
        status = str(done.status[star])
        found.append(
            Datum(
                str(target.id), mjd_utc(e.middle), bjd_tdb(e.middle, target.ra, target.dec),
                float(done.magnitude[star]), float(e.error[star]),
                float(done.zero_point_error[star]),
                tuple(done.flags) + ((status,) if status not in ("used", "unmatched") else ())
                + (() if np.isfinite(done.colour[star]) else ("no colour: of a reference star's",)),
            )
        )  # fmt: skip
    return found


def targets_among(
    targets: Sequence[Any], ra: Array, dec: Array, stars: Sequence[str], light: NDArray[np.bool_]
) -> Iterator[tuple[Target, int]]:
    """Each of the rows of ``calibrate.targets`` that is among some stars: the nearest within its
    reach, else one of its name not far off."""
    names = np.array([s.lower().replace(" ", "") for s in stars])
    for target in (Target(*row) for row in targets):
        away = separation(ra, dec, target.ra, target.dec) * 3600
        near = light & (away <= target.radius)
        if len(names) == len(ra) and not near.any():
            called = np.isin(names, [target.name.lower().replace(" ", ""), *target.aliases])
            near = light & called & (away <= _NAMED)
        if near.any():
            yield target, int(np.flatnonzero(near)[np.argmin(away[near])])


def record(tx: Tx, result: Result) -> str:
    """Writes one result: its row's id."""
    columns = {**result.columns, "detail": json(result.columns["detail"])}
    row = tx.one("calibrate.add", **columns)
    assert row is not None
    if result.table is not None:
        tx.run("calibrate.keep_table", calibration=row.id, content=result.table)
    if columns["state"] == "good":
        same = {name: columns[name] for name in ("source_name", "source_location", "band")}
        tx.run("calibrate.supersede", calibration=row.id, target=None)
        for datum in result.data:
            tx.run(
                "calibrate.datum", calibration=row.id, solution=None, target=datum.target,
                time=columns["middle"].astimezone(UTC), mjd=datum.mjd, bjd_tdb=datum.bjd_tdb,
                system=columns["system"], magnitude=datum.magnitude, error=datum.error,
                zero_point_error=datum.zero_point_error, limiting=columns["limiting"],
                flags=list(datum.flags), **same,
            )  # fmt: skip
    return str(row.id)
