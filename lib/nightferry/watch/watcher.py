"""One source under watch: hints first, the sweep always, and what is settled handed over.

It knows no database and no daemon: it asks the ledger three questions, and answers step by step
with what it found. All its state is in memory; a restart begins with a full sweep.

Over 300 lines: what is seen, settled and handed over is one state, told in one place.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nightferry.errors import Unavailable, Unreadable
from nightferry.watch.events import AtRest, Event, Slower, SweepDone, UnreadableDirectory, Vanished
from nightferry.watch.files import FilesInHand, Source
from nightferry.watch.hints.base import Hint, HintSource, Lost, Overflow
from nightferry.watch.itinerary import Itinerary, Sweep
from nightferry.watch.settle import SettleRule
from nightferry.watch.sweep import (
    DirectoryLook,
    Signature,
    is_absence,
    is_ours,
    join,
    look_at,
    nothing_at,
    split,
    unreadable,
)
from nightferry.watch.vanish import Vanishing

SLICE = 0.1  # seconds of one kind of work before the hints are read again
# Unsettled files in hand at once; half of it is kept for today's directories while all is swept.
ROOM = 50_000
REST = 20  # a directory that took t seconds to look at is not asked about again within 20 t


@dataclass(frozen=True)
class Options:
    """``sweep_today`` and ``sweep_all`` in seconds."""

    settle: SettleRule = field(default_factory=SettleRule)
    sweep_today: float = 60.0
    sweep_all: float = 6 * 3600.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Watcher:
    """Call :meth:`step` again and again; it returns what is new.

    ``clock`` is monotonic, in seconds; ``now`` only dates the sweeps and picks today's
    directories.
    """

    def __init__(
        self,
        source: Source,
        hints: HintSource,
        options: Options,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._source, self._hints = source, hints
        self._options, self._clock, self._now = options, clock, now
        self._events: list[Event] = []
        self._plan = Itinerary(options.sweep_today, options.sweep_all, clock, now)
        self._files = FilesInHand(source, options.settle, self._plan, clock, self._events.append)
        self._vanishing = Vanishing(options.settle.looks_apart, clock)
        self._gone: list[str] = []  # concluded, to be told together
        self._rest: dict[str, float] = {}  # how long a directory waits to be asked about again
        self._unreadable: set[str] = set()  # directories that were told of
        self._unvisited: set[str] = set()  # known to the ledger, and not met in the last full sweep

    def close(self) -> None:
        self._hints.close()

    @property
    def settling(self) -> int:
        """Files that are expected to settle, in hand or to be looked at next; temporary names are
        not."""
        return self._files.settler.working + self._files.hinted

    @property
    def missing(self) -> bool:
        """Is something of the ledger's not there, and not yet said to be gone?"""
        return bool(self._unvisited or self._vanishing or self._gone)

    def sweep_everything(self) -> None:
        """At the next step, without waiting for its time."""
        self._plan.sweep_everything()

    def again(self, path: str) -> None:
        """``path`` was handed over, but changed or vanished while it was read: follow it anew."""
        self._files.again(path)

    def step(self, timeout: float) -> list[Event]:
        """Wait for hints for at most ``timeout`` seconds, not at all while there is work, and do
        some of the work. Returns what was found, often nothing.

        Raises:
            Unavailable: the location's marker is gone, or another's. Nothing was concluded.
        """
        self._sort(self._hints.read(self._wait(timeout)))
        self._start_sweeps()
        self._files.follow(SLICE)
        for directory in self._plan.take_singles():
            self._look(directory, None)
        self._sweep()
        self._files.compare()
        if self._gone and not self._vanishing and self._plan.full is None:
            self._events.append(Vanished(tuple(self._gone)))
            self._gone.clear()
        self._events.extend(Slower(sentence) for sentence in self._hints.notices)
        self._hints.notices.clear()
        events = list(self._events)
        self._events.clear()
        return events

    def _wait(self, timeout: float) -> float:
        full = self._plan.full
        if self._files.hinted or self._plan.today or (full and self._room(full)):
            return 0.0
        settling = self._files.settler.due()
        due = self._plan.due() if settling is None else min(settling, self._plan.due())
        return max(0.0, min(timeout, due - self._clock()))

    def _sort(self, hints: Iterable[Hint | Overflow | Lost]) -> None:
        for hint in hints:
            if isinstance(hint, Overflow):
                self._missed_hints("the queue of hints overflowed", overflow=True)
            elif isinstance(hint, Lost):
                self._missed_hints(hint.reason)
            elif hint.name is not None:
                self._files.hint(join(hint.directory, hint.name), hint.writing)
            elif not is_ours(hint.directory):
                self._plan.look_soon(hint.directory)

    def _missed_hints(self, reason: str, overflow: bool = False) -> None:
        self.check_marker()
        self._events.append(Slower(f"{reason}: sweeping everything", overflow))
        self._files.hints_lost()
        self._plan.sweep_everything()

    # -- sweeps

    def _start_sweeps(self) -> None:
        if self._plan.start_full():
            self.check_marker()
            # What was handed over and never reached the ledger is handed over anew.
            self._files.given.clear()
            self._unreadable.clear()
        if today := self._plan.start_today():
            self.check_marker()
            self._hints.follow(today)

    def _sweep(self) -> None:
        until = self._clock() + SLICE
        while (sweep := self._plan.today or self._plan.full) is not None:
            if not sweep.stack:
                self._end(sweep)
            elif self._room(sweep) or not sweep.full:
                self._look(sweep.stack.pop(), sweep)
            else:
                break  # what is in hand settles first
            if self._clock() >= until:
                break

    def _end(self, sweep: Sweep) -> None:
        self.check_marker()
        self._plan.end(sweep)
        if sweep.full:
            self._hints.follow(self._plan.todays())
            self._unvisited = set(self._source.ledger.directories("")) - sweep.visited
            for directory in self._unvisited:
                self._plan.look_soon(directory)
        self._events.append(
            SweepDone(
                full=sweep.full,
                began=sweep.began,
                ended=self._now(),
                directories=len(sweep.visited),
                files=sweep.files,
                unsettled=len(self._files.settler),
                unreadable=sweep.unreadable,
            )
        )

    def _room(self, sweep: Sweep | None) -> int:
        most = ROOM // 2 if sweep is not None and sweep.full else ROOM
        return max(0, most - self._files.settler.working)

    # -- directories

    def _look(self, directory: str, sweep: Sweep | None) -> None:
        """Look at ``directory``, and take in hand what differs from the ledger."""
        self._unvisited.discard(directory)
        careful = directory in self._vanishing
        if careful:
            self.check_marker()
        began = self._clock()
        given = self._files.given.get(directory, {})
        still: dict[str, Signature | None] = {}

        def in_hand(path: str, signature: Signature) -> bool:
            name = split(path)[1]
            if given.get(name) == signature:
                still[name] = signature
            return name in still or path in self._files.settler

        try:
            look = look_at(
                self._source.tree,
                directory,
                self._source.ledger,
                stable_inodes=self._source.stable_inodes,
                room=self._room(sweep),
                in_hand=in_hand,
                watch_first=self._hints.watch,
            )
            self._plan.seen(directory, sweep, look.files)
        except (OSError, Unreadable) as error:
            if not is_absence(error) or not directory:
                self._cannot_read(directory, error, sweep)
                return
            look = self._absent(directory, careful)
        if careful:
            self.check_marker()
        still |= self._files.unanswered(directory, given.keys() - still.keys())
        if still:
            self._ask_again(directory, self._clock() - began)
        else:
            self._rest.pop(directory, None)
        told = {name for name in look.vanished if name in given and given[name] is None}
        self._files.given[directory] = still | dict.fromkeys(told)
        self._conclude(directory, look.vanished - told, careful)
        self._take_in_hand(look, sweep)
        if not self._files.given[directory]:
            del self._files.given[directory]

    def _take_in_hand(self, look: DirectoryLook, sweep: Sweep | None) -> None:
        directory = look.directory
        self._plan.enter(look.subdirectories, sweep)
        if look.more and sweep is not None and sweep.full:
            sweep.stack.append(directory)  # the rest of it, when there is room
        for odd in look.oddities:
            self._files.give(odd)
        for name in (*look.fresh, *look.changed):
            self._files.look_at(join(directory, name))
        if not look.same:
            self._plan.stirred(directory)
        elif look.digest and not look.unchanged and not self._files.given[directory]:
            self._events.append(AtRest(directory, look.digest))

    def _absent(self, directory: str, careful: bool) -> DirectoryLook:
        self._plan.gone(directory)
        if not careful:
            for below in self._source.ledger.directories(directory):
                if below != directory:
                    self._plan.look_soon(below)
        return nothing_at(directory, self._source.ledger)

    def _conclude(self, directory: str, missing: frozenset[str], careful: bool) -> None:
        if not careful:
            self._vanishing.suspect(directory, missing)
            if missing:
                self._plan.look_soon(directory)
            return
        gone = self._vanishing.passed(directory, missing)
        self._gone.extend(join(directory, name) for name in sorted(gone))
        self._files.given[directory].update(dict.fromkeys(gone))
        if directory in self._vanishing:
            self._plan.look_soon(directory, self._options.settle.looks_apart)

    def _cannot_read(
        self, directory: str, error: OSError | Unreadable, sweep: Sweep | None
    ) -> None:
        self.check_marker()
        if not directory:
            message = f"the top directory of {self._source.location} {unreadable(error)}"
            raise Unavailable(self._source.location, message)
        self._vanishing.forget(directory)
        self._plan.seen(directory, sweep, 0)
        if sweep is not None:
            sweep.unreadable += 1
        if directory not in self._unreadable:
            self._unreadable.add(directory)
            self._events.append(UnreadableDirectory(directory, unreadable(error)))

    def _ask_again(self, directory: str, took: float) -> None:
        """Some of it was handed over: does the ledger have it now? Asked ever more seldom."""
        least = max(self._options.settle.looks_apart, REST * took)
        rest = min(max(least, 2 * self._rest.get(directory, 0.0)), self._options.sweep_today)
        self._rest[directory] = rest
        self._plan.look_soon(directory, rest)

    def check_marker(self) -> None:
        """Before anything is concluded of what could not be found or read.

        Raises:
            Unavailable: it is gone, or another's.
        """
        location = self._source.location
        if not self._source.tree.marker_still_there():
            raise Unavailable(
                location,
                f"the marker of {location} is gone or another's: is it mounted? Nothing was "
                "concluded about its files. Mount it again; `nf locations` says what is expected",
            )
