"""The calibrator: files of photometry become zero points as they come, and failures become rows."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.daemons.ground import Ground, ground
from tests.daemons.night_of_stars import exposures, load_stars
from tests.typed import Nf
from tests.unit.plotted import points


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A dome whose instrument writes tables of measured stars."""
    made = ground(tmp_path, database, source={"content": "photometry"}, keep=None)
    yield made
    made.db.close()


def states(site: Ground) -> list[tuple[str, str, str]]:
    rows = site.ask(
        "SELECT source_name, state::text, reason FROM calibration ORDER BY made, source_name"
    )
    return [tuple(r) for r in rows]


def test_a_file_of_photometry_is_calibrated_as_it_comes_and_bad_ones_do_not_stop_it(
    site: Ground, night_data: Path
) -> None:
    load_stars(site, night_data)
    good = exposures(night_data, 2)
    site.put("night/a.ecsv", b"no table at all")
    site.put("night/b.ecsv", good[0])
    site.put("night/c.ecsv", good[1])
    site.ingest()
    site.once("dome", "calibrate")
    assert sorted(states(site)) == [
        ("night/a.ecsv", "failed", "not a photometry table"),
        ("night/b.ecsv", "good", ""),
        ("night/c.ecsv", "good", ""),
    ]
    (row,) = site.ask(
        "SELECT band, unit, system, catalog, night::text, zero_point FROM calibration WHERE source_name = 'night/b.ecsv'"
    )
    assert tuple(row)[:5] == ("R", "ADU/s", "Vega", "refcat2", "2014-12-29")
    assert row.zero_point == pytest.approx(20.3, abs=0.1)
    site.once("dome", "calibrate")
    assert len(states(site)) == 3, "nothing is wanted any more"


def test_what_lacks_a_catalogue_fails_with_a_plot_and_is_done_when_it_is_loaded(
    site: Ground, night_data: Path, tmp_path: Path, database: str
) -> None:
    site.put("a.ecsv", exposures(night_data, 1)[0])
    site.ingest()
    site.once("dome", "calibrate")
    assert states(site) == [("a.ecsv", "failed", "no catalogue tile")]
    nf = Nf(database, tmp_path)
    identity = nf.json("cal", "list")["calibrations"][0]["id"]
    shown = nf("cal", "show", identity[-8:], "--plot", str(tmp_path / "failure.png"))
    assert shown.code == 1
    assert "nf catalog load" in shown.words
    assert (tmp_path / "failure.png").read_bytes()[:4] == b"\x89PNG"
    (measured, content) = site.ask(
        "SELECT k.measured, t.content FROM calibration k JOIN calibration_table t ON t.calibration = k.id"
    )[0]
    drawn = points(bytes(content))
    assert drawn["sky"] == drawn["magnitude"] == measured == 41
    site.once("dome", "calibrate")
    assert len(states(site)) == 1, "it is not tried again for nothing"
    load_stars(site, night_data)
    site.once("dome", "calibrate")
    assert [s for _, s, _ in states(site)] == ["failed", "good"]


def test_jobs_that_are_lost_are_derived_again(site: Ground, night_data: Path) -> None:
    load_stars(site, night_data)
    site.put("a.ecsv", exposures(night_data, 1)[0])
    site.ingest()
    site.ask("TRUNCATE job")
    site.once("dome", "calibrate")
    assert [s for _, s, _ in states(site)] == ["good"]


@pytest.fixture
def dome_user(server: str, site: Ground, database: str) -> Iterator[str]:
    """The dome's daemons log in as a user that was granted what a host needs, and no more: how."""
    name = f"nightferry_dome_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as owner:
        make = SQL("CREATE ROLE {} LOGIN PASSWORD 'of-a-test'")
        owner.execute(make.format(Identifier(name)))
    site.ask("SELECT grant_host(%s, '{dome-source,dome-buffer}', false)", name)
    site.ask("SELECT grant_calibration(%s)", name)
    parts = urlsplit(database)
    host = parts.netloc.rpartition("@")[2]
    theirs = urlunsplit(parts._replace(netloc=f"{name}:of-a-test@{host}"))
    own = site.sites.config("dome")
    own.write_text(own.read_text().replace(database, theirs))
    yield theirs
    site.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", name)
    site.db.run(lambda tx: tx.execute(f"DROP OWNED BY {name}"))
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def test_a_hosts_user_may_calibrate(site: Ground, night_data: Path, dome_user: str) -> None:
    load_stars(site, night_data)
    site.ask("INSERT INTO target (name, ra, dec) VALUES ('EY UMa', 135.5865, 49.81926)")
    site.put("a.ecsv", exposures(night_data, 1)[0])
    site.ingest()
    site.once("dome", "calibrate")
    assert [s for _, s, _ in states(site)] == ["good"]
    assert site.one("SELECT count(*) FROM reduced_datum") == 1


def test_a_hosts_user_may_calibrate_a_night_again_and_solve_it(
    site: Ground, night_data: Path, dome_user: str, tmp_path: Path
) -> None:
    load_stars(site, night_data)
    site.ask("INSERT INTO target (name, ra, dec) VALUES ('EY UMa', 135.5865, 49.81926)")
    for number, content in enumerate(exposures(night_data, 5)):
        site.put(f"{number}.ecsv", content)
    site.ingest()
    site.once("dome", "calibrate")
    nf = Nf(dome_user, tmp_path, f"{{dome-source: {site.source}}}")
    for words in (
        ("cal", "run", "--night", "2014-12-29"),
        ("cal", "run", "--target", "EY UMa"),
        ("cal", "night", "2014-12-29", "--solve"),
    ):
        answer = nf(*words)
        assert answer.code == 0, answer.out + answer.err
    assert site.one("SELECT count(*) FROM night_solution WHERE state = 'good'") == 3
    assert site.one("SELECT count(*) FROM night_exposure") == 15
    flags = [p["flags"] for p in nf.json("lightcurve", "EY UMa")["points"]]
    assert len(flags) == 5
    assert all("by the whole night" in f for f in flags)


def test_what_waits_for_its_calibration_is_not_deleted(site: Ground, night_data: Path) -> None:
    def may_go() -> bool:
        rows = site.ask(
            "SELECT r.holds FROM physical_copy c CROSS JOIN LATERAL deletion_clauses(c.id) r "
            "WHERE c.location = 'dome-source' AND r.clause = 'hold'"
        )
        return all(r.holds for r in rows)

    site.put("a.ecsv", exposures(night_data, 1)[0])
    site.ingest()
    assert not may_go()
    site.once("dome", "calibrate")
    assert may_go()


def test_a_source_of_frames_is_left_to_others(two_sites: Ground, night_data: Path) -> None:
    two_sites.put("a.ecsv", exposures(night_data, 1)[0])
    two_sites.ingest()
    two_sites.once("dome", "calibrate")
    assert states(two_sites) == []
