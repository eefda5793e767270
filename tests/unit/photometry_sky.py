"""A simulated sky of known truth: catalogue stars, and what a telescope measures of them.

It is written from the convention's text alone, and uses nothing of the fit that it tests.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from nightferry.catalogs import Definition, Field, Found, Stars, definitions
from nightferry.catalogs.sky import Coverage
from nightferry.photometry.measured import Exposure
from numpy.typing import NDArray

Array = NDArray[np.float64]
RA, DEC = 150.0, 30.0
MOMENT = datetime(2015, 7, 2, 12, tzinfo=UTC)  # 2015.5: the stars are where the catalogue has them


@dataclass(frozen=True)
class InMemory:
    """A catalogue that is complete everywhere."""

    definition: Definition
    stars: Stars

    def field(self, field: Field) -> Found:
        return Found(self.stars.inside(field), Coverage.whole_sky())


@dataclass(frozen=True)
class Truth:
    """What an exposure was made with."""

    zero_point: float  # of a star of BP-RP = 1
    colour_term: float
    outlying: NDArray[np.bool_]


def catalogue(rng: np.random.Generator, n: int) -> InMemory:
    """``n`` stars as Gaia DR2 has them, over 0.3 degrees."""
    g = 18.0 - rng.exponential(1.6, n).clip(0, 6)
    colour = rng.normal(1.0, 0.3, n).clip(0.2, 2.3)
    e_g, e_bp, e_rp = np.full(n, 0.001), np.full(n, 0.004), np.full(n, 0.003)
    numbers = {name: np.full(n, np.nan) for name in definitions()["gaia-dr2"].columns}
    numbers |= {"G": g, "BP": g + 0.55 * colour, "RP": g - 0.45 * colour}
    numbers |= {"e_G": e_g, "e_BP": e_bp, "e_RP": e_rp, "pmra": np.zeros(n), "pmdec": np.zeros(n)}
    ra, dec = RA + rng.uniform(-0.15, 0.15, n), DEC + rng.uniform(-0.13, 0.13, n)
    stars = Stars(np.arange(n, dtype=np.int64), ra, dec, numbers)
    return InMemory(definitions()["gaia-dr2"], stars)


def evans_r(stars: Stars) -> Array:
    """R of Gaia DR2 by hand: Evans et al. 2018, table A.2."""
    x = stars.numbers["BP"] - stars.numbers["RP"]
    return np.asarray(stars.numbers["G"] + 0.003226 - 0.3833 * x + 0.1345 * x * x)


def observe(
    rng: np.random.Generator, sky: InMemory, *, fault: str = "", share: float = 0.3,
    scatter: float = 0.015,
) -> tuple[Exposure, Truth]:  # fmt: skip
    """An exposure in R, its positions off by an arcsecond; ``fault`` is of a share of its stars:
    'two-sided' (up to 1 mag, either way) or 'blends' (brighter by up to 0.2 mag)."""
    stars = sky.stars
    n = len(stars)
    truth = Truth(rng.uniform(20, 26), rng.normal(0, 0.06), rng.random(n) < (share if fault else 0))
    x = stars.numbers["BP"] - stars.numbers["RP"] - 1.0
    instrumental = evans_r(stars) - truth.zero_point - truth.colour_term * x
    error = np.hypot(0.003, 0.02 * 10 ** (0.4 * (stars.numbers["G"] - 17.0)))
    magnitude = instrumental + rng.normal(0, np.hypot(error, scatter))
    if fault == "two-sided":
        magnitude = magnitude + truth.outlying * rng.uniform(-1, 1, n)
    if fault == "blends":
        magnitude = magnitude - truth.outlying * rng.uniform(0, 0.2, n)
    jitter = rng.normal(0, 0.1 / 3600, (2, n))
    exposure = Exposure(
        stars.ra + jitter[0] + 1.1 / 3600, stars.dec + jitter[1] - 0.7 / 3600, magnitude, error,
        "e-/s", MOMENT, 60.0, "R",
    )  # fmt: skip
    return exposure, truth


def keep(exposure: Exposure, which: NDArray[np.bool_]) -> Exposure:
    """Some of its stars."""
    return replace(
        exposure,
        ra=exposure.ra[which], dec=exposure.dec[which], magnitude=exposure.magnitude[which],
        error=exposure.error[which],
    )  # fmt: skip
