"""Photometry files as they come, and as they should not: each failure says what to do."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from nightferry.photometry import plots, product, tables, transformations
from nightferry.photometry.calibration import calibrate, field_of
from nightferry.photometry.measured import Exposure, NotCalibrated, Reading
from nightferry.photometry.result import Calibration, Request

from tests.unit.photometry_sky import catalogue, observe

EVANS = [t for t in transformations.load() if t.name == "gaia-dr2-evans"]
RNG = np.random.default_rng(1)
SKY = catalogue(RNG, 80)
SEEN, TRUTH = observe(RNG, SKY)


def table(**columns: Any) -> Table:
    """A table as somebody's pipeline writes it; a column of None is left out."""
    made = {
        "ra": SEEN.ra, "dec": SEEN.dec, "flux": 10 ** (-0.4 * SEEN.magnitude) * SEEN.seconds,
        "mag_err": SEEN.error, "filter": ["R"] * len(SEEN), "exptime": [60.0] * len(SEEN),
        "date-obs": ["2015-07-02T11:59:30"] * len(SEEN), "gain": [1.0] * len(SEEN),
    } | {name.replace("_obs", "-obs"): values for name, values in columns.items()}  # fmt: skip
    return Table({name: values for name, values in made.items() if values is not None})


def written(it: Table, form: str) -> bytes:
    if form == "fits":
        out = io.BytesIO()
        it.write(out, format="fits")
        return out.getvalue()
    text = io.StringIO()
    it.write(text, format=f"ascii.{form}")
    return text.getvalue().encode()


def calibrated(content: bytes, reading: Reading = Reading(), **wanted: Any) -> Calibration:  # noqa: B008
    (exposure,) = tables.read(content, "a file", reading)
    if isinstance(exposure, NotCalibrated):
        raise exposure
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


NAN = np.full(80, np.nan)
BAD = [
    (table()[:0], "no stars"),
    (table(flux=NAN), "no usable stars"),
    (table(flux=-np.ones(80)), "no usable stars"),
    (table(flags=np.full(80, 4)), "all saturated"),
    (table(exptime=None), "no exposure time"),
    (table(exptime=np.zeros(80)), "no exposure time"),
    (table(date_obs=None), "no date"),
    (table(date_obs=["yesterday"] * 80), "no date"),
    (table(gain=np.zeros(80)), "zero gain"),
    (table(filter=["Halpha"] * 80), "unknown filter"),
    (table(filter=None), "unknown filter"),
    (table(filter=["zP1"] * 80), "outside every transformation"),
    (table(filter=["R", "V"] * 40), "mixed bands"),
    (table(flux=None), "no magnitudes"),
    (table(ra=None), "no positions"),
    (table(ra=Table({"ra": SEEN.ra / 15}, units={"ra": "hourangle"})["ra"]), "positions in hours"),
    (table(ra=["10:00:00.0"] * 80), "positions in hours"),
    (table(ra=SEEN.ra / 15), "no match"),
    (table(dec=SEEN.dec * 60), "wrong units"),
    (table(flux=None, mag=Table({"m": SEEN.magnitude}, units={"m": "Jy"})["m"]), "wrong units"),
    (table(flux=["bright"] * 80), "wrong units"),
    (table(ra=2 * SEEN.ra.mean() - SEEN.ra), "no match"),  # mirrored
    (table(ra=150 + 3 * (SEEN.ra - 150), dec=30 + 3 * (SEEN.dec - 30)), "no match"),  # wrong scale
    (table(ra=np.linspace(149.9, 150.1, 80), dec=np.full(80, 30.0)), "no match"),  # a trail
    (table()[:1], "too few stars"),
]  # fmt: skip


def outcome(content: bytes) -> tuple[str, str, Calibration | None]:
    """Reason, advice, and what there is of a calibration."""
    try:
        done = calibrated(content)
    except NotCalibrated as why:
        return why.reason, str(why), None
    return done.reason, done.advice, done


@pytest.mark.parametrize(("it", "reason"), BAD, ids=[f"{i} {r}" for i, (_, r) in enumerate(BAD)])
def test_bad_input_fails_with_a_reason_and_a_plot_where_there_is_anything_to_plot(
    it: Table, reason: str
) -> None:
    content = written(it, "ecsv")
    found, advice, done = outcome(content)
    assert found == reason, advice
    assert len(advice) > 20
    if done is None:
        return  # nothing was understood that could be drawn
    drawn = plots.calibration(product.to_fits(done), "a failure")
    assert drawn[:4] == b"\x89PNG"


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
        (
            [fits.PrimaryHDU(), fits.BinTableHDU(table()), fits.BinTableHDU(table())],
            "several tables",
        ),
    ):
        out = io.BytesIO()
        fits.HDUList(hdus).writeto(out)
        with pytest.raises(NotCalibrated) as why:
            tables.read(out.getvalue(), "thing", Reading())
        assert why.value.reason == reason


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
