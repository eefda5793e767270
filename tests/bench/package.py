"""Packing 1 GB, and proving it: from the enqueue of the package job to its verified, published copy.

Every file is hashed and compared, the package is hashed and synced, read back past the cache by its
verify job, and published. The daemons are real; the bare loop does the same to the same bytes and
nothing else, and so does GNU tar with the tools at hand.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from tests.bench.chain import Chain, chain
from tests.bench.frames import write_frames
from tests.bench.ground import Ground, drop_cache, shell
from tests.bench.lines import Line, Result, against_many

CHUNK = 4 << 20
OURS = "package, then verify, as daemons"
BARE = "a loop that reads, hashes twice on two threads, writes, syncs, drops the cache, reads and hashes"
TAR = "tar | tee | openssl, sync, cache dropped, openssl"
TAR_SCRIPT = """
tar -C "$1" -cf - . | tee "$2" | openssl dgst -sha256 > /dev/null
sync "$2"
dd of="$2" oflag=nocache conv=notrunc,fdatasync count=0 status=none
openssl dgst -sha256 "$2" > /dev/null
"""


def measure(ground: Ground) -> Iterator[Result]:
    shrink = 4 if ground.quick else 1
    yield from _measure(ground, "large", 10, 100_000_000 // shrink, 1.2)
    yield from _measure(ground, "small", 10_000 // shrink, 100_000, 1.5)


def _measure(ground: Ground, name: str, count: int, size: int, bound: float) -> Iterator[Result]:
    lines = {
        "bare": Line(
            f"package.{name}", f"{OURS}, {count} files of {size} bytes", BARE, "s", "at most", bound
        ),
        "tar": Line(f"package.{name}.tar", OURS, TAR, "s", "at most", 0.8),
    }
    with chain(ground) as sites, ground.place("peer") as out:
        ground.tell(f"package.{name}: writing and registering {count} files")
        write_frames(sites.source, count, size, 36)
        sites.sites.once("dome", "ingest", 600)
        began = perf_counter()
        sites.plan()
        ground.tell(
            f"package.{name}: planned in {perf_counter() - began:.2f} s (once a package, not counted)"
        )
        for daemon in ("package", "verify"):
            sites.start("dome", daemon)
        sites.seconds_to_present("package", "dome-buffer")  # starts the workers
        yield from against_many(
            lines, ground.runs, ground.tell,
            lambda: _ours(sites),
            {"bare": lambda: _bare(sites.source, out / "bare"), "tar": lambda: _tar(sites.source, out / "tar")},
        )  # fmt: skip


def _ours(sites: Chain) -> float:
    sites.forget_packages_at(["dome-buffer"])
    os.sync()
    return sites.seconds_to_present("package", "dome-buffer")


def _tar(source: Path, out: Path) -> float:
    os.sync()
    seconds = shell(TAR_SCRIPT, source, out)
    out.unlink()
    return seconds


def _bare(source: Path, out: Path) -> float:
    """The least that it can cost: reading, two hashes beside it, a durable write, and one reading."""
    os.sync()
    paths = sorted(path for path in source.rglob("*.fits"))
    began = perf_counter()
    of_files, of_whole = hashlib.sha256(), hashlib.sha256()
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(1) as two,
        out.open("wb", buffering=0) as target,
    ):
        waiting: list[Future[None]] = []
        for path in paths:
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    waiting += [
                        one.submit(of_files.update, chunk),
                        two.submit(of_whole.update, chunk),
                    ]
                    target.write(chunk)
                    while len(waiting) > 8:
                        waiting.pop(0).result()
        for future in waiting:
            future.result()
        os.fsync(target.fileno())
    drop_cache(out)
    again = hashlib.sha256()
    with out.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            again.update(chunk)
    assert again.digest() == of_whole.digest()
    seconds = perf_counter() - began
    out.unlink()
    return seconds
