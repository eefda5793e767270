"""The stars of a frame: found, placed and measured, all of them at once.

Sky and sources by SEP (Barbary 2016; Bertin & Arnouts 1996). Light is summed in one circle for all
and brought to the total by the curve of growth of the frame's own stars.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from nightferry.imaging import background, growth
from nightferry.imaging.files import Pixels
from nightferry.imaging.frame import BAD, COSMIC, SATURATED, Frame
from nightferry.imaging.growth import Growth
from nightferry.imaging.shapes import check_trails, half_light, neighbours, shapes, typical
from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.neighbours import pairs_within

Array = NDArray[np.float64]
Names = NDArray[np.object_]

THRESHOLD = 4.0  # sigma of the filtered frame
APERTURE = 2  # of growth.RINGS: 1.5 FWHM
# FWHM: circles that tell a star's size, its light (``AT``), and all of it.
CIRCLES = np.array([0.5, 0.75, 1.0, growth.RINGS[APERTURE], 2.0])
AT = 3
_SMALL, _LARGE, _UNSURE = 0.9, 3.0, 0.1  # of what total flux is to that in the aperture
_MOST = 200_000  # sources: more are noise, or no sky
_SMALLEST = 5  # pixels of a source
_BRIGHT = 50.0  # signal to noise of a star that tells the profile
_TELLERS = 80  # stars that tell it, at most
_SIZED = 150  # sources whose size is looked at before that
_APART = 6.0  # FWHM from the next one that counts
_NEAR = 0.12  # relative: a FWHM to begin with is as good as that, or it is done again
_FEW_PIXELS = 1.2  # FWHM of what is no star but a hit
# Pixels of sources that are under way at once. Their places are all made before the first source is
# found, which takes as long as finding them: many only for a frame that is full of stars.
_STACKS = (300_000, 2_000_000)


@dataclass(frozen=True)
class Stars:
    """What was found, brightest first, in arrays of one length. Pixels count from 0."""

    x: Array
    y: Array
    flux: Array  # ADU, total
    error: Array
    peak: Array  # ADU above the sky
    fwhm: Array  # pixels
    ellipticity: Array
    angle: Array  # degrees from x
    doubt: Names  # why it does not serve; '' if nothing is known against it

    def __len__(self) -> int:
        return len(self.x)

    def pick(self, which: NDArray[Any]) -> "Stars":
        return Stars(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


@dataclass(frozen=True)
class Seen:
    """A frame's stars, sky and profile."""

    stars: Stars
    growth: Growth | None
    fwhm: float  # pixels; NaN where no star tells
    sky: float  # ADU a pixel
    noise: float  # ADU a pixel
    notes: tuple[str, ...]


def find(frame: Frame) -> Seen:
    """The stars of a reduced frame.

    Raises:
        NotCalibrated: there is nothing that could be measured.
    """
    bad = (frame.mask & (BAD | COSMIC)) > 0
    some_bad = bad if bad.any() else None  # none is quicker
    pixels = np.ascontiguousarray(frame.pixels)
    sky = background.first(pixels, bad)
    found = _extract(sky.clean, sky.noise, some_bad)
    notes: list[str] = []
    if not len(found):
        return Seen(_no_stars(), None, np.nan, sky.level, sky.noise, ())
    x, y = found["x"].astype(float), found["y"].astype(float)
    size = _usual_size(sky.clean, found, frame.mask, sky.noise)
    x, y = _placed(sky.clean, x, y, size, some_bad)
    sky = background.without_stars(sky, pixels, bad, x, y, found["flux"].astype(float), size)
    clean, noise = sky.clean, sky.noise
    variance = _variance(frame, noise)
    doubt = _doubts(frame, found, x, y, size)
    curve, radii, sums, spread = _grow(
        clean, variance, x, y, size, doubt, noise**2, frame.detector.gain or 1.0
    )
    if curve is not None and not (_SMALL < curve.correction < _LARGE and curve.error < _UNSURE):
        curve = None  # made of stars that stand in each other's light
    fwhm = curve.fwhm if curve else size
    correction = curve.correction if curve else 1.0
    flux, error = sums[:, AT] * correction, np.sqrt(np.maximum(spread, 0)) * correction
    half = half_light(radii, sums)
    ellipticity = 1 - found["b"] / np.maximum(found["a"], 1e-6)
    shapes(doubt, half, flux / np.maximum(error, 1e-30), sums, AT)
    neighbours(doubt, x, y, flux, radii[AT], curve)
    usual = typical(half, doubt, flux / np.maximum(error, 1e-30))
    if curve is None:
        notes.append("no curve of growth: too few bright single stars")
    elif not 1.0 < curve.correction < 1.6:
        notes.append(f"the curve of growth is unusual: correction {curve.correction:.2f}")
    order = np.argsort(-np.nan_to_num(flux, nan=-np.inf), kind="stable")
    stars = Stars(
        x, y, flux, error, found["peak"].astype(float), half * (fwhm / usual), ellipticity,
        np.degrees(found["theta"].astype(float)), doubt,
    )  # fmt: skip
    picked = stars.pick(order)
    check_trails(picked.doubt, picked.ellipticity, picked.flux / np.maximum(picked.error, 1e-30))
    return Seen(picked, curve, fwhm, sky.level, noise, tuple(notes))


def _no_stars() -> Stars:
    x, y, flux, error, peak, fwhm, ellipticity, angle = np.zeros((8, 0))
    return Stars(x, y, flux, error, peak, fwhm, ellipticity, angle, np.zeros(0, object))


def _extract(clean: Pixels, noise: float, bad: NDArray[np.bool_] | None) -> NDArray[np.void]:
    few, many = _STACKS
    # The filter takes noise away; a threshold is of the unfiltered frame.
    for stack, threshold in (
        (few, THRESHOLD / 2.2), (many, THRESHOLD / 2.2), (many, THRESHOLD), (many, 3 * THRESHOLD)
    ):  # fmt: skip
        sep.set_extract_pixstack(stack)
        try:
            found = sep.extract(
                clean, threshold * noise, mask=bad, minarea=_SMALLEST, deblend_nthresh=16,
                deblend_cont=0.005, clean=True,
            )  # fmt: skip
        except Exception as error:  # SEP raises this plain class, of full buffers too
            if "pixel" not in str(error) and "deblend" not in str(error):
                raise
            continue
        if len(found) <= _MOST:
            return np.asarray(found)
    raise NotCalibrated(
        "no sky", "sources cover the whole of it: no sky between them, or it is not what it says"
    )


def _usual_size(
    clean: Pixels, found: NDArray[np.void], mask: NDArray[np.uint8], noise: float
) -> float:
    """A first FWHM (pixels): of the sources that are most alike among the bright."""
    bright = np.argsort(-found["flux"])[:_SIZED]
    x, y = found["x"][bright], found["y"][bright]
    reach = np.maximum(4 * found["a"][bright], 4.0)
    half, _ = sep.flux_radius(clean, x, y, reach, 0.5, subpix=1)
    rows, columns = np.clip(y.astype(int), 0, None), np.clip(x.astype(int), 0, None)
    good = (half > 0.5) & (mask[rows, columns] == 0) & (found["flux"][bright] > 30 * noise)
    half = half[good] if good.sum() >= 3 else half[half > 0]
    if not len(half):
        return 3.0
    half = np.sort(half)
    wide = min(len(half), max(2, len(half) // 2))
    # The half of them that lie closest together.
    spans = half[wide - 1 :] - half[: len(half) - wide + 1]
    begin = int(np.argmin(spans))
    return float(np.clip(1.75 * np.median(half[begin : begin + wide]), 1.2, 60.0))


def _placed(
    clean: Pixels, x: Array, y: Array, size: float, bad: NDArray[np.bool_] | None
) -> tuple[Array, Array]:
    """Windowed positions; where they run away, the first ones."""
    wx, wy, flag = sep.winpos(clean, x, y, size / 2.3548, mask=bad, subpix=5)
    lost = ~(np.hypot(wx - x, wy - y) < 0.5 * size) | (flag > 0) & ~np.isfinite(wx + wy)
    return np.where(lost, x, wx), np.where(lost, y, wy)


def _variance(frame: Frame, noise: float) -> Pixels:
    """The frame's, with the part of the sky as it was measured."""
    thin = frame.variance[::8, ::8]
    expected = float(np.median(thin))
    shifted = frame.variance + np.float32(noise**2 - expected)
    np.maximum(shifted, np.float32(0.25 * noise**2), out=shifted)
    return shifted


def _doubts(frame: Frame, found: NDArray[np.void], x: Array, y: Array, size: float) -> Names:
    """What is known against each source by the mask, the edges and its own shape."""
    doubt = np.full(len(x), "", object)
    radius = growth.RINGS[APERTURE] * size
    rows, columns = frame.shape
    near = (x < radius) | (y < radius) | (x > columns - 1 - radius) | (y > rows - 1 - radius)
    core = 0.75 * size
    touched = {}
    for name, bit in (("saturated", SATURATED), ("bad pixels", BAD), ("cosmic ray", COSMIC)):
        plane = (frame.mask & bit) > 0
        if plane.any():
            inside = sep.sum_circle(plane.astype(np.float32), x, y, radius, subpix=1)[0]
            touched[name] = inside > 0.5
    merged = (found["flag"] & sep.OBJ_MERGED) > 0
    sharp = found["a"] * 2.3548 < _FEW_PIXELS
    sharp &= found["npix"] < max(_SMALLEST + 2, core**2)
    for name, which in (
        ("too sharp", sharp), ("blended in the frame", merged), *touched.items(), ("edge", near)
    ):  # fmt: skip
        doubt[which] = name
    if "saturated" in touched:
        doubt[touched["saturated"]] = "saturated"
    return doubt


def _grow(
    clean: Pixels,
    variance: Pixels,
    x: Array,
    y: Array,
    size: float,
    doubt: Names,
    sky: float,
    gain: float,
) -> tuple[Growth | None, Array, Array, Array]:
    """The curve of growth from bright single stars; then all stars in the few radii that count.

    ``sky``: the variance of a pixel without stars."""
    core = _sums(clean, x, y, np.array([size]))
    spread = _sums(variance, x, y, np.array([size]), exact=False)
    ratio = core[:, 0] / np.sqrt(np.maximum(spread[:, 0], 1e-30))
    curve = None
    for _ in range(2):
        chosen = _tellers(x, y, core[:, 0], ratio, doubt, size)
        if len(chosen) < growth.FEWEST:
            break
        radii = growth.RINGS * size
        sums = _sums(clean, x[chosen], y[chosen], radii)
        light = np.maximum.accumulate(np.maximum(sums, 0), axis=1)
        of_sums = sky * np.pi * radii**2 + light / gain
        curve = growth.fit(radii, sums, of_sums, APERTURE)
        if curve is None or abs(curve.fwhm / size - 1) < _NEAR:
            break
        size = float(np.clip(curve.fwhm, 1.0, 80.0))
    if curve is not None:
        size = curve.radii[0] / growth.RINGS[0]
    radii = CIRCLES * size
    sums = _sums(clean, x, y, radii)
    return curve, radii, sums, _sums(variance, x, y, radii[AT : AT + 1], exact=False)[:, 0]


def _sums(plane: Pixels, x: Array, y: Array, radii: Array, exact: bool = True) -> Array:
    """What is within each radius: (n, k). Not exact is by whole pixels: enough for a variance."""
    sums = np.empty((len(x), len(radii)))
    for k, radius in enumerate(radii):
        sums[:, k] = sep.sum_circle(plane, x, y, radius, subpix=0 if exact else 1)[0]
    return sums


def _tellers(
    x: Array, y: Array, light: Array, ratio: Array, doubt: Names, size: float
) -> NDArray[np.int64]:
    """Bright stars that stand alone, evenly over their brightness; the nearest to it if none do."""
    good = (ratio > _BRIGHT) & (doubt == "")
    if good.sum() < growth.FEWEST:
        good = (ratio > _BRIGHT / 4) & (doubt == "")
    candidates = np.flatnonzero(good)
    for apart in (_APART + 2, _APART, _APART / 2, 1.5):
        i, j = pairs_within(x[candidates], y[candidates], x, y, apart * size)
        others = candidates[i] != j
        beside = np.bincount(
            i[others], weights=np.maximum(light[j[others]], 0), minlength=len(candidates)
        )
        alone = candidates[beside < 0.02 * light[candidates]]
        if len(alone) >= 8:
            break
    return alone[np.argsort(-light[alone])][:_TELLERS]
