"""The job state machine, leases and breakers: the only file that names the job table.

Jobs are derived from the ledger and may be lost at any moment (`docs/jobs.md`). A claim is a random
uuid, the fence: every later statement names it, and one that finds no row is told so.

    ready ──claim──▶ running ──finish──▶ job_done
      ▲                │ ├──retry───▶ waiting ──tick──▶ ready
      │                │ ├──block───▶ blocked, a row of the ledger
      └──lease ends────┘ └──give back─▶ ready, its attempt returned

Over 300 lines: one state machine, read as a whole.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import uniform
from uuid import UUID

from nightferry.db import Row, Tx, json
from nightferry.errors import LeaseLost

LEASE = timedelta(seconds=60)
BREAKER_OPENS_AFTER = 3
FLOOR_SECONDS = 1.0
ENQUEUE_AT_ONCE = 10_000


@dataclass(frozen=True)
class Job:
    """A claimed job. ``subject`` is ``<row's id>@<location that the result is about>``."""

    id: int
    kind: str
    subject: str
    place: str
    needs: str
    priority: int
    attempts: int
    max_attempts: int
    claim: UUID
    claimed_at: datetime  # the database's clock
    facts: dict[str, object] = field(default_factory=dict)  # what the ledger says of the subject

    @property
    def about(self) -> str:
        return self.subject.rpartition("@")[0]

    @property
    def location(self) -> str:
        return self.subject.rpartition("@")[2]


@dataclass(frozen=True)
class Wanted:
    """Work that the ledger is missing, as a ``<kind>.wanted`` statement returns it."""

    subject: str
    place: str
    needs: str
    priority: int


def wanted(tx: Tx, kind: str) -> list[Wanted]:
    """What the ledger's rows say is missing of this kind."""
    rows = tx.run(f"{kind}.wanted")
    return [Wanted(r.subject, r.place, r.needs, r.priority) for r in rows]


def enqueue(tx: Tx, kind: str, work: Sequence[Wanted]) -> int:
    """Makes jobs, less what is blocked; those that exist only get more urgent. How many it made."""
    made = 0
    for start in range(0, len(work), ENQUEUE_AT_ONCE):
        part = work[start : start + ENQUEUE_AT_ONCE]
        made += len(
            tx.run(
                "jobs.enqueue",
                kind=kind,
                subjects=[w.subject for w in part],
                places=[w.place for w in part],
                needs=[w.needs for w in part],
                priorities=[w.priority for w in part],
            )
        )
    if made:
        tx.run("jobs.hint", kind=kind)
    return made


class Claimer:
    """Claims from one kind's lanes. For a second it remembers which lanes have work, until one has
    no more, and how far each is claimed."""

    def __init__(self, kind: str, me: str, lease: timedelta = LEASE) -> None:
        self.kind, self.me, self.lease = kind, me, lease
        self._floors: dict[tuple[str, str], tuple[float, int, datetime, int]] = {}
        self._lanes: dict[tuple[str, ...], tuple[float, list[tuple[str, str]]]] = {}

    def lanes(self, tx: Tx, places: Sequence[str]) -> list[tuple[str, str]]:
        """(place, needs) with ready work here and a closed breaker, most urgent first."""
        now, asked = time.monotonic(), tuple(places)
        known = self._lanes.get(asked)
        if known and now - known[0] < FLOOR_SECONDS:
            return known[1]
        rows = tx.run("jobs.lanes", kind=self.kind, places=list(places))
        found = [(r.place, r.needs) for r in rows]
        self._lanes = {asked: (now, found)} if found else {}
        return found

    def claim(self, tx: Tx, place: str, needs: str, n: int = 1) -> list[Job]:
        """Up to ``n`` jobs of one lane, most urgent first. It is a transaction by itself
        (``Database.singly``), whose commit does not wait for the disk."""
        values = {
            "kind": self.kind, "place": place, "needs": needs, "n": n, "me": self.me,
            "lease": self.lease,
        }  # fmt: skip
        now = time.monotonic()
        floor = self._floors.get((place, needs))
        if floor and now - floor[0] < FLOOR_SECONDS:
            rows = tx.run(
                "jobs.claim_above", **values,
                floor_priority=floor[1], floor_due=floor[2], floor_id=floor[3],
            )  # fmt: skip
            if len(rows) < n:  # what became ready below the floor is claimed next time
                self._floors.pop((place, needs))
        else:
            rows = tx.run("jobs.claim", **values)
            floor = None
        if len(rows) < n:  # another lane may have work
            self._lanes.clear()
        rows.sort(key=lambda r: (r.priority, r.was_due, r.id))
        if rows:
            last = rows[-1]
            began = floor[0] if floor else now
            self._floors[place, needs] = (began, last.priority, last.was_due, last.id)
        return [_job(row) for row in rows]


def _job(r: Row) -> Job:
    return Job(
        r.id, r.kind, r.subject, r.place, r.needs, r.priority, r.attempts,
        r.max_attempts, r.claim, r.claimed_at,
    )  # fmt: skip


def tick(tx: Tx, lease: timedelta = LEASE) -> int:
    """Waiting work that is due, or whose lease ended, becomes ready; spent work is blocked.

    Its statements may be transactions of their own: what was not blocked yet gets one more try.
    """
    rows = tx.run("jobs.tick", lease=lease)
    spent = [r.id for r in rows if r.attempts >= r.max_attempts]
    if spent:
        tx.run("jobs.block_spent", ids=spent)
    return len(rows)


def finish(tx: Tx, jobs: Sequence[Job]) -> bool:
    """The first statement of a finishing transaction.

    Returns:
        True: go on and record. False: an earlier commit of ours did it all, its answer was lost.

    Raises:
        LeaseLost: another worker holds one of these now; roll back and leave the files alone.
    """
    ids, claims = [j.id for j in jobs], [j.claim for j in jobs]
    done = {r.id for r in tx.run("jobs.finish", ids=ids, claims=claims)}
    if len(done) == len(jobs):
        return True
    if not done and len(tx.run("jobs.was_finished", ids=ids, claims=claims)) == len(jobs):
        return False
    lost = [j.subject for j in jobs if j.id not in done]
    raise LeaseLost(
        f"{jobs[0].kind} {', '.join(lost[:3])}: the lease ended and another worker took over"
    )


def renew(tx: Tx, jobs: Iterable[Job], lease: timedelta = LEASE) -> set[int]:
    """Renews claims. Returns the ids of the jobs that are still ours."""
    held = list(jobs)
    rows = tx.run(
        "jobs.renew", ids=[j.id for j in held], claims=[j.claim for j in held], lease=lease
    )
    return {r.id for r in rows}


def progress(tx: Tx, job: Job, done: int, of: int) -> None:
    tx.run("jobs.progress", id=job.id, claim=job.claim, done=done, done_of=of)


def backoff(attempts: int) -> timedelta:
    """10 s doubling to an hour, with jitter of a quarter."""
    return timedelta(seconds=min(10.0 * 2.0 ** (attempts - 1), 3600.0) * uniform(0.75, 1.25))


def evidence(reason: str, message: str, me: str) -> dict[str, str]:
    return {"reason": reason, "message": message, "worker": me}


def retry(tx: Tx, job: Job, message: str, me: str, delay: timedelta | None = None) -> None:
    """Later, or blocked when its attempts are spent."""
    told = evidence("failed", message, me)
    if job.attempts >= job.max_attempts:
        block(tx, job, "attempts spent", message, me)
    else:
        wait = delay if delay is not None else backoff(job.attempts)
        _fenced(tx.run("jobs.retry", id=job.id, claim=job.claim, delay=wait, error=json(told)), job)


def give_back(tx: Tx, job: Job, message: str | None = None, me: str = "") -> None:
    """Ready again at once, its attempt returned."""
    told = json(evidence("given back", message, me)) if message else None
    tx.run("jobs.give_back", id=job.id, claim=job.claim, error=told)


def put_off(tx: Tx, job: Job, message: str, me: str, delay: timedelta) -> None:
    """Ready after a while, its attempt returned: the place, not the work, was at fault."""
    told = json(evidence("unavailable", message, me))
    _fenced(tx.run("jobs.put_off", id=job.id, claim=job.claim, error=told, delay=delay), job)


def block(tx: Tx, job: Job, reason: str, message: str, me: str) -> None:
    """Out of the table and into the ledger, until a person releases it."""
    told = evidence(reason, message, me) | {"attempts": str(job.attempts)}
    _fenced(
        tx.run("jobs.block", id=job.id, claim=job.claim, reason=reason, evidence=json(told)), job
    )


def _fenced(rows: list[Row], job: Job) -> None:
    if not rows:
        raise LeaseLost(f"{job.kind} {job.subject}: the lease ended and another worker took over")


def cancel(tx: Tx, ids: Sequence[int], why: str) -> list[str]:
    """A person's word: the jobs become ``blocked`` rows. Returns their subjects."""
    return [r.subject for r in tx.run("jobs.cancel", ids=list(ids), why=why)]


def release(
    tx: Tx, kind: str | None = None, subject: str | None = None, reason: str | None = None
) -> list[str]:
    """Lets blocked work be wanted again. Returns the subjects."""
    return [r.subject for r in tx.run("jobs.release", kind=kind, subject=subject, reason=reason)]


def succeed_predecessors(tx: Tx, workers: Sequence[str]) -> list[str]:
    """Gives back the claims and leases of workers that are proven gone; attempts stay counted."""
    rows = tx.run("jobs.give_back_predecessors", workers=list(workers))
    spent = [r.id for r in rows if r.attempts >= r.max_attempts]
    if spent:
        tx.run("jobs.block_spent", ids=spent)
    tx.run("jobs.drop_leases_of", workers=list(workers))
    return [r.subject for r in rows]


def open_work(tx: Tx, kind: str, places: Sequence[str], me: str) -> Row:
    """Plain counts for --once: open (ready, due, or ours), waiting, elsewhere."""
    row = tx.one("jobs.open_in_lanes", kind=kind, places=list(places), me=me)
    assert row is not None
    return row


def queue(tx: Tx, kind: str, places: Sequence[str]) -> Row:
    """What is open at these places, up to 10,000: open, oldest."""
    return tx.run("jobs.queue", kind=kind, places=list(places))[0]


def counts(tx: Tx) -> list[Row]:
    """Open work: (kind, state, jobs, oldest)."""
    return tx.run("jobs.count_open")


def done_lately(tx: Tx, kinds: Sequence[str]) -> list[Row]:
    """(kind, done, last): what was finished in a day, and when the last of all was."""
    return tx.run("jobs.done_lately", kinds=list(kinds))


# --- leases on places -------------------------------------------------------------------------


@dataclass(frozen=True)
class Lease:
    """The right to do the work of a kind in a place, alone."""

    location: str
    kind: str
    claim: UUID


def take_lease(tx: Tx, location: str, kind: str, me: str, lease: timedelta = LEASE) -> Lease | None:
    """The lease, or None while another holds it."""
    row = tx.one("jobs.take_lease", location=location, kind=kind, me=me, lease=lease)
    return Lease(location, kind, row.claim) if row else None


def hold_lease(tx: Tx, lease: Lease, length: timedelta = LEASE) -> None:
    """Renews; also the first statement of what is committed under it.

    Raises:
        LeaseLost: another holds it now.
    """
    row = tx.one(
        "jobs.hold_lease", location=lease.location, kind=lease.kind, claim=lease.claim, lease=length
    )
    if row is None:
        raise LeaseLost(f"the lease of {lease.kind} on {lease.location} is another's now")


def drop_lease(tx: Tx, lease: Lease) -> None:
    tx.run("jobs.drop_lease", location=lease.location, kind=lease.kind, claim=lease.claim)


def holder(tx: Tx, location: str, kind: str) -> str | None:
    row = tx.one("jobs.holder", location=location, kind=kind)
    return row.holder if row else None


# --- breakers ---------------------------------------------------------------------------------


def breaker_fails(
    tx: Tx, name: str, subject: str, reason: str, opens_after: int = BREAKER_OPENS_AFTER
) -> bool:
    """Counts a failure of a location or route. True if its breaker is open now."""
    row = tx.one(
        "jobs.breaker_fails",
        name=name,
        subject=subject,
        reason=reason,
        opens_after=opens_after,
    )
    return row is not None and row.state == "open"


def breaker_succeeds(tx: Tx, name: str) -> bool:
    """Closes the breaker and frees the work that waited for it. True if anything changed."""
    if not tx.run("jobs.breaker_succeeds", name=name):
        return False
    tx.run("jobs.clear_waits", needs=name)
    return True


def unheld(tx: Tx, names: Sequence[str], kind: str) -> list[str]:
    """Of the places ``names``, those whose work of ``kind`` nobody does at the moment."""
    return [r.name for r in tx.run("jobs.unheld", names=list(names), kind=kind)] if names else []


def open_breakers(tx: Tx) -> list[Row]:
    return [r for r in tx.run("jobs.breakers") if r.state == "open"]


# --- what a person asks -----------------------------------------------------------------------


def listed(
    tx: Tx,
    kind: str | None = None,
    state: str | None = None,
    id: int | None = None,
    limit: int = 50,
) -> list[Row]:
    """Open jobs, the most urgent of a kind and state first."""
    return tx.run("jobs.list_jobs", kind=kind, state=state, id=id, limit=limit)


def counted(tx: Tx) -> list[Row]:
    """Open jobs by kind and state: kind, state, jobs, oldest."""
    return tx.run("jobs.count_open")


def history(tx: Tx, subject: str) -> list[Row]:
    """When jobs about this subject were done, the earliest first."""
    return tx.run("jobs.job_history", subject=subject)


def failing(tx: Tx, kind: str | None, reason: str) -> list[Row]:
    """Open jobs whose last error had this reason."""
    return tx.run("jobs.failing", kind=kind, reason=reason)
