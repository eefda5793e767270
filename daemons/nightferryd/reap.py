"""nightferry-reap -- delete only what is proven elsewhere, read back after it was nominated.

Claims    'reap' jobs, one per deletion and place: trash, hash, put back or unlink; and one per
          place, now and then: discard temporary files that nobody means any more
Writes    deletions: nominates, by age and to make room, and decides on its tick, wherever a reap
          daemon runs
Settings  reap: in etc/nightferry.yaml
Killed    at any moment: safe. Each step can be done twice, and the rule is asked again, under the
          same lock, before the last.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.jobs import Job, Wanted
from nightferry.letting_go import STEPS, Step
from nightferry.place import BACKUPS
from nightferry.stores.base import Abandoned, Store

AT_ONCE = 200  # copies between two commits


@dataclass(frozen=True)
class Settings:
    """``again_after``: what the rule kept is nominated again after this."""

    again_after: timedelta = field(default=timedelta(hours=1))


@dataclass(frozen=True)
class LastWord:
    """What hashed well is about to be unlinked: the rule is to be asked again, under the lock."""


@dataclass(frozen=True)
class Swept:
    """A place was looked through; so many temporary files that nobody meant were discarded."""

    removed: int


def reap(job: Job, settings: Settings, work: Work) -> None:
    """Brings every copy of the deletion at this place as far as it may go now.

    The rule is asked right before the unlink, also for what an earlier claim left condemned: a hold
    or a bad reading since then has been waiting to be heard.
    """
    store = work.store(job.location)
    store.probe()
    if job.about == "temporaries":
        work.emit(_sweep(store, work))
        return
    _bring_on(store, job.facts["copies"], ("deleting", "trashed", "recalled"), work)  # type: ignore[arg-type]
    work.emit(LastWord())
    for _, _, copies in work.ask("reap.facts", about=job.about, location=job.location):
        _bring_on(store, copies, ("condemned", "recalled"), work)


def _bring_on(
    store: Store, copies: list[dict[str, Any]], stages: tuple[str, ...], work: Work
) -> None:
    """One stage further, for the copies that are at one of these."""
    here = [copy for copy in copies if copy["stage"] in stages]
    for start in range(0, len(here), AT_ONCE):
        steps: list[Step] = []
        for copy in here[start : start + AT_ONCE]:
            steps.append(STEPS[copy["stage"]](store, copy, work))
            work.progress(start + len(steps), len(here))
        work.emit(steps)


def _sweep(store: Store, work: Work) -> Swept:
    """Discards the temporary files that no arriving row and no work, in any state, means.

    They are listed first and asked about second: what is begun in between is in no list.
    """
    left = list(store.temporaries())
    rows = work.ask("jobs.subjects_at", location=store.location)
    abouts = [subject.rpartition("@")[0] for (subject,) in rows]
    meant = {t for (t,) in work.ask("reap.meant", location=store.location, abouts=abouts)}
    garbage = [t for t in left if t.token not in meant and not _is_a_dump(t)]
    for number, temporary in enumerate(garbage, 1):
        work.check()
        store.discard(temporary.path)
        work.progress(number, len(garbage))
    return Swept(len(garbage))


def _is_a_dump(left: Abandoned) -> bool:
    """Of the database, being written or proven: no row can mean it. An older one was given up."""
    young = left.modified > datetime.now(UTC) - timedelta(days=1)
    return young and left.path.startswith(f"{BACKUPS}/")


def happened(
    tx: Tx, job: Job, steps: list[Step] | LastWord | Swept
) -> Iterator[tuple[str, Wanted]]:
    if isinstance(steps, Swept):
        tx.run("reap.temporaries_swept", location=job.location, removed=steps.removed)
        return iter(())
    if isinstance(steps, LastWord):
        tx.run("reap.condemn", deletion=job.about, location=job.location)
        return iter(())
    for s in steps:
        tx.run(
            "reap.staged",
            deletion=job.about,
            copy=s.copy,
            was=s.was,
            stage=s.stage,
            trash=s.trash,
            detail=s.detail,
            doubt=s.doubt,
        )
        if s.state:
            tx.run("reap.copy_is", copy=s.copy, state=s.state)
    return iter(())


def record(tx: Tx, job: Job, _: None) -> Iterator[tuple[str, Wanted]]:
    """A deletion is done when none of its copies is on its way any more.

    Where two places end at once, neither sees the other's end: the tick closes it. What there is to
    do next is the tick's to say as well, once for all deletions.
    """
    if job.about != "temporaries":
        tx.run("reap.close", deletion=job.about)
    return iter(())


def tick(tx: Tx, settings: Settings) -> Iterator[tuple[str, Wanted]]:
    """Close what is done; nominate within the caps; have the survivors read again; decide what was
    read."""
    tx.run("reap.close", deletion=None)
    tx.run("reap.canaries_gone")
    tx.run("reap.nominate", again_after=settings.again_after)
    tx.run("reap.nominate_for_room", again_after=settings.again_after)
    tx.run("reap.nominate_canaries", again_after=settings.again_after)
    for row in tx.run("reap.read_again"):
        yield "verify", Wanted(row.subject, row.place, row.needs, row.priority)
    for row in tx.run("reap.to_decide"):
        tx.run("reap.decide", id=row.id)
    for row in tx.run("reap.wanted"):
        yield "reap", Wanted(row.subject, row.place, row.needs, row.priority)


daemon = JobDaemon("reap", Settings, reap, record, batch=happened, tick=tick, doing="letting go")
main = command(daemon)
