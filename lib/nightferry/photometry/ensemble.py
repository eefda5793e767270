"""A night's exposures of one field together: mean magnitudes of its stars and zero points of its
exposures at once, by least squares (Honeycutt 1992, PASP 104, 435); then the night's zero point
from the catalogue.

    m_ij = M_j - z_i,    sum of z_i = 0,    m_cat - M = ZP + c (colour - colour_0)

An exposure by itself takes its zero point from the few stars that the catalogue has; all of its
stars say better how it differs from the next one. What they cannot say is the zero of them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry.matching import match
from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.zeropoint import ColourTerm, ZeroPoint, zero_point

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.int64]

FRAMES = 3  # fewer say nothing of repeatability
SHARED = 5  # stars that an exposure has in common with the others
BRIGHTEST = 8  # whose repeatability is told
CLOUD = 0.3  # mag of light that is missing: the exposure is flagged
_SAME = 1.0  # arcsec: of one star in two exposures
_ROUNDS = 15
_SETTLED = 1e-5  # mag
_HUBER = 1.5
_FLOOR = 0.001  # mag: nothing repeats better
_FREE = 3.0  # a star's own scatter counts from that of the others on


@dataclass(frozen=True)
class Frame:
    """One exposure's stars, and what the catalogue says of those that it has (NaN elsewhere)."""

    ra: Array
    dec: Array
    magnitude: Array  # instrumental, of one second
    error: Array
    catalog_magnitude: Array
    catalog_error: Array
    colour: Array
    serves: Mask  # the catalogue's values are good for a zero point


@dataclass(frozen=True)
class Night:
    """What was found. Arrays of exposures have those of ``frames``, NaN where one was left out."""

    fit: ZeroPoint
    frames: Array  # (exposures,) their zero points, of a star of the reference colour
    errors: Array  # (exposures,) beside each other: without the night's own error
    ra: Array  # (stars,)
    dec: Array
    magnitude: Array  # mean, calibrated; of stars without a colour, of one of the reference colour
    scatter: Array  # of one measurement about it, robust
    seen: Index  # in how many exposures
    repeats: tuple[float, float]  # mag: median and worst of the brightest constant stars
    flags: tuple[str, ...]


def solve(
    frames: Sequence[Frame], *, colour_reference: float, scatter_of_transformation: float,
    known_term: ColourTerm | None = None, fewest: int = 5,
) -> Night:  # fmt: skip
    """Raises:
    NotCalibrated: too few exposures share too few stars, or too few stars are in the catalogue.
    """
    stars, which = _register(frames)
    m, e = _matrix(frames, which, len(stars[0]))
    together = np.isfinite(m).sum(axis=0) >= 2  # a star seen once says nothing of exposures
    kept = (np.isfinite(m) & together).sum(axis=1) >= SHARED
    if kept.sum() < FRAMES:
        raise NotCalibrated(
            "too few exposures",
            f"{kept.sum()} exposures share {SHARED} stars with others, and {FRAMES} are needed",
        )
    m[~kept] = np.nan
    together = np.isfinite(m).sum(axis=0) >= 2
    relative, means, scatter, inverse = _least_squares(
        np.where(together, m, np.nan), np.where(np.isfinite(e), e, 1.0)
    )
    seen = np.isfinite(m).sum(axis=0)
    fit, colour = _on_the_catalogue(
        frames, which, means, scatter / np.sqrt(np.maximum(seen, 1)), colour_reference,
        scatter_of_transformation, known_term, fewest,
    )  # fmt: skip
    slope = fit.colour_term * np.nan_to_num(colour - colour_reference)
    zero = np.where(kept, relative + fit.value, np.nan)
    calibrated = means + fit.value + slope
    return Night(
        fit, zero, np.where(kept, np.sqrt(np.maximum(np.diag(inverse), 0.0)), np.nan),
        stars[0], stars[1], calibrated, scatter, seen, _repeats(calibrated, scatter, seen, kept),
        tuple(_flags(zero, fit)),
    )  # fmt: skip


def _register(frames: Sequence[Frame]) -> tuple[tuple[Array, Array], list[Index]]:
    """All stars once, and which of them those of each exposure are; -1 where that is open."""
    first = max(range(len(frames)), key=lambda i: len(frames[i].ra))
    ra, dec = frames[first].ra.copy(), frames[first].dec.copy()
    which: list[Index] = []
    for frame in frames:
        mine = np.full(len(frame.ra), -1, np.int64)
        pairs = match(frame.ra, frame.dec, ra, dec, floor=_SAME)
        if pairs is not None and len(pairs.measured):
            mine[pairs.measured] = pairs.catalog
            new = np.flatnonzero((mine < 0) & np.isfinite(frame.ra + frame.dec))
            mine[new] = len(ra) + np.arange(len(new))
            ra, dec = np.append(ra, frame.ra[new]), np.append(dec, frame.dec[new])
        which.append(mine)
    return (ra, dec), which


def _matrix(frames: Sequence[Frame], which: Sequence[Index], stars: int) -> tuple[Array, Array]:
    m, e = np.full((2, len(frames), stars), np.nan)
    for i, (frame, mine) in enumerate(zip(frames, which, strict=True)):
        good = (mine >= 0) & np.isfinite(frame.magnitude) & np.isfinite(frame.error)
        m[i, mine[good]], e[i, mine[good]] = frame.magnitude[good], frame.error[good]
    return m, e


def _least_squares(m: Array, e: Array) -> tuple[Array, Array, Array, Array]:
    """Zero points of exposures, mean magnitudes and scatters of stars, and the first's covariance.

    The stars are eliminated, so the equations are as many as the exposures. Weights are Huber's,
    with each star's own scatter: one that varies counts for little.
    """
    have = np.isfinite(m)
    y = np.where(have, m, 0.0)
    scatter = np.full(m.shape[1], _FLOOR)
    z = np.zeros(len(m))
    spread = np.ones_like(y)
    for _ in range(_ROUNDS):
        w = np.where(have, spread / (e**2 + scatter**2), 0.0)
        total = np.maximum(w.sum(axis=0), 1e-12)
        normal = np.diag(w.sum(axis=1)) - (w / total) @ w.T
        right = (w / total * (w * y).sum(axis=0)).sum(axis=1) - (w * y).sum(axis=1)
        inverse = np.linalg.pinv(normal, hermitian=True)  # all zero points together are free
        before, z = z, inverse @ right
        used = have.any(axis=1)
        z = np.where(used, z - z[used].mean(), 0.0)
        means = (w * (y + z[:, None])).sum(axis=0) / total
        residuals = np.where(have, y + z[:, None] - means, np.nan)
        scatter = _scatter(residuals, e)
        size = np.abs(np.nan_to_num(residuals)) / np.sqrt(e**2 + scatter**2)
        spread = np.minimum(1.0, _HUBER / np.maximum(size, 1e-9))
        if np.abs(z - before).max() < _SETTLED:
            break
    empty = ~have.any(axis=0)
    robust = np.full(len(means), np.nan)
    robust[~empty] = 1.4826 * np.nanmedian(np.abs(residuals[:, ~empty]), axis=0)
    return z, np.where(empty, np.nan, means), robust, inverse


def _scatter(residuals: Array, e: Array) -> Array:
    """Of each star beyond its errors: as of all, but more of one that varies."""
    have = np.isfinite(residuals)
    counts = have.sum(axis=0)
    beyond = np.full(residuals.shape[1], _FLOOR**2)
    some = counts >= FRAMES
    mad = 1.4826 * np.nanmedian(np.abs(residuals[:, some]), axis=0)
    noise = np.nanmedian(np.where(have, e, np.nan)[:, some], axis=0)
    beyond[some] = np.maximum(mad**2 - noise**2, _FLOOR**2)
    usual = np.median(beyond[some]) if some.any() else _FLOOR**2
    return np.asarray(np.sqrt(np.where(beyond > _FREE**2 * usual, beyond, usual)))


def _on_the_catalogue(
    frames: Sequence[Frame], which: Sequence[Index], means: Array, error: Array,
    colour_reference: float, scatter_of_transformation: float, known: ColourTerm | None,
    fewest: int,
) -> tuple[ZeroPoint, Array]:  # fmt: skip
    known_magnitude, known_error, colour = np.full((3, len(means)), np.nan)
    serves = np.zeros(len(means), bool)
    for frame, mine in zip(frames, which, strict=True):
        here = (mine >= 0) & np.isfinite(frame.colour)
        colour[mine[here]] = frame.colour[here]
        here &= frame.serves
        known_magnitude[mine[here]] = frame.catalog_magnitude[here]
        known_error[mine[here]] = frame.catalog_error[here]
        serves[mine[here]] = True
    use = np.flatnonzero(serves & np.isfinite(means) & np.isfinite(known_magnitude))
    return zero_point(
        known_magnitude[use] - means[use],
        np.hypot(np.nan_to_num(known_error[use], nan=0.05), np.nan_to_num(error[use])),
        colour[use], colour_reference=colour_reference, known_term=known, fewest=fewest,
        scatter_of_transformation=scatter_of_transformation,
    ), colour  # fmt: skip


def _repeats(magnitude: Array, scatter: Array, seen: Index, kept: Mask) -> tuple[float, float]:
    """How well the brightest stars repeat that were seen in most exposures and do not vary."""
    often = (seen >= 0.8 * kept.sum()) & np.isfinite(magnitude)
    usual = np.median(scatter[often]) if often.any() else np.nan
    candidates = np.flatnonzero(often & (scatter < _FREE * usual))
    brightest = candidates[np.argsort(magnitude[candidates])][:BRIGHTEST]
    if not len(brightest):
        return float("nan"), float("nan")
    return float(np.median(scatter[brightest])), float(scatter[brightest].max())


def _flags(zero: Array, fit: ZeroPoint) -> list[str]:
    flags = list(fit.flags)
    if left := int(np.isnan(zero).sum()):
        flags.append(f"{left} exposures left out: they share too few stars with the others")
    missing = np.nanpercentile(zero, 90) - zero
    clouded = int((missing > CLOUD).sum())
    if clouded:
        flags.append(
            f"clouds: {clouded} exposures lack more than {CLOUD} mag, "
            f"the worst {np.nanmax(missing):.2f}"
        )
    return flags
