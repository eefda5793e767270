"""nightferry-ingest -- register what an instrument writes into a SOURCE.

Watches   every SOURCE of this host, one worker and one lease each; never writes to it
Writes    raw_data_file with its whole headers, its copy, what is lost, what is in quarantine
Settings  ingest: in etc/nightferry.yaml; instruments: there, the settle rule in observatory.yaml
Killed    at any moment: safe. Seen and settled live in memory; the next sweep sees it all again.
"""

import logging

from nightferry import registry
from nightferry.capture import Captured
from nightferry.daemon import PlaceDaemon, command
from nightferry.db import Tx
from nightferry.db import json as jsonb
from nightferry.ingesting import Settings, watch
from nightferry.log import printable, tell
from nightferry.watch import AtRest, Event, Odd, SweepDone, UnreadableDirectory, Vanished

__all__ = ["Settings", "daemon", "main"]


def record(tx: Tx, location: str, batch: tuple[str, list[Captured | Event]]) -> None:
    """Files first, so that a directory said to be at rest is."""
    hints, events = batch
    refused = registry.register_each(tx, location, [e for e in events if isinstance(e, Captured)])
    for event in [*refused, *events]:
        match event:
            case Odd():
                tx.run(
                    "ingest.quarantine", location=location, path=event.path, reason=event.reason,
                    evidence=jsonb({"signature": list(event.signature)}), may_pass=event.may_pass,
                )  # fmt: skip
                tell(
                    logging.WARNING,
                    f"{location}: {printable(event.path)}: {event.reason}",
                    file=event.path,
                )
            case UnreadableDirectory():
                tx.run(
                    "ingest.quarantine", location=location, path=event.directory or ".",
                    reason=event.reason, evidence=jsonb({}), may_pass=False,
                )  # fmt: skip
            case Vanished():
                tx.run("ingest.quarantine_gone", location=location, paths=list(event.paths))
                if why := registry.vanished(tx, location, event.paths):
                    tell(logging.WARNING, f"{location}: {why}", location=location)
            case AtRest():
                readable = [event.directory or "."]
                tx.run("ingest.end_quarantine", location=location, paths=readable)
                tx.run(
                    "ingest.at_rest",
                    location=location,
                    directory=event.directory,
                    digest=event.digest,
                )
            case SweepDone():
                if event.full:
                    registry.seen(tx, location, event.files)
                tx.run(
                    "ingest.swept", location=location, full=event.full, began=event.began,
                    ended=event.ended, unsettled=event.unsettled, hints=hints,
                )  # fmt: skip


daemon = PlaceDaemon("ingest", Settings, watch, record, types=("SOURCE",))
main = command(daemon)
