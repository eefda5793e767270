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
