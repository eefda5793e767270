"""The mean of few stars, of which one may be wrong.

With three or four stars no mixture can be fitted. But where all together disagree, and without one
of them the others agree, that one is left out: the standards of a field are variable now and then.
"""

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry.mixture import Mixture

Array = NDArray[np.float64]

MOST = 4  # stars: more are a mixture's
USUAL = 0.02  # mag by which standards of unlike colours differ without a fault
_DISAGREE = 4.0  # chi² a degree of freedom
_AGREE = 2.5
_FAR = 4.0  # sigma of the one that is left out


def mean(y: Array, errors: Array) -> Mixture:
    """The weighted mean of ``y``; its error is no smaller than what the stars differ by."""
    weights = 1 / (errors**2 + USUAL**2)
    good = np.ones(len(y), bool)
    if len(y) > 2 and _chi2(y, weights) > _DISAGREE:
        scores = [_left_out(y, weights, k) for k in range(len(y))]
        worst = max(range(len(y)), key=lambda k: scores[k][0])
        z, rest = scores[worst]
        good[worst] = not (z > _FAR and rest < _AGREE)
    w = weights[good]
    at = float((w * y[good]).sum() / w.sum())
    spread = float(np.sqrt((w * (y[good] - at) ** 2).sum() / w.sum()))
    n = int(good.sum())
    by_errors = 1 / float((1 / errors[good] ** 2).sum())
    variance = max(by_errors, spread**2 / max(n - 1, 1))
    return Mixture(
        np.array([at]), np.array([[variance]]), spread, good.astype(float),
        1 if good.all() else 2, 0.0, n / len(y), 0.0,
    )  # fmt: skip


def _chi2(y: Array, weights: Array) -> float:
    at = (weights * y).sum() / weights.sum()
    return float((weights * (y - at) ** 2).sum() / max(len(y) - 1, 1))


def _left_out(y: Array, weights: Array, k: int) -> tuple[float, float]:
    """How many sigma star ``k`` is from the others, and how well these agree."""
    others = np.arange(len(y)) != k
    w = weights[others]
    at = (w * y[others]).sum() / w.sum()
    return float(abs(y[k] - at) / np.sqrt(1 / weights[k] + 1 / w.sum())), _chi2(y[others], w)
