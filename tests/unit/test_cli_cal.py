"""nf cal, nf catalog, nf target and nf lightcurve, on a real night of EY UMa."""

import csv
from pathlib import Path

import pytest

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
