"""The radius of a match is the data's own; and what a zero point is of is stored beside it."""

from dataclasses import replace

import numpy as np
import pytest
from nightferry.photometry import transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.matching import Match, match
from nightferry.photometry.measured import Exposure
from nightferry.photometry.result import Request
from numpy.typing import NDArray

from tests.unit.imaging_sky import calibrated, shoot
from tests.unit.photometry_sky import InMemory, catalogue, observe

Array = NDArray[np.float64]
EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]
OFF = (2.4, 1.8)  # arcsec east and north: 3 arcsec


def scattered(seed: int, stars: int, sigma: float) -> tuple[Exposure, InMemory]:
    """An exposure whose positions are 3 arcsec off, and scatter by ``sigma`` in each coordinate."""
    rng = np.random.default_rng(seed)
    sky = catalogue(rng, stars)
    seen, _ = observe(rng, sky)
    s = sky.stars
    east, north = rng.normal(0, sigma, (2, stars))
    ra = s.ra + (OFF[0] + east) / 3600 / np.cos(np.radians(s.dec))
    return replace(seen, ra=ra, dec=s.dec + (OFF[1] + north) / 3600), sky


def matched(seed: int, stars: int, sigma: float) -> Match:
    seen, sky = scattered(seed, stars, sigma)
    found = match(seen.ra, seen.dec, sky.stars.ra, sky.stars.dec)
    assert found is not None
    return found


@pytest.mark.parametrize("stars", [60, 600, 3000])
@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 1.5])
def test_the_radius_is_three_times_the_scatter_of_the_positions(stars: int, sigma: float) -> None:
    found = [matched(seed, stars, sigma) for seed in range(6)]
    # Of few stars the scatter is known to a tenth or so.
    assert np.mean([f.radius for f in found]) == pytest.approx(3 * sigma, rel=0.12)
    right = [(f.measured == f.catalog).sum() / stars for f in found]
    assert min(right) > 0.9  # some of many lie nearer to another
    east, north = np.mean([f.offset for f in found], axis=0)
    assert (east, north) == pytest.approx((-OFF[0], -OFF[1]), abs=0.12 * sigma + 0.02)


def test_positions_that_agree_better_are_matched_more_tightly() -> None:
    for sigma, radius in ((0.2, 0.6), (1.0, 3.0)):
        seen, sky = scattered(7, 200, sigma)
        done = calibrate(seen, {"gaia-dr2": sky}, Request(transformations=EVANS))
        assert done.radius == pytest.approx(radius, rel=0.2)
        assert done.matched > 190


def test_no_radius_is_finer_than_positions_are_ever_known() -> None:
    assert matched(1, 300, 0.01).radius == pytest.approx(0.3)


def test_what_a_zero_point_is_of_is_stored_with_it() -> None:
    shot = shoot(8)
    row = calibrated(shot.content, shot.sky).columns
    assert row["state"] == "good"
    told = {k: row[k] for k in ("unit", "system", "band", "catalog", "transformation", "colour")}
    assert told == {
        "unit": "e-/s", "system": "Vega", "band": "R", "catalog": "gaia-dr2",
        "transformation": "gaia-dr2-evans", "colour": "BP-RP",
    }  # fmt: skip
    assert row["colour_reference"] == 1.0
    pixels, correction = row["aperture"].split(" pix to total x ")
    fwhm = row["detail"]["fwhm"]
    assert float(pixels) == pytest.approx(1.5 * fwhm, rel=0.05)
    assert 1.0 < float(correction) < 1.5
    assert 0.3 <= row["detail"]["match radius"] < 0.6
