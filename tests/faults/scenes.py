"""The states of two small sites that faults are tried in, each prepared once and copied for a fault.

A scene is a moment of a night's travel and the one process that acts next. It is prepared by real
daemons, as a folder and a template database; a fault gets a copy of both.

Over 300 lines: how each state follows from the one before is one table.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from nightferry.catalogs import Found
from nightferry.catalogs.loading import store
from nightferry.catalogs.sky import Coverage
from nightferry.testing import camera
from nightferry.testing.sites import Sites
from psycopg.sql import SQL, Identifier

from tests.faults.stage import Stage
from tests.unit.photometry_files import SKY, table, written

FRAMES = 5  # of 140 kB: a package is written in three pieces
SETTLE = {
    "quiet": "0.05 s", "looks": 2, "looks_apart": "0.05 s", "sweep_today": "0.1 s",
    "sweep_all": "0.1 s", "hints": "none",
}  # fmt: skip
# A lease that no fault outlives: where one has to end, a test says so.
TIMING = {
    "lease": "20 s", "tick": "0.1 s", "wanted": "0.3 s", "poll": "0.05 s", "probe": "0.2 s",
    "put_off": "0.2 s", "stall": "20 s",
}  # fmt: skip
# Every daemon that carries frames, in the order in which they travel.
TRAVEL = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
    ("center", "verify"), ("center", "archive"), ("center", "verify"), ("dome", "transfer"),
    ("dome", "reap"), ("center", "reap"),
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """One copy of two sites: a folder and a database. Everything of a fault happens in one.

    ``session``: with its database, open while a copy for a fault is there: to begin one costs more
    than what is asked.
    """

    folder: Path
    dsn: str
    session: psycopg.Connection | None = None

    @property
    def database(self) -> str | psycopg.Connection:
        return self.session or self.dsn

    @property
    def sites(self) -> Sites:
        return Sites(
            self.folder, self.dsn, timing=TIMING, settle=SETTLE, group_quiet="0 s", keep=None
        )

    def argv(self, site: str, daemon: str, *options: str) -> list[str]:
        return [daemon, "--config", str(self.sites.config(site)), "--once", *options]

    def ask(self, text: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def log(self) -> Path:
        return self.folder / "log"


@dataclass(frozen=True)
class Scene:
    """``name``, what acts, at which site, and which place's worker is traced ("" = it has none).

    ``like``: a scene that is nearly the same. The points that it has too are tried there, and here
    those alone that name, move, remove or make durable.
    """

    name: str
    site: str
    argv: tuple[str, ...]
    worker: str = ""
    ends: str = "archived"  # how it ends when nothing goes wrong: archived, gone, held, adopted, staged, calibrated
    like: str = ""

    def command(self, place: Place) -> list[str]:
        program, *options = self.argv
        if program == "nf":
            config = str(place.sites.config(self.site))
            return ["nf", "--config", config, *options]
        return place.argv(self.site, program, *options)


class Scenery:
    """All scenes on one server, below one folder; each is prepared when it is first asked for."""

    def __init__(
        self,
        server: str,
        template: str,
        folder: Path,
        stage: Stage,
        made: dict[str, Place] | None = None,
    ) -> None:
        """``made``: states that another has prepared on the same server."""
        self.server, self.template, self.folder, self.stage = server, template, folder, stage
        self.frames = dict(_frames())
        self.sums = {name: sha256(content).hexdigest() for name, content in self.frames.items()}
        self.made: dict[str, Place] = {} if made is None else made
        self._count = 0

    def copy(self, scene: Scene) -> "Copy":
        return Copy(self, self.state(STATES[scene.name]))

    def state(self, step: "Step") -> Place:
        """The state after ``step``, prepared from the state before it."""
        if step.name not in self.made:
            name = f"scene_{step.name.replace(' ', '_')}"
            if step.after is None:
                place = self.new(name, self.template, None)
                place.sites.make()
                for frame, content in self.frames.items():
                    path = place.sites.path("dome-source") / frame
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)
            else:
                place = self.clone(name, self.state(step.after))
            step.make(self, place)
            self.made[step.name] = place
        return self.made[step.name]

    def clone(self, name: str, state: Place) -> Place:
        place = self.new(name, urlsplit(state.dsn).path[1:], state.folder)
        for config in (place.folder / "etc").iterdir():
            text = config.read_text().replace(state.dsn, place.dsn)
            config.write_text(text.replace(f"{state.folder}/", f"{place.folder}/"))
        return place

    def new(self, name: str, template: str, folder: Path | None) -> Place:
        self._count += 1
        database = f"nightferry_{self.folder.name.lower()}_{self._count}_{name}"[:63]
        database = database.replace("-", "_")
        here = self.folder / f"{self._count}-{name}"
        if folder is None:
            here.mkdir()
        else:
            shutil.copytree(folder, here, symlinks=True)
        create = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(create.format(Identifier(database), Identifier(template)))
        place = Place(here, urlunsplit(urlsplit(self.server)._replace(path=f"/{database}")))
        place.ask("SELECT trust_incarnation('a copy for a fault')")
        return place

    def drop(self, place: Place) -> None:
        shutil.rmtree(place.folder)
        drop = SQL("DROP DATABASE {} WITH (FORCE)")
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(drop.format(Identifier(urlsplit(place.dsn).path[1:])))

    def run(self, place: Place, site: str, daemon: str) -> None:
        status = self.stage.run(place.argv(site, daemon), place.log)
        if status:
            raise RuntimeError(f"{daemon} ended with {status}:\n{place.log.read_text()}")


class Copy:
    """A context manager: a state's copy, gone at the end."""

    def __init__(self, scenery: Scenery, state: Place) -> None:
        self._scenery, self._state = scenery, state

    def __enter__(self) -> Place:
        place = self._scenery.clone("fault", self._state)
        session = psycopg.connect(place.dsn, autocommit=True, prepare_threshold=0)
        self.place = replace(place, session=session)
        return self.place

    def __exit__(self, *_: object) -> None:
        assert self.place.session is not None
        self.place.session.close()
        self._scenery.drop(self.place)


def _frames() -> Iterator[tuple[str, bytes]]:
    for number, (name, content) in enumerate(camera.frames(count=FRAMES)):
        yield (f"more/{name}" if number % 2 else name), content


# --- how each state is reached --------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A state: what is done to reach it from the one before."""

    name: str
    after: "Step | None"
    make: Callable[[Scenery, Place], None]


def _nothing(scenery: Scenery, place: Place) -> None:
    """The state is as it was copied."""


def _runs(*daemons: tuple[str, str]) -> Callable[[Scenery, Place], None]:
    def make(scenery: Scenery, place: Place) -> None:
        for site, daemon in daemons:
            scenery.run(place, site, daemon)

    return make


def _ticks(daemon: str) -> Callable[[Scenery, Place], None]:
    """Only the daemon's own short work: what it plans is then the same in every copy."""

    def make(scenery: Scenery, place: Place) -> None:
        from importlib import import_module

        module = import_module(f"nightferryd.{daemon}")
        database = place.sites.database
        try:
            database.run(lambda tx: list(module.tick(tx, module.Settings())))
        finally:
            database.close()

    return make


def _asks(*statements: str) -> Callable[[Scenery, Place], None]:
    def make(scenery: Scenery, place: Place) -> None:
        for statement in statements:
            place.ask(statement)

    return make


def _leaves_garbage(scenery: Scenery, place: Place) -> None:
    """Temporary files that no row and no work means."""
    for name in ("archive-a", "center-buffer"):
        for number in range(3):
            left = f".left.tar.01234567-89ab-cdef-0123-{number:012}.part"
            below = place.sites.path(name) / "left"
            below.mkdir(exist_ok=True)
            (below / left).write_bytes(b"half of a package")


def _has_an_old_archive(scenery: Scenery, place: Place) -> None:
    """Frames that lay in an archive before Nightferry came."""
    old = place.sites.path("archive-a") / "old" / "1998"
    old.mkdir(parents=True)
    for name, content in camera.frames(seed=7, count=3):
        (old / name).write_bytes(content)


def _rots(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _rots_on_its_way(scenery: Scenery, place: Place) -> None:
    """A package that arrives at an archive is not what was sent."""
    _rots(min(place.sites.path("archive-a").rglob(".*.tar.*.part")))


def _lost_a_copy_to_rot(scenery: Scenery, place: Place) -> None:
    """One package of an archive has rotted and verify has said so; good bytes wait to be read."""
    _rots(min(place.sites.path("archive-a").rglob("*.tar")))
    place.ask("SET session_replication_role = replica; UPDATE verification v SET"
              " began = began - interval '80 days', ended = ended - interval '80 days'"
              " FROM physical_copy c WHERE c.id = v.copy AND c.location = 'archive-a'")  # fmt: skip
    for daemon in ("verify", "archive"):
        scenery.run(place, "center", daemon)


def _asks_to_work(scenery: Scenery, place: Place) -> None:
    """The data centre has a place to work, and somebody wants the night there."""
    replace(place.sites, work={}).make()
    words = ["stage", "add", "--night", "2026-03-14", "--override", "a test"]
    argv = ["nf", "--config", str(place.sites.config("center")), *words]
    if scenery.stage.run(argv, place.log):
        raise RuntimeError(place.log.read_text())


def _sees_stars(scenery: Scenery, place: Place) -> None:
    """The dome's instrument measures stars too. Its frames show none, and were looked at."""
    sites = replace(place.sites, source={"content": "photometry"}).make()
    found = Found(SKY.stars, Coverage.whole_sky())
    database = sites.database
    try:
        database.run(lambda tx: store(tx, SKY.definition, found, "a simulated sky"))
    finally:
        database.close()
    place.ask("INSERT INTO target (name, ra, dec) VALUES ('a star', %s, %s)",
              float(SKY.stars.ra[0]), float(SKY.stars.dec[0]))  # fmt: skip
    scenery.run(place, "dome", "calibrate")
    (sites.path("dome-source") / "stars.ecsv").write_bytes(written(table(), "ecsv"))
    for site, daemon in TRAVEL:
        scenery.run(place, site, daemon)


def _has_no_marker(scenery: Scenery, place: Place) -> None:
    """A new disk for a location that the ledger knows, and that nobody has marked yet."""
    (place.sites.path("archive-b") / ".nightferry-location").unlink()
    place.ask("UPDATE data_location SET marker = NULL WHERE name = 'archive-b'")


FRESH = Step("fresh", None, _nothing)
INGESTED = Step("ingested", FRESH, _runs(("dome", "ingest")))
PLANNED = Step("planned", INGESTED, _ticks("package"))
PACKED = Step("packed", PLANNED, _runs(("dome", "package")))
AT_BUFFER = Step("at buffer", PACKED, _runs(("dome", "verify")))
BUNDLED = Step("bundled", AT_BUFFER, _ticks("transfer"))
ACROSS = Step("across", BUNDLED, _runs(("dome", "transfer")))
AT_CENTER = Step("at center", ACROSS, _runs(("center", "verify")))
IN_ARCHIVES = Step("in archives", AT_CENTER, _runs(("center", "archive")))
ARCHIVED = Step("archived", IN_ARCHIVES, _runs(("center", "verify"), ("dome", "transfer")))
OLD_READINGS = Step("read long ago", ARCHIVED, _asks(
    # A reading is history and nobody can change it; but eighty days can go by.
    "SET session_replication_role = replica; UPDATE verification SET"
    " began = began - interval '80 days', ended = ended - interval '80 days'",
))  # fmt: skip
BAD_ARRIVAL = Step("bad arrival", IN_ARCHIVES, _rots_on_its_way)
BROUGHT_AGAIN = Step("brought again", ARCHIVED, _lost_a_copy_to_rot)
ASKED_FOR = Step("asked for", ARCHIVED, _asks_to_work)
MEASURED = Step("measured", ARCHIVED, _sees_stars)
GARBAGE = Step("garbage", ARCHIVED, _leaves_garbage)
OLD_ARCHIVE = Step("old archive", ARCHIVED, _has_an_old_archive)
UNMARKED = Step("unmarked", FRESH, _has_no_marker)
LET_GO = Step("let go", ARCHIVED, _asks(
    "UPDATE data_location SET keep = '0 s', reap_enabled = true, trash_grace = '1 hour'"
    " WHERE type IN ('SOURCE', 'BUFFER')"))  # fmt: skip
NOMINATED = Step("nominated", LET_GO, _ticks("reap"))
PROVEN = Step("proven", NOMINATED, _runs(("center", "verify")))
TRASHED_HERE = Step("trashed here", PROVEN, _runs(("dome", "reap"), ("center", "reap")))
TRASHED = Step("trashed", TRASHED_HERE, _asks(
    "UPDATE data_location SET trash_grace = '0 s'"))  # fmt: skip
GONE = Step("gone", TRASHED, _runs(("dome", "reap"), ("center", "reap")))
HELD = Step("held", TRASHED, _asks(
    "INSERT INTO hold (night, reason, placed_by) SELECT DISTINCT night, 'the PI asked', 'a person'"
    " FROM raw_data_package"))  # fmt: skip

SCENES: Mapping[str, tuple[Scene, Step]] = {
    scene.name: (scene, step)
    for scene, step in (
        (Scene("ingest", "dome", ("ingest",), "dome-source"), FRESH),
        (Scene("package", "dome", ("package",), "dome-source"), PLANNED),
        (Scene("transfer", "dome", ("transfer",), "dome-buffer"), BUNDLED),
        (Scene("archive", "center", ("archive",), "archive-a"), AT_CENTER),
        (Scene("verify what arrives", "center", ("verify",), "archive-a"), IN_ARCHIVES),
        (Scene("verify by scrubbing", "center", ("verify",), "archive-a"), OLD_READINGS),
        (Scene("verify for a deletion", "center", ("verify",), "archive-a", "gone"), NOMINATED),
        (Scene("verify what replaces a corrupt copy", "center", ("verify",), "archive-a",
               like="verify what arrives"), BROUGHT_AGAIN),
        (Scene("stage", "center", ("stage",), "center-work", "staged"), ASKED_FOR),
        (Scene("calibrate", "dome", ("calibrate",), "dome-source", "calibrated"), MEASURED),
        (Scene("reap files to the trash", "dome", ("reap",), "dome-source", "gone"), PROVEN),
        (Scene("reap packages to the trash", "center", ("reap",), "center-buffer", "gone",
               like="reap files to the trash"), PROVEN),
        (Scene("reap: unlink files", "dome", ("reap",), "dome-source", "gone"), TRASHED),
        (Scene("reap: unlink packages", "center", ("reap",), "center-buffer", "gone",
               like="reap: unlink files"), TRASHED),
        (Scene("reap: put files back", "dome", ("reap",), "dome-source", "held"), HELD),
        (Scene("reap: put packages back", "center", ("reap",), "center-buffer", "held",
               like="reap: put files back"), HELD),
        (Scene("reap temporary files", "center", ("reap",), "archive-a"), GARBAGE),
        (Scene("nf locations init", "center", ("nf", "locations", "init", "archive-b")), UNMARKED),
        (Scene("nf adopt", "center", ("nf", "adopt", "archive-a"), ends="adopted"), OLD_ARCHIVE),
    )
}  # fmt: skip
# What is tried by freezing alone: a kill there is one of a scene above.
FROZEN: Mapping[str, tuple[Scene, Step]] = {
    "verify a bad arrival": (
        Scene("verify a bad arrival", "center", ("verify",), "archive-a"), BAD_ARRIVAL,
    ),
}  # fmt: skip
EVERY = {**SCENES, **FROZEN}
STATES: Mapping[str, Step] = {name: step for name, (_, step) in EVERY.items()}


@contextmanager
def scenery(server: str, template: str, folder: Path) -> Iterator[Scenery]:
    with Stage(server) as stage:
        yield Scenery(server, template, folder, stage)
