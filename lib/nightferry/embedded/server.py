"""One PostgreSQL on one state directory, from its start to its stop."""

import fcntl
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from nightferry.embedded.binaries import find_binaries
from nightferry.embedded.data import OWNER, data_directory
from nightferry.embedded.listening import SOCKET_NAME, dsn, socket_directory
from nightferry.embedded.process import ServerRefused, lock, options, spawn, text, wait_for
from nightferry.errors import ConfigError
from nightferry.state import Account, barred, make, server_account

RECOVERY_SECONDS = 3600  # after a crash the server replays its log before it answers
SHUTDOWN_SECONDS = 60
LARGEST_LOG = 16 << 20  # bytes; a larger one starts again with the next server

# For tests only: as fast as a server can be that may forget everything at a power cut.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Embedded:
    """Start it from the main thread: the server ends with the thread that started it.

    ``user`` is who the server runs as when we are root. ``log`` is a descriptor that takes what
    the server says, else a file does. ``durable=False`` is for tests: nothing is synced.
    ``waiting`` is called again and again, with what for, while the server comes up or ends.
    """

    def __init__(
        self,
        state: Path,
        *,
        user: str | None = None,
        durable: bool = True,
        log: int | None = None,
        waiting: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.state = state.resolve()
        self.home = self.state / "postgres"
        self.dsn = ""  # where it answers, while it runs
        self._user = user
        self._durable = durable
        self._log = log
        self._waiting = waiting
        self._supervising: int | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server, on a new database if there is none, and return its DSN.

        Raises ServerRefused: another process serves this state directory, the server's user can't
        enter it, its data is of another major version, or the server says no. Raises ConfigError
        where there is no user or no program for it.
        """
        account = server_account(self._user)
        self._prepare_home(account)
        supervising = lock(self.home / "supervisor.lock")
        if supervising is None:
            raise ServerRefused(
                f"{self.state} is served already, by process {text(self.home / 'supervisor.lock')}:"
                f" {text(self.home / 'dsn') or 'it is starting'}. Use that server, or stop it first"
            )
        self._supervising = supervising
        try:
            _overwrite(supervising, str(os.getpid()))
            return self._serve(account)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down, clients or not, and wait for its end. Harmless when not started."""
        if self._server is not None:
            for sent, seconds in (
                (signal.SIGINT, SHUTDOWN_SECONDS),  # "fast": disconnect all, checkpoint
                (signal.SIGQUIT, 10),  # "immediate": the next start replays the log
                (signal.SIGKILL, math.inf),
            ):
                self._server.send_signal(sent)
                if self._has_ended_within(seconds):
                    break
            self._server = None
        if self._supervising is not None:
            self.dsn = ""
            self._record_dsn(self.dsn)
            fcntl.flock(self._supervising, fcntl.LOCK_UN)  # a forked child may have a copy
            os.close(self._supervising)
            self._supervising = None

    def _has_ended_within(self, seconds: float) -> bool:
        assert self._server is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._waiting("the server shuts down")
            try:
                self._server.wait(min(1.0, max(0.0, deadline - time.monotonic())))
                return True
            except subprocess.TimeoutExpired:
                continue
        return False

    def ended(self) -> int | None:
        """The exit status of a server that ended by itself; None while it runs."""
        return None if self._server is None else self._server.poll()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _prepare_home(self, account: Account) -> None:
        obstacle = barred(self.home, account)
        if obstacle is not None:
            raise ServerRefused(
                f"the database can't live in {self.state}: PostgreSQL runs as {account.name!r}, "
                f"who can't enter {obstacle}. Give another state directory, such as "
                f"/var/lib/nightferry, or open that one yourself: chmod o+x {obstacle}"
            )
        make(self.home, account)
        owner = self.home.stat().st_uid
        if owner != os.geteuid():
            raise ServerRefused(
                f"{self.home} belongs to user id {owner}, and we are user id {os.geteuid()}. "
                "Start as that user, or give another state directory."
            )

    def _serve(self, account: Account) -> str:
        binaries = find_binaries(self.home / "binaries", account)
        # The last server may be on its way out still: its supervisor was killed a moment ago.
        alive = wait_for(
            lambda: lock(self.home / "server.lock"),
            SHUTDOWN_SECONDS,
            lambda: (
                f"the last server in {self.home} still runs, {SHUTDOWN_SECONDS} s after its "
                f"supervisor ended. See what it does: fuser -v {self.home}/server.lock"
            ),
        )
        log, said_before = self._open_log()
        try:
            data = data_directory(self.home, binaries, account, durable=self._durable)
            socket = socket_directory(self.home, account)
            settings = {
                "listen_addresses": "",
                "port": "5432",
                "unix_socket_directories": str(socket),
                "unix_socket_permissions": "0700",
                **({} if self._durable else FORGETFUL),
            }
            # PostgreSQL overlooks the process named here when it asks whether another server is in
            # its way. The lock proves the last one gone; its number may be another process's now.
            gone = text(data / "postmaster.pid").partition("\n")[0]
            self._server = spawn(
                [binaries / "postgres", "-D", data, *options("-c", settings)],
                account,
                log,
                {"PG_GRANDPARENT_PID": gone},
                [alive],
            )
        finally:
            os.close(alive)  # the server has a copy of its own
            if log != self._log:
                os.close(log)
        wait_for(
            lambda: self.ended() is not None or self._answers_now(socket) or None,
            RECOVERY_SECONDS,
            lambda: (
                f"the server in {data} does not answer after {RECOVERY_SECONDS} s. "
                f"It says:\n{self._said_since(said_before)}"
            ),
        )
        if self.ended() is not None:
            raise ServerRefused(
                f"the server in {data} ended while it was starting, with status {self.ended()}. "
                f"It says:\n{self._said_since(said_before)}"
            )
        _make_database(socket)
        self.dsn = dsn(socket)
        self._record_dsn(self.dsn)
        return self.dsn

    def _answers_now(self, socket: Path) -> bool:
        if _answers(socket):
            return True
        self._waiting("the server starts; after a crash it replays its log first")
        return False

    def _open_log(self) -> tuple[int, int]:
        if self._log is not None:
            return self._log, 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(self.home / "log", flags, 0o600)
        if os.fstat(log).st_size > LARGEST_LOG:
            os.ftruncate(log, 0)
        return log, os.fstat(log).st_size

    def _said_since(self, offset: int) -> str:
        if self._log is not None:
            return "the lines above this one."
        with (self.home / "log").open("rb") as log:
            log.seek(offset)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-20:])

    def _record_dsn(self, answer: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.home / "dsn", flags, 0o600)
        try:
            _overwrite(descriptor, answer)
        finally:
            os.close(descriptor)


def running_dsn(state: Path) -> str | None:
    """The DSN of the server that runs on ``state``, for any process of this host; None if none.

    Raises ConfigError where the state directory is closed to the user that asks.
    """
    try:
        recorded = text(state.resolve() / "postgres" / "dsn")
    except PermissionError as refused:
        raise ConfigError(
            f"{refused.filename} is closed to user id {os.geteuid()}: the embedded database is "
            "for the user that started it, and for root. Run this as one of them."
        ) from None
    if not recorded:
        return None
    socket = Path(str(conninfo_to_dict(recorded)["host"]))
    # It outlives its supervisor's SIGKILL for the moment of its shutdown, and then is gone.
    return recorded if (socket / SOCKET_NAME).exists() else None


def _answers(socket: Path) -> bool:
    try:
        psycopg.connect(dsn(socket, "postgres"), connect_timeout=5).close()
    except psycopg.OperationalError:  # not yet, or never: the caller sees whether it still runs
        return False
    return True


def _make_database(socket: Path) -> None:
    with psycopg.connect(dsn(socket, "postgres"), autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [OWNER])
        if known.fetchone() is None:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(OWNER)))


def _overwrite(descriptor: int, content: str) -> None:
    os.ftruncate(descriptor, os.pwrite(descriptor, content.encode(), 0))
