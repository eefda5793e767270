"""What a person types, on a ledger of many years: nf status and nf night, until they have answered.

The whole command is timed, the start of Python too. The peers are promises. A package has 100 files, a night 5,000.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from nightferry.testing.sites import environment

from tests.bench.ground import Ground, python
from tests.bench.lines import Line, Result, result
from tests.ledger import Ledger

FILES, QUICK = 10_000_000, 1_000_000
PROMISED = {"status": 0.3, "night": 1.0}  # seconds
# No triggers and no foreign keys: the rows are as the daemons would have left them.
_SESSION = "SET session_replication_role = replica; SET maintenance_work_mem = '512MB'"
_INDEXES = """
SELECT format('%I.%I', schemaname, indexname) AS name, indexdef FROM pg_indexes
WHERE tablename IN ('raw_data_file', 'physical_copy', 'package_member', 'verification')
  AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
_FILL = (
    """
CREATE FUNCTION numbered(kind int, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT ('00000000-' || lpad(to_hex(kind), 4, '0') || '-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid $$;
INSERT INTO raw_data_file (id, location, path, sha256, size, mtime_ns, ctime_ns, inode, header, night, night_from, clock,
  instrument, frame_type, object, exposure_start, exposure_seconds, filter, counter, in_package, registered)
SELECT numbered(1, i), 'dome-disk', 'f' || i, encode(sha256(i::text::bytea), 'hex'), 8000000,
  i, i, i, 'whole', night, 'exposure', 'good', 'nickel', 'science', 'NGC ' || i % 7840,
  night + interval '4 hours' + (i % 5000) * interval '8 seconds', 5, 'V', i % 5000, true, night + interval '5 hours'
FROM amount, generate_series(0, files - 1) i, LATERAL (SELECT current_date - 1 - ((files - 1 - i) / 5000)::int AS night) n
""",
    """
INSERT INTO raw_data_package (id, name, path, origin, night, instrument, state, members, document, planned, packed, sha256, size)
SELECT numbered(2, p), 'nickel-' || p, 'nickel/' || p || '.tar', 'dome-disk', night, 'nickel', 'packed', 100, '{}',
  night + interval '6 hours', night + interval '6 hours', encode(sha256(p::text::bytea), 'hex'), 800000000
FROM amount, generate_series(0, files / 100 - 1) p, LATERAL (SELECT current_date - 1 - ((files - 1 - p * 100) / 5000)::int AS night) n
""",
    """
INSERT INTO package_member (package, file, data_offset)
SELECT numbered(2, i / 100), numbered(1, i), i % 100 * 8000512 FROM amount, generate_series(0, files - 1) i
""",
    """
INSERT INTO physical_copy (id, file, location, path, state, sha256, size, created)
SELECT numbered(3, i), numbered(1, i), 'dome-disk', 'f' || i, CASE WHEN night < current_date - 7 THEN 'deleted' ELSE 'present' END::copy_state,
  encode(sha256(i::text::bytea), 'hex'), 8000000, night + interval '5 hours'
FROM amount, generate_series(0, files - 1) i, LATERAL (SELECT current_date - 1 - ((files - 1 - i) / 5000)::int AS night) n
""",
    """
INSERT INTO physical_copy (id, package, location, path, state, sha256, size, created)
SELECT numbered(4 + place::int, p), numbered(2, p), name, 'nickel/' || p || '.tar',
  CASE WHEN place < 3 AND night < current_date - 30 THEN 'deleted' ELSE 'present' END::copy_state,
  encode(sha256(p::text::bytea), 'hex'), 800000000, night + interval '7 hours'
FROM amount, generate_series(0, files / 100 - 1) p, LATERAL (SELECT current_date - 1 - ((files - 1 - p * 100) / 5000)::int AS night) n,
  unnest(ARRAY['dome-buffer', 'centre-buffer', 'vault-a', 'vault-b']) WITH ORDINALITY place (name, place)
""",
    """
INSERT INTO verification (copy, began, ended, outcome, sha256, size, how, host)
SELECT c.id, at, at, 'good', c.sha256, c.size, 'medium', 'centre'
FROM physical_copy c, LATERAL (SELECT now() - (hashtext(c.id::text) & 63) * interval '1 day' AS at) v WHERE c.package IS NOT NULL
""",
    """
INSERT INTO job_done (id, claim, kind, subject, attempts, created, at)
SELECT i, gen_random_uuid(), (ARRAY['package', 'transfer', 'archive', 'verify', 'reap'])[1 + i % 5], i || '@vault-a', 1,
  now() - i * interval '2 seconds', now() - i * interval '2 seconds' FROM generate_series(1, 100000) i;
INSERT INTO job (kind, subject, place, needs)
SELECT (ARRAY['archive', 'verify'])[1 + i % 2], i || '@vault-a', 'vault-a', 'vault-a' FROM generate_series(1, 2000) i;
INSERT INTO heartbeat (daemon, host, pid, version) SELECT unnest(ARRAY['ingest', 'package', 'transfer', 'archive', 'verify']), 'h', 1, '1';
INSERT INTO space_measured (location, at, total_bytes, free_bytes)
SELECT l.name, now() - i * interval '10 minutes', 100e12, 50e12 + i * 1e9 FROM data_location l, generate_series(0, 4000) i
""",
)


def measure(ground: Ground) -> Iterator[Result]:
    with ground.ledger() as dsn, ground.place("answers") as folder:
        fill(dsn, QUICK if ground.quick else FILES, ground)
        (folder / "nightferry.yaml").write_text(f"site: centre\ndatabase: {dsn}\n")
        for word, arguments in (("status", ()), ("night", ("last",))):
            ground.tell(f"answers.{word}")
            times = [_seconds(folder, word, *arguments) for _ in range(ground.runs + 1)][1:]
            line = Line(
                f"answers.{word}", f"nf {word}, from its start to its end",
                "what is promised", "s", "at most", 1.0,
            )  # fmt: skip
            yield result(line, [(seconds, PROMISED[word]) for seconds in times])


def fill(dsn: str, files: int, ground: Ground) -> None:
    """Rows of so many files, each statement at once: the indexes are made when all are there."""
    Ledger(dsn).observatory()
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute(_SESSION)
        session.execute("CREATE TABLE amount AS SELECT %s::bigint AS files", (files,))
        indexes = session.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            session.execute(f"DROP INDEX {name}".encode())
        for number, statement in enumerate(_FILL, 1):
            ground.tell(f"answers: {files:,} files, step {number} of {len(_FILL)}")
            session.execute(statement)
        for name, definition in indexes:
            ground.tell(f"answers: index {name}")
            session.execute(definition.encode())
        ground.tell("answers: statistics")
        session.execute("VACUUM ANALYZE")


def _seconds(folder: Path, word: str, *arguments: str) -> float:
    command = python("-m", "nightferry.cli", word, *arguments)
    settings = environment() | {"NIGHTFERRY_CONFIG": str(folder / "nightferry.yaml")}
    began = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    took = time.perf_counter() - began
    assert ended.returncode in (0, 1, 2), ended.stderr
    return took
