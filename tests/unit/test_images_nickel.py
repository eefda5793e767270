"""A real night of the Nickel telescope: its own bias and flats, two fields of Landolt's standards."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from tests.typed import Nf

FRAMES = "frames/nickel_20240513"
EXTINCTION = 0.14  # mag an airmass, in V
TOLERANCE = 12.0  # arcsec, of Landolt's places


@pytest.fixture
def nf(database: str, tmp_path: Path, night_data: Path) -> Nf:
    made = Nf(database, tmp_path)
    lists = str(night_data / "photometry/nlandolt.dat")
    answer = made("catalog", "load", lists, "--catalog", "landolt")
    assert answer.code == 0, answer.err
    return made


def calibrated(nf: Nf, frame: Path, *words: str) -> Any:
    (told,) = nf.json("cal", "run", str(frame), *words)
    return told


@pytest.mark.slow
def test_two_fields_of_standards_agree_and_what_is_wrong_with_a_star_is_said(
    nf: Nf, night_data: Path, tmp_path: Path
) -> None:
    frames = night_data / FRAMES
    first = calibrated(nf, frames / "d1047.fits", "--min-stars", "2")
    second = calibrated(nf, frames / "d1083.fits", "--min-stars", "2")
    for told in (first, second):
        assert told["state"] == "good", told["advice"]
        assert (told["unit"], told["band"], told["catalog"]) == ("e-/s", "V", "landolt")
        assert told["detail"]["wcs"]["how"] == "shift"
        assert told["detail"]["wcs"]["rms"] < TOLERANCE / 2
        assert told["detail"]["masters"].keys() == {"bias", "flat"}
    # The header is off by 10″ here and by 22″ there.
    assert np.hypot(*first["detail"]["wcs"]["offset"]) < 15
    assert 15 < np.hypot(*second["detail"]["wcs"]["offset"]) < 30
    shown = [nf.json("cal", "show", t["id"][-8:]) for t in (first, second)]
    outside = [s["zero_point"] + EXTINCTION * s["airmass"] for s in shown]
    assert abs(outside[0] - outside[1]) < 0.05
    # PG1323-086A has varied; B's declination is a minute off in the list.
    (rejected,) = first["detail"]["rejected"]
    assert rejected["star"] == "PG1323-086A"
    assert -10 < rejected["z"] < -4
    assert first["matched"] == 3
    (said,) = [f for f in first["flags"] if "PG1323-086B" in f]
    assert "a star of its magnitude is 60″ north" in said
    answer = nf("cal", "show", first["id"][-8:], "--table", str(tmp_path / "t.fits"))
    assert "rejected: PG1323-086A" in answer.words
    with fits.open(io.BytesIO((tmp_path / "t.fits").read_bytes())) as hdus:
        names = [h.name for h in hdus]
    assert names == ["PRIMARY", "STARS", "CATALOG", "PICTURE", "GROWTH"]


@pytest.mark.slow
def test_clusters_without_a_catalogue_fail_with_a_plot(
    nf: Nf, night_data: Path, tmp_path: Path
) -> None:
    for name in ("d1048.fits", "d1059.fits"):  # NGC 4147 and M13
        frame = night_data / FRAMES / name
        told = calibrated(nf, frame, "--out", str(tmp_path / name))
        assert (told["state"], told["reason"]) == ("failed", "no catalogue tile")
        assert [p.suffix for p in sorted((tmp_path / name).iterdir())] == [".fits", ".png"]
    masters = nf.json("cal", "list")["calibrations"]
    assert len(masters) == 2
