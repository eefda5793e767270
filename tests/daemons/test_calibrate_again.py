"""Calibrated again: what is replaced, what is kept, and how what failed becomes good."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.table import Table
from nightferry.catalogs import Found
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import cone

from tests.daemons.ground import Ground, ground
from tests.daemons.night_of_stars import NIGHT, exposures, load_stars
from tests.typed import Nf
from tests.unit import photometry_files
from tests.unit.photometry_sky import DEC, RA


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A dome whose instrument writes tables of measured stars."""
    made = ground(tmp_path, database, source={"content": "photometry"}, keep=None)
    yield made
    made.db.close()


def test_a_second_run_replaces_what_is_current_and_keeps_the_first(
    site: Ground, night_data: Path, tmp_path: Path, database: str
) -> None:
    load_stars(site, night_data)
    path = site.put("a.ecsv", exposures(night_data, 1)[0])
    nf = Nf(database, tmp_path, f"{{dome-source: {site.source}}}")
    assert nf("target", "add", "EY UMa", "135.5865", "49.81926").code == 0
    site.ingest()
    site.once("dome", "calibrate")
    first = nf.json("lightcurve", "EY UMa")["points"]
    again = nf("cal", "run", "--night", "2014-12-29", "--transformation", "gaia-dr2-evans")
    assert again.code == 0, again.out + again.err
    second = nf.json("lightcurve", "EY UMa")["points"]
    assert [p["transformation"] for p in first + second] == ["ps1-tonry", "gaia-dr2-evans"]
    assert path.is_file()
    assert nf.json("cal", "list")["matching"] == 2
    current = nf.json("cal", "list", "--current")
    assert [c["transformation"] for c in current["calibrations"]] == ["gaia-dr2-evans"]
    (all_data,) = site.ask("SELECT count(*) FROM reduced_datum")
    assert all_data[0] == 2, "what was replaced is kept"


def load_simulated(site: Ground) -> None:
    """The stars of tests.unit.photometry_files, and of nothing beside their field."""
    known, tiles = photometry_files.SKY, cone(RA, DEC, 0.3)
    site.db.run(lambda tx: store(tx, known.definition, Found(known.stars, tiles), "a test"))


def here(site: Ground, database: str, folder: Path) -> Nf:
    return Nf(database, folder, f"{{dome-source: {site.source}}}")


def listed(nf: Nf, night: str) -> list[tuple[str, str, str]]:
    """What 'nf cal list' has of a night, oldest first."""
    found = nf.json("cal", "list", "--night", night)["calibrations"]
    return [(c["source_name"], c["state"], c["reason"]) for c in reversed(found)]


def test_a_failed_table_is_of_its_night_and_good_again_when_its_header_is_corrected(
    site: Ground, tmp_path: Path, database: str
) -> None:
    load_simulated(site)
    bad = photometry_files.table(exptime=None)
    site.put("stars.fits", photometry_files.written(bad, "fits"))
    site.put("words.csv", b"no table at all")
    site.ingest()
    site.once("dome", "calibrate")
    nf = here(site, database, tmp_path)
    failed = ("stars.fits", "failed", "no exposure time")
    assert listed(nf, "2015-07-01") == [failed]
    arrival = site.one("SELECT night::text FROM raw_data_file WHERE path = 'words.csv'")
    assert listed(nf, arrival) == [("words.csv", "failed", "not a photometry table")]
    told = nf("headers", "correct", "stars.fits", "EXPTIME", "60", "--why", "the observer's log")
    assert told.code == 0, told.err
    again = nf("cal", "run", "--night", "2015-07-01")
    assert again.code == 0, again.out + again.err
    assert listed(nf, "2015-07-01") == [failed, ("stars.fits", "good", "")]


def magnitudes(nf: Nf) -> list[tuple[str, bool]]:
    """The light curve of EY UMa: when, and whether by the whole night."""
    found = nf.json("lightcurve", "EY UMa")["points"]
    return [(p["time"], "by the whole night" in p["flags"]) for p in found]


def test_another_start_or_exposure_replaces_the_magnitudes_of_the_same_exposures_alone(
    site: Ground, night_data: Path, tmp_path: Path, database: str
) -> None:
    load_stars(site, night_data)
    nf = here(site, database, tmp_path)
    assert nf("target", "add", "EY UMa", "135.5865", "49.81926").code == 0
    several = Table.read(night_data / NIGHT)
    stamps = sorted(set(several["date-obs"]))[:5]
    several[[s in stamps[:4] for s in several["date-obs"]]].write(tmp_path / "all.ecsv")
    path = site.put("night/all.ecsv", (tmp_path / "all.ecsv").read_bytes())
    site.put("night/one.ecsv", exposures(night_data, 5)[4])
    site.ingest()
    site.once("dome", "calibrate")
    first = magnitudes(nf)
    assert len(first) == 5
    answer = nf("cal", "run", str(path), "--exposure", "20")
    assert answer.code == 0, answer.out + answer.err
    second = magnitudes(nf)
    assert len(second) == 5, "the four of this file are replaced"
    assert {t for t, _ in first} & {t for t, _ in second} == {first[4][0]}
    assert nf("cal", "run", "--night", "2014-12-29", "--exposure", "30").code == 0
    third = magnitudes(nf)
    assert len(third) == 5, "and each by the whole night"
    assert all(whole for _, whole in third)
    one = site.source / "night/one.ecsv"
    assert nf("cal", "run", str(one), "--start", "2014-12-30T09:00:00").code == 0
    assert len(magnitudes(nf)) == 5
    assert magnitudes(nf)[:4] == third[:4]
    assert site.one("SELECT count(*) FROM reduced_datum WHERE superseded IS NOT NULL") >= 14


def test_of_files_by_hand_with_no_date_the_same_bytes_are_the_same_exposure(
    site: Ground, night_data: Path, tmp_path: Path, database: str
) -> None:
    load_stars(site, night_data)
    nf = Nf(database, tmp_path)
    assert nf("target", "add", "EY UMa", "135.5865", "49.81926").code == 0
    for number, times in ((0, ("04:00", "05:00")), (1, ("06:00",))):
        undated = Table.read(exposures(night_data, 2)[number].decode(), format="ascii.ecsv")
        undated.remove_columns([c for c in ("date-obs", "jd", "mjd") if c in undated.colnames])
        undated.meta.clear()
        undated.write(tmp_path / "undated.ecsv", overwrite=True)
        for time in times:
            words = ("--start", f"2014-12-30T{time}", "--exposure", "30")
            answer = nf("cal", "run", str(tmp_path / "undated.ecsv"), *words)
            assert answer.code == 0, answer.out + answer.err
    assert [t[11:13] for t, _ in magnitudes(nf)] == ["05", "06"]
