"""Master frames: the robust mean of a night's bias, dark or flat frames.

Frames are read in blocks of rows, so that memory does not grow with their number. A pixel that is
far from the others of its place (a cosmic ray, a star in a twilight flat) is left out.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from nightferry.imaging.files import ImageFile, Pixels
from nightferry.imaging.frame import BAD, Detector, Mask, blocks, level_of_overscan
from nightferry.photometry.measured import NotCalibrated

BIAS, DARK, FLAT = "bias", "dark", "flat"
KINDS = (BIAS, DARK, FLAT)
FEWEST = 3  # frames
_CLIP = 5.0  # sigma
_MANY = 8  # frames tell the spread of a single pixel
_WEAKEST, _STRONGEST = 0.2, 5.0  # of the middle of a flat: what is beyond is no detector
_OFF = 20.0  # times the noise of a frame by which a pixel of a bias is off: it is broken
_BROKEN_COLUMN = 0.5  # of its pixels are bad
_FAINTEST_FLAT = 300.0  # ADU
_BRIGHTEST_FLAT = 0.92  # of saturation
_SAMPLE = 200_000  # pixels for a median
_LOOKS = 16  # places where they are taken


@dataclass(frozen=True)
class Raw:
    """One frame that a master is made of."""

    file: ImageFile
    detector: Detector
    seconds: float


@dataclass(frozen=True)
class Master:
    """Bias in ADU above the overscan, dark in ADU a second, flat with a median of 1."""

    kind: str
    pixels: Pixels
    sigma: Pixels
    mask: Mask
    frames: tuple[str, ...]  # names of those that it is made of
    left_out: tuple[str, ...] = ()  # a sentence for each that did not serve


def combine(
    kind: str, raws: Sequence[Raw], bias: Master | None = None, dark: Master | None = None
) -> Master:
    """The robust mean of ``raws``, darks and flats less ``bias``, flats less ``dark`` too.

    Raises:
        NotCalibrated: fewer than three frames serve.
    """
    levels, used, left_out = [], [], []
    for raw in raws:
        zero = level_of_overscan(raw.file, raw.detector)
        light = _light(kind, raw, zero, bias)
        if why := _unfit(kind, raw, light, zero):
            left_out.append(f"{raw.file.name}: {why}")
        else:
            used.append(raw)
            levels.append((zero, light))
    if len(used) < FEWEST:
        told = f" ({'; '.join(left_out)})" if left_out else ""
        raise NotCalibrated(
            f"too few {kind} frames", f"{len(used)} serve, and {FEWEST} are needed{told}"
        )
    first = used[0].detector.data
    if any(raw.detector.data.shape != first.shape for raw in used):
        raise NotCalibrated(f"unlike {kind} frames", "their data sections differ")
    out, sigma = np.empty(first.shape, np.float32), np.empty(first.shape, np.float32)
    mask = np.zeros(first.shape, np.uint8)
    for a, b in blocks(0, first.shape[0], used[0].file.shape[1] * len(used)):
        stack = np.stack(
            [
                _rows(kind, raw, level, a, b, bias, dark)
                for raw, level in zip(used, levels, strict=True)
            ],
            axis=-1,
        )
        out[a:b], sigma[a:b] = _robust_mean(stack)
    if kind == FLAT:
        middle = np.float32(np.nanmedian(_thin(out)))
        out /= middle
        sigma /= middle
        mask[~((out > _WEAKEST) & (out < _STRONGEST))] |= BAD
    if kind == BIAS:
        off = np.abs(out - np.float32(np.nanmedian(_thin(out))))
        usual = np.nanmedian(_thin(sigma)) * np.sqrt(len(used))
        mask[off > _OFF * np.maximum(usual, np.float32(0.5))] |= BAD
    mask[~np.isfinite(out)] |= BAD
    # A column that is broken spills into those beside it.
    broken = np.flatnonzero((mask & BAD).astype(bool).mean(axis=0) > _BROKEN_COLUMN)
    for beside in (broken - 1, broken + 1):
        mask[:, beside[(beside >= 0) & (beside < mask.shape[1])]] |= BAD
    out[mask > 0] = 1.0 if kind == FLAT else 0.0
    sigma[mask > 0] = 0.0
    return Master(kind, out, sigma, mask, tuple(r.file.name for r in used), tuple(left_out))


def _thin(values: Pixels) -> Pixels:
    """Few enough pixels of an image, evenly taken, for a median."""
    step = max(1, int(np.sqrt(values.size / _SAMPLE)))
    return values[::step, ::step]


def _light(kind: str, raw: Raw, zero: float, bias: Master | None) -> float:
    """The median of a frame above what is there without light."""
    d = raw.detector.data
    at_a_time = max(1, _SAMPLE // (_LOOKS * d.shape[1]))
    begins = range(d.y0, d.y1, max(at_a_time, d.shape[0] // _LOOKS))
    looks = [raw.file.rows(y, min(y + at_a_time, d.y1))[:, d.x0 : d.x1].ravel() for y in begins]
    light = float(np.nanmedian(np.concatenate(looks))) - zero
    if kind != BIAS and bias is not None:
        light -= float(np.median(_thin(bias.pixels)))
    return light


def _unfit(kind: str, raw: Raw, light: float, zero: float) -> str:
    """Why a frame does not serve; '' if it does."""
    if not np.isfinite(light):
        return "it has no pixels"
    if kind == FLAT and light < _FAINTEST_FLAT:
        return f"too faint ({light:.0f} ADU)"
    if kind == FLAT and light + zero > _BRIGHTEST_FLAT * raw.detector.saturation:
        return f"nearly saturated ({light:.0f} ADU)"
    if kind == DARK and not raw.seconds > 0:
        return "it has no exposure time"
    return ""


def _rows(
    kind: str, raw: Raw, level: tuple[float, float], first: int, last: int,
    bias: Master | None, dark: Master | None,
) -> Pixels:  # fmt: skip
    """A block of rows as it goes into the mean. What is saturated is NaN."""
    d, (zero, light) = raw.detector.data, level
    block = raw.file.rows(d.y0 + first, d.y0 + last)[:, d.x0 : d.x1]
    block = np.where(block >= raw.detector.saturation, np.nan, block - np.float32(zero))
    if kind == BIAS:
        return np.asarray(block, np.float32)
    if bias is not None:
        block -= bias.pixels[first:last]
    if kind == DARK:
        return np.asarray(block / raw.seconds, np.float32)
    if dark is not None:
        block -= dark.pixels[first:last] * np.float32(raw.seconds)
    return np.asarray(block / light, np.float32)


def _robust_mean(stack: Pixels) -> tuple[Pixels, Pixels]:
    """Mean and its error along the last axis, without what is far from the median."""
    with np.errstate(invalid="ignore", divide="ignore"):
        count = np.isfinite(stack).sum(axis=-1)
        middle = _middle(stack, count)
        away = np.abs(stack - middle[..., None])
        # Of a few frames a pixel's own spread says little: that of its row stands beside it.
        pairs = np.abs(stack[..., 1:4] - stack[..., :1]).reshape(len(stack), -1)
        of_row = np.nanmedian(pairs, axis=1) * np.float32(1.4826 / 2**0.5)
        spread = np.broadcast_to(of_row[:, None], middle.shape)
        if stack.shape[-1] >= _MANY:
            spread = np.maximum(_middle(away, count) * np.float32(1.4826), spread)
        kept = away <= (np.float32(_CLIP) * np.maximum(spread, np.float32(1e-6)))[..., None]
        number = kept.sum(axis=-1, dtype=np.float32)
        mean = np.where(kept, stack, np.float32(0)).sum(axis=-1) / number
        square = np.where(kept, (stack - mean[..., None]) ** 2, np.float32(0)).sum(axis=-1)
        error = np.sqrt(square / np.maximum(number - 1, 1) / number)
        return mean, np.maximum(error, spread / np.sqrt(number))


def _middle(values: Pixels, count: NDArray[np.int64]) -> Pixels:
    """The median of the ``count`` finite ones along the last axis."""
    ordered = np.sort(values, axis=-1)  # NaN come last
    low, high = (
        np.take_along_axis(ordered, np.clip(at, 0, values.shape[-1] - 1)[..., None], -1)[..., 0]
        for at in ((count - 1) // 2, count // 2)
    )
    return np.asarray(np.float32(0.5) * (low + high))


def to_fits(master: Master, about: Mapping[str, Any]) -> bytes:
    """A master as a file: pixels, SIGMA and MASK, and in its header what it is made of."""
    primary = fits.PrimaryHDU(master.pixels)
    primary.header["IMAGETYP"] = (f"master {master.kind}", "robust mean of the frames below")
    primary.header["BUNIT"] = {BIAS: "adu", DARK: "adu / s", FLAT: ""}[master.kind]
    primary.header["NCOMBINE"] = (len(master.frames), "frames")
    for keyword, value in about.items():
        if value is not None:
            primary.header[keyword] = str(value).encode("ascii", "replace").decode()
    for name in master.frames:
        primary.header["HISTORY"] = name.encode("ascii", "replace").decode()
    out = io.BytesIO()
    planes = [fits.ImageHDU(master.sigma, name="SIGMA"), fits.ImageHDU(master.mask, name="MASK")]
    fits.HDUList([primary, *planes]).writeto(out)
    return out.getvalue()


def from_fits(content: bytes) -> Master:
    """What :func:`to_fits` wrote."""
    with fits.open(io.BytesIO(content), memmap=False) as hdus:
        kind = str(hdus[0].header["IMAGETYP"]).removeprefix("master ")
        frames = tuple(str(line) for line in hdus[0].header.get("HISTORY", []))
        planes = [hdus[i].data for i in (0, "SIGMA", "MASK")]
        return Master(
            kind,
            np.ascontiguousarray(planes[0], np.float32),
            np.ascontiguousarray(planes[1], np.float32),
            np.ascontiguousarray(planes[2], np.uint8),
            frames,
        )
