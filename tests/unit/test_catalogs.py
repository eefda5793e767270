"""Catalogues: what a file holds, which tiles are complete, and the stars of a cone.

Over 300 lines: the archive that stands in for a remote one is in the same file as its tests.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from astropy.io.votable import from_table
from astropy.table import Table
from nightferry.catalogs import Cache, Field, Found, MissingTile, Stars, definitions
from nightferry.catalogs.definition import Tap as Archive
from nightferry.catalogs.files import read
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import Coverage, cone, index, separation, tiles_inside
from nightferry.catalogs.tap import Tap
from nightferry.db import Database
from nightferry.errors import GiveUp, Unavailable

KNOWN = definitions()
GAIA = KNOWN["gaia-dr3"]


def gaia(n: int, seed: int = 1, ra: float = 150.0, dec: float = 30.0, width: float = 1.0) -> Table:
    """Stars as Gaia's archive writes them, in a box."""
    rng = np.random.default_rng(seed)
    g = rng.uniform(10, 19, n)
    return Table(
        {
            "source_id": np.arange(n) + 7_000_000_000_000,
            "ra": np.mod(ra + rng.uniform(-width, width, n) / np.cos(np.radians(dec)), 360),
            "dec": dec + rng.uniform(-width, width, n), "ref_epoch": np.full(n, 2016.0),
            "pmra": rng.normal(0, 10, n), "pmdec": rng.normal(0, 10, n),
            "phot_g_mean_mag": g, "phot_bp_mean_mag": g + 0.5, "phot_rp_mean_mag": g - 0.5,
            "phot_g_mean_flux_over_error": np.full(n, 1085.7362),
            "phot_bp_mean_flux_over_error": np.full(n, 100.0),
            "phot_rp_mean_flux_over_error": np.full(n, 100.0),
            "phot_bp_rp_excess_factor": np.full(n, 1.2),
            "astrometric_excess_noise": np.full(n, 0.1),
        }
    )  # fmt: skip


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    made = Database(database, actor="test")
    yield made
    made.close()


def cache(db: Database, name: str = "gaia-dr3", **more: object) -> Cache:
    def ask(statement: str, **values: object) -> list[tuple[object, ...]]:
        return [tuple(r) for r in db.run(lambda tx: tx.run(statement, **values))]

    return Cache(KNOWN[name], ask, **more)  # type: ignore[arg-type]


def load(db: Database, path: Path, **how: object) -> Found:
    definition, found = read(path, KNOWN, **how)  # type: ignore[arg-type]
    db.run(lambda tx: store(tx, definition, found, str(path)))
    return found


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        (".fits", "fits"),
        (".ecsv", "ascii.ecsv"),
        (".csv", "ascii.csv"),
        (".vot", "votable"),
        (".parquet", ""),
    ],
)
def test_a_file_of_each_format_gives_the_same_stars(tmp_path: Path, suffix: str, form: str) -> None:
    table, path = gaia(50), tmp_path / f"stars{suffix}"
    if suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        columns = {n: np.array(table[n]) for n in table.colnames}
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    else:
        table.write(path, format=form)
    definition, found = read(path, KNOWN, within=(150.0, 30.0, 3.0))
    assert definition.key == "gaia-dr3"
    assert found.stars.id.tolist() == table["source_id"].tolist()
    assert found.stars.ra == pytest.approx(np.array(table["ra"]))
    assert found.stars.numbers["e_G"] == pytest.approx(0.001)


def test_what_a_catalogue_is_must_be_said_where_the_file_does_not(tmp_path: Path) -> None:
    table = gaia(50)
    table.remove_column("ref_epoch")
    table.write(tmp_path / "a.fits")
    with pytest.raises(GiveUp, match="--catalog"):
        read(tmp_path / "a.fits", KNOWN, within=(150, 30, 3))
    definition, _ = read(tmp_path / "a.fits", KNOWN, "gaia-dr2", within=(150, 30, 3))
    assert definition.key == "gaia-dr2"


def test_a_file_without_a_row_is_refused_and_marks_no_tile_complete(tmp_path: Path) -> None:
    gaia(50)[:0].write(tmp_path / "empty.fits")
    with pytest.raises(GiveUp, match="no row"):
        read(tmp_path / "empty.fits", KNOWN, within=(150, 30, 3))


def test_where_a_file_is_complete_is_not_guessed_unless_its_stars_fill_a_cone(
    tmp_path: Path,
) -> None:
    table = gaia(4000)
    disc = separation(np.array(table["ra"]), np.array(table["dec"]), 150.0, 30.0) < 0.5
    table[disc].write(tmp_path / "disc.fits")
    _, found = read(tmp_path / "disc.fits", KNOWN)
    assert found.coverage.square_degrees == pytest.approx(np.pi * 0.25, rel=0.05)
    strip = np.abs(np.array(table["dec"]) - 30.0) < 0.05
    table[strip].write(tmp_path / "strip.fits")
    with pytest.raises(GiveUp, match="--within"):
        read(tmp_path / "strip.fits", KNOWN)


def test_a_cone_gives_every_star_in_it_and_no_other(db: Database, tmp_path: Path) -> None:
    for ra, dec in ((150.0, 30.0), (0.0, 0.0), (10.0, 89.7), (200.0, -89.9), (45.0, 41.8)):
        table = gaia(3000, seed=int(ra), ra=ra, dec=min(max(dec, -88.0), 88.0), width=2.0)
        table.write(tmp_path / f"{ra}.fits", overwrite=True)
        load(db, tmp_path / f"{ra}.fits", within=(0.0, 0.0, 180.0))
        where = Stars(np.zeros(0, np.int64), np.array(table["ra"]), np.array(table["dec"]), {})
        for radius in (0.01, 0.2, 1.0):
            near = separation(where.ra, where.dec, ra, dec) <= radius
            got = cache(db).field(Field(ra, dec, radius)).stars
            assert sorted(got.id.tolist()) == sorted(np.array(table["source_id"])[near].tolist())


def test_a_catalogue_says_where_it_is_complete_and_never_answers_beyond(
    db: Database, tmp_path: Path
) -> None:
    gaia(500).write(tmp_path / "a.fits")
    with pytest.raises(MissingTile, match="nf catalog load"):
        cache(db).field(Field(150.0, 30.0, 0.1))
    found = load(db, tmp_path / "a.fits", within=(150.0, 30.0, 0.5))
    whole = cache(db).field(Field(150.0, 30.0, 0.2))
    assert whole.coverage.holds(index(np.array([150.0]), np.array([30.1]))).all()
    edge = cache(db).field(Field(150.0, 30.5, 0.2))
    assert edge.coverage
    outside = edge.stars.dec > 30.51
    assert not outside.any(), "a star of a tile that is not complete"
    with pytest.raises(MissingTile):
        cache(db).field(Field(150.0, 33.0, 0.2))
    assert len(found.stars) > len(whole.stars)


def test_loading_again_replaces_and_a_load_that_dies_leaves_nothing(
    db: Database, tmp_path: Path
) -> None:
    gaia(500).write(tmp_path / "a.fits")
    load(db, tmp_path / "a.fits", within=(150.0, 30.0, 0.5))
    before = cache(db).field(Field(150.0, 30.0, 0.3)).stars
    load(db, tmp_path / "a.fits", within=(150.0, 30.0, 0.5))
    again = cache(db).field(Field(150.0, 30.0, 0.3)).stars
    assert sorted(again.id) == sorted(before.id)

    definition, found = read(tmp_path / "a.fits", KNOWN, within=(151.0, 30.0, 0.3))

    def die(tx: object) -> None:
        store(tx, definition, found, "dies")  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        db.run(die)
    with pytest.raises(MissingTile):
        cache(db).field(Field(151.0, 30.0, 0.1))


def test_proper_motions_bring_stars_to_the_year_of_the_frame() -> None:
    numbers = {"pmra": np.array([-3000.0, np.nan]), "pmdec": np.array([10_000.0, np.nan])}
    star = Stars(np.arange(2), np.array([269.45, 10.0]), np.array([4.7, 5.0]), numbers)
    then = star.at(GAIA, 2026.0)  # ten years after the catalogue's epoch
    assert (then.dec - star.dec) * 3600 == pytest.approx([100.0, 0.0])
    east = (then.ra - star.ra) * np.cos(np.radians(star.dec)) * 3600
    assert east == pytest.approx([-30.0, 0.0])
    assert star.at(GAIA, 2016.0).ra == pytest.approx(star.ra)


def test_landolts_lists_are_read_and_an_error_of_zero_is_unknown(
    db: Database, night_data: Path
) -> None:
    load(db, night_data / "photometry/landolt.dat", catalog="landolt")
    load(db, night_data / "photometry/nlandolt.dat", catalog="landolt")
    field = cache(db, "landolt").field(Field(201.43, -8.83, 0.1))
    stars = field.stars
    names = [n for n in stars.names if n.startswith("PG1323")]
    assert {"PG1323-086A", "PG1323-086B", "PG1323-086C"} <= {n.replace("_", "") for n in names}
    assert np.isfinite(stars.numbers["V"]).all()
    assert not (stars.numbers["e_V"] == 0).any()
    with pytest.raises(MissingTile):
        cache(db, "landolt").field(Field(250.42, 36.46, 0.1))  # M13


def test_coverage_is_kept_as_ranges_that_do_not_overlap() -> None:
    it = Coverage.of([10, 5, 30], [20, 12, 40])
    assert str(it) == "{[5,20),[30,40)}"
    assert str(Coverage.from_text(str(it))) == str(it)
    assert it.holds(np.array([4, 5, 19, 20, 30, 40])).tolist() == [
        False,
        True,
        True,
        False,
        True,
        False,
    ]
    assert Coverage.whole_sky().square_degrees == pytest.approx(41252.96, abs=0.1)
    inside, touched = tiles_inside(10, 20, 1.0), cone(10, 20, 1.0)
    assert inside.square_degrees < np.pi < touched.square_degrees


# --- a remote archive ------------------------------------------------------------------------------


class StandIn(BaseHTTPRequestHandler):
    """Speaks as much of TAP as a cone search needs; ``answers`` are given before the right one."""

    table = gaia(400)
    answers: tuple[int | str, ...] = ()
    asked: tuple[str, ...] = ()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {k: v[0] for k, v in parse_qs(body).items()}
        assert self.path == "/tap/sync"
        assert (form["REQUEST"], form["LANG"]) == ("doQuery", "ADQL")
        type(self).asked += (form["QUERY"],)
        first, type(self).answers = (self.answers[:1] or (200,))[0], self.answers[1:]
        code = first if isinstance(first, int) else 200
        self.send_response(code)
        self.end_headers()
        if code == 200:
            status = first if isinstance(first, str) else "OK"
            self.wfile.write(votable(self.table, status))

    def log_message(self, *_: object) -> None:
        pass


def votable(table: Table, status: str) -> bytes:
    document = from_table(table)
    out = BytesIO()
    document.to_xml(out)
    info = f'<INFO name="QUERY_STATUS" value="{status}">told</INFO>'
    return out.getvalue().replace(b"<TABLE", f"{info}<TABLE".encode(), 1)


@contextmanager
def archive(*answers: int | str) -> Iterator[Tap]:
    StandIn.answers, StandIn.asked = answers, ()
    server = HTTPServer(("127.0.0.1", 0), StandIn)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        assert GAIA.tap is not None
        there = Archive(f"http://127.0.0.1:{server.server_port}/tap", GAIA.tap.query)
        yield Tap(replace(GAIA, tap=there), wait=0.01)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


FIELD = Field(150.0, 30.0, 0.2)


def test_a_missing_tile_is_asked_of_the_archive_once_and_kept(db: Database) -> None:
    with archive() as remote:
        held = cache(
            db, remote=remote,
            keep=lambda d, f: db.run(lambda tx: store(tx, d, f, "archive")) and None,
        )  # fmt: skip
        first = held.field(FIELD)
        again = held.field(FIELD)
    near = separation(np.array(StandIn.table["ra"]), np.array(StandIn.table["dec"]), 150.0, 30.0)
    assert len(again.stars) == int((near <= 0.2).sum()) > 0
    assert len(first.stars.inside(FIELD)) == len(again.stars)
    assert len(StandIn.asked) == 1
    assert "gaiadr3.gaia_source" in StandIn.asked[0]


def test_a_busy_archive_is_tried_again_and_a_dead_one_is_unavailable() -> None:
    with archive(503, 429) as remote:
        assert len(remote.field(FIELD).stars) == 400
        assert len(StandIn.asked) == 3
    with archive(503, 503, 503, 503, 503) as remote:
        with pytest.raises(Unavailable, match="no answer after 4 tries"):
            remote.field(FIELD)
        assert len(StandIn.asked) == 4
    with pytest.raises(Unavailable):
        remote.field(FIELD)  # nobody listens any more


@pytest.mark.parametrize(
    ("answer", "told"), [("OVERFLOW", "more stars"), ("ERROR", "refuses"), (400, "400")]
)
def test_an_answer_that_is_cut_short_or_refused_is_no_answer(answer: int | str, told: str) -> None:
    with archive(answer) as remote, pytest.raises(Unavailable, match=told):
        remote.field(FIELD)
    assert len(StandIn.asked) == 1
