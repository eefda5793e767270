"""What is wanted of a calibration, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs.base import Stars
from nightferry.photometry.choices import PREFERRED, STARS
from nightferry.photometry.measured import Exposure, NotCalibrated
from nightferry.photometry.transformations import Transformation
from nightferry.photometry.zeropoint import ColourTerm, ZeroPoint

Array = NDArray[np.float64]
Names = NDArray[np.object_]


@dataclass(frozen=True)
class Request:
    """What is wanted of a calibration. Absent: as the file says, or the best there is."""

    band: str | None = None
    catalogs: Sequence[str] = PREFERRED
    transformations: Sequence[Transformation] = ()
    min_stars: int = STARS
    colour_terms: Mapping[str, Mapping[str, ColourTerm]] = field(default_factory=dict)
    blend_radius: float = 4.0  # arcsec


@dataclass(frozen=True)
class Calibration:
    """What came of one exposure. Of a failure ``fit`` is None, and there is a reason."""

    exposure: Exposure
    reason: str = ""
    advice: str = ""
    band: str | None = None
    catalog: str | None = None
    transformation: Transformation | None = None
    fit: ZeroPoint | None = None
    status: Names = field(default_factory=lambda: np.zeros(0, object))  # of each measured star
    catalog_id: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    catalog_magnitude: Array = field(default_factory=lambda: np.zeros(0))
    catalog_error: Array = field(default_factory=lambda: np.zeros(0))
    colour: Array = field(default_factory=lambda: np.zeros(0))
    residual: Array = field(default_factory=lambda: np.zeros(0))
    magnitude: Array = field(default_factory=lambda: np.zeros(0))  # calibrated
    zero_point_error: Array = field(default_factory=lambda: np.zeros(0))  # of each magnitude
    limiting: float | None = None
    flags: tuple[str, ...] = ()
    matched: int = 0
    radius: float | None = None  # arcsec
    catalog_stars: Stars | None = None  # those of the field
    candidates: Mapping[str, float] = field(default_factory=dict)  # auto: probability of each band

    @property
    def is_good(self) -> bool:
        return self.fit is not None

    def failed(self, why: NotCalibrated) -> "Calibration":
        """The same as far as it went, as a failure."""
        return replace(self, reason=why.reason, advice=str(why), fit=None)

    def rejected(self) -> dict[str, int]:
        """How many stars did not serve, by the reason."""
        names, counts = np.unique(self.status.astype(str), return_counts=True)
        return {str(n): int(c) for n, c in zip(names, counts, strict=True) if n != "used"}
