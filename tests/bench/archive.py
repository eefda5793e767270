"""Archiving a package of 1 GB, and proving it: next to cp, sync and openssl on the same bytes.

From the enqueue of the archive job to the verified, published copy, by real daemons.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from tests.bench.chain import Chain, chain
from tests.bench.frames import write_frames
from tests.bench.ground import Ground, shell
from tests.bench.lines import Line, Result, in_turns

CP = """
cp "$1" "$2"
sync "$2"
dd of="$2" oflag=nocache conv=notrunc,fdatasync count=0 status=none
openssl dgst -sha256 "$2" > /dev/null
"""
TRAVELS = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"), ("center", "verify"),
)  # fmt: skip


def measure(ground: Ground) -> Iterator[Result]:
    size = 250_000_000 if ground.quick else 1_000_000_000
    line = Line(
        "archive", f"archive, then verify, as daemons, a package of {size} bytes",
        "cp, sync, cache dropped, openssl", "s", "at most", 1.3,
    )  # fmt: skip
    with chain(ground) as sites, ground.place("peer") as out:
        ground.tell("archive: bringing a package to the data centre")
        write_frames(sites.source, 10, size // 10, 36)
        for site, daemon in TRAVELS:
            sites.sites.once(site, daemon, 300)
        for daemon in ("archive", "verify"):
            sites.start("center", daemon)
        sites.seconds_to_present("archive", "archive-b")
        sites.wait_for_copies(2)  # from now on only one of the archives ever lacks it
        (package,) = sites.sites.path("archive-b").rglob("*.tar")
        yield in_turns(
            line, ground.runs, ground.tell,
            lambda: _ours(sites), lambda: _cp(package, out / "copy"),
        )  # fmt: skip


def _ours(sites: Chain) -> float:
    sites.forget_packages_at(["archive-a"])
    os.sync()
    return sites.seconds_to_present("archive", "archive-a")


def _cp(package: Path, out: Path) -> float:
    os.sync()
    seconds = shell(CP, package, out)
    out.unlink()
    return seconds
