"""Photometry files as they come, and as they should not: each failure says what to do."""

import io
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from nightferry import calibrating
from nightferry.calibrating import Source
from nightferry.catalogs import Definition, Field, Found, MissingTile, Stars
from nightferry.catalogs.sky import Coverage
from nightferry.photometry import product, tables, transformations
from nightferry.photometry.calibration import calibrate, field_of
from nightferry.photometry.measured import Array, Exposure, NotCalibrated, Reading, Unusable
from nightferry.photometry.result import Calibration, Request

from tests.unit.photometry_files import BAD, SEEN, SKY, TRUTH, table, written
from tests.unit.photometry_sky import catalogue, observe
from tests.unit.plotted import points

EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]


def calibrated(content: bytes, reading: Reading = Reading(), **wanted: Any) -> Calibration:  # noqa: B008
    (exposure,) = tables.read(content, "a file", reading)
    if isinstance(exposure, Unusable):
        raise exposure.why
    request = Request(transformations=EVANS, **wanted)
    return calibrate(exposure, {"gaia-dr2": SKY}, request)


def assert_is_the_truth(done: Calibration) -> None:
    assert done.fit is not None, done.advice
    assert done.fit.value == pytest.approx(TRUTH.zero_point, abs=5 * done.fit.fit_error)


@pytest.mark.parametrize("form", ["csv", "ecsv", "fits"])
def test_a_table_is_read_in_each_of_its_formats(form: str) -> None:
    done = calibrated(written(table(), form))
    assert_is_the_truth(done)
    assert done.exposure.unit == "e-/s"
    assert done.exposure.middle == datetime(2015, 7, 2, 12, tzinfo=UTC)
    assert done.band == "R"


def sextractor() -> bytes:
    head = [
        "#   1 NUMBER          Running object number",
        "#   2 ALPHA_J2000     Right ascension of barycenter (J2000)  [deg]",
        "#   3 DELTA_J2000     Declination of barycenter (J2000)      [deg]",
        "#   4 MAG_AUTO        Kron-like elliptical aperture magnitude  [mag]",
        "#   5 MAGERR_AUTO     RMS error for AUTO magnitude   [mag]",
        "#   6 FLAGS           Extraction flags",
    ]
    of_exposure = SEEN.magnitude - 2.5 * np.log10(60.0)
    rows = [
        f"{i + 1} {SEEN.ra[i]:.7f} {SEEN.dec[i]:+.7f} {of_exposure[i]:.5f} {SEEN.error[i]:.5f} 0"
        for i in range(len(SEEN))
    ]
    return "\n".join([*head, *rows]).encode()


def test_sextractors_ascii_is_read_with_what_was_said_beside_it() -> None:
    said = Reading(band="R", exposure=60.0, start=datetime(2015, 7, 2, 11, 59, 30, tzinfo=UTC))
    done = calibrated(sextractor(), said)
    assert_is_the_truth(done)
    assert done.exposure.unit == "ADU/s"
    with pytest.raises(NotCalibrated, match="--exposure"):
        calibrated(sextractor())


def ldac(**cards: Any) -> bytes:
    header = fits.Header(
        {"FILTER": "R", "EXPTIME": 60.0, "DATE-OBS": "2015-07-02T11:59:30", "GAIN": 1.0} | cards
    )
    text = header.tostring(endcard=True, padding=False)
    head = fits.BinTableHDU.from_columns(
        [fits.Column("Field Header Card", f"{len(text)}A", array=[text])], name="LDAC_IMHEAD"
    )
    stars = table(filter=None, exptime=None, date_obs=None, gain=None)
    stars.rename_columns(["ra", "dec", "flux"], ["ALPHA_J2000", "DELTA_J2000", "FLUX_AUTO"])
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), head, fits.BinTableHDU(stars, name="LDAC_OBJECTS")]).writeto(
        out
    )
    return out.getvalue()


def test_sextractors_ldac_is_read_with_the_header_of_its_image() -> None:
    assert_is_the_truth(calibrated(ldac()))


def test_flags_of_sextractor_are_obeyed() -> None:
    flags = np.zeros(len(SEEN), int)
    flags[:10], flags[10:15] = 4, 16
    done = calibrated(written(table(flags=flags), "fits"))
    assert list(done.status[:10]) == ["saturated"] * 10
    assert list(done.status[10:15]) == ["no light"] * 5


def test_several_exposures_of_one_file_are_calibrated_apart() -> None:
    times = np.where(np.arange(80) % 2, "2015-07-02T11:59:30", "2015-07-02T12:59:30")
    found = tables.read(written(table(date_obs=times), "csv"), "two", Reading())
    assert [e.part for e in found if isinstance(e, Exposure)] == sorted(set(times))


@pytest.mark.parametrize(
    ("it", "reason", "shown"), BAD, ids=[f"{i} {r}" for i, (_, r, _) in enumerate(BAD)]
)
def test_bad_input_fails_with_a_reason_and_a_plot_of_what_there_is(
    it: Table, reason: str, shown: frozenset[str]
) -> None:
    (result,) = calibrating.run(
        written(it, "ecsv"), Source("a file", "a test"), Reading(),
        Request(transformations=EVANS), {"gaia-dr2": SKY}, lambda statement, **values: [],
    )  # fmt: skip
    assert result.columns["reason"] == reason, result.columns["advice"]
    assert len(result.columns["advice"]) > 20
    assert (result.table is not None) == bool(shown), "a plot where there is anything to plot"
    if result.table is not None:
        drawn = points(result.table)
        expected = (len(it) if "p" in shown else 0, len(it) if "m" in shown else 0)
        assert (drawn["sky"], drawn["magnitude"]) == expected


def test_what_is_known_of_a_failure_is_kept() -> None:
    def columns(it: Table) -> dict[str, Any]:
        (result,) = calibrating.run(
            written(it, "ecsv"), Source("a file", "a test"), Reading(), Request(), {},
            lambda statement, **values: [],
        )  # fmt: skip
        return result.columns

    known = columns(table(exptime=None, airmass=[1.3] * 80))
    assert (known["night"], known["middle"]) == (date(2015, 7, 1), None)
    assert (known["airmass"], known["filter"], known["measured"]) == (1.3, "R", 80)
    known = columns(table(date_obs=None, airmass=["low"] * 80))
    assert (known["exposure_seconds"], known["night"], known["airmass"]) == (60.0, None, None)
    known = columns(table(gain=np.zeros(80)))
    assert known["middle"] == datetime(2015, 7, 2, 12, tzinfo=UTC)


def test_degrees_below_24_are_not_taken_for_hours() -> None:
    near = replace(SEEN, ra=SEEN.ra - 140.0)  # nothing there, and nothing at 15 times as much
    alone = calibrate(near, {"gaia-dr2": SKY}, Request(transformations=EVANS))
    assert alone.reason == "no match"
    assert "hours" not in alone.advice


@dataclass(frozen=True)
class Tiled:
    """Some stars of a catalogue that is complete about one place alone."""

    definition: Definition
    stars: Stars

    def field(self, field: Field) -> Found:
        if field.radius > 3 or abs(field.ra - 150) > 3:
            raise MissingTile("catalog", f"no tile at {field}")
        return Found(self.stars.inside(field), Coverage.whole_sky())


def test_hours_are_told_where_the_match_proves_them_and_else_only_thought_of() -> None:
    def told(ra: Array) -> tuple[str, str]:
        hours = replace(SEEN, ra=ra)
        known = {"gaia-dr2": Tiled(SKY.definition, SKY.stars)}
        done = calibrate(hours, known, Request(transformations=EVANS))
        return done.reason, done.advice

    reason, advice = told(SEEN.ra / 15)
    assert reason == "positions in hours"
    assert "times 15" in advice
    reason, advice = told((SEEN.ra + 0.02) / 15)  # by more than what is searched
    assert reason == "no catalogue tile", "it is tried again when more is loaded"
    assert "if they are hours" in advice
    reason, advice = told(SEEN.ra - 140.0)
    assert reason == "no catalogue tile"
    assert "hours" not in advice


def test_a_correction_of_its_header_is_taken_for_the_header() -> None:
    with pytest.raises(NotCalibrated, match="--exposure"):
        calibrated(ldac(EXPTIME=0.0))
    corrected = Reading(corrections={"EXPTIME": 60.0})
    assert_is_the_truth(calibrated(ldac(EXPTIME=0.0), corrected))
    removed = calibrated(ldac(), Reading(corrections={"FILTER": None}))
    assert removed.reason == "unknown filter"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a photometry table"),
        (b"\x00\x01\x02 no table", "not a photometry table"),
        (b"SIMPLE  =                    T", "not a photometry table"),
    ],
)
def test_what_is_no_table_is_said_to_be_none(content: bytes, reason: str) -> None:
    with pytest.raises(NotCalibrated) as why:
        tables.read(content, "thing", Reading())
    assert why.value.reason == reason


def test_an_image_a_cube_and_a_mosaic_are_not_tables_of_one_detector() -> None:
    for hdus, reason in (
        ([fits.PrimaryHDU(np.zeros((4, 4)))], "not a photometry table"),
        ([fits.PrimaryHDU(np.zeros((2, 4, 4)))], "not a photometry table"),
        ([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((64, 64)))], "not a photometry table"),
    ):
        out = io.BytesIO()
        fits.HDUList(hdus).writeto(out)
        with pytest.raises(NotCalibrated) as why:
            tables.read(out.getvalue(), "thing", Reading())
        assert why.value.reason == reason
    out = io.BytesIO()
    two = [fits.BinTableHDU(table()), fits.BinTableHDU(table()[:5])]
    fits.HDUList([fits.PrimaryHDU(), *two]).writeto(out)
    (refused,) = tables.read(out.getvalue(), "thing", Reading())
    assert isinstance(refused, Unusable)
    assert refused.why.reason == "several tables"
    assert (refused.has_stars, len(refused.exposure)) == (True, len(SEEN))


def test_each_rejected_star_has_its_reason() -> None:
    sky = catalogue(np.random.default_rng(8), 80)
    numbers = dict(sky.stars.numbers)
    numbers["BP"] = numbers["BP"].copy()
    numbers["BP"][:5] = np.nan
    numbers["excess"] = np.where(np.arange(80) == 6, 2.0, 1.2)
    numbers["noise"] = np.where(np.arange(80) == 7, 10.0, 0.1)
    sky = replace(sky, stars=replace(sky.stars, numbers=numbers))
    seen, _ = observe(np.random.default_rng(9), catalogue(np.random.default_rng(8), 80))
    done = calibrate(seen, {"gaia-dr2": sky}, Request(transformations=EVANS))
    assert done.rejected()["no colour"] == 5
    assert done.status[6] == "BP/RP excess"
    assert done.status[7] == "extended"


def test_a_star_beside_a_bright_one_is_blended() -> None:
    stars = SKY.stars
    twin = replace(
        stars,
        ra=np.append(stars.ra, stars.ra[3] + 2.0 / 3600), dec=np.append(stars.dec, stars.dec[3]),
        id=np.append(stars.id, 999),
        numbers={n: np.append(v, v[3] + (1.0 if n in ("G", "BP", "RP") else 0.0))
                 for n, v in stars.numbers.items()},
    )  # fmt: skip
    done = calibrate(SEEN, {"gaia-dr2": replace(SKY, stars=twin)}, Request(transformations=EVANS))
    assert done.status[3] == "blended"


def test_the_product_is_a_table_with_units_that_says_what_was_fitted() -> None:
    done = calibrated(written(table(), "csv"))
    content = product.to_fits(done)
    with fits.open(io.BytesIO(content)) as hdus:
        header, stars = hdus[0].header, Table.read(hdus["STARS"])
    assert done.fit is not None
    assert header["ZP"] == pytest.approx(done.fit.value)
    assert header["ZPUNIT"] == "e-/s"
    assert header["SYSTEM"] == "Vega"
    assert stars["ra"].unit == "deg"
    assert stars["mag"].unit == "mag"
    relative = np.nan_to_num(done.colour - 1.0)  # a star without a colour is a reference star
    expected = SEEN.magnitude + done.fit.value + done.fit.colour_term * relative
    assert np.array(stars["mag"]) == pytest.approx(expected, abs=2e-5)
    assert set(np.array(stars["status"]).astype(str)) <= {"used", "outlier", "unmatched"}


def test_the_limiting_magnitude_is_where_stars_have_five_sigma() -> None:
    done = calibrated(written(table(), "csv"))
    # error = 0.02 mag at G = 17 and grows as 10^(0.4 (G-17)): 0.217 mag is 2.59 mag fainter
    colour = done.colour
    at_17 = np.median((done.magnitude - SKY.stars.numbers["G"])[np.abs(colour - 1) < 0.2])
    assert done.limiting == pytest.approx(17 + at_17 + 2.59, abs=0.4)


def test_positions_about_the_first_meridian_are_one_field() -> None:
    moved = replace(SEEN, ra=np.mod(SEEN.ra - 150.0, 360.0))
    field = field_of([moved])
    assert field.radius < 0.3
    assert min(field.ra, 360 - field.ra) < 0.1
