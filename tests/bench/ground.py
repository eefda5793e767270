"""What a benchmark stands on: a scratch folder, a real PostgreSQL that syncs, and daemons to watch.

All of it is gone at the end. The server is the embedded one with its durable settings, on a state
directory of its own; it also notes when each transaction was committed.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from nightferry.embedded import Embedded
from nightferry.migrate import migrate

from tests.bench.lines import Tell
from tests.database import new_database


class Ground:
    """``quick`` asks for smaller amounts, ``runs`` says how often each side is measured."""

    def __init__(self, tell: Tell, quick: bool, runs: int) -> None:
        self.tell, self.quick, self.runs = tell, quick, runs
        self._stack = ExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="nightferry-bench-"))
        self.folder.chmod(0o711)  # started as root, the server's user has to enter it
        self._server: str | None = None
        self._template: str | None = None

    @property
    def server(self) -> str:
        """The DSN of the server, started at its first use."""
        if self._server is None:
            self.tell("starting a PostgreSQL")
            state = self.folder / "state"
            with Embedded(state) as server, psycopg.connect(server.dsn, autocommit=True) as c:
                c.execute("ALTER SYSTEM SET track_commit_timestamp = on")
            self._server = self._stack.enter_context(Embedded(state)).dsn
        return self._server

    @contextmanager
    def ledger(self) -> Iterator[str]:
        """The DSN of a migrated, empty database, dropped at the end."""
        with new_database(self.server) as dsn:
            migrate(dsn)
            yield dsn

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """For a peer's own tables."""
        with new_database(self.server) as dsn:
            yield dsn

    @contextmanager
    def place(self, name: str, under: Path | None = None) -> Iterator[Path]:
        """A fresh folder, removed at the end."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=under or self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
        shutil.rmtree(self.folder)


def drop_cache(path: Path) -> None:
    """What was synced leaves the page cache: whoever reads it next reads the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def shell(script: str, *arguments: str | Path) -> float:
    """Runs a script of the shell, with ``$1`` and so on; returns the seconds that it took."""
    began = time.perf_counter()
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "bench", *map(str, arguments)], check=True
    )
    return time.perf_counter() - began


def until(true: Callable[[], Any], what: str, seconds: float = 300.0) -> Any:
    """Waits for a condition, with a deadline; returns its first true value.

    Raises:
        TimeoutError: it did not come true in time.
    """
    end = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {seconds:.0f} s")
        time.sleep(0.02)
    return value


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
