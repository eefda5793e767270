"""How faint an exposure goes."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIGMAS = 5.0
_ERROR_AT_LIMIT = 2.5 / np.log(10) / SIGMAS
_STEEP, _FLAT = 0.4, 0.2  # of log error by magnitude: against the sky, and by the star's own light
_FEWEST = 5


def limiting_magnitude(magnitude: Array, error: Array) -> float | None:
    """The magnitude of a star of 5 sigma, from how the errors grow among the fainter half of the
    stars; None of fewer than five."""
    good = np.isfinite(magnitude) & np.isfinite(error) & (error > 0)
    m, e = magnitude[good], np.log10(error[good])
    if len(m) < _FEWEST:
        return None
    faint = m >= np.median(m)
    m, e = m[faint], e[faint]
    slope = _FLAT
    if np.ptp(m) > 0.5:
        slope = float(np.clip(np.polyfit(m, e, 1)[0], _FLAT, _STEEP))
    level = float(np.median(e - slope * m))
    return (float(np.log10(_ERROR_AT_LIMIT)) - level) / slope
