"""A small night on two real sites, for tests of the daemons.

Each daemon runs its real loop with --once, on a real database and real directories. To be quick its
workers are threads here instead of processes; tests/daemons/test_processes.py has real processes.
"""

import hashlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from typing import Any
from unittest import mock

from nightferry import config
from nightferry.child import serve
from nightferry.daemon import Loop
from nightferry.db import Database, Row
from nightferry.night_answer import Verdict, judge, look
from nightferry.testing import camera
from nightferry.testing.sites import Sites
from nightferry.workers import Worker

NIGHT = date(2026, 3, 14)  # the simulated camera's
DEADLINE = 150.0  # seconds, of one daemon with --once: on a busy machine too
ARCHIVES = ("archive-a", "archive-b")
TRAVEL = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
    ("center", "verify"), ("center", "archive"), ("center", "verify"),
)  # fmt: skip
SETTLE = {
    "quiet": "0.05 s",
    "looks": 2,
    "looks_apart": "0.05 s",
    "sweep_today": "0.1 s",
    "sweep_all": "0.1 s",
    "hints": "none",
}


class ThreadWorker(Worker):
    """A worker whose work runs in a thread of this process, over the same channel."""

    def __init__(self) -> None:
        real = mock.Mock(pid=0)
        with mock.patch("nightferry.workers.subprocess.Popen", return_value=real):
            super().__init__()
        self.connection.close()
        ours, theirs = socketpair()
        self.connection = Connection(ours.detach())
        self._thread = threading.Thread(
            target=serve, args=(Connection(theirs.detach()),), daemon=True
        )
        self._thread.start()

    def kill(self) -> None:
        self.connection.close()

    def gone(self) -> bool:
        return not self._thread.is_alive()


class Ground:
    """Two sites, and what a test asks of their ledger."""

    def __init__(self, sites: Sites) -> None:
        self.sites = sites.make()
        self.db = Database(sites.dsn, actor="test", site="center", host="center")
        # A test's database is a clone, and what was cloned is not trusted before somebody says so.
        self.ask("SELECT trust_incarnation('a clone for a test')")

    # --- files

    @property
    def source(self) -> Path:
        return self.sites.path("dome-source")

    def put(self, name: str, content: bytes | None = None) -> Path:
        """A file at the instrument's disk, written as ``name``; without content it is a frame."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(frame() if content is None else content)
        return path

    def frames(self, count: int) -> dict[str, bytes]:
        made = dict(camera.frames(count=count))
        for name, content in made.items():
            self.put(name, content)
        return made

    # --- daemons

    def once(self, site: str, daemon: str) -> Loop:
        """The daemon's loop with --once, from its beginning to its end."""
        module = import_module(f"nightferryd.{daemon}")
        loop = Loop(module.daemon, config.load(self.sites.config(site)), name="", once=True)
        late = threading.Timer(
            DEADLINE, lambda: setattr(loop.attention, "stopping", "the test's deadline")
        )
        late.start()
        try:
            with _signals_kept(), mock.patch("nightferry.workshop.Worker", ThreadWorker):
                loop.run()
        finally:
            late.cancel()
        assert not loop.attention.stopping, f"{daemon} --once did not end within {DEADLINE} s"
        return loop

    def ingest(self) -> None:
        self.once("dome", "ingest")

    def travel(self) -> None:
        """Every daemon once, in the order in which files travel."""
        for site, daemon in TRAVEL:
            self.once(site, daemon)

    def reap(self) -> None:
        """Nominate, read the survivors, decide, trash, hash, unlink: with no grace, all at once."""
        self.once("dome", "transfer")  # closes the bundles that are across
        self.once("dome", "reap")
        self.once("center", "verify")
        self.once("dome", "reap")
        self.once("center", "reap")

    # --- the ledger

    def ask(self, text: str, *values: object) -> list[Row]:
        return self.db.run(lambda tx: tx.execute(text, values))

    def one(self, text: str, *values: object) -> Any:
        """The first column of the only row."""
        (row,) = self.ask(text, *values)
        return row[0]

    def verdict(self, night: date = NIGHT) -> Verdict:
        return self.db.run(lambda tx: judge(look(tx, night)))

    def answer(self, night: date = NIGHT) -> str:
        """YES, or every reason why not: so that a failing test says which."""
        verdict = self.verdict(night)
        return "; ".join([verdict.answer, *verdict.no, *verdict.unknown])

    def copies(self, location: str) -> list[str]:
        """The states of the copies at a location, sorted."""
        rows = self.ask(
            "SELECT state::text FROM physical_copy WHERE location = %s ORDER BY 1", location
        )
        return [r[0] for r in rows]

    def files(self, path: str) -> list[Row]:
        """Every appearance of a path, oldest first."""
        return self.ask("SELECT * FROM raw_data_file WHERE path = %s ORDER BY ordinal", path)


def ground(folder: Path, dsn: str, **changes: Any) -> Ground:
    """Two sites below ``folder`` where nothing waits longer than it must."""
    quick = Sites(folder, dsn, settle=SETTLE, group_quiet="0 s", keep="0 s", trash_grace="0 s")
    quick = replace(
        quick, timing={**quick.timing, "probe": "0.2 s", "put_off": "0.2 s", "poll": "0.05 s"}
    )
    return Ground(replace(quick, **changes))


def frame(number: int = 1, **cards: object) -> bytes:
    """A frame of the simulated camera's night, 3 kB. ``cards`` replace or add header values."""
    values: dict[str, object] = {
        "SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "INSTRUME": "Nightferry simulated camera",
        "IMAGETYP": "OBJECT", "OBJECT": "NGC 3115", "EXPTIME": 30.0, "OBSNUM": number,
        "DATE-BEG": f"2026-03-15T02:{number % 60:02d}:00.000", "TIMESYS": "UTC",
    }  # fmt: skip
    values |= {key.replace("_", "-"): value for key, value in cards.items()}
    return fits_of(card(key, value) for key, value in values.items())


def card(key: str, value: object) -> bytes:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, int | float):
        text = f"{value!r:>20}"
    else:
        text = f"'{value}'"
    return f"{key:<8}= {text}".encode().ljust(80)[:80]


def fits_of(cards: Iterator[bytes], end: bool = True) -> bytes:
    header = b"".join(cards) + (b"END".ljust(80) if end else b"")
    return header.ljust(-(-len(header) // 2880) * 2880)


def tree(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything below a folder as a stranger finds it: modes, times, sizes and bytes."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        s = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[bytes(path)] = (s.st_mode, s.st_ino, s.st_mtime_ns, s.st_ctime_ns, s.st_size, content)
    return found


@contextmanager
def _signals_kept() -> Iterator[None]:
    kept = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in kept.items():
            signal.signal(number, handler)
