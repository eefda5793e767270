"""Photometry files: SExtractor's ASCII_HEAD and FITS_LDAC, FITS tables, CSV and ECSV.

Columns are found by their usual names; what a file does not say is taken from its headers, and then
from what was said beside it. Nothing is guessed that would change a magnitude.

Over 300 lines: the names that columns have in the wild, and of each what may be wrong with it.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from nightferry.instruments.times import start as start_of
from nightferry.photometry.measured import (
    NO_TIME,
    Array,
    Exposure,
    NotCalibrated,
    Reading,
    Unusable,
    magnitudes,
    middle_of,
    plain,
)  # fmt: skip
from nightferry.photometry.unpacked import unpacked

Got = TypeVar("Got")

# Meaning -> the names that columns have, in the order in which they are believed. Small letters.
NAMES: Mapping[str, tuple[str, ...]] = {
    "ra": ("alpha_j2000", "alphawin_j2000", "ra_icrs", "ra", "raj2000", "x_world", "ra_deg"),
    "dec": ("delta_j2000", "deltawin_j2000", "dec_icrs", "dec", "decj2000", "y_world", "dec_deg"),
    "flux": ("flux_auto", "flux_psf", "flux_best", "flux_iso", "aperture_net_flux",
             "aperture_net_cnts", "flux", "flux_aper", "net_flux"),
    "flux_error": ("fluxerr_auto", "fluxerr_psf", "fluxerr_best", "fluxerr_iso", "flux_error",
                   "noise_cnts", "fluxerr", "flux_err", "fluxerr_aper"),
    "magnitude": ("mag_auto", "mag_psf", "mag_best", "mag_iso", "mag_inst", "instrumental_mag",
                  "mag", "magnitude", "mag_aper"),
    "magnitude_error": ("magerr_auto", "magerr_psf", "magerr_best", "magerr_iso", "mag_inst_error",
                        "mag_error", "magerr", "mag_err", "e_mag", "error", "magerr_aper"),
    "band": ("filter", "band", "filt", "passband"),
    "start": ("date-beg", "date-obs", "date_obs", "dateobs"),
    "mjd": ("mjd", "mjd-obs", "mjd_obs"),
    "jd": ("jd", "jd_utc", "julian_date"),
    "exposure": ("exptime", "exposure", "exposure_time", "texp"),
    "airmass": ("airmass",),
    "gain": ("gain", "egain"),
    "aperture": ("aperture", "aperture_radius"),
    "x": ("x_image", "xwin_image", "xcenter", "x", "xcentroid"),
    "y": ("y_image", "ywin_image", "ycenter", "y", "ycentroid"),
    "flags": ("flags",),
    "star": ("star_id", "number", "source_id", "star"),
    "file": ("file", "filename", "image"),
}  # fmt: skip
_SATURATED = 4  # in SExtractor's FLAGS
_BAD = 8 | 16  # cut by the edge, aperture incomplete
_HOURS = re.compile(r"\bh(our(angle)?s?|rs?|:m:s)?\b", re.IGNORECASE)
_MAG_UNITS = ("", "mag", "mag(ab)", "mag(adu)", "mag(electron)", "mmag")


@dataclass(frozen=True)
class _Sheet:
    """A table, and the header cards that belong to it."""

    table: Table
    header: Mapping[str, Any]
    refused: NotCalibrated | None = None  # why no exposure of it is calibrated, but shown

    def column(self, meaning: str, reading: Reading) -> str | None:
        """The column that has this meaning."""
        if meaning in reading.columns:
            named = reading.columns[meaning]
            if named not in self.table.colnames:
                raise NotCalibrated("no such column", f"it has no column {named!r}")
            return named
        small = {name.lower(): name for name in reversed(self.table.colnames)}
        return next((small[n] for n in NAMES[meaning] if n in small), None)

    def values(self, meaning: str, reading: Reading) -> Array | None:
        name = self.column(meaning, reading)
        if name is None:
            return None
        column = self.table[name]
        if column.dtype.kind not in "iufb":
            raise NotCalibrated("wrong units", f"column {name} holds {column[0]!r}, and no numbers")
        if column.ndim > 1:
            column = column[:, 0]  # several apertures: the first is the one that errors go with
        filled = (
            column.filled(np.nan)
            if hasattr(column, "filled") and column.dtype.kind == "f"
            else column
        )
        return np.asarray(filled, np.float64)


def read(content: bytes, name: str, reading: Reading) -> list[Exposure | Unusable]:
    """The exposures of a file, each with its stars, or why one can't be calibrated.

    Raises:
        NotCalibrated: nothing of the file can be used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # units that astropy does not know, dates of old headers
        sheet = _corrected(_open(content, name), reading)
    if not len(sheet.table):
        raise sheet.refused or NotCalibrated("no stars", f"{name} has a header and no row")
    exposures = (
        _exposure(_Sheet(sheet.table[rows], sheet.header), reading, part)
        for part, rows in _parts(sheet, reading)
    )
    if sheet.refused is not None:
        first = next(exposures)
        shown = first.exposure if isinstance(first, Unusable) else first
        return [Unusable(shown, sheet.refused)]
    return list(exposures)


def _corrected(sheet: _Sheet, reading: Reading) -> _Sheet:
    """With the corrections of its header; columns are as they are."""
    header = {k: v for k, v in sheet.header.items() if k not in reading.corrections}
    said = {k: v for k, v in reading.corrections.items() if v is not None}
    return replace(sheet, header=header | said)


def _open(content: bytes, name: str) -> _Sheet:
    content = unpacked(content)
    try:
        if content[:6] == b"SIMPLE":
            return _open_fits(content, name)
        text = content.decode("utf-8")
        if re.match(r"#\s*1\s+\w+", text):
            return _Sheet(Table.read(text, format="ascii.sextractor"), {})
        if text.startswith("# %ECSV"):
            table = _read_ecsv(text)
            return _Sheet(table, {str(k).upper(): v for k, v in table.meta.items()})
        return _Sheet(Table.read(text, format="ascii.csv"), {})
    except NotCalibrated:
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError, io.UnsupportedOperation) as error:
        raise NotCalibrated(
            "not a photometry table",
            f"{name} is no SExtractor, FITS, CSV or ECSV table: {str(error).splitlines()[0]}",
        ) from error


def _read_ecsv(text: str) -> Table:
    """Also where its ``meta`` holds what only the program that wrote it can read: without that."""
    try:
        return Table.read(text, format="ascii.ecsv")
    except ValueError:
        without = re.sub(r"^# meta:.*\n(?:^# (?:[ -]|\.\.\.).*\n)*", "", text, flags=re.MULTILINE)
        if without == text:
            raise
        return Table.read(without, format="ascii.ecsv")


def _open_fits(content: bytes, name: str) -> _Sheet:
    with fits.open(io.BytesIO(content), memmap=False) as hdus:
        header: dict[str, Any] = dict(hdus[0].header.items())
        tables = [h for h in hdus if isinstance(h, fits.BinTableHDU)]
        for hdu in tables:
            if hdu.name == "LDAC_IMHEAD":
                cards = "".join(str(c).ljust(80) for c in np.ravel(hdu.data[0][0]))
                header |= dict(fits.Header.fromstring(cards).items())
        rows = [h for h in tables if h.name != "LDAC_IMHEAD"]
        if not rows:
            raise NotCalibrated("not a photometry table", f"{name} is an image, and holds no table")
        several = None
        if len(rows) > 1:
            several = NotCalibrated(
                "several tables",
                f"{name} holds {len(rows)} tables (a mosaic?): give one detector at a time; the "
                "first of them is shown",
            )
        header |= dict(rows[0].header.items())
        return _Sheet(Table.read(rows[0]), header, several)


def _parts(sheet: _Sheet, reading: Reading) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """The rows of each exposure: those of one time."""
    rows = np.arange(len(sheet.table))
    band = sheet.column("band", reading)
    if reading.band is not None and band is not None:
        same = np.array([str(plain(v)) == reading.band for v in sheet.table[band]])
        rows = rows[same] if same.any() else rows
    times = next((c for m in ("start", "mjd", "jd") if (c := sheet.column(m, reading))), None)
    if times is None:
        yield "", rows
        return
    stamps = np.array([str(plain(v)) for v in sheet.table[times]])[rows]
    for stamp in np.unique(stamps):
        yield str(stamp), rows[stamps == stamp]


class _Steps:
    """Steps of which one may fail and the next be taken all the same: the first failure counts, and
    what is left is drawn."""

    def __init__(self) -> None:
        self.why: NotCalibrated | None = None

    def __call__(self, step: Callable[[], Got], otherwise: Got) -> Got:
        try:
            return step()
        except NotCalibrated as why:
            self.why = self.why or why
            return otherwise


def _exposure(sheet: _Sheet, reading: Reading, part: str) -> Exposure | Unusable:
    unknown: Array = np.full(len(sheet.table), np.nan)
    step = _Steps()
    nothing: tuple[Array, Array, list[str]] = (unknown, unknown, [])
    ra, dec = step(lambda: _positions(sheet, reading), (unknown, unknown))
    if step.why is not None:
        ra, dec = _drawable(sheet, reading, "ra"), _drawable(sheet, reading, "dec")
    seconds = step(lambda: _seconds(sheet, reading), float("nan"))
    start = step(lambda: _start(sheet, reading), None)
    gain = step(lambda: _gain(sheet, reading), None)
    magnitude, error, notes = step(lambda: _light(sheet, reading), nothing)
    magnitude, unit = _of_a_second(magnitude, reading, seconds, gain)
    flags = step(lambda: sheet.values("flags", reading), None)
    saturated = np.zeros(len(ra), bool)
    if flags is not None:
        bits = np.nan_to_num(flags).astype(int)
        saturated = (bits & _SATURATED) > 0
        magnitude = np.where((bits & _BAD) > 0, np.nan, magnitude)
    if reading.saturation is not None:
        saturated |= magnitude < reading.saturation
    magnitude = np.where(error > reading.maximum_error, np.nan, magnitude)
    airmass = step(lambda: _airmass(sheet, reading), None)
    star = step(lambda: sheet.column("star", reading), None)
    middle = NO_TIME if start is None or np.isnan(seconds) else middle_of(start, seconds)
    measured = Exposure(
        ra, dec, magnitude, error, unit, middle, seconds,
        step(lambda: _filter(sheet, reading), ""), part, airmass,
        step(lambda: _aperture(sheet, reading), ""),
        step(lambda: sheet.values("x", reading), None),
        step(lambda: sheet.values("y", reading), None), saturated, tuple(notes),
        tuple(str(plain(v)) for v in sheet.table[star]) if star else (), start=start,
    )  # fmt: skip
    return measured if step.why is None else Unusable(measured, step.why)


def _drawable(sheet: _Sheet, reading: Reading, meaning: str) -> Array:
    """Positions that are not as they should be, in degrees for a plot; NaN where there are none."""
    unknown = np.full(len(sheet.table), np.nan)
    try:
        name = sheet.column(meaning, reading)
        if name is None:
            return unknown
        column = sheet.table[name]
        hours = meaning == "ra" and bool(_HOURS.search(str(column.unit or "")))
        if column.dtype.kind in "USO":
            hours = meaning == "ra"
            return np.asarray(Angle(list(map(str, column)), "hourangle" if hours else "deg").deg)
        values = sheet.values(meaning, reading)
    except (NotCalibrated, ValueError, TypeError):
        return unknown
    return unknown if values is None else values * (15.0 if hours else 1.0)


def _positions(sheet: _Sheet, reading: Reading) -> tuple[Array, Array]:
    for meaning in ("ra", "dec"):
        name = sheet.column(meaning, reading)
        if name is None:
            raise NotCalibrated(
                "no positions", f"no column of {meaning}: looked for {', '.join(NAMES[meaning])}"
            )
        column = sheet.table[name]
        unit = str(column.unit or "")
        if _HOURS.search(unit) or (column.dtype.kind in "USO" and ":" in str(column[0])):
            raise NotCalibrated(
                "positions in hours",
                f"column {name} is in {unit or 'hours, minutes and seconds'}: write positions in "
                "degrees (ICRS)",
            )
        if unit not in ("", "deg", "degree", "degrees"):
            raise NotCalibrated("wrong units", f"column {name} is in {unit}, and not in degrees")
    ra, dec = sheet.values("ra", reading), sheet.values("dec", reading)
    assert ra is not None
    assert dec is not None
    if np.nanmax(np.abs(dec), initial=0) > 90 or np.nanmax(ra, initial=0) > 360.001:
        raise NotCalibrated("wrong units", "positions are beyond 360 and 90 degrees")
    return np.mod(ra, 360.0), dec


def _single(sheet: _Sheet, reading: Reading, meaning: str) -> Any:
    """The one value of an exposure: of its column, else of the header; None if it has none."""
    name = sheet.column(meaning, reading)
    if name is not None:
        for cell in sheet.table[name]:
            value = plain(cell)
            if value is not None and value == value:
                return value
    return next(
        (sheet.header[n.upper()] for n in NAMES[meaning] if n.upper() in sheet.header), None
    )


def _seconds(sheet: _Sheet, reading: Reading) -> float:
    value = (
        reading.exposure if reading.exposure is not None else _single(sheet, reading, "exposure")
    )
    seconds = _number(value, float("nan"))
    if not 0 < seconds < 1e6:
        said = "none" if value is None else repr(value)
        raise NotCalibrated(
            "no exposure time", f"its exposure time is {said}: say it with --exposure SECONDS"
        )
    return seconds


def _start(sheet: _Sheet, reading: Reading) -> datetime:
    if reading.start is not None:
        return reading.start
    keywords = dict(sheet.header)
    if (stamp := _single(sheet, reading, "start")) is not None:
        keywords["DATE-OBS"] = str(stamp)
    for meaning, offset in (("mjd", 0.0), ("jd", 2400000.5)):
        if (number := _single(sheet, reading, meaning)) is not None:
            value = _number(number, np.nan)
            if np.isnan(value):
                raise NotCalibrated(
                    "no date",
                    f"its {meaning} is {number!r}, and no number: say it with --start TIME",
                )
            keywords["MJD-OBS"] = value - offset
    began, _, defects = start_of(keywords)
    if began is None:
        why = f" ({' '.join(defects)})" if defects else ""
        raise NotCalibrated("no date", f"nothing says when it began{why}: say it with --start TIME")
    return began


def _airmass(sheet: _Sheet, reading: Reading) -> float | None:
    value = _number(_single(sheet, reading, "airmass"), np.nan)
    return None if np.isnan(value) else value


def _number(value: Any, otherwise: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return otherwise


def _filter(sheet: _Sheet, reading: Reading) -> str:
    name = sheet.column("band", reading)
    if name is not None:
        bands = sorted({str(plain(v)).strip() for v in sheet.table[name]} - {"None", "--", ""})
        if len(bands) > 1:
            raise NotCalibrated(
                "mixed bands",
                f"one exposure has the bands {', '.join(bands)}: say which with --band",
            )
        if bands:
            return bands[0]
    value = _single(sheet, reading, "band")
    return str(value).strip() if value is not None else (reading.band or "")


def _gain(sheet: _Sheet, reading: Reading) -> float | None:
    gain = reading.gain if reading.gain is not None else _single(sheet, reading, "gain")
    if gain is not None and not (isinstance(gain, int | float) and gain > 0):
        raise NotCalibrated("zero gain", f"its gain is {gain!r}: say the right one with --gain")
    return gain


def _light(sheet: _Sheet, reading: Reading) -> tuple[Array, Array, list[str]]:
    """Magnitudes as the file has them, errors, and what is to be said about them."""
    notes: list[str] = []
    by_name = "magnitude" in reading.columns
    flux = None if by_name else sheet.values("flux", reading)
    if flux is not None:
        error = sheet.values("flux_error", reading)
        if error is None:
            error = _errors_of_magnitudes(sheet, reading, len(flux), notes) * flux / 1.0857362
        return *magnitudes(flux, error), notes
    found = sheet.values("magnitude", reading)
    if found is None:
        tried = ", ".join((*NAMES["flux"], *NAMES["magnitude"]))
        raise NotCalibrated("no magnitudes", f"no column of light: looked for {tried}")
    _check_magnitudes(sheet, reading)
    magnitude = np.where(np.abs(found) < 60, found, np.nan)  # 99 is SExtractor's word for none
    return magnitude, _errors_of_magnitudes(sheet, reading, len(found), notes), notes


def _of_a_second(
    magnitude: Array, reading: Reading, seconds: float, gain: float | None
) -> tuple[Array, str]:
    """Magnitudes of a second's light, and the unit. Without an exposure time: of all of it."""
    if not reading.per_second and not np.isnan(seconds):
        magnitude = magnitude + 2.5 * np.log10(seconds)
    if reading.electrons:
        return magnitude, "e-/s"
    if gain is None:
        return magnitude, "ADU/s"
    return magnitude - 2.5 * np.log10(float(gain)), "e-/s"


def _errors_of_magnitudes(sheet: _Sheet, reading: Reading, n: int, notes: list[str]) -> Array:
    errors = sheet.values("magnitude_error", reading)
    if errors is None:
        notes.append("no errors in the file: 0.01 mag taken")
        return np.full(n, 0.01)
    return np.where((errors > 0) & (errors < 10), errors, np.nan)


def _check_magnitudes(sheet: _Sheet, reading: Reading) -> None:
    name = sheet.column("magnitude", reading)
    unit = str(sheet.table[name].unit or "").lower()
    if unit not in _MAG_UNITS or unit == "mmag":
        raise NotCalibrated("wrong units", f"column {name} is in {unit}, and not in magnitudes")


def _aperture(sheet: _Sheet, reading: Reading) -> str:
    value = _single(sheet, reading, "aperture") if sheet.column("aperture", reading) else None
    if value is not None:
        column = sheet.table[sheet.column("aperture", reading)]
        return (
            f"{value:g} {column.unit or ''}".strip()
            if isinstance(value, int | float)
            else str(value)
        )
    for meaning in ("flux", "magnitude"):
        if name := sheet.column(meaning, reading):
            return str(name)
    return ""
