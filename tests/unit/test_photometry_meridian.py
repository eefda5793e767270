"""A field on the meridian of 0h, where 359.9 and 0.1 degrees are neighbours, is like any other."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from nightferry.ensembles import _Exposure, _fields
from nightferry.photometry import transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.ensemble import solve
from nightferry.photometry.result import Request

from tests.unit import test_photometry_ensemble as ensemble
from tests.unit.photometry_sky import RA, InMemory, catalogue, keep, observe

EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]


def test_an_exposure_there_has_the_zero_point_that_it_has_elsewhere() -> None:
    rng = np.random.default_rng(5)
    sky = catalogue(rng, 200)
    seen, truth = observe(rng, sky)
    west, east = (np.flatnonzero(side)[:80] for side in (seen.ra < RA, seen.ra > RA))
    seen = keep(seen, np.isin(np.arange(len(seen)), [*west, *east]))  # as many on either side
    tilted = replace(seen, magnitude=seen.magnitude + 0.3 * (seen.ra - RA))  # a bad flat
    moved = replace(sky.stars, ra=(sky.stars.ra - RA) % 360)
    there = calibrate(
        replace(tilted, ra=(seen.ra - RA) % 360),
        {"gaia-dr2": InMemory(sky.definition, moved)},
        Request(transformations=EVANS),
    )
    here = calibrate(tilted, {"gaia-dr2": sky}, Request(transformations=EVANS))
    assert here.fit is not None
    assert there.fit is not None
    assert there.fit.order == here.fit.order == 1
    assert there.fit.value == pytest.approx(here.fit.value, abs=2e-4)
    assert there.fit.value == pytest.approx(truth.zero_point, abs=0.02)


def test_exposures_there_are_one_field_and_are_solved_together() -> None:
    frames, truth = ensemble.night(2, frames=6)
    frames = [replace(f, ra=(f.ra - 150) % 360) for f in frames]
    found = solve(frames, colour_reference=ensemble.COLOUR, scatter_of_transformation=0.0)
    assert len(found.ra) == 30, "each star is one star in all exposures"
    assert np.std((found.frames - truth) - (found.frames - truth).mean()) < 0.01
    # As many on one side as on the other, and one of them is not in the next.
    ra = np.array([359.96, 359.98, 0.02, 0.04])
    tables = [
        np.rec.fromarrays([some, np.full(len(some), 20.0)], names=["ra", "dec"])
        for some in (ra, ra[1:], ra[:-1], (ra + 180) % 360)
    ]
    exposures = [_Exposure(SimpleNamespace(), None, stars) for stars in tables]
    ra_0, dec_0 = exposures[0].middle
    assert (ra_0 + 180) % 360 == pytest.approx(180)
    assert dec_0 == 20
    assert [len(group) for group in _fields(exposures)] == [3, 1]
