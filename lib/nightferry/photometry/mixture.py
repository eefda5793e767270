"""A line through points of which some belong elsewhere: a mixture of good and outlying stars.

    y = A theta + e,  e ~ w0 N(0, v) + w1 N(shift, width2 + v) + w2 N(0, wide2 + v), v = s2 + sigma2

The first part is the good stars, with an intrinsic scatter s beside each star's own error. The
second is what a one-sided fault shifts (blends are brighter), the third whatever is far off. All is
found at once by expectation and maximisation; which parts there are, by the Bayesian information
criterion. Clipping instead would keep the blends within 3 sigma and be biased by them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry.climb import LOG_2PI, Line, Points, climb, densities, freed

Array = NDArray[np.float64]

STEPS = 60  # of one climb at most
LOOK = 2  # of each climb before the best is gone on with
ROUNDS = 12  # of least squares at most
EVIDENCE = 6.0  # by which the criterion must prefer bad stars: strong, for there were several tries
FEWEST_GOOD = 0.5  # of the stars belong to the first part, or it is not the good one
SUSPICIOUS = 1.7  # standard errors by which the residuals differ from a normal distribution's
FEW = 40  # stars: with fewer the scatter is too uncertain to be taken as known
SCATTERS = 60  # that are weighed then
FAR = 4.5  # standard errors from every part: a star that none explains


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


def fit(y: Array, errors: Array, design: Array) -> Mixture:
    """Fits ``y`` (n,) with ``errors`` (n,) by ``design`` (n, p), n > p.

    Raises:
        numpy.linalg.LinAlgError: the design does not determine its parameters.
    """
    points = Points(y, errors**2, design)
    start = _robust(points)
    one = _single(points, start)
    if _is_normal(points, one):
        return _conclude(points, one)
    found = min((climb(points, g, LOOK) for g in _guesses(points, start)), key=_criterion)
    found = climb(points, found, STEPS)
    if (more := _with_the_rest(points, found)) is not None:
        found = min(found, climb(points, more, STEPS), key=_criterion)
    accepted = found.weights[0] >= FEWEST_GOOD and found.criterion < one.criterion - EVIDENCE
    return _conclude(points, found if accepted else one)


def _criterion(at: Line) -> float:
    return at.criterion


def _robust(points: Points) -> Line:
    """A beginning that few bad points can't move far: least squares with Huber's weights."""
    theta = np.zeros(points.p)
    theta[0] = _median(points.y)
    noise = _median(points.sigma2)
    for _ in range(ROUNDS):
        e = points.residuals(theta)
        s2 = max(_spread(e) ** 2 - noise, 0.0)
        v = points.sigma2 + s2
        weights = np.minimum(1.0, 1.3 * np.sqrt(v) / np.maximum(np.abs(e), 1e-12)) / v
        before, theta = theta[0], points.solve(weights)
        if abs(theta[0] - before) < 0.05 * math.sqrt(s2 + noise):
            break
    s2 = max(_spread(points.residuals(theta)) ** 2 - noise, 1e-8)
    return Line(theta, s2, np.ones(1), np.zeros(1), np.zeros(1))


def _single(points: Points, at: Line) -> Line:
    """The most likely line if all points are good: least squares, and Fisher's scoring of s."""
    n, p = points.n, points.p
    s2 = at.s2
    for _ in range(ROUNDS):
        v = points.sigma2 + s2
        theta = points.solve(1 / v)
        e2 = points.residuals(theta) ** 2
        before, s2 = s2, _scored(e2, points.sigma2, 1 / v**2, p, n)
        if abs(s2 - before) < 0.002 * (s2 + 1e-10):
            break
    v = points.sigma2 + s2
    theta = points.solve(1 / v)
    e = points.residuals(theta)
    likelihood = -0.5 * float((np.log(v) + e * e / v).sum() + n * LOG_2PI)
    criterion = float((p + 1) * np.log(n) - 2 * likelihood)
    return Line(theta, s2, np.ones(1), np.zeros(1), np.zeros(1), criterion)


def _scored(e2: Array, sigma2: Array, q: Array, p: int, good: float) -> float:
    """The variance that residuals have beyond their errors, for the freedom that p parameters took.

    ``q`` are weights: of each point, over the square of its variance."""
    total = q.sum()
    return freed(float(q @ e2 / total), float(q @ sigma2 / total), p, good)


def _median(values: Array) -> float:
    """As numpy's, of which most is care for axes and NaN."""
    n = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, n)[n])
    pair = np.partition(values, (n - 1, n))
    return float(0.5 * (pair[n - 1] + pair[n]))


def _mean(values: Array) -> float:
    return float(np.add.reduce(values)) / len(values)


def _variance(e: Array) -> float:
    off = e - _mean(e)
    return float(off @ off) / len(e)


def _spread(e: Array) -> float:
    return 1.4826 * _median(np.abs(e - _median(e)))


def _is_normal(points: Points, one: Line) -> bool:
    """Whether one part's residuals look as they should: skewness, kurtosis, the largest, and
    whether their spread is that of their middle half."""
    z = points.residuals(one.theta) / np.sqrt(points.sigma2 + one.s2)
    n = len(z)
    z2 = z * z
    skewness, kurtosis = float(z2 @ z) / n, float(z2 @ z2) / n - 3.0
    return bool(
        abs(skewness) < SUSPICIOUS * np.sqrt(6.0 / n)
        and kurtosis < SUSPICIOUS * np.sqrt(24.0 / n)
        and float(np.sqrt(z2.max())) < 3.0 + 0.25 * np.log10(n)
        and abs(_spread(z) - 1.0) < SUSPICIOUS * 1.2 / np.sqrt(n)
    )


def _guesses(points: Points, start: Line) -> list[Line]:
    """Beginnings with two parts: far ones, or blends to the side of the longer tail."""
    e = points.residuals(start.theta)
    spread = _spread(e)
    wide2 = max(_variance(e), (3 * spread) ** 2)
    far = Line(start.theta, start.s2, np.array([0.8, 0.2]), np.zeros(2), np.array([0.0, wide2]))
    side = 1.0 if _median(e) < _mean(e[np.abs(e) < 4 * spread]) else -1.0
    theta = start.theta.copy()
    theta[0] -= side * 0.4 * spread
    shifts, extra = np.array([0.0, side * 3.0 * spread]), np.array([0.0, (1.2 * spread) ** 2])
    core2 = max((0.4 * spread) ** 2, 1e-6)
    return [far, Line(theta, core2, np.array([0.75, 0.25]), shifts, extra, one_sided=True)]


def _with_the_rest(points: Points, at: Line) -> Line | None:
    """A beginning with all three parts, where stars are left that the two do not explain: some far
    from both, or those far off lying to one side; None where all is explained."""
    e, v, r, _ = densities(points, at)
    if at.one_sided:
        if (e * e / v).min(axis=0).max() < FAR**2:
            return None
        side, width2 = float(at.shifts[1]), float(at.extra[1])
        wide2 = max(_variance(e[0]), 9 * at.s2)
    else:
        balance = float((r[1] * np.sign(e[0])).sum())
        if balance**2 < 2.5**2 * float((r[1] ** 2).sum()):
            return None
        wide2 = float(at.extra[1])
        side = math.copysign(3.0 * _spread(e[0]), balance)
        width2 = (0.4 * side) ** 2
    good, other = at.weights
    return Line(
        at.theta, at.s2, np.array([good, 0.8 * other, 0.2 * other]),
        np.array([0.0, side, 0.0]), np.array([0.0, width2, wide2]), one_sided=True,
    )  # fmt: skip


def _conclude(points: Points, at: Line) -> Mixture:
    theta = at.theta
    e, v, r, _ = densities(points, at)
    if len(at.weights) > 1:
        covariance = _sandwich(points, e, v, r, at.one_sided)
        if points.n < FEW:
            plain = np.linalg.inv((points.design.T * (r[0] / v[0])) @ points.design)
            freedom = max(float(r[0].sum()) - points.p, 3.0)
            plain *= freedom / (freedom - 2)
            covariance = plain if plain[0, 0] > covariance[0, 0] else covariance
    elif points.n < FEW:
        theta, covariance = _over_all_scatters(points)
    else:
        covariance = np.linalg.inv((points.design.T / v[0]) @ points.design)
    return Mixture(
        theta, covariance, math.sqrt(at.s2), r[0], len(at.weights),
        float(at.shifts[1]) if at.one_sided else 0.0, float(at.weights[0]), at.criterion,
    )  # fmt: skip


def _over_all_scatters(points: Points) -> tuple[Array, Array]:
    """The line and its covariance, over all scatters that the stars may have.

    A few stars can agree by chance, or all but the one that was measured best: then the likeliest
    scatter is none, and the errors are told too small. Here each scatter counts by its likelihood
    with the line integrated out, and by a prior that prefers neither end (1 / sqrt(s): the steps of
    s grow with its root).
    """
    p, design = points.p, points.design
    widest = 3 * float(np.ptp(points.y)) + 1e-3
    s = widest * (np.arange(SCATTERS) + 0.5) ** 2 / SCATTERS**2
    v = points.sigma2 + (s * s)[:, None]
    normal = np.einsum("ia,ki,ib->kab", design, 1 / v, design)
    inverse = np.linalg.inv(normal)
    theta = np.einsum("kab,ib,ki->ka", inverse, design, points.y / v)
    e = points.y - theta @ design.T
    log = -0.5 * (np.log(v) + e * e / v).sum(axis=1) - 0.5 * np.linalg.slogdet(normal)[1]
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    mean = weights @ theta
    off = theta - mean
    covariance = np.einsum("k,kab->ab", weights, inverse) + (off.T * weights) @ off
    assert covariance.shape == (p, p)
    return mean, np.asarray(covariance)


def _sandwich(points: Points, e: Array, v: Array, r: Array, one_sided: bool) -> Array:
    """The covariance of theta, beside that of the second part's shift: between two inverses of the
    information the scores' own spread."""
    n, p = points.n, points.p
    design = points.columns[:p]
    slopes = e / v
    bends = r / v - r * slopes * slopes
    slopes *= r
    total = np.add.reduce(slopes, 0)
    scores, information = np.zeros((p + one_sided, n)), np.zeros((p + one_sided, p + one_sided))
    scores[:p] = design * total
    information[:p, :p] = (design * (np.add.reduce(bends, 0) + total * total)) @ design.T
    if one_sided:
        scores[p] = slopes[1]
        information[p, p] = np.add.reduce(bends[1]) + slopes[1] @ slopes[1]
        information[:p, p] = information[p, :p] = design @ (bends[1] + total * slopes[1])
    try:
        inverse = np.linalg.inv(information)
        covariance = (inverse @ (scores @ scores.T) @ inverse)[:p, :p] * (n / max(n - p, 1))
        if covariance.diagonal().min() > 0:
            return np.asarray(covariance)
    except np.linalg.LinAlgError:
        pass
    return np.asarray(np.linalg.inv((design * (r[0] / v[0])) @ design.T))
