"""nf why: where every copy is, and why it is still there or gone."""

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.ledger import File, Ledger, Package
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def archived(ledger: Ledger, path: str = "2024-05-12/d1001.fits") -> tuple[File, Package]:
    file = ledger.file(path)
    package = ledger.package(file)
    ledger.archive(package, ago=timedelta(hours=3))
    return file, package


def deletion(ledger: Ledger, package: Package, file: File, stage: str, state: str) -> UUID:
    """Nominated two hours ago, read well an hour and a half ago, decided an hour ago."""
    row = ledger.execute(
        "INSERT INTO deletion (package, reason, state, nominated, decided)"
        " VALUES (%s, 'age', %s, now() - interval '2 hours', now() - interval '1 hour')"
        " RETURNING id",
        package.id, state,
    )[0]  # fmt: skip
    ledger.execute(
        "INSERT INTO deletion_copy (deletion, copy, stage) SELECT %s, id, %s FROM physical_copy"
        " WHERE file = %s",
        row.id, stage, file.id,
    )  # fmt: skip
    ledger.execute(
        "UPDATE deletion SET closed = now() WHERE id = %s AND state IN ('done', 'withdrawn')",
        row.id,
    )
    for copy in ledger.execute(
        "SELECT id FROM physical_copy WHERE package = %s AND location LIKE 'vault%%'", package.id
    ):
        ledger.read(copy.id, ago=timedelta(minutes=90))
    chosen: UUID = row.id
    return chosen


def test_a_kept_file_shows_the_rule_that_the_reaper_obeys_clause_by_clause(
    ledger: Ledger, nf: Nf
) -> None:
    file, _ = archived(ledger)
    copy = ledger.execute("SELECT id FROM physical_copy WHERE file = %s", file.id)[0].id
    story = nf.json("why", "d1001.fits")
    rule = ledger.execute("SELECT clause, holds, detail FROM deletion_clauses(%s)", copy)
    assert story["clauses"][str(copy)] == [dict(r._mapping) for r in rule]
    answer = nf("why", "d1001.fits")
    assert answer.code == 0
    assert all(f"{r.clause} " in answer.words and r.detail in answer.words for r in rule)
    assert answer.last.startswith(
        "Safe at 2 archives; kept at dome-disk: deletion is not enabled at dome-disk"
    )


def test_a_deleted_file_says_when_why_and_what_had_been_read_between(
    ledger: Ledger, nf: Nf
) -> None:
    file, package = archived(ledger)
    deletion(ledger, package, file, "deleted", "done")
    ledger.execute("UPDATE physical_copy SET state = 'deleted' WHERE file = %s", file.id)
    answer = nf("why", "d1001.fits")
    assert "because of age: 2 archives had been read well after nomination (vault-a, vault-b)." in (
        answer.last
    )
    assert "vault-a read well, from the medium, by centre1" in answer.words


def test_a_reading_from_before_the_nomination_is_not_told_as_its_proof(
    ledger: Ledger, nf: Nf
) -> None:
    file, package = archived(ledger)
    chosen = deletion(ledger, package, file, "deleted", "done")
    ledger.execute(
        "UPDATE deletion SET nominated = now() - interval '80 minutes' WHERE id = %s", chosen
    )
    ledger.execute("UPDATE physical_copy SET state = 'deleted' WHERE file = %s", file.id)
    answer = nf("why", "d1001.fits")
    assert answer.last.endswith("because of age.")


def test_the_clauses_are_asked_with_the_deletion_that_is_open(ledger: Ledger, nf: Nf) -> None:
    file, package = archived(ledger)
    chosen = deletion(ledger, package, file, "nominated", "nominated")
    ledger.execute("UPDATE deletion SET decided = NULL WHERE id = %s", chosen)
    assert "2 of 2 archives were read well since it was nominated" in nf("why", "d1001.fits").words


def test_a_name_that_two_nights_share_lists_both_and_asks_for_the_night(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.file("2024-05-12/d1.fits")
    ledger.file("2024-05-13/d1.fits", night=date(2024, 5, 13))
    both = nf("why", "d1.fits")
    assert both.code == 2
    assert "2024-05-12/d1.fits" in both.words
    assert both.next == "nf why d1.fits --night 2024-05-13"
    one = nf("why", "d1.fits", "--night", "2024-05-12")
    assert one.code == 0
    assert "File 2024-05-12/d1.fits of dome-disk" in one.words
    assert nf("why", "2024-05-13/d1.fits").code == 0


def test_versions_of_one_file_are_one_story_and_reused_names_are_not(
    ledger: Ledger, nf: Nf
) -> None:
    second = ledger.file("a.fits", b"2", ordinal=2, relation="version")
    ledger.execute("UPDATE physical_copy SET state = 'missing' WHERE file = %s", second.id)
    ledger.execute("ALTER TABLE raw_data_file DISABLE TRIGGER ALL")
    first = ledger.execute(
        "INSERT INTO raw_data_file (location, path, ordinal, replaced_by, sha256, size, mtime_ns,"
        " ctime_ns, header, night, night_from, instrument) SELECT location, path, 1, id, sha256,"
        " size, 1, 1, header, night, night_from, instrument FROM raw_data_file WHERE id = %s"
        " RETURNING id",
        second.id,
    )[0]
    answer = nf("why", "a.fits")
    assert answer.code == 0
    assert "2. another version" in answer.words
    assert "this one" in answer.words
    ledger.execute("UPDATE raw_data_file SET relation = 'exposure' WHERE id = %s", second.id)
    reused = nf("why", "a.fits")
    assert reused.code == 2
    assert nf("why", str(first.id)).code == 0


def test_a_path_typed_from_the_root_of_the_disk_finds_its_file(ledger: Ledger, nf: Nf) -> None:
    ledger.file("2024-05-12/d1.fits")
    assert nf("why", "/data/nickel/2024-05-12/d1.fits").code == 0
    assert nf("why", "./2024-05-12/d1.fits").code == 0
    assert nf("why", "1.fits").code == 1


def test_an_odd_name_is_found_as_the_disk_has_it_and_as_the_ledger_writes_it(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.file("new%0Aline 100%25.fits")
    assert nf("why", "new\nline 100%.fits").code == 0
    assert nf("why", "new%0Aline 100%25.fits").code == 0


def test_a_package_tells_where_it_and_its_files_are(ledger: Ledger, nf: Nf) -> None:
    files = [ledger.file(f"d{n}.fits") for n in range(3)]
    package = ledger.package(*files)
    ledger.copy(package, "dome-buffer")
    ledger.archive(package)
    for word in (package.name, package.path, str(package.id)):
        answer = nf("why", word)
        assert answer.code == 0
        assert "its 3 files" in answer.words
        assert "May the package go from dome-buffer?" in answer.words


def test_holds_blocked_work_and_loss_are_told(ledger: Ledger, nf: Nf) -> None:
    file = ledger.file("a.fits")
    package = ledger.package(file)
    ledger.execute(
        "INSERT INTO hold (night, reason, placed_by) VALUES ('2024-05-12', 'why', 'ada')"
    )
    ledger.execute(
        "INSERT INTO blocked (kind, subject, reason, by) VALUES ('archive', %s, 'full', 'a@b')",
        f"{package.id}@vault-a",
    )
    ledger.execute("INSERT INTO lost_file (file, how) VALUES (%s, 'overwritten')", file.id)
    answer = nf("why", "a.fits")
    for said in (
        "the night is held by ada: why",
        "archive at vault-a is blocked (full)",
        ": overwritten",
        "NOT SAFE: lost: overwritten",
    ):
        assert said in answer.words, said


def test_the_compressed_and_the_plain_file_of_one_exposure_name_each_other(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.file("a.fits", exposure_key="k1")
    ledger.file("a.fits.fz", exposure_key="k1")
    assert "the same exposure: a.fits.fz" in nf("why", "a.fits").words


def test_what_is_not_captured_but_in_quarantine_is_said_to_be(ledger: Ledger, nf: Nf) -> None:
    ledger.execute(
        "INSERT INTO quarantine (location, path, reason, advice)"
        " VALUES ('dome-disk', 'x/pipe', 'a pipe', 'Remove it')"
    )
    answer = nf("why", "pipe")
    assert answer.code == 1
    assert "x/pipe of dome-disk is in quarantine: a pipe. Remove it" in answer.words
    assert nf("why", "nothing.fits").last == "No file or package is known as nothing.fits."
