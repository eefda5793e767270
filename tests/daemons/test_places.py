"""Is a place there? Asked again and again, by processes that are soon over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.testing.sites import wait_until

from tests.daemons.ground import Ground, ground
from tests.daemons.test_processes import Daemon


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    site = ground(tmp_path, database, keep=None)
    yield site
    site.db.close()


def found(site: Ground, location: str) -> str:
    """What the daemons last found of it, with the moment: it is another each time."""
    rows = site.ask(
        "SELECT state || ' ' || reason || ' ' || checked FROM location_state WHERE location = %s",
        location,
    )
    return str(rows[0][0]) if rows else ""


def workers(daemon: Daemon) -> list[str]:
    pid = daemon.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline") for child in children]
    return [c.read_text() for c in commands if c.exists() and "nightferry.child" in c.read_text()]


def test_a_place_is_asked_again_and_again_and_no_worker_is_kept_for_it(
    site: Ground, tmp_path: Path
) -> None:
    with Daemon(site.sites.command("center", "archive"), tmp_path / "log") as daemon:
        for _ in range(3):
            before = found(site, "archive-a")
            wait_until(lambda b=before: found(site, "archive-a") != b, 60, "another look")
            assert found(site, "archive-a").startswith("available ")
            assert workers(daemon) == []
        assert daemon.stop() == 0


def test_a_place_that_goes_and_returns_is_told_by_who_asks_it(site: Ground, tmp_path: Path) -> None:
    place, elsewhere = site.sites.path("archive-b"), tmp_path / "elsewhere"
    with Daemon(site.sites.command("center", "archive"), tmp_path / "log") as daemon:
        wait_until(lambda: found(site, "archive-b").startswith("available "), 60, "its first word")
        place.rename(elsewhere)
        wait_until(lambda: found(site, "archive-b").startswith("unavailable "), 60, "its absence")
        elsewhere.rename(place)
        wait_until(lambda: found(site, "archive-b").startswith("available "), 60, "its return")
        assert workers(daemon) == []
        assert daemon.stop() == 0
