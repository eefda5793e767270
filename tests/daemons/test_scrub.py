"""Archived copies are read again in time, slowly, and out of the way of what is urgent."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from nightferry.db import Row
from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import Ground
from tests.typed import Nf

pytestmark = pytest.mark.slow  # long, and the same on every Python


def grow_old(site: Ground, days: float, location: str = "%") -> None:
    """As if every copy there had been read well only so long ago."""
    site.ask("ALTER TABLE verification DISABLE TRIGGER verification_is_history")
    age = timedelta(days=days)
    site.ask(
        "UPDATE verification SET began = began - %s::interval, ended = ended - %s::interval"
        " WHERE copy IN (SELECT id FROM physical_copy WHERE location LIKE %s)",
        age, age, location,
    )  # fmt: skip
    site.ask("ALTER TABLE verification ENABLE TRIGGER verification_is_history")


def settings(site: Ground, **verify: Any) -> None:
    path = site.sites.config("center")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"verify": verify}))


@pytest.fixture
def nf(two_sites: Ground, database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def readings(site: Ground, location: str) -> int:
    count: int = site.one(
        "SELECT count(*) FROM verification v JOIN physical_copy c ON c.id = v.copy"
        " WHERE c.location = %s", location,
    )  # fmt: skip
    return count


def test_what_was_read_long_ago_is_read_again_by_itself_and_nothing_else(
    two_sites: Ground,
) -> None:
    two_sites.frames(2)
    two_sites.travel()
    before = readings(two_sites, "archive-a"), readings(two_sites, "archive-b")
    two_sites.once("center", "verify")
    assert (readings(two_sites, "archive-a"), readings(two_sites, "archive-b")) == before
    grow_old(two_sites, 0.85 * 90, "archive-a")
    two_sites.once("center", "verify")
    assert readings(two_sites, "archive-a") == before[0] + 1
    assert readings(two_sites, "archive-b") == before[1]


def test_reading_again_keeps_its_byte_rate(two_sites: Ground) -> None:
    two_sites.put("big.dat", os.urandom(8_000_000))
    two_sites.travel()
    settings(two_sites, scrub_rate="4 MB")
    grow_old(two_sites, 80, "archive-a")
    two_sites.once("center", "verify")
    seconds, size = two_sites.ask(
        "SELECT extract(epoch FROM v.ended - v.began)::float8, v.size FROM verification v"
        " JOIN physical_copy c ON c.id = v.copy AND c.location = 'archive-a'"
        " ORDER BY v.ended DESC LIMIT 1"
    )[0]
    assert seconds == pytest.approx(size / 4_000_000, rel=0.1)


def test_reading_again_gives_way_to_what_arrives(two_sites: Ground) -> None:
    two_sites.put("big.dat", os.urandom(3_000_000))
    two_sites.travel()
    settings(two_sites, scrub_rate="10 kB")  # five minutes for it
    grow_old(two_sites, 80, "archive-a")
    with Running(two_sites.sites, log=os.open(os.devnull, os.O_WRONLY)) as daemons:
        daemons.start({"center": ("verify",)})
        wait_until(lambda: old_job(two_sites, "running"), what="the old copy's reading")
        two_sites.frames(1)
        for daemon in ("ingest", "package", "verify", "transfer"):
            two_sites.once("dome", daemon)
        both = ["present"] * 2
        wait_until(lambda: two_sites.copies("center-buffer") == both, what="the transfer")
        two_sites.once("center", "archive")
        wait_until(lambda: two_sites.copies("archive-a") == both, what="the new copy")
    assert old_job(two_sites, "ready"), "given back"
    assert old_job(two_sites, "ready")[0].attempts == 0, "and its attempt with it"


def old_job(site: Ground, state: str) -> list[Row]:
    return site.ask(
        "SELECT attempts FROM job WHERE kind = 'verify' AND priority = 900 AND state::text = %s",
        state,
    )


def test_the_pace_that_is_needed_is_worked_out_from_what_is_due(two_sites: Ground) -> None:
    two_sites.put("big.dat", os.urandom(1_000_000))
    two_sites.travel()
    assert two_sites.ask("SELECT * FROM scrub_needs()") == []
    grow_old(two_sites, 0.85 * 90, "archive-a")
    (row,) = two_sites.ask("SELECT * FROM scrub_needs()")
    size = two_sites.one("SELECT max(size) FROM physical_copy WHERE package IS NOT NULL")
    assert (row.location, row.due, row.due_bytes) == ("archive-a", 1, size)
    assert row.bytes_per_second == pytest.approx(size / (0.05 * 90 * 86400), rel=0.01)


def test_nf_scrub_says_how_much_is_read_and_what_is_not(two_sites: Ground, nf: Nf) -> None:
    assert nf("scrub").code == 2
    two_sites.frames(2)
    two_sites.travel()
    answer = nf("scrub")
    assert answer.code == 0
    assert answer.last.startswith("YES: all 2 copies were read well within 90 days")
    grow_old(two_sites, 100, "archive-b")
    answer = nf("scrub")
    assert answer.code == 1
    assert answer.last == "NO: 1 copy was not read within 90 days."
    a, b = nf.json("scrub")["locations"]
    assert (a["read"], b["read"], b["due"]) == (1, 0, 1)
    two_sites.once("center", "verify")
    assert nf("scrub").code == 0


def test_nf_scrub_says_what_is_in_doubt_until_it_is_mended(two_sites: Ground, nf: Nf) -> None:
    two_sites.frames(1)
    two_sites.travel()
    (tar,) = two_sites.sites.path("archive-a").rglob("*.tar")
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    grow_old(two_sites, 80, "archive-a")
    two_sites.once("center", "verify")
    answer = nf("scrub")
    assert answer.code == 1
    assert "1 corrupt" in answer.words
    two_sites.once("center", "archive")
    two_sites.once("center", "verify")
    assert nf("scrub").code == 0
