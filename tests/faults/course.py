"""One fault from its beginning to its end: a state is copied, its process is hit at one point, all is
started again, and the checker is asked, at once and when everything has been done.
"""

import subprocess
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from nightferry.testing.sites import wait_until

from tests.faults import checker, tracing
from tests.faults.faults import KILL
from tests.faults.scenes import SCENES, TRAVEL, Place, Scene, Scenery
from tests.faults.stage import HELD, worker_file
from tests.faults.tracing import Call, Point

ROUNDS = 5
AIMS = 10
LOST = 5.0  # seconds: what has not ended by then waits for something
AND_ON = 20  # after one fault in so many, a whole round more is run: all stays as it is
HIT_ANYWAY = ("renameat2", "linkat", "unlinkat", "fsync")  # in each of two scenes that are alike
# What only has to wait has waited: backoffs, leases and graces are over, and what is done now and
# then is due.
TIME_PASSES = (
    "UPDATE job SET due = now() WHERE state = 'waiting'",
    "DELETE FROM lease",
    "UPDATE data_location SET trash_grace = '0 s'",
    "UPDATE temporary_sweep SET swept = swept - interval '1 day'",
    "UPDATE deletion SET closed = closed - interval '1 day' WHERE closed IS NOT NULL",
    "UPDATE deletion_copy SET changed = changed - interval '1 day' WHERE stage = 'kept'",
    "UPDATE quarantine SET evidence = evidence || jsonb_build_object('tried',"
    " (evidence ->> 'tried')::timestamptz - interval '1 hour') WHERE evidence ? 'tried'",
    "SET session_replication_role = replica; UPDATE verification SET"
    " began = began - interval '1 hour', ended = ended - interval '1 hour'"
    " WHERE outcome = 'unreadable'; RESET session_replication_role",
)


@dataclass
class Ran:
    """One fault: whether it hit, and what the checker found wrong."""

    point: Point
    fault: str
    hit: bool = False
    wrong: list[str] = field(default_factory=list)
    said: str = ""  # by the processes, where something is wrong


class Course:
    """Runs scenes with and without faults."""

    def __init__(
        self, scenery: Scenery, ends: MutableMapping[str, dict[str, str]] | None = None
    ) -> None:
        """``ends``: those already known, of the same states."""
        self.scenery = scenery
        self.ends: MutableMapping[str, dict[str, str]] = {} if ends is None else ends
        self._known: dict[str, list[Point]] = {}

    def points(self, scene: Scene) -> list[Point]:
        """The points at which a scene is hit: all of it, but what is tried in another scene."""
        return [p for p in self.every_point(scene) if not self.tried_in(scene, p)]

    def tried_in(self, scene: Scene, point: Point) -> str:
        """The other scene in which a point is tried; "" = it is tried in its own.

        What the loop asks is tried in the first scene of a kind; what two scenes share that are
        like each other, in one of them.
        """
        first = next(s for s, _ in SCENES.values() if s.argv == scene.argv)
        if point.of_the_loop and first is not scene:
            return first.name if self._has(first, point) else ""
        if scene.like and point.call not in HIT_ANYWAY:
            return scene.like if self._has(SCENES[scene.like][0], point) else ""
        return ""

    def _has(self, scene: Scene, point: Point) -> bool:
        return any(p.at == point.at for p in self.every_point(scene))

    def every_point(self, scene: Scene) -> list[Point]:
        """Every distinct point of a scene: its process is run and traced, once each."""
        if scene.name in self._known:
            return self._known[scene.name]
        found: list[Point] = []
        for process in ("daemon", *(["worker"] if scene.worker else [])):
            with self.scenery.copy(scene) as place:
                calls = self.calls(scene, process, place)
                found += tracing.points(scene.name, process, calls)
        self._known[scene.name] = found
        return found

    def tried_elsewhere(self, scene: Scene) -> list[tuple[Point, str]]:
        """The points of a scene that are tried in another, and in which."""
        there = ((p, self.tried_in(scene, p)) for p in self.every_point(scene))
        return [(point, where) for point, where in there if where]

    def calls(self, scene: Scene, process: str, place: Place) -> list[Call]:
        """What a process of a scene asks of the system, in its order."""
        everything = ["-e", f"trace={','.join(tracing.CALLS)}"]
        return self._traced(scene, process, place, everything)

    def run(self, point: Point, fault: str) -> Ran:
        """``fault`` as strace's inject takes it: ``signal=SIGKILL``, ``error=EIO``, ``retval=0``."""
        scene, _ = SCENES[point.scene]
        ran = Ran(point, fault)
        for attempt in range(AIMS):
            with self.scenery.copy(scene) as place:
                options = tracing.inject(point, fault, place)
                calls = self._traced(scene, point.process, place, options)
                ran.hit = tracing.was_hit(point, calls, fault == KILL)
                if ran.hit or attempt == AIMS - 1:
                    self._judge(scene, place, ran)
                    return ran
                point = tracing.aim_again(point, calls)
        return ran

    def _judge(self, scene: Scene, place: Place, ran: Ran) -> None:
        ran.wrong += [f"{w} (at once)" for w in self.at_any_moment(place)]
        if scene.argv[0] == "nf":  # the person types it again
            _pass_time(place)
            self.scenery.stage.run(scene.command(place), place.log)
        and_on = crc32(f"{ran.point} {ran.fault}".encode()) % AND_ON == 0
        ran.wrong += self._to_the_end(scene, place, and_on)
        if ran.wrong:
            ran.said = place.log.read_text()

    def end(self, scene: Scene) -> dict[str, str]:
        """The ledger at the end of a scene in which nothing goes wrong."""
        if scene.ends not in self.ends:
            with self.scenery.copy(scene) as place:
                self.scenery.stage.run(scene.command(place), place.log)
                before: dict[str, str] = {}
                while (now := checker.ledger(place.database)) != before:
                    before = now
                    self._round(scene, place)
                self.ends[scene.ends] = now
        return self.ends[scene.ends]

    def _traced(self, scene: Scene, process: str, place: Place, options: list[str]) -> list[Call]:
        stage, out = self.scenery.stage, place.folder / "trace"
        hold = "daemon" if process == "daemon" else scene.worker
        pid = stage.start(scene.command(place), place.log, hold)
        tracer: subprocess.Popen[bytes] | None = None
        if process == "daemon":
            tracer = tracing.attach(pid, options, out, threads=scene.argv[0] == "nf")
        else:
            held = pid_of_worker(worker_file(place.log), pid)
            if held:
                tracer = tracing.attach(held, options, out, threads=True)
        status = stage.wait(pid, LOST, end=False)
        if status is None:
            # The answer to a claim was cut off: the daemon waits for the end of a lease of its own.
            place.ask("UPDATE job SET due = now() WHERE state = 'running'")
            status = stage.wait(pid)
        if tracer is not None:
            tracer.wait(10)
        if status is None:
            raise RuntimeError(f"{scene.name} did not end:\n{place.log.read_text()}")
        return tracing.read(out, place, scene.argv[0] == "nf")

    def _to_the_end(self, scene: Scene, place: Place, and_on: bool) -> list[str]:
        """What is wrong when the daemons, the one that was hit first, have done what there is to do."""
        for daemon in _from(scene, ROUNDS):
            self._run(place, *daemon)
            if not self._difference(scene, place) and not self._wrong_then(place):
                break
        else:
            return self._wrong(scene, place)
        if and_on:
            self._round(scene, place)
            return self._wrong(scene, place)
        return []

    def _difference(self, scene: Scene, place: Place) -> str:
        return checker.difference(self.end(scene), checker.ledger(place.database))

    def _wrong(self, scene: Scene, place: Place) -> list[str]:
        difference = self._difference(scene, place)
        wrong = [f"unfinished: {difference}"] if difference else []
        return wrong + self._wrong_then(place)

    def _wrong_then(self, place: Place) -> list[str]:
        """Beside what is unfinished."""
        return self.at_any_moment(place) + checker.at_the_end(place.folder, place.database)

    def _round(self, scene: Scene, place: Place) -> None:
        """Time passes, and every daemon is run once."""
        for site, daemon in _travel(scene):
            self._run(place, site, daemon)

    def _run(self, place: Place, site: str, daemon: str) -> None:
        _pass_time(place)
        self.scenery.stage.run(place.argv(site, daemon), place.log)

    def at_any_moment(self, place: Place) -> list[str]:
        return checker.at_any_moment(place.folder, place.database, self.scenery.sums)


def _from(scene: Scene, rounds: int) -> Iterator[tuple[str, str]]:
    """Rounds of all daemons, that of the scene first: it is what was hit, and what is restarted.

    Then its like at the other site and, where no other daemon has to follow, it once more.
    """
    hit = (scene.site, scene.argv[0])
    travel = _travel(scene)
    if hit in travel:
        first = travel.index(hit)
        others = [*travel[first + 1 :], *travel[:first]]
        yield hit
        yield from {daemon: None for daemon in others if daemon[1] == hit[1] and daemon != hit}
        if scene.ends != "archived":
            yield hit
        yield from others
        travel = [hit, *others]
    for _ in range(rounds):
        yield from travel


def _travel(scene: Scene) -> list[tuple[str, str]]:
    """Every daemon that carries frames, and the scene's own."""
    hit = (scene.site, scene.argv[0])
    return [*TRAVEL, *([] if hit in TRAVEL or scene.argv[0] == "nf" else [hit])]


def _pass_time(place: Place) -> None:
    assert place.session is not None
    place.session.execute(";".join(TIME_PASSES), prepare=False)  # several at once cannot be


def pid_of_worker(path: Path, daemon: int) -> int | None:
    """Of a worker that waits for its tracer; None if none was started."""
    found: list[int] = []

    def known() -> bool:
        if path.exists() and (text := path.read_text()):
            found.append(int(text))
        gone = not Path(f"/proc/{daemon}").exists() or "\nState:\tZ" in _status(daemon)
        return bool(found) or gone

    with suppress(TimeoutError):
        wait_until(known, HELD, "a worker")
    return found[0] if found else None


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""


def all_points(course: Course) -> Iterator[Point]:
    for scene, _ in SCENES.values():
        yield from course.points(scene)
