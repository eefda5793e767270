"""Catalogue files into stars: FITS, ECSV, CSV, Parquet, VOTable, and IRAF's lists of standards.

Columns are found by the names of the definition. Fluxes over errors become errors of magnitudes.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from nightferry.catalogs.base import Found, Stars
from nightferry.catalogs.definition import Definition
from nightferry.catalogs.sky import Coverage, eastward, index, separation, tiles_inside
from nightferry.errors import GiveUp

Array = NDArray[np.float64]
Columns = Mapping[str, Any]

_FORMATS = {".fits": "fits", ".fit": "fits", ".fts": "fits", ".ecsv": "ascii.ecsv"}
_FORMATS |= {".vot": "votable", ".votable": "votable", ".xml": "votable"}
_IRAF = re.compile(
    r"^\s*(\S+)\s+(\d+):(\d+):([\d.]+)\s+([-+]?)(\d+):(\d+):([\d.]+)\s+(.*)$", re.MULTILINE
)
SPARSE_ORDER = 10  # a sparse catalogue answers for tiles of 3.4' about its stars
_STARS_A_CELL, _EMPTY_CELLS = 6, 0.1
_ERROR_OF_ONE = 2.5 / np.log(10)


def read_table(path: Path) -> tuple[Columns, str]:
    """The columns of a file, and all that it says about itself.

    Raises:
        GiveUp: it is none of the formats, or damaged.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            import pyarrow.parquet

            found = pyarrow.parquet.read_table(path)
            return {n: found[n].to_numpy() for n in found.column_names}, str(found.schema.metadata)
        if suffix == ".csv":
            import pyarrow.csv

            found = pyarrow.csv.read_csv(path)
            return {n: found[n].to_numpy() for n in found.column_names}, ""
        if suffix == ".dat":
            return _iraf(path.read_text("utf-8")), ""
        table = Table.read(path, format=_FORMATS[suffix])
    except KeyError:
        known = ".fits .ecsv .csv .parquet .vot .xml .dat"
        raise GiveUp("not a catalogue", f"{path}: known are {known}") from None
    except (OSError, ValueError, ImportError, TypeError, IndexError) as error:
        raise GiveUp("not a catalogue", f"{path} can't be read: {error}") from error
    return {n: table[n] for n in table.colnames}, f"{path.name} {table.meta}"


def _iraf(text: str) -> Columns:
    """Name, position and V B-V U-B V-R R-I V-I, counts, and an error of each: an error of 0 comes
    from one observation and says nothing."""
    rows = _IRAF.findall(text)
    if not rows:
        raise ValueError("no line is a star: NAME HH:MM:SS DD:MM:SS V B-V U-B V-R R-I V-I ...")
    values = np.array([[float(x) for x in r[8].split()[:14]] for r in rows])
    v, bv, ub, vr, _, vi = values[:, :6].T
    errors = np.where(values[:, 8:14] > 0, values[:, 8:14], np.nan)
    ev, ebv, eub, evr, _, evi = errors.T
    sign = np.array([-1.0 if r[4] == "-" else 1.0 for r in rows])
    return {
        "landolt": np.array([r[0] for r in rows]),
        "ra": np.array([15 * (int(r[1]) + int(r[2]) / 60 + float(r[3]) / 3600) for r in rows]),
        "dec": sign * np.array([int(r[5]) + int(r[6]) / 60 + float(r[7]) / 3600 for r in rows]),
        "V": v, "B": v + bv, "U": v + bv + ub, "R": v - vr, "I": v - vi,
        "e_V": ev, "e_B": np.hypot(ev, ebv), "e_U": np.hypot(np.hypot(ev, ebv), eub),
        "e_R": np.hypot(ev, evr), "e_I": np.hypot(ev, evi),
    }  # fmt: skip


def recognise(columns: Columns, about: str, known: Iterable[Definition]) -> Definition:
    """Which catalogue a file is.

    Raises:
        GiveUp: that can't be told.
    """
    mentioned = about.replace("_", "/").replace("+", "/")
    found = []
    for definition in known:
        marks = definition.recognise
        named = any(re.search(re.escape(n) + r"(?!\d)", mentioned) for n in marks.names)
        listed = bool(marks.columns) and all(c in columns for c in marks.columns)
        epoch = columns.get("ref_epoch")
        dated = (
            marks.reference_epoch is not None
            and epoch is not None
            and abs(float(np.asarray(epoch)[0]) - marks.reference_epoch) < 0.01
        )
        if named or listed or dated:
            found.append(definition)
    if len(found) != 1:
        what = ", ".join(d.key for d in found) or "none that is known here"
        raise GiveUp("not a catalogue", f"it may be {what}: say which with --catalog")
    return found[0]


def to_stars(columns: Columns, definition: Definition) -> Stars:
    """The stars of a file, less those without a position.

    Raises:
        GiveUp: there is no position, or none of the magnitudes.
    """
    ra, dec = _first(columns, definition.ra), _first(columns, definition.dec)
    if ra is None or dec is None:
        raise GiveUp(
            "not a catalogue",
            f"no position of {definition.key}: looked for {', '.join(definition.ra)} and "
            f"{', '.join(definition.dec)} (case counts)",
        )
    n = len(ra)
    numbers = {}
    for name, sources in definition.numbers.items():
        values = _first(columns, sources)
        if (
            values is None
            and (over := columns.get(definition.over_error.get(name, ""))) is not None
        ):
            with np.errstate(divide="ignore"):
                values = _ERROR_OF_ONE / _plain(over)
        values = np.full(n, np.nan) if values is None else values
        numbers[name] = np.where(values == definition.missing, np.nan, values)
    if np.isnan(numbers[definition.brightness]).all():
        tried = ", ".join(definition.numbers[definition.brightness])
        raise GiveUp("not a catalogue", f"no magnitude of {definition.key}: looked for {tried}")
    ids = next((columns[c] for c in definition.id if c in columns), None)
    names = next((columns[c] for c in definition.name if c in columns), None)
    stars = Stars(
        np.arange(n) if ids is None else np.asarray(ids).astype(np.int64), ra, dec, numbers,
        () if names is None else tuple(str(x).strip() for x in names),
    )  # fmt: skip
    good = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    return stars if good.all() else stars.pick(good)


def _first(columns: Columns, names: Iterable[str]) -> Array | None:
    name = next((n for n in names if n in columns), None)
    return None if name is None else _plain(columns[name])


def _plain(column: Any) -> Array:
    masked = np.ma.asarray(column)
    values = np.asarray(masked.filled(np.nan) if masked.dtype.kind == "f" else masked, np.float64)
    return (
        np.where(np.ma.getmaskarray(masked), np.nan, values)
        if masked.mask is not np.False_
        else values
    )


def read(
    path: Path,
    known: Mapping[str, Definition],
    catalog: str | None = None,
    within: tuple[float, float, float] | None = None,
    order: int | None = None,
) -> tuple[Definition, Found]:
    """The stars of a file, and the part of the sky where it has them all: the cone ``within`` (ra,
    dec, radius in degrees), the tiles of ``order`` that hold one, or what :func:`complete` says.

    Raises:
        GiveUp: the file, or what it is of, can't be understood.
    """
    columns, about = read_table(path)
    if not any(len(column) for column in columns.values()):
        raise GiveUp("not a catalogue", f"{path} has no row: no star was found, or none was asked")
    definition = known[catalog] if catalog else recognise(columns, about, known.values())
    stars = to_stars(columns, definition)
    if not len(stars):
        raise GiveUp("not a catalogue", f"{path} has no star with a position")
    if within is not None:
        coverage = Coverage.whole_sky() if within[2] >= 180 else tiles_inside(*within)
    elif order is not None:
        coverage = Coverage.of_tiles(index(stars.ra, stars.dec), order)
    else:
        coverage = complete(stars, definition, path)
    return definition, Found(stars, coverage)


def complete(stars: Stars, definition: Definition, path: Path) -> Coverage:
    """Where a file has all stars, if nobody says: a sparse catalogue about each star; another in
    the cone that its stars fill evenly, as a search about a position gives it.

    Raises:
        GiveUp: they fill no cone.
    """
    cells = index(stars.ra, stars.dec)
    if definition.sparse:
        return Coverage.of_tiles(cells, SPARSE_ORDER)
    ra, dec, radius = _enclosing(stars)
    if len(stars) < 10 or radius > 30 or _empty(stars, ra, dec, radius) > _EMPTY_CELLS:
        raise GiveUp(
            "coverage unknown",
            f"{path}: its stars fill no cone, so nobody can tell where it is complete: say "
            "--within RA,DEC,RADIUS (degrees), --within sky, or --tiles ORDER",
        )
    return tiles_inside(ra, dec, radius)


def _enclosing(stars: Stars) -> tuple[float, float, float]:
    """A cone about the stars: nearly the smallest."""
    a, d = np.radians(stars.ra), np.radians(stars.dec)
    xyz = np.column_stack((np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)))
    centre = xyz.mean(axis=0)
    for step in range(1, 200):  # towards the farthest, ever less (Badoiu and Clarkson 2003)
        farthest = xyz[np.argmax(((xyz - centre) ** 2).sum(axis=1))]
        centre = centre + (farthest - centre) / (step + 1)
    x, y, z = centre / np.linalg.norm(centre)
    ra, dec = float(np.degrees(np.arctan2(y, x)) % 360), float(np.degrees(np.arcsin(z)))
    return ra, dec, float(separation(stars.ra, stars.dec, ra, dec).max())


def _empty(stars: Stars, ra: float, dec: float, radius: float) -> float:
    """The share of equal cells within a cone that hold no star, where each should hold six."""
    east = eastward(stars.ra, ra) * np.cos(np.radians(stars.dec))
    side = max(int(np.sqrt(len(stars) / _STARS_A_CELL / 0.785)), 2)
    column = np.clip(((east / radius + 1) / 2 * side).astype(int), 0, side - 1)
    row = np.clip((((stars.dec - dec) / radius + 1) / 2 * side).astype(int), 0, side - 1)
    filled = np.zeros((side, side), bool)
    filled[row, column] = True
    middle = (np.arange(side) + 0.5) / side * 2 - 1
    inside = np.hypot(middle[:, None], middle[None, :]) < 0.85
    return float((~filled[inside]).mean())
