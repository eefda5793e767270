"""A band that nothing gives, with every transformation that comes with Nightferry: said, and what
to do about it."""

from dataclasses import replace

import numpy as np
import pytest
from nightferry.photometry import transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.result import Calibration, Request

from tests.unit.imaging_sky import calibrated, shoot
from tests.unit.photometry_sky import catalogue, observe

ALL = transformations.load()
OUTSIDE = [("u'", "unknown filter"), ("Y", "unknown filter"), ("Halpha", "unknown filter"),
           ("U", "wrong catalogue"), ("zP1", "wrong catalogue")]  # fmt: skip


def table(filter: str, wanted: Request) -> Calibration:
    rng = np.random.default_rng(71)
    sky = catalogue(rng, 60)
    seen, _ = observe(rng, sky)
    return calibrate(replace(seen, filter=filter), {"gaia-dr2": sky}, wanted)


@pytest.mark.parametrize(("filter", "reason"), OUTSIDE)
def test_a_table_in_a_band_that_nothing_gives_says_what_can_be_done(
    filter: str, reason: str
) -> None:
    done = table(filter, Request(transformations=ALL, catalogs=("gaia-dr2",)))
    assert (done.is_good, done.reason) == (False, reason)
    assert filter in done.advice
    assert "--band" in done.advice or "is had from" in done.advice


@pytest.mark.parametrize(("filter", "reason"), OUTSIDE)
def test_an_image_in_such_a_band_fails_alike_with_its_stars_to_look_at(
    filter: str, reason: str
) -> None:
    shot = shoot(72, stars=40, FILTER=filter)
    result = calibrated(shot.content, shot.sky, bands=ALL)
    row = result.columns
    assert (row["state"], row["reason"]) == ("failed", reason)
    assert filter in row["advice"]
    assert row["measured"] > 10
    assert result.table is not None
