"""The curve of growth: from the light inside a small aperture to the total light of a star.

Bright single stars are measured in rings out to several FWHM. Their light is that of a Moffat
profile, I(r) ~ (1 + r²/alpha²)^-beta (Moffat 1969, A&A 3, 455), of which

    G(r) = 1 - (1 + r²/alpha²)^(1 - beta)

lies within r, and an error of the sky that each star has of its own. Alpha and beta are fitted to
all of them at once. Where the mean of the rings differs from the model, the rings are believed: the
model then gives only what is beyond the outermost of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# FWHM. The core is one ring: what it looks like inside, no profile says to a thousandth.
RINGS = np.array([1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0])
FEWEST = 3  # stars
_MODEL = 0.004  # of a star's light in a ring: what no model says better
_LEAST_ERROR = 0.0002  # relative: simulated frames of known light come out no better
_STEPS = 12
_FAR_OFF = 4.0  # times the usual misfit: no star, or not alone
_BETAS = (1.6, 12.0)


@dataclass(frozen=True)
class Growth:
    """How the light of stars grows with the radius of an aperture."""

    radii: Array  # (k,) pixels
    share: Array  # (k,) of the total light within each
    share_error: Array  # (k,)
    alpha: float  # pixels
    beta: float
    fwhm: float  # pixels
    stars: int
    aperture: float  # pixels: stars are measured in it
    correction: float  # by which their light there is multiplied to be the total
    error: float  # of the correction, relative


def fwhm_of(alpha: float, beta: float) -> float:
    return 2 * alpha * float(np.sqrt(2 ** (1 / beta) - 1))


def model(radii: Array, alpha: float, beta: float) -> Array:
    """The share of the light within each radius, the pixels' own width counted twice: the detector
    gathers over it, and the aperture is cut out of squares. Each time a profile I becomes
    I + (1/24) of its Laplacian, whose integral over a disk is its circumference times I'."""
    q2 = (radii / alpha) ** 2
    pixel = beta * (beta - 1) / (3 * alpha**2) * q2 * (1 + q2) ** (-beta - 1)
    return np.asarray(1 - (1 + q2) ** (1 - beta) - pixel)


def fit(radii: Array, sums: Array, variance: Array, aperture: int) -> Growth | None:
    """The curve of growth from the light ``sums`` (n, k) of n stars within ``radii`` (k,), with its
    ``variance`` (n, k); ``aperture`` is the index of the radius that stars are measured in. None
    where there are too few.
    """
    area = np.diff(np.pi * radii**2, prepend=0.0)
    rings = np.diff(sums, axis=1, prepend=0.0)
    noise = np.diff(variance, axis=1, prepend=0.0)
    good = np.isfinite(rings).all(axis=1) & (sums[:, aperture] > 0)
    rings, noise = rings[good], noise[good]
    if len(rings) < FEWEST:
        return None
    total = sums[good, aperture] * 1.1
    at = np.array([np.log(radii[aperture] / 1.5), np.log(3.0)])
    found = _climb(at, rings, noise, radii, area, total)
    misfit = found.chi2
    usual = float(np.median(misfit))
    alone = misfit <= _FAR_OFF * max(usual, 1.0)
    if alone.sum() >= FEWEST and not alone.all():
        rings, noise, total = rings[alone], noise[alone], found.total[alone]
        found = _climb(found.at, rings, noise, radii, area, total)
    return _conclude(found, rings, noise, radii, area, aperture)


@dataclass(frozen=True)
class _Fit:
    at: Array  # log alpha, log beta
    total: Array  # (n,) light
    sky: Array  # (n,) error of the sky, a square pixel
    weights: Array  # (n, k)
    chi2: Array  # (n,) a degree of freedom
    covariance: Array  # of at


def _rings_of(at: Array, radii: Array) -> Array:
    return np.diff(model(radii, float(np.exp(at[0])), float(np.exp(at[1]))), prepend=0.0)


def _linear(g: Array, rings: Array, weights: Array, area: Array) -> tuple[Array, Array]:
    """Light and sky of each star, by least squares, for given shares ``g`` of the rings."""
    gg, ga, aa = weights @ g**2, weights @ (g * area), weights @ area**2
    gf, af = (weights * rings) @ g, (weights * rings) @ area
    determinant = gg * aa - ga**2
    return (gf * aa - af * ga) / determinant, (af * gg - gf * ga) / determinant


def _climb(at: Array, rings: Array, noise: Array, radii: Array, area: Array, total: Array) -> _Fit:
    """Gauss-Newton on alpha and beta; light and sky are solved for at each step."""
    k = rings.shape[1]
    damping = 1e-2
    g = _rings_of(at, radii)
    weights = 1 / (noise + (_MODEL * g * np.maximum(total, 0)[:, None]) ** 2 + 1e-30)
    cost, residual, total, sky = _cost(at, rings, weights, radii, area)
    normal = np.eye(2)
    for _ in range(_STEPS):
        slopes = []
        for which in range(2):
            step = np.zeros(2)
            step[which] = 1e-4
            other = _cost(at + step, rings, weights, radii, area)[1]
            slopes.append(((other - residual) / 1e-4).ravel())
        jacobian = np.column_stack(slopes)
        normal = jacobian.T @ jacobian
        move = -np.linalg.solve(
            normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(2),
            jacobian.T @ residual.ravel(),
        )
        tried = at + np.clip(move, -0.4, 0.4)
        tried[1] = np.clip(tried[1], np.log(_BETAS[0]), np.log(_BETAS[1]))
        new = _cost(tried, rings, weights, radii, area)
        if new[0] < cost:
            gain = cost - new[0]
            at, (cost, residual, total, sky) = tried, new
            damping /= 5
            if gain < 1e-4 * cost:
                break
        else:
            damping *= 10
    chi2 = (residual**2).sum(axis=1) / max(k - 2, 1)
    excess = max(float(np.median(chi2)), 1.0)
    covariance = np.linalg.pinv(normal + 1e-12 * np.eye(2)) * excess
    return _Fit(at, total, sky, weights, chi2, np.asarray(covariance, np.float64))


def _cost(
    at: Array, rings: Array, weights: Array, radii: Array, area: Array
) -> tuple[float, Array, Array, Array]:
    g = _rings_of(at, radii)
    total, sky = _linear(g, rings, weights, area)
    residual = (rings - total[:, None] * g - sky[:, None] * area) * np.sqrt(weights)
    # A star with a neighbour counts less, as by Huber.
    size = np.sqrt((residual**2).mean(axis=1))
    soft = np.minimum(1.0, 3 * np.median(size) / np.maximum(size, 1e-30))
    return float(((residual * soft[:, None]) ** 2).sum()), residual * soft[:, None], total, sky


def _conclude(
    found: _Fit, rings: Array, noise: Array, radii: Array, area: Array, aperture: int
) -> Growth:
    alpha, beta = float(np.exp(found.at[0])), float(np.exp(found.at[1]))
    g = _rings_of(found.at, radii)
    # What the rings have beyond the model, as a share of the light: the mean over the stars.
    light = np.maximum(found.total, 1e-9)[:, None]
    beyond = (rings - found.sky[:, None] * area) / light - g
    weight = light**2 / np.maximum(noise, 1e-30)
    weight = weight / (1 + weight * _MODEL**2 * np.maximum(g, 0.02) ** 2)
    sum_of = weight.sum(axis=0)
    mean = (weight * beyond).sum(axis=0) / sum_of
    scatter = np.sqrt((weight**2 * (beyond - mean) ** 2).sum(axis=0)) / sum_of
    error = np.maximum(scatter, 1 / np.sqrt(sum_of))
    # Rings are believed as far as they are sure.
    trust = np.clip(mean**2 / np.maximum(error**2, 1e-30) - 1, 0, 4) / 4
    g = g + trust * mean
    outside = float((1 + (radii[-1] / alpha) ** 2) ** (1 - beta))
    whole = float(g.sum()) + outside
    share = np.cumsum(g) / whole
    return Growth(
        radii=radii,
        share=share,
        share_error=np.sqrt(np.cumsum((trust * error) ** 2)) + 0.2 * outside,
        alpha=alpha,
        beta=beta,
        fwhm=fwhm_of(alpha, beta),
        stars=len(rings),
        aperture=float(radii[aperture]),
        correction=1 / float(share[aperture]),
        error=_error(found, radii, aperture, trust * error, share, outside),
    )


def _error(
    found: _Fit, radii: Array, aperture: int, of_rings: Array, share: Array, outside: float
) -> float:
    """Relative, of the share within the aperture: the model's, the rings', and the tail's."""
    slopes = []
    for which in range(2):
        step = np.zeros(2)
        step[which] = 1e-3
        up, down = (
            model(radii[aperture : aperture + 1], *np.exp(found.at + sign * step))[0]
            for sign in (1, -1)
        )
        slopes.append((up - down) / 2e-3)
    slope = np.array(slopes)
    by_model = float(slope @ found.covariance @ slope)
    inside, beyond = of_rings[: aperture + 1], of_rings[aperture + 1 :]
    s = float(share[aperture])
    by_rings = (1 - s) ** 2 * float((inside**2).sum()) + s**2 * float((beyond**2).sum())
    return float(np.sqrt(by_model + by_rings + (0.1 * outside) ** 2 + _LEAST_ERROR**2)) / s
