"""The process that does the work: ``do`` runs here, and never sees the database.

A read that hangs on a dead mount can't be killed as a thread, so slow work has a process of its
own. ``Work`` is its channel to the daemon, which owns database, leases and signals.
"""

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from ctypes import CDLL
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nightferry.durable import Root
from nightferry.errors import GiveUp, LeaseLost, NightferryError, Unavailable
from nightferry.stores import PosixStore, open_location
from nightferry.stores.base import Store
from nightferry.transports import Elsewhere

_PR_SET_PDEATHSIG = 1
_TELL_EVERY = 0.2


@dataclass(frozen=True)
class Place:
    """A location as this host has it mounted."""

    name: str
    path: Path
    storage: str
    type: str
    marker: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    def open_store(self) -> Store:
        """What is kept here; for the caller to close."""
        return open_location(self.storage, self.name, self.settings, self.path, self.marker)


@dataclass(frozen=True)
class Task:
    """What the daemon hands over: ``run(*arguments, work)`` with the host's places."""

    run: str  # module:function
    arguments: tuple[Any, ...]
    places: Mapping[str, Place]
    instruments: Path | None = None  # the host's own definitions; None = the shipped ones


class Work:
    """The worker's channel. Progress keeps the lease; every call may raise LeaseLost, Stopping or
    Cancelled, and then the work ends where it stands."""

    def __init__(self, connection: Connection, task: Task) -> None:
        self.instruments = task.instruments
        self._connection = connection
        self._places = task.places
        self._stores: dict[str, Store] = {}
        self._told = 0.0
        self._committing = False
        self.done = 0

    def store(self, location: str) -> Store:
        """The storage of a location, its marker read.

        Raises:
            Unavailable: this host does not have it, or it is not there.
        """
        if location not in self._stores:
            place = self._places.get(location)
            if place is None:
                raise Unavailable(
                    location,
                    f"{location} is not mounted on this host: name it under locations: in "
                    "nightferry.yaml",
                )
            self._stores[location] = place.open_store()
        return self._stores[location]

    def root(self, location: str) -> Root:
        """The directory of a POSIX location: a source's files are read from it as they are."""
        store = self.store(location)
        if not isinstance(store, PosixStore):
            raise GiveUp("not a POSIX location", f"{location} is no directory of this host")
        return store.root

    def staging(self, location: str) -> Root:
        """The directory of a PROCESSING location: elsewhere nothing is staged, or removed."""
        root = self.root(location)
        if self._places[location].type != "PROCESSING":
            raise GiveUp(
                "not a PROCESSING location",
                f"{location} is a {self._places[location].type}: nothing is staged there, and "
                "nothing is removed. See: nf config diff",
            )
        return root

    def far_end(self, location: str, marker: str | None) -> Store | Elsewhere:
        """Where a route leads: a store that this host has mounted, or a place of another host."""
        return self.store(location) if location in self._places else Elsewhere(location, marker)

    def has(self, location: str) -> bool:
        """Whether this host has it mounted, there or not."""
        return location in self._places

    def place(self, location: str) -> Place:
        return self._places[location]

    def progress(self, done: int, of: int = 0) -> None:
        """So many bytes (or items) of so many are done. Cheap: it may be called often."""
        self.done = done
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            self._send(("progress", done, of))
            while self._connection.poll(0):
                said = self._receive()
                if said[0] == "answer":
                    self._committing = False
                else:
                    self._obey(said)

    def counter(self, of: int = 0) -> Callable[[int], None]:
        """A callback that adds up amounts and tells the sum."""
        base = self.done

        def add(amount: int) -> None:
            nonlocal base
            base += amount
            self.progress(base, of)

        return add

    def onward(self, before: int, of: int) -> Callable[[int], None]:
        """A callback that is told how far a part is, after ``before`` of the whole."""
        return lambda done: self.progress(before + done, of)

    def emit(self, batch: object) -> Any:
        """Hands over results; returns what the daemon's commit of them returned."""
        return self._call(("emit", batch))

    def hand_over(self, batch: object) -> None:
        """As :meth:`emit`, but works on while it is committed: one batch is on its way at a time.

        What is asked afterwards sees it committed; a commit that failed is raised by a later call.
        """
        self._wait_for_commit()
        self._send(("emit", batch))
        self._committing = True

    def ask(self, statement: str, **values: object) -> list[Any]:
        """The rows of a named statement that only reads, as tuples."""
        rows: list[Any] = self._call(("ask", statement, values))
        return rows

    def check(self) -> None:
        """Renews the claim now: right before a publish, a rename or an unlink."""
        self._call(("check",))

    def end(self) -> None:
        """All that was handed over is committed when this returns."""
        self._wait_for_commit()

    def close(self) -> None:
        for store in self._stores.values():
            store.close()
        self._stores.clear()

    def _call(self, message: tuple[Any, ...]) -> Any:
        self._send(message)
        self._wait_for_commit()  # the daemon answers in order
        return self._answer()

    def _wait_for_commit(self) -> None:
        if self._committing:
            self._answer()
            self._committing = False

    def _answer(self) -> Any:
        while True:
            said = self._receive()
            if said[0] == "answer":
                return said[1]
            self._obey(said)

    def _send(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise LeaseLost("the daemon of this worker is gone") from error

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise LeaseLost("the daemon of this worker is gone") from error

    def _obey(self, order: tuple[Any, ...]) -> None:
        if order[0] == "raise":
            raise order[1]


def serve(connection: Connection) -> None:
    """Does one task after the other until the daemon closes the channel."""
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        if not isinstance(task, Task):
            continue  # an order to a task that had already ended
        work = Work(connection, task)
        try:
            module, _, function = task.run.partition(":")
            do = getattr(importlib.import_module(module), function)
            done = do(*task.arguments, work)
            work.end()
            answer: tuple[str, Any] = ("done", done)
        except NightferryError as error:
            answer = ("failed", error)
        except OSError as error:
            answer = ("broke", f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - told to the daemon, which retries and then blocks
            import traceback

            answer = ("broke", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}")
        finally:
            work.close()
        try:
            connection.send(answer)
        except OSError:
            return


def main() -> None:
    """``main()`` with arguments FD PARENT: started by the daemon only."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    # The daemon decides when a worker stops; the terminal's Ctrl-C reaches both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # A worker is one core's: threads of numpy's BLAS wait more than they work.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if os.getppid() != parent:
        return  # it died before it could be told to take us along
    serve(Connection(descriptor))
