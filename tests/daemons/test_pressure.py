"""A place above its high mark: the oldest go, as far as the low mark, and nothing that is unproven."""

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from nightferry.stores import PosixStore, Space
from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import Ground, ground
from tests.daemons.test_scrub import grow_old

pytestmark = pytest.mark.slow  # long, and the same on every Python

SIZE = 64 * 1024 * 1024
FILE = 4 * 1024 * 1024
HIGH, LOW = 0.7, 0.4


def measured(site: Ground, used: float, location: str = "dome-source", total: int = 1000) -> None:
    """A probe of the place, now."""
    site.db.run(
        lambda tx: tx.run(
            "daemon.set_state", location=location, host="dome", reason="", state="available",
            total=total, free=round(total * (1 - used)),
        )
    )  # fmt: skip


@pytest.fixture
def full(database: str, tmp_path: Path) -> Iterator[Ground]:
    """Six packages of one file, oldest first; nothing goes by age; marks at 70 % and 40 %."""
    site = made(database, tmp_path)
    for number in range(1, 7):
        site.put(f"f{number}.dat", bytes([number]) * 1000)
    site.travel()
    site.once("dome", "transfer")
    for number in range(1, 7):
        site.ask(
            "UPDATE physical_copy SET created = now() - make_interval(days => %s)"
            " WHERE path = %s", 100 - number, f"f{number}.dat",
        )  # fmt: skip
    yield site
    site.db.close()


def made(database: str, folder: Path) -> Ground:
    return ground(
        folder, database, keep="1000 days", policy={"package_size": 1500},
        marks={"high": HIGH, "low": LOW},
    )  # fmt: skip


def nominated(site: Ground) -> list[str]:
    """The paths on their way out of the source."""
    rows = site.ask(
        "SELECT c.path FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id"
        " JOIN physical_copy c ON c.id = dc.copy WHERE d.closed IS NULL ORDER BY c.path"
    )
    return [r.path for r in rows]


def test_below_the_high_mark_nothing_is_nominated(full: Ground) -> None:
    measured(full, 0.69, total=10_000)
    full.once("dome", "reap")
    assert nominated(full) == []


def test_above_it_the_oldest_go_within_the_bytes_that_are_needed(full: Ground) -> None:
    measured(full, 0.75, total=10_000)  # 3500 bytes to the low mark: three files of 1000
    full.once("dome", "reap")
    assert nominated(full) == ["f1.dat", "f2.dat", "f3.dat"]
    full.once("dome", "reap")
    assert len(nominated(full)) == 3, "what is under way is not asked for twice"


def test_what_was_measured_long_ago_is_no_reason_to_delete(full: Ground) -> None:
    measured(full, 0.9, total=10_000)
    full.ask("UPDATE location_state SET measured = measured - interval '6 minutes'")
    full.once("dome", "reap")
    assert nominated(full) == []


def test_the_caps_of_a_run_hold_however_full_it_is(full: Ground) -> None:
    full.ask("UPDATE policy SET reap_files = 2")
    measured(full, 0.99, total=10_000)
    full.once("dome", "reap")
    assert nominated(full) == ["f1.dat", "f2.dat"]


@pytest.mark.parametrize(
    "unproven",
    [
        "UPDATE physical_copy SET state = 'corrupt' WHERE location = 'archive-b'",
        "INSERT INTO hold (night, reason) SELECT DISTINCT night, 'referee' FROM raw_data_file",
        "UPDATE data_location SET reap_enabled = false WHERE name = 'dome-source'",
        "INSERT INTO deletion_stop (reason) VALUES ('fire')",
    ],
)
def test_nothing_goes_that_the_rule_keeps_however_full_it_is(full: Ground, unproven: str) -> None:
    full.ask(unproven)
    measured(full, 0.99, total=10_000)
    full.reap()
    measured(full, 0.99, total=10_000)
    full.reap()
    assert len(list(full.source.glob("*.dat"))) == 6


def test_nothing_goes_whose_archives_were_not_read_since_however_full_it_is_and_however_long(
    full: Ground,
) -> None:
    for _ in range(2):
        measured(full, 0.99, total=10_000)
        full.once("dome", "reap")
    assert nominated(full)
    grow_old(full, 4)
    full.ask("UPDATE deletion SET nominated = nominated - interval '4 days'")
    measured(full, 0.99, total=10_000)
    full.once("dome", "reap")
    assert set(full.ask("SELECT state::text, outcome FROM deletion WHERE closed IS NOT NULL")) == {
        ("withdrawn", "0 of 2 archives were read well since it was nominated")
    }
    assert len(list(full.source.glob("*.dat"))) == 6


def test_when_there_is_room_again_meanwhile_the_rest_stays(full: Ground) -> None:
    measured(full, 0.75, total=10_000)
    full.once("dome", "reap")
    full.once("center", "verify")
    measured(full, 0.39, total=10_000)
    full.once("dome", "reap")
    assert len(list(full.source.glob("*.dat"))) == 6
    why = full.ask("SELECT DISTINCT detail FROM deletion_copy")
    assert [r.detail for r in why] == ["dome-source is 39 % full, and is emptied to 40 %"]


@pytest.mark.parametrize("grace", ["0 s", "1 day"])
def test_the_worker_asks_the_disk_itself_before_anything_goes(
    full: Ground, grace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.ask("UPDATE data_location SET trash_grace = %s::interval", grace)
    measured(full, 0.75, total=10_000)
    full.once("dome", "reap")
    full.once("center", "verify")
    if grace != "0 s":  # they wait in the trash until the disk has room
        monkeypatch.setattr(PosixStore, "space", lambda _: Space(10_000, 2_500))
        full.once("dome", "reap")
        assert len(list(full.source.glob("*.dat"))) == 3
        full.ask("UPDATE data_location SET trash_grace = '0 s'")
    monkeypatch.setattr(PosixStore, "space", lambda _: Space(10_000, 6_100))
    full.once("dome", "reap")
    assert len(list(full.source.glob("*.dat"))) == 6
    why = full.ask("SELECT DISTINCT detail FROM deletion_copy WHERE stage = 'kept'")
    assert [r.detail for r in why] == ["dome-source has room again: it is at its low mark"]


# --- a real disk ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB where the instrument writes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    place = tmp_path / "sites" / "dome" / "source"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "disk", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_two_reapers_and_a_slow_disk_never_free_more_than_asked(
    small_disk: Path, database: str, tmp_path: Path
) -> None:
    """The disk gives nothing back while we look: every file is still open when it is unlinked."""
    site = ground(
        tmp_path / "sites", database, keep="1000 days", trash_grace="0 s",
        policy={"package_size": FILE}, marks={"high": HIGH, "low": LOW},
    )  # fmt: skip
    site.ask("UPDATE data_location SET best_reading = 'cache'")
    for number in range(12):
        site.put(f"f{number:02d}.dat", bytes([number]) * FILE)
    site.travel()
    site.once("dome", "transfer")
    held = [path.open("rb") for path in small_disk.glob("*.dat")]
    disk = os.statvfs(small_disk)
    asked = (disk.f_blocks - disk.f_bavail) * disk.f_frsize - LOW * disk.f_blocks * disk.f_frsize
    enough = int(asked // FILE)
    assert 3 <= enough <= 8
    log = os.open(os.devnull, os.O_WRONLY)
    with Running(site.sites, log=log).start({"dome": ("reap",), "center": ("reap", "verify")}):
        second = site.sites.start("dome", "reap", "--name", "second", log=log)
        try:
            wait_until(lambda: site.copies("dome-source").count("deleted") == enough, 60, "room")
            since = last_probe(site)
            wait_until(lambda: probes_after(site, since) >= 3, 60, "some more looks at the disk")
        finally:
            second.terminate()
            second.wait()
    for file in held:
        file.close()
    assert site.copies("dome-source").count("deleted") == enough
    assert len(list(small_disk.glob("*.dat"))) == 12 - enough
    gone = set(range(12)) - {int(p.stem[1:]) for p in small_disk.glob("*.dat")}
    assert enough * FILE <= asked
    assert site.one("SELECT count(*) FROM deletion WHERE closed IS NULL") == 0
    assert len(gone) == enough


def last_probe(site: Ground) -> datetime:
    moment: datetime = site.one(
        "SELECT max(measured) FROM location_state WHERE location = 'dome-source'"
    )
    return moment


_seen: set[datetime] = set()


def probes_after(site: Ground, since: datetime) -> int:
    _seen.add(last_probe(site))
    return len({moment for moment in _seen if moment > since})
