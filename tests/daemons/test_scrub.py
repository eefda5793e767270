"""Archived copies are read again in time, slowly, and out of the way of what is urgent."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from nightferry.courtesy import IDLE, place_in_queue
from nightferry.db import Row
from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import Ground, frame, ground
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


def test_every_archived_copy_is_read_within_scrub_days_last_in_the_disks_queue(
    database: str, tmp_path: Path
) -> None:
    """In days of a second; the copies come due one after the other."""
    site = ground(tmp_path, database, keep=None)
    nf = Nf(database, tmp_path)
    for number in range(1, 9):
        site.put(f"f{number}.fits", frame(number, DATE_BEG=f"2026-04-{number:02d}T02:00:00.000"))
    site.travel()
    before = readings(site, "archive-a") + readings(site, "archive-b")
    assert before == 16
    settings(site, scrub_rate="20 kB")  # a copy takes half a second
    site.ask("UPDATE policy SET scrub_days = %s", SCRUB / 86400)
    for number, row in enumerate(site.ask("SELECT DISTINCT copy FROM verification")):
        grow_old_copy(site, row.copy, SCRUB * (0.6 + 0.2 * (number % 16) / 16))
    places: set[int | None] = set()
    with Running(site.sites, log=os.open(os.devnull, os.O_WRONLY)) as daemons:
        daemons.start({"center": ("verify",)})
        pid = daemons.processes["center", "verify"].pid

        def all_read_again() -> bool:
            places.update(place_in_queue(thread) for thread in threads_below(pid))
            oldest = site.one(
                "SELECT extract(epoch FROM max(now() - read_well))::float8 FROM kept_copy"
                " WHERE type = 'LONG_TERM_ARCHIVE'"
            )
            assert oldest < SCRUB, "a copy was not read in time"
            return readings(site, "archive-a") + readings(site, "archive-b") >= before + 16

        wait_until(all_read_again, SCRUB, "a reading of every copy")
        assert nf("scrub").code == 0
    assert IDLE in places
    jobs = site.ask(
        "SELECT DISTINCT c.id FROM verification v JOIN physical_copy c ON c.id = v.copy"
        " WHERE c.location LIKE 'archive-%%' GROUP BY c.id HAVING count(*) >= 2"
    )
    assert len(jobs) == 16, "each of them, and none twice in another's place"


SCRUB = 60.0  # seconds of scrub_days, in the test above


def grow_old_copy(site: Ground, copy: Any, seconds: float) -> None:
    site.ask("ALTER TABLE verification DISABLE TRIGGER verification_is_history")
    site.ask(
        "UPDATE verification SET began = now() - make_interval(secs => %s),"
        " ended = now() - make_interval(secs => %s) WHERE copy = %s", seconds, seconds, copy,
    )  # fmt: skip
    site.ask("ALTER TABLE verification ENABLE TRIGGER verification_is_history")


def threads_below(pid: int) -> list[int]:
    """The threads of a daemon's workers."""
    found: list[int] = []
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(t.name) for t in Path(f"/proc/{child}/task").iterdir()]
    except OSError:
        pass  # it ended meanwhile
    return found


def old_job(site: Ground, state: str) -> list[Row]:
    return site.ask(
        "SELECT attempts FROM job WHERE kind = 'verify' AND priority = 900 AND state::text = %s",
        state,
    )


def test_a_reading_that_gave_way_goes_on_where_it_ended(two_sites: Ground) -> None:
    """At a rate at which it is never read at once: it is, in pieces, and one verification tells."""
    two_sites.put("big.dat", os.urandom(12_000_000))
    two_sites.travel()
    settings(two_sites, scrub_rate="2 MB")  # six seconds for it
    grow_old(two_sites, 80, "archive-a")
    before = readings(two_sites, "archive-a")
    with Running(two_sites.sites, log=os.open(os.devnull, os.O_WRONLY)) as daemons:
        daemons.start({"center": ("verify",)})
        wait_until(
            lambda: two_sites.ask("SELECT FROM job WHERE priority = 900 AND done > 3000000"),
            what="some of the old copy's reading",
        )
        some = two_sites.one("SELECT now()")
        insert = (
            "INSERT INTO job (kind, subject, place, needs, priority)"
            " VALUES ('verify', %s, 'archive-a', 'archive-a', 20)"
        )
        two_sites.ask(insert, f"{UUID(int=1)}@archive-a")  # a copy that there is not: done at once
        wait_until(
            lambda: two_sites.ask("SELECT FROM job_done WHERE subject LIKE '0000%%'"),
            what="the urgent work",
        )
        wait_until(lambda: readings(two_sites, "archive-a") > before, what="the rest of it")
    began, ended = two_sites.ask(
        "SELECT v.began, v.ended FROM verification v JOIN physical_copy c ON c.id = v.copy"
        " WHERE c.location = 'archive-a' ORDER BY v.ended DESC LIMIT 1"
    )[0]
    assert began < some < ended
    assert ended - some < timedelta(seconds=6), "it did not begin anew"


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
