"""Bad input, through the database: each is a failed row with its reason and a plot, and the next
item is processed."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from nightferry.catalogs import Found
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import cone
from nightferry.testing import sky
from nightferry.testing.sky import Camera, Moffat

from tests.daemons.ground import Ground, ground
from tests.typed import Nf
from tests.unit import photometry_files
from tests.unit.imaging_sky import Shot, shoot
from tests.unit.photometry_files import NAN, SEEN, table, with_unit
from tests.unit.photometry_sky import DEC, RA, InMemory
from tests.unit.plotted import points, shows_pixels

CAMERA = Camera(shape=(360, 400), scale=1.0, psf=Moffat(3.4, 3.4), sky=200.0)

# The reason, and whether stars are left for a plot.
TABLES = {
    "a-none": (table()[:0], "no stars", False),
    "b-dark": (table(flux=NAN), "no usable stars", True),
    "c-saturated": (table(flags=np.full(80, 4)), "all saturated", True),
    "d-untimed": (table(exptime=None), "no exposure time", True),
    "e-undated": (table(date_obs=None), "no date", True),
    "f-gainless": (table(gain=np.zeros(80)), "zero gain", True),
    "g-filter": (table(filter=["Halpha"] * 80), "unknown filter", True),
    "h-mixed": (table(filter=["R", "V"] * 40), "mixed bands", True),
    "i-units": (table(flux=None, mag=with_unit(SEEN.magnitude, "Jy")), "wrong units", True),
    "j-hours": (table(ra=SEEN.ra / 15), "positions in hours", True),
    "k-hours": (table(ra=with_unit(SEEN.ra / 15, "hourangle")), "positions in hours", True),
    "l-mirrored": (table(ra=2 * SEEN.ra.mean() - SEEN.ra), "no match", True),
    "m-elsewhere": (table(dec=SEEN.dec + 40), "no catalogue tile", True),
    "n-single": (table()[:1], "too few stars", True),
}


def of_content(content: str, folder: Path, dsn: str, known: InMemory) -> Ground:
    site = ground(folder, dsn, source={"content": content}, keep=None)
    tiles = cone(RA, DEC, 0.3)
    site.db.run(lambda tx: store(tx, known.definition, Found(known.stars, tiles), "a test"))
    return site


def outcomes(site: Ground) -> dict[str, tuple[str, str]]:
    rows = site.ask("SELECT source_name, state::text AS state, reason FROM calibration")
    found = {r.source_name: (r.state, r.reason) for r in rows}
    assert len(found) == len(rows), "each once"
    return found


def plot(site: Ground, nf: Nf, name: str) -> bytes | None:
    """The table that a failure's plot is drawn from, once 'nf cal show' has drawn it, if any."""
    (row,) = site.ask(
        "SELECT k.id, t.content FROM calibration k LEFT JOIN calibration_table t ON t.calibration = k.id"
        " WHERE k.source_name = %s",
        name,
    )
    path = nf.config.parent / "plot.png"
    path.write_bytes(b"")
    shown = nf("cal", "show", str(row.id)[-12:], "--plot", str(path))
    assert (path.read_bytes()[:4] == b"\x89PNG") == (row.content is not None), name
    assert shown.code == (2 if row.content is None else 1)
    return None if row.content is None else bytes(row.content)


def test_each_bad_table_fails_by_its_reason_with_a_plot_and_the_next_is_calibrated(
    database: str, tmp_path: Path
) -> None:
    site = of_content("photometry", tmp_path, database, photometry_files.SKY)
    for name, (it, _, _) in TABLES.items():
        site.put(f"{name}.ecsv", photometry_files.written(it, "ecsv"))
    site.put("y-words.csv", b"to be or not to be")
    site.put("z-good.ecsv", photometry_files.written(table(), "ecsv"))
    site.ingest()
    site.once("dome", "calibrate")
    expected = {f"{name}.ecsv": ("failed", reason) for name, (_, reason, _) in TABLES.items()}
    expected["y-words.csv"] = ("failed", "not a photometry table")
    assert outcomes(site) == expected | {"z-good.ecsv": ("good", "")}
    assert site.one("SELECT count(*) FROM calibration WHERE night IS NULL") == 0
    nf = Nf(database, tmp_path)
    for name, (it, _, plotted) in TABLES.items():
        content = plot(site, nf, f"{name}.ecsv")
        assert (content is not None) == plotted, name
        if content is not None:
            assert points(content)["sky"] == len(it), name
    assert plot(site, nf, "y-words.csv") is None


def header_and_pixels(content: bytes) -> tuple[dict[str, Any], Any]:
    with fits.open(io.BytesIO(content)) as hdus:
        own = ("SIMPLE", "BITPIX", "EXTEND", "NAXIS", "NAXIS1", "NAXIS2", "BZERO", "BSCALE")
        cards = {k: v for k, v in hdus[0].header.items() if k not in own}
        return cards, hdus[0].data.copy()


def bad_images(shot: Shot) -> dict[str, tuple[bytes, str, int | None]]:
    """By name the file, the reason, and how many stars are drawn at least; None: no picture."""
    header, pixels = header_and_pixels(shot.content)

    def file(image: Any = pixels, **cards: Any) -> bytes:
        return sky.fits_file(
            image, header | {k.replace("_OBS", "-OBS"): v for k, v in cards.items()}
        )

    rng, stars = np.random.default_rng(3), shot.sky.stars
    x, y = sky.to_pixels(CAMERA, RA, DEC, stars.ra, stars.dec)
    inside = np.flatnonzero((x > 40) & (x < 360) & (y > 40) & (y < 320))[::4]
    light = sky.light(CAMERA.shape, x[inside], y[inside], np.full(len(inside), 8e6), CAMERA.psf)
    empty = np.full(CAMERA.shape, 300.0)
    mosaic, cards = io.BytesIO(), fits.Header(list(header.items()))
    images = [fits.ImageHDU(pixels, cards, name=f"CCD{k}") for k in (1, 2)]
    fits.HDUList([fits.PrimaryHDU(header=cards), *images]).writeto(mosaic)
    return {
        "a-empty": (file(sky.read_out(CAMERA, empty, rng)), "no stars", 0),
        "b-glare": (file(sky.read_out(CAMERA, light + 300.0, rng)), "all saturated", 5),
        "c-scale": (file(CD1_1=-1.4e-4, CD2_2=1.4e-4), "wrong pixel scale", 30),
        "d-mirrored": (file(CD1_1=1 / 3600), "mirrored", 30),
        "e-nan": (file(np.full(CAMERA.shape, np.nan, np.float32)), "no pixels", None),
        "f-gainless": (file(GAIN=0.0), "zero gain", 0),
        "g-untimed": (file(EXPTIME=None), "no exposure time", 30),
        "h-undated": (file(DATE_OBS=None), "no date", 30),
        "i-filter": (file(FILTER="clear-ish"), "unknown filter", 30),
        "j-cube": (file(np.stack([pixels] * 3)), "a cube", 0),
        "k-mosaic": (mosaic.getvalue(), "a mosaic", 0),
    }  # fmt: skip


def mirrored_images() -> dict[str, bytes]:
    """Of a camera that is mirrored: with the WCS that says so, and with none."""
    mirrored = shoot(5, stars=60, camera=replace(CAMERA, mirrored=True), apart_by=15.0)
    header, pixels = header_and_pixels(mirrored.content)
    bare = {k: v for k, v in header.items() if not k.startswith(("C", "RADE"))}
    bare |= {"RA": RA, "DEC": DEC, "PIXSCALE": CAMERA.scale}
    return {"w-mirrored": mirrored.content, "x-no-wcs": sky.fits_file(pixels, bare)}


def test_each_bad_image_fails_by_its_reason_with_a_picture_and_the_next_is_calibrated(
    database: str, tmp_path: Path
) -> None:
    good = shoot(5, stars=60, camera=CAMERA, apart_by=15.0)
    bad, fine = bad_images(good), mirrored_images() | {"z-good": good.content}
    site = of_content("images", tmp_path, database, good.sky)
    for name, content in ({n: content for n, (content, _, _) in bad.items()} | fine).items():
        site.put(f"{name}.fits", content)
    site.ingest()
    site.once("dome", "calibrate")
    expected = {f"{name}.fits": ("failed", reason) for name, (_, reason, _) in bad.items()}
    assert outcomes(site) == expected | {f"{name}.fits": ("good", "") for name in fine}
    assert site.one("SELECT count(*) FROM calibration WHERE night IS NULL") == 0
    flags = site.one("SELECT flags FROM calibration WHERE source_name = 'x-no-wcs.fits'")
    assert "the frame is mirrored" in flags
    nf = Nf(database, tmp_path)
    for name, (_, _, least) in bad.items():
        content = plot(site, nf, f"{name}.fits")
        assert (content is None) == (least is None), name
        if content is not None and least is not None:
            assert shows_pixels(content), name
            assert points(content)["frame"] >= least, name
