"""nf jobs: open work and blocked work, by the names that people use."""

from pathlib import Path

import pytest
from nightferry import jobs
from nightferry.db import Tx
from nightferry.jobs import Wanted

from tests.ledger import Ledger, Package
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


@pytest.fixture
def package(ledger: Ledger) -> Package:
    """With one archive job for each archive."""
    package = ledger.package(ledger.file("a.fits"))
    work = [Wanted(f"{package.id}@{place}", place, place, 100) for place in ("vault-a", "vault-b")]
    ledger.database.run(lambda tx: jobs.enqueue(tx, "archive", work))
    return package


def fail(ledger: Ledger, reason: str, message: str) -> None:
    """The first ready job fails for good."""

    def work(tx: Tx) -> None:
        claimer = jobs.Claimer("archive", "archive@centre1#1")
        (place, needs) = claimer.lanes(tx, ["vault-a", "vault-b"])[0]
        (job,) = claimer.claim(tx, place, needs)
        jobs.block(tx, job, reason, message, "archive@centre1#1")

    ledger.database.run(work)


def test_open_jobs_are_listed_by_the_names_of_what_they_are_about(nf: Nf, package: Package) -> None:
    answer = nf("jobs", "list")
    assert (answer.code, answer.last) == (0, "2 open jobs; nothing is blocked.")
    assert answer.words.count(package.name) == 2
    assert {(j["about"], j["location"]) for j in nf.json("jobs", "list")["jobs"]} == {
        (package.name, "vault-a"),
        (package.name, "vault-b"),
    }


def test_one_job_is_shown_whole(nf: Nf, package: Package) -> None:
    identity = nf.json("jobs", "list")["jobs"][0]["id"]
    assert f"archive {package.name}" in nf("jobs", "show", str(identity)).words
    gone = nf("jobs", "show", "999999")
    assert gone.code == 1
    assert "no open job 999999" in gone.err


def test_a_cancelled_job_is_blocked_until_it_is_released(
    ledger: Ledger, nf: Nf, package: Package
) -> None:
    identity = nf.json("jobs", "list")["jobs"][0]["id"]
    assert nf("jobs", "cancel", str(identity), "--why", "wrong disk").last == "1 job cancelled."
    listed = nf("jobs", "list")
    assert listed.code == 1
    assert "wrong disk" in listed.words
    assert listed.next == 'nf jobs release --reason "cancelled"'
    assert nf("jobs", "release", "--reason", "cancelled").code == 0
    assert nf("jobs", "list").code == 0


def test_work_that_failed_for_good_is_released_by_the_name_of_its_package(
    ledger: Ledger, nf: Nf, package: Package
) -> None:
    fail(ledger, "no space", "vault-a is full: make room")
    (stuck,) = nf.json("jobs", "list")["blocked"]
    assert (stuck["about"], stuck["reason"]) == (package.name, "no space")
    assert "vault-a is full: make room" in nf("jobs", "list").words
    assert nf.json("jobs", "release", package.name)["released"] == [stuck["subject"]]
    assert nf("jobs", "release", package.name).code == 1


def test_failing_jobs_are_cancelled_in_bulk_by_their_reason(
    ledger: Ledger, nf: Nf, package: Package
) -> None:
    def put_off(tx: Tx) -> None:
        claimer = jobs.Claimer("archive", "me")
        for place, needs in claimer.lanes(tx, ["vault-a", "vault-b"]):
            for job in claimer.claim(tx, place, needs):
                jobs.retry(tx, job, "no answer", "me")

    ledger.database.run(put_off)
    assert nf("jobs", "cancel", "--reason", "failed", "--why", "later").last == "2 jobs cancelled."


def test_it_wants_ids_or_a_reason_and_not_both(nf: Nf, ledger: Ledger) -> None:
    for words in (["cancel", "--why", "x"], ["cancel", "1", "--reason", "x", "--why", "x"]):
        assert nf("jobs", *words).code == 3
    assert nf("jobs", "release").code == 3
