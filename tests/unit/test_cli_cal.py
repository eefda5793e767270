"""nf cal, nf catalog, nf target and nf lightcurve, on a real night of EY UMa."""

import csv
from pathlib import Path

import pytest
from astropy.table import Table, vstack

from tests.typed import Nf

EYUMA = "photometry/eyuma"
NIGHT = f"{EYUMA}/2014-12-29-ey-uma-9.fits"


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def test_a_night_of_photometry_becomes_zero_points_and_a_light_curve(
    nf: Nf, night_data: Path, tmp_path: Path
) -> None:
    loaded = nf("catalog", "load", str(night_data / EYUMA / "all_refcat2_ey_uma.ecsv"))
    assert loaded.code == 0, loaded.err
    assert "ATLAS-Refcat2" in loaded.last
    assert nf("target", "add", "EY UMa", "135.5865", "49.81926", "--alias", "V* EY UMa").code == 0
    done = nf("cal", "run", str(night_data / NIGHT), "--gain", "1.47")
    assert done.code == 0, done.err
    assert done.last == "94 exposures calibrated, 94 magnitudes of targets."
    assert "94 exposures and 41 stars together" in done.words
    assert "the brightest stars repeat within 0.00" in done.words
    listed = nf.json("cal", "list", "--current", "--limit", "100")
    assert listed["matching"] == 94
    assert {c["unit"] for c in listed["calibrations"]} == {"e-/s"}
    curve = nf("lightcurve", "v* eyuma", "-o", str(tmp_path / "out"))
    assert curve.code == 0, curve.out + curve.err
    with open(tmp_path / "out/EY_UMa.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 94
    assert (tmp_path / "out/EY_UMa.png").read_bytes()[:4] == b"\x89PNG"
    again = nf("cal", "run", str(night_data / NIGHT), "--gain", "1.47")
    assert again.code == 0
    assert nf.json("cal", "list", "--limit", "200")["matching"] == 188
    assert nf.json("cal", "list", "--current", "--limit", "200")["matching"] == 94
    assert len(nf.json("lightcurve", "EY UMa")["points"]) == 94
    solved, *earlier = nf.json("cal", "night", "2014-12-29", "--solve")
    assert [s["current"] for s in earlier] == [False, False]
    assert (solved["state"], solved["exposures"], solved["stars"]) == ("good", 94, 41)
    assert solved["repeats"] <= 0.007
    assert solved["repeats_worst"] <= 0.010
    assert solved["zero_point"] == pytest.approx(20.72, abs=0.02)
    points = nf.json("lightcurve", "EY UMa")["points"]
    assert len(points) == 94
    assert all("by the whole night" in p["flags"] for p in points)


def some_exposures(night_data: Path, path: Path, count: int) -> None:
    table = Table.read(night_data / NIGHT)
    first = sorted(set(table["date-obs"]))[:count]
    table[[stamp in first for stamp in table["date-obs"]]].write(path)


def test_what_gave_a_targets_magnitudes_is_calibrated_again_and_solved_together(
    nf: Nf, night_data: Path, tmp_path: Path
) -> None:
    nf("catalog", "load", str(night_data / EYUMA / "all_refcat2_ey_uma.ecsv"))
    nf("target", "add", "EY UMa", "135.5865", "49.81926", "--alias", "V* EY UMa")
    some_exposures(night_data, tmp_path / "five.ecsv", 5)
    first = nf("cal", "run", str(tmp_path / "five.ecsv"), "--gain", "1.47")
    assert first.last == "5 exposures calibrated, 5 magnitudes of targets."
    alone = nf.json("lightcurve", "EY UMa")["points"]
    again = nf("cal", "run", "--target", "v* eyuma", "--gain", "1.47")
    assert again.code == 0, again.out + again.err
    assert "5 exposures and 41 stars together" in again.words
    assert "the magnitude of 1 e-/s of a star of gP1-rP1 = 0.5" in again.words
    assert nf.json("cal", "list")["matching"] == 10
    assert nf.json("cal", "list", "--current")["matching"] == 5
    points = nf.json("lightcurve", "EY UMa")["points"]
    assert [p["time"] for p in points] == [p["time"] for p in alone]
    assert all("by the whole night" in p["flags"] for p in points)
    assert nf("cal", "run", "--target", "nobody").code == 1
    nf("cal", "night", "2014-12-29", "--solve")
    both = nf.json("cal", "night", "2014-12-29")
    assert [s["current"] for s in both] == [True, False, False], "earlier solutions are kept"
    nf("cal", "run", str(tmp_path / "five.ecsv"), "--gain", "1.47")
    newest = nf.json("lightcurve", "EY UMa")["points"]
    assert len(newest) == 5
    assert all("by the whole night" in p["flags"] for p in newest), "a file is solved by itself"


def test_a_file_of_several_fields_is_calibrated_where_there_is_a_catalogue(
    nf: Nf, night_data: Path, tmp_path: Path
) -> None:
    nf("catalog", "load", str(night_data / EYUMA / "all_refcat2_ey_uma.ecsv"))
    night = Table.read(night_data / NIGHT)
    here, there = (night[night["date-obs"] == t] for t in sorted(set(night["date-obs"]))[:2])
    there["RA"] += 40.0
    mixed = vstack([here, there], metadata_conflicts="silent")
    mixed.write(tmp_path / "two.ecsv")
    done = nf("cal", "run", str(tmp_path / "two.ecsv"), "--out", str(tmp_path / "out"))
    assert done.code == 1
    assert "1 exposure calibrated, 1 failed" in done.last
    assert "no catalogue tile" in done.words
    drawn = sorted(p.suffix for p in (tmp_path / "out").iterdir())
    assert drawn == [".fits", ".fits", ".png", ".png"]


def test_what_is_said_wrongly_is_said_so(nf: Nf, night_data: Path) -> None:
    file = str(night_data / NIGHT)
    for words, told in (
        (("--catalog", "gaia-dr9"), "no catalogue 'gaia-dr9'"),
        (("--transformation", "mine"), "no transformation 'mine'"),
        (("--column", "colour=x"), "--column"),
        (("--start", "tonight"), "no time such as"),
        (("--instrument", "none"), "no instrument 'none'"),
    ):
        answer = nf("cal", "run", file, *words)
        assert answer.code == 3
        assert told in answer.err
    assert nf("cal", "run").code == 3
    assert nf("lightcurve", "nobody").code == 1
    assert nf("cal", "show", "ffffffff").code == 3
