"""The ledger is the truth and jobs follow from it: with every job lost, at any moment, all work is
found again, and so is what a new archive, a lost copy or a lost disk needs; what a person or a spent
job has blocked stays blocked.
"""

import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import yaml
from nightferry.testing.sites import wait_until

from tests.faults import checker, scenes
from tests.faults.course import Course
from tests.faults.night import Night, night
from tests.faults.scenes import Step

pytestmark = pytest.mark.slow
ARCHIVES = ("archive-a", "archive-b")
DELETION_IS_ENABLED = (
    "UPDATE data_location SET keep = '0 s', reap_enabled = true, trash_grace = '0 s'"
    " WHERE type IN ('SOURCE', 'BUFFER')"
)
EVENTS = "SELECT count(*) FROM event"
ALL_GONE = """SELECT EXISTS (SELECT FROM deletion) AND NOT EXISTS (
 SELECT FROM deletion WHERE closed IS NULL) AND NOT EXISTS (SELECT FROM physical_copy c
 JOIN data_location l ON l.name = c.location AND l.type IN ('SOURCE', 'BUFFER')
 WHERE c.state <> 'deleted')"""
TRAVEL = (
    ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
    ("center", "verify"), ("center", "archive"), ("center", "verify"), ("dome", "transfer"),
    ("dome", "reap"), ("center", "verify"), ("dome", "reap"), ("center", "reap"),
)  # fmt: skip
ALWAYS = {"dome": ("ingest", "package", "verify", "transfer", "reap"), "center": ("archive", "verify", "reap")}  # fmt: skip


def is_kept_and_gone(here: Night) -> None:
    """The night is safe, all that could go went, and the checker agrees."""
    status, told = here.answer()
    assert status == 0, told
    frames = here.course.scenery.sums
    assert not set(frames.values()) & here.sums(("dome-source",))
    assert not here.packages("dome-buffer") + here.packages("center-buffer")
    assert not here.ask("SELECT FROM blocked")
    assert not checker.at_any_moment(here.place.folder, here.place.dsn, frames)
    assert not checker.at_the_end(here.place.folder, here.place.dsn)


def test_with_no_job_left_before_it_each_daemon_finds_its_work_by_itself(course: Course) -> None:
    with night(course, scenes.FRESH) as here:
        here.ask(DELETION_IS_ENABLED)
        for site, daemon in TRAVEL:
            here.ask("TRUNCATE job")
            here.run((site, daemon))
        is_kept_and_gone(here)


def live_through(here: Night, chance: random.Random, losses: int) -> int:
    """All daemons live, from the first frame to the last deletion, and lose their jobs up to so
    often, whenever the history has reached a length; how often they did."""
    here.ask(DELETION_IS_ENABLED)
    stage, place = here.course.scenery.stage, here.place
    for site in ALWAYS:
        calm_down(place.sites.config(site))
    begun = int(str(here.one(EVENTS)[0]))
    moments = sorted(chance.sample(range(5, 100), losses))
    lost = 0
    living = [
        stage.start([daemon, "--config", str(place.sites.config(site))], place.log)
        for site, daemons in ALWAYS.items()
        for daemon in daemons
    ]
    try:
        for moment in moments:
            wait_until(partial(reached, here, begun + moment), 120, f"event {moment}")
            here.ask("TRUNCATE job")
            lost += not here.one(ALL_GONE)[0]
        wait_until(lambda: here.one(ALL_GONE)[0], 120, "the last deletion")
    finally:
        for pid in living:
            os.kill(pid, signal.SIGTERM)
        ended = [stage.wait(pid, 30) for pid in living]
    assert ended == [0] * len(living), place.log.read_text()
    return lost


def calm_down(config: Path) -> None:
    """Eight daemons that look ten times a second leave two cores no time to work."""
    host = yaml.safe_load(config.read_text())
    host["timing"] |= {"tick": "0.5 s", "wanted": "0.5 s", "poll": "0.3 s", "probe": "2 s"}
    config.write_text(yaml.safe_dump(host))


def reached(here: Night, events: int) -> bool:
    return int(str(here.one(EVENTS)[0])) >= events or bool(here.one(ALL_GONE)[0])


def test_jobs_that_are_lost_at_any_moment_lose_nothing_while_all_daemons_live(
    course: Course,
) -> None:
    with night(course, scenes.FRESH) as here:
        assert live_through(here, random.Random("jobs lost"), 8) >= 4
        is_kept_and_gone(here)


@pytest.mark.parametrize("state", [scenes.ARCHIVED, scenes.GONE], ids=["buffers", "no buffers"])
def test_an_archive_that_is_added_after_the_fact_gets_all_that_the_others_have(
    course: Course, state: Step
) -> None:
    with night(course, state) as here:
        etc, new = here.place.folder / "etc", here.at("archive-c")
        observatory = yaml.safe_load((etc / "observatory.yaml").read_text())
        other = observatory["locations"]["archive-b"]
        observatory["locations"]["archive-c"] = {**other, "failure_domain": "room-c"}
        (etc / "observatory.yaml").write_text(yaml.safe_dump(observatory))
        center = yaml.safe_load((etc / "center.yaml").read_text())
        center["locations"]["archive-c"] = str(new)
        (etc / "center.yaml").write_text(yaml.safe_dump(center))
        new.mkdir()
        assert here.type("center", "config", "apply", str(etc / "observatory.yaml"))[0] == 0
        assert here.type("center", "locations", "init", "archive-c")[0] == 0
        here.run(("center", "archive"), ("center", "verify"))
        assert here.sums(("archive-c",)) == here.sums(("archive-a",))
        assert set(here.states("archive-c")) == {"present"}


def test_a_copy_that_is_lost_is_missed_and_brought_again(course: Course) -> None:
    with night(course, scenes.GONE) as here:
        before = here.sums(ARCHIVES)
        here.package("archive-b").unlink()
        here.days_go_by()
        here.ask("TRUNCATE job")
        here.run(("center", "verify"))
        status, told = here.answer()
        assert (status, "archive-b: the copy is missing" in told) == (1, True), told
        here.run(("center", "archive"), ("center", "verify"))
        assert here.sums(ARCHIVES) == before
        assert here.answer()[0] == 0


def test_one_of_two_archives_that_is_lost_whole_is_filled_again_from_the_other(
    course: Course,
) -> None:
    with night(course, scenes.GONE) as here:
        before = here.sums(("archive-b",))
        for below in here.at("archive-a").iterdir():
            if below.name != ".nightferry-location":
                shutil.rmtree(below)
        here.ask("TRUNCATE job")
        here.days_go_by()
        here.run(("center", "verify"))
        assert here.answer()[0] == 1
        here.ask("TRUNCATE job")
        here.run(("center", "archive"), ("center", "verify"))
        assert here.sums(("archive-a",)) == before
        assert here.answer()[0] == 0


WORK = {
    "package": (scenes.PLANNED, "dome"),
    "transfer": (scenes.BUNDLED, "dome"),
    "archive": (scenes.AT_CENTER, "center"),
    "verify": (scenes.IN_ARCHIVES, "center"),
    "reap": (scenes.TRASHED, "dome"),
}


@pytest.mark.parametrize("kind", WORK)
def test_what_was_blocked_stays_blocked_when_all_jobs_are_lost_and_goes_on_when_it_is_released(
    course: Course, kind: str
) -> None:
    state, site = WORK[kind]
    with night(course, state) as here:
        here.ask("TRUNCATE job")
        database = here.place.sites.database
        wanted = database.run(lambda tx: tx.run(f"{kind}.wanted"))
        database.close()
        assert wanted
        for row in wanted:
            block = "INSERT INTO blocked (kind, subject, reason) VALUES (%s, %s, 'looked at')"
            here.ask(block, kind, row.subject)
        before = ledger(here)
        for _ in range(2):
            here.run((site, kind))
            here.ask("TRUNCATE job")
        assert ledger(here) == before
        assert here.type(site, "jobs", "release", "--reason", "looked at")[0] == 0
        here.run((site, kind))
        assert ledger(here) != before
        assert not here.ask("SELECT FROM blocked")


def ledger(here: Night) -> dict[str, str]:
    """All that the ledger holds, but the jobs and the blocks."""
    found = checker.ledger(here.place.dsn)
    return {k: v for k, v in found.items() if not k.startswith(("jobs ", "blocked "))}


NIGHTS = 8


@pytest.mark.whole
def test_jobs_that_are_lost_often_in_many_nights_lose_nothing(course: Course) -> None:
    chance = random.Random("many nights")
    for _ in range(NIGHTS):
        with night(course, scenes.FRESH) as here:
            live_through(here, chance, chance.randrange(1, 30))
            is_kept_and_gone(here)
