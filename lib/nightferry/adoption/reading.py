"""Reading an archive's files: in processes of their own, one pass each, last at the disk."""

import ctypes
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nightferry.capture import Captured, Moved, Reader, Telescope, reader_of
from nightferry.courtesy import Pace, take_last_place
from nightferry.errors import Unreadable
from nightferry.filesystem import file_system_type, is_network
from nightferry.instruments import Instruments
from nightferry.place import Place
from nightferry.watch import signature_of

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Reading:
    """What a reading process needs to know."""

    location: str
    path: Path
    marker: str | None
    definitions: Path | None
    telescopes: Mapping[str, Telescope]
    settings: Mapping[str, Any]
    rate: float  # bytes a second of this process; 0 = as fast as it goes


@dataclass(frozen=True)
class Read:
    """One file, read in full from ``began`` to ``ended``; or why it could not be."""

    path: str
    captured: Captured | None
    began: datetime
    ended: datetime
    how: str  # cache, remote
    trouble: str = ""

    @property
    def whole(self) -> Captured:
        assert self.captured is not None
        return self.captured


def read_all(work: Iterator[list[str]], how: Reading, processes: int) -> Iterator[list[Read]]:
    """Pieces as they are read; no more is under way than keeps every process busy."""
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(how,)
    ) as pool:
        running: set[Future[list[Read]]] = set()
        try:
            for piece in work:
                running.add(pool.submit(_read_piece, piece))
                if len(running) > 2 * processes:
                    ready, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (one.result() for one in ready)
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (one.result() for one in ready)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Process:
    """A reading process: its place, its reader, and the byte rate that it is held to."""

    place: Place
    reader: Reader
    network: bool
    pace: Pace
    bytes: int = 0

    def read(self, amount: int) -> None:
        self.bytes += amount
        self.pace.reached(self.bytes)


_process: _Process | None = None  # one in each reading process, made by _begin


def _begin(how: Reading) -> None:
    global _process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends us
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    take_last_place()  # whoever else wants the disk goes first
    network = is_network(file_system_type(how.path))
    place = Place.open(how.location, how.path, how.marker)
    _process = _Process(
        place,
        reader_of(
            place,
            not network,
            Instruments.load(how.definitions),
            how.telescopes,
            how.settings,
        ),
        network,
        Pace(how.rate),
    )


def _read_piece(paths: list[str]) -> list[Read]:
    assert _process is not None
    return [_read_one(_process, path) for path in paths]


def _read_one(process: _Process, path: str) -> Read:
    began = datetime.now(UTC)
    how = "remote" if process.network else "cache"
    last = 0

    def progress(done: int) -> None:
        nonlocal last
        process.read(done - last)
        last = done

    try:
        seen = signature_of(process.place.stat(path), not process.network)
        captured = process.reader.capture(path, seen, progress)
    except (Moved, FileNotFoundError):
        trouble = "it changed or vanished while it was read"
        return Read(path, None, began, datetime.now(UTC), how, trouble)
    except (OSError, Unreadable) as error:
        return Read(path, None, began, datetime.now(UTC), how, f"it can't be read: {error}")
    ended = datetime.now(UTC)
    if captured.meaning.night_from == "arrival":  # it did not arrive today
        arrived = datetime.fromtimestamp(captured.signature.mtime_ns / 1e9, UTC)
        meaning = process.reader.mean(captured.facts, path, arrived)
        captured = replace(captured, meaning=meaning)
    # The cards go as text; the headers in pieces would only be carried twice.
    facts = replace(captured.facts, hdus=())
    adopted = replace(captured, facts=facts, handling="adopted", keep=None)
    return Read(path, adopted, began, ended, how)
