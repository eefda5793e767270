"""MJD and BJD (TDB) of mid-exposure, against published values and astropy's own way to them."""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.table import Table
from astropy.time import Time
from nightferry import calibrating
from nightferry.calibrating import Datum, Source
from nightferry.photometry import transformations
from nightferry.photometry.measured import Reading
from nightferry.photometry.result import Request
from nightferry.photometry.times import bjd_tdb, mjd_utc

from tests.unit.photometry_sky import InMemory, catalogue, observe

DAY = 86400.0
MOMENTS = [
    datetime(2013, 2, 1, 23, 0, tzinfo=UTC),
    datetime(2014, 12, 30, 4, 30, tzinfo=UTC),
    datetime(2026, 7, 4, 3, 0, tzinfo=UTC),
]
STARS = [(350.785625, 18.416472), (135.5865, 49.81926), (0.0, -89.0), (269.0, -23.4)]


def test_mjd_is_days_of_utc_since_the_midnight_of_1858_november_17() -> None:
    begin = datetime(1858, 11, 17, tzinfo=UTC)
    assert mjd_utc(datetime(2000, 1, 1, 12, tzinfo=UTC)) == 51544.5
    # After 27 leap seconds it is UTC still, and no uniform time.
    for moment in (*MOMENTS, datetime(2017, 1, 1, 18, tzinfo=UTC)):
        days = (moment - begin).total_seconds() / DAY
        assert mjd_utc(moment) == pytest.approx(days, abs=1e-9)


def test_the_barycentric_date_is_that_which_is_published_for_ip_pegasi() -> None:
    """astropy's documentation of light travel time: IP Peg from Greenwich, MJD 56325.95833333 UTC,
    -0.0037715 d. TDB is 67.184 s ahead of UTC (35 leap seconds, 32.184 s). Greenwich is up to
    21 ms from the geocentre."""
    found = bjd_tdb(datetime(2013, 2, 2, 23, 0, tzinfo=UTC), 350.785625, 18.416472)
    published = 2456325.5 + 23 / 24 + 67.184 / DAY - 0.0037715
    assert (found - published) * DAY == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("ra", "dec"), STARS)
def test_it_is_astropys_from_the_geocentre_and_at_most_21_ms_off_anywhere_on_earth(
    moment: datetime, ra: float, dec: float
) -> None:
    star = SkyCoord(ra * u.deg, dec * u.deg)
    found = bjd_tdb(moment, ra, dec)

    def seconds_off(site: EarthLocation) -> float:
        utc = Time(moment, scale="utc", location=site)
        theirs = utc.tdb + utc.light_travel_time(star, "barycentric", ephemeris="builtin")
        mine = Time(2400000.5, found - 2400000.5, format="jd", scale="tdb", location=site)
        return float((mine - theirs).to_value("s"))

    assert abs(seconds_off(EarthLocation.from_geocentric(0, 0, 0, unit=u.m))) < 1e-3
    off = [seconds_off(EarthLocation.from_geodetic(lon, 0.0)) for lon in range(-180, 180, 45)]
    assert np.abs(off).max() < 0.0235  # 21.3 ms, and 2 of TDB as it is at the place


def test_the_times_of_a_targets_magnitude_are_of_the_middle_of_the_exposure() -> None:
    rng = np.random.default_rng(1)
    sky = catalogue(rng, 80)
    seen, _ = observe(rng, sky)
    table = Table({"ra": seen.ra, "dec": seen.dec, "mag": seen.magnitude, "magerr": seen.error})
    table["date-obs"], table["exptime"], table["filter"] = "2013-02-01T22:30:00", 3600.0, "R"
    (datum,) = data_of(table, sky, float(sky.stars.ra[3]), float(sky.stars.dec[3]))
    middle = datetime(2013, 2, 1, 23, 0, tzinfo=UTC)
    assert datum.mjd == pytest.approx(56324.0 + 23 / 24, abs=1e-9)
    there = bjd_tdb(middle, float(sky.stars.ra[3]), float(sky.stars.dec[3]))
    assert datum.bjd_tdb == pytest.approx(there, abs=1e-9)


def data_of(table: Table, sky: InMemory, ra: float, dec: float) -> tuple[Datum, ...]:
    """The magnitudes of a target at a place."""
    text = io.StringIO()
    table.write(text, format="ascii.csv")

    def ask(statement: str, **values: object) -> list[tuple[object, ...]]:
        assert statement == "calibrate.targets"
        return [("t", "a star", ra, dec, 2.0, ())]

    (result,) = calibrating.run(
        text.getvalue().encode(), Source("a.csv", "a test"), Reading(),
        Request(transformations=transformations.load()), {"gaia-dr2": sky}, ask,
    )  # fmt: skip
    assert result.columns["state"] == "good", result.columns["advice"]
    return result.data
