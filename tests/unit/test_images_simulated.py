"""Zero points of simulated frames, against the truth that they were made with.

The star profiles and pixels are made by nightferry/testing/sky.py, of which the photometry uses
nothing.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.imaging_sky import calibrated, shoot

Array = NDArray[np.float64]


def figures(seeds: range, **how: float) -> tuple[Array, Array, Array]:
    """Errors of the zero points, and pulls of them and of the colour terms."""
    errors, pulls, colours = [], [], []
    for seed in seeds:
        shot = shoot(seed, stars=80 + 30 * (seed % 6), **how)  # type: ignore[arg-type]
        row = calibrated(shot.content, shot.sky).columns
        assert row["state"] == "good", (seed, row["reason"], row["advice"])
        errors.append(row["zero_point"] - shot.zero_point)
        pulls.append(errors[-1] / row["fit_error"])
        colours.append((row["colour_term"] - shot.colour_term) / row["colour_term_error"])
    return np.array(errors), np.array(pulls), np.array(colours)


@pytest.mark.slow
def test_a_few_frames_have_the_zero_points_that_they_were_made_with() -> None:
    errors, pulls, colours = figures(range(8))
    assert abs(errors.mean()) < 0.003
    assert np.abs(pulls).max() < 4
    assert np.abs(colours).max() < 4


@pytest.mark.whole
def test_four_hundred_frames_have_the_zero_points_and_errors_that_they_say() -> None:
    errors, pulls, colours = figures(range(400))
    assert abs(errors.mean()) < 0.003
    assert abs(np.median(errors)) < 0.003
    for p in (pulls, colours):
        assert abs(p.mean()) < 0.15
        assert 0.9 < p.std() < 1.1


@pytest.mark.slow
def test_even_clouds_make_a_fainter_zero_point_and_uneven_ones_are_flagged() -> None:
    even = shoot(3, dim=1.5)
    row = calibrated(even.content, even.sky).columns
    assert row["state"] == "good"
    assert row["zero_point"] == pytest.approx(even.zero_point - 1.5, abs=0.01)
    uneven = shoot(3, stars=260, clouds=0.5)
    row = calibrated(uneven.content, uneven.sky).columns
    assert row["state"] == "good"
    assert any("varies over the field" in flag for flag in row["flags"])


@pytest.mark.slow
def test_a_crowded_frame_says_how_many_of_its_stars_are_blended() -> None:
    crowded = shoot(4, stars=4000, apart_by=0.0)
    row = calibrated(crowded.content, crowded.sky).columns
    assert row["state"] == "good"
    # No star stands alone, and so its light beyond the aperture is not known: that is said.
    assert any("no curve of growth" in flag for flag in row["flags"])
    assert abs(row["zero_point"] - crowded.zero_point) < 0.2
    assert row["detail"]["not used"]["blended in the frame"] > 300
