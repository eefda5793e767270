"""Watching a source: events as hints, the sweep as truth.

``sweep``      one look at one directory, compared with what the ledger knows
``settle``     when a file is finished
``vanish``     when a file is gone
``hints``      inotify and polling, which only say where to look first
``itinerary``  which directory is next
``files``      single files, until they are settled and the ledger has them
``watcher``    puts them together for ingest's child process; ``events`` is what it tells
"""

from nightferry.watch.events import (
    AtRest,
    Changed,
    Event,
    Found,
    Slower,
    SweepDone,
    UnreadableDirectory,
    Vanished,
)
from nightferry.watch.files import Source
from nightferry.watch.hints import HintSource, choose, open_hints
from nightferry.watch.settle import SettleRule
from nightferry.watch.sweep import NO_SIGNATURE, Ledger, Odd, Signature, Tree, signature_of
from nightferry.watch.vanish import too_many
from nightferry.watch.watcher import Options, Watcher

__all__ = [
    "NO_SIGNATURE",
    "AtRest",
    "Changed",
    "Event",
    "Found",
    "HintSource",
    "Ledger",
    "Odd",
    "Options",
    "SettleRule",
    "Signature",
    "Slower",
    "Source",
    "SweepDone",
    "Tree",
    "UnreadableDirectory",
    "Vanished",
    "Watcher",
    "choose",
    "open_hints",
    "signature_of",
    "too_many",
]
