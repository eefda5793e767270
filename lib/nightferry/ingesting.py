"""What ingest's worker does at a SOURCE: watch, wait until a file is settled, read it, hand it on.

It knows the disk and the instruments, and no database: that is the daemon's, in another process,
and this module is all that the worker has to import.
"""

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nightferry.capture import Captured, Moved, Reader, Telescope, reader_of
from nightferry.child import Work
from nightferry.errors import Unreadable
from nightferry.filesystem import file_system_type, is_network
from nightferry.instruments import Instruments, completeness
from nightferry.log import tell
from nightferry.watch import (
    NO_SIGNATURE,
    Changed,
    Event,
    Found,
    Odd,
    Options,
    SettleRule,
    Signature,
    Slower,
    Source,
    SweepDone,
    Watcher,
    choose,
    open_hints,
)

BATCH_FILES = 500
BATCH_BYTES = 64 << 20  # read since the last commit
STEP = 1.0  # seconds that one look for hints may take


@dataclass(frozen=True)
class Settings:
    """None: when a file is settled is the location's to say."""


class Known:
    """What the ledger says of this source; the daemon answers."""

    def __init__(self, location: str, work: Work) -> None:
        self.location, self.work = location, work

    def digest(self, directory: str) -> bytes | None:
        rows = self.work.ask("ingest.digest", location=self.location, directory=directory)
        return bytes(rows[0][0]) if rows else None

    def known(
        self, directory: str, names: Collection[str] | None = None
    ) -> Mapping[str, Signature]:
        wanted = None if names is None else [f"{directory}/{n}" if directory else n for n in names]
        rows = self.work.ask(
            "ingest.known", location=self.location, directory=directory, paths=wanted
        )
        return {path.rpartition("/")[2]: Signature(*rest) for path, *rest in rows}

    def directories(self, under: str) -> Collection[str]:
        rows = self.work.ask("ingest.directories", location=self.location, under=under)
        return [r[0] for r in rows]


class Ingest:
    """One source under watch: what is settled is read, and handed over in batches."""

    def __init__(self, location: str, settings: Settings, once: bool, work: Work) -> None:
        self.location, self.work = location, work
        place = work.place(location)
        tree = work.root(location)
        network = is_network(file_system_type(place.path))
        telescopes = {
            r[0]: Telescope(*r[1:]) for r in work.ask("ingest.telescopes", location=location)
        }
        self.reader: Reader = reader_of(
            tree, not network, Instruments.load(work.instruments), telescopes, place.settings
        )
        settle = place.settings.get("settle") or {}
        quiet = settle.get("quiet")
        rule = SettleRule(
            looks=settle.get("looks", 2),
            looks_apart=settle.get("looks_apart", 5.0),
            quiet=quiet if quiet is not None else (60.0 if network else 10.0),
            ready_marker=settle.get("ready_marker"),
        )
        options = Options(
            rule, settle.get("sweep_today", 60.0), settle.get("sweep_all", 6 * 3600.0)
        )
        self.hints = choose(network, settle.get("hints"))
        source = Source(location, tree, Known(location, work), self._complete, not network)
        self.watcher = Watcher(source, open_hints(self.hints, tree), options)
        self.once, self.swept_all, self.sweep_again = once, False, False
        self.batch: list[Captured | Event] = []
        self.bytes = self.files = self.files_before = 0  # files_before the last full sweep's end

    def run(self) -> None:
        try:
            while True:
                events = self.watcher.step(STEP)
                for event in events:
                    self._take(event)
                self._hand_over()
                self.work.progress(self.files)
                if self.once and self._has_seen_all(events):
                    return
        finally:
            self.watcher.close()

    def _has_seen_all(self, events: list[Event]) -> bool:
        """A full sweep found nothing to read, and what it missed was looked for again. One that
        found something is followed by another: more may have come meanwhile."""
        if any(isinstance(e, SweepDone) and e.full for e in events):
            self.swept_all = not self.watcher.settling and self.files == self.files_before
            self.sweep_again = not self.swept_all
            self.files_before = self.files
        if self.watcher.settling:
            return False
        if self.sweep_again:
            self.watcher.sweep_everything()
            self.sweep_again = False
        return self.swept_all and not self.watcher.missing

    def _take(self, event: Event) -> None:
        if isinstance(event, Found | Changed):
            self._read(event.path, event.signature)
        elif isinstance(event, Slower):
            tell(logging.WARNING, f"{self.location}: {event.reason}", location=self.location)
        else:
            self.batch.append(event)
            if isinstance(event, SweepDone):
                for (path,) in self.work.ask("ingest.take_as_is", location=self.location):
                    self._read(path, None)

    def _read(self, path: str, signature: Signature | None) -> None:
        try:
            captured = self.reader.capture(path, signature, lambda done: self.work.progress(done))
        except Moved:
            self.watcher.again(path)
            return
        except (OSError, Unreadable) as error:
            self.watcher.check_marker()  # of a disk that went away no file is unreadable
            self.batch.append(
                Odd(path, signature or NO_SIGNATURE, f"it can't be read: {error}", may_pass=True)
            )
            return
        self.batch.append(captured)
        self.files += 1
        self.bytes += captured.facts.size
        if len(self.batch) >= BATCH_FILES or self.bytes >= BATCH_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        if self.batch:
            self.work.hand_over((self.hints, self.batch))
            self.batch, self.bytes = [], 0

    def _complete(self, path: str) -> bool | None:
        fd = self.reader.tree.open_file(path)
        try:
            return completeness(fd, path).complete
        finally:
            os.close(fd)


def watch(location: str, settings: Settings, once: bool, work: Work) -> None:
    Ingest(location, settings, once, work).run()
