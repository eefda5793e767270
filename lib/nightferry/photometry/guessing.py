"""Which band a frame was taken in, where nobody knows: the one that needs the least of a colour
term and leaves the least scatter."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.result import Calibration

SURE = 0.95
USUAL_TERM = 0.05  # mag a mag: of real filters against the standard ones
_LEAST_SCATTER = 0.005


def choose(good: Sequence[Calibration], tried: Sequence[Calibration]) -> Calibration:
    """The band that is most likely, if it is likely enough; else a failure that says between which.

    Raises:
        NotCalibrated: no band could be fitted at all.
    """
    if not tried:
        raise NotCalibrated("no catalogue tile", "no catalogue is loaded: nf catalog load FILE")
    if not good:
        raise NotCalibrated(tried[0].reason, f"no band could be fitted: {tried[0].advice}")
    chances = probabilities(good)
    best = int(np.argmax(chances))
    by_band = {str(g.band): float(p) for g, p in zip(good, chances, strict=True)}
    likely = sorted(by_band.items(), key=lambda item: -item[1])[:4]
    told = ", ".join(f"{band} {100 * p:.0f} %" for band, p in likely)
    found = replace(good[best], candidates=by_band)
    if chances[best] < SURE:
        return found.failed(NotCalibrated("bands can't be told apart", f"it may be {told}"))
    return replace(found, flags=(*found.flags, f"band found by trying: {told}"))


def probabilities(tried: Sequence[Calibration]) -> NDArray[np.float64]:
    """The probability of each: the likelihood of its residuals, and of such a colour term in a
    filter that is nearly the standard one."""
    scores = np.array([_score(c) for c in tried])
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def _score(c: Calibration) -> float:
    assert c.fit is not None
    use = np.isfinite(c.residual)
    spread2 = max(c.fit.scatter, _LEAST_SCATTER) ** 2
    v = c.exposure.error[use] ** 2 + c.catalog_error[use] ** 2 + spread2
    z2 = np.minimum(c.residual[use] ** 2 / v, 9.0)  # an outlier is one in every band
    residuals = -0.5 * float((np.log(v) + z2).sum())
    v_term = USUAL_TERM**2 + c.fit.colour_term_error**2
    # A slope counts by what it does over the colours that are there.
    return residuals - 0.5 * float(np.log(v_term)) - 0.5 * c.fit.colour_term**2 / v_term
