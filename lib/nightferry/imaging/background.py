"""The sky of a frame: a smooth map of what is between the stars.

It is made twice. At first nobody knows where the stars are: SEP's map goes by the mode of the
pixels, which whole numbers and the stars' wings move by a tenth of the noise; within an aperture
that is a percent of a faint star. Once the stars are found and covered, the mean of what is left in
each mesh is the sky.
"""

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray

from nightferry.imaging.files import Pixels
from nightferry.photometry.measured import NotCalibrated

Array = NDArray[np.float64]

MESH = 64  # pixels
_WINGS = (0.01, 0.1)  # of the noise: what is left of a star where it is not covered any more
_LARGEST = 20.0  # FWHM of what is covered about a star
_BETA = 2.8  # of a Moffat profile with generous wings
_CLIP = 4.0  # sigma
_ENOUGH = 0.2  # of a mesh's pixels tell its sky
_ALIKE = 1e-5  # of the level: less is no noise
_SAMPLE = 100_000  # pixels
_CROWDED = 0.7  # of the frame covered: the first map is as good


@dataclass(frozen=True)
class Sky:
    """``level`` and ``noise`` of a pixel, and the frame without it; what is bad in it is 0."""

    level: float
    noise: float
    clean: Pixels


def first(pixels: Pixels, bad: NDArray[np.bool_]) -> Sky:
    """As far as it can be told before the stars are known.

    Raises:
        NotCalibrated: all pixels are alike.
    """
    level, noise, clean = _mapped(pixels, bad)
    every = max(1, pixels.size // _SAMPLE)
    some = pixels.ravel()[::every][~bad.ravel()[::every]]  # SEP calls no noise 1
    if not min(noise, float(some.std())) > _ALIKE * max(1.0, abs(level)):
        raise NotCalibrated("no noise", "its pixels are all alike: nothing was exposed or read out")
    return Sky(level, noise, _blanked(clean, bad))


def _mapped(pixels: Pixels, covered: NDArray[np.bool_]) -> tuple[float, float, Pixels]:
    """SEP's level and noise of what is not covered, and the pixels less its map."""
    # A mask costs as much as the rest, and new memory more than the sum.
    found = sep.Background(pixels, mask=covered if covered.any() else None, bw=MESH, bh=MESH)
    back = found.back()
    np.subtract(pixels, back, out=back)
    return float(found.globalback), float(found.globalrms), back


def _blanked(clean: Pixels, bad: NDArray[np.bool_]) -> Pixels:
    if bad.any():
        clean[bad] = 0.0
    return clean


def without_stars(
    sky: Sky, pixels: Pixels, bad: NDArray[np.bool_], x: Array, y: Array, flux: Array, size: float
) -> Sky:
    """The sky of ``pixels`` by what is between stars of so much light and of a FWHM of ``size``."""
    for wing in _WINGS:
        free = _between(sky, bad, x, y, flux, size, wing)
        if free.mean() > 1 - _CROWDED:
            # The first map is higher where a bright star is: one of what is between them is not.
            level, _, clean = _mapped(pixels, ~free)
            return _mended(Sky(level, sky.noise, clean), bad, free)
    return sky


def _between(
    sky: Sky, bad: NDArray[np.bool_], x: Array, y: Array, flux: Array, size: float, wing: float
) -> NDArray[np.bool_]:
    """The pixels where stars have sunk to ``wing`` of the noise."""
    covered = bad.copy()
    alpha = size / (2 * np.sqrt(2 ** (1 / _BETA) - 1))
    peak = np.maximum(flux, 0) * (_BETA - 1) / (np.pi * alpha**2)
    q2 = np.maximum(peak / (wing * sky.noise), 1.0) ** (1 / _BETA) - 1
    radius = np.clip(alpha * np.sqrt(q2), size, _LARGEST * size)
    sep.mask_ellipse(covered, x, y, radius, radius, np.zeros(len(x)), 1.0)
    return ~covered & (np.abs(sky.clean) < np.float32(_CLIP * sky.noise))


def _mended(sky: Sky, bad: NDArray[np.bool_], free: NDArray[np.bool_]) -> Sky:
    """Less the mean of what is left in each mesh."""
    rows, columns = (_edges(n) for n in sky.clean.shape)
    count = _sums(free.astype(np.float32), rows, columns)
    light = _sums(sky.clean * free, rows, columns)
    whole = np.outer(np.diff([*rows, sky.clean.shape[0]]), np.diff([*columns, sky.clean.shape[1]]))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > _ENOUGH * whole, light / count, np.nan)
    usual = float(light.sum() / count.sum())
    left = _stretched(_smooth(mean, usual), sky.clean.shape)
    np.subtract(sky.clean, left, out=left)
    return Sky(sky.level + usual, sky.noise, _blanked(left, bad))


def _edges(n: int) -> NDArray[np.int64]:
    """Where meshes begin: of about ``MESH`` pixels, all of nearly one size."""
    return np.linspace(0, n, max(1, round(n / MESH)), endpoint=False).astype(np.int64)


def _sums(values: Pixels, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Array:
    down = np.add.reduceat(values, rows, axis=0)
    return np.asarray(np.add.reduceat(down, columns, axis=1, dtype=np.float64))


def _smooth(mean: Array, usual: float) -> Array:
    """Each mesh as the median of itself and its neighbours; where none tells, as usual."""
    wide = np.pad(mean, 1, constant_values=np.nan)
    rows, columns = mean.shape
    near = np.stack([wide[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])
    told = np.isfinite(near).any(axis=0)
    near[:, ~told] = usual
    return np.asarray(np.nanmedian(near, axis=0))


def _stretched(mesh: Array, shape: tuple[int, ...]) -> Pixels:
    """Meshes drawn out to pixels, by straight lines between their middles."""
    down, across = (_lines(n, k) for n, k in zip(shape, mesh.shape, strict=True))
    return np.asarray(down @ mesh.astype(np.float32) @ across.T, np.float32)


def _lines(n: int, k: int) -> Pixels:
    """(n, k) weights of k middles at n pixels."""
    at = np.clip((np.arange(n) + 0.5) * k / n - 0.5, 0, k - 1)
    below = np.minimum(at.astype(np.int64), max(k - 2, 0))
    weights = np.zeros((n, k), np.float32)
    weights[np.arange(n), below] = 1 - (at - below)
    weights[np.arange(n), np.minimum(below + 1, k - 1)] += (at - below).astype(np.float32)
    return weights
