"""What a daemon is: two functions, a settings class and a name. The loop runs it (daemon.py)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nightferry.db import Tx
from nightferry.errors import GiveUp
from nightferry.jobs import Job, Wanted

Next = Iterable[tuple[str, Wanted]]  # (kind, work) that a commit makes urgent


@dataclass(frozen=True)
class JobDaemon:
    """A daemon that claims jobs. ``do(job, settings, work)`` is slow and sees no transaction;
    ``record(tx, job, done)`` is SQL only, after the fence, and returns the next work."""

    kind: str
    settings: type
    do: Callable[..., Any]
    record: Callable[[Tx, Job, Any], Next]
    batch: Callable[[Tx, Job, Any], Next] | None = None  # what do emits on its way
    tick: Callable[[Tx, Any], Next] | None = None  # short, one at a time over all hosts
    refuse: Callable[[Tx, Job, GiveUp], bool] | None = None  # True: recorded, and not to be blocked
    doing: str = "working on"  # in a person's words, for the status: "packing"

    @property
    def work(self) -> Callable[..., Any]:
        """What its workers run."""
        return self.do


@dataclass(frozen=True)
class PlaceDaemon:
    """A daemon that watches places, one worker and one lease each. ``record(tx, place, batch)``
    commits what ``watch(place, settings, once, work)`` emits, and its value goes back to it."""

    kind: str
    settings: type
    watch: Callable[..., Any]
    record: Callable[[Tx, str, Any], Any]
    types: tuple[str, ...]  # of locations

    @property
    def work(self) -> Callable[..., Any]:
        """What its workers run."""
        return self.watch


@dataclass(frozen=True)
class SideDaemon:
    """A daemon that claims nothing and works for no place: it serves people, or other programs."""

    kind: str
    settings: type
    serve: Callable[..., None]
