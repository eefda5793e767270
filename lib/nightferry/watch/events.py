"""What a watcher tells: one value per thing that ingest has to act on.

Paths are relative ledger text, sizes bytes, times of files nanoseconds since 1970.
"""

from dataclasses import dataclass
from datetime import datetime

from nightferry.watch.sweep import Odd, Signature


@dataclass(frozen=True, slots=True)
class Found:
    """Settled, and unknown to the ledger. ``complete`` is the format's own word."""

    path: str
    signature: Signature
    complete: bool | None


@dataclass(frozen=True, slots=True)
class Changed:
    """Settled, and known to the ledger as ``before``."""

    path: str
    signature: Signature
    complete: bool | None
    before: Signature


@dataclass(frozen=True, slots=True)
class Vanished:
    """Known, and missed in two full passes. All that went together comes together, so that the
    caller can ask :func:`too_many`."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AtRest:
    """Everything in ``directory`` is known as it is: keep ``digest``, and nothing is compared
    until it differs."""

    directory: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class UnreadableDirectory:
    """Nothing is concluded about what is in it. Told once a full sweep, while it lasts."""

    directory: str
    reason: str


@dataclass(frozen=True, slots=True)
class SweepDone:
    """``full``: every directory was read. ``unsettled`` files are seen, but not handed over;
    ``unreadable`` directories could not be read."""

    full: bool
    began: datetime
    ended: datetime
    directories: int
    files: int
    unsettled: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Slower:
    """Hints are missing. Nothing is lost by it. ``overflow``: the queue was too short."""

    reason: str
    overflow: bool = False


Event = Found | Changed | Vanished | Odd | AtRest | UnreadableDirectory | SweepDone | Slower
