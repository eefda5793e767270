"""The calibrator and a remote archive: what the cache lacks is asked there once, and kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from nightferry import catalogs
from nightferry.catalogs.files import read
from nightferry.catalogs.tap import Tap

from tests.daemons.ground import Ground, ground
from tests.daemons.night_of_stars import REFCAT2, exposures
from tests.daemons.test_calibrate import states
from tests.typed import Nf
from tests.unit.test_catalogs import StandIn, archive


def gaia_of(night_data: Path) -> Table:
    """The stars of EY UMa's field as Gaia's archive would give them: Refcat2 holds its magnitudes."""
    _, found = read(night_data / REFCAT2, catalogs.definitions())
    s = found.stars
    good = np.isfinite(s.numbers["BP"] + s.numbers["RP"])
    n = int(good.sum())
    table = Table({"source_id": np.arange(n), "ra": s.ra[good], "dec": s.dec[good]})
    table["pmra"], table["pmdec"] = 0.0, 0.0
    for band, name in (("G", "g"), ("BP", "bp"), ("RP", "rp")):
        table[f"phot_{name}_mean_mag"] = s.numbers[band][good]
        table[f"phot_{name}_mean_flux_over_error"] = 300.0
    table["phot_bp_rp_excess_factor"], table["astrometric_excess_noise"] = 1.2, 0.1
    return table


@pytest.fixture
def sky(night_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "table", gaia_of(night_data))


@pytest.fixture
def site(database: str, tmp_path: Path, sky: None) -> Iterator[Ground]:
    """A dome with tables of measured stars, whose calibrator may ask Gaia's archive."""
    made = ground(tmp_path, database, source={"content": "photometry"}, keep=None)
    config = made.sites.config("dome")
    config.write_text(f"{config.read_text()}calibrate: {{remote: [gaia-dr3]}}\n")
    yield made
    made.db.close()


def answers_at(monkeypatch: pytest.MonkeyPatch, there: Tap) -> None:
    """Gaia DR3's archive is the stand-in, for whoever reads the definitions."""
    known = {**catalogs.definitions(), "gaia-dr3": there.definition}
    monkeypatch.setattr("nightferry.catalogs.definitions", lambda: known)
    monkeypatch.setattr("nightferry.cli.calibrations.run.definitions", lambda: known)


def loads(site: Ground) -> list[Any]:
    return site.ask("SELECT catalog, source, stars FROM catalog_load ORDER BY at")


def test_a_tile_that_is_missing_is_asked_of_the_archive_once_and_kept(
    site: Ground, night_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = exposures(night_data, 2)
    with archive() as there:
        answers_at(monkeypatch, there)
        site.put("a.ecsv", first)
        site.ingest()
        site.once("dome", "calibrate")
        assert states(site) == [("a.ecsv", "good", "")]
        assert len(StandIn.asked) == 1
        site.put("b.ecsv", second)
        site.ingest()
        site.once("dome", "calibrate")
        assert len(StandIn.asked) == 1, "the field is in the cache now"
    assert [s for _, s, _ in states(site)] == ["good", "good"]
    (load,) = loads(site)
    assert load.catalog == "gaia-dr3"
    assert load.source.startswith("http://127.0.0.1:")
    assert load.stars > 20
    rows = site.ask("SELECT catalog, transformation, zero_point FROM calibration")
    assert {(r.catalog, r.transformation) for r in rows} == {("gaia-dr3", "gaia-dr3-riello")}
    for row in rows:
        assert row.zero_point == pytest.approx(20.3, abs=0.1)


def test_while_the_archive_refuses_nothing_is_made_up_and_later_it_is_done(
    site: Ground, night_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with archive(400, "OVERFLOW") as there:
        answers_at(monkeypatch, there)
        site.put("a.ecsv", exposures(night_data, 1)[0])
        site.ingest()
        for _ in range(20):  # it puts the file off, twice
            site.once("dome", "calibrate")
            if states(site):
                break
        assert len(StandIn.asked) == 3
    assert states(site) == [("a.ecsv", "good", "")], "never a failure that was the archive's"
    assert len(loads(site)) == 1


def test_by_hand_the_archive_is_asked_only_where_somebody_says_so(
    database: str, tmp_path: Path, sky: None, night_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nf = Nf(database, tmp_path)
    file = tmp_path / "a.ecsv"
    file.write_bytes(exposures(night_data, 1)[0])
    with archive() as there:
        answers_at(monkeypatch, there)
        asked = ("cal", "run", str(file), "--catalog", "gaia-dr3")
        (alone,) = nf.json(*asked)
        assert (alone["state"], alone["reason"]) == ("failed", "no catalogue tile")
        assert StandIn.asked == ()
        (told,) = nf.json(*asked, "--remote")
        assert told["state"] == "good", told["advice"]
        assert len(StandIn.asked) == 1
        (again,) = nf.json(*asked)
        assert again["zero_point"] == pytest.approx(told["zero_point"], abs=1e-3)
        assert len(StandIn.asked) == 1
    (known,) = nf.json("catalog", "loads")
    assert known["source"].startswith("http://127.0.0.1:")
