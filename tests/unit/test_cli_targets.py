"""Magnitudes of targets from tables: by place, by name, at each time, with both of their errors;
and what nf lightcurve writes of them."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from nightferry.catalogs import Found
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import cone
from nightferry.db import Database
from nightferry.photometry.measured import Exposure

from tests.typed import Nf
from tests.unit.photometry_sky import DEC, RA, InMemory, Truth, catalogue, observe

STAR = 7  # the target's number among the stars


@dataclass
class Field:
    """A field that a table was measured of, whose catalogue is in the cache."""

    nf: Nf
    folder: Path
    db: Database
    sky: InMemory = field(init=False)
    seen: Exposure = field(init=False)
    truth: Truth = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(51)
        self.sky = catalogue(rng, 80)
        self.seen, self.truth = observe(rng, self.sky)
        found = Found(self.sky.stars, cone(RA, DEC, 0.3))
        self.db.run(lambda tx: store(tx, self.sky.definition, found, "a test"))

    def place(self, north: float = 0.0) -> tuple[str, str]:
        """Where the target is, or so many arcsec beside it."""
        s = self.seen
        return f"{s.ra[STAR]:.7f}", f"{s.dec[STAR] + north / 3600:.7f}"

    def write(self, name: str, *starts: str, names: dict[int, str] | None = None) -> str:
        """The same measurements at each of these times."""
        s, n = self.seen, len(self.seen)
        star = [(names or {}).get(i, str(i)) for i in range(n)]
        rows = [
            {"star": star[i], "ra": s.ra[i], "dec": s.dec[i], "mag": s.magnitude[i],
             "magerr": s.error[i], "date-obs": start, "exptime": 1.0, "filter": "R"}
            for start in starts for i in range(n)
        ]  # fmt: skip
        Table(rows).write(self.folder / name, format="ascii.ecsv", overwrite=True)
        return str(self.folder / name)

    def data(self) -> list[Any]:
        return self.db.run(
            lambda tx: tx.execute("SELECT * FROM reduced_datum ORDER BY source_name, time, id")
        )


@pytest.fixture
def measured(database: str, tmp_path: Path) -> Any:
    db = Database(database, actor="test")
    yield Field(Nf(database, tmp_path), tmp_path, db)
    db.close()


def test_a_target_is_found_by_its_place_and_else_by_its_name_or_alias(measured: Field) -> None:
    nf = measured.nf
    for name, north, more in (
        ("by place", 1.0, ()), ("too far", 10.0, ()), ("Star A", 30.0, ()),
        ("by alias", -30.0, ("--alias", "V* b 1")), ("named but far", 90.0, ()),
    ):  # fmt: skip
        made = nf("target", "add", name, *measured.place(north), *more)
        assert made.code == 0, made.err
    everything = (
        ("1", "STAR a", "Star A"),
        ("2", "v*B1", "by alias"),
        ("3", "Named But Far", None),
    )
    for number, called, target in everything:
        table = measured.write(
            f"{number}.ecsv", f"2015-07-02T0{number}:00:00", names={STAR: called}
        )
        assert nf("cal", "run", table).code == 0
        points = {
            name: [p for p in nf.json("lightcurve", name)["points"]
                   if p["source_name"] == f"{number}.ecsv"]
            for name in ("by place", "too far", "Star A", "by alias", "named but far")
        }  # fmt: skip
        assert {n for n, p in points.items() if p} == {"by place", target} - {None}
        values = {p[0]["magnitude"] for p in points.values() if p}
        assert len(values) == 1, "it is the same star"


def test_an_equal_value_at_another_time_is_kept_and_at_the_same_time_replaced(
    measured: Field,
) -> None:
    nf = measured.nf
    nf("target", "add", "a star", *measured.place())
    table = measured.write("two.ecsv", "2015-07-02T01:00:00", "2015-07-02T02:00:00")
    assert nf("cal", "run", table).code == 0
    first = nf.json("lightcurve", "a star")["points"]
    assert len(first) == 2
    assert first[0]["magnitude"] == first[1]["magnitude"]
    assert [p["time"][11:19] for p in first] == ["01:00:00", "02:00:00"]
    # Of another file the same star at the same time is another measurement.
    copy = measured.write("copy.ecsv", "2015-07-02T02:00:00")
    assert nf("cal", "run", copy).code == 0
    assert nf("cal", "run", table).code == 0
    points = nf.json("lightcurve", "a star")["points"]
    assert sorted((p["source_name"], p["time"][11:13]) for p in points) == [
        ("copy.ecsv", "02"), ("two.ecsv", "01"), ("two.ecsv", "02"),
    ]  # fmt: skip
    rows = measured.data()
    assert [r.superseded is None for r in rows if r.source_name == "two.ecsv"].count(True) == 2
    assert len(rows) == 5
    assert {r.source_location.rpartition(":")[2] for r in rows} == {str(measured.folder)}


def test_an_error_is_in_two_parts_the_stars_own_and_the_zero_points(measured: Field) -> None:
    nf, seen = measured.nf, measured.seen
    nf("target", "add", "a star", *measured.place())
    table = measured.write("a.ecsv", "2015-07-02T01:00:00")
    (told,) = nf.json("cal", "run", table)
    out = measured.folder / "stars.fits"
    assert nf("cal", "show", told["id"][-8:], "--table", str(out)).code == 0
    with fits.open(io.BytesIO(out.read_bytes())) as hdus:
        stars = Table(hdus["STARS"].data)
        units = hdus["STARS"].columns.units
    assert set(units) <= {"deg", "pix", "mag", ""}
    own, common = np.array(stars["mag_error"]), np.array(stars["mag_zero_point_error"])
    np.testing.assert_allclose(own, seen.error, rtol=1e-9)
    s = measured.sky.stars.numbers
    relative = s["BP"] - s["RP"] - told["colour_reference"]
    expected = np.hypot(told["zero_point_error"], told["colour_term_error"] * relative)
    np.testing.assert_allclose(common, expected, rtol=1e-5)
    assert common.min() >= told["zero_point_error"] > told["fit_error"] > 0
    assert not np.allclose(own, common)
    (row,) = measured.data()
    assert row.error == pytest.approx(own[STAR])
    assert row.zero_point_error == pytest.approx(common[STAR])
    (point,) = nf.json("lightcurve", "a star")["points"]
    assert (point["error"], point["zero_point_error"]) == (row.error, row.zero_point_error)


def test_a_light_curve_is_a_picture_and_a_table_with_all_that_is_known(measured: Field) -> None:
    nf, out = measured.nf, measured.folder / "out"
    nf("target", "add", "V* a 1", *measured.place())
    table = measured.write("two.ecsv", "2015-07-02T01:00:00", "2015-07-02T02:00:00")
    assert nf("cal", "run", table).code == 0
    answer = nf("lightcurve", "V* a 1", "-o", str(out))
    assert answer.code == 0
    (picture,) = out.glob("*.svg")
    root = ElementTree.fromstring(picture.read_bytes())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    drawn = [e for e in root.iter() if e.tag.endswith("}use") or e.tag.endswith("}path")]
    assert len(drawn) > 10
    assert {p.suffix for p in out.iterdir()} == {".png", ".svg", ".csv"}
    (written,) = out.glob("*.csv")
    with written.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "time", "mjd", "bjd_tdb", "band", "system", "magnitude", "error", "zero_point_error",
        "limiting", "flags", "source_name", "source_location", "catalog", "transformation",
    ]  # fmt: skip
    points = nf.json("lightcurve", "V* a 1")["points"]
    for row, point in zip(rows, points, strict=True):
        for name in ("mjd", "bjd_tdb", "magnitude", "error", "zero_point_error", "limiting"):
            assert float(row[name]) == point[name], name
        assert row["time"][:19] == point["time"][:19].replace(" ", "T")
        told = [row[n] for n in ("band", "system", "catalog", "transformation", "source_name")]
        assert told == ["R", "Vega", "gaia-dr2", "gaia-dr2-evans", "two.ecsv"]
    assert float(rows[1]["mjd"]) - float(rows[0]["mjd"]) == pytest.approx(1 / 24)
    assert nf("lightcurve", "V* a 1", "--band", "V", "-o", str(out)).code == 1
