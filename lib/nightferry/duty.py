"""What a worker is given to do, and what its end means: a job, a place to watch, or a probe.

Each kind of duty knows its own fence. Everything here is SQL only and runs in a transaction that
the loop opened; the slow part is over, or waits for the answer.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import uniform
from typing import Any, Protocol

from nightferry import jobs
from nightferry.child import Place
from nightferry.config import HostConfig
from nightferry.db import Tx
from nightferry.errors import (
    Cancelled,
    GiveUp,
    LeaseLost,
    NoAnswer,
    NoRoom,
    NotHere,
    Stopping,
    Unavailable,
)
from nightferry.jobs import Job, Lease
from nightferry.kind import JobDaemon, Next, PlaceDaemon
from nightferry.log import tell

LATER = timedelta(minutes=2)  # until work that found no room, or no host, is tried again
PROBE_PATIENCE = timedelta(seconds=30)


@dataclass
class Desk:
    """What all duties of one daemon share: who it is, its places, and what it did so far."""

    me: str
    host: HostConfig
    settings: Any
    places: dict[str, Place] = field(default_factory=dict)  # all that this host has mounted
    own: set[str] = field(default_factory=set)  # those of its site: where it works
    finished: int = 0
    failed: int = 0
    watch_failed: bool = False
    last_success: dict[str, float] = field(default_factory=dict)  # by what the work needed
    told_to_wait: dict[str, float] = field(default_factory=dict)  # when it is said again
    away: dict[str, str] = field(default_factory=dict)  # places that are not there, and why

    @property
    def lease(self) -> timedelta:
        return self.host.timing.lease

    def put_off(self) -> timedelta:
        return self.host.timing.put_off * uniform(0.75, 1.25)

    def enqueue(self, tx: Tx, following: Next | None) -> None:
        # Taken whole either way: it is a generator, and what it records is done as it is taken.
        for kind, work in list(following or ()):
            if self.host.enqueue_at_commit:
                jobs.enqueue(tx, kind, [work])

    def set_state(self, tx: Tx, location: str, trouble: str, found: Mapping[str, Any]) -> None:
        """What this host found of a location; ``trouble`` is empty where it is available."""
        tx.run(
            "daemon.set_state",
            location=location, host=self.host.host, reason=trouble,
            state="unavailable" if trouble else "available",
            total=found.get("total"), free=found.get("free"),
        )  # fmt: skip


class Duty(Protocol):
    """One assignment of one worker."""

    @property
    def subject(self) -> str: ...

    @property
    def patience(self) -> timedelta:
        """How long it may be silent before its worker is ended."""

    def fence(self, tx: Tx) -> None:
        """Renews the right to do it: the first statement of what is committed for it.

        Raises:
            LeaseLost: it is another's now, or was cancelled.
        """

    def batch(self, tx: Tx, batch: Any) -> Any:
        """Commits, after the fence, what the work hands over on its way."""

    def done(self, tx: Tx, result: Any) -> None: ...

    def failed(self, tx: Tx, error: Exception) -> None:
        """Each error's name says what comes next."""

    def told(self, done: int, of: int) -> str:
        """For the status, in a person's words; '' for what is not worth one, or is told together
        with its like."""


@dataclass(frozen=True)
class JobDuty:
    """A claimed job."""

    job: Job
    daemon: JobDaemon
    desk: Desk

    @property
    def subject(self) -> str:
        return self.job.subject

    @property
    def patience(self) -> timedelta:
        return self.desk.host.timing.stall

    def fence(self, tx: Tx) -> None:
        if not jobs.renew(tx, [self.job], self.desk.lease):
            raise LeaseLost(f"{self.job.kind} {self.subject}: the lease ended, or it was cancelled")

    def batch(self, tx: Tx, batch: Any) -> None:
        assert self.daemon.batch is not None
        self.desk.enqueue(tx, self.daemon.batch(tx, self.job, batch))

    def done(self, tx: Tx, result: Any) -> None:
        if jobs.finish(tx, [self.job]):
            self.desk.enqueue(tx, self.daemon.record(tx, self.job, result))
            jobs.breaker_succeeds(tx, self.job.needs)
        self.desk.finished += 1
        self.desk.last_success[self.job.needs] = time.monotonic()

    def failed(self, tx: Tx, error: Exception) -> None:
        job, desk, told = self.job, self.desk, str(error)
        if isinstance(error, LeaseLost | Cancelled):
            tell(
                logging.WARNING, f"{job.kind} {job.subject}: {error}; nothing was changed",
                job=job.subject,
            )  # fmt: skip
            return
        if isinstance(error, Stopping):
            jobs.give_back(tx, job)
            return
        if isinstance(error, NoRoom | NotHere):
            self._wait(tx, told)
            return
        desk.failed += 1
        tell(
            logging.WARNING, f"{job.kind} {job.subject}: {told}",
            job=job.subject, attempt=job.attempts,
        )  # fmt: skip
        match error:
            case GiveUp():
                self.fence(tx)
                if self.daemon.refuse is not None and self.daemon.refuse(tx, job, error):
                    jobs.finish(tx, [job])
                else:
                    jobs.block(tx, job, error.reason, told, desk.me)
            case Unavailable():
                after = 1 if isinstance(error, NoAnswer) else jobs.BREAKER_OPENS_AFTER
                opened = jobs.breaker_fails(tx, error.what, job.subject, told, after)
                since = time.monotonic() - desk.last_success.get(job.needs, -1e9)
                if not opened and since < desk.lease.total_seconds():
                    # The others get through: it is this one, and its attempts count.
                    jobs.retry(tx, job, told, desk.me, desk.put_off())
                else:
                    jobs.put_off(tx, job, told, desk.me, desk.put_off())
            case _:
                jobs.retry(tx, job, told, desk.me)

    def _wait(self, tx: Tx, told: str) -> None:
        """Said once an hour, however many wait."""
        job, desk = self.job, self.desk
        jobs.put_off(tx, job, told, desk.me, LATER * uniform(0.75, 1.25))
        if time.monotonic() > desk.told_to_wait.get(job.location, 0.0):
            desk.told_to_wait[job.location] = time.monotonic() + 3600
            tell(logging.WARNING, told, job=job.subject, location=job.location)

    def told(self, done: int, of: int) -> str:
        return f"{self.job.location} {100 * done // of} %" if of else self.job.location


@dataclass(frozen=True)
class WatchDuty:
    """A place, watched under its lease."""

    lease: Lease
    daemon: PlaceDaemon
    desk: Desk

    @property
    def subject(self) -> str:
        return self.lease.location

    @property
    def patience(self) -> timedelta:
        return self.desk.host.timing.stall

    def fence(self, tx: Tx) -> None:
        jobs.hold_lease(tx, self.lease, self.desk.lease)

    def batch(self, tx: Tx, batch: Any) -> Any:
        return self.daemon.record(tx, self.lease.location, batch)

    def done(self, tx: Tx, result: Any) -> None:
        jobs.drop_lease(tx, self.lease)

    def failed(self, tx: Tx, error: Exception) -> None:
        jobs.drop_lease(tx, self.lease)
        if isinstance(error, Stopping | LeaseLost):
            return
        self.desk.watch_failed = True
        tell(logging.WARNING, f"{self.subject}: {error}", location=self.subject)
        if isinstance(error, Unavailable):
            self.desk.set_state(tx, self.subject, str(error), {})

    def told(self, done: int, of: int) -> str:
        return f"watching {self.subject}"


@dataclass(frozen=True)
class ProbeDuty:
    """Is this location or route there? Its breaker closes on the answer."""

    name: str
    desk: Desk

    @property
    def subject(self) -> str:
        return self.name

    @property
    def patience(self) -> timedelta:
        return min(PROBE_PATIENCE, self.desk.host.timing.stall)

    def fence(self, tx: Tx) -> None:
        """Nothing is committed under it but its answer."""

    def batch(self, tx: Tx, batch: Any) -> None:
        raise AssertionError("a probe hands nothing over")

    def done(self, tx: Tx, result: Any) -> None:
        if jobs.breaker_succeeds(tx, self.name):
            tell(
                logging.INFO, f"{self.name} answers again: its breaker is closed",
                location=self.name,
            )  # fmt: skip
        if self.name in self.desk.places:
            self.desk.set_state(tx, self.name, "", result)

    def failed(self, tx: Tx, error: Exception) -> None:
        if isinstance(error, Stopping | LeaseLost):
            return
        tx.run("jobs.breaker_probed", name=self.name, reason=str(error))
        if self.name in self.desk.places:
            self.desk.set_state(tx, self.name, str(error), {})

    def told(self, done: int, of: int) -> str:
        return ""
