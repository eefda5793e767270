"""The parts of a mixture about a line, and the way up to its greatest likelihood.

Steps of expectation and maximisation creep along a valley where parts overlap: two of them say how
far it goes on, and that leap is taken where it gains (SQUAREM: Varadhan & Roland 2008, Scand. J.
Statist. 35, 335). With some hundred stars the time goes into numpy's calls, so a step has few.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAP = 10.0  # steps of a leap at most
ENOUGH = 3e-3  # of the likelihood: a climb ends when a step gains less
LOG_2PI = float(np.log(2 * np.pi))
_TINY = 1e-300
_SINGULAR = 1e-12  # of the diagonal's product


@dataclass
class Points:
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
        return solved(normal[: self.p, : self.p], normal[: self.p, self.p])

    def residuals(self, theta: Array) -> Array:
        return np.asarray(self.y - self.design @ theta)


@dataclass
class Line:
    """A line with its parts; of one part alone there are no others."""

    theta: Array
    s2: float
    weights: Array  # (parts,)
    shifts: Array  # (parts,), of which the second is free if there is one to a side
    extra: Array  # (parts,) variance beyond the first part's
    criterion: float = np.inf
    one_sided: bool = False
    residuals: Array | None = None  # from it, where they are known already


def densities(points: Points, at: Line) -> tuple[Array, Array, Array, float]:
    """Of each part and point: residuals, variances and responsibilities; and the log-likelihood."""
    e = points.residuals(at.theta) if at.residuals is None else at.residuals
    e = e - at.shifts[:, None]
    v = points.sigma2 + (at.s2 + at.extra)[:, None]
    r = e * e
    r /= v
    r *= -0.5
    np.exp(r, out=r)
    r *= at.weights[:, None]
    r /= np.sqrt(v)
    total = np.add.reduce(r, 0) + _TINY
    r /= total
    return e, v, r, float(np.add.reduce(np.log(total))) - 0.5 * points.n * LOG_2PI


def climb(points: Points, at: Line, most: int) -> Line:
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


def _leap(at: Line, first: Line, second: Line, width: float) -> Line | None:
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
    return Line(x[:p] * width, float(variances[0]), weights / weights.sum(), shifts, extra,
                one_sided=at.one_sided)  # fmt: skip


def _vector(at: Line, width: float) -> Array:
    variances = at.extra.copy()
    variances[0] = at.s2
    return np.concatenate(
        (at.theta / width, at.shifts[1:2] / width, np.log(variances), 3 * at.weights)
    )


def _step(points: Points, at: Line) -> tuple[Line, float]:
    """One step of expectation and maximisation, and the likelihood where it began."""
    p = points.p
    _, v, r, likelihood = densities(points, at)
    counts = np.add.reduce(r, 1)
    r /= v
    normal = (points.columns * np.add.reduce(r, 0)) @ points.columns.T
    right = normal[:p, p]
    if at.one_sided:
        right = right - at.shifts[1] * (points.columns[:p] @ r[1])
    theta = solved(normal[:p, :p], right)
    e = points.residuals(theta)
    shifts = at.shifts
    if at.one_sided:
        shifts = shifts.copy()
        shifts[1] = (r[1] @ e) / np.add.reduce(r[1])
    # Fisher's scoring of each variance, given the responsibilities.
    r /= v
    off = e - shifts[:, None]
    off *= off
    off *= r
    sums = zip(np.add.reduce(off, 1).tolist(), (r @ points.noise).tolist(), strict=True)
    scored = [(square / each, noise / each) for square, (each, noise) in sums]
    s2 = freed(*scored[0], p, float(counts[0]))
    beyond = [mean2 - noise - s2 for mean2, noise in scored]
    least = max(9 * s2, 1e-4)
    extra = [0.0, *(max(b, least) for b in beyond[1:])]
    if at.one_sided:
        extra[1] = max(beyond[1], 0.25 * s2, 1e-6)
    weights = counts / points.n
    step = Line(theta, s2, weights, shifts, np.array(extra), np.inf, at.one_sided, e)
    return step, likelihood


def solved(normal: Array, right: Array) -> Array:
    """The normal equations; of two unknowns, as most are, without the way through LAPACK."""
    if len(right) != 2:
        return np.asarray(np.linalg.solve(normal, right))
    (a, b), (_, c) = normal.tolist()
    f, g = right.tolist()
    determinant = a * c - b * b
    if not determinant > _SINGULAR * a * c:
        raise np.linalg.LinAlgError("the design does not determine its parameters")
    return np.array(((c * f - b * g) / determinant, (a * g - b * f) / determinant))


def freed(mean2: float, noise: float, p: int, good: float) -> float:
    s2 = mean2 - noise
    return max(s2 + (s2 + noise) * p / max(good - p, 1.0), 1e-10)
