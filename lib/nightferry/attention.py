"""What wakes a daemon: signals, the database's hints, its workers; and what it tells systemd."""

import select
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import psycopg
import sdnotify

from nightferry.db import Database, DatabaseAway


class Attention:
    """Waits for whatever comes first. A signal's handler only sets a flag."""

    def __init__(self, db: Database, name: str) -> None:
        self.stopping: str | None = None  # the signal's name
        self.reload = False
        self._db, self._name = db, name
        self._hints: psycopg.Connection[Any] | None = None
        self._notifier = sdnotify.SystemdNotifier()
        self._wake, self._poke = socket.socketpair()

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reads the configuration again."""
        for end in (self._wake, self._poke):
            end.setblocking(False)
        signal.set_wakeup_fd(self._poke.fileno())

        def stop(number: int, _: FrameType | None) -> None:
            self.stopping = self.stopping or signal.Signals(number).name

        def reload(_: int, __: FrameType | None) -> None:
            self.reload = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)

    def tell_systemd(self, *words: str) -> None:
        """``READY=1``, ``STATUS=…``; nothing happens where systemd does not listen."""
        self._notifier.notify("\n".join(words))

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Tells systemd when a reload begins, and when it is over: however it ends."""
        self.reload = False
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell_systemd("RELOADING=1", f"MONOTONIC_USEC={now}")
        try:
            yield
        finally:
            self.tell_systemd("READY=1")

    def listen(self) -> None:
        """Asks the database for hints. Without them polling is only slower."""
        if self._hints is not None:
            return
        try:
            self._hints = psycopg.connect(
                self._db.dsn, autocommit=True, connect_timeout=5, application_name=self._name
            )
            self._hints.execute("LISTEN nightferry")
        except (psycopg.OperationalError, DatabaseAway):
            self._hints = None

    def wait(self, seconds: float, workers: Iterable[Any], *, progress: bool = True) -> None:
        """Until a worker speaks, a hint or a signal comes, or the time is over.

        The watchdog is fed where there is ``progress``, or a wait with a deadline of its own.
        """
        if progress:
            self.tell_systemd("WATCHDOG=1")
        hints = [self._hints] if self._hints is not None else []
        try:
            ready, _, _ = select.select([self._wake, *workers, *hints], [], [], seconds)
        except (ValueError, OSError):  # a descriptor closed meanwhile: look again
            return
        if self._wake in ready:
            self._wake.recv(4096)
        if self._hints is not None and self._hints in ready:
            self._take_hints(self._hints)

    def _take_hints(self, hints: "psycopg.Connection[Any]") -> None:
        try:
            for _ in hints.notifies(timeout=0):
                pass
        except psycopg.OperationalError:
            hints.close()
            self._hints = None
