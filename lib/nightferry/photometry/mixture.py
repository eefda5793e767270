"""A line through points of which some belong elsewhere: a mixture of good and outlying stars.

    y = A theta + e,   e ~ w0 N(0, s2 + sigma2) + w1 N(shift, width2 + s2 + sigma2) + w2 N(0, wide2)

The first part is the good stars, with an intrinsic scatter s beside each star's own error. The
second is what a one-sided fault shifts (blends are brighter), the third whatever is far off. All is
found at once by expectation and maximisation; how many parts there are, by the Bayesian information
criterion. Clipping instead would keep the blends within 3 sigma and be biased by them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 80  # of one climb at most
TRIED = 8  # of each climb before the best are gone on with
HOPELESS = 15.0  # of the criterion, behind the best then
ROUNDS = 12  # of least squares at most
ENOUGH = 1e-3  # of the likelihood: a climb ends when a step gains less
EVIDENCE = 6.0  # by which the criterion must prefer bad stars: strong, for there were several tries
FEWEST_GOOD = 0.5  # of the stars belong to the first part, or it is not the good one
SUSPICIOUS = 1.7  # standard errors by which the residuals differ from a normal distribution's
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Mixture:
    """What was found. ``good`` is each point's probability to belong to the first part."""

    theta: Array  # (p,)
    covariance: Array  # (p, p), of theta
    scatter: float  # s, beyond the points' own errors
    good: Array  # (n,)
    parts: int
    shift: float  # of the second part, 0 without one
    share: float  # of the first part
    criterion: float  # Bayesian information criterion: smaller is better


@dataclass
class _Parts:
    """Parameters on their way up."""

    theta: Array
    s2: float
    weights: Array
    shift: float = 0.0
    width2: float = 0.0
    wide2: float = 1.0
    criterion: float = np.inf


def fit(y: Array, errors: Array, design: Array) -> Mixture:
    """Fits ``y`` (n,) with ``errors`` (n,) by ``design`` (n, p), n > p.

    Raises:
        numpy.linalg.LinAlgError: the design does not determine its parameters.
    """
    sigma2 = errors**2
    start = _robust(y, sigma2, design)
    one = _single(y, sigma2, design, start)
    if _is_normal(y, sigma2, design, one):
        return _conclude(y, sigma2, design, one)
    tries = [_climb(y, sigma2, design, g, TRIED) for g in _guesses(y, sigma2, design, start)]
    best, limit = one, one.criterion - EVIDENCE
    tries.sort(key=lambda at: at.criterion)
    for found in tries[:2]:
        if found.criterion > tries[0].criterion + HOPELESS:
            continue
        found = _climb(y, sigma2, design, found, STEPS)
        if found.weights[0] >= FEWEST_GOOD and found.criterion < limit:
            best, limit = found, found.criterion
    return _conclude(y, sigma2, design, best)


def _robust(y: Array, sigma2: Array, design: Array) -> _Parts:
    """A beginning that few bad points can't move far: least squares with Huber's weights."""
    theta = np.zeros(design.shape[1])
    theta[0] = _median(y)
    noise = _median(sigma2)
    for _ in range(ROUNDS):
        e = y - design @ theta
        s2 = max(_spread(e) ** 2 - noise, 0.0)
        v = sigma2 + s2
        weights = np.minimum(1.0, 1.3 * np.sqrt(v) / np.maximum(np.abs(e), 1e-12)) / v
        before, theta = theta[0], _solve(design, y, weights)
        if abs(theta[0] - before) < 0.02 * np.sqrt(s2 + noise):
            break
    s2 = max(_spread(y - design @ theta) ** 2 - noise, 1e-8)
    return _Parts(theta, s2, np.array([1.0, 0.0, 0.0]))


def _single(y: Array, sigma2: Array, design: Array, at: _Parts) -> _Parts:
    """The most likely line if all points are good: least squares, and Fisher's scoring of s."""
    n, p = design.shape
    s2 = at.s2
    for _ in range(ROUNDS):
        v = sigma2 + s2
        theta = _solve(design, y, 1 / v)
        e2 = (y - design @ theta) ** 2
        before, s2 = s2, _scored(e2, sigma2, 1 / v**2, p, n)
        if abs(s2 - before) < 0.002 * (s2 + 1e-10):
            break
    v = sigma2 + s2
    theta = _solve(design, y, 1 / v)
    e = y - design @ theta
    likelihood = -0.5 * float((np.log(v) + e * e / v).sum() + n * _LOG_2PI)
    one = _Parts(theta, s2, np.array([1.0, 0.0, 0.0]))
    one.criterion = float((p + 1) * np.log(n) - 2 * likelihood)
    return one


def _scored(e2: Array, sigma2: Array, q: Array, p: int, good: float) -> float:
    """The variance that residuals have beyond their errors, for the freedom that p parameters took.

    ``q`` are weights: of each point, over the square of its variance."""
    total = q.sum()
    noise = float(q @ sigma2 / total)
    s2 = float(q @ e2 / total) - noise
    return max(s2 + (s2 + noise) * p / max(good - p, 1.0), 1e-10)


def _median(values: Array) -> float:
    """As numpy's, of which most is care for axes and NaN."""
    n = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, n)[n])
    pair = np.partition(values, (n - 1, n))
    return float(0.5 * (pair[n - 1] + pair[n]))


def _spread(e: Array) -> float:
    return 1.4826 * _median(np.abs(e - _median(e)))


def _solve(design: Array, y: Array, weights: Array) -> Array:
    weighted = design.T * weights
    return np.asarray(np.linalg.solve(weighted @ design, weighted @ y))


def _is_normal(y: Array, sigma2: Array, design: Array, one: "_Parts") -> bool:
    """Whether one part's residuals look as they should: skewness, kurtosis, the largest, and
    whether their spread is that of their middle half."""
    z = (y - design @ one.theta) / np.sqrt(sigma2 + one.s2)
    n = len(z)
    skewness, kurtosis = float((z**3).mean()), float((z**4).mean()) - 3.0
    return bool(
        abs(skewness) < SUSPICIOUS * np.sqrt(6.0 / n)
        and kurtosis < SUSPICIOUS * np.sqrt(24.0 / n)
        and float(np.abs(z).max()) < 3.0 + 0.25 * np.log10(n)
        and abs(_spread(z) - 1.0) < SUSPICIOUS * 1.2 / np.sqrt(n)
    )


def _guesses(y: Array, sigma2: Array, design: Array, start: _Parts) -> list[_Parts]:
    """Beginnings with two and three parts: far ones, and blends to the side of the longer tail."""
    e = y - design @ start.theta
    spread = _spread(e)
    core2 = max((0.4 * spread) ** 2 - float(np.median(sigma2)), 1e-6)
    wide2 = max(float(np.var(e)), (3 * spread) ** 2)
    made = [_Parts(start.theta, start.s2, np.array([0.8, 0.0, 0.2]), wide2=wide2)]
    side = 1.0 if _median(e) < float(e[np.abs(e) < 4 * spread].mean()) else -1.0
    theta = start.theta.copy()
    theta[0] -= side * 0.5 * spread
    shift, width2 = side * 1.5 * spread, (0.7 * spread) ** 2
    made.append(_Parts(theta, core2, np.array([0.7, 0.3, 0.0]), shift, width2))
    made.append(_Parts(theta, core2, np.array([0.65, 0.25, 0.1]), shift, width2, wide2))
    return made


def _densities(
    y: Array, sigma2: Array, design: Array, at: _Parts
) -> tuple[Array, Array, Array, Array]:
    """Residuals (3, n), variances (3, n), responsibilities (3, n) and the log-likelihoods (n,)."""
    e0 = y - design @ at.theta
    v0 = sigma2 + at.s2
    e, v = np.empty((3, len(y))), np.empty((3, len(y)))
    e[0], e[1], e[2] = e0, e0 - at.shift, e0
    v[0], v[1], v[2] = v0, v0 + at.width2, v0 + at.wide2
    parts = np.flatnonzero(at.weights)
    log = np.log(at.weights[parts])[:, None] - 0.5 * (np.log(v[parts]) + e[parts] ** 2 / v[parts])
    top = log.max(axis=0)
    density = np.exp(log - top)
    total = density.sum(axis=0)
    r = np.zeros((3, len(y)))
    r[parts] = density / total
    return e, v, r, top + np.log(total) - 0.5 * _LOG_2PI


def _climb(y: Array, sigma2: Array, design: Array, at: _Parts, steps: int) -> _Parts:
    """Up towards the nearest maximum of the likelihood."""
    before = -np.inf
    for _ in range(steps):
        _, v, r, logs = _densities(y, sigma2, design, at)
        likelihood = float(logs.sum())
        if likelihood - before < ENOUGH:
            break
        before = likelihood
        at = _step(y, sigma2, design, at, v, r)
    free = design.shape[1] + 1 + 3 * (at.weights[1] > 0) + 2 * (at.weights[2] > 0)
    at.criterion = float(free * np.log(len(y)) - 2 * likelihood)
    return at


def _step(y: Array, sigma2: Array, design: Array, at: _Parts, v: Array, r: Array) -> _Parts:
    w = r / v
    weights = w.sum(axis=0)
    theta = _solve(design, (weights * y - w[1] * at.shift) / weights, weights)
    e0 = y - design @ theta
    # Fisher's scoring of each variance, given the responsibilities.
    e2 = e0 * e0
    s2 = _scored(e2, sigma2, r[0] / v[0] ** 2, design.shape[1], float(r[0].sum()))
    shift, width2, wide2 = at.shift, at.width2, at.wide2
    if at.weights[1] > 0:
        shift = float((w[1] * e0).sum() / w[1].sum())
        q = r[1] / v[1] ** 2
        width2 = float((q * ((e0 - shift) ** 2 - sigma2 - s2)).sum() / q.sum())
        width2 = max(width2, 0.25 * s2, 1e-6)
    if at.weights[2] > 0:
        q = r[2] / v[2] ** 2
        wide2 = max(float((q * (e2 - sigma2 - s2)).sum() / q.sum()), 9 * s2, 1e-4)
    return _Parts(theta, s2, r.mean(axis=1), shift, width2, wide2)


def _conclude(y: Array, sigma2: Array, design: Array, at: _Parts) -> Mixture:
    e, v, r, _ = _densities(y, sigma2, design, at)
    # Of theta and the second part's shift: information, and the scores' own spread (a sandwich).
    slopes = r * e / v
    has_shift = at.weights[1] > 0
    full = np.column_stack((design, np.zeros(len(y)))) if has_shift else design
    p = design.shape[1]
    score = full * slopes.sum(axis=0)[:, None]
    curve = (r / v - r * (e / v) ** 2).sum(axis=0) + slopes.sum(axis=0) ** 2
    information = (full.T * curve) @ full
    if has_shift:
        score[:, p] = slopes[1]
        information[p, p] = float((r[1] / v[1] - r[1] * (e[1] / v[1]) ** 2 + slopes[1] ** 2).sum())
        cross = r[1] / v[1] - r[1] * (e[1] / v[1]) ** 2 + slopes.sum(axis=0) * slopes[1]
        information[:p, p] = information[p, :p] = design.T @ cross
    expected = (design.T * (r[0] / v[0])) @ design
    n = len(y)
    try:
        inverse = np.linalg.inv(information)
        covariance = (inverse @ (score.T @ score) @ inverse)[:p, :p] * (n / max(n - p, 1))
    except np.linalg.LinAlgError:
        covariance = np.linalg.inv(expected)
    if at.weights[0] > 0.999 or np.any(np.diag(covariance) <= 0):
        covariance = np.linalg.inv(expected)
    return Mixture(
        at.theta, covariance, float(np.sqrt(at.s2)), r[0],
        int((at.weights > 0).sum()), at.shift if has_shift else 0.0, float(at.weights[0]),
        at.criterion,
    )  # fmt: skip
