"""The most memory that each daemon holds, its children counted, while a file of 4 GB passes through.

PSS, as the kernel counts it: what is shared is shared out. The peer is the promise, 250 MB.
"""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.bench.chain import chain
from tests.bench.frames import write_frames
from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, result

PROMISE = 250.0  # MB
DAEMONS = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"), ("center", "verify"),
    ("center", "archive"),
)  # fmt: skip


def measure(ground: Ground) -> Iterator[Result]:
    size = 1_000_000_000 if ground.quick else 4_000_000_000
    with chain(ground) as sites:
        ground.tell(f"memory: writing a file of {size} bytes")
        _large_frame(sites.source / "large.fits", size)
        running = {f"{site}.{name}": sites.start(site, name).pid for site, name in DAEMONS}
        with Watched(running) as watched:
            ground.tell("memory: waiting until it is in two archives")
            sites.wait_for_packages()
            sites.wait_for_copies(2)
        for name, peak in watched.peaks.items():
            line = Line(
                f"memory.{name}", f"most PSS of the daemon and its children, a file of {size} bytes",
                "what is promised", "MB", "at most", 1.0,
            )  # fmt: skip
            yield result(line, [(peak / 1e6, PROMISE)])


def _large_frame(path: Path, size: int) -> None:
    write_frames(path.parent / "in", 1, 100_000_000, 36)
    (piece,) = (path.parent / "in").rglob("*.fits")
    content = piece.read_bytes()
    with path.open("wb") as file:  # no FITS file: its bytes are what counts
        file.write(b"raw data")
        while file.tell() < size:
            file.write(content)
    piece.unlink()


class Watched:
    """Looks at processes and their children ten times a second."""

    def __init__(self, processes: dict[str, int]) -> None:
        self.peaks = dict.fromkeys(processes, 0)
        self._processes = processes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for name, pid in self._processes.items():
                self.peaks[name] = max(self.peaks[name], sum(map(_pss, [pid, *_children(pid)])))
            time.sleep(0.1)


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(
            r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE
        )
        return int(found[1]) * 1024 if found else 0
    return 0


def _children(pid: int) -> list[int]:
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in file.read_text().split()]
    return found + [below for child in found for below in _children(child)]
