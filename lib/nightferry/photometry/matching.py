"""Which measured star is which of the catalogue: the offset and the radius come from the data.

A generous match gives a cloud of offsets; the peak of the cloud is the offset of the positions, its
width their error, and the radius is three times that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry import standards
from nightferry.photometry.neighbours import pairs_within

__all__ = ["FINEST", "GENEROUS", "POOR", "Match", "match", "pairs_within", "plane"]

Array = NDArray[np.float64]
Index = NDArray[np.int64]

GENEROUS = 15.0  # arcsec
POOR = 3.0  # arcsec: positions that are known no better are no proof by themselves
FINEST = 0.3  # arcsec: no radius is smaller
_TRIES = 6
_RING = 0.6  # of the search: pairs beyond are chance
_HALF_OF_GAUSS = 1.1774  # sigma of a coordinate: within are half of the pairs


@dataclass(frozen=True)
class Match:
    """Pairs of stars, and how they were found."""

    measured: Index
    catalog: Index
    offset: tuple[float, float]  # arcsec, east and north, catalogue less measured
    radius: float  # arcsec
    others: Array  # of each pair: light of other catalogue stars near by, in units of its own


def plane(ra: Array, dec: Array, ra0: float, dec0: float) -> tuple[Array, Array]:
    """Arcseconds east and north of a centre (gnomonic)."""
    a, d, d0 = np.radians(ra - ra0), np.radians(dec), np.radians(dec0)
    depth = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        east = np.cos(d) * np.sin(a) / depth
        north = (np.sin(d) * np.cos(d0) - np.cos(d) * np.sin(d0) * np.cos(a)) / depth
    scale = float(np.degrees(1.0) * 3600)
    behind = depth <= 0
    return np.where(behind, np.nan, east * scale), np.where(behind, np.nan, north * scale)


def match(
    ra: Array,
    dec: Array,
    cat_ra: Array,
    cat_dec: Array,
    *,
    brightness: Array | None = None,
    generous: float = GENEROUS,
    floor: float = FINEST,
    blend: float = 4.0,
    magnitude: Array | None = None,
) -> Match | None:
    """Pairs measured stars with the catalogue's, one to one; None where positions do not agree.

    ``floor`` is an error of the positions that is known beforehand, ``blend`` the radius in which
    the light of other stars of the catalogue counts (both arcsec), by their ``brightness`` (mag).
    Where positions are poor, ``magnitude`` of the measured stars has to fit with it too.
    """  # fmt: skip
    if not len(ra) or not len(cat_ra):
        return None
    ra0, dec0 = _centre(ra, dec)
    x, y = plane(ra, dec, ra0, dec0)
    u, v = plane(cat_ra, cat_dec, ra0, dec0)
    finite, known = np.flatnonzero(np.isfinite(x + y)), np.flatnonzero(np.isfinite(u + v))
    if not len(finite) or not len(known):
        return None
    x, y, u, v = x[finite], y[finite], u[known], v[known]
    if floor > POOR and magnitude is not None and brightness is not None:
        pairs = standards.find(
            x, y, magnitude[finite], u, v, brightness[known], search=floor, tolerance=floor
        )
        if pairs is None:
            return None
        mine, other, radius = pairs.measured, pairs.catalog, floor
        dx, dy = pairs.offset
    else:
        found = _offset(x, y, u, v, max(generous, 2 * floor), floor)
        if found is None:
            return None
        dx, dy, radius = found
        mine, other = _one_to_one(x + dx, y + dy, u, v, radius)
    if not len(mine):
        return None
    light = np.ones(len(u)) if brightness is None else 10 ** (-0.4 * (brightness[known] - 20.0))
    light = np.nan_to_num(light)
    near, beside = pairs_within(u[other], v[other], u, v, blend)
    total = np.bincount(near, weights=light[beside], minlength=len(other))
    others = total / np.maximum(light[other], 1e-30) - 1.0
    return Match(finite[mine], known[other], (dx, dy), radius, others)


def _centre(ra: Array, dec: Array) -> tuple[float, float]:
    a, d = np.radians(ra), np.radians(dec)
    good = np.isfinite(a + d)
    x, y, z = (np.cos(d) * np.cos(a))[good], (np.cos(d) * np.sin(a))[good], np.sin(d)[good]
    mx, my, mz = x.mean(), y.mean(), z.mean()
    return float(np.degrees(np.arctan2(my, mx)) % 360), float(
        np.degrees(np.arctan2(mz, np.hypot(mx, my)))
    )


def _offset(
    x: Array, y: Array, u: Array, v: Array, generous: float, floor: float
) -> tuple[float, float, float] | None:
    """The offset (arcsec) and three times the error of a coordinate, from all pairs near by."""
    i, j = pairs_within(x, y, u, v, generous)
    if not len(i):
        return None
    east, north = u[j] - x[i], v[j] - y[i]
    width = max(floor, 1.0)
    # The fullest of all squares of two by two cells.
    side = int(np.ceil(2 * generous / width)) + 2
    column = ((east + generous) / width).astype(np.int64)
    row = ((north + generous) / width).astype(np.int64)
    counts = np.bincount(column * side + row, minlength=side * side).reshape(side, side)
    square = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    peak = np.unravel_index(int(np.argmax(square)), square.shape)
    most = float(square[peak])
    by_chance = len(east) * (4 / np.pi) * (width / generous) ** 2
    enough = min(3.0, float(min(len(x), len(u))))
    if most < enough or (by_chance > 2 and most < by_chance + 4 * np.sqrt(by_chance)):
        return None
    dx, dy = ((int(at) + 1) * width - generous for at in peak)
    reach = 2 * width
    for _ in range(_TRIES):
        near = np.hypot(east - dx, north - dy) <= reach
        dx, dy = float(np.median(east[near])), float(np.median(north[near]))
        sigma = 1.4826 * float(
            np.median(np.abs(np.concatenate((east[near] - dx, north[near] - dy))))
        )
        reach = min(max(3 * sigma, FINEST, floor), 2 * width)
    if reach == 2 * width:
        reach = _wide(np.hypot(east - dx, north - dy), generous - np.hypot(dx, dy), reach)
        near = np.hypot(east - dx, north - dy) <= reach
        dx, dy = float(np.median(east[near])), float(np.median(north[near]))
    return dx, dy, reach


def _wide(away: Array, whole: float, reach: float) -> float:
    """Three times the error of a coordinate where the cloud is wider than ``reach``: from the
    radius that holds half of the pairs beyond chance. ``away`` is complete to ``whole``."""
    ring = _RING * whole
    if ring <= reach:
        return reach
    radii = np.sort(away[away <= whole])
    chance = (radii > ring).sum() / (whole**2 - ring**2)  # in pi square arcsec
    radii = radii[radii <= ring]
    more = np.arange(1, len(radii) + 1) - chance * radii**2
    half = radii[np.argmax(more >= 0.5 * more[-1])]
    return float(np.clip(3 * half / _HALF_OF_GAUSS, reach, ring))


def _one_to_one(x: Array, y: Array, u: Array, v: Array, radius: float) -> tuple[Index, Index]:
    """The nearest of each, where each is the other's nearest."""
    i, j = pairs_within(x, y, u, v, radius)
    order = np.argsort(np.hypot(x[i] - u[j], y[i] - v[j]), kind="stable")
    i, j = i[order], j[order]
    nearest_of_i = np.full(len(x), -1, np.int64)
    nearest_of_j = np.full(len(u), -1, np.int64)
    nearest_of_i[i[::-1]] = j[::-1]
    nearest_of_j[j[::-1]] = i[::-1]
    mine = np.flatnonzero(nearest_of_i >= 0)
    mine = mine[nearest_of_j[nearest_of_i[mine]] == mine]
    return mine, nearest_of_i[mine]
