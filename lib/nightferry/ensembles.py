"""The exposures of a night solved together: from calibrations' tables to rows.

``solve`` is arithmetic on what the database had; ``record`` writes rows. The calibration of each
exposure stays as it is, and so does an earlier solution: the newest good one is the current one.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from nightferry.calibrating import Datum, targets_among
from nightferry.catalogs.sky import eastward, separation
from nightferry.db import Tx
from nightferry.photometry.choices import STARS as FEWEST
from nightferry.photometry.ensemble import FRAMES, Frame, Night, solve
from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.product import STARS
from nightferry.photometry.times import bjd_tdb, mjd_utc
from nightferry.photometry.zeropoint import ColourTerm

_ALIKE = ("night", "source_location", "instrument", "band", "unit", "catalog", "transformation")
_ONE_FIELD = 0.25  # degrees between the middles of two exposures of it, at most
Terms = Callable[[str], Mapping[str, Mapping[str, ColourTerm]]]  # by the instrument's name


@dataclass(frozen=True)
class _Exposure:
    """A calibrated exposure: its row, the header of its table, and its stars."""

    row: Any
    header: Any
    stars: Any

    @property
    def middle(self) -> tuple[float, float]:
        ra = _numbers(self.stars["ra"])
        some = ra[np.isfinite(ra)][0]
        return float((some + np.nanmedian(eastward(ra, some))) % 360.0), float(
            np.nanmedian(self.stars["dec"])
        )

    def frame(self) -> Frame:
        s = self.stars
        status = np.char.strip(np.asarray(s["status"]).astype(str))
        return Frame(
            ra=_numbers(s["ra"]), dec=_numbers(s["dec"]), magnitude=_numbers(s["mag_inst"]),
            error=_numbers(s["mag_inst_error"]), catalog_magnitude=_numbers(s["catalog_mag"]),
            catalog_error=_numbers(s["catalog_mag_error"]), colour=_numbers(s["colour"]),
            serves=np.isin(status, ("used", "outlier")),
        )  # fmt: skip


def _numbers(column: Any) -> NDArray[np.float64]:
    return np.asarray(column, np.float64)


@dataclass(frozen=True)
class Solution:
    """One field's night: the columns of its row, each calibration's zero point and its error, and
    the magnitudes of targets by the calibration that they are of."""

    columns: dict[str, Any]
    exposures: Sequence[tuple[str, float | None, float | None]]
    data: Sequence[tuple[Any, Datum]] = field(default_factory=list)


def solutions(
    rows: Sequence[Any], targets: Sequence[Any], terms: Terms, fewest: int = FEWEST
) -> Iterator[Solution]:
    """Of the rows of ``calibrate.of_nights``, in their order: one for each field, band and way of
    calibrating that has enough exposures. What fails is one too, with its reason."""
    for _, alike in groupby(rows, lambda r: tuple(getattr(r, name) for name in _ALIKE)):
        for group in _fields([_read(row) for row in alike]):
            if len(group) >= FRAMES:
                yield _solution(group, targets, terms, fewest)


def _read(row: Any) -> _Exposure:
    with fits.open(io.BytesIO(row.content), memmap=False) as hdus:
        return _Exposure(row, hdus[0].header.copy(), np.array(hdus[STARS].data))


def _fields(exposures: Sequence[_Exposure]) -> list[list[_Exposure]]:
    groups: list[list[_Exposure]] = []
    for exposure in exposures:
        ra, dec = exposure.middle
        for group in groups:
            if separation(np.array([ra]), np.array([dec]), *group[0].middle)[0] <= _ONE_FIELD:
                group.append(exposure)
                break
        else:
            groups.append([exposure])
    return groups


def _solution(
    group: Sequence[_Exposure], targets: Sequence[Any], terms: Terms, fewest: int
) -> Solution:
    first = group[0]
    header, row = first.header, first.row
    ra, dec = first.middle
    columns = {name: getattr(row, name) for name in (*_ALIKE, "system", "colour")}
    columns |= {
        "field": f"{ra:.1f} {dec:+.1f}", "exposures": len(group), "state": "failed", "reason": "",
        "advice": "", "stars": 0, "used": 0, "flags": [],
    }  # fmt: skip
    columns |= dict.fromkeys(
        ("zero_point", "zero_point_error", "fit_error", "at_colour_0", "colour_reference",
         "colour_term", "colour_term_error", "repeats", "repeats_worst")
    )  # fmt: skip
    # The two errors of a calibration differ by the transformation's scatter.
    scatter2 = header["ZPERR"] ** 2 - header["ZPFITERR"] ** 2
    try:
        night = solve(
            [e.frame() for e in group], colour_reference=header["COLOUR0"], fewest=fewest,
            scatter_of_transformation=float(np.sqrt(max(scatter2, 0.0))),
            known_term=terms(row.instrument).get(row.band, {}).get(row.colour),
        )  # fmt: skip
    except NotCalibrated as why:
        columns |= {"reason": why.reason, "advice": str(why)}
        return Solution(columns, [(str(e.row.id), None, None) for e in group])
    known = [(_or_none(z), _or_none(e)) for z, e in zip(night.frames, night.errors, strict=True)]
    return Solution(
        columns | _found(night),
        [(str(e.row.id), *pair) for e, pair in zip(group, known, strict=True)],
        [
            (e.row, datum)
            for e, (zero, error) in zip(group, known, strict=True)
            if zero is not None and error is not None
            for datum in _data(e, night, zero, error, targets)
        ],
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _found(night: Night) -> dict[str, Any]:
    fit = night.fit
    return {
        "state": "good", "zero_point": fit.value, "zero_point_error": fit.error,
        "fit_error": fit.fit_error, "at_colour_0": fit.at_colour_0,
        "colour_reference": fit.colour_reference, "colour_term": fit.colour_term,
        "colour_term_error": fit.colour_term_error, "stars": len(night.ra), "used": fit.used,
        "repeats": _or_none(night.repeats[0]), "repeats_worst": _or_none(night.repeats[1]),
        "flags": list(night.flags),
    }  # fmt: skip


def _data(
    exposure: _Exposure, night: Night, zero: float, error: float, targets: Sequence[Any]
) -> Iterator[Datum]:
    """Magnitudes of targets. The exposure's error beside the others is random, and the night's is
    shared by all of them."""
    s, fit, middle = exposure.stars, night.fit, exposure.row.middle
    magnitude, e = s["mag_inst"], s["mag_inst_error"]
    names = [str(name).strip() for name in s["star"]]
    light = np.isfinite(magnitude) & np.isfinite(e)
    for target, star in targets_among(targets, s["ra"], s["dec"], names, light):
        relative = float(np.nan_to_num(s["colour"][star] - fit.colour_reference))
        flags = ["by the whole night", *night.flags]
        if not np.isfinite(s["colour"][star]):
            flags.append("no colour: of a reference star's")
        yield Datum(
            str(target.id), mjd_utc(middle), bjd_tdb(middle, target.ra, target.dec),
            float(magnitude[star] + zero + fit.colour_term * relative),
            float(np.hypot(e[star], error)),
            float(np.hypot(fit.error, fit.colour_term_error * relative)), tuple(flags),
        )  # fmt: skip


def record(tx: Tx, solution: Solution) -> str:
    """Writes one solution, and the magnitudes that it gives in place of the exposures' own: its
    row's id."""
    row = tx.one("calibrate.add_solution", **solution.columns)
    assert row is not None
    calibrations, zero_points, errors = zip(*solution.exposures, strict=True)
    tx.run(
        "calibrate.add_exposures", solution=row.id, calibrations=list(calibrations),
        zero_points=list(zero_points), errors=list(errors),
    )  # fmt: skip
    for exposure, datum in solution.data:
        same = {
            "source_name": exposure.source_name, "source_location": exposure.source_location,
            "band": solution.columns["band"], "time": exposure.middle,
        }  # fmt: skip
        tx.run("calibrate.supersede", calibration=exposure.id, target=datum.target)
        tx.run(
            "calibrate.datum", calibration=exposure.id, solution=row.id, target=datum.target,
            mjd=datum.mjd, bjd_tdb=datum.bjd_tdb, system=solution.columns["system"],
            magnitude=datum.magnitude, error=datum.error,
            zero_point_error=datum.zero_point_error, limiting=exposure.limiting,
            flags=list(datum.flags), **same,
        )  # fmt: skip
    return str(row.id)
