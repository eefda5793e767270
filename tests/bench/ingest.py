"""Ingest of 2,000 frames of 140 KB with 130 cards: next to a loop that only reads headers and hashes.

``nightferry-ingest`` runs and watches its source, as it does all night. Then 2,000 frames are there
at once: four folders are moved in. From that moment to the commit of the last row. It reads in one
process, and so does the loop.
"""

import hashlib
import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from astropy.io import fits

from tests.bench.chain import chain
from tests.bench.frames import frame_of, write_frames
from tests.bench.ground import Ground, until
from tests.bench.lines import Line, Result, in_turns

ROWS = """SELECT count(*) AS files, extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8 AS last
 FROM raw_data_file WHERE starts_with(path, %(under)s)"""


def measure(ground: Ground) -> Iterator[Result]:
    count = 500 if ground.quick else 2000
    line = Line(
        "ingest", f"nightferry-ingest, {count} frames moved in, to the last row's commit",
        "astropy's header reader and SHA-256, in one process", "files/s", "at least", 0.6,
    )  # fmt: skip
    with chain(ground) as sites:
        ground.tell(f"ingest: writing {count} frames")
        coming = sites.source.parent / "coming"
        write_frames(coming, count, 140_000, 130, by=500)
        (sites.source / "first.fits").write_bytes(frame_of(0, 140_000, 130))
        sites.start("dome", "ingest")
        until(lambda: sites.rows(ROWS, under="first")[0].files, "the first frame's row")
        nights = iter(range(ground.runs))

        def ours() -> float:
            night = f"night-{next(nights)}"
            ready = coming.with_name(night)
            shutil.copytree(coming, ready)
            began = time.time()
            ready.rename(sites.source / night)
            until(lambda: sites.rows(ROWS, under=night)[0].files == count, "every frame's row")
            return count / (float(sites.rows(ROWS, under=night)[0].last) - began)

        yield in_turns(line, ground.runs, ground.tell, ours, lambda: count / _bare(coming))


def _bare(source: Path) -> float:
    began = perf_counter()
    for path in source.rglob("*.fits"):
        content = path.read_bytes()
        hashlib.sha256(content).hexdigest()
        header = fits.Header.fromfile(io.BytesIO(content))
        assert header["INSTRUME"] == "bench"
    return perf_counter() - began
