"""nf catalog load: a file of Pan-STARRS, as its archive and as VizieR write it."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from tests.typed import Nf
from tests.unit.photometry_sky import DEC, RA

MISSING = -999.0  # as MAST writes what it does not have


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def pan_starrs(n: int = 400) -> Table:
    """Stars as MAST's MeanObjectView has them, in a box of half a degree; some lack a magnitude, some
    are galaxies."""
    rng = np.random.default_rng(61)
    r = 19.0 - rng.exponential(1.5, n).clip(0, 5)
    colour = rng.normal(0.5, 0.2, n).clip(-0.2, 1.1)
    table = Table({"objID": 140_000_000_000_000_000 + np.arange(n)})
    x, y = np.divmod(np.arange(n), 20)  # each stands alone
    east, north = (0.5 * (v + rng.uniform(0.2, 0.8, n)) / 20 - 0.25 for v in (x, y))
    beside = np.arange(7, n, 50)  # those without r: 2 arcsec from a good one
    east[beside], north[beside] = east[beside + 1], north[beside + 1] + 2.0 / 3600
    table["raMean"] = RA + east / np.cos(np.radians(DEC))
    table["decMean"] = DEC + north
    for band, magnitude in (
        ("g", r + colour),
        ("r", r),
        ("i", r - 0.3 * colour),
        ("z", r - 0.4 * colour),
    ):
        table[f"{band}MeanPSFMag"], table[f"{band}MeanPSFMagErr"] = magnitude, 0.003
    table["iMeanKronMag"] = table["iMeanPSFMag"] + np.where(np.arange(n) % 20 == 3, -0.4, 0.0)
    table["zMeanPSFMag"][::10] = MISSING
    table["gMeanPSFMag"][5::50] = MISSING
    table["rMeanPSFMag"][7::50] = table["rMeanPSFMagErr"][7::50] = MISSING
    return table


def measurements(stars: Table, path: Path, zero: float, term: float) -> None:
    """A table of an exposure in rP1 of the stars whose light is known."""
    rng = np.random.default_rng(62)
    seen = stars[stars["rMeanPSFMag"] > 0]
    seen = seen[np.abs(np.array(seen["decMean"]) - DEC) < 0.2]
    seen = seen[np.abs(np.array(seen["raMean"]) - RA) < 0.2]
    colour = np.where(seen["gMeanPSFMag"] > 0, seen["gMeanPSFMag"] - seen["rMeanPSFMag"], 0.5)
    magnitude = seen["rMeanPSFMag"] - zero - term * (colour - 0.5)
    table = Table({"ra": seen["raMean"], "dec": seen["decMean"]})
    table["mag"], table["magerr"] = magnitude + rng.normal(0, 0.01, len(seen)), 0.01
    table["date-obs"], table["exptime"], table["filter"] = "2015-07-02T01:00:00", 1.0, "rP1"
    table.write(path, format="ascii.ecsv")


WITHIN = ("--within", f"{RA},{DEC},0.35")


def test_a_file_of_pan_starrs_is_known_by_its_columns_and_calibrates_by_its_own_bands(
    nf: Nf, tmp_path: Path
) -> None:
    stars = pan_starrs()
    stars.write(tmp_path / "ps1.csv", format="ascii.csv")
    loaded = nf("catalog", "load", str(tmp_path / "ps1.csv"), *WITHIN)
    assert loaded.code == 0, loaded.err
    assert loaded.last.startswith("Pan-STARRS1 DR1 and DR2, mean objects: ")
    (row,) = nf.json("catalog", "list")
    assert row["name"] == "ps1"
    assert 300 < row["stars"] <= 400
    measurements(stars, tmp_path / "a.ecsv", zero=24.5, term=0.03)
    (told,) = nf.json("cal", "run", str(tmp_path / "a.ecsv"))
    assert told["state"] == "good", told["advice"]
    names = [told[k] for k in ("band", "system", "catalog", "transformation", "colour")]
    assert names == ["rP1", "AB", "ps1", "ps1-own", "gP1-rP1"]
    assert told["zero_point"] == pytest.approx(24.5, abs=0.004)
    assert told["colour_term"] == pytest.approx(0.03, abs=0.02)
    rejected = told["detail"]["not used"]
    assert rejected["extended"] > 5, "PSF less Kron magnitude of a galaxy"
    assert rejected["no colour"] > 2, "a magnitude of -999 is none"
    assert "blended" not in rejected, "the light of a star without a magnitude is not that of -999"


def test_the_same_from_vizier_is_known_by_the_tables_name(nf: Nf, tmp_path: Path) -> None:
    stars = pan_starrs()
    table = Table(
        {"objID": stars["objID"], "RAJ2000": stars["raMean"], "DEJ2000": stars["decMean"]}
    )
    for band in "griz":
        table[f"{band}mag"] = np.ma.masked_equal(np.array(stars[f"{band}MeanPSFMag"]), MISSING)
        table[f"e_{band}mag"] = np.array(stars[f"{band}MeanPSFMagErr"])
    table.meta["name"] = "II/349/ps1"
    table.write(tmp_path / "vizier.ecsv", format="ascii.ecsv")
    answer = nf.json("catalog", "load", str(tmp_path / "vizier.ecsv"), *WITHIN)
    assert answer["catalog"] == "ps1"
    assert answer["stars"] + answer["left_out"] == 400
    measurements(stars, tmp_path / "a.ecsv", zero=22.0, term=0.0)
    (told,) = nf.json("cal", "run", str(tmp_path / "a.ecsv"), "--band", "R")
    assert told["state"] == "good", told["advice"]
    assert [told[k] for k in ("band", "catalog", "transformation")] == ["R", "ps1", "ps1-tonry"]
