"""A disk that is unmounted, read-only, dead, hanging or another's stops nothing but itself, and no
file is taken to be gone for it; when it is back, all goes on unaided.

The instrument's disk and one of two archives are struck together, under daemons that run as processes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from nightferry.marker import MARKER_FILE, Marker
from nightferry.testing.sites import wait_until

from tests.daemons.ground import frame, tree
from tests.faults.disks import Disk, why_no_fuse, why_not_mounted
from tests.faults.keeping import Figure
from tests.faults.stage import Stage
from tests.faults.struck import PATIENCE, STOPS_WITHIN, Struck, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not_mounted()), reason=why_not_mounted() or "never"),
]
needs_fuse = pytest.mark.skipif(bool(why_no_fuse()), reason=why_no_fuse() or "never")


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
    request: pytest.FixtureRequest, world: str, trouble: Trouble
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
    wait_until(
        lambda: struck.workers() == [], PATIENCE, "no second worker beside one that hangs"
    )  # a place is asked by a child of its own, which is there for a moment
    assert struck.present("dome-source") == frames
    assert struck.present("archive-b") == 0
    for table in ("lost_file", "quarantine", "blocked"):
        assert not site.ask(f"SELECT * FROM {table}")
    if not hanging:
        assert [_seen(disk) for disk in struck.disks] == before
    stops_in_time(struck)

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


@needs_fuse
def test_a_daemon_stops_in_time_though_its_worker_waits_for_a_disk_that_hangs(
    fused: Struck, figure: Figure
) -> None:
    """Without the patience of others: a worker of theirs that says nothing is not ended for long."""
    fused.stop()
    fused.stalls_after("60 s")
    fused.start()
    sweep = "SELECT last_sweep_ended FROM location_state WHERE location = 'dome-source'"
    before = fused.site.one(sweep)
    wait_until(lambda: fused.site.one(sweep) > before, PATIENCE, "a sweep")
    for disk in fused.disks:
        disk.hang()
    fused.lose_the_archived_copies()
    for disk in fused.disks:
        wait_until(disk.is_waited_for, PATIENCE, "a worker that hangs")
    slowest = stops_in_time(fused)
    figure("mounts: beside a disk that hangs the last daemon stopped after", f"{slowest:.1f} s")
    for disk in fused.disks:
        disk.answer()
    fused.stalls_after("3 s")
    fused.start()
    wait_until(lambda: fused.present("archive-b") == 3, PATIENCE, "the other archive's copies")


def stops_in_time(struck: Struck) -> float:
    """All stop well within the time that systemd is promised; the seconds of the slowest."""
    ended = struck.stop()
    for (where, daemon), (status, seconds) in ended.items():
        assert status == 0, f"{daemon} at {where}: {struck.said()}"
        assert seconds < STOPS_WITHIN, f"{daemon} at {where} stopped after {seconds:.1f} s"
    return max(seconds for _, seconds in ended.values())


def _seen(disk: Disk) -> object:
    """What stands at the mount point now; of a dead disk, that it can't be told."""
    try:
        return tree(disk.mount_point)
    except OSError as error:
        return error.errno
