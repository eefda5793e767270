"""A disk that is unmounted, read-only, dead, hanging or another's stops nothing but itself, and no
file is taken to be gone for it; when it is back, all goes on unaided.

The instrument's disk and one of two archives are struck together, under daemons that run as processes.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nightferry.marker import MARKER_FILE, Marker
from nightferry.testing.sites import wait_until

from tests.daemons.ground import Ground, frame, ground, tree
from tests.database import new_database
from tests.faults.conftest import Figure
from tests.faults.disks import Disk, disks, why_no_fuse, why_not_mounted
from tests.faults.stage import Stage

DAEMONS = (("dome", "ingest"), ("center", "archive"), ("center", "verify"))
BEFORE = (
    ("dome", "ingest"),
    ("dome", "package"),
    ("dome", "verify"),
    ("dome", "transfer"),
    ("center", "verify"),
)
WORKERS = {"ingest": 1, "archive": 3, "verify": 3}  # one a place that it has mounted
STOPS_WITHIN = 10.0
PATIENCE = 60.0  # seconds: the machine may be busy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not_mounted()), reason=why_not_mounted() or "never"),
]
needs_fuse = pytest.mark.skipif(bool(why_no_fuse()), reason=why_no_fuse() or "never")


@dataclass
class Struck:
    """Two sites whose daemons run, and the two disks that trouble comes to."""

    site: Ground
    source: Disk
    archive: Disk
    log: Path
    pids: dict[tuple[str, str], int]
    stage: Stage

    def start(self) -> None:
        for where, daemon in DAEMONS:
            argv = [daemon, "--config", str(self.site.sites.config(where))]
            self.pids[where, daemon] = self.stage.start(argv, self.log)

    def stop(self) -> dict[tuple[str, str], tuple[int | None, float]]:
        """All are asked at once: the exit status of each, and after how many seconds it had ended."""
        for pid in self.pids.values():
            os.kill(pid, signal.SIGTERM)
        began = time.monotonic()
        ended = {}
        for name, pid in self.pids.items():
            ended[name] = (self.stage.wait(pid, 30), time.monotonic() - began)
        self.pids.clear()
        return ended

    @property
    def disks(self) -> tuple[Disk, Disk]:
        return self.source, self.archive

    def said(self) -> str:
        return self.log.read_text()

    def state(self, location: str) -> list[str]:
        """What the hosts say of a location."""
        return [r[0] for r in self.site.ask(
            "SELECT state::text || ': ' || reason FROM location_state WHERE location = %s", location)]  # fmt: skip

    def present(self, location: str) -> int:
        return self.site.copies(location).count("present")

    def is_away(self, location: str) -> bool:
        return any(said.startswith("unavailable") for said in self.state(location))

    def lose_the_archived_copies(self) -> None:
        """So that there is work at both archives, the sound one and the other."""
        self.site.ask("UPDATE physical_copy SET state = 'missing' WHERE location LIKE 'archive-%%'")

    def workers(self) -> list[str]:
        """The daemons that have more workers than places, dying ones among them."""
        found = []
        for (_, daemon), pid in self.pids.items():
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if len(children) > WORKERS[daemon]:
                found.append(f"{daemon} has {len(children)}")
        return found

    def answers(self) -> None:
        """Every daemon hears a signal, and does what it asks."""
        for where, daemon in self.pids:
            told = f"nightferry-{daemon}: read {self.site.sites.config(where)} again"
            heard = self.said().count(told)
            os.kill(self.pids[where, daemon], signal.SIGHUP)
            wait_until(lambda t=told, n=heard: self.said().count(t) > n, STOPS_WITHIN, told)  # type: ignore[misc]


@pytest.fixture(scope="module")
def stage(server: str) -> Iterator[Stage]:
    with Stage(server) as stage:
        yield stage


@pytest.fixture(scope="module")
def bound(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory, stage: Stage
) -> Iterator[Struck]:
    """The two disks are mounted by the kernel."""
    with running(server, template, tmp_path_factory.mktemp("bound"), stage, Disk.bind) as struck:
        yield struck


@pytest.fixture(scope="module")
def fused(
    server: str, template: str, tmp_path_factory: pytest.TempPathFactory, stage: Stage
) -> Iterator[Struck]:
    """The two disks are FUSE file systems."""
    with running(server, template, tmp_path_factory.mktemp("fused"), stage, Disk.fuse) as struck:
        yield struck


@contextmanager
def running(
    server: str, template: str, folder: Path, stage: Stage, mount: Callable[[Disk], None]
) -> Iterator[Struck]:
    """A night of three frames in both archives; the daemons run, and have seen every disk."""
    with (
        new_database(server, template) as database,
        disks(folder / "dome" / "source", folder / "archive-b") as (source, archive),
    ):
        mount(source)
        mount(archive)
        site = ground(folder, database, keep=None, policy={"package_size": "3 kB"})
        for path in site.sites.config("center"), site.sites.config("dome"):
            path.write_text(path.read_text().replace("stall: 60 s", "stall: 3 s"))
        for number in range(3):
            site.put(f"night/f{number}.fits", frame(number))
        for where, daemon in BEFORE:
            site.once(where, daemon)
        here = Struck(site, source, archive, folder / "log", {}, stage)
        try:
            here.start()
            for name in ("archive-a", "archive-b"):
                wait_until(lambda n=name: here.present(n) == 3, PATIENCE, name)  # type: ignore[misc]
            wait_until(lambda: "available: " in here.state("dome-source"), PATIENCE, "a sweep")
            yield here
        finally:
            for disk in here.disks:
                disk.answer()
            here.stop()
            site.db.close()


@dataclass(frozen=True)
class Trouble:
    """What happens to a disk, how it ends, and whether its files can still be read meanwhile."""

    strike: Callable[[Disk], None]
    heal: Callable[[Disk], None]
    readable: bool = False


def _again(disk: Disk) -> None:
    """The program is dead, its mount is cleared away, and it is started again."""
    disk.unmount()
    disk.fuse()


def _other(marker: Marker | None) -> Callable[[Disk], None]:
    def strike(disk: Disk) -> None:
        other = disk.folder.with_name("other")
        other.mkdir(exist_ok=True)
        (other / MARKER_FILE).unlink(missing_ok=True)
        (other / "theirs.fits").write_bytes(frame(77))
        if marker is not None:
            (other / MARKER_FILE).write_text(marker.document())
        disk.bind(other)

    return strike


TROUBLES = {
    "is lazily unmounted": ("bound", Trouble(Disk.unmount, Disk.bind)),
    "is mounted read-only": (
        "bound",
        Trouble(Disk.read_only, lambda disk: disk.read_only(False), readable=True),
    ),
    "is another's": ("bound", Trouble(_other(Marker.new("elsewhere")), Disk.unmount)),
    "has no marker": ("bound", Trouble(_other(None), Disk.unmount)),
    "is dead": ("fused", Trouble(Disk.die, _again)),
    "hangs": ("fused", Trouble(Disk.hang, Disk.answer)),
}
CASES = [
    pytest.param(world, trouble, id=name, marks=[needs_fuse] if world == "fused" else [])
    for name, (world, trouble) in TROUBLES.items()
]


@pytest.mark.parametrize(("world", "trouble"), CASES)
def test_a_disk_in_trouble_loses_nothing_stops_nothing_else_and_goes_on_when_it_is_back(
    request: pytest.FixtureRequest, figure: Figure, world: str, trouble: Trouble
) -> None:
    struck: Struck = request.getfixturevalue(world)
    site = struck.site
    frames = struck.present("dome-source")
    for disk in struck.disks:
        trouble.strike(disk)
    hanging = trouble.strike is Disk.hang
    before = [] if hanging else [_seen(disk) for disk in struck.disks]
    struck.lose_the_archived_copies()
    wait_until(lambda: struck.present("archive-a") == 3, PATIENCE, "the sound archive's copies")
    wait_until(lambda: struck.is_away("archive-b"), PATIENCE, "word of the archive in trouble")
    if not trouble.readable:
        wait_until(lambda: struck.is_away("dome-source"), PATIENCE, "word of the source in trouble")
    struck.answers()
    assert struck.workers() == [], "a second worker was started beside one that hangs"
    assert struck.present("dome-source") == frames
    assert struck.present("archive-b") == 0
    for table in ("lost_file", "quarantine", "blocked"):
        assert not site.ask(f"SELECT * FROM {table}")
    if not hanging:
        assert [_seen(disk) for disk in struck.disks] == before
    ended = struck.stop()
    if hanging:
        slowest = max(seconds for _, seconds in ended.values())
        figure("mounts: beside a disk that hangs the last daemon stopped after", f"{slowest:.1f} s")
    for (where, daemon), (status, seconds) in ended.items():
        assert status == 0, f"{daemon} at {where}: {struck.said()}"
        assert seconds < STOPS_WITHIN, f"{daemon} at {where} stopped after {seconds:.1f} s"

    for disk in struck.disks:
        trouble.heal(disk)
    site.put(f"night/f{frames}.fits", frame(frames))
    struck.start()
    wait_until(lambda: struck.present("archive-b") == 3, PATIENCE, "the other archive's copies")
    since = "a frame that came since"
    wait_until(lambda: struck.present("dome-source") == frames + 1, PATIENCE, since)


def test_a_disk_that_is_exchanged_for_its_copy_is_not_worked_on_blindly(bound: Struck) -> None:
    """Whoever had the old one open still sees what is on it, and would never see a new frame."""
    frames = bound.present("dome-source")
    for disk in bound.disks:
        disk.exchange()
    bound.lose_the_archived_copies()
    bound.site.put(f"night/f{frames}.fits", frame(frames))
    for name in ("archive-a", "archive-b"):
        wait_until(lambda n=name: bound.present(n) == 3, PATIENCE, name)  # type: ignore[misc]
    since = "a frame that came since"
    wait_until(lambda: bound.present("dome-source") == frames + 1, PATIENCE, since)
    assert not bound.site.ask("SELECT * FROM lost_file")


def _seen(disk: Disk) -> object:
    """What stands at the mount point now; of a dead disk, that it can't be told."""
    try:
        return tree(disk.mount_point)
    except OSError as error:
        return error.errno
