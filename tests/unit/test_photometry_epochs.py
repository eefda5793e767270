"""Stars that move: a catalogue of one epoch calibrates frames of another."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from nightferry.photometry import transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.result import Request

from tests.unit.imaging_sky import calibrated, shoot
from tests.unit.photometry_sky import MOMENT, InMemory, catalogue, observe

EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]
YEARS = 10.0
MOTION = 1000.0  # mas a year, each star its own way: 10 arcsec in all that time


def moving(sky: InMemory, seed: int, years: float) -> InMemory:
    """The same stars in a catalogue whose epoch is ``years`` before 2015.5: where they were then."""
    rng = np.random.default_rng(seed)
    s, n = sky.stars, len(sky.stars)
    pmra, pmdec = rng.normal(0, MOTION, (2, n))
    ra = s.ra - pmra * years / 3.6e6 / np.cos(np.radians(s.dec))
    dec = s.dec - pmdec * years / 3.6e6
    numbers = {**s.numbers, "pmra": pmra, "pmdec": pmdec}
    return InMemory(
        replace(sky.definition, epoch=2015.5 - years),
        replace(s, ra=ra, dec=dec, numbers=numbers),
    )


def test_the_stars_of_a_table_are_looked_for_where_they_were_in_its_year() -> None:
    rng = np.random.default_rng(31)
    sky = catalogue(rng, 120)
    seen, truth = observe(rng, sky)
    for years in (YEARS, -YEARS):
        known = moving(sky, 1, years)
        request = Request(transformations=EVANS)
        done = calibrate(seen, {"gaia-dr2": known}, request)
        assert done.fit is not None, done.advice
        assert done.matched >= 118
        assert done.fit.value == pytest.approx(truth.zero_point, abs=4 * done.fit.fit_error)
        # Ten years later the same places are those of the slowest stars alone.
        late = replace(seen, middle=MOMENT + timedelta(days=365.25 * YEARS))
        assert calibrate(late, {"gaia-dr2": known}, request).matched < 24


@pytest.mark.parametrize("years", [YEARS, -YEARS])
def test_an_image_is_placed_and_calibrated_by_stars_where_they_were_in_its_year(
    years: float,
) -> None:
    shot = shoot(32, stars=120)
    row = calibrated(shot.content, moving(shot.sky, 2, years)).columns
    assert row["state"] == "good", row["advice"]
    assert row["detail"]["wcs"]["how"] == "linear"
    assert row["matched"] > 50
    assert row["zero_point"] == pytest.approx(shot.zero_point, abs=0.01)
