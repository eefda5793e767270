"""Adopting 100,000 loose files of 20 KB: next to a loop that reads their headers and hashes them.

The whole command ``nf adopt``, its start included, on an archive that is full and a ledger that is
empty. It reads in as many processes as the machine has, and so does the loop.
"""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter

import psycopg
from astropy.io import fits
from nightferry.testing.sites import environment

from tests.bench.chain import chain
from tests.bench.frames import write_frames
from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, in_turns

EMPTY = "TRUNCATE raw_data_file, event CASCADE"
ADOPTED = "SELECT count(*) FROM physical_copy WHERE location = 'archive-a' AND state = 'present'"
PROCESSES = os.cpu_count() or 1


def measure(ground: Ground) -> Iterator[Result]:
    count = 4_000 if ground.quick else 100_000
    line = Line(
        "adopt", f"nf adopt of {count} files, whole command",
        f"astropy's header reader and SHA-256, in {PROCESSES} processes", "files/s", "at least", 0.6,
    )  # fmt: skip
    with chain(ground) as sites, psycopg.connect(sites.sites.dsn, autocommit=True) as ledger:
        archive = sites.sites.path("archive-a")
        ground.tell(f"adopt: writing {count} files")
        write_frames(archive / "old", count, 20_000, 130, by=1000)
        command = [sys.executable, "-m", "nightferry.cli"]
        command += ["--config", str(sites.sites.config("center")), "adopt", "archive-a", "--json"]

        def ours() -> float:
            ledger.execute(EMPTY)
            began = perf_counter()
            subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
            took = perf_counter() - began
            row = ledger.execute(ADOPTED).fetchone()
            assert row is not None
            assert row[0] == count
            return count / took

        yield in_turns(line, ground.runs, ground.tell, ours, lambda: count / _bare(archive))


def _bare(archive: Path) -> float:
    began = perf_counter()
    files = [str(path) for path in archive.rglob("*.fits")]
    parts = [files[n::PROCESSES] for n in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        assert sum(pool.map(_read, parts)) == len(files)
    return perf_counter() - began


def _read(files: list[str]) -> int:
    for file in files:
        content = Path(file).read_bytes()
        hashlib.sha256(content).hexdigest()
        fits.Header.fromfile(io.BytesIO(content))
    return len(files)
