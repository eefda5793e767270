"""Which directory is looked at next: all of them now and then, today's every minute, others when
a hint or an open question asks for it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from nightferry.watch.sweep import Subdirectory, split

TWO_NIGHTS = 2 * 86_400.0


@dataclass
class Sweep:
    """One sweep under way. ``stack`` holds the directories still to be read."""

    full: bool
    began: datetime
    stack: list[str]
    visited: set[str] = field(default_factory=set)
    files: int = 0
    unreadable: int = 0


class Itinerary:
    """The sweeps under way and the single directories to look at.

    It remembers the directories of the source by name, not their files.
    """

    def __init__(
        self,
        every_today: float,
        every_all: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._every_today, self._every_all, self._clock, self._now = (
            every_today,
            every_all,
            clock,
            now,
        )
        self.full: Sweep | None = None
        self.today: Sweep | None = None
        self._full_due = clock()
        self._today_due = clock() + every_today  # at the start, the full sweep is today's as well
        self._single: dict[str, float] = {}
        self._known: set[str] = set()
        self._stirred: dict[str, float] = {}

    def sweep_everything(self) -> None:
        """Hints were missed: sweep all, after the sweep under way if there is one. That one is
        not begun anew: a source that is never quiet would then never be swept to its end."""
        self._full_due = self._clock()

    def look_soon(self, directory: str, after: float = 0.0) -> None:
        """Look at ``directory`` in ``after`` seconds, if it is not due earlier."""
        due = self._clock() + after
        self._single[directory] = min(due, self._single.get(directory, due))

    def start_full(self) -> bool:
        """Begin a full sweep if it is due; was it?"""
        if self.full is not None or self._clock() < self._full_due:
            return False
        self.full = Sweep(True, self._now(), [""])
        self._full_due = self._clock() + self._every_all
        return True

    def start_today(self) -> Collection[str]:
        """Begin a sweep of today's directories if it is due; returns which, none if it is not."""
        if self.today is not None or self._clock() < self._today_due:
            return ()
        directories = self.todays()
        self.today = Sweep(False, self._now(), sorted(directories, reverse=True))
        self._today_due = self._clock() + self._every_today
        return directories

    def todays(self) -> set[str]:
        """What changed in the last two nights, and all above: there the next night will appear."""
        now = self._clock()
        self._stirred = {d: t for d, t in self._stirred.items() if now - t < TWO_NIGHTS}
        today = {""}
        for directory in self._stirred:
            while directory and directory not in today:
                today.add(directory)
                directory = split(directory)[0]
        return today

    def take_singles(self, most: int = 100) -> list[str]:
        """Single directories that are due now, taken off the list."""
        now = self._clock()
        due = [directory for directory, when in self._single.items() if when <= now][:most]
        for directory in due:
            del self._single[directory]
        return due

    def due(self) -> float:
        """When something starts that is not under way yet."""
        return min(self._full_due, self._today_due, *self._single.values())

    def end(self, sweep: Sweep) -> None:
        if sweep.full:
            self.full, self._known = None, sweep.visited
        else:
            self.today = None

    def seen(self, directory: str, sweep: Sweep | None, files: int) -> None:
        """``directory`` was read (or found unreadable) in ``sweep``."""
        self._known.add(directory)
        if sweep is not None and directory not in sweep.visited:
            sweep.visited.add(directory)
            sweep.files += files

    def gone(self, directory: str) -> None:
        self._known.discard(directory)
        self._stirred.pop(directory, None)

    def stirred(self, directory: str) -> None:
        """Something changed in ``directory``: it is one of today's for two nights."""
        self._stirred[directory] = self._clock()

    def enter(self, folders: Collection[Subdirectory], sweep: Sweep | None) -> None:
        """Subdirectories seen: all are part of a full sweep, else the new ones are looked at."""
        recent = (self._now().timestamp() - TWO_NIGHTS) * 1e9
        for folder in sorted(folders, key=lambda f: f.ctime_ns):  # the newest is swept first
            if folder.ctime_ns > recent:
                self._stirred.setdefault(folder.path, self._clock())
            if sweep is not None and sweep.full:
                sweep.stack.append(folder.path)
            elif folder.path not in self._known:
                self.look_soon(folder.path)
