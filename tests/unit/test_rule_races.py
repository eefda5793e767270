"""Decisions, holds and copies that change at once, on real connections: whoever comes second waits for
the first, and sees what it did. The locks say when; nothing waits for a clock.
"""

import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from nightferry.testing.sites import wait_until

from tests.ledger import NIGHT
from tests.unit.rule_world import HOUR, MINUTE, World, build, world

DECIDE = "SELECT decide_deletion(%(deletion)s)"
CONDEMN = "SELECT condemn_or_recall(%(deletion)s, 'dome-disk')"
HOLDS = {
    "the night": f"INSERT INTO hold (night, reason) VALUES ('{NIGHT}', 'referee')",
    "the package": "INSERT INTO hold (package, reason) VALUES (%(package)s, 'referee')",
    "a file": "INSERT INTO hold (file, reason) VALUES (%(f1)s, 'referee')",
}
# Each takes one of the two archives away from what is counted on.
ARCHIVE_FAILS = {
    state: f"UPDATE physical_copy SET state = '{state}' WHERE location = 'vault-b'"
    for state in ("corrupt", "missing", "suspect", "deleting")
}
WAITS = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
 AND wait_event_type = 'Lock' AND state = 'active'"""


@dataclass
class Race:
    """A package that was proven, and two sessions that act on it."""

    dsn: str
    names: dict[str, UUID]

    def run(self, first: str, second: str, commit: bool = True) -> Any:
        """``second`` while ``first`` is not committed yet; its value, once it has waited for it."""
        value: list[Any] = []

        def act() -> None:
            with psycopg.connect(self.dsn) as connection:
                cursor = connection.execute(second.encode(), self.names)
                value.append(cursor.fetchall()[0][0] if cursor.description else None)

        other = threading.Thread(target=act)
        with psycopg.connect(self.dsn) as connection:
            connection.execute(first.encode(), self.names)
            other.start()
            wait_until(lambda: self.ask(WAITS) == 1, 20, "the second waits")
            if not commit:
                connection.rollback()
        other.join(20)
        return value[0]

    def ask(self, text: str) -> Any:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), self.names)
            return cursor.fetchall()[0][0] if cursor.description else None

    def is_at_stage(self, stage: str) -> None:
        """So far the reaper's worker brought all that was decided."""
        self.ask(f"UPDATE deletion_copy SET stage = '{stage}' WHERE stage = 'deleting'")

    @property
    def stages(self) -> set[str]:
        """Of the frames at the source."""
        return set(
            self.ask(
                "SELECT array_agg(DISTINCT dc.stage::text) FROM deletion_copy dc"
                " JOIN physical_copy c ON c.id = dc.copy WHERE c.location = 'dome-disk'"
            )
        )


@pytest.fixture
def race(database: str) -> Race:
    build(database)
    with psycopg.connect(database) as connection:
        here: World = world(connection)
        here.nominate("package", "age", HOUR)
        for archive in ("vault-a", "vault-b"):
            here.read(archive, 10 * MINUTE, "medium", "good")
    names = {name: thing.id for name, thing in here.things.items()}
    return Race(database, names | {"deletion": here.deletions["package"].id})


def test_without_anybody_else_all_goes(race: Race) -> None:
    assert race.ask(DECIDE) > 0
    assert race.stages == {"deleting"}


@pytest.mark.parametrize("what", HOLDS)
def test_a_hold_that_is_placed_first_is_seen_by_the_decision_that_waited_for_it(
    race: Race, what: str
) -> None:
    race.run(HOLDS[what], DECIDE)
    held = {"a file": {"kept", "deleting"}}.get(what, {"kept"})  # the others of its package may go
    assert race.stages == held
    assert race.ask("SELECT state::text FROM physical_copy WHERE file = %(f1)s") == "present"


def test_a_hold_that_is_taken_back_meanwhile_holds_nothing(race: Race) -> None:
    assert race.run(HOLDS["the night"], DECIDE, commit=False) > 0


@pytest.mark.parametrize("what", HOLDS)
def test_a_hold_that_waits_for_the_decision_is_heard_before_the_unlink(
    race: Race, what: str
) -> None:
    race.run(DECIDE, HOLDS[what])
    assert race.stages == {"deleting"}
    race.is_at_stage("hashed")
    race.ask(CONDEMN)
    assert race.stages == {"a file": {"recalled", "condemned"}}.get(what, {"recalled"})


@pytest.mark.parametrize("state", ARCHIVE_FAILS)
def test_an_archive_copy_that_changes_first_is_not_counted_by_the_decision(
    race: Race, state: str
) -> None:
    assert race.run(ARCHIVE_FAILS[state], DECIDE) == 0


@pytest.mark.parametrize("state", ARCHIVE_FAILS)
def test_an_archive_copy_that_waits_to_change_calls_back_what_was_decided(
    race: Race, state: str
) -> None:
    assert race.run(DECIDE, ARCHIVE_FAILS[state]) is None
    race.is_at_stage("hashed")
    race.ask(CONDEMN)
    assert race.stages == {"recalled"}


@pytest.mark.parametrize("change", [*HOLDS.values(), *ARCHIVE_FAILS.values()])
def test_the_last_word_waits_for_who_came_first_and_sees_what_it_did(
    race: Race, change: str
) -> None:
    race.ask(DECIDE)
    race.is_at_stage("hashed")
    race.run(change, CONDEMN)
    assert "recalled" in race.stages
    assert race.ask("SELECT stage::text FROM deletion_copy dc JOIN physical_copy c ON c.id = dc.copy WHERE c.file = %(f1)s") == "recalled"  # fmt: skip


def test_of_two_decisions_at_once_one_decides(race: Race) -> None:
    first = race.ask("SELECT count(*) FROM deletion_copy JOIN physical_copy c ON c.id = copy JOIN data_location l ON l.name = c.location AND l.type IN ('SOURCE', 'BUFFER')")  # fmt: skip
    assert race.run(DECIDE, DECIDE) == 0
    assert race.ask("SELECT count(*) FROM deletion_copy WHERE stage = 'deleting'") == first
