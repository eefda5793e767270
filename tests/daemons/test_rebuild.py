"""The archives alone give back the ledger: every row is compared with the original's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.rebuilding.lacking import ELSEWHERE, FROM_BACKUP, GIVEN_BACK, NOT_WRITTEN

from tests.daemons.ground import Ground, ground
from tests.daemons.rebuilding import (
    ALWAYS_SO,
    ARCHIVES,
    PROGRAMS,
    TABLES,
    Empty,
    every_column,
    rows,
    two_nights,
)
from tests.database import new_database
from tests.faults.keeping import Figure

pytestmark = pytest.mark.slow  # long, and the same on every Python


@pytest.fixture
def original(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A site whose nights are archived: versions, a filed observation, an owner, odd files."""
    site = ground(tmp_path / "sites", database, keep=None, replayed=False, extra=PROGRAMS)
    yield site
    site.db.close()


@pytest.fixture
def rebuilt(original: Ground, server: str, template: str, tmp_path: Path) -> Iterator[Empty]:
    with new_database(server, template) as dsn:
        empty = Empty(original, dsn, tmp_path)
        yield empty
        empty.database.close()


def test_two_archives_give_back_every_row(original: Ground, rebuilt: Empty, figure: Figure) -> None:
    two_nights(original)
    answer = rebuilt.nf("rebuild", *ARCHIVES)
    assert answer.code == 0, answer.out + answer.err
    before = {table: rows(original.db, table) for table in TABLES}
    after = {table: rows(rebuilt.database, table) for table in TABLES}
    differ = sum(row not in after[t] for t in TABLES for row in before[t])
    differ += sum(row not in before[t] for t in TABLES for row in after[t])
    compared = sum(map(len, before.values()))
    figure("rebuild:", f"{differ} of {compared} rows in {len(TABLES)} tables differ")
    for table in TABLES:
        assert before[table], f"the original has no {table}: it proves nothing"
        assert after[table] == before[table], table
    assert "holds on nights" in answer.words


def test_each_table_is_given_back_or_named_in_what_a_rebuild_prints(
    original: Ground, rebuilt: Empty
) -> None:
    """Whoever makes a table has to say here what becomes of it when the database is lost."""
    named = {table for tables in (*FROM_BACKUP.values(), *ELSEWHERE.values()) for table in tables}
    there = set(every_column(rebuilt.database))
    assert there - named - set(GIVEN_BACK) == set(), "what becomes of these in a rebuild?"
    assert named | set(GIVEN_BACK) <= there, "these are no tables of the ledger"
    assert set(TABLES) == set(GIVEN_BACK)
    printed = rebuilt.nf("rebuild", "archive-a").words
    for what in FROM_BACKUP:
        assert what in printed
    for table, columns in NOT_WRITTEN.items():
        for column, why in columns.items():
            assert f"{table}.{column}: {why}" in printed


def test_each_column_of_what_comes_back_is_compared_by_a_value_of_its_own(
    original: Ground,
) -> None:
    """A column that is as it is in an empty row, in all of them, would come back by itself."""
    two_nights(original)
    idle = [
        f"{table}.{column}"
        for table in TABLES
        for column, usual in every_column(original.db)[table].items()
        if column not in NOT_WRITTEN.get(table, {})
        and f"{table}.{column}" not in ALWAYS_SO
        and not original.ask(
            f'SELECT FROM ({TABLES[table]}) x WHERE x."{column}" IS DISTINCT FROM {usual} LIMIT 1'
        )
    ]
    assert not idle, ", ".join(idle)


def test_a_name_that_was_filed_and_never_came_is_all_that_is_lacking_of_filed_names(
    original: Ground, rebuilt: Empty
) -> None:
    two_nights(original)
    rebuilt.nf("rebuild", *ARCHIVES)
    every = "SELECT location, path FROM filed_file ORDER BY path"
    before = [tuple(r) for r in original.ask(every)]
    after = [tuple(r) for r in rebuilt.database.run(lambda tx: tx.execute(every))]
    assert [r for r in before if r not in after] == [("dome-source", "filed/never-came.fits")]
    assert [r for r in after if r not in before] == []


def test_what_two_nights_hold_is_worth_comparing(original: Ground) -> None:
    two_nights(original)
    assert (
        original.one("SELECT count(*) FROM raw_data_package WHERE supplement_of IS NOT NULL") >= 1
    )
    assert original.one("SELECT count(*) FROM raw_data_file WHERE replaced_by IS NOT NULL") == 2
    relations = original.ask("SELECT DISTINCT relation::text FROM raw_data_file ORDER BY 1")
    assert [r[0] for r in relations] == ["exposure", "first", "version"]
    assert original.one("SELECT count(*) FROM raw_data_file WHERE header = 'broken'") == 1
    assert original.one("SELECT count(*) FROM raw_data_file WHERE owner = 'mira'") >= 3


def test_a_rebuild_done_twice_changes_nothing(original: Ground, rebuilt: Empty) -> None:
    two_nights(original)
    rebuilt.nf("rebuild", "archive-a")
    first = {table: rows(rebuilt.database, table) for table in TABLES}
    events = rebuilt.one("SELECT count(*) FROM event")
    answer = rebuilt.nf.json("rebuild", "archive-a")
    assert answer["locations"]["archive-a"]["copies"] == 0
    assert {table: rows(rebuilt.database, table) for table in TABLES} == first
    assert rebuilt.one("SELECT count(*) FROM event") == events


def test_rebuilt_copies_are_unproven_and_verify_reads_them_by_itself(
    original: Ground, rebuilt: Empty
) -> None:
    original.frames(2)
    original.travel()
    rebuilt.nf("rebuild", *ARCHIVES)
    assert rebuilt.one("SELECT count(*) FROM verification") == 0
    assert rebuilt.one("SELECT count(*) FROM safety WHERE proven > 0") == 0
    wanted = rebuilt.database.run(lambda tx: tx.run("verify.wanted"))
    assert len(wanted) == rebuilt.one("SELECT count(*) FROM physical_copy") == 2


def test_nothing_is_deleted_after_a_rebuild_before_a_person_says_so(
    original: Ground, rebuilt: Empty
) -> None:
    original.frames(1)
    original.travel()
    rebuilt.nf("rebuild", "archive-a")
    assert rebuilt.one("SELECT count(*) FROM deletion_stop WHERE resumed IS NULL") == 1
    assert "place them again" in rebuilt.one("SELECT reason FROM deletion_stop")
    rebuilt.database.run(lambda tx: tx.run("reap.resume"))
    rebuilt.nf("rebuild", *ARCHIVES)  # which finds nothing new
    assert rebuilt.one("SELECT count(*) FROM deletion_stop WHERE resumed IS NULL") == 0


def packages(site: Ground, location: str) -> list[Path]:
    return sorted(site.sites.path(location).rglob("*.tar"))


def test_a_damaged_archive_gives_what_is_whole_and_lists_the_rest(
    original: Ground, rebuilt: Empty
) -> None:
    two_nights(original)
    cut, no_sidecar, rotten = packages(original, "archive-a")[:3]
    cut.write_bytes(cut.read_bytes()[:-5000])
    Path(f"{no_sidecar}.sha256").unlink()
    whole = bytearray(rotten.read_bytes())
    whole[whole.rindex(b"OBJECT")] ^= 1  # in a header that nightferry.json holds
    rotten.write_bytes(whole)
    (original.sites.path("archive-a") / "loose.fits").write_bytes(b"adopted once")
    answer = rebuilt.nf("rebuild", "archive-a")
    assert answer.code == 1
    assert answer.last.startswith("NOT ALL: ")
    assert cut.name in answer.words
    assert rotten.name in answer.words
    whole_ones = {p.name for p in packages(original, "archive-a")} - {cut.name, rotten.name}
    assert rebuilt.one("SELECT count(*) FROM raw_data_package") == len(whole_ones)
    paths = rebuilt.database.run(lambda tx: tx.execute("SELECT path FROM physical_copy"))
    assert {r.path.rpartition("/")[2] for r in paths} == whole_ones
    assert rebuilt.nf.json("rebuild", "archive-a")["locations"]["archive-a"]["loose"] == 1


def test_what_one_archive_has_whole_is_read_again_and_mended_at_the_other(
    original: Ground, rebuilt: Empty
) -> None:
    original.frames(2)
    original.travel()
    (bad,) = packages(original, "archive-a")
    bad.write_bytes(bad.read_bytes()[:-5000])
    assert rebuilt.nf("rebuild", *ARCHIVES).code == 1
    states = rebuilt.database.run(
        lambda tx: tx.execute("SELECT location, state::text FROM physical_copy ORDER BY location")
    )
    assert [tuple(s) for s in states] == [("archive-a", "suspect"), ("archive-b", "present")]
    assert len(rows(rebuilt.database, "raw_data_file")) == 2


def test_a_package_of_an_unknown_programme_is_refused_in_words_and_the_rest_is_taken(
    original: Ground, rebuilt: Empty
) -> None:
    two_nights(original)
    rebuilt.one(
        "WITH gone AS (DELETE FROM observing_program WHERE name = 'U042' RETURNING 1) SELECT count(*) FROM gone"
    )
    answer = rebuilt.nf("rebuild", "archive-a")
    assert answer.code == 1
    assert "observatory.yaml lacks the programme U042" in answer.words
    assert rebuilt.one("SELECT count(*) FROM raw_data_package") > 0


def test_a_rebuild_refuses_while_daemons_run_and_a_location_that_is_not_here(
    original: Ground, rebuilt: Empty
) -> None:
    answer = rebuilt.nf("rebuild", "dome-source")
    assert answer.code == 3
    assert "SOURCE" in answer.err
    rebuilt.database.run(
        lambda tx: tx.execute(
            "INSERT INTO heartbeat (daemon, host, pid, version) VALUES ('ingest', 'dome', 1, '0')"
        )
    )
    answer = rebuilt.nf("rebuild", "archive-a")
    assert answer.code == 2
    assert "Stop the daemons" in answer.err
