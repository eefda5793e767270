"""Images of which a third of the stars are not as bright as the catalogue has them."""

from dataclasses import replace

import numpy as np
import pytest
from nightferry.testing.sky import Camera, Moffat

from tests.unit.imaging_sky import calibrated, shoot
from tests.unit.photometry_sky import InMemory

CAMERA = Camera(shape=(800, 800), scale=0.6, psf=Moffat(3.4, 3.4), sky=150.0, overscan=32)
FRAMES = 4
SHARE = 0.3


def wrong(known: InMemory, fault: str, seed: int) -> InMemory:
    """The catalogue, less what a fault adds to the light of a third of its stars."""
    rng = np.random.default_rng(seed)
    s, n = known.stars, len(known.stars)
    low, high = (-1.0, 1.0) if fault == "two-sided" else (0.0, 0.2)
    fainter = (rng.random(n) < SHARE) * rng.uniform(low, high, n)
    numbers = {**s.numbers, **{band: s.numbers[band] + fainter for band in ("G", "BP", "RP")}}
    return replace(known, stars=replace(s, numbers=numbers))


@pytest.mark.parametrize(("fault", "most"), [("two-sided", 0.003), ("blends", 0.005)])
def test_a_third_of_bad_stars_moves_the_zero_points_of_images_by_little(
    fault: str, most: float
) -> None:
    errors = []
    for seed in range(FRAMES):
        shot = shoot(80 + seed, stars=330, camera=CAMERA, apart_by=9.0)
        row = calibrated(shot.content, wrong(shot.sky, fault, seed)).columns
        assert row["state"] == "good", row["advice"]
        assert any("outliers" in flag for flag in row["flags"]), row["flags"]
        assert row["detail"]["not used"]["outlier"] > 5
        errors.append(row["zero_point"] - shot.zero_point)
        assert abs(errors[-1]) < 4 * row["fit_error"]
    assert abs(np.mean(errors)) < most, np.round(errors, 4)
