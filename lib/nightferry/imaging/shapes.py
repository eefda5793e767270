"""What the shape of a source and its neighbours tell: star, galaxy, hit, blend or trail."""

import numpy as np
from numpy.typing import NDArray

from nightferry.imaging.growth import Growth
from nightferry.photometry.neighbours import pairs_within

Array = NDArray[np.float64]
Names = NDArray[np.object_]

_NEIGHBOUR = 0.01  # of its own light from others: blended
_TRAILED = 0.45  # ellipticity of most stars: trails
_SPOILT = ("edge", "saturated", "bad pixels", "cosmic ray")  # shapes that tell nothing
_SHARP, _BROAD = 0.72, 1.45  # times the frame's half-light radius: no star


def half_light(radii: Array, sums: Array) -> Array:
    """The radius that holds half of the light within the largest."""
    half = 0.5 * sums[:, -1:]
    above = np.argmax(sums >= half, axis=1)
    rows = np.arange(len(sums))
    before = np.where(above > 0, sums[rows, np.maximum(above - 1, 0)], 0.0)
    inner = np.where(above > 0, radii[np.maximum(above - 1, 0)], 0.0)
    # Light grows about as the area: between two radii it is their squares that are even.
    step = (half[:, 0] - before) / np.maximum(sums[rows, above] - before, 1e-30)
    return np.asarray(np.sqrt(inner**2 + np.clip(step, 0, 1) * (radii[above] ** 2 - inner**2)))


def typical(half: Array, doubt: Names, ratio: Array) -> float:
    good = (doubt == "") & (ratio > 20) & (half > 0)
    if good.sum() < 3:
        good = half > 0
    return float(np.median(half[good])) if good.any() else 1.0


def shapes(doubt: Names, half: Array, ratio: Array, sums: Array, at: int) -> None:
    """Marks what is sharper or broader than stars, where it is bright enough to tell."""
    usual = typical(half, doubt, ratio)
    slack = 3.0 / np.maximum(ratio, 1e-6)
    free = doubt == ""
    doubt[free & (half < (_SHARP - slack) * usual)] = "too sharp"
    doubt[free & (half > (_BROAD + slack) * usual)] = "extended in the frame"
    doubt[free & ~(sums[:, at] > 0)] = "no light"


def neighbours(
    doubt: Names, x: Array, y: Array, flux: Array, radius: float, curve: Growth | None
) -> None:
    """Marks stars whose aperture has light of others."""
    if curve is None or len(x) < 2:
        return
    reach = float(curve.radii[-1])
    i, j = pairs_within(x, y, x, y, reach)
    other = i != j
    i, j = i[other], j[other]
    away = np.hypot(x[i] - x[j], y[i] - y[j])
    # A neighbour's light per square pixel at that distance, over the aperture.
    a2 = curve.alpha**2
    density = (curve.beta - 1) / (np.pi * a2) * (1 + away**2 / a2) ** -curve.beta
    got = np.minimum(np.pi * radius**2 * density, 1.0) * np.maximum(flux[j], 0)
    beside = np.bincount(i, weights=got, minlength=len(x))
    doubt[(doubt == "") & (beside > _NEIGHBOUR * np.maximum(flux, 0))] = "blended in the frame"


def check_trails(doubt: Names, ellipticity: Array, ratio: Array) -> None:
    """Where most bright stars are drawn out alike, none of them is to be trusted."""
    bright = (ratio > 20) & ~np.isin(doubt, _SPOILT)
    if bright.sum() >= 3 and float(np.median(ellipticity[bright])) > _TRAILED:
        doubt[doubt != "saturated"] = "trailed"
