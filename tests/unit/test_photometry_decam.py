"""A real exposure of a galaxy by DECam: of eight stars of Gaia DR2 one serves."""

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from nightferry.catalogs import definitions
from nightferry.catalogs.files import read as read_catalog
from nightferry.photometry import tables, transformations
from nightferry.photometry.calibration import calibrate
from nightferry.photometry.measured import Exposure, Reading
from nightferry.photometry.result import Calibration, Request

from tests.unit.photometry_sky import InMemory

FOLDER = "photometry/decam_gaia/testcase8"
IMAGE = "images/decam/CP/V4.8.2a/CP20171112/c4d_171113_060340_ooi_r_ls9.N6.fits"
APERTURE, SKY = 14.0, (25.0, 35.0)  # pixels
OWN = """\
# DECam's r from Gaia, as legacypipe has it (gaia_to_decam, 2020-04-12).
reference: legacypipe
catalogs: [gaia-dr2]
magnitude: G
colour: [BP, RP]
colour_reference: 1.4
bands:
  r: {system: AB, range: [-0.6, 4.1], scatter: 0.02, offset: [0.1139078673, -0.2868955307, 0.0013196434,
      0.1029151074, 0.1196710702, -0.3729031390, 0.1859874242, 0.1370162451, -0.1808580848, 0.0803219195,
      -0.0180218196, 0.0020584707, -0.0000953486]}
"""


def sky(folder: Path) -> InMemory:
    definition, found = read_catalog(folder / FOLDER / "gaia/chunk-05483.fits", definitions())
    assert definition.key == "gaia-dr2"
    return InMemory(definition, found.stars)


def measured(folder: Path, held: InMemory) -> bytes:
    """The light of the catalogue's stars in the image, by a plain aperture, as a photometry file."""
    with fits.open(folder / FOLDER / IMAGE) as hdus:
        header, image = hdus[1].header, hdus[1].data.astype(float)
        seconds, start = hdus[0].header["EXPTIME"], hdus[0].header["DATE-OBS"]
    x, y = WCS(header).all_world2pix(held.stars.ra, held.stars.dec, 0)
    inside = (x > 0) & (x < image.shape[1]) & (y > 0) & (y < image.shape[0])
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    flux = []
    for x0, y0 in zip(x[inside], y[inside], strict=True):
        away = np.hypot(columns - x0, rows - y0)
        sky = np.median(image[(away > SKY[0]) & (away < SKY[1])])
        flux.append(float((image[away < APERTURE] - sky).sum()))
    light = np.array(flux)
    table = Table({"ra": held.stars.ra[inside], "dec": held.stars.dec[inside], "flux": light})
    table["flux_error"] = np.sqrt(np.abs(light) / header["GAINA"])
    table["exptime"], table["date-obs"], table["filter"] = seconds, start, "r"
    out = io.StringIO()
    table.write(out, format="ascii.csv")
    return out.getvalue().encode()


def calibrated(folder: Path, own: Path, min_stars: int = 5) -> Calibration:
    held = sky(folder)
    (exposure,) = tables.read(measured(folder, held), "decam.csv", Reading())
    assert isinstance(exposure, Exposure)
    own.write_text(OWN)
    return calibrate(
        exposure, {"gaia-dr2": held},
        Request(transformations=transformations.read(own), min_stars=min_stars),
    )  # fmt: skip


def test_a_galaxy_is_refused_and_each_star_that_does_not_serve_is_named(
    night_data: Path, tmp_path: Path
) -> None:
    done = calibrated(night_data, tmp_path / "decam.yaml")
    assert done.reason == "too few stars"
    assert "--min-stars 1" in done.advice
    rejected = done.rejected()
    for why in ("no colour", "BP/RP excess"):
        assert f"{rejected[why]} {why}" in done.advice
    assert sum(rejected.values()) + 1 == len(done.exposure)


def test_its_one_isolated_star_gives_the_surveys_zero_point_when_one_is_asked_for(
    night_data: Path, tmp_path: Path
) -> None:
    done = calibrated(night_data, tmp_path / "decam.yaml", min_stars=1)
    assert done.fit is not None
    assert done.fit.used == 1
    assert done.fit.value == pytest.approx(25.17, abs=0.03)
    assert (done.exposure.unit, done.transformation and done.transformation.system) == (
        "ADU/s",
        "AB",
    )
    assert any("no colour term" in flag for flag in done.flags)
