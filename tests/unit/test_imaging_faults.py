"""Images that can't be calibrated: each is a result with a reason that a person can act on, and with
a plot wherever there is anything to see."""

import bz2
import gzip
import io
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from nightferry.calibrating import Result
from nightferry.photometry.measured import Reading
from nightferry.testing import sky
from nightferry.testing.sky import Camera, Moffat
from numpy.typing import NDArray

from tests.unit.imaging_sky import Shot, calibrated, shoot
from tests.unit.photometry_sky import DEC, RA
from tests.unit.plotted import points, shows_pixels

MANY = 30  # stars
SMALL = Camera(shape=(400, 420), scale=0.9, psf=Moffat(3.2, 3.3), overscan=0)


@pytest.fixture(scope="module")
def good() -> Shot:
    return shoot(1, stars=60, camera=SMALL, apart_by=14.0)


def pixels_of(shot: Shot) -> tuple[NDArray[Any], dict[str, Any]]:
    with fits.open(io.BytesIO(shot.content)) as hdus:
        cards = {k: v for k, v in hdus[0].header.items() if k not in ("SIMPLE", "BITPIX", "EXTEND")}
        cards = {k: v for k, v in cards.items() if not k.startswith(("NAXIS", "BZERO", "BSCALE"))}
        return hdus[0].data.copy(), cards


def failed(result: Result, reason: str, *, plotted: bool = True, stars: int = 0) -> str:
    """Its advice. With a plot there is a picture on it, and that many stars at least."""
    assert (result.columns["state"], result.columns["reason"]) == ("failed", reason)
    assert len(result.columns["advice"]) > 20
    assert (result.table is not None) == plotted, "a plot where there is anything to plot"
    if result.table is not None:
        assert shows_pixels(result.table) == (reason != "no noise"), "that one is an even gray"
        drawn = points(result.table)
        assert min(drawn["frame"], drawn["magnitude"]) >= stars
    return str(result.columns["advice"])


def test_a_good_frame_is_good(good: Shot) -> None:
    done = calibrated(good.content, good.sky)
    assert done.columns["state"] == "good", done.columns["advice"]
    assert done.columns["zero_point"] == pytest.approx(good.zero_point, abs=0.02)
    assert done.columns["unit"] == "e-/s"
    assert done.table is not None
    drawn = points(done.table)
    assert drawn["sky"] == drawn["frame"] == done.columns["measured"]
    assert drawn["magnitude"] == drawn["colour"] >= drawn["field"] == done.columns["used"]


@pytest.mark.parametrize(
    ("cards", "reason", "stars"),
    [
        ({"EXPTIME": None}, "no exposure time", MANY),
        ({"EXPTIME": 0.0}, "no exposure time", MANY),
        ({"DATE-OBS": None}, "no date", MANY),
        ({"GAIN": 0.0}, "zero gain", 0),
        ({"FILTER": "clear-ish"}, "unknown filter", MANY),
        ({"FILTER": None}, "unknown filter", MANY),
        ({"IMAGETYP": "FLAT"}, "not of the sky", 0),
        ({"CTYPE1": None, "RA": None}, "no position", MANY),
        ({"CD1_1": -0.5e-4, "CD2_2": 0.5e-4}, "wrong pixel scale", MANY),
        ({"CD1_1": 2.5e-4}, "mirrored", MANY),
    ],
)
def test_a_header_that_is_wrong_is_named_and_its_frame_is_shown(
    good: Shot, cards: dict[str, Any], reason: str, stars: int
) -> None:
    pixels, header = pixels_of(good)
    done = calibrated(sky.fits_file(pixels, header | cards), good.sky)
    assert "  " not in failed(done, reason, stars=stars)
    known = done.columns["exposure_seconds"], done.columns["middle"], done.columns["night"]
    date, seconds = cards.get("DATE-OBS", ""), cards.get("EXPTIME", 60.0)
    assert (known[0] is not None) == bool(seconds)
    assert (known[1] is not None) == (bool(seconds) and date is not None)
    assert (known[2] is not None) == (date is not None)


def test_what_is_said_beside_the_file_mends_its_header(good: Shot) -> None:
    pixels, header = pixels_of(good)
    content = sky.fits_file(pixels, header | {"EXPTIME": None, "GAIN": 0.0})
    done = calibrated(content, good.sky, reading=Reading(exposure=60.0, gain=SMALL.gain))
    assert done.columns["state"] == "good"
    assert done.columns["zero_point"] == pytest.approx(good.zero_point, abs=0.02)


def sky_alone(rng: np.random.Generator) -> NDArray[np.uint16]:
    return sky.read_out(SMALL, np.full(SMALL.shape, 300.0), rng)


def with_stars(
    x: list[float], y: list[float], flux: float, psf: Moffat = SMALL.psf
) -> NDArray[np.uint16]:
    light = sky.light(SMALL.shape, np.array(x), np.array(y), np.full(len(x), flux), psf)
    return sky.read_out(SMALL, light + 300.0, np.random.default_rng(3))


def test_frames_of_nothing_of_one_star_and_of_saturated_stars(good: Shot) -> None:
    _, header = pixels_of(good)
    rng = np.random.default_rng(2)
    nothing = failed(calibrated(sky.fits_file(sky_alone(rng), header), good.sky), "no stars")
    assert "shutter" in nothing
    s = good.sky.stars
    x, y = sky.to_pixels(SMALL, RA, DEC, s.ra, s.dec)
    inside = (x > 40) & (x < 380) & (y > 40) & (y < 360)
    one = with_stars([float(x[inside][0])], [float(y[inside][0])], 1e5)
    done = calibrated(sky.fits_file(one, header), good.sky)
    assert done.columns["reason"] in ("too few stars", "no match")
    failed(done, done.columns["reason"])
    bright = with_stars(x[inside][::4].tolist(), y[inside][::4].tolist(), 8e6)
    failed(calibrated(sky.fits_file(bright, header), good.sky), "all saturated", stars=5)


def test_a_frame_of_trails_says_so(good: Shot) -> None:
    _, header = pixels_of(good)
    rng = np.random.default_rng(4)
    x, y = rng.uniform(40, 360, (2, 15))
    along = [(a + k, b + 0.5 * k) for a, b in zip(x, y, strict=True) for k in range(0, 30, 2)]
    image = with_stars([a for a, _ in along], [b for _, b in along], 8000.0)
    advice = failed(calibrated(sky.fits_file(image, header), good.sky), "trails", stars=10)
    assert "guided" in advice


def test_pixels_that_are_not_numbers(good: Shot) -> None:
    pixels, header = pixels_of(good)
    some = pixels.astype(np.float32)
    some[100:130, 50:200] = np.nan
    done = calibrated(sky.fits_file(some, header), good.sky)
    assert done.columns["state"] == "good"
    assert done.columns["zero_point"] == pytest.approx(good.zero_point, abs=0.02)
    some[:] = np.nan
    failed(calibrated(sky.fits_file(some, header), good.sky), "no pixels", plotted=False)
    some[:] = 7.0
    failed(calibrated(sky.fits_file(some, header), good.sky), "no noise")


def test_a_compressed_frame_and_one_in_an_extension_are_frames(good: Shot) -> None:
    pixels, header = pixels_of(good)
    cards = fits.Header(list(header.items()))
    for hdu in (
        fits.CompImageHDU(pixels, cards, compression_type="RICE_1"),
        fits.ImageHDU(pixels, cards),
    ):
        out = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
        done = calibrated(out.getvalue(), good.sky)
        assert done.columns["state"] == "good", done.columns["advice"]
        assert done.columns["zero_point"] == pytest.approx(good.zero_point, abs=0.02)
    out = io.BytesIO()  # as pipelines write them: with a mask, and with the stars that they found
    bad_pixels = fits.CompImageHDU(np.zeros(pixels.shape, np.uint8), name="BPM")
    found = fits.BinTableHDU(Table({"RA": [1.0], "DEC": [2.0], "FLUX": [3.0]}), name="CAT")
    science = fits.CompImageHDU(pixels, cards, name="SCI", compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), science, found, bad_pixels]).writeto(out)
    done = calibrated(out.getvalue(), good.sky)
    assert done.columns["zero_point"] == pytest.approx(good.zero_point, abs=0.02)
    for packed in (gzip.compress(good.content), bz2.compress(good.content)):
        assert calibrated(packed, good.sky).columns["state"] == "good"


def test_cubes_and_mosaics_are_refused_and_shown_and_broken_files_are_refused(good: Shot) -> None:
    pixels, header = pixels_of(good)
    cards = fits.Header(list(header.items()))
    cube = calibrated(sky.fits_file(np.stack([pixels] * 3), header), good.sky)
    assert "420 x 400 x 3" in failed(cube, "a cube")
    assert cube.columns["detail"] == {"shown": "its first plane"}
    assert cube.columns["middle"] is not None
    out = io.BytesIO()
    detectors = [fits.ImageHDU(pixels, cards, name=f"CCD{k}") for k in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(), *detectors]).writeto(out)
    mosaic = calibrated(out.getvalue(), good.sky)
    failed(mosaic, "a mosaic")
    assert mosaic.columns["detail"] == {"shown": "the first of its images, CCD1"}
    thin = sky.fits_file(np.zeros((200, 400, 3), np.uint16), header)
    failed(calibrated(thin, good.sky), "a cube", plotted=False)
    cut = calibrated(good.content[: len(good.content) // 2], good.sky)
    assert "of its 400 rows: it was cut" in failed(cut, "unreadable")
    assert "rows that are there" in cut.columns["detail"]["shown"]
    of_header = good.content[: good.content.index(b"END" + 60 * b" ") // 2880 * 2880 + 2880]
    failed(calibrated(of_header, good.sky), "unreadable", plotted=False)
    one_plane = sky.fits_file(pixels[None], header)
    assert calibrated(one_plane, good.sky).columns["state"] == "good"


def test_no_catalogue_fails_with_the_stars_on_a_plot(good: Shot) -> None:
    done = calibrated(good.content, None)
    assert done.columns["state"] == "failed"
    failed(done, done.columns["reason"], stars=MANY)
    assert done.columns["measured"] > 30
