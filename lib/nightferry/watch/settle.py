"""When is a file finished? The rule that turns *seen* into *settled*, all of it, in memory only.

A file is settled when all of these hold:
  - a hint said that its writer closed it or moved it in; where no hint can say so, it takes at
    least two looks;
  - device, inode, size, mtime and ctime stayed the same over ``looks`` looks, each
    ``looks_apart`` after the one before;
  - it has not been seen changing for ``quiet`` seconds of our own monotonic clock;
  - neither its name nor a directory above it looks temporary;
  - its format says it is complete. "No" makes the quiet period ten times as long, once: a
    truncated frame may be the only copy there is.
With a ready marker configured, the marker beats all of these, and a file without one waits.

Nothing waits unheard: a temporary name that stayed the same for a day, and a file that still
changes a day after it was first seen, are reported once. A file that waits in vain for its ready
marker, unchanged for a day, settles.
"""

import enum
import heapq
from collections.abc import Callable
from dataclasses import dataclass

from nightferry.watch.sweep import Odd, Signature, join, split

DAY = 86_400.0
SUSPICION = 10  # how much longer a file that says it is not complete must keep quiet
# A name made by link() never gets a close event, so "opened, not closed" can't wait for ever.
# An hour without any change is longer than an exposure.
OPEN_PATIENCE = 3600.0
STILL_CHANGING = (
    "still changing a day after it was first seen: end what writes it, or archive it as it is"
)
STILL_TEMPORARY = (
    "a temporary name, unchanged for a day: finish the transfer that made it, rename it, "
    "or archive it as it is"
)
IDLE_LOOK = 60.0  # between looks at what only waits: temporary names, missing ready markers
TEMPORARY_ENDINGS = (".part", ".tmp", "~")


class Writing(enum.Enum):
    """What the hints say about a file's writer."""

    UNKNOWN = "unknown"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True)
class SettleRule:
    """``looks_apart`` and ``quiet`` in seconds. ``ready_marker`` is the marker's name beside the
    file, like ``{name}.done``."""

    looks: int = 2
    looks_apart: float = 5.0
    quiet: float = 10.0
    ready_marker: str | None = None

    def marker_of(self, name: str) -> str | None:
        """The ready marker that ``name`` waits for; None if it is one itself."""
        if self.ready_marker is None or self.marked_by(name) is not None:
            return None
        return self.ready_marker.replace("{name}", name)

    def marked_by(self, marker: str) -> str | None:
        """The name that ``marker`` says is ready, if it is a ready marker."""
        before, found, after = (self.ready_marker or "").partition("{name}")
        if not found or len(marker) <= len(before) + len(after):
            return None
        if not (marker.startswith(before) and marker.endswith(after)):
            return None
        return marker[len(before) : len(marker) - len(after)]


@dataclass(frozen=True, slots=True)
class Settled:
    path: str
    signature: Signature
    complete: bool | None


@dataclass(slots=True)
class _Unsettled:
    device: int
    signature: Signature
    first: float
    since: float
    looked: float
    looks: int
    writing: Writing
    temporary: bool
    due: float
    suspicious: bool = False
    told: bool = False


def looks_temporary(path: str) -> bool:
    """A dotfile (rsync's too), ``.part``, ``.tmp``, ``~``, or below a directory with a dot."""
    *above, name = path.split("/")
    return name.lower().endswith(TEMPORARY_ENDINGS) or any(
        part.startswith(".") for part in (*above, name)
    )


class Settler:
    """The unsettled files of one source.

    ``complete(path)`` asks the file's format (True, False, or None where it can't tell) and may
    raise OSError or Unreadable. ``is_there(path)`` says whether a ready marker is there. ``clock``
    is monotonic.
    """

    def __init__(
        self,
        rule: SettleRule,
        complete: Callable[[str], bool | None],
        is_there: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._rule, self._complete, self._is_there, self._clock = rule, complete, is_there, clock
        self._files: dict[str, _Unsettled] = {}
        self._queue: list[tuple[float, str]] = []
        self._temporary = 0

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: str) -> bool:
        return path in self._files

    @property
    def working(self) -> int:
        """Unsettled files that are expected to settle: all but the temporary names."""
        return len(self._files) - self._temporary

    def due(self) -> float | None:
        """When the next look is due, by ``clock``; None if no file waits."""
        while self._queue:
            when, path = self._queue[0]
            waiting = self._files.get(path)
            if waiting is not None and waiting.due == when:
                return when
            heapq.heappop(self._queue)
        return None

    def take_due(self, most: int = 1000) -> list[str]:
        """The paths whose look is due now. Each must be looked at, or forgotten."""
        paths: list[str] = []
        now = self._clock()
        while len(paths) < most and (when := self.due()) is not None and when <= now:
            paths.append(heapq.heappop(self._queue)[1])
        return paths

    def look(
        self, path: str, device: int, signature: Signature, writing: Writing = Writing.UNKNOWN
    ) -> Settled | Odd | None:
        """One look at ``path``. Returns it if it is settled now, or odd; None: look when due.

        Raises:
            OSError, Unreadable: the completeness check could not read it.
        """
        now = self._clock()
        file = self._files.get(path)
        if file is None:
            temporary = looks_temporary(path)
            file = _Unsettled(device, signature, now, now, now, 1, writing, temporary, now)
            self._files[path] = file
            self._temporary += temporary
        elif (file.device, file.signature) != (device, signature):
            file.device, file.signature = device, signature
            file.since, file.looked, file.looks = now, now, 1
            if writing is not Writing.UNKNOWN:
                file.writing = writing
            elif file.writing is Writing.CLOSED:  # somebody may have opened it again
                file.writing = Writing.UNKNOWN
            file.suspicious = False
        else:
            if now - file.looked >= self._rule.looks_apart:
                file.looked, file.looks = now, file.looks + 1
            if writing is not Writing.UNKNOWN:
                file.writing = writing
        verdict = self._judge(path, file, now)
        if isinstance(verdict, float):
            self._wait(path, file, verdict)
            return None
        return verdict

    def forget(self, path: str) -> bool:
        """It is gone, or not ours to follow. Was it here?"""
        file = self._files.pop(path, None)
        if file is not None:
            self._temporary -= file.temporary
        return file is not None

    def hints_lost(self) -> None:
        """A close event may have been missed: nothing is waited for as "open" any longer."""
        for path, file in self._files.items():
            if file.writing is Writing.OPEN:
                file.writing = Writing.UNKNOWN
                self._wait(path, file, self._clock())

    def _judge(self, path: str, file: _Unsettled, now: float) -> Settled | Odd | float:
        """What is it? A time: look again then."""
        rule = self._rule
        if now - file.first >= DAY and file.since > file.first and not file.told:
            file.told = True
            self._wait(path, file, now + rule.looks_apart)
            return Odd(path, file.signature, STILL_CHANGING)
        directory, name = split(path)
        marker = rule.marker_of(name)
        if marker is not None:
            if self._is_there(join(directory, marker)) or now - file.since >= DAY:
                return self._settle(path, file, None)
            return now + IDLE_LOOK
        if file.temporary:
            if now - file.since < DAY:
                return now + IDLE_LOOK
            self.forget(path)
            return Odd(path, file.signature, STILL_TEMPORARY)
        looks, quiet = rule.looks, rule.quiet
        if file.writing is not Writing.CLOSED:
            looks, quiet = max(looks, 2), max(quiet, rule.looks_apart)
        if file.writing is Writing.OPEN:
            quiet = max(quiet, OPEN_PATIENCE)
        longer = SUSPICION * max(quiet, rule.looks_apart)
        if file.suspicious:
            quiet = longer
        if file.looks < looks or now - file.since < quiet:
            return self._next_look(file, looks, quiet)
        complete = self._complete(path)
        if complete is False and not file.suspicious:
            file.suspicious = True
            return self._next_look(file, looks, longer)
        return self._settle(path, file, complete)

    def _next_look(self, file: _Unsettled, looks: int, quiet: float) -> float:
        """The looks are spread so that the last one falls on the end of the quiet period."""
        missing = max(looks - file.looks, 0)
        if missing == 0:
            return file.since + quiet
        apart = self._rule.looks_apart
        return max(file.looked + apart, file.since + quiet - (missing - 1) * apart)

    def _settle(self, path: str, file: _Unsettled, complete: bool | None) -> Settled:
        self.forget(path)
        return Settled(path, file.signature, complete)

    def _wait(self, path: str, file: _Unsettled, until: float) -> None:
        # A due time in the past would be taken again at once, for ever: a hair later it is.
        file.due = max(until, self._clock() + 0.001)
        heapq.heappush(self._queue, (file.due, path))
