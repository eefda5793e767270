"""Families 1 and 2, whole: each point of each scene is killed and given its errors, by two processes.

The scenes are prepared and their points listed once; the processes share them and take one fault
after the other from one list. Each result is kept as it comes, so that a run that was broken off
goes on where it stood.
"""

import multiprocessing
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nightferry.embedded import Embedded
from nightferry.migrate import migrate

from tests.database import new_database, open_directory
from tests.faults import results
from tests.faults.course import Course, Ran
from tests.faults.faults import KILL, errors, no_error
from tests.faults.scenes import SCENES, Place, Scenery, scenery
from tests.faults.stage import Stage
from tests.faults.tracing import Point

WORKERS = 2


@dataclass(frozen=True)
class Fault:
    point: Point
    what: str

    def __str__(self) -> str:
        return f"{self.point}: {self.what}"


@dataclass(frozen=True)
class Prepared:
    """What the processes share: the states of all scenes, and their undisturbed ends."""

    server: str
    template: str
    folder: Path
    made: Mapping[str, Place]
    ends: Mapping[str, dict[str, str]]


@contextmanager
def prepared(
    points: list[Point], only: str, elsewhere: list[tuple[Point, str]] | None = None
) -> Iterator[Prepared]:
    """Prepares the scenes, and puts every point of them into ``points``; into ``elsewhere`` those
    that are tried in another scene, and in which.

    Where ``only`` begins with a scene's name, that scene alone.
    """
    every = [scene for scene, _ in SCENES.values()]
    scenes = [scene for scene in every if only.startswith(scene.name)] or every
    with (
        open_directory(memory=True) as data,
        open_directory() as folder,
        Embedded(data, durable=False) as server,
        new_database(server.dsn) as dsn,
    ):
        migrate(dsn)
        template = urlsplit(dsn).path[1:]
        with scenery(server.dsn, template, folder) as made:
            course = Course(made)
            for scene in scenes:
                points += course.points(scene)
                if elsewhere is not None:
                    elsewhere += course.tried_elsewhere(scene)
                course.end(scene)
                tell(f"{len(points)} points, so far of {scene.name}")
        yield Prepared(server.dsn, template, folder, made.made, course.ends)


def faults(points: Iterable[Point], only: str, sample: int | None) -> list[Fault]:
    """Every fault of the points whose names hold ``only``: all, or a seeded ``sample``; shuffled."""
    found = [Fault(p, what) for p in points for what in (KILL, *errors(p))]
    found = [f for f in found if only in str(f)]
    random.Random(1).shuffle(found)
    return found[:sample]


def run(todo: Sequence[Fault], prepared: Prepared, folder: Path) -> None:
    """Runs all that ``folder`` does not say went well; each result is told and kept as it comes."""
    known = {(r["point"], r["fault"]) for r in kept(folder) if r["hit"] and not r["wrong"]}
    todo = [f for f in todo if (str(f.point), f.what) not in known]
    progress = Progress(len(todo), folder)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(WORKERS, context, _begin, (prepared,))
    try:
        for future in as_completed([pool.submit(_one, fault) for fault in todo]):
            progress.add(*future.result())
    finally:
        pool.shutdown(cancel_futures=True)  # who breaks it off does not wait for the rest


def keep_those_elsewhere(points: Iterable[tuple[Point, str]], folder: Path) -> None:
    """The points that are tried in another scene, by that scene."""
    for point, where in points:
        results.keep(folder, "elsewhere", point=str(point), scene=point.scene, like=where)


def keep_those_without_errors(points: Iterable[Point], folder: Path) -> None:
    """The points at which no error can be injected, each with the reason."""
    for point in points:
        if why := no_error(point):
            kind = kind_of(point)
            results.keep(
                folder, "no error", point=str(point), kind=kind, scene=point.scene, why=why
            )


def kept(folder: Path) -> list[dict[str, Any]]:
    """What came out of each fault, the last time it was tried."""
    return results.read(folder, "fault", "point", "fault")


class Progress:
    """Tells how far it is, and each failure in full: on the screen its head, the rest in a file."""

    def __init__(self, todo: int, folder: Path) -> None:
        self.todo, self.folder = todo, folder
        self.began, self.told = time.monotonic(), 0.0
        self.counts: Counter[str] = Counter()

    def add(self, ran: Ran, seconds: float) -> None:
        self.counts["done"] += 1
        self.counts["wrong"] += bool(ran.wrong)
        self.counts["missed"] += not ran.hit
        results.keep(
            self.folder,
            "fault",
            scene=ran.point.scene,
            kind=kind_of(ran.point),
            point=str(ran.point),
            fault=ran.fault,
            hit=ran.hit,
            wrong=ran.wrong,
            seconds=round(seconds, 1),
        )
        if ran.wrong:
            file = self.folder / f"failed-{self.counts['wrong']:03}.txt"
            file.write_text("\n".join([f"{ran.point}: {ran.fault}", *ran.wrong, "", ran.said]))
            tell(f"FAILED {ran.point}: {ran.fault}: {ran.wrong[0]}; all of it: {file}", stays=True)
        silent = time.monotonic() - self.told
        if silent > (1 if sys.stderr.isatty() else 30) or self.counts["done"] == self.todo:
            self.tell()

    def tell(self) -> None:
        self.told = time.monotonic()
        each = (self.told - self.began) / self.counts["done"]
        left = (self.todo - self.counts["done"]) * each / 60
        c = self.counts
        tell(
            f"faults {c['done']}/{self.todo}, {c['wrong']} failed, {c['missed']} not hit,"
            f" {each:.2f} s each, {left:.0f} min to go"
        )


def kind_of(point: Point) -> str:
    """The kind of work: a daemon's, or a command of nf's."""
    program, *options = SCENES[point.scene][0].argv
    return f"nf {options[0]}" if program == "nf" else program


def tell(text: str, stays: bool = False) -> None:
    """On standard error, one line that is written over where a person looks on."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}\n" if stays else f"\r\033[K{text[:100]}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


# --- in each of the processes ---------------------------------------------------------------------

_course: Course


def _begin(prepared: Prepared) -> None:
    global _course
    folder = prepared.folder / f"by-{os.getpid()}"
    folder.mkdir()
    stage = Stage(prepared.server)
    made = Scenery(prepared.server, prepared.template, folder, stage, dict(prepared.made))
    _course = Course(made, dict(prepared.ends))


def _one(fault: Fault) -> tuple[Ran, float]:
    began = time.monotonic()
    try:
        ran = _course.run(fault.point, fault.what)
    except Exception:  # noqa: BLE001 - one that ends so is a failure of its own, told as all are
        ran = Ran(fault.point, fault.what, True, [f"broke: {traceback.format_exc()}"])
    return ran, time.monotonic() - began
