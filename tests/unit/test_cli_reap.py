"""nf reap and nf hold: what would be deleted, what stands in the way, and stop."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ledger import NIGHT, Ledger, Package
from tests.typed import Nf

OLD = timedelta(days=60)


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


@pytest.fixture
def package(ledger: Ledger) -> Package:
    """Two files of which a package is in both archives; the files are due at the dome."""
    package = ledger.package(ledger.file("a.fits"), ledger.file("b.fits"))
    ledger.archive(package)
    ledger.execute("UPDATE physical_copy SET created = now() - %s", OLD)
    return package


def place(plan: Any, name: str) -> Any:
    return next(p for p in plan["locations"] if p["location"] == name)


def enable(ledger: Ledger) -> None:
    ledger.execute(
        "UPDATE data_location SET reap_enabled = true WHERE type IN ('SOURCE', 'BUFFER')"
    )


def test_a_plan_says_what_would_go(ledger: Ledger, nf: Nf, package: Package) -> None:
    disk = place(nf.json("reap", "plan"), "dome-disk")
    assert (disk["copies"], disk["due"], disk["would_go"]) == (2, 2, 2)
    answer = nf("reap", "plan")
    assert "until 'reap: enabled' is applied there" in answer.last
    enable(ledger)
    assert nf("reap", "plan").last.startswith("2 copies (12 B) would go")


def test_a_plan_says_by_clause_what_stands_in_the_way(
    ledger: Ledger, nf: Nf, package: Package
) -> None:
    late = ledger.file("late.fits")
    ledger.execute("UPDATE physical_copy SET created = now() - %s WHERE file = %s", OLD, late.id)
    disk = place(nf.json("reap", "plan"), "dome-disk")
    ways = {w["clause"]: w["copies"] for w in disk["in_the_way"]}
    assert ways == {"enabled": 3, "proof": 3, "version": 1, "copies": 1}
    assert (disk["due"], disk["would_go"]) == (3, 2)
    assert "not packed, or replaced since the file is in no package yet" in nf("reap", "plan").words


def test_nothing_due_is_said(ledger: Ledger, nf: Nf) -> None:
    ledger.file("a.fits")
    assert nf("reap", "plan").last.startswith("Nothing is due")


def test_stop_halts_and_resume_lets_it_go_on(ledger: Ledger, nf: Nf, package: Package) -> None:
    enable(ledger)
    assert nf("reap", "stop", "the disk sounds odd").last == "Deletion is stopped on all hosts."
    plan = nf("reap", "plan")
    assert "stopped by" in plan.last
    assert "the disk sounds odd" in plan.last
    assert "switch" in {
        w["clause"] for w in place(nf.json("reap", "plan"), "dome-disk")["in_the_way"]
    }
    assert nf("reap", "resume").last == "Deletion goes on."
    assert nf.json("reap", "plan")["stopped"] == []


def test_a_restored_database_deletes_nothing_until_somebody_trusts_it(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.execute(
        "INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)"
        " VALUES (1, 1, 1, 'another server')"
    )
    assert "restored or failed over" in nf("reap", "plan").last
    assert nf("reap", "resume").code == 1
    assert nf("reap", "resume", "--incarnation", "I compared them").code == 0
    assert nf.json("reap", "plan")["trusted"] is True


# --- holds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["night", "package", "file"])
def test_what_is_held_does_not_go(ledger: Ledger, nf: Nf, package: Package, what: str) -> None:
    subject = {"night": str(NIGHT), "package": package.name, "file": "a.fits"}[what]
    held = nf("hold", "add", subject, "the referee asked")
    assert held.last.startswith("Held: ")
    disk = place(nf.json("reap", "plan"), "dome-disk")
    assert disk["would_go"] == (1 if what == "file" else 0)
    assert "the referee asked" in nf("hold", "list").words
    (hold,) = nf.json("hold", "list")
    assert nf("hold", "lift", hold["hold"][-8:]).code == 0
    assert nf.json("hold", "list") == []
    assert place(nf.json("reap", "plan"), "dome-disk")["would_go"] == 2


def test_a_hold_says_what_it_comes_too_late_for(ledger: Ledger, nf: Nf, package: Package) -> None:
    deletion = ledger.execute(
        "INSERT INTO deletion (package, reason, state, decided)"
        " VALUES (%s, 'age', 'decided', now()) RETURNING id",
        package.id,
    )[0].id
    ledger.execute(
        "INSERT INTO deletion_copy (deletion, copy, stage)"
        " SELECT %s, id, (CASE path WHEN 'a.fits' THEN 'condemned' ELSE 'trashed' END)"
        "::deletion_stage"
        " FROM physical_copy WHERE location = 'dome-disk'",
        deletion,
    )
    ledger.execute("UPDATE physical_copy SET state = 'deleting' WHERE location = 'dome-disk'")
    told = nf.json("hold", "add", str(NIGHT), "stop!")
    assert (told["condemned"], told["recalled"]) == (1, 1)
    assert "1 copy is past recall" in nf("hold", "add", package.name, "stop!").words


def test_an_unknown_subject_and_an_unknown_hold_are_said(ledger: Ledger, nf: Nf) -> None:
    assert "knows no night, package or file 'x.fits'" in nf("hold", "add", "x.fits", "why").err
    assert "no open hold has the id" in nf("hold", "lift", "12345678").err


def test_a_name_of_two_nights_asks_which(ledger: Ledger, nf: Nf) -> None:
    ledger.file("one/d1.fits")
    ledger.file("two/d1.fits", night="2024-05-13")
    asked = nf("hold", "add", "d1.fits", "why")
    assert asked.code == 3
    assert "one/d1.fits" in asked.err
    assert "say --night" in asked.err
    assert nf("hold", "add", "d1.fits", "why", "--night", "2024-05-13").code == 0
