"""A small picture of a frame, for plots: gray as an eye sees it, and a few hundred pixels wide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.imaging.files import Pixels
from nightferry.imaging.frame import BAD, COSMIC, Frame

WIDEST = 640  # pixels
_FAINT, _BRIGHT = -1.5, 60.0  # times the noise, of black and white


@dataclass(frozen=True)
class Picture:
    """Gray values, and how many pixels of the frame make one of its own."""

    gray: NDArray[np.uint8]
    step: int
    origin: tuple[int, int]  # column and row of its corner in the whole image


def picture(frame: Frame) -> Picture:
    """The mean of each block of pixels, from the sky's black up (asinh)."""
    step = max(1, -(-max(frame.shape) // WIDEST))
    rows, columns = (n // step * step for n in frame.shape)
    small = np.empty((rows // step, columns // step), np.float32)
    good = np.where(frame.mask[:rows, :columns] & (BAD | COSMIC), 0, 1).astype(np.uint8)
    blocks = (rows // step, step, columns // step, step)
    count = good.reshape(blocks).sum(axis=(1, 3), dtype=np.float32)
    lit = np.where(good, frame.pixels[:rows, :columns], np.float32(0)).reshape(blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        small = lit.sum(axis=(1, 3)) / count
    return Picture(_gray(small), step, (frame.detector.data.x0, frame.detector.data.y0))


def _gray(small: Pixels) -> NDArray[np.uint8]:
    some = small[np.isfinite(small)]
    if not len(some):
        return np.zeros(small.shape, np.uint8)
    sky = float(np.median(some))
    noise = max(1.4826 * float(np.median(np.abs(some - sky))), 1e-6)
    height = np.arcsinh(((small - sky) / noise - _FAINT) / 4) / np.arcsinh((_BRIGHT - _FAINT) / 4)
    return np.asarray(255 * np.clip(np.nan_to_num(height), 0, 1), np.uint8)
