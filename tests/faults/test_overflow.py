"""A burst of files that overflows the kernel's queue of events is found to its last file, also in
directories that are made while it lasts.

Root alone may lower the limit of the queues, which is the whole machine's: it is put back as soon as
the daemon listens.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import SETTLE, ground
from tests.faults.keeping import Figure

LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")
LOWERED = 256  # events; the usual limit is 16,384
FILES_OF_A_DIRECTORY = 120
# Only an overflow makes it sweep: no sweep falls due while the test lasts.
SETTLING = {
    **SETTLE,
    "quiet": "0.3 s",
    "sweep_today": "1 h",
    "sweep_all": "6 h",
    "hints": "inotify",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root may lower the limit of the kernel's queue of events"
    ),
]


@contextmanager
def short_queues() -> Iterator[None]:
    """Whoever begins to listen meanwhile is given a queue that holds very few events, for good."""
    before = LIMIT.read_text()
    try:
        LIMIT.write_text(str(LOWERED))
    except OSError as error:
        pytest.skip(f"{LIMIT} can't be written on this machine: {error.strerror}")
    try:
        yield
    finally:
        LIMIT.write_text(before)


def burst(source: Path, files: int) -> dict[str, str]:
    """So many small files, as fast as they can be written: the SHA-256 of each by its path.

    Every other one in the top directory, which is watched since long: its events fill the queue.
    The rest in new directories, three deep; and the first file of each comes last of all.
    """
    sums: dict[str, str] = {}
    late: list[tuple[Path, bytes]] = []
    for number in range(files):
        directory, one = divmod(number, FILES_OF_A_DIRECTORY)
        name = f"f{number:05d}.dat"
        nested = source / f"new{directory % 7}" / f"newer{directory % 3}" / f"newest{directory}"
        path = nested / name if number % 2 else source / name
        content = b"frame %d" % number
        sums[str(path.relative_to(source))] = sha256(content).hexdigest()
        if one == 1:
            nested.mkdir(parents=True)
            late.append((path, content))
        else:
            path.write_bytes(content)
    for path, content in late:
        path.write_bytes(content)
    return sums


@pytest.mark.parametrize("files", [3_000, pytest.param(60_000, marks=pytest.mark.whole)])
def test_every_file_of_a_burst_is_found_though_the_queue_of_events_overflowed(
    database: str, tmp_path: Path, figure: Figure, files: int
) -> None:
    site = ground(tmp_path, database, settle=SETTLING, keep=None)
    log = tmp_path / "log"
    with log.open("ab") as out, Running(site.sites, log=out.fileno()) as daemons:
        with short_queues():
            daemons.start({"dome": ("ingest",)})
            first_sweep = "SELECT count(full_sweep_ended) FROM location_state"
            wait_until(lambda: site.one(first_sweep), 30, "the first full sweep")
        sums = burst(site.source, files)
        began = time.monotonic()
        found = "SELECT count(*) FROM raw_data_file"
        wait_until(lambda: site.one(found) >= files, 60 + files / 100, f"all {files} files")
        took = time.monotonic() - began
    assert "the queue of hints overflowed" in log.read_text()
    assert dict(site.ask("SELECT path, sha256 FROM raw_data_file")) == sums  # type: ignore[arg-type]
    assert not site.ask("SELECT FROM quarantine")
    figure(f"overflow: {files:,} files found after", f"{took:.0f} s")
    site.db.close()
