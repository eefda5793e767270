"""Few standard stars whose catalogue has poor positions: found by place and brightness together.

A list such as Landolt's rounds right ascensions to a second of time, and some of its declinations
are wrong by more. Within such an error there often is another, fainter star. So pairs have to agree
in their difference of magnitudes too; what stands alone with it is no pair.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry.neighbours import pairs_within

Array = NDArray[np.float64]
Index = NDArray[np.int64]

BRIGHTNESS = 0.5  # mag by which differences of one exposure differ: colours, other bands
_MOST = 300  # measured stars, the brightest


@dataclass(frozen=True)
class Standards:
    """Pairs, and how they were found."""

    measured: Index
    catalog: Index
    offset: tuple[float, float]  # of the catalogue less the measured, in units of the positions
    difference: float  # magnitudes, catalogue less measured


def find(
    x: Array, y: Array, magnitude: Array, u: Array, v: Array, known: Array,
    *, search: float, tolerance: float,
) -> Standards | None:  # fmt: skip
    """Pairs of measured stars (x, y) and those of a catalogue (u, v), at an offset of at most
    ``search``, each within ``tolerance`` of it; None if no two agree, or the only one is not near.
    """
    bright = np.argsort(np.nan_to_num(magnitude, nan=np.inf), kind="stable")[:_MOST]
    bright = bright[np.isfinite(magnitude[bright])]
    named = np.flatnonzero(np.isfinite(known))
    if not len(bright) or not len(named):
        return None
    i, j = pairs_within(x[bright], y[bright], u[named], v[named], search + tolerance)
    if not len(i):
        return None
    i, j = bright[i], named[j]
    east, north, light = u[j] - x[i], v[j] - y[i], known[j] - magnitude[i]
    near = np.hypot(east, north) <= search
    best: tuple[tuple[int, float], Index] | None = None
    for k in np.flatnonzero(near):
        away = np.hypot(east - east[k], north - north[k])
        fits = np.flatnonzero((away <= tolerance) & (np.abs(light - light[k]) <= BRIGHTNESS))
        pairs = _closest(fits, i, j, np.hypot(away / tolerance, (light - light[k]) / BRIGHTNESS))
        # Of equally many the brighter: there are fewer of them to be hit by chance.
        score = (len(pairs), float(-magnitude[i[pairs]].mean()))
        if best is None or score > best[0]:
            best = (score, pairs)
    if best is None or len(best[1]) < min(2, len(named)):
        return None
    pairs = best[1]
    offset = (float(np.median(east[pairs])), float(np.median(north[pairs])))
    return Standards(i[pairs], j[pairs], offset, float(np.median(light[pairs])))


def _closest(fits: Index, i: Index, j: Index, unlike: Array) -> Index:
    """Of pairs that share a star the one that is most alike."""
    taken_i: set[int] = set()
    taken_j: set[int] = set()
    pairs = []
    for k in fits[np.argsort(unlike[fits], kind="stable")]:
        if int(i[k]) not in taken_i and int(j[k]) not in taken_j:
            taken_i.add(int(i[k]))
            taken_j.add(int(j[k]))
            pairs.append(int(k))
    return np.array(pairs, np.int64)
