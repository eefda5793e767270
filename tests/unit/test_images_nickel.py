"""A real night of the Nickel telescope: its own bias and flats, two fields of Landolt's standards."""

from pathlib import Path
from typing import Any

import pytest

from tests.typed import Nf

FRAMES = "frames/nickel_20240513"
EXTINCTION = 0.14  # mag an airmass, in V


@pytest.fixture
def nf(database: str, tmp_path: Path, night_data: Path) -> Nf:
    made = Nf(database, tmp_path)
    answer = made(
        "catalog", "load", str(night_data / "photometry/nlandolt.dat"), "--catalog", "landolt"
    )
    assert answer.code == 0, answer.err
    return made


def calibrated(nf: Nf, night_data: Path, frame: str, *words: str) -> Any:
    (told,) = nf.json("cal", "run", str(night_data / FRAMES / frame), *words)
    return told


def test_x(nf, night_data, tmp_path):
    import json

    for f in ("d1047", "d1083"):
        t = calibrated(nf, night_data, f + ".fits", "--min-stars", "2", "--out", "/tmp/w/u-img/out")
        print(nf("cal","show",t["id"][-8:]).out, t["detail"]["wcs"], t["detail"]["rejected"])
    a = nf("cal", "show", t["id"][-8:])
    print(a.out, a.err)
