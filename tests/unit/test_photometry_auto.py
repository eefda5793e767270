"""A band that nobody knows: found where the stars tell it, refused where they do not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from nightferry.catalogs import Stars
from nightferry.photometry import transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.result import Calibration, Request
from numpy.typing import NDArray

from tests.unit.photometry_sky import catalogue, evans_r, observe

Array = NDArray[np.float64]
ALL = transformations.load()


def v(stars: Stars) -> Array:
    """V of Gaia DR2 by hand: Evans et al. 2018, table A.2."""
    x = stars.numbers["BP"] - stars.numbers["RP"]
    return np.asarray(stars.numbers["G"] + 0.01760 + 0.006860 * x + 0.1732 * x * x)


def g(stars: Stars) -> Array:
    """SDSS g, likewise."""
    x = stars.numbers["BP"] - stars.numbers["RP"]
    change = 0.13518 - 0.46245 * x - 0.25171 * x * x + 0.021349 * x**3
    return np.asarray(stars.numbers["G"] - change)


def tried(band: Callable[[Stars], Array], stars: int, seed: int, width: float = 0.3) -> Calibration:
    """An exposure through a filter that is nearly the standard one, which the file does not name.
    ``width`` is the scatter of the stars' colours."""
    rng = np.random.default_rng(seed)
    sky = catalogue(rng, stars)
    seen, _ = observe(rng, sky)
    s = sky.stars
    colour = 1.0 + (s.numbers["BP"] - s.numbers["RP"] - 1.0) * width / 0.3
    numbers = {
        **s.numbers,
        "BP": s.numbers["G"] + 0.55 * colour,
        "RP": s.numbers["G"] - 0.45 * colour,
    }
    sky = replace(sky, stars=replace(s, numbers=numbers))
    noise = rng.normal(0, np.hypot(seen.error, 0.015))
    magnitude = band(sky.stars) - 24.0 - 0.02 * (colour - 1.0) + noise
    unnamed = replace(seen, magnitude=magnitude, filter="")
    return calibrate(unnamed, {"gaia-dr2": sky}, Request(band="auto", transformations=ALL))


@pytest.mark.parametrize(("name", "band"), [("V", v), ("R", evans_r), ("g", g)])
def test_the_band_of_an_exposure_is_found_and_it_is_said_how_surely(
    name: str, band: Callable[[Stars], Array]
) -> None:
    for seed in range(3):
        found = tried(band, 300, seed)
        assert (found.reason, found.band) == ("", name)
        assert found.fit is not None
        assert found.fit.value == pytest.approx(24.0, abs=0.01)
        assert found.candidates[name] == max(found.candidates.values()) >= 0.95
        assert sum(found.candidates.values()) == pytest.approx(1.0)
        assert set(found.candidates) == {"V", "R", "I", "g", "r", "i"}
        (said,) = [f for f in found.flags if f.startswith("band found by trying: ")]
        assert f"{name} {100 * found.candidates[name]:.0f} %" in said


def test_two_bands_that_the_stars_do_not_tell_apart_are_refused_by_name() -> None:
    alike = tried(evans_r, 8, 2)
    assert (alike.is_good, alike.reason) == (False, "bands can't be told apart")
    assert "R 50 %, r 49 %" in alike.advice
    # Without colours every band is as good as another.
    grey = tried(v, 100, 1, width=0.002)
    assert grey.reason == "bands can't be told apart"
    assert max(grey.candidates.values()) < 0.95


def test_a_chance_is_a_chance() -> None:
    """Where it says that it is sure, it is right; and of V and of R it is sure often enough."""
    done = [
        (name, tried(band, 40, seed))
        for seed in range(8)
        for name, band in (("V", v), ("R", evans_r))
    ]
    sure = [(name, d.band) for name, d in done if d.is_good]
    assert len(sure) > 8
    assert all(name == band for name, band in sure)
