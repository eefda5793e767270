"""A source in a temporary directory, a ledger in a dict and a clock in the hand, for the tests of
``nightferry.watch``.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nightferry.names import to_bytes
from nightferry.watch import (
    AtRest,
    Changed,
    Found,
    HintSource,
    Odd,
    Options,
    SettleRule,
    Signature,
    Source,
    SweepDone,
    Vanished,
    Watcher,
)
from nightferry.watch.events import Event
from nightferry.watch.hints import Hint, Lost, Overflow

MARKER = ".nightferry-location"


class PlainTree:
    """The calls of ``nightferry.watch.Tree`` on a plain directory, links not followed."""

    def __init__(self, top: Path) -> None:
        self.top = top
        (top / MARKER).write_text("here")

    @contextlib.contextmanager
    def _above(self, path: str) -> Iterator[tuple[int, bytes]]:
        *above, name = to_bytes(path).split(b"/") if path else [b"."]
        fd = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in above:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd, name
        finally:
            os.close(fd)

    def open_directory(self, path: str) -> int:
        with self._above(path) as (fd, name):
            return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)

    def stat(self, path: str) -> os.stat_result:
        with self._above(path) as (fd, name):
            return os.stat(name, dir_fd=fd, follow_symlinks=False)

    def marker_still_there(self) -> bool:
        return (self.top / MARKER).exists()


@dataclass
class DictLedger:
    """What a real ledger would answer, kept by hand."""

    files: dict[str, dict[str, Signature]] = field(default_factory=dict)
    digests: dict[str, bytes] = field(default_factory=dict)
    asked_for_all: int = 0

    def digest(self, directory: str) -> bytes | None:
        return self.digests.get(directory)

    def known(
        self, directory: str, names: Collection[str] | None = None
    ) -> Mapping[str, Signature]:
        files = self.files.get(directory, {})
        if names is None:
            self.asked_for_all += 1
            return files
        return {name: files[name] for name in names if name in files}

    def directories(self, under: str) -> Collection[str]:
        return [
            d
            for d, files in self.files.items()
            if files and (not under or d == under or d.startswith(under + "/"))
        ]

    def register(self, path: str, signature: Signature) -> None:
        directory, _, name = path.rpartition("/")
        self.files.setdefault(directory, {})[name] = signature
        self.digests.pop(directory, None)

    def gone(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        del self.files[directory][name]
        self.digests.pop(directory, None)

    def learn(self, events: list[Event]) -> None:
        """Do with ``events`` what ingest does."""
        for event in events:
            match event:
                case Found(path, signature) | Changed(path, signature) | Odd(path, signature):
                    self.register(path, signature)
                case Vanished(paths):
                    for path in paths:
                        self.gone(path)
                case AtRest(directory, digest):
                    self.digests[directory] = digest


class HandClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class HandHints:
    """Hints given by the test. Waiting for them moves the clock on, as real waiting would."""

    def __init__(self, clock: HandClock) -> None:
        self.notices: list[str] = []
        self.next: list[Hint | Overflow | Lost] = []
        self.today: Collection[str] = ()
        self._clock = clock

    def watch(self, directory: str, fd: int) -> None: ...

    def follow(self, today: Collection[str]) -> None:
        self.today = today

    def read(self, timeout: float) -> list[Hint | Overflow | Lost]:
        if not self.next:
            self._clock.time += timeout + 0.001
        hints, self.next = self.next, []
        return hints

    def close(self) -> None: ...


class Dome:
    """A watched source with hand-made hints and clock; ``run`` lets time pass."""

    def __init__(
        self,
        top: Path,
        rule: SettleRule | None = None,
        complete: Callable[[str], bool | None] = lambda path: None,
        ledger: DictLedger | None = None,
        learns: bool = True,
        hints: HintSource | None = None,
    ) -> None:
        self.top = top
        self.clock = HandClock()
        self.tree = PlainTree(top)
        self.hints = HandHints(self.clock)
        self.ledger = ledger or DictLedger()
        self.learns = learns
        self.events: list[Event] = []
        self.watcher = Watcher(
            Source("dome", self.tree, self.ledger, complete, stable_inodes=True),
            hints or self.hints,
            Options(rule or SettleRule()),
            self.clock,
            lambda: datetime.fromtimestamp(self.clock.time, UTC),
        )

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> list[Event]:
        """Let ``seconds`` pass; what was told in them. ``each`` is called before each step."""
        end = self.clock.time + seconds
        told: list[Event] = []
        while self.clock.time < end:
            each()
            events = self.watcher.step(min(1.0, end - self.clock.time))
            if self.learns:
                self.ledger.learn(events)
            told += events
        self.events += told
        return told

    def write(self, name: str, data: bytes = b"light") -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def found(events: list[Event]) -> list[str]:
    return [e.path for e in events if isinstance(e, Found)]


def changed(events: list[Event]) -> list[str]:
    return [e.path for e in events if isinstance(e, Changed)]


def vanished(events: list[Event]) -> list[str]:
    return [path for e in events if isinstance(e, Vanished) for path in e.paths]


def odd(events: list[Event]) -> dict[str, str]:
    return {e.path: e.reason for e in events if isinstance(e, Odd)}


def sweeps(events: list[Event], full: bool = True) -> list[SweepDone]:
    return [e for e in events if isinstance(e, SweepDone) and e.full is full]
