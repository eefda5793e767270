"""Migrations run once, in order, are never edited, and wait for no idle reader."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from nightferry import migrate, schema
from nightferry.db import Database, SchemaMismatch
from nightferry.errors import NightferryError

FIRST = "0001_first"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A sql folder of the test's own, with one migration."""
    (tmp_path / "migrations").mkdir()
    own = migrate.sql.folder()
    (tmp_path / "jobs.sql").write_text("-- name: months\nSELECT 1 AS made;\n")
    monkeypatch.setattr(migrate.sql, "folder", lambda: tmp_path)
    migrate.sql.statements.cache_clear()
    migrate.sql.statement.cache_clear()
    write(tmp_path, FIRST, (own / "migrations" / "0001_ground.sql").read_text())
    yield tmp_path
    migrate.sql.statements.cache_clear()
    migrate.sql.statement.cache_clear()


def write(folder: Path, name: str, text: str) -> None:
    (folder / "migrations" / f"{name}.sql").write_text(text)


def test_the_schema_for_reading_is_what_the_migrations_make(database: str) -> None:
    with psycopg.connect(database) as connection:
        major = connection.info.server_version // 10000
    if major != int(schema.MAJOR):
        pytest.skip(f"sql/schema.sql is as PostgreSQL {schema.MAJOR} writes it, this is {major}")
    assert schema.dump(database) == schema.file().read_text(), "run bin/schema"


def test_a_migration_runs_once(empty_database: str, folder: Path) -> None:
    assert migrate.migrate(empty_database) == [FIRST]
    assert migrate.migrate(empty_database) == []


def test_a_later_migration_runs_after_the_first(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database)
    write(folder, "0002_more", "CREATE TABLE more (name text)")
    assert migrate.migrate(empty_database) == ["0002_more"]


def test_a_migration_that_was_edited_after_it_ran_is_refused(
    empty_database: str, folder: Path
) -> None:
    write(folder, "0002_more", "CREATE TABLE more (name text)")
    migrate.migrate(empty_database)
    write(folder, "0002_more", "CREATE TABLE more (name text, size bigint)")
    with pytest.raises(NightferryError, match="0002_more was changed after it was run"):
        migrate.migrate(empty_database)


def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database)
    write(folder, "0002_more", "CREATE TABLE more (name text); SELECT 1/0")
    with pytest.raises(Exception, match="division by zero"):
        migrate.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regclass('more')").fetchone() == (None,)


def test_a_program_refuses_a_database_that_lacks_a_migration(
    empty_database: str, folder: Path
) -> None:
    migrate.migrate(empty_database)
    write(folder, "0002_more", "CREATE TABLE more (name text)")
    with pytest.raises(SchemaMismatch, match="0002_more: run 'nf migrate'"):
        checked(empty_database)


def test_a_program_refuses_a_database_that_is_newer(empty_database: str, folder: Path) -> None:
    write(folder, "0002_more", "CREATE TABLE more (name text)")
    migrate.migrate(empty_database)
    (folder / "migrations" / "0002_more.sql").unlink()
    with pytest.raises(SchemaMismatch, match="upgrade nightferry on this host"):
        checked(empty_database)


def test_a_program_takes_a_newer_database_that_was_prepared_for_it(
    empty_database: str, folder: Path
) -> None:
    write(folder, "0002_pre_more", "CREATE TABLE more (name text)")
    migrate.migrate(empty_database)
    (folder / "migrations" / "0002_pre_more.sql").unlink()
    checked(empty_database)


def checked(dsn: str) -> None:
    database = Database(dsn)
    try:
        database.run(migrate.check)
    finally:
        database.close()


@pytest.fixture
def idle_reader(empty_database: str, folder: Path) -> Iterator["psycopg.Connection[tuple[int]]"]:
    """A session that read a table and went for lunch with its transaction open."""
    write(folder, "0002_more", "CREATE TABLE more (name text)")
    migrate.migrate(empty_database)
    with psycopg.connect(empty_database) as reader:
        reader.execute("SELECT * FROM more")
        yield reader


def test_a_migration_gives_up_waiting_for_an_idle_reader_and_says_so(
    empty_database: str,
    folder: Path,
    idle_reader: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "20ms")
    write(folder, "0003_change", "ALTER TABLE more ADD COLUMN size bigint")
    with pytest.raises(NightferryError, match="waited for a lock that is held"):
        migrate.migrate(empty_database)


def test_nobody_queues_behind_a_migration_that_waits(
    empty_database: str,
    folder: Path,
    idle_reader: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "200ms")
    write(folder, "0003_change", "ALTER TABLE more ADD COLUMN size bigint")
    ended: list[BaseException] = []

    def run() -> None:
        try:
            migrate.migrate(empty_database)
        except NightferryError as error:
            ended.append(error)

    migrating = threading.Thread(target=run)
    migrating.start()
    with psycopg.connect(empty_database, autocommit=True) as other:
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while migrating.is_alive() and other.execute(waits).fetchone() == (0,):
            pass
        other.execute("SET lock_timeout = '5s'")
        other.execute("SELECT * FROM more")  # behind the ALTER; it gives way
    migrating.join(60)
    assert ended, "the migration could not have had its lock"


def test_a_migration_has_its_turn_when_the_reader_ends(
    empty_database: str,
    folder: Path,
    idle_reader: "psycopg.Connection[tuple[int]]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    write(folder, "0003_change", "ALTER TABLE more ADD COLUMN size bigint")
    with psycopg.connect(empty_database, autocommit=True) as other:
        ended = threading.Thread(target=_end_when_waited_for, args=(other, idle_reader))
        ended.start()
        assert migrate.migrate(empty_database) == ["0003_change"]
        ended.join(60)


def _end_when_waited_for(
    other: "psycopg.Connection[tuple[int]]", reader: "psycopg.Connection[tuple[int]]"
) -> None:
    while other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
        pass
    reader.rollback()
