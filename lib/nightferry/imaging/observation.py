"""One image, from its pixels to an exposure of measured stars, or to the reason why there is none.

What can't be calibrated is measured as far as it goes, so that a plot shows what is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from nightferry.imaging import astrometry, cosmics, reduction, stars
from nightferry.imaging.astrometry import LookUp, Placed
from nightferry.imaging.files import ImageFile
from nightferry.imaging.frame import Detector, Frame, detector, load
from nightferry.imaging.growth import Growth
from nightferry.imaging.picture import Picture, picture
from nightferry.imaging.reduction import Masters
from nightferry.imaging.stars import Seen
from nightferry.instruments import Exposure as Meaning
from nightferry.instruments import FrameType
from nightferry.instruments.imaging import Imaging
from nightferry.instruments.keywords import Header
from nightferry.photometry.measured import (
    NO_TIME,
    Exposure,
    NotCalibrated,
    Reading,
    magnitudes,
    middle_of,
)  # fmt: skip

_ON_SKY = (FrameType.SCIENCE, FrameType.STANDARD, FrameType.UNKNOWN, FrameType.FOCUS)
_LONGEST = 1e6  # seconds
_MAGNITUDES = 1.0857362


@dataclass(frozen=True)
class Image:
    """An image and what is known of it beside its pixels."""

    file: ImageFile
    meaning: Meaning
    keywords: Header
    imaging: Imaging


@dataclass(frozen=True)
class Observed:
    """What came of an image. With a reason there is no exposure to calibrate, but ``exposure`` is
    what was measured all the same; its times mean nothing where they were not known."""

    exposure: Exposure
    why: NotCalibrated | None = None
    picture: Picture | None = None
    growth: Growth | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def observe(
    image: Image,
    reading: Reading,
    masters: Callable[[Detector], Masters],
    look_up: LookUp,
    *,
    cosmic_rays: bool = True,
    progress: Callable[[], None] = lambda: None,
) -> Observed:
    """Reduces, measures and places an image. What is wrong with it comes back as its reason.

    Raises:
        Unavailable: a remote archive does not answer; later may be better.
    """
    so_far = Observed(_nothing(image, reading))
    try:
        kind = image.meaning.frame_type
        at, wrong = _detector(image, reading)
        frame = load(image.file, at, progress)
        so_far = replace(so_far, picture=picture(frame), detail=image.file.shown)
        if image.file.refused is not None:
            raise image.file.refused
        if kind not in _ON_SKY:
            raise NotCalibrated(
                "not of the sky",
                f"it is a {kind.value} frame: if not, correct its header ('nf headers correct')",
            )
        if wrong is not None:
            raise wrong
        return _measured(so_far, frame, image, reading, masters, look_up, cosmic_rays, progress)
    except NotCalibrated as why:
        return replace(so_far, why=why)


def _detector(image: Image, reading: Reading) -> tuple[Detector, NotCalibrated | None]:
    try:
        return detector(image.file, image.keywords, image.imaging, reading.gain), None
    except NotCalibrated as why:  # a picture of it can be had all the same
        return detector(image.file, image.keywords, image.imaging, 1.0), why


def _nothing(image: Image, reading: Reading) -> Exposure:
    none = np.zeros(0)
    seconds, _ = _seconds(image, reading)
    start, _ = _start(image, reading)
    return Exposure(
        none, none, none, none, "ADU/s", _middle(start, seconds), seconds,
        image.meaning.filter or reading.band or "", airmass=image.meaning.airmass, x=none, y=none,
        start=start,
    )  # fmt: skip


def _middle(start: datetime | None, seconds: float) -> datetime:
    return NO_TIME if start is None or np.isnan(seconds) else middle_of(start, seconds)


def _measured(
    so_far: Observed, frame: Frame, image: Image, reading: Reading,
    masters: Callable[[Detector], Masters], look_up: LookUp, cosmic_rays: bool,
    progress: Callable[[], None],
) -> Observed:  # fmt: skip
    """The stars of a frame, measured and placed; with a reason, as far as it went."""
    seconds, no_seconds = _seconds(image, reading)
    start, no_start = _start(image, reading)
    used = masters(frame.detector)
    progress()
    reduction.reduce(frame, used, seconds if no_seconds is None else 0.0, progress)
    detail: dict[str, Any] = {"masters": dict(used.told)}
    if cosmic_rays:
        detail["cosmic ray pixels"] = cosmics.mask(frame)
        progress()
    so_far = replace(so_far, picture=picture(frame), detail=detail)
    seen = stars.find(frame)
    detail |= {
        "fwhm": _rounded(seen.fwhm), "sky": _rounded(seen.sky), "noise": _rounded(seen.noise),
        "ellipticity": _rounded(_ellipticity(seen)),
    }  # fmt: skip
    progress()
    exposure = _exposure(image, reading, frame, seen, seconds, start)
    so_far = replace(so_far, exposure=exposure, growth=seen.growth)
    for why in (no_seconds, no_start, _without_stars(seen)):
        if why is not None:
            return replace(so_far, why=why)
    try:
        placed = _place(image, frame, seen, exposure, look_up)
    except NotCalibrated as why_not:
        return replace(so_far, why=why_not)
    detail["wcs"] = placed.told()
    notes = (*exposure.notes, *placed.notes)
    shapes = {**exposure.shapes, "fwhm": exposure.shapes["fwhm"] * placed.scale}
    return replace(
        so_far,
        exposure=replace(exposure, ra=placed.ra, dec=placed.dec, notes=notes, shapes=shapes),
        detail=detail,
    )


def _rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _ellipticity(seen: Seen) -> float:
    good = (seen.stars.doubt == "") & (seen.stars.flux > 20 * seen.stars.error)
    return float(np.median(seen.stars.ellipticity[good])) if good.any() else float("nan")


def _seconds(image: Image, reading: Reading) -> tuple[float, NotCalibrated | None]:
    seconds = reading.exposure if reading.exposure is not None else image.meaning.seconds
    if seconds is not None and 0 < seconds < _LONGEST:
        return seconds, None
    said = "none" if seconds is None else f"{seconds:g}"
    return float("nan"), NotCalibrated(
        "no exposure time", f"its exposure time is {said}: say it with --exposure SECONDS"
    )


def _start(image: Image, reading: Reading) -> tuple[datetime | None, NotCalibrated | None]:
    start = reading.start or image.meaning.start
    if start is not None:
        return start, None
    why = f" ({' '.join(image.meaning.defects)})" if image.meaning.defects else ""
    return None, NotCalibrated(
        "no date", f"nothing says when it began{why}: say it with --start TIME"
    )


def _exposure(
    image: Image, reading: Reading, frame: Frame, seen: Seen, seconds: float, start: datetime | None
) -> Exposure:
    s, gain = seen.stars, frame.detector.gain
    flux = s.flux * (gain or 1.0) / seconds if seconds == seconds else s.flux
    magnitude, error = magnitudes(flux, s.error * (flux / np.where(s.flux == 0, np.nan, s.flux)))
    magnitude = np.where(error > reading.maximum_error, np.nan, magnitude)
    notes = list(frame.notes) + list(seen.notes)
    if gain is None:
        notes.append("gain unknown: errors of bright stars are taken for 1 e-/ADU")
    curve, nowhere = seen.growth, np.full(len(s), np.nan)
    d = frame.detector.data
    return Exposure(
        nowhere, nowhere, magnitude, error, "ADU/s" if gain is None else "e-/s",
        _middle(start, seconds), seconds, image.meaning.filter or reading.band or "",
        airmass=image.meaning.airmass,
        aperture="" if curve is None else f"{curve.aperture:.2f} pix to total "
        f"x {curve.correction:.4f}",
        x=s.x + d.x0 + 1, y=s.y + d.y0 + 1, notes=tuple(notes), doubts=s.doubt,
        common_error=0.0 if curve is None else _MAGNITUDES * curve.error,
        shapes={"fwhm": s.fwhm, "ellipticity": s.ellipticity, "angle": s.angle}, start=start,
    )  # fmt: skip


def _without_stars(seen: Seen) -> NotCalibrated | None:
    if not len(seen.stars):
        return NotCalibrated(
            "no stars",
            f"nothing stands out of its sky of {seen.sky:.0f} ± {seen.noise:.1f} ADU: was the "
            "shutter open, and the sky clear?",
        )
    trailed = seen.stars.doubt == "trailed"
    if trailed.mean() > 0.5:
        which = trailed & (seen.stars.flux > 20 * seen.stars.error)
        return NotCalibrated(
            "trails",
            f"its stars are trails (ellipticity {np.median(seen.stars.ellipticity[which]):.2f}, "
            f"along {np.median(seen.stars.angle[which]):.0f}° from the x axis): was it guided?",
        )
    return None


def _place(image: Image, frame: Frame, seen: Seen, exposure: Exposure, look_up: LookUp) -> Placed:
    meaning, d = image.meaning, frame.detector.data
    rough = None if meaning.ra is None or meaning.dec is None else (meaning.ra, meaning.dec)
    usable = np.isin(seen.stars.doubt, ("", "blended in the frame", "saturated", "edge"))
    usable &= seen.stars.flux > 5 * seen.stars.error
    return astrometry.place(
        astrometry.Sight(
            seen.stars.x + d.x0, seen.stars.y + d.y0, exposure.magnitude, usable,
            image.file.shape, image.file.header, rough, image.imaging.scale,
        ),
        look_up,
    )  # fmt: skip
