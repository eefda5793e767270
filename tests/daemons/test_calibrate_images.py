"""The calibrator on a camera's frames: masters are made once and kept, and zero points follow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nightferry.catalogs import Found
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import Coverage, cone
from nightferry.testing import sky
from nightferry.testing.sky import Camera, Moffat

from tests.daemons.ground import Ground, ground
from tests.typed import Nf
from tests.unit.imaging_sky import Shot, shoot
from tests.unit.photometry_sky import DEC, RA
from tests.unit.plotted import points, shows_pixels

CAMERA = Camera(
    shape=(360, 400), scale=1.0, psf=Moffat(3.4, 3.4), sky=200.0, flat=True, overscan=24
)
WHO = {"INSTRUME": "Test imager"}
DEFINITION = """
instrument: imager
matches: [{INSTRUME: ^Test imager$}]
keywords: {type: IMAGETYP, seconds: EXPTIME, filter: FILTER, object: OBJECT, airmass: AIRMASS}
frame_types:
  - bias: {type: '^bias'}
  - flat: {type: '^flat'}
  - science: {type: '^object'}
imaging: {gain: 1.6, read_noise: 6.0}
"""


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A dome whose camera's frames of the sky are calibrated."""
    made = ground(tmp_path, database, source={"content": "images"}, keep=None)
    own = tmp_path / "instruments"
    own.mkdir()
    (own / "imager.yaml").write_text(DEFINITION)
    config = made.sites.config("dome")
    config.write_text(config.read_text() + f"instruments: {own}\n")
    yield made
    made.db.close()


def put_calibrations(site: Ground, night: str = "n1", day: int = 2) -> None:
    rng = np.random.default_rng(day)
    for k in range(3):
        for kind, level, seconds in (("BIAS", 0.0, 0.0), ("FLAT", 40000.0, 5.0)):
            cards = sky.cards_of(
                CAMERA,
                IMAGETYP=kind,
                EXPTIME=seconds,
                DATE_OBS=f"2015-07-{day:02d}T20:0{k}:00",
                **WHO,
            )
            image = sky.read_out(CAMERA, np.full(CAMERA.shape, level), rng)
            site.put(f"{night}/{kind.lower()}{k}.fits", sky.fits_file(image, cards))


def put_science(site: Ground, name: str, seed: int, **cards: Any) -> Shot:
    shot = shoot(
        seed, stars=60, camera=CAMERA, apart_by=15.0,
        **{**WHO, "DATE_OBS": "2015-07-02T22:00:00", **cards},
    )  # fmt: skip
    site.put(name, shot.content)
    return shot


def through_flat(shot: Shot) -> float:
    """The zero point where the flat is 1: light is lost elsewhere, and there too."""
    return shot.zero_point + 2.5 * float(np.log10(np.median(sky.response(CAMERA.shape))))


def load(site: Ground, shot: Shot) -> None:
    coverage: Coverage = cone(RA, DEC, 0.2)
    known = shot.sky
    site.db.run(lambda tx: store(tx, known.definition, Found(known.stars, coverage), "a test"))


def rows(site: Ground) -> list[Any]:
    return list(
        site.ask(
            "SELECT source_name, state::text, reason, zero_point, fit_error, flags, detail FROM calibration ORDER BY made"
        )
    )


def test_frames_of_the_sky_are_reduced_measured_and_calibrated_as_they_come(
    site: Ground, tmp_path: Path, database: str
) -> None:
    put_calibrations(site)
    shot = put_science(site, "n1/a.fits", 5)
    put_science(site, "n1/untimed.fits", 5, EXPTIME=None)
    load(site, shot)
    site.ingest()
    assert site.one("SELECT count(*) FROM hold WHERE lifted IS NULL") == 2, (
        "frames of the sky alone"
    )
    site.once("dome", "calibrate")
    by_name = {r.source_name: r for r in rows(site)}
    assert by_name.keys() == {"n1/a.fits", "n1/untimed.fits"}, "bias and flat are no subjects"
    good, bad = by_name["n1/a.fits"], by_name["n1/untimed.fits"]
    assert (good.state, good.reason) == ("good", "")
    assert good.zero_point == pytest.approx(through_flat(shot), abs=0.01)
    assert (bad.state, bad.reason) == ("failed", "no exposure time")
    assert site.one("SELECT count(*) FROM hold WHERE lifted IS NULL") == 0
    made = site.ask(
        "SELECT m.kind::text, m.frames, m.filter, count(f.id) AS registered FROM master_frame m JOIN master_member x ON x.master = m.id JOIN raw_data_file f ON f.id = x.file AND f.sha256 = x.sha256 GROUP BY m.id ORDER BY 1"
    )
    assert [tuple(r) for r in made] == [("bias", 3, "", 3), ("flat", 3, "R", 3)]
    assert good.flags == []
    assert set(good.detail["masters"]) == {"bias", "flat"}
    nf = Nf(database, tmp_path)
    identity = nf.json("cal", "list", "--failed")["calibrations"][0]["id"]
    answer = nf("cal", "show", identity[-8:], "--plot", str(tmp_path / "bad.png"))
    assert answer.code == 1
    assert "--exposure SECONDS" in answer.words
    assert (tmp_path / "bad.png").read_bytes()[:4] == b"\x89PNG"
    of = "SELECT t.content FROM calibration_table t JOIN calibration k ON k.id = t.calibration"
    content = bytes(site.one(f"{of} WHERE k.state = 'failed'"))
    assert shows_pixels(content)
    assert min(points(content)["frame"], points(content)["magnitude"]) > 30, "its stars are drawn"


def test_masters_are_made_once_and_again_when_there_are_more_frames(site: Ground) -> None:
    put_calibrations(site)
    shot = put_science(site, "n1/a.fits", 5)
    load(site, shot)
    site.ingest()
    site.once("dome", "calibrate")
    put_science(site, "n1/b.fits", 6)
    site.ingest()
    site.once("dome", "calibrate")
    assert site.one("SELECT count(*) FROM master_frame") == 2
    rng = np.random.default_rng(9)
    cards = sky.cards_of(
        CAMERA, IMAGETYP="BIAS", EXPTIME=0.0, DATE_OBS="2015-07-02T23:00:00", **WHO
    )
    site.put(
        "n1/bias9.fits", sky.fits_file(sky.read_out(CAMERA, np.zeros(CAMERA.shape), rng), cards)
    )
    put_science(site, "n1/c.fits", 7)
    site.ingest()
    site.once("dome", "calibrate")
    counts = site.ask("SELECT kind::text, frames FROM master_frame ORDER BY made")
    assert [tuple(r) for r in counts] == [("bias", 3), ("flat", 3), ("bias", 4)]


def test_without_masters_of_its_night_the_nearest_serve_and_it_is_said(site: Ground) -> None:
    put_calibrations(site, "n0", day=1)
    shot = put_science(site, "n1/a.fits", 5)
    load(site, shot)
    site.ingest()
    site.once("dome", "calibrate")
    (row,) = rows(site)
    assert row.state == "good"
    assert sorted(row.flags) == ["bias of 2015-07-01", "flat of 2015-07-01"]
    assert row.zero_point == pytest.approx(through_flat(shot), abs=0.01)


def here(site: Ground, database: str, folder: Path) -> Nf:
    """What a person types on the dome's host."""
    nf = Nf(database, folder, f"{{dome-source: {site.source}}}")
    nf.config.write_text(nf.config.read_text() + f"instruments: {folder / 'instruments'}\n")
    return nf


def test_a_failed_frame_is_of_its_night_and_good_again_when_its_header_is_corrected(
    site: Ground, tmp_path: Path, database: str
) -> None:
    put_calibrations(site)
    shot = put_science(site, "n1/a.fits", 5, EXPTIME=None)
    cube = np.zeros((2, 30, 30), np.uint16)
    site.put(
        "n1/b.fits",
        sky.fits_file(cube, sky.cards_of(CAMERA, DATE_OBS="2015-07-02T23:00:00", **WHO)),
    )
    load(site, shot)
    site.ingest()
    site.once("dome", "calibrate")
    nf = here(site, database, tmp_path)

    def of_night() -> list[tuple[str, str, str]]:
        found = nf.json("cal", "list", "--night", "2015-07-02")["calibrations"]
        return sorted((c["source_name"], c["state"], c["reason"]) for c in found)

    both = [("n1/a.fits", "failed", "no exposure time"), ("n1/b.fits", "failed", "a cube")]
    assert of_night() == both
    told = nf("headers", "correct", "n1/a.fits", "EXPTIME", "60", "--why", "the observer's log")
    assert told.code == 0, told.err
    again = nf("cal", "run", "--night", "2015-07-02")
    assert again.code == 1, "the cube is none yet"
    assert ("n1/a.fits", "good", "") in of_night(), again.out + again.err


def test_a_name_that_is_used_again_for_another_exposure_takes_no_magnitude_away(
    site: Ground, tmp_path: Path, database: str
) -> None:
    put_calibrations(site)
    shot = put_science(site, "n1/a.fits", 5)
    load(site, shot)
    nf = here(site, database, tmp_path)
    s = shot.sky.stars
    star = int(np.argmin(np.hypot((s.ra - RA) * np.cos(np.radians(DEC)), s.dec - DEC)))
    assert nf("target", "add", "A star", str(s.ra[star]), str(s.dec[star])).code == 0
    for again in (False, True):
        if again:
            put_science(site, "n1/a.fits", 5, DATE_OBS="2015-07-03T22:00:00")
        site.ingest()
        site.once("dome", "calibrate")
    relations = site.ask(
        "SELECT relation::text FROM raw_data_file WHERE path = 'n1/a.fits' ORDER BY ordinal"
    )
    assert [r.relation for r in relations] == ["first", "exposure"]
    assert [p["time"][:10] for p in nf.json("lightcurve", "A star")["points"]] == [
        "2015-07-02",
        "2015-07-03",
    ]
    assert nf.json("cal", "list", "--current")["matching"] == 2, "both are the newest of their own"
    assert nf("cal", "run", "--night", "2015-07-03", "--exposure", "30").code == 0
    times = [p["time"][:19] for p in nf.json("lightcurve", "A star")["points"]]
    assert [t.replace("T", " ") for t in times] == ["2015-07-02 22:00:30", "2015-07-03 22:00:15"]
