"""A line through points of which some belong elsewhere: a mixture of good and outlying stars.

    y = A theta + e,   e ~ w0 N(0, s2 + sigma2) + w1 N(shift, width2 + s2 + sigma2) + w2 N(0, wide2 + s2 + sigma2)

The first part is the good stars, with an intrinsic scatter s beside each star's own error. The
second is what a one-sided fault shifts (blends are brighter), the third whatever is far off. All is
found at once by expectation and maximisation; which parts there are, by the Bayesian information
criterion. Clipping instead would keep the blends within 3 sigma and be biased by them.

Steps of expectation and maximisation creep along a valley where parts overlap: two of them say how
far it goes on, and that leap is taken where it gains (SQUAREM: Varadhan & Roland 2008, Scand. J.
Statist. 35, 335). With some hundred stars the time goes into numpy's calls, so a step has few.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 60  # of one climb at most
LOOK = 2  # of each climb before the best is gone on with
LEAP = 10.0  # steps of a leap at most
ROUNDS = 12  # of least squares at most
ENOUGH = 1e-3  # of the likelihood: a climb ends when a step gains less
EVIDENCE = 6.0  # by which the criterion must prefer bad stars: strong, for there were several tries
FEWEST_GOOD = 0.5  # of the stars belong to the first part, or it is not the good one
SUSPICIOUS = 1.7  # standard errors by which the residuals differ from a normal distribution's
FAR = 4.5  # standard errors from every part: a star that none explains
_LOG_2PI = float(np.log(2 * np.pi))
_TINY = 1e-300


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
class _Points:
    """What is fitted, and what of it every step needs."""

    y: Array
    sigma2: Array
    design: Array

    def __post_init__(self) -> None:
        self.n, self.p = self.design.shape
        self.columns = np.ascontiguousarray(np.column_stack((self.design, self.y)).T)
        self.noise = np.column_stack((np.ones(self.n), self.sigma2))

    def solve(self, weights: Array) -> Array:
        """Weighted least squares."""
        normal = (self.columns * weights) @ self.columns.T
        return np.asarray(np.linalg.solve(normal[: self.p, : self.p], normal[: self.p, self.p]))

    def residuals(self, theta: Array) -> Array:
        return np.asarray(self.y - self.design @ theta)


@dataclass
class _Fit:
    """A line with its parts; of one part alone there are no others."""

    theta: Array
    s2: float
    weights: Array  # (parts,)
    shifts: Array  # (parts,), of which the second is free if there is one to a side
    extra: Array  # (parts,) variance beyond the first part's
    criterion: float = np.inf
    one_sided: bool = False


def fit(y: Array, errors: Array, design: Array) -> Mixture:
    """Fits ``y`` (n,) with ``errors`` (n,) by ``design`` (n, p), n > p.

    Raises:
        numpy.linalg.LinAlgError: the design does not determine its parameters.
    """
    points = _Points(y, errors**2, design)
    start = _robust(points)
    one = _single(points, start)
    if _is_normal(points, one):
        return _conclude(points, one)
    found = min((_climb(points, g, LOOK) for g in _guesses(points, start)), key=_criterion)
    found = _climb(points, found, STEPS)
    if (more := _with_the_rest(points, found)) is not None:
        found = min(found, _climb(points, more, STEPS), key=_criterion)
    accepted = found.weights[0] >= FEWEST_GOOD and found.criterion < one.criterion - EVIDENCE
    return _conclude(points, found if accepted else one)


def _criterion(at: _Fit) -> float:
    return at.criterion


def _robust(points: _Points) -> _Fit:
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
    return _Fit(theta, s2, np.ones(1), np.zeros(1), np.zeros(1))


def _single(points: _Points, at: _Fit) -> _Fit:
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
    likelihood = -0.5 * float((np.log(v) + e * e / v).sum() + n * _LOG_2PI)
    criterion = float((p + 1) * np.log(n) - 2 * likelihood)
    return _Fit(theta, s2, np.ones(1), np.zeros(1), np.zeros(1), criterion)


def _scored(e2: Array, sigma2: Array, q: Array, p: int, good: float) -> float:
    """The variance that residuals have beyond their errors, for the freedom that p parameters took.

    ``q`` are weights: of each point, over the square of its variance."""
    total = q.sum()
    return _freed(float(q @ e2 / total), float(q @ sigma2 / total), p, good)


def _freed(mean2: float, noise: float, p: int, good: float) -> float:
    s2 = mean2 - noise
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


def _is_normal(points: _Points, one: _Fit) -> bool:
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


def _guesses(points: _Points, start: _Fit) -> list[_Fit]:
    """Beginnings with two parts: far ones, or blends to the side of the longer tail."""
    e = points.residuals(start.theta)
    spread = _spread(e)
    wide2 = max(float(np.var(e)), (3 * spread) ** 2)
    far = _Fit(start.theta, start.s2, np.array([0.8, 0.2]), np.zeros(2), np.array([0.0, wide2]))
    side = 1.0 if _median(e) < float(e[np.abs(e) < 4 * spread].mean()) else -1.0
    theta = start.theta.copy()
    theta[0] -= side * 0.4 * spread
    shifts, extra = np.array([0.0, side * 3.0 * spread]), np.array([0.0, (1.2 * spread) ** 2])
    core2 = max((0.4 * spread) ** 2, 1e-6)
    return [far, _Fit(theta, core2, np.array([0.75, 0.25]), shifts, extra, one_sided=True)]


def _with_the_rest(points: _Points, at: _Fit) -> _Fit | None:
    """A beginning with all three parts, where stars are left that the two do not explain: some far
    from both, or those far off lying to one side; None where all is explained."""
    e, v, r, _ = _densities(points, at)
    if at.one_sided:
        if (e * e / v).min(axis=0).max() < FAR**2:
            return None
        side, width2 = float(at.shifts[1]), float(at.extra[1])
        wide2 = max(float(np.var(e[0])), 9 * at.s2)
    else:
        balance = float((r[1] * np.sign(e[0])).sum())
        if balance**2 < 2.5**2 * float((r[1] ** 2).sum()):
            return None
        wide2 = float(at.extra[1])
        side = math.copysign(3.0 * _spread(e[0]), balance)
        width2 = (0.4 * side) ** 2
    good, other = at.weights
    return _Fit(
        at.theta, at.s2, np.array([good, 0.8 * other, 0.2 * other]),
        np.array([0.0, side, 0.0]), np.array([0.0, width2, wide2]), one_sided=True,
    )  # fmt: skip


def _densities(points: _Points, at: _Fit) -> tuple[Array, Array, Array, float]:
    """Of each part and point: residuals, variances and responsibilities; and the log-likelihood."""
    e = points.residuals(at.theta) - at.shifts[:, None]
    v = (points.sigma2 + at.s2) + at.extra[:, None]
    r = np.exp(-0.5 * e * e / v)
    r *= at.weights[:, None] / np.sqrt(v)
    total = np.add.reduce(r, 0) + _TINY
    r /= total
    return e, v, r, float(np.add.reduce(np.log(total))) - 0.5 * points.n * _LOG_2PI


def _climb(points: _Points, at: _Fit, most: int) -> _Fit:
    """Up towards the nearest maximum of the likelihood, by steps and leaps."""
    width = math.sqrt(at.s2 + float(points.sigma2.mean()))
    first, likelihood = _step(points, at)
    taken = 1
    while taken < most:
        second, better = _step(points, first)
        taken += 1
        if better - likelihood < ENOUGH:
            first, likelihood = second, better
            break
        leapt = _leap(at, first, second, width) if taken < most else None
        at, first, likelihood = first, second, better
        if leapt is not None:
            after, best = _step(points, leapt)
            taken += 1
            if best > better:
                at, first, likelihood = leapt, after, best
    free = points.p + 2 * (len(first.weights) - 1) + 1 + first.one_sided
    first.criterion = float(free * math.log(points.n) - 2 * likelihood)
    return first


def _leap(at: _Fit, first: _Fit, second: _Fit, width: float) -> _Fit | None:
    """Where two steps point to, in units in which all parameters are alike; None if to no line."""
    x0, x1, x2 = (_vector(f, width) for f in (at, first, second))
    step = x1 - x0
    bend = x2 - x1 - step
    length = -min(math.sqrt(float(step @ step) / max(float(bend @ bend), _TINY)), LEAP)
    if length > -1.0:
        return None
    x = x0 - 2 * length * step + length * length * bend
    p, k = len(at.theta), len(at.weights)
    weights = x[-k:]
    if weights.min() <= 0:
        return None
    variances = np.exp(x[p + 1 : p + 1 + k])
    shifts = at.shifts.copy()
    shifts[1] = x[p] * width
    extra = np.concatenate(((0.0,), variances[1:]))
    return _Fit(x[:p] * width, float(variances[0]), weights / weights.sum(), shifts, extra,
                one_sided=at.one_sided)  # fmt: skip


def _vector(at: _Fit, width: float) -> Array:
    variances = at.extra.copy()
    variances[0] = at.s2
    return np.concatenate(
        (at.theta / width, at.shifts[1:2] / width, np.log(variances), 3 * at.weights)
    )


def _step(points: _Points, at: _Fit) -> tuple[_Fit, float]:
    """One step of expectation and maximisation, and the likelihood where it began."""
    p = points.p
    _, v, r, likelihood = _densities(points, at)
    counts = np.add.reduce(r, 1)
    r /= v
    normal = (points.columns * np.add.reduce(r, 0)) @ points.columns.T
    right = normal[:p, p]
    if at.one_sided:
        right = right - at.shifts[1] * (points.columns[:p] @ r[1])
    theta = np.linalg.solve(normal[:p, :p], right)
    e = points.residuals(theta)
    shifts = at.shifts
    if at.one_sided:
        shifts = shifts.copy()
        shifts[1] = (r[1] @ e) / np.add.reduce(r[1])
    # Fisher's scoring of each variance, given the responsibilities.
    r /= v
    noise = r @ points.noise
    off = e - shifts[:, None]
    off *= off
    mean2 = np.einsum("ij,ij->i", r, off) / noise[:, 0]
    beyond = mean2 - noise[:, 1] / noise[:, 0]
    s2 = _freed(float(mean2[0]), float(mean2[0] - beyond[0]), p, float(counts[0]))
    extra = np.maximum(beyond - s2, max(9 * s2, 1e-4))
    extra[0] = 0.0
    if at.one_sided:
        extra[1] = max(float(beyond[1]) - s2, 0.25 * s2, 1e-6)
    weights = counts / points.n
    return _Fit(theta, s2, weights, shifts, extra, one_sided=at.one_sided), likelihood


def _conclude(points: _Points, at: _Fit) -> Mixture:
    design, n, p = points.design, points.n, points.p
    e, v, r, _ = _densities(points, at)
    if at.weights[0] > 0.999:
        covariance = np.linalg.inv((design.T * (r[0] / v[0])) @ design)
    else:
        covariance = _sandwich(design, e, v, r, at.one_sided)
    return Mixture(
        at.theta, covariance, math.sqrt(at.s2), r[0], len(at.weights),
        float(at.shifts[1]) if at.one_sided else 0.0, float(at.weights[0]), at.criterion,
    )  # fmt: skip


def _sandwich(design: Array, e: Array, v: Array, r: Array, one_sided: bool) -> Array:
    """The covariance of theta, beside that of the second part's shift: between two inverses of the
    information the scores' own spread."""
    n, p = design.shape
    slopes = r * e / v
    total = slopes.sum(axis=0)
    full = np.column_stack((design, np.zeros(n))) if one_sided else design
    score = full * total[:, None]
    bends = r / v - r * (e / v) ** 2
    information = (full.T * (bends.sum(axis=0) + total**2)) @ full
    if one_sided:
        score[:, p] = slopes[1]
        information[p, p] = float((bends[1] + slopes[1] ** 2).sum())
        cross = bends[1] + total * slopes[1]
        information[:p, p] = information[p, :p] = design.T @ cross
    try:
        inverse = np.linalg.inv(information)
        covariance = (inverse @ (score.T @ score) @ inverse)[:p, :p] * (n / max(n - p, 1))
        if np.all(np.diag(covariance) > 0):
            return np.asarray(covariance)
    except np.linalg.LinAlgError:
        pass
    return np.asarray(np.linalg.inv((design.T * (r[0] / v[0])) @ design))
