"""The ledger as metrics: Prometheus text, computed from the database's rows.

A metric says what is, at the moment of the reading; rates and alerts are Prometheus' own work
(``etc/prometheus``). Names and labels are a promise: dashboards stand on them.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from nightferry import jobs
from nightferry.db import Row, Tx

STAGES = ("ingest", "package", "transfer", "archive", "verify", "stage", "calibrate", "reap")
LATELY = 300.0  # seconds of metrics.flow

Families = dict[str, GaugeMetricFamily]

# Everything that is told: its name without "nightferry_", what it is, its labels.
TOLD: dict[str, tuple[str, tuple[str, ...]]] = {
    "database_up": ("1 while the database answers and its schema is understood", ()),
    "daemon_up": (
        "1 while a daemon has told of itself within the last minute",
        ("daemon", "host", "name", "version"),
    ),
    "jobs": ("Open jobs: ready, waiting for later, or running", ("stage", "state")),
    "stage_done_last_day": (
        "Jobs done in 24 hours; for ingest, files registered",
        ("stage",),
    ),
    "stage_failed": ("Jobs that failed for good and wait for a person", ("stage",)),
    "stage_oldest_seconds": ("Age of the oldest open job", ("stage",)),
    "stage_last_success_timestamp_seconds": ("When a job was last finished", ("stage",)),
    "stage_last_day_bytes": (
        "Bytes that a stage brought (verify, calibrate: read; reap: let go) in 24 hours",
        ("stage",),
    ),
    "stage_bytes_per_second": ("The same, over the last five minutes", ("stage",)),
    "breaker_open": ("1 while no work is sent to a location or route", ("name",)),
    "location_available": ("1 while a host has the location mounted and marked", ("location",)),
    "location_free_bytes": ("Free bytes of the location's file system", ("location",)),
    "location_total_bytes": ("Size of the location's file system", ("location",)),
    "location_days_left": ("Days until it is full, at the last week's rate", ("location",)),
    "scrub_covered_ratio": (
        "Share of an archive's copies that were read well within scrub_days",
        ("location",),
    ),
    "unsettled_files": ("Files that are still being written at the instruments", ()),
    "lost_files": ("Files that are lost, and not accepted as lost", ()),
    "quarantined_files": ("Files in quarantine", ()),
    "deletion_stopped": ("1 while a person has stopped all deletion", ()),
    "backup_age_seconds": ("Age of the last proven backup of the database", ()),
    "canary_age_seconds": (
        "Age of the last canary that came back, where one is sent each day",
        (),
    ),
}


class Told:
    """What is read for one scrape, as a collector of prometheus_client."""

    def __init__(self) -> None:
        self.families: Families = {
            name: GaugeMetricFamily(f"nightferry_{name}", text, labels=labels)
            for name, (text, labels) in TOLD.items()
        }

    def say(self, name: str, value: float | None, *labels: object) -> None:
        """Nothing is said of what nobody knows."""
        if value is not None:
            self.families[name].add_metric([str(label) for label in labels], float(value))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from (family for family in self.families.values() if family.samples)

    def registry(self) -> CollectorRegistry:
        """For prometheus_client's writers."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def text(self) -> bytes:
        """For a scrape."""
        return generate_latest(self.registry())


def away() -> Told:
    """What is told while the database does not answer."""
    told = Told()
    told.say("database_up", 0)
    return told


def read(tx: Tx, coverage: Iterable[Row]) -> Told:
    """All of it. ``coverage`` are the rows of :func:`read_coverage`, which may be older."""
    told = Told()
    told.say("database_up", 1)
    _stages(tx, told)
    for row in tx.run("metrics.daemons"):
        told.say("daemon_up", row.up, row.daemon, row.host, row.name, row.version)
    for row in tx.run("metrics.breakers"):
        told.say("breaker_open", row.open, row.name)
    for row in tx.run("metrics.locations"):
        told.say("location_available", row.available, row.name)
        told.say("location_free_bytes", row.free_bytes, row.name)
        told.say("location_total_bytes", row.total_bytes, row.name)
        told.say("location_days_left", row.days_left, row.name)
    for row in coverage:
        told.say("scrub_covered_ratio", row.read / row.copies if row.copies else 1.0, row.location)
    return told


def read_coverage(tx: Tx) -> list[Row]:
    """How much of each archive was read in time: every copy is looked at, so not at each scrape."""
    return tx.run("scrub.coverage")


def _stages(tx: Tx, told: Told) -> None:
    now = datetime.now(UTC)
    many = {(stage, state): 0 for stage in STAGES for state in ("ready", "waiting", "running")}
    oldest: dict[str, datetime] = {}
    for row in jobs.counts(tx):
        many[row.kind, row.state] = row.jobs
        oldest[row.kind] = min(row.oldest, oldest.get(row.kind, row.oldest))
    for (stage, state), count in many.items():
        told.say("jobs", count, stage, state)
    for stage in STAGES:
        began = oldest.get(stage)
        told.say("stage_oldest_seconds", (now - began).total_seconds() if began else 0, stage)
    whole = tx.run("metrics.state")[0]
    for row in jobs.done_lately(tx, STAGES):
        done = tx.run("status.registered")[0].files if row.kind == "ingest" else row.done
        told.say("stage_done_last_day", done, row.kind)
        last = whole.swept if row.kind == "ingest" else row.last
        told.say("stage_last_success_timestamp_seconds", last and last.timestamp(), row.kind)
    failed = dict.fromkeys(STAGES, 0) | {r.kind: r.subjects for r in tx.run("metrics.blocked")}
    for stage, subjects in failed.items():
        told.say("stage_failed", subjects, stage)
    flow = {row.stage: row for row in tx.run("metrics.flow")}
    for stage in STAGES:
        moved = flow.get(stage)
        told.say("stage_last_day_bytes", moved.day_bytes if moved else 0, stage)
        lately = float(moved.lately_bytes) if moved else 0.0
        told.say("stage_bytes_per_second", lately / LATELY, stage)
    told.say("unsettled_files", whole.unsettled)
    told.say("lost_files", whole.lost)
    told.say("quarantined_files", whole.quarantined)
    told.say("deletion_stopped", whole.stops > 0)
    told.say("backup_age_seconds", whole.backup_age)
    for row in tx.run("health.canary"):
        told.say("canary_age_seconds", row.age.total_seconds())
