"""What was measured: the stars of one exposure, and what is known of the exposure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightferry.errors import GiveUp

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_ERROR_OF_ONE = 2.5 / np.log(10)
NO_TIME = datetime(2000, 1, 1, 12, tzinfo=UTC)  # in the place of a middle that is not known


class NotCalibrated(GiveUp):
    """It can't be calibrated as it is. ``reason`` is a short fixed phrase, the text what to do."""


@dataclass(frozen=True)
class Exposure:
    """One exposure's stars. ``magnitude`` is -2.5 log10 of the total flux in ``unit``.

    Positions are degrees (ICRS); ``magnitude`` and ``error`` are NaN where there is no flux.
    """

    ra: Array
    dec: Array
    magnitude: Array
    error: Array
    unit: str  # ADU/s or e-/s
    middle: datetime  # of the exposure, UTC
    seconds: float
    filter: str
    part: str = ""  # which of its file's exposures
    airmass: float | None = None
    aperture: str = ""
    x: Array | None = None  # pixels
    y: Array | None = None
    saturated: Mask | None = None
    notes: tuple[str, ...] = ()
    stars: tuple[str, ...] = ()  # names or numbers that the file gives them
    doubts: NDArray[np.object_] | None = None  # why a star does not serve; '' if it does
    common_error: float = 0.0  # mag, by which all of them are off together
    shapes: Mapping[str, Array] = field(default_factory=dict)  # what else was measured of each
    start: datetime | None = None  # known of some whose middle is not

    def __len__(self) -> int:
        return len(self.ra)

    @property
    def known_middle(self) -> datetime | None:
        """Of a failure, the middle may not be known."""
        return None if self.middle == NO_TIME or self.seconds != self.seconds else self.middle

    @property
    def year(self) -> float:
        """Julian year of its middle."""
        return 2000.0 + (self.middle - _J2000).total_seconds() / (365.25 * 86400)


_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Unusable:
    """An exposure that can't be calibrated, and what of it can be shown all the same. What is not
    known of it is NaN, no text, or ``NO_TIME``."""

    exposure: Exposure
    why: NotCalibrated

    @property
    def has_stars(self) -> bool:
        """Is there a place or a magnitude that could be drawn?"""
        e = self.exposure
        return bool(np.isfinite(e.ra + e.dec).any() or np.isfinite(e.magnitude).any())


@dataclass(frozen=True)
class Reading:
    """What a file does not say of itself, said beside it: by the site, or on the command line."""

    columns: Mapping[str, str] = field(default_factory=dict)  # meaning -> column
    band: str | None = None  # only these rows; and the filter, where the file names none
    exposure: float | None = None  # seconds
    start: datetime | None = None
    gain: float | None = None  # e-/ADU
    per_second: bool = False  # magnitudes and fluxes are of one second already
    electrons: bool = False  # and of electrons already
    saturation: float | None = None  # mag: brighter instrumental magnitudes are saturated
    maximum_error: float = 0.3  # mag
    corrections: Mapping[str, Any] = field(default_factory=dict)  # of its header; None: not there


def magnitudes(flux: Array, error: Array) -> tuple[Array, Array]:
    """-2.5 log10 of ``flux`` and its error; NaN where there is no light."""
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.where(flux > 0, -2.5 * np.log10(flux), np.nan)
        return magnitude, np.where(flux > 0, _ERROR_OF_ONE * error / flux, np.nan)


def middle_of(start: datetime, seconds: float) -> datetime:
    return start + timedelta(seconds=seconds / 2)


def plain(value: Any) -> Any:
    """A cell of a table without numpy's or astropy's wrapping; None for what is masked."""
    if value is np.ma.masked:
        return None
    value = getattr(value, "value", value)
    return value.item() if isinstance(value, np.generic) else value
