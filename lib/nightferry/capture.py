"""What the ingest worker does with one settled file: one pass over its bytes, and what it means.

Runs in the worker: it knows the disk and the instruments, and no SQL.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Protocol

from nightferry.errors import NotAFile
from nightferry.instruments import Exposure, FileFacts, Instruments, derive, read_file
from nightferry.night import night_of
from nightferry.watch import Signature, signature_of

CLOCK_DOUBT = timedelta(hours=24)


@dataclass(frozen=True)
class Telescope:
    """What a night is, at the telescope of an instrument."""

    zone: str = "UTC"
    turnover: str = "12:00"
    label: str = "evening"


@dataclass(frozen=True)
class Meaning:
    """What the columns of a file's row are derived to be. Times are UTC, angles ICRS degrees."""

    night: date
    night_from: str  # exposure, arrival
    clock: str  # good, doubtful, unknown
    exposure: Exposure


@dataclass(frozen=True)
class Captured:
    """One file as it was read. ``cards``: the card images of each HDU, a line each."""

    path: str
    signature: Signature
    facts: FileFacts
    cards: tuple[str, ...]
    meaning: Meaning
    handling: str  # archive, ephemeral, canary
    keep: timedelta | None  # of an ephemeral file


class Moved(Exception):
    """The file changed or vanished while it was read: it is to be followed anew."""


class Tree(Protocol):
    def open_file(self, path: str, flags: int = os.O_RDONLY) -> int: ...


@dataclass(frozen=True)
class Reader:
    """Reads the files of one location: its own rules, and the site's instruments and telescopes."""

    tree: Tree
    stable_inodes: bool
    instruments: Instruments
    telescopes: Mapping[str, Telescope]  # by instrument; '' is the site's own
    ephemeral: tuple[tuple[str, timedelta], ...] = ()  # (pattern, how long it is kept)
    instrument: str | None = None  # of files whose headers name none
    program: str | None = None
    replayed: bool = False  # the frames are of another day: their clock is not judged

    def capture(self, path: str, signature: Signature | None, progress: Any = None) -> Captured:
        """Reads ``path``, which has to be as ``signature`` says from before to after.

        Without a signature it is taken as it is, up to the size that it has now.

        Raises:
            Moved: it changed, or is not there any more.
            OSError, Unreadable: it could not be read.
        """
        try:
            fd = self.tree.open_file(path)
        except (FileNotFoundError, NotAFile):
            raise Moved(path) from None  # what stands there now is for the next look to say
        try:
            before = os.fstat(fd)
            seen = signature_of(before, self.stable_inodes)
            if signature is not None and seen != signature:
                raise Moved(path)
            facts = read_file(fd, path, progress=progress)
            after = signature_of(os.fstat(fd), self.stable_inodes)
            if signature is not None and (after != seen or facts.size != seen.size):
                raise Moved(path)
        finally:
            os.close(fd)
        keep = next((keep for pattern, keep in self.ephemeral if fnmatchcase(path, pattern)), None)
        return Captured(
            path=path,
            signature=after,
            facts=facts,
            cards=tuple("\n".join(hdu.cards) for hdu in facts.hdus),
            meaning=self.mean(facts, path, datetime.now(UTC)),
            handling="archive" if keep is None else "ephemeral",
            keep=keep,
        )

    def mean(
        self,
        facts: FileFacts,
        path: str,
        arrived: datetime,
        corrections: Mapping[str, Any] | None = None,
    ) -> Meaning:
        """What the headers say; ``arrived`` dates what has no exposure's start."""
        exposure = derive(facts.hdus, path, self.instruments, corrections or {})
        if exposure.instrument == "unknown" and self.instrument:
            exposure = _with(exposure, instrument=self.instrument)
        if exposure.program is None and self.program:
            exposure = _with(exposure, program=self.program)
        telescope = self.telescopes.get(exposure.instrument) or self.telescopes.get("", Telescope())
        when = exposure.start or arrived
        night = night_of(when, telescope.zone, telescope.turnover, telescope.label)  # type: ignore[arg-type]
        clock = "unknown"
        if exposure.start is not None and not self.replayed:
            clock = "doubtful" if abs(arrived - exposure.start) > CLOCK_DOUBT else "good"
        return Meaning(night, "arrival" if exposure.start is None else "exposure", clock, exposure)


def _with(exposure: Exposure, **values: Any) -> Exposure:
    from dataclasses import replace

    return replace(exposure, **values)


def reader_of(
    tree: Tree, stable_inodes: bool, instruments: Instruments, telescopes: Mapping[str, Telescope],
    settings: Mapping[str, Any],
) -> Reader:  # fmt: skip
    """A reader by a location's settings, as the ledger has them."""
    return Reader(
        tree,
        stable_inodes,
        instruments,
        telescopes,
        tuple(
            (rule["path"], timedelta(seconds=rule["keep"]))
            for rule in settings.get("ephemeral") or ()
        ),
        settings.get("instrument"),
        settings.get("program"),
        bool(settings.get("replayed")),
    )
