"""A night goes from the instrument's disk to two archives, whatever happens to the jobs."""

import os
import threading
from pathlib import Path

import pytest
from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import ARCHIVES, Ground, ground


def test_a_small_night_ends_safe_with_each_daemon_run_once(two_sites: Ground) -> None:
    two_sites.frames(8)
    two_sites.travel()
    assert two_sites.answer() == "YES"
    for archive in ARCHIVES:
        assert set(two_sites.copies(archive)) == {"present"}
    assert len(list(two_sites.source.glob("s*.fits"))) == 8


# What a commit tells the ledger; the rest is jobs, leases, breakers and signs of life.
_TRUNCATE = """
CREATE TABLE truncated (at timestamptz NOT NULL, jobs bigint NOT NULL);
CREATE FUNCTION lose_all_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE lost bigint;
BEGIN
  SELECT count(*) INTO lost FROM job;
  TRUNCATE job;
  INSERT INTO truncated VALUES (clock_timestamp(), lost);
  RETURN NULL;
END $$;
"""
_LEDGER = (
    "raw_data_file", "raw_data_package", "package_member", "executed_obs_unit", "physical_copy",
    "verification", "data_transfer_package", "data_transfer_member", "deletion", "deletion_copy",
    "quarantine", "source_directory",
    "location_state",
)  # fmt: skip


def lose_jobs_at_every_commit(site: Ground) -> None:
    """At the end of each transaction that writes to the ledger the job table is emptied."""
    site.db.run(lambda tx: tx.driver.execute(_TRUNCATE.encode()))
    for table in _LEDGER:
        site.ask(
            f"CREATE CONSTRAINT TRIGGER lose_all_jobs AFTER INSERT OR UPDATE OR DELETE ON {table}"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lose_all_jobs()"
        )


def test_a_night_ends_safe_though_every_commit_to_the_ledger_truncates_the_job_table(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, enqueue_at_commit=False)
    lose_jobs_at_every_commit(site)
    site.frames(6)
    site.travel()
    assert site.answer() == "YES"
    site.reap()
    assert site.answer() == "YES"
    assert set(site.copies("dome-source")) == {"deleted"}
    assert not list(site.source.glob("s*.fits"))
    assert site.one("SELECT count(*) > 20 FROM truncated")


@pytest.mark.slow
def test_a_running_night_ends_safe_though_the_jobs_are_truncated_again_and_again(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, enqueue_at_commit=False, keep=None)
    site.frames(4)
    over = threading.Event()
    truncated = []

    def lose_jobs() -> None:
        while not over.wait(0.9):
            site.ask("TRUNCATE job")
            truncated.append(1)

    loser = threading.Thread(target=lose_jobs)
    loser.start()
    try:
        with Running(site.sites, log=os.open(os.devnull, os.O_WRONLY)).start():
            wait_until(
                lambda: all(site.copies(a) == ["present"] * 2 for a in ARCHIVES),
                90,
                "two packages at both archives",
            )
            assert site.answer() == "YES"
    finally:
        over.set()
        loser.join()
    assert len(truncated) > 3
