"""What observatory.yaml holds, as frozen dataclasses. Each default is the design's own.

Whether it is safe is check.py's question; what it changes in the database is rows.py's.
"""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from pathlib import Path
from typing import Any

from nightferry import yamlfile
from nightferry.yamlfile import Share, Size


class LocationType(enum.Enum):
    SOURCE = "SOURCE"
    BUFFER = "BUFFER"
    LONG_TERM_ARCHIVE = "LONG_TERM_ARCHIVE"
    PROCESSING = "PROCESSING"


class Storage(enum.Enum):
    POSIX = "posix"
    S3 = "s3"


class Reap(enum.Enum):
    PLAN = "plan"  # the reaper says what it would delete
    ENABLED = "enabled"


class Hints(enum.Enum):
    INOTIFY = "inotify"
    POLLING = "polling"
    NONE = "none"


class Content(enum.Enum):
    FRAMES = "frames"
    PHOTOMETRY = "photometry"  # tables of measured stars: they are calibrated as they come
    IMAGES = "images"  # frames, of which those of the sky are calibrated as they come


class Label(enum.Enum):
    EVENING = "evening"
    MORNING = "morning"


class BestReading(enum.Enum):
    """The best proof that a reading of a location can be."""

    CACHE = "cache"
    REMOTE = "remote"
    MEDIUM = "medium"


_GB = 10**9
_RESERVE = Share(0.02)


@dataclass(frozen=True)
class Policy:
    """The numbers that the rules obey."""

    copies: int = 2
    scrub_days: float = 90.0
    proof_max_age: timedelta = timedelta(hours=72)
    group_quiet: timedelta = timedelta(minutes=10)
    package_size: Size = field(default=Size(50 * _GB))
    bundle_size: Size = field(default=Size(200 * _GB))
    reap_files: int = 10_000
    sweep_temporaries: timedelta = timedelta(hours=1)
    reap_bytes: Size = field(default=Size(5000 * _GB))
    backup_max_age: timedelta = timedelta(days=2)


@dataclass(frozen=True)
class Site:
    description: str = ""


@dataclass(frozen=True)
class Settle:
    """When a file of a SOURCE is at rest, and how often the sources are swept."""

    quiet: timedelta | None = None  # absent: 10 s, and 60 s on a network mount
    looks: int = 2
    looks_apart: timedelta = timedelta(seconds=5)
    sweep_today: timedelta = timedelta(seconds=60)
    sweep_all: timedelta = timedelta(hours=6)
    hints: Hints | None = None  # absent: chosen by the file system
    ready_marker: str | None = None  # such as "{name}.done", written beside a finished file


@dataclass(frozen=True)
class Ephemeral:
    """Files of a SOURCE that are kept for a while and never archived."""

    path: str  # a shell pattern below the location's root, such as "guider/*"
    keep: timedelta


@dataclass(frozen=True)
class Location:
    site: str
    type: LocationType
    failure_domain: str
    storage: Storage = Storage.POSIX
    priority: int = 100
    active: bool | None = None  # absent: as 'nf locations drain' and 'resume' left it
    best_reading: BestReading | None = None  # absent: as 'nf locations init' found it
    keep: timedelta | None = None  # absent: nothing goes by age
    high: Share | None = None  # fuller than this: the oldest go, until low; absent: never
    low: Share | None = None
    reserve: Share = _RESERVE  # of a BUFFER's disk: our own copies stop before it is full
    quota: Size | None = None  # of a PROCESSING: most bytes that are staged there at once
    reap: Reap = Reap.PLAN
    trash_grace: timedelta = timedelta(hours=24)
    settle: Settle = field(default_factory=Settle)
    ephemeral: tuple[Ephemeral, ...] = ()
    instrument: str | None = None  # of files whose header names none
    program: str | None = None  # of files whose header names none
    telescope: str | None = None  # whose night counts for instruments of no known telescope
    content: Content = Content.FRAMES  # of a SOURCE
    replayed: bool = False  # frames of other days are played in: their clock is not judged
    store: Mapping[str, Any] = field(default_factory=dict)  # the storage kind's own settings
    # Of an archive: how fast each host may write into it, as a route's.
    bandwidth: Mapping[str, Any] = field(default_factory=dict)

    @property
    def takes_new(self) -> bool:
        return self.active is not False


@dataclass(frozen=True)
class Route:
    from_: str
    to: str
    transport: str = "local"
    priority: int = 100
    active: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)  # the transport's own


@dataclass(frozen=True)
class Instrument:
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Telescope:
    zone: str = "UTC"  # IANA name
    turnover: time = time(12)  # local; one night ends, the next begins
    label: Label = Label.EVENING  # whose date names the night
    instruments: Mapping[str, Instrument] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservatoryOf:
    """One observatory: several may share one archive."""

    description: str = ""
    telescopes: Mapping[str, Telescope] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    title: str = ""
    owner: str | None = None  # absent: unknown, so closed
    proprietary: timedelta | None = None  # absent: never public by time
    copies: int | None = None  # absent: the policy's
    archives: tuple[str, ...] | None = None  # absent: the same as for all others


@dataclass(frozen=True)
class Observatory:
    """The whole file."""

    sites: Mapping[str, Site]
    locations: Mapping[str, Location]
    policy: Policy = field(default_factory=Policy)
    routes: Mapping[str, Route] = field(default_factory=dict)
    observatories: Mapping[str, ObservatoryOf] = field(default_factory=dict)
    programs: Mapping[str, Program] = field(default_factory=dict)
    archives: tuple[str, ...] | None = None  # absent: every LONG_TERM_ARCHIVE

    def of_type(self, *types: LocationType) -> dict[str, Location]:
        return {name: place for name, place in self.locations.items() if place.type in types}

    def archives_for(self, program: str | None = None) -> tuple[str, ...]:
        """The archives that a programme's packages must reach; None: any other programme's."""
        own = self.programs[program].archives if program is not None else None
        if own is not None:
            return own
        if self.archives is not None:
            return self.archives
        return tuple(self.of_type(LocationType.LONG_TERM_ARCHIVE))

    def copies_for(self, program: str | None = None) -> int:
        own = self.programs[program].copies if program is not None else None
        return own if own is not None else self.policy.copies

    @property
    def telescopes(self) -> list[tuple[str, str, Telescope]]:
        """(observatory, name, telescope)."""
        return [
            (place, name, telescope)
            for place, it in self.observatories.items()
            for name, telescope in it.telescopes.items()
        ]

    @property
    def instruments(self) -> list[tuple[str, str, Instrument]]:
        """(telescope, name, instrument)."""
        return [
            (telescope, name, instrument)
            for _, telescope, it in self.telescopes
            for name, instrument in it.instruments.items()
        ]


def load(path: Path) -> Observatory:
    """Reads ``path``.

    Raises:
        ConfigError: missing, no YAML, an unknown key or a wrong value; the text names the line.
    """
    return yamlfile.load(path, Observatory)


def plain(value: object) -> Any:
    """A value of this file as JSON has it: lengths of time in seconds, absent keys left out."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, time):
        return value.isoformat("minutes")
    if dataclasses.is_dataclass(value):
        pairs = ((f.name.rstrip("_"), getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
