"""A full sweep of files that are all known and unchanged, next to a bare walk of the same tree.

The tree is in memory where the machine has room for that, so that neither side waits for a disk. The
ledger has every file's row and each directory's digest, as ingest left them.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import psycopg

from tests.bench.chain import chain
from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, in_turns

IN_MEMORY = Path("/dev/shm")
PER_DIRECTORY = 1000
SEEN = "CREATE TEMP TABLE seen (path text, size bigint, mtime_ns bigint, ctime_ns bigint, inode bigint)"
REGISTER = """
SET session_replication_role = replica;
INSERT INTO instrument (name) VALUES ('unknown') ON CONFLICT DO NOTHING;
INSERT INTO raw_data_file (location, path, sha256, size, mtime_ns, ctime_ns, inode, header, night, night_from, instrument)
SELECT 'dome-source', path, repeat('0', 64), size, mtime_ns, ctime_ns, inode, 'none', '2026-03-14', 'arrival', 'unknown' FROM seen;
INSERT INTO physical_copy (file, location, path, state, sha256, size)
SELECT id, location, path, 'present', sha256, size FROM raw_data_file;
SET session_replication_role = DEFAULT;
"""
SWEPT = """SELECT extract(epoch FROM full_sweep_ended - full_sweep_began)::float8 AS seconds,
 (SELECT count(*) FROM source_directory) AS at_rest FROM location_state WHERE location = 'dome-source'"""


def measure(ground: Ground) -> Iterator[Result]:
    count = 200_000 if ground.quick else 1_000_000
    line = Line(
        "sweep", f"the sweep of {count} known files that ingest noted, from its beginning to its end",
        "os.scandir and stat of every entry", "s", "at most", 2.0,
    )  # fmt: skip
    memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with ground.place("nightferry-sweep", memory) as tree, chain(ground) as sites:
        shutil.move(sites.source / ".nightferry-location", tree)
        shutil.rmtree(sites.source)
        sites.source.symlink_to(tree)
        ground.tell(f"sweep: making {count} files")
        for number in range(count // PER_DIRECTORY):
            folder = tree / f"{number // 100:02d}" / f"n{number:05d}"
            folder.mkdir(parents=True)
            for file in range(PER_DIRECTORY):
                os.close(os.open(folder / f"f{file:04d}.fits", os.O_CREAT | os.O_WRONLY))
        ground.tell("sweep: telling the ledger")
        with psycopg.connect(sites.sites.dsn, autocommit=True) as ledger:
            ledger.execute(SEEN)
            with ledger.cursor() as cursor, cursor.copy("COPY seen FROM STDIN") as out:
                _walk(tree, lambda path, s: out.write_row(
                    (os.path.relpath(path, tree), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
                ))  # fmt: skip
            ledger.execute(REGISTER)
            ledger.execute("ANALYZE")
        sites.sites.once("dome", "ingest", 300)  # compares them all, and leaves the digests

        def ours() -> float:
            sites.sites.once("dome", "ingest", 300)
            (row,) = sites.rows(SWEPT)
            assert row.at_rest >= count // PER_DIRECTORY
            return float(row.seconds)

        yield in_turns(line, ground.runs, ground.tell, ours, lambda: _bare(tree))


def _bare(tree: Path) -> float:
    began = perf_counter()
    _walk(tree, lambda path, seen: None)
    return perf_counter() - began


def _walk(tree: Path, see: "object") -> None:
    folders = [str(tree)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                seen = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name != ".nightferry-location":
                    see(entry.path, seen)  # type: ignore[operator]
