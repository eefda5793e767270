"""Ingest of 2,000 frames of 140 KB with 130 cards: next to a loop that only reads headers and hashes.

``nightferry-ingest --once`` on a source that is full and a ledger that is empty: from its first claim
(the lease on the source) to the end of its last commit (the lease given back), so that its worker's
start, the sweep, the settling and a second sweep are counted, and only the start of the daemon itself
is not. It reads in one process, and so does the loop.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import psycopg
from astropy.io import fits

from tests.bench.chain import chain
from tests.bench.frames import write_frames
from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, in_turns

CLOCK = """
CREATE TABLE bench_clock (what text, at timestamptz);
CREATE FUNCTION bench_clock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(NEW.kind, OLD.kind) = 'ingest' THEN INSERT INTO bench_clock VALUES (TG_OP, clock_timestamp()); END IF;
  RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER bench_clock AFTER INSERT OR DELETE ON lease FOR EACH ROW EXECUTE FUNCTION bench_clock();
"""
EMPTY = "TRUNCATE bench_clock, raw_data_file, source_directory, event CASCADE"
TOOK = """SELECT extract(epoch FROM max(at) FILTER (WHERE what = 'DELETE') - min(at) FILTER (WHERE what = 'INSERT'))::float8,
 (SELECT count(*) FROM raw_data_file) FROM bench_clock"""


def measure(ground: Ground) -> Iterator[Result]:
    count = 500 if ground.quick else 2000
    line = Line(
        "ingest", f"nightferry-ingest --once, {count} frames, from its claim to its last commit",
        "astropy's header reader and SHA-256, in one process", "files/s", "at least", 0.6,
    )  # fmt: skip
    with chain(ground) as sites, psycopg.connect(sites.sites.dsn, autocommit=True) as ledger:
        ground.tell(f"ingest: writing {count} frames")
        write_frames(sites.source, count, 140_000, 130, by=500)
        ledger.execute(CLOCK)

        def ours() -> float:
            ledger.execute(EMPTY)
            sites.sites.once("dome", "ingest", 120)
            row = ledger.execute(TOOK).fetchone()
            assert row is not None
            assert row[1] == count
            return count / float(row[0])

        yield in_turns(line, ground.runs, ground.tell, ours, lambda: count / _bare(sites.source))


def _bare(source: Path) -> float:
    began = perf_counter()
    for path in source.rglob("*.fits"):
        content = path.read_bytes()
        hashlib.sha256(content).hexdigest()
        header = fits.Header.fromfile(io.BytesIO(content))
        assert header["INSTRUME"] == "bench"
    return perf_counter() - began
