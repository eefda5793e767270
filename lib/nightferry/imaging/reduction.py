"""A raw frame less bias and dark, divided by the flat, with its uncertainty carried on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nightferry.imaging.files import Pixels
from nightferry.imaging.frame import BAD, SATURATED, Frame, blocks
from nightferry.imaging.masters import Master


@dataclass(frozen=True)
class Masters:
    """What a frame is corrected with, and what is to be said about it."""

    bias: Master | None = None
    dark: Master | None = None
    flat: Master | None = None
    notes: tuple[str, ...] = ()
    told: tuple[tuple[str, str], ...] = ()  # (kind, which master): for the record


NONE = Masters()


def reduce(
    frame: Frame, masters: Masters, seconds: float, progress: Callable[[], None] = lambda: None
) -> Frame:
    """Corrects ``frame`` in place, in blocks of rows, and fills its variance.

    Variance is that of the photons and of reading out, and of the masters. Where the gain is not
    known one electron an ADU is taken: what is measured of the sky stands over it (``stars.py``).
    """
    gain = np.float32(frame.detector.gain or 1.0)
    noise = np.float32((frame.detector.read_noise / gain) ** 2)
    for a, b in blocks(0, frame.shape[0], frame.shape[1]):
        progress()
        pixels, variance = frame.pixels[a:b], frame.variance[a:b]
        mask = frame.mask[a:b]
        extra: Pixels = np.zeros((1, 1), np.float32)
        if masters.bias is not None:
            pixels -= masters.bias.pixels[a:b]
            extra = np.asarray(extra + masters.bias.sigma[a:b] ** 2, np.float32)
            mask |= masters.bias.mask[a:b]
        if masters.dark is not None:
            pixels -= masters.dark.pixels[a:b] * np.float32(seconds)
            extra = np.asarray(
                extra + (masters.dark.sigma[a:b] * np.float32(seconds)) ** 2, np.float32
            )
            mask |= masters.dark.mask[a:b]
        np.maximum(pixels, 0, out=variance)
        variance /= gain
        variance += noise + extra
        if masters.flat is not None:
            flat = masters.flat.pixels[a:b]
            pixels /= flat
            variance /= flat * flat
            variance += (pixels * masters.flat.sigma[a:b] / flat) ** 2
            mask |= masters.flat.mask[a:b]
    # What is broken always is not a star that is too bright.
    frame.mask[(frame.mask & BAD) > 0] &= np.uint8(255 - SATURATED)
    frame.notes = (*frame.notes, *masters.notes)
    return frame
