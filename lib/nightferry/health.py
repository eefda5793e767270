"""Is everything as it should be? One check a line, each with what to do: ``nf check``.

A check is OK, a WARNING (look at it this week) or FAILED (look at it now).
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nightferry import jobs
from nightferry.db import Database, DatabaseAway, Row, SchemaMismatch, Tx
from nightferry.migrate import check as check_schema
from nightferry.wording import age, count, share, size

SILENT = timedelta(seconds=60)  # six heartbeats
SKEW = (timedelta(seconds=2), timedelta(seconds=30))
WAITING = (timedelta(hours=6), timedelta(hours=48))  # the oldest open job of a kind
DAYS_LEFT = (14.0, 3.0)
UNSEEN = timedelta(minutes=5)  # each place is asked every minute
CANARY = (timedelta(hours=26), timedelta(hours=50))  # one is sent each day
FULL = (0.90, 0.97)  # where no rate is known, or nothing grows


class State(enum.IntEnum):
    """From good to bad."""

    OK = 0
    WARNING = 1
    FAILED = 2


@dataclass(frozen=True)
class Check:
    """``name`` stays the same from run to run; ``todo`` is what to type, '' where all is well."""

    name: str
    state: State
    said: str
    todo: str = ""


def look(database: Database) -> list[Check]:
    """All checks, as far as the database answers."""
    try:
        database.run(lambda tx: tx.run("health.clock"))  # connects: what follows is an answer alone
        began = datetime.now(UTC)
        clock = database.run(lambda tx: tx.run("health.clock")[0].now)
        took = datetime.now(UTC) - began
    except DatabaseAway as error:
        return [Check("database", State.FAILED, str(error), "systemctl status nightferry-postgres")]
    found = [
        Check("database", State.OK, f"answers in {took.total_seconds() * 1000:.0f} ms"),
        _clock(clock - (began + took / 2)),
    ]
    try:
        database.run(check_schema)
    except SchemaMismatch as error:
        return [*found, Check("schema", State.FAILED, str(error), "nf migrate")]
    found.append(Check("schema", State.OK, "as this program understands it"))
    return found + database.run(lambda tx: list(_in_the_ledger(tx)))


def _clock(skew: timedelta) -> Check:
    state = _grade(abs(skew) > SKEW[0], abs(skew) > SKEW[1])
    said = f"{skew.total_seconds():+.1f} s from this host's"
    return Check("clock of the database", state, said, "" if not state else "timedatectl status")


def _in_the_ledger(tx: Tx) -> Iterator[Check]:
    yield from _daemons(tx.run("health.daemons"), tx.run("health.needed"))
    for row in tx.run("health.locations"):
        yield from _location(row)
    for row in tx.run("health.routes"):
        state = _grade(False, row.trouble is not None)
        yield Check(
            f"route {row.name}", state, row.trouble or "open", "nf jobs list" if state else ""
        )
    yield from map(_ingest, tx.run("health.ingest"))
    yield from _work(jobs.counts(tx))
    routes = {row.name for row in tx.run("health.routes")}
    for row in jobs.open_breakers(tx):
        if row.name not in routes:
            said = f"open for {age(row.since)}: {row.reason}"
            yield Check(f"breaker {row.name}", State.FAILED, said, "nf locations list")
    yield _blocked(tx.run("health.blocked"))
    yield from map(_canary, tx.run("health.canary"))
    yield from _care(tx.run("health.care")[0])


def _daemons(rows: list[Row], needed: list[Row]) -> Iterator[Check]:
    for row in rows:
        if row.stopped is not None:
            continue
        silent = row.now - row.seen
        state = _grade(False, silent > SILENT)
        said = f"silent for {age(silent)}" if state else f"up, version {row.version}"
        todo = f"systemctl status nightferry-{row.daemon}   (on {row.host})" if state else ""
        yield Check(f"daemon {row.daemon} on {row.host}", state, said, todo)
    for row in needed:
        if not row.runs:
            todo = f"systemctl start nightferry-{row.daemon}"
            yield Check(f"daemon {row.daemon}", State.FAILED, "runs on no host", todo)


def _location(row: Row) -> Iterator[Check]:
    name = f"location {row.name}"
    if not row.marked:
        yield Check(name, State.FAILED, "has no marker", f"nf locations init {row.name}")
    elif not row.hosts:
        said = "no host has looked at it"
        yield Check(name, State.WARNING, said, "name it under locations: in nightferry.yaml")
    elif row.unseen > UNSEEN:
        said = f"last looked at by {row.host}, {age(row.unseen)} ago: nobody knows how it is now"
        yield Check(
            name, State.WARNING, said, f"systemctl status nightferry.target   (on {row.host})"
        )
    elif not row.available:
        yield Check(name, State.FAILED, f"away: {row.reason}", "nf locations list")
    elif not row.writable and row.type != "SOURCE":
        yield Check(name, State.FAILED, "read-only", f"nf locations init {row.name}")
    else:
        yield Check(
            name, State.OK, "mounted, marked, writable" if row.writable else "mounted, marked"
        )
    if row.free_bytes is not None:
        yield _space(row)


def _space(row: Row) -> Check:
    """By the days that are left; where nothing grows, by what is full, and above its high mark."""
    used = 1 - row.free_bytes / row.total_bytes
    said = f"{size(row.free_bytes)} free, {share(used)} full"
    if row.days_left is not None:
        said += f", {row.days_left:.0f} days left at this rate"
        state = _grade(row.days_left < DAYS_LEFT[0], row.days_left < DAYS_LEFT[1])
    else:
        state = State.OK
    limits = FULL if row.high is None else (max(row.high + 0.05, FULL[0]), FULL[1])
    state = max(state, _grade(used > limits[0], used > limits[1]))
    todo = "nf reap plan" if row.type in ("SOURCE", "BUFFER") else "make room, or add an archive"
    return Check(f"space of {row.name}", state, said, todo if state else "")


def _ingest(row: Row) -> Check:
    """It has no jobs: its oldest item is the source that it did not look through for longest."""
    name, todo = "work of ingest", "systemctl status nightferry-ingest"
    open_ = f"{count(row.unsettled, 'file')} not settled yet, {row.name}"
    if row.unswept is None:
        return Check(name, State.WARNING, f"{open_} was never looked through", todo)
    state = _grade(row.unswept > WAITING[0], row.unswept > WAITING[1])
    said = f"{open_} was looked through {age(row.unswept)} ago"
    return Check(name, state, said, todo if state else "")


def _work(rows: list[Row]) -> Iterator[Check]:
    """The oldest open job of each kind."""
    now = datetime.now(UTC)
    oldest: dict[str, Row] = {}
    many: dict[str, int] = {}
    for row in rows:
        many[row.kind] = many.get(row.kind, 0) + row.jobs
        if row.kind not in oldest or row.oldest < oldest[row.kind].oldest:
            oldest[row.kind] = row
    for kind, row in sorted(oldest.items()):
        waits = now - row.oldest
        state = _grade(waits > WAITING[0], waits > WAITING[1])
        said = f"{many[kind]:,} open, the oldest for {age(waits)}"
        yield Check(f"work of {kind}", state, said, f"nf jobs list --kind {kind}" if state else "")


def _blocked(rows: list[Row]) -> Check:
    if not rows:
        return Check("failed jobs", State.OK, "none")
    total = sum(row.subjects for row in rows)
    first = f"{rows[0].kind}: {rows[0].reason}"
    return Check(
        "failed jobs", State.WARNING, f"{count(total, 'job')}, such as {first}", "nf jobs list"
    )


def _canary(row: Row) -> Check:
    """Where one is sent each day: when the last came back, and what became of one since."""
    state = _grade(row.age > CANARY[0] or row.why is not None, row.age > CANARY[1])
    said = f"came back {age(row.age)} ago" if row.returned else f"none came back in {age(row.age)}"
    if row.why is not None:
        said += f"; the last did not: {row.why}"
    return Check("canary", state, said, "nf canary" if state else "")


def _care(row: Row) -> Iterator[Check]:
    if row.backed_up is None:
        late = row.now - row.began > row.backup_max_age
        state, said = _grade(late, False), "never made"
    else:
        old = row.now - row.backed_up
        state = _grade(old > row.backup_max_age, old > 3 * row.backup_max_age)
        said = f"{age(old)} old, proven"
    yield Check("backup", state, said, "nf backup LOCATION" if state else "")
    state = _grade(row.unread > 0, False)
    said = (
        f"{count(row.unread, 'copy', 'copies')} not read within {row.scrub_days:g} days"
        if state
        else f"every archived copy was read within {row.scrub_days:g} days"
    )
    yield Check("reading again", state, said, "nf scrub" if state else "")
    state = _grade(False, not row.trusted)
    said = "restored, and not audited: nothing is deleted" if state else "the one that we know"
    yield Check("identity of the database", state, said, "nf audit" if state else "")


def _grade(warning: bool, failed: bool) -> State:
    return State.FAILED if failed else State.WARNING if warning else State.OK
