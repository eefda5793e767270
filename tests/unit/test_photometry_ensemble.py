"""A night's exposures solved together, against the truth that they were made with."""

import numpy as np
import pytest
from nightferry.photometry.ensemble import Frame, solve
from nightferry.photometry.measured import NotCalibrated
from numpy.typing import NDArray

Array = NDArray[np.float64]
COLOUR = 1.0  # the reference


def night(
    seed: int, frames: int = 40, stars: int = 30, clouds: Array | None = None, term: float = 0.05
) -> tuple[list[Frame], Array]:
    """Exposures of one field with known zero points; star 0 varies by a tenth of a magnitude, and
    only every second star is in the catalogue."""
    rng = np.random.default_rng(seed)
    truth = 25.0 + rng.normal(0, 0.03, frames) - (0 if clouds is None else clouds)
    magnitude, colour = rng.uniform(12, 15, stars), rng.normal(1.0, 0.3, stars)
    error = 0.003 * 10 ** (0.2 * (magnitude - 12))
    ra, dec = 150 + rng.uniform(-0.1, 0.1, stars), 30 + rng.uniform(-0.1, 0.1, stars)
    known = np.arange(stars) % 2 == 1
    held = np.where(known, magnitude + rng.normal(0, 0.01, stars), np.nan)
    made = []
    for i in range(frames):
        light = magnitude - term * (colour - COLOUR) + rng.normal(0, np.hypot(error, 0.002))
        light[0] += 0.1 * np.sin(i)
        made.append(
            Frame(
                ra + rng.normal(0, 0.1 / 3600, stars), dec + rng.normal(0, 0.1 / 3600, stars),
                light - truth[i], error, held, np.full(stars, 0.01),
                np.where(known, colour, np.nan), known,
            )
        )  # fmt: skip
    return made, truth


def test_the_zero_points_of_a_night_are_those_that_it_was_made_with() -> None:
    pulls, off = [], []
    for seed in range(12):
        frames, truth = night(seed)
        found = solve(frames, colour_reference=COLOUR, scatter_of_transformation=0.0)
        beside = (found.frames - found.frames.mean()) - (truth - truth.mean())
        pulls.extend(beside / found.errors)
        off.append((found.fit.value - truth.mean()) / found.fit.fit_error)
        assert len(found.ra) == 30, "each star is one star in all exposures"
        assert found.fit.colour_term == pytest.approx(0.05, abs=0.04)
    assert 0.8 < np.std(pulls) < 1.2
    assert abs(np.mean(off)) < 1.0
    assert np.abs(off).max() < 3.5


def test_a_variable_star_moves_no_exposure_and_is_not_among_those_that_repeat() -> None:
    frames, truth = night(3)
    found = solve(frames, colour_reference=COLOUR, scatter_of_transformation=0.0)
    beside = (found.frames - found.frames.mean()) - (truth - truth.mean())
    phase = np.sin(np.arange(len(truth)))
    assert abs(np.corrcoef(beside, phase)[0, 1]) < 0.5
    assert found.scatter.max() > 0.05
    assert found.repeats[1] < 0.01


def test_clouds_are_followed_and_told() -> None:
    clouds = np.zeros(40)
    clouds[10:15] = [0.2, 0.5, 1.2, 0.6, 0.1]
    frames, truth = night(4, clouds=clouds)
    found = solve(frames, colour_reference=COLOUR, scatter_of_transformation=0.0)
    beside = (found.frames - np.median(found.frames)) - (truth - np.median(truth))
    assert np.abs(beside).max() < 0.01
    assert [f for f in found.flags if f.startswith("clouds: 3 exposures lack more than 0.3 mag")]
    clear, _ = night(4)
    calm = solve(clear, colour_reference=COLOUR, scatter_of_transformation=0.0)
    assert not any("clouds" in f for f in calm.flags)


def test_too_few_exposures_are_refused() -> None:
    frames, _ = night(5, frames=2)
    with pytest.raises(NotCalibrated, match="3 are needed") as refused:
        solve(frames, colour_reference=COLOUR, scatter_of_transformation=0.0)
    assert refused.value.reason == "too few exposures"
