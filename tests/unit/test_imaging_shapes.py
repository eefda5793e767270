"""The shapes of stars: made elongated, they are measured so."""

import numpy as np
import pytest
from nightferry.imaging import stars
from nightferry.testing.sky import Camera, Moffat

from tests.unit.imaging_sky import calibrated, shoot
from tests.unit.test_imaging_stars import frame_of, grid, paired, taken


@pytest.mark.parametrize("made", [0.0, 0.1, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0])
def test_elongated_stars_have_the_ellipticity_and_direction_that_they_were_made_with(
    made: float, angle: float
) -> None:
    """Of 6.5 pixels: where pixels are coarse they make stars rounder."""
    rng = np.random.default_rng(41)
    x, y = grid(rng)
    flux = 10 ** rng.uniform(4.5, 5.4, len(x))
    image, camera = taken(Moffat(6.5, 4.5, 1 - made, angle), flux, x, y, rng)
    seen = stars.find(frame_of(image, camera))
    i, j = paired(seen, x, y)
    assert len(i) == len(x)
    found = seen.stars.ellipticity[j]
    assert np.median(found) == pytest.approx(made, abs=0.03)
    assert np.percentile(np.abs(found - made), 90) < 0.05
    if made:
        turned = np.mod(seen.stars.angle[j] - angle + 90.0, 180.0) - 90.0
        assert abs(np.median(turned)) < 2.0
        assert np.percentile(np.abs(turned), 90) < 1.5 / made


def test_the_ellipticity_of_a_frame_is_stored_with_it() -> None:
    for made in (0.0, 0.25):
        camera = Camera(psf=Moffat(5.5, 3.5, 1 - made, 60.0), sky=150.0, overscan=32)
        shot = shoot(42, camera=camera)
        row = calibrated(shot.content, shot.sky).columns
        assert row["state"] == "good", row["advice"]
        assert row["detail"]["ellipticity"] == pytest.approx(made, abs=0.03)
