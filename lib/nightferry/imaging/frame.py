"""A frame as it is worked on: pixels, how sure they are, and which of them are no good."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.imaging.files import ImageFile, Pixels, Section, section
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.photometry.measured import NotCalibrated

Mask = NDArray[np.uint8]
BAD, SATURATED, COSMIC = 1, 2, 4  # bits of a mask
BLOCK = 1 << 21  # pixels that are worked on at a time

_GAINS = ("EGAIN", "GAIN", "CCDGAIN", "GAINEFF")
_NOISES = ("RDNOISE", "READNOIS", "RON", "ENOISE")
_SATURATIONS = ("SATURATE", "SATLEVEL", "SATURATI", "MAXLIN", "FULLWELL")
_LARGEST_GAIN = 30.0  # e-/ADU: more is the number of a setting
_SETTLING = 8  # columns of an overscan that still hold something of the image
_NEARLY = 0.98  # of what a converter can write: saturated


@dataclass(frozen=True)
class Detector:
    """What one frame's pixels mean."""

    data: Section
    overscan: Section | None
    gain: float | None  # e-/ADU; None: unknown
    read_noise: float  # e-; 0: unknown
    saturation: float  # ADU as read out


@dataclass
class Frame:
    """Pixels [row, column] in ADU, their variance in ADU², and a mask. All of the data section."""

    pixels: Pixels
    variance: Pixels
    mask: Mask
    detector: Detector
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


def detector(
    file: ImageFile, keywords: Header, imaging: Imaging, gain: float | None = None
) -> Detector:
    """As the header and the instrument's file say; ``gain`` stands over both.

    Raises:
        NotCalibrated: the gain is none.
    """
    shape = file.shape
    whole = Section(0, shape[1], 0, shape[0])
    data = section(keywords.get(imaging.data) or imaging.data, shape) or whole
    level = imaging.saturation or _number(keywords, _SATURATIONS)
    if level is None or level <= 0:
        most = file.digital_maximum
        level = np.inf if most is None else _NEARLY * most
    return Detector(
        data,
        _overscan(imaging, keywords, data, shape),
        _gain(keywords, gain if gain is not None else imaging.gain),
        imaging.read_noise or max(_number(keywords, _NOISES) or 0.0, 0.0),
        float(level),
    )


def _overscan(
    imaging: Imaging, keywords: Header, data: Section, shape: tuple[int, int]
) -> Section | None:
    if imaging.overscan == "rest":
        left, right = data.x0, shape[1] - data.x1
        found = Section(data.x1, shape[1], data.y0, data.y1) if right else None
        if left > right:
            found = Section(0, data.x0, data.y0, data.y1)
    else:
        found = section(keywords.get(imaging.overscan) or imaging.overscan, shape)
    if found is None or found.x1 <= found.x0:
        return None
    if found.x0 == data.x1 and found.x1 - found.x0 > 2 * _SETTLING:
        return Section(found.x0 + _SETTLING, found.x1, found.y0, found.y1)
    return found


def _gain(keywords: Header, said: float | None) -> float | None:
    if said is not None:
        return said
    for keyword in _GAINS:
        value = keywords.get(keyword)
        if value is None or isinstance(value, bool | str):
            continue
        if value <= 0:
            raise NotCalibrated(
                "zero gain", f"{keyword} is {value}: say the gain with --gain, or in the "
                "instrument's file (imaging: gain)"
            )  # fmt: skip
        return float(value) if value <= _LARGEST_GAIN else None
    return None


def _number(keywords: Header, names: tuple[str, ...]) -> float | None:
    for name in names:
        value = keywords.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def level_of_overscan(file: ImageFile, at: Detector) -> float:
    """What the frame reads where there was no light, in ADU; 0 without an overscan."""
    if at.overscan is None:
        return 0.0
    o = at.overscan
    values = np.concatenate(
        [file.rows(a, b)[:, o.x0 : o.x1].ravel() for a, b in blocks(o.y0, o.y1, file.shape[1])]
    )
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle))) + 0.5
    return float(values[np.abs(values - middle) < 4 * spread].mean(dtype=np.float64))


def blocks(first: int, last: int, width: int, most: int = BLOCK) -> list[tuple[int, int]]:
    """Rows [first, last) in blocks of about ``most`` pixels."""
    step = max(1, most // width)
    return [(y, min(y + step, last)) for y in range(first, last, step)]


def load(file: ImageFile, at: Detector, progress: Callable[[], None] = lambda: None) -> Frame:
    """The data section in ADU above the overscan's level; saturated and undefined pixels masked."""
    zero = level_of_overscan(file, at)
    d = at.data
    pixels = np.empty(d.shape, np.float32)
    mask = np.zeros(d.shape, np.uint8)
    for first, last in blocks(d.y0, d.y1, file.shape[1]):
        progress()
        raw = file.rows(first, last)[:, d.x0 : d.x1]
        to = slice(first - d.y0, last - d.y0)
        bad = ~np.isfinite(raw)
        mask[to] = np.where(bad, BAD, 0) | np.where(raw >= at.saturation, SATURATED, 0)
        pixels[to] = np.where(bad, 0.0, raw - np.float32(zero))
    if (mask & BAD).all():
        raise NotCalibrated("no pixels", "every pixel of it is undefined (NaN)")
    return Frame(pixels, np.zeros(d.shape, np.float32), mask, at)
