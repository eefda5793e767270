"""What a host's database user may write: its daemons' own work, and nothing about other places."""

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from nightferry.testing.camera import frames
from nightferry.testing.sites import Sites
from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Identifier, Literal

from tests.database import new_database

Connection = psycopg.Connection[tuple[object, ...]]
PASSWORD = "of-a-test"

pytestmark = pytest.mark.slow  # real daemons, each once


@pytest.fixture(scope="module")
def role(server: str) -> Iterator[str]:
    """A database user without any right, as CREATE ROLE makes it."""
    name = f"nightferry_dome_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as owner:
        make = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        owner.execute(make.format(Identifier(name), Literal(PASSWORD)))
    yield name
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.fixture(scope="module")
def archived(
    server: str, template: str, role: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sites]:
    """A small night that went all the way to both archives, by daemons of which the dome's logged
    in as the dome's user."""
    with new_database(server, template) as dsn:
        sites = Sites(tmp_path_factory.mktemp("sites"), dsn, keep=None, group_quiet="0 s").make()
        for name, content in frames(count=3):
            (sites.path("dome-source") / name).write_bytes(content)
        grant(dsn, role, reaps=False)
        own = sites.config("dome")
        own.write_text(own.read_text().replace(dsn, as_role(dsn, role)))
        assert role in own.read_text()
        sites.once_all()
        yield sites


def as_role(dsn: str, role: str) -> str:
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{PASSWORD}@{host}"))


def grant(dsn: str, role: str, reaps: bool) -> None:
    with psycopg.connect(dsn) as owner:
        places = ["dome-source", "dome-buffer"]
        owner.execute(
            "SELECT grant_host(%s, %s, %s), grant_canary(%s)", (role, places, reaps, role)
        )


@pytest.fixture
def dome(archived: Sites, role: str) -> Iterator[Connection]:
    """A session of the dome's user."""
    with psycopg.connect(as_role(archived.dsn, role), autocommit=True) as connection:
        yield connection


def count(connection: Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_all_that_a_domes_daemons_do_is_permitted(archived: Sites) -> None:
    with psycopg.connect(archived.dsn) as owner:
        present = "SELECT count(*) FROM physical_copy WHERE state = 'present' AND location = "
        assert count(owner, present + "'dome-source'") == 3
        assert count(owner, present + "'dome-buffer'") == 1
        assert count(owner, present + "'center-buffer'") == 1
        assert count(owner, "SELECT count(*) FROM safety WHERE proven = 2") == 1
        assert count(owner, "SELECT count(*) FROM blocked") == 0


def test_a_dome_cannot_say_that_an_archive_was_verified(dome: Connection) -> None:
    with pytest.raises(InsufficientPrivilege):
        dome.execute(
            "INSERT INTO verification (copy, began, outcome, sha256, size, how, host)"
            " SELECT id, now(), 'good', sha256, size, 'medium', 'dome' FROM physical_copy"
            " WHERE location = 'archive-a' LIMIT 1"
        )


def test_a_dome_cannot_change_an_archives_copy(dome: Connection) -> None:
    with pytest.raises(InsufficientPrivilege):
        dome.execute("UPDATE physical_copy SET state = 'missing' WHERE location = 'archive-a'")


def test_a_dome_cannot_invent_an_archives_copy(dome: Connection) -> None:
    with pytest.raises(InsufficientPrivilege):
        dome.execute(
            "INSERT INTO physical_copy (file, location, path, state, sha256, size)"
            " SELECT id, 'archive-a', path, 'present', sha256, size FROM raw_data_file LIMIT 1"
        )


def test_a_dome_cannot_declare_present_what_it_sent(dome: Connection) -> None:
    with pytest.raises(InsufficientPrivilege):
        dome.execute(
            "INSERT INTO physical_copy (file, location, path, state, sha256, size)"
            " SELECT id, 'center-buffer', path, 'present', sha256, size FROM raw_data_file LIMIT 1"
        )


def test_a_role_that_is_no_reapers_cannot_let_a_copy_go(dome: Connection) -> None:
    with pytest.raises(InsufficientPrivilege, match="reaper"):
        dome.execute("UPDATE physical_copy SET state = 'deleting' WHERE location = 'dome-source'")


def test_a_role_that_is_no_reapers_cannot_decide_a_deletion(dome: Connection) -> None:
    with pytest.raises(InsufficientPrivilege):
        dome.execute("SELECT decide_deletion(new_id())")
    with pytest.raises(InsufficientPrivilege):
        dome.execute(
            "INSERT INTO deletion (package, reason) SELECT id, 'age' FROM raw_data_package"
        )


def test_a_reapers_role_may_let_its_own_copies_go_and_no_others(
    archived: Sites, role: str, dome: Connection
) -> None:
    grant(archived.dsn, role, reaps=True)
    try:
        with dome.transaction(force_rollback=True):
            dome.execute(
                "UPDATE physical_copy SET state = 'deleting' WHERE location = 'dome-source'"
            )
        with pytest.raises(InsufficientPrivilege):
            dome.execute("UPDATE physical_copy SET state = 'deleting' WHERE location = 'archive-a'")
    finally:
        grant(archived.dsn, role, reaps=False)


def test_a_dome_cannot_rewrite_history(dome: Connection) -> None:
    for statement in (
        "DELETE FROM event",
        "UPDATE verification SET outcome = 'good'",
        "SELECT trust_incarnation('because')",
        "UPDATE data_location SET reap_enabled = true",
        "UPDATE policy SET copies = 1",
        "INSERT INTO host_place VALUES (session_user, 'archive-a')",
    ):
        with pytest.raises(InsufficientPrivilege):
            dome.execute(statement.encode())


def test_a_host_may_send_a_canary_and_makes_none_of_a_frame(dome: Connection) -> None:
    dome.execute(
        "INSERT INTO canary (location, path, sha256, size) VALUES ('dome-source', 'c', %s, 1)",
        ("a" * 64,),
    )
    dome.execute("UPDATE canary SET ended = now(), outcome = 'stuck' WHERE path = 'c'")
    with pytest.raises(psycopg.errors.CheckViolation, match="no canary that was announced"):
        dome.execute("UPDATE raw_data_file SET handling = 'canary'")
