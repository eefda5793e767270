"""A night in one of the prepared states, in which a test acts: its daemons, its files, its answers.

Nothing is begun by a special command: time passes, and every daemon is run.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults import checker
from tests.faults.course import Course
from tests.faults.scenes import Copy, Place, Step

DATE = "2026-03-14"  # the simulated camera's
ROUND = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
    ("center", "verify"), ("center", "archive"), ("center", "verify"), ("dome", "transfer"),
)  # fmt: skip
# A reading is history and nobody can change it; but days can go by.
DAYS_GO_BY = """SET session_replication_role = replica; UPDATE verification SET
 began = began - interval '80 days', ended = ended - interval '80 days'"""
TRIED_AGAIN = (
    "UPDATE job SET due = now() WHERE state = 'waiting'",
    "UPDATE deletion_copy SET changed = changed - interval '1 day' WHERE stage = 'kept'",
    "SET session_replication_role = replica; UPDATE verification SET"
    " began = began - interval '1 hour', ended = ended - interval '1 hour'"
    " WHERE outcome = 'unreadable'",
)


class Night:
    """One copy of two sites, at one moment of a night's travel."""

    def __init__(self, course: Course, place: Place) -> None:
        self.course, self.place = course, place
        self.ask = place.ask

    # --- what happens

    def run(self, *daemons: tuple[str, str]) -> None:
        """Each of these (site, daemon) once, to the end of what it finds to do."""
        for site, daemon in daemons:
            self.course.scenery.run(self.place, site, daemon)

    def goes_on(self, rounds: int = 1) -> None:
        """Every daemon that carries files runs once more; what only had to wait has waited."""
        for _ in range(rounds):
            for statement in TRIED_AGAIN:
                self.ask(statement)
            self.run(*ROUND)

    def days_go_by(self) -> None:
        """So many that what was read well is due to be read again."""
        self.ask(DAYS_GO_BY)

    def type(self, site: str, *words: str) -> tuple[int | None, str]:
        """A person types ``nf``: its exit status, and what it said, on one line."""
        config = str(self.place.sites.config(site))
        out = self.place.folder / "typed"
        out.unlink(missing_ok=True)
        status = self.course.scenery.stage.run(["nf", "--config", config, *words], out)
        return status, " ".join(out.read_text().split())

    # --- what is there

    def at(self, location: str) -> Path:
        return self.place.sites.path(location)

    def package(self, location: str) -> Path:
        """The first package there, by its name."""
        return self.packages(location)[0]

    def packages(self, location: str) -> list[Path]:
        found = self.at(location).rglob("*.tar")
        return sorted(p for p in found if ".nightferry" not in p.parts)

    def states(self, location: str) -> list[str]:
        """The states of the copies there, sorted."""
        rows = self.ask(
            "SELECT state::text FROM physical_copy WHERE location = %s ORDER BY 1", location
        )
        return [str(r[0]) for r in rows]

    def one(self, text: str, *values: object) -> tuple[object, ...]:
        (row,) = self.ask(text, *values)
        return row

    def answer(self) -> tuple[int | None, str]:
        """Of ``nf night``: 0 and YES, 1 and NO, 2 and CANNOT TELL; with every reason."""
        return self.type("center", "night", DATE)

    def sums(self, locations: Sequence[str] = tuple(checker.ROOTS)) -> set[str]:
        """The SHA-256 of all that a reader could take for good: nothing that was put aside."""
        return {
            checker.sum_of(path)
            for location in locations
            for path in self.at(location).rglob("*")
            if path.is_file() and path.relative_to(self.at(location)).parts[0] not in checker.OURS
        }


@contextmanager
def night(course: Course, state: Step) -> Iterator[Night]:
    """A copy of ``state``, gone at the end."""
    with Copy(course.scenery, course.scenery.state(state)) as place:
        yield Night(course, place)


def rot(path: Path, at: int | None = None) -> str:
    """One bit of one byte is another one, and no time tells of it; the SHA-256 that it has now.

    ``at``: which byte; in the middle if it is left out.
    """
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2 if at is None else at)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return checker.sum_of(path)


def rot_at_source(night: Night, name: str) -> str:
    """The same, of a registered file. On a disk that rots the time of its change stays too, and no
    program can set that: so the ledger takes it for the file that it saw."""
    path = night.at("dome-source") / name
    digest = rot(path)
    now = path.stat()
    seen = "UPDATE raw_data_file SET ctime_ns = %s, inode = %s WHERE path = %s"
    night.ask(seen, now.st_ctime_ns, now.st_ino, name)
    return digest
