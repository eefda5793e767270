"""The zero point of simulated exposures, against the truth that they were made with."""

import numpy as np
import pytest
from nightferry.photometry import transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.measured import NotCalibrated
from nightferry.photometry.mixture import fit
from nightferry.photometry.result import Calibration, Request
from nightferry.photometry.zeropoint import ColourTerm, zero_point
from numpy.typing import NDArray

from tests.unit.photometry_sky import Truth, catalogue, keep, observe

EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]
Array = NDArray[np.float64]


def calibrated(seed: int, stars: int, fault: str = "") -> tuple[Calibration, Truth]:
    rng = np.random.default_rng(seed)
    sky = catalogue(rng, stars)
    exposure, truth = observe(rng, sky, fault=fault)
    done = calibrate(exposure, {"gaia-dr2": sky}, Request(transformations=EVANS))
    assert done.is_good, done.advice
    return done, truth


def figures(frames: int, fault: str = "") -> tuple[Array, Array, Array]:
    """Errors of the zero point, and pulls of it and the colour term, of so many exposures."""
    errors, pulls, colour_pulls = [], [], []
    for seed in range(frames):
        done, truth = calibrated(seed, 60 + 20 * (seed % 6), fault)
        assert done.fit is not None
        errors.append(done.fit.value - truth.zero_point)
        pulls.append(errors[-1] / done.fit.fit_error)
        off = done.fit.colour_term - truth.colour_term
        colour_pulls.append(off / done.fit.colour_term_error)
    return np.array(errors), np.array(pulls), np.array(colour_pulls)


@pytest.mark.slow
def test_four_hundred_exposures_have_the_zero_points_and_errors_that_they_say() -> None:
    errors, pulls, colour_pulls = figures(400)
    assert abs(errors.mean()) < 0.003
    for p in (pulls, colour_pulls):
        assert abs(p.mean()) < 0.15
        assert 0.9 < p.std() < 1.1


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "most"), [("two-sided", 0.003), ("blends", 0.005)])
def test_a_third_of_bad_stars_moves_the_zero_points_by_little(fault: str, most: float) -> None:
    errors, _, _ = figures(200, fault)
    assert abs(errors.mean()) < most
    assert abs(np.median(errors)) < most


def test_short_lists_are_as_uncertain_as_they_say() -> None:
    """Of 8 to 20 stars, whose scatter is hardly known: a likeliest scatter of none would make the
    errors too small."""
    rng = np.random.default_rng(3)
    pulls = []
    for i in range(600):
        n = 8 + i % 13
        colour = rng.normal(1, 0.3, n)
        errors = np.hypot(0.003, 0.02 * 10 ** (0.4 * (1 - rng.exponential(1.6, n).clip(0, 6))))
        y = rng.normal(0, np.hypot(errors, 0.015))
        found = zero_point(y, errors, colour, colour_reference=1.0)
        pulls.append((found.value / found.fit_error, found.colour_term / found.colour_term_error))
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.15
    assert np.all(np.std(pulls, axis=0) > 0.9)
    assert np.all(np.std(pulls, axis=0) < 1.1)


def test_a_few_exposures_have_the_zero_points_that_they_were_made_with() -> None:
    errors, pulls, _ = figures(24)
    assert abs(errors.mean()) < 0.003
    assert np.abs(pulls).max() < 4


@pytest.mark.parametrize(("fault", "most"), [("two-sided", 0.003), ("blends", 0.005)])
def test_bad_stars_are_found_and_move_nothing(fault: str, most: float) -> None:
    # Of 16 exposures the mean itself is known to a fourth of their scatter, and may be two of those
    # off by chance. The bound alone is held by 200, above.
    errors, _, _ = figures(16, fault)
    by_chance = errors.std() / np.sqrt(len(errors))
    assert abs(errors.mean()) < most + 2 * by_chance
    assert by_chance < most
    done, truth = calibrated(3, 160, fault)
    assert done.fit is not None
    assert any("outliers" in flag for flag in done.flags)
    called_bad = done.status == "outlier"
    assert truth.outlying[called_bad].mean() > 0.8


def test_a_clipped_fit_would_be_biased_by_the_blends() -> None:
    rng = np.random.default_rng(11)
    clipped, mixed = [], []
    for _ in range(40):
        n = 150
        y = rng.normal(0, 0.02, n) + (rng.random(n) < 0.3) * rng.uniform(0, 0.2, n)
        good = np.ones(n, bool)
        for _ in range(5):
            good = np.abs(y - y[good].mean()) < 3 * y[good].std()
        clipped.append(y[good].mean())
        mixed.append(fit(y, np.full(n, 0.01), np.ones((n, 1))).theta[0])
    assert np.mean(clipped) > 0.02
    assert abs(np.mean(mixed)) < 0.005


def test_the_error_never_falls_below_the_transformations_own() -> None:
    done, _ = calibrated(1, 400)
    assert done.fit is not None
    assert done.fit.fit_error < 0.005
    assert done.fit.error == pytest.approx(np.hypot(done.fit.fit_error, 0.04840))


def test_below_six_stars_the_colour_term_is_the_instruments_and_the_result_says_so() -> None:
    rng = np.random.default_rng(2)
    colour = np.array([0.6, 0.8, 1.0, 1.3, 1.5])
    y = 25.0 + 0.1 * (colour - 1.0) + rng.normal(0, 0.003, 5)
    known = ColourTerm(0.1, 0.01)
    found = zero_point(y, np.full(5, 0.003), colour, colour_reference=1.0, known_term=known)
    assert found.colour_term == 0.1
    assert found.colour_term_error == pytest.approx(0.01)
    assert abs(found.value - 25.0) < 0.01
    assert any("instrument's file" in flag for flag in found.flags)
    without = zero_point(y, np.full(5, 0.003), colour, colour_reference=1.0)
    assert any("none" in flag for flag in without.flags)


def test_below_five_stars_there_is_none_unless_somebody_asks() -> None:
    rng = np.random.default_rng(4)
    sky = catalogue(rng, 200)
    whole, truth = observe(rng, sky)
    few = keep(whole, np.arange(200) < 4)
    refused = calibrate(few, {"gaia-dr2": sky}, Request(transformations=EVANS))
    assert refused.reason == "too few stars"
    asked = calibrate(few, {"gaia-dr2": sky}, Request(transformations=EVANS, min_stars=3))
    assert asked.fit is not None
    assert abs(asked.fit.value - truth.zero_point) < 0.15
    one = keep(whole, np.arange(200) < 3)  # fewer than three matches are no agreement
    alone = calibrate(one, {"gaia-dr2": sky}, Request(transformations=EVANS, min_stars=1))
    assert alone.fit is not None
    with pytest.raises(NotCalibrated, match="no usable star") as none:
        zero_point(np.empty(0), np.empty(0), np.empty(0), fewest=1)
    assert "--min-stars" not in str(none.value)


def test_a_zero_point_that_varies_over_the_field_is_found_where_the_stars_allow() -> None:
    rng = np.random.default_rng(5)
    n = 300
    x, y = rng.uniform(-1, 1, (2, n))
    colour = rng.normal(1, 0.3, n)
    level = 25 + 0.05 * (colour - 1)
    noise = rng.normal(0, 0.01, n)
    errors = np.full(n, 0.01)
    flat = zero_point(level + noise, errors, colour, x=x, y=y, colour_reference=1.0)
    assert flat.order == 0
    tilted = zero_point(level + 0.04 * x + noise, errors, colour, x=x, y=y, colour_reference=1.0)
    assert tilted.order == 1
    assert tilted.field == pytest.approx([0.04, 0.0], abs=0.004)
    few = slice(0, 20)
    of_few = zero_point(
        (level + 0.04 * x + noise)[few], errors[few], colour[few], x=x[few], y=y[few]
    )
    assert of_few.order == 0


def test_at_colour_zero_is_the_same_line() -> None:
    done, _ = calibrated(7, 100)
    assert done.fit is not None
    slope = done.fit.colour_term * done.fit.colour_reference
    assert done.fit.at_colour_0 == pytest.approx(done.fit.value - slope)
