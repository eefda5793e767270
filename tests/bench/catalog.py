"""Cached catalogues: a cone of 10 arcminutes next to q3c's, and a load next to a raw COPY.

q3c is Debian's, so both cones are searched on Debian's own server; as root its package is installed
where it is not yet there.
"""

import io
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import psycopg
from astropy.table import Table
from nightferry.catalogs import Cache, Definition, Field, Found, Stars, definitions
from nightferry.catalogs.files import read
from nightferry.catalogs.loading import store
from nightferry.catalogs.records import from_bytes
from nightferry.catalogs.sky import Coverage, index
from nightferry.db import Database
from nightferry.migrate import migrate

from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, in_turns

DEBIAN = Path("/usr/lib/postgresql/15/bin")
Q3C = Path("/usr/share/postgresql/15/extension/q3c.control")
RADIUS = 10 / 60
WEST, SOUTH, WIDE, HIGH = 100.0, 10.0, 25.0, 20.0
Q3C_CONE = """
SELECT string_agg(int8send(star) || float8send(ra) || float8send(dec) || array_send(numbers), '')
FROM peer WHERE q3c_radial_query(ra, dec, %s, %s, %s)
"""
TABLE = "CREATE TABLE peer (catalog smallint, hpx bigint, star bigint, ra double precision, dec double precision, numbers real[], name text)"
KNOWN = definitions()["refcat2"]


def measure(ground: Ground) -> Iterator[Result]:
    yield from _load(ground)
    yield from _cone(ground)


def sky(n: int) -> Stars:
    """``n`` stars over 500 square degrees."""
    rng = np.random.default_rng(6)
    ra = WEST + WIDE * rng.random(n)
    dec = np.degrees(np.arcsin(np.sin(np.radians(SOUTH)) + rng.random(n) * (
        np.sin(np.radians(SOUTH + HIGH)) - np.sin(np.radians(SOUTH)))))  # fmt: skip
    numbers = {name: rng.normal(15, 2, n) for name in KNOWN.columns}
    return Stars(np.arange(n, dtype=np.int64), ra, dec, numbers)


# --- loading ----------------------------------------------------------------------------------------


def _load(ground: Ground) -> Iterator[Result]:
    n = 200_000 if ground.quick else 1_000_000
    line = Line(
        "catalog load", f"reading a FITS file of {n} stars, with their tiles, into the cache",
        "COPY of the same rows as text into a table with the same index", "stars/s", "at least", 0.5,
    )  # fmt: skip
    with ground.place("catalog") as folder:
        stars = sky(n)
        fits, text = folder / "stars.fits", folder / "stars.txt"
        table = Table({"id": stars.id, "RA_ICRS": stars.ra, "DE_ICRS": stars.dec})
        for name, sources in KNOWN.numbers.items():
            table[sources[0]] = stars.numbers[name].astype(np.float32)
        table.write(fits)
        _write_text(stars, text)
        yield in_turns(
            line, ground.runs, ground.tell,
            lambda: n / _ours(ground, fits), lambda: n / _copy(ground, text),
        )  # fmt: skip


def _write_text(stars: Stars, path: Path) -> None:
    cells = index(stars.ra, stars.dec)
    columns = np.column_stack([stars.numbers[name] for name in KNOWN.columns]).astype(np.float32)
    with open(path, "w") as out:
        for i in np.argsort(cells):
            numbers = ",".join(map(str, columns[i].tolist()))
            ra, dec = float(stars.ra[i]), float(stars.dec[i])
            out.write(f"1\t{cells[i]}\t{stars.id[i]}\t{ra!r}\t{dec!r}\t{{{numbers}}}\t\\N\n")


def _ours(ground: Ground, fits: Path) -> float:
    with ground.ledger() as dsn:
        db = Database(dsn)
        began = time.perf_counter()
        definition, found = read(fits, {"refcat2": KNOWN}, "refcat2", within=(0.0, 0.0, 180.0))
        db.run(lambda tx: store(tx, definition, found, "bench"))
        seconds = time.perf_counter() - began
        db.close()
    return seconds


def _copy(ground: Ground, text: Path) -> float:
    with ground.empty_database() as dsn, psycopg.connect(dsn) as c, open(text, "rb") as file:
        c.execute(TABLE)
        c.execute("CREATE INDEX ON peer (catalog, hpx)")
        c.commit()
        began = time.perf_counter()
        with c.cursor() as cursor, cursor.copy("COPY peer FROM STDIN") as out:
            while part := file.read(1 << 20):
                out.write(part)
        c.commit()
        return time.perf_counter() - began


# --- cones ------------------------------------------------------------------------------------------


def _cone(ground: Ground) -> Iterator[Result]:
    if not Q3C.exists() and os.geteuid() == 0:
        ground.tell("installing postgresql-15-q3c")
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "postgresql-15-q3c"],
            check=False,
            capture_output=True,
        )
    if not (Q3C.exists() and (DEBIAN / "initdb").exists() and os.geteuid() == 0):
        ground.tell("catalog cone: left out, it needs root and Debian's postgresql-15-q3c")
        return
    n = 500_000 if ground.quick else 5_000_000
    cones = 100 if ground.quick else 300
    line = Line(
        "catalog cone", f"the stars within 10′ of {cones} places, of {n} cached ones, as arrays",
        "q3c_radial_query on the same server, as arrays", "s (p50)", "at most", 1.2,
    )  # fmt: skip
    with ground.place("debian") as folder, _debian(folder) as dsn:
        _fill(ground, dsn, n)
        rng = np.random.default_rng(2)
        places = [
            (WEST + 1 + (WIDE - 2) * rng.random(), SOUTH + 1 + (HIGH - 2) * rng.random())
            for _ in range(cones)
        ]
        db = Database(dsn)
        with psycopg.connect(dsn, autocommit=True) as peer:
            yield in_turns(
                line, ground.runs, ground.tell,
                lambda: _search(db, KNOWN, places), lambda: _search_q3c(peer, places),
            )  # fmt: skip
        db.close()


def _fill(ground: Ground, dsn: str, n: int) -> None:
    ground.tell(f"catalog cone: loading {n} stars for both")
    migrate(dsn)
    db = Database(dsn)
    db.run(lambda tx: store(tx, KNOWN, Found(sky(n), Coverage.whole_sky()), "bench"))
    db.close()
    with psycopg.connect(dsn, autocommit=True) as c:
        c.execute("CREATE EXTENSION q3c")
        c.execute("CREATE TABLE peer AS SELECT star, ra, dec, numbers FROM catalog_star")
        c.execute("CREATE INDEX peer_q3c ON peer (q3c_ang2ipix(ra, dec))")
        c.execute("CLUSTER peer USING peer_q3c")
        c.execute("VACUUM ANALYZE peer")
        c.execute("VACUUM ANALYZE catalog_star")


def _search(db: Database, definition: Definition, places: list[tuple[float, float]]) -> float:
    with db.begin() as tx:
        cache = Cache(definition, lambda what, **v: [tuple(r) for r in tx.run(what, **v)])
        return _median(lambda ra, dec: cache.field(Field(ra, dec, RADIUS)).stars, places)


def _search_q3c(peer: "psycopg.Connection[object]", places: list[tuple[float, float]]) -> float:
    def search(ra: float, dec: float) -> Stars:
        (row,) = peer.execute(Q3C_CONE, (ra, dec, RADIUS)).fetchall()
        return from_bytes(row[0] or b"", KNOWN.columns)  # type: ignore[index]

    return _median(search, places)


def _median(search: object, places: list[tuple[float, float]]) -> float:
    seconds = []
    for ra, dec in places:
        began = time.perf_counter()
        found = search(ra, dec)  # type: ignore[operator]
        seconds.append(time.perf_counter() - began)
        assert len(found) > 0
    return median(seconds)


@contextmanager
def _debian(folder: Path) -> Iterator[str]:
    """Debian's server on a socket of its own: its DSN."""
    shutil.chown(folder, "postgres", "postgres")
    data, log = folder / "data", io.StringIO()

    def run(*words: str) -> None:
        done = subprocess.run(
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        log.write(done.stdout + done.stderr)
        if done.returncode:
            raise RuntimeError(f"{words[0]}: {log.getvalue()}")

    control = str(DEBIAN / "pg_ctl")
    run(str(DEBIAN / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-N")
    options = f"-k {folder} -c listen_addresses= -c shared_buffers=512MB"
    run(control, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"host={folder} user=postgres dbname=postgres"
    finally:
        run(control, "-D", str(data), "-w", "-m", "immediate", "stop")
