"""nf cal run on images: a night's and a target's again, and a failure after a success."""

from pathlib import Path
from typing import Any

import pytest
from nightferry.catalogs import Found
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import cone
from nightferry.db import Database
from nightferry.testing.sky import Camera, Moffat

from tests.typed import Nf
from tests.unit.imaging_sky import Shot, shoot
from tests.unit.photometry_sky import DEC, RA

CAMERA = Camera(shape=(360, 400), scale=1.0, psf=Moffat(3.4, 3.4), sky=200.0, overscan=24)
FRAMES = {
    "a.fits": "2015-07-02T22:00:00", "b.fits": "2015-07-02T22:10:00",
    "c.fits": "2015-07-02T22:20:00", "d.fits": "2015-07-03T22:00:00",
}  # fmt: skip


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


@pytest.fixture
def shot(database: str, tmp_path: Path) -> Shot:
    """Four frames of two nights in a folder, and the stars in the cache."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for name, start in FRAMES.items():
        made = shoot(5, stars=60, camera=CAMERA, apart_by=15.0, DATE_OBS=start)
        (frames / name).write_bytes(made.content)
    known = made.sky
    db = Database(database, actor="test")
    found = Found(known.stars, cone(RA, DEC, 0.2))
    db.run(lambda tx: store(tx, known.definition, found, "a test"))
    db.close()
    return made


def bright(shot: Shot) -> tuple[str, str]:
    """The place of a star that is in the middle and not saturated."""
    s = shot.sky.stars
    inside = (abs(s.ra - RA) < 0.03) & (abs(s.dec - DEC) < 0.03) & (s.numbers["G"] > 14.5)
    k = int((s.numbers["G"] + 99 * ~inside).argmin())
    return f"{s.ra[k]:.6f}", f"{s.dec[k]:.6f}"


def current(nf: Nf) -> dict[str, Any]:
    rows = nf.json("cal", "list", "--current")["calibrations"]
    return {r["source_name"]: r for r in rows}


def test_a_nights_images_are_calibrated_again_and_solved_together(
    nf: Nf, shot: Shot, tmp_path: Path
) -> None:
    assert nf("target", "add", "a star", *bright(shot)).code == 0
    for name in FRAMES:
        assert nf("cal", "run", str(tmp_path / "frames" / name)).code == 0
    before = current(nf)
    again = nf("cal", "run", "--night", "2015-07-02")
    assert again.code == 0, again.out + again.err
    assert "3 exposures calibrated, 3 magnitudes of targets" in again.last
    assert "3 exposures and" in again.words
    assert nf.json("cal", "list")["matching"] == 7
    after = current(nf)
    assert after.keys() == before.keys() == set(FRAMES)
    changed = {name for name in FRAMES if after[name]["id"] != before[name]["id"]}
    assert changed == {"a.fits", "b.fits", "c.fits"}
    for name in changed:
        assert after[name]["zero_point"] == pytest.approx(before[name]["zero_point"], abs=1e-9)
        assert after[name]["zero_point"] == pytest.approx(shot.zero_point, abs=0.02)
    points = nf.json("lightcurve", "a star")["points"]
    assert [p["source_name"] for p in points] == list(FRAMES)
    together = ["by the whole night" in p["flags"] for p in points]
    assert together == [True, True, True, False]
    nothing = nf("cal", "run", "--night", "2015-07-20")
    assert nothing.code == 1


def test_what_shows_a_target_is_calibrated_again_and_no_other_image(
    nf: Nf, shot: Shot, tmp_path: Path
) -> None:
    for name in ("a.fits", "d.fits"):
        assert nf("cal", "run", str(tmp_path / "frames" / name)).code == 0
    assert nf("target", "add", "a star", *bright(shot)).code == 0
    assert nf("cal", "run", str(tmp_path / "frames/b.fits")).code == 0
    again = nf("cal", "run", "--target", "a star")
    assert again.code == 0, again.out + again.err
    assert again.last == "1 exposure calibrated, 1 magnitude of targets."
    listed = nf.json("cal", "list")["calibrations"]
    assert sorted(r["source_name"] for r in listed) == ["a.fits", "b.fits", "b.fits", "d.fits"]
    points = nf.json("lightcurve", "a star")["points"]
    assert [p["source_name"] for p in points] == ["b.fits"]


def test_a_failed_run_after_a_good_one_leaves_the_good_one_current(
    nf: Nf, shot: Shot, tmp_path: Path
) -> None:
    frame = str(tmp_path / "frames/a.fits")
    assert nf("target", "add", "a star", *bright(shot)).code == 0
    assert nf("cal", "run", frame).code == 0
    good = current(nf)
    points = nf.json("lightcurve", "a star")["points"]
    for words, reason in (
        ((frame, "--min-stars", "900"), "too few stars"),
        (("--night", "2015-07-02", "--catalog", "landolt"), "no catalogue tile"),
        ((frame, "--band", "zP1", "--transformation", "gaia-dr2-evans"), "outside every transformation"),
    ):  # fmt: skip
        failed = nf.json("cal", "run", *words)
        assert [(f["state"], f["reason"]) for f in failed] == [("failed", reason)]
        assert nf("cal", "run", *words).code == 1
    assert nf.json("cal", "list")["matching"] == 7
    assert len(nf.json("cal", "list", "--failed")["calibrations"]) == 6
    assert current(nf) == good
    assert nf.json("lightcurve", "a star")["points"] == points
