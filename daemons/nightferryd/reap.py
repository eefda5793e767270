"""nightferry-reap -- delete only what is proven elsewhere, read back after it was nominated.

Claims    'reap' jobs, one per deletion and place: trash, hash, put back or unlink; and one per
          place, now and then: discard temporary files that nobody means any more
Writes    deletions: nominates, by age and to make room, and decides on its tick, wherever a reap
          daemon runs
Settings  reap: in etc/nightferry.yaml
Killed    at any moment: safe. Each step can be done twice, and the rule is asked again, under the
          same lock, before the last.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import Occupied, Retry, Unreadable
from nightferry.jobs import Job, Wanted
from nightferry.packaging.sidecar import SUFFIX
from nightferry.stores.base import Store, Stored

NOTHING = Stored("", -1, 0)  # what is seen where no file is
AT_ONCE = 200  # copies between two commits


@dataclass(frozen=True)
class Settings:
    """``again_after``: what the rule kept is nominated again after this."""

    again_after: timedelta = field(default=timedelta(hours=1))


@dataclass(frozen=True)
class Step:
    """What happened to one copy: the stage that was found, the stage it is at, and why."""

    copy: str
    was: str
    stage: str
    trash: str | None = None
    detail: str = ""
    state: str = ""  # of the copy, where it changes


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
            steps.append(STAGES[copy["stage"]](store, copy, work))
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
    garbage = [t for t in left if t.token not in meant]
    for number, temporary in enumerate(garbage, 1):
        work.check()
        store.discard(temporary.path)
        work.progress(number, len(garbage))
    return Swept(len(garbage))


def _to_trash(store: Store, copy: dict[str, Any], work: Work) -> Step:
    """A copy that is not the one that was archived stays; so does one that somebody writes to.

    What is moved is what was looked at. This process may be frozen between the two, until others
    have done the work and the instrument has used the name again.
    """
    found = step_for(copy)
    seen = _look(store, copy["path"])
    # Only a package has a sidecar; a frame's name may be as long as a name can be.
    sidecar = _look(store, copy["path"] + SUFFIX) if copy["is_package"] else NOTHING
    try:
        changed = _changed(seen, copy)
        writing = not changed and store.has_writer(copy["path"])
    except FileNotFoundError:
        changed, writing = "", False  # in the trash already, or gone: trash() says which
    if changed:
        try:  # by a claim that ended before it could say so; then its name was used again
            return found("trashed", trash=store.trash(copy["path"], copy["copy"], NOTHING))
        except (Retry, FileNotFoundError):
            detail = f"it is not the file that was archived: {changed}"
            return found("kept", detail=detail, state="suspect")
    if writing:
        return found("kept", detail="a process has it open for writing", state="present")
    if room := _has_room(store, copy):
        return found("kept", detail=room, state="present")
    work.check()
    try:
        trash = store.trash(copy["path"], copy["copy"], seen)
        if copy["is_package"]:
            _sidecar(store.trash, copy["path"] + SUFFIX, copy["copy"], sidecar)
    except FileNotFoundError:
        return found("kept", detail="it is not there", state="missing")
    return found("trashed", trash=trash)


def _has_room(store: Store, copy: dict[str, Any]) -> str:
    """For a copy that goes to make room: that there is room again, in words, or ''."""
    if copy["low"] is None:
        return ""
    space = store.space()
    if space is None or space.total - space.free > copy["low"] * space.total:
        return ""
    return f"{store.location} has room again: it is at its low mark"


def _look(store: Store, path: str) -> Stored:
    try:
        return store.stat(path)
    except FileNotFoundError:
        return NOTHING


def _changed(there: Stored, copy: dict[str, Any]) -> str:
    """How the file differs from the ledger's, or ''. A package's time is its store's own."""
    if there is NOTHING:
        return ""  # in the trash already, or gone: trash() says which
    if there.size != copy["size"]:
        return f"it has {there.size} bytes, not {copy['size']}"
    if copy["mtime_ns"] is not None and there.mtime_ns != copy["mtime_ns"]:
        return "it was written again"
    return ""


def _hash(store: Store, copy: dict[str, Any], work: Work) -> Step:
    found = step_for(copy)
    try:
        reading = store.read_back(copy["trash"], lambda _: work.progress(work.done))
    except (FileNotFoundError, Unreadable) as error:
        return found("recalled", detail=f"it could not be read in the trash: {error}")
    if reading.sha256 != copy["sha256"]:
        return found("recalled", detail=f"in the trash it has the SHA-256 {reading.sha256}")
    return found("hashed")


def _put_back(store: Store, copy: dict[str, Any], work: Work) -> Step:
    found = step_for(copy)
    work.check()
    try:
        store.restore(copy["trash"], copy["path"])
        if copy["is_package"]:
            _sidecar(store.restore, copy["trash"] + SUFFIX, copy["path"] + SUFFIX)
    except Occupied as error:
        return found("kept", detail=f"it stays in the trash: {error}", state="suspect")
    except FileNotFoundError:
        return found(
            "kept", detail=f"neither in the trash nor at its path: {copy['path']}", state="missing"
        )
    return found("kept", detail=copy.get("detail") or "", state="present")


def _unlink(store: Store, copy: dict[str, Any], work: Work) -> Step:
    """The last look, the last renewal, and then it is gone. durable.Root.erase is what unlinks."""
    found = step_for(copy)
    try:
        if store.has_writer(copy["trash"]):
            return found("recalled", detail="a process has it open for writing")
        if room := _has_room(store, copy):
            return found("recalled", detail=room)
    except FileNotFoundError:
        pass  # erased by a claim that ended before it could say so
    work.check()
    if copy["is_package"]:
        store.erase(copy["trash"] + SUFFIX)
    store.erase(copy["trash"])
    return found("deleted", state="deleted")


STAGES: dict[str, Callable[[Store, dict[str, Any], Work], Step]] = {
    "deleting": _to_trash,
    "trashed": _hash,
    "recalled": _put_back,
    "condemned": _unlink,
}


def step_for(copy: dict[str, Any]) -> Callable[..., Step]:
    def step(stage: str, trash: str | None = None, detail: str = "", state: str = "") -> Step:
        return Step(copy["copy"], copy["stage"], stage, trash, detail, state)

    return step


def _sidecar(move: Callable[..., object], path: str, to: str, *seen: Stored) -> None:
    try:
        move(path, to, *seen)
    except FileNotFoundError:
        return  # a package is whole without it; verify tells of a sidecar that is missing


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
        )
        if s.state:
            tx.run("reap.copy_is", copy=s.copy, state=s.state)
    return iter(())


def record(tx: Tx, job: Job, _: None) -> Iterator[tuple[str, Wanted]]:
    """A deletion is done when none of its copies is on its way any more."""
    if job.about == "temporaries":
        return
    tx.run("reap.close")
    for row in tx.run("reap.wanted"):
        yield "reap", Wanted(row.subject, row.place, row.needs, row.priority)


def tick(tx: Tx, settings: Settings) -> Iterator[tuple[str, Wanted]]:
    """Nominate within the caps; have the survivors read again; decide what was read."""
    tx.run("reap.nominate", again_after=settings.again_after)
    tx.run("reap.nominate_for_room", again_after=settings.again_after)
    for row in tx.run("reap.read_again"):
        yield "verify", Wanted(row.subject, row.place, row.needs, row.priority)
    for row in tx.run("reap.to_decide"):
        tx.run("reap.decide", id=row.id)
    for row in tx.run("reap.wanted"):
        yield "reap", Wanted(row.subject, row.place, row.needs, row.priority)


daemon = JobDaemon("reap", Settings, reap, record, batch=happened, tick=tick)
main = command(daemon)
