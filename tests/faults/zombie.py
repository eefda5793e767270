"""A worker and its daemon are frozen in the middle of a publish or a delete, past their lease; another
daemon does the work; then they wake. Nothing that stands may change, and they have to say so.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import checker, tracing
from tests.faults.course import Course, pid_of_worker
from tests.faults.scenes import EVERY, Place, Scene
from tests.faults.stage import worker_file
from tests.faults.tracing import Call, Point

STEPS = ("renameat2", "linkat", "unlinkat")
ANSWER = "the worker's channel: answer"
WAKES = "nothing was changed"
# No lease ends just after a server's start.
OLD_ENOUGH = "SELECT now() - pg_postmaster_start_time() > interval '20.5 s'"
IN_TRANSACTION = """SELECT pid FROM pg_stat_activity WHERE datname = current_database()
 AND pid <> pg_backend_pid() AND state <> 'idle'"""
# One row that a zombie adds, or touches, is a difference. What it tells is no row: it is in its log.
ROWS = {
    "copy": "SELECT id, c::text FROM physical_copy c",
    "verification": "SELECT id, v::text FROM verification v",
    "event": "SELECT id, e::text FROM event e",
    "finished job": "SELECT (id, claim), j::text FROM job_done j",
    "deletion": "SELECT id, d::text FROM deletion d",
    "deletion of a copy": "SELECT (deletion, copy), dc::text FROM deletion_copy dc",
    "package": "SELECT id, p::text FROM raw_data_package p",
    "staged": "SELECT id, s::text FROM staged_package s UNION ALL SELECT id, g::text FROM staging g",
}
Meanwhile = Callable[[Course, Place], None]
LEASES_END = "UPDATE job SET due = now() - interval '1 s' WHERE state = 'running'"


@dataclass
class Woke:
    """One zombie: whether it froze where it was meant to, and what it did wrong when it woke."""

    point: Point
    hit: bool = False
    wrong: list[str] = field(default_factory=list)
    said: str = ""


def points(course: Course, name: str) -> Iterator[Point]:
    """Where a scene's worker is to freeze: right after its claim was renewed for such a step; right
    before each distinct call that publishes, moves or deletes; and right after it."""
    scene, _ = EVERY[name]
    with course.scenery.copy(scene) as place:
        calls = course.calls(scene, "worker", place)
    seen = set()
    for index, call in enumerate(calls):
        if (call.name in STEPS or call.about == ANSWER) and (call.name, call.about) not in seen:
            seen.add((call.name, call.about))
            step = f"{call.name} of {call.about}"
            if call.name in STEPS:
                yield _point(name, f"before {step}", calls[:index])
            yield _point(name, f"after {step}", calls[: index + 1])


def _point(scene: str, about: str, calls: Sequence[Call]) -> Point:
    """The last of ``calls``: a process stops when the call in which it is told to has returned."""
    last = calls[-1]
    when = last.number
    if last.target:
        alike = (c.thread == last.thread and c.name == last.name and last.target in c.names
                 for c in calls)  # fmt: skip
        when = sum(alike)
    return Point(scene, "worker", last.name, about, 1, last.target, when)


def run(course: Course, point: Point, meanwhile: Meanwhile | None = None) -> Woke:
    """``meanwhile`` happens to the files after the other daemon has finished, before the waking."""
    scene, _ = EVERY[point.scene]
    woke = Woke(point)
    with course.scenery.copy(scene) as place:
        wait_until(lambda: bool(place.ask(OLD_ENOUGH)[0][0]), 30)
        stage = course.scenery.stage
        pid = stage.start(scene.command(place), place.log, scene.worker)
        worker = pid_of_worker(worker_file(place.log), pid)
        if worker is None:
            woke.said = place.log.read_text()
            stage.wait(pid)
            return woke
        out = place.folder / "trace"
        options = tracing.inject(point, "signal=SIGSTOP", place)
        tracer = tracing.attach(worker, options, out, threads=True)
        woke.hit = _froze(out, pid)
        if not woke.hit:
            stage.wait(pid)
            tracer.wait(10)
            return woke
        _freeze_between_transactions(pid, place)
        place.ask(LEASES_END)
        woke.wrong += _another_finishes(course, scene, place)
        if meanwhile is not None:
            meanwhile(course, place)
        before = everything(place)
        os.kill(pid, signal.SIGCONT)
        os.kill(worker, signal.SIGCONT)
        stage.wait(pid, 60)
        tracer.wait(10)
        # Awake, its daemon may look for temporary files, as each does now and then.
        may = "" if scene.name == "reap temporary files" else ",temporaries@"
        woke.wrong += changes(before, everything(place), may)
        woke.wrong += course.at_any_moment(place) if meanwhile is None else []
        woke.said = place.log.read_text()
        if WAKES not in woke.said:
            woke.wrong.append("it did not say that nothing was changed")
    return woke


def _another_finishes(course: Course, scene: Scene, place: Place) -> list[str]:
    argv = [*scene.command(place), "--name", "another"]
    log = place.folder / "another"
    status = course.scenery.stage.run(argv, log)
    if status != 0:
        return [f"the other daemon ended with {status}: {log.read_text()}"]
    return []


def _freeze_between_transactions(daemon: int, place: Place) -> None:
    """A daemon that freezes inside one is cut off by the server, after a minute: that is another
    story, and would only cost the time."""
    for _ in wait(20):
        os.kill(daemon, signal.SIGSTOP)
        if not place.ask(IN_TRANSACTION):
            return
        os.kill(daemon, signal.SIGCONT)


def _froze(out: Path, daemon: int) -> bool:
    """True once the worker stands still; False if its daemon ended without."""
    for _ in wait(30):
        if out.exists() and "stopped by SIGSTOP" in out.read_text(errors="replace"):
            return True
        try:
            state = Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
    return False


def goes_on_to_the_end(course: Course, place: Place) -> None:
    """What lay in the trash is unlinked, by the other daemon; then its name is used again."""
    place.ask("UPDATE data_location SET trash_grace = '0 s'")
    argv = [*place.argv("dome", "reap"), "--name", "another"]
    course.scenery.stage.run(argv, place.folder / "another")
    for path in course.scenery.sums:
        new = place.sites.path("dome-source") / path
        if not new.exists():
            new.write_bytes(b"another exposure, under the old name")


def everything(place: Place) -> dict[str, str]:
    """All that stands: every file with its bytes, what the ledger holds, and each row of what was
    done and told."""
    found = {f"ledger: {k}": v for k, v in checker.ledger(place.dsn).items()}
    for what, query in ROWS.items():
        for key, row in place.ask(query):
            found[f"{what} {key}"] = str(row)
    for root in (*checker.ROOTS.values(), checker.WORK):
        for path in sorted((place.folder / root).rglob("*")):
            name = str(path.relative_to(place.folder))
            found[name] = checker.sum_of(path) if path.is_file() else "a directory"
    return found


def changes(before: dict[str, str], after: dict[str, str], may: str = "") -> list[str]:
    """What differs, in words. ``may``: what a finished job that is new may be of."""
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    # An empty directory of the trash is nobody's.
    return [
        f"it changed {n}: {before.get(n, 'not there')}, now {after.get(n, 'not there')}"
        for n in names
        if "a directory" not in (before.get(n), after.get(n))
        and not (may and n not in before and n.startswith("finished job") and may in after[n])
    ]


def wait(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.01)


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    for _ in wait(seconds):
        if true():
            return
