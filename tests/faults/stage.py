"""Starts daemons and commands at the price of a fork: one process that has imported all of them.

A thousand faults mean ten thousand starts, and nearly all of one is Python's own. What is started
here is otherwise as under systemd: a process of its own, whose workers are processes of their own.
A process can be held until a tracer has come, so that its very first call is seen.
"""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from ctypes import CDLL
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socketpair
from types import TracebackType
from typing import Any, NoReturn, Self

ROOT = Path(__file__).resolve().parents[2]
DAEMONS = ("ingest", "package", "transfer", "archive", "verify", "reap", "stage", "calibrate")
_PR_SET_PDEATHSIG = 1
HELD = 20.0  # seconds that a held process waits for its tracer


class Stage:
    """The process that starts others, as whoever wants something started sees it."""

    def __init__(self, dsn: str) -> None:
        ours, theirs = socketpair()
        with theirs:
            path = os.pathsep.join(str(ROOT / part) for part in ("lib", "daemons", ""))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.stage", str(theirs.fileno()), dsn],
                cwd=ROOT,
                # One thread: what is forked has no others.
                env=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._line = Connection(ours.detach())

    def start(self, argv: Sequence[str], log: Path, hold: str = "") -> int:
        """Starts ``argv`` (a daemon's name, or ``nf``, and its arguments); its pid.

        ``hold``: "daemon", or the place whose worker is to wait for a tracer. That worker's pid is
        then written beside the log.
        """
        self._line.send(("start", list(argv), str(log), hold))
        pid: int = self._line.recv()
        return pid

    def wait(self, pid: int, seconds: float = 60.0, end: bool = True) -> int | None:
        """Its exit status, minus the signal's number if one ended it; None: it had to be ended, or
        without ``end`` goes on."""
        self._line.send(("wait", pid, seconds, end))
        status: int | None = self._line.recv()
        return status

    def run(self, argv: Sequence[str], log: Path, seconds: float = 60.0) -> int | None:
        return self.wait(self.start(argv, log), seconds)

    def close(self) -> None:
        self._line.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def worker_file(log: Path) -> Path:
    """Where a held worker writes its pid."""
    return log.with_name(log.name + ".worker")


# --- in the process that starts others ------------------------------------------------------------


def serve(line: Connection, dsn: str) -> None:
    _warm_up(dsn)
    while True:
        try:
            order, *rest = line.recv()
        except EOFError:
            return
        if order == "start":
            argv, log, hold = rest
            pid = os.fork()
            if not pid:
                line.close()
                _become(argv, Path(log), hold)
            line.send(pid)
        else:
            line.send(_wait(*rest))


def _warm_up(dsn: str) -> None:
    """What each start would do again: imports, also those of the first session with a database."""
    for name in DAEMONS:
        import_module(f"nightferryd.{name}")
    for module in (
        "nightferry.cli",
        "nightferry.cli.adopt",
        "nightferry.cli.locations",
        "nightferry.calibrating",
        "nightferry.images",
    ):
        import_module(module)
    from nightferry.db import Database

    database = Database(dsn)
    database.run(lambda tx: tx.execute("SELECT now()"))
    database.close()
    gc.collect()
    gc.freeze()  # else every child copies every page that the collector writes to


def _wait(pid: int, seconds: float, kill: bool) -> int | None:
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            if kill:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            return None
        time.sleep(0.003)


def _become(argv: list[str], log: Path, hold: str) -> NoReturn:
    """This process is ``argv`` from now on."""
    status = 1
    try:
        os.setsid()
        CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # else a test that is killed leaves it
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for fd in (1, 2):
            os.dup2(out, fd)
        os.close(out)
        if hold == "daemon":
            # It polls only when something has happened: so the calls come in the same order.
            import_module("nightferry.daemon").Loop._pause = lambda self: 1.0
            _await_tracer()
        if hold:  # likewise: its progress is told once, not now and then
            import_module("nightferry.child")._TELL_EVERY = 3600.0
        _fork_workers(log, hold)
        sys.argv = argv
        if argv[0] == "nf":
            import_module("nightferry.cli").main()
        else:
            import_module(f"nightferryd.{argv[0]}").main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - what a program's own end does with it
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        os._exit(status)


def _await_tracer() -> None:
    end = time.monotonic() + HELD
    while "\nTracerPid:\t0\n" in Path("/proc/self/status").read_text():
        if time.monotonic() > end:
            os._exit(99)
        time.sleep(0.002)


class _Forked:
    """As much of a Popen as a daemon asks of its worker's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("worker", timeout)
            time.sleep(0.002)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _fork_workers(log: Path, hold: str) -> None:
    """Where a daemon would start Python for a worker, it forks; nothing else changes."""
    from nightferry import child, workers, workshop

    given: list[str] = [""]
    give = workshop.Workshop.give

    def note(self: workshop.Workshop, place: str, *rest: Any) -> None:
        given[0] = place
        give(self, place, *rest)

    start = subprocess.Popen

    def popen(command: list[str], pass_fds: Sequence[int] = (), **more: Any) -> Any:
        if not pass_fds:  # no worker: a library that asks the system for something
            return start(command, **more)
        pid = os.fork()
        if pid:
            return _Forked(pid)
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            channel = pass_fds[0]
            os.closerange(3, channel)
            os.closerange(channel + 1, 1024)
            if hold == given[0] and not worker_file(log).exists():
                worker_file(log).write_text(str(os.getpid()))
                _await_tracer()
            sys.argv = command[2:]
            child.main()
            status = 0
        finally:
            os._exit(status)

    workshop.Workshop.give = note  # type: ignore[method-assign]
    workers.subprocess.Popen = popen  # type: ignore[misc, assignment]
    # A command's reading processes, likewise.
    from multiprocessing import get_context

    from nightferry.adoption import reading

    reading.get_context = lambda _: get_context("fork")  # type: ignore[assignment]


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), sys.argv[2])
