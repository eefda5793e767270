"""The deletion rule, clause by clause: in SQL it says what a plain model of it says, whatever happened;
and each clause alone keeps a copy, by the name that ``nf why`` gives it.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database import new_database
from tests.faults.keeping import Figure
from tests.ledger import NIGHT
from tests.typed import Nf
from tests.unit.rule_world import (
    ARCHIVES,
    DAY,
    EMPTIED,
    HOUR,
    MINUTE,
    READINGS,
    World,
    build,
    world,
)  # fmt: skip

THINGS = ("f1", "f2", "loose", "ephemeral", "package")
STATES = ("present", "present", "suspect", "missing", "corrupt", "deleting", "deleted")
# Never on the edge of what is compared, for the clock of the next example is another.
hours = st.integers(0, 100).map(lambda n: n * HOUR + 30 * MINUTE)
nominations = st.integers(0, 100).map(lambda n: n * HOUR + 15 * MINUTE)


def happens(name: str, *values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *values)


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


HISTORY = st.lists(
    st.one_of(
        happens("nominate", one_of("package", "package", "loose", "ephemeral"), one_of("age", "pressure"), nominations),
        happens("nominate", one_of("package"), one_of("age", "pressure"), one_of(MINUTE)),
        happens("read", one_of(*ARCHIVES), hours, one_of(*READINGS, "medium"), one_of("good", "good", "good", "differs", "unreadable")),
        happens("read", one_of("vault-a", "vault-b"), one_of(10 * MINUTE), one_of("medium"), one_of("good")),
        happens("set_state", st.integers(0, 20), one_of(*STATES)),
        happens("hold", one_of(*THINGS, str(NIGHT), "2024-05-13"), st.booleans()),
        happens("hold", one_of("package"), st.booleans()),
        happens("replace_at_path", one_of("f1", "f2", "ephemeral"), one_of("loose")),
        happens("plan_again"),
        happens("move_to_programme", one_of("package", "f1", "loose"), one_of("deep", None)),
        happens("configure", one_of(*EMPTIED, "cluster"), st.fixed_dictionaries({}, optional={
            "enabled": st.booleans(), "keep": one_of(None, 7 * DAY, 300 * DAY)})),
        happens("configure", one_of(*ARCHIVES), st.fixed_dictionaries({}, optional={
            "active": st.booleans(), "best_reading": one_of(*READINGS),
            "domain": one_of("hall-a", "hall-b", "hall-c"), "enabled": st.booleans()})),
        happens("set_low_mark", one_of(*EMPTIED), one_of(None, 0.4)),
        happens("measure", one_of(*EMPTIED), one_of("dome1", "dome2"), one_of(MINUTE, 2 * MINUTE, 10 * MINUTE), one_of(390, 410, 950)),
        happens("ask_archive", one_of("", "deep"), one_of(*ARCHIVES), st.booleans()),
        happens("want_copies", one_of(None, "deep"), one_of(1, 2, 3)),
        happens("want_copies", one_of("deep"), one_of(None)),
        happens("set_proof_max_age", one_of(timedelta(0), 50 * HOUR, 72 * HOUR)),
        happens("keep_ephemeral", one_of(HOUR, -HOUR)),
        happens("send", st.booleans()),
        happens("unpack", st.booleans()),
        happens("restore", st.booleans()),
        happens("stop", st.booleans()),
    ),
    max_size=24,
)  # fmt: skip
# As nominated and proven: from here on a single event decides.
PROVEN = [
    ("nominate", "package", "age", HOUR),
    ("read", "vault-a", 10 * MINUTE, "medium", "good"),
    ("read", "vault-b", 10 * MINUTE, "medium", "good"),
]
# The same to make room, where nothing goes by age.
FULL = [
    ("nominate", "ephemeral", "pressure", HOUR),
    ("keep_ephemeral", -HOUR),
    ("nominate", "package", "pressure", HOUR),
    *PROVEN[1:],
    ("configure", "dome-disk", {"keep": None}),
    ("set_low_mark", "dome-disk", 0.4),
    ("measure", "dome-disk", "dome1", MINUTE, 950),
]
BEGINNINGS = st.sampled_from([[], PROVEN, FULL, [*FULL, ("hold", "package", False)]])


@pytest.fixture(scope="module")
def ground(server: str, template: str) -> Iterator["psycopg.Connection[Any]"]:
    with new_database(server, template) as dsn:
        build(dsn)
        with psycopg.connect(dsn) as connection:
            yield connection


@pytest.fixture
def proven(ground: "psycopg.Connection[Any]") -> Iterator[World]:
    ground.rollback()
    yield after(world(ground), PROVEN)
    ground.rollback()


def after(here: World, history: list[Any]) -> World:
    for name, *values in history:
        getattr(here, name)(*values)
    return here


def agree(ground: "psycopg.Connection[Any]", history: list[Any]) -> None:
    ground.rollback()
    here = after(world(ground), history)
    for (copy, deletion, again), answer in zip(here.asks(), here.answers(), strict=True):
        expected = here.rule(copy, deletion, again)
        assert answer == expected, (
            f"{copy.thing} at {copy.location}, {deletion and deletion.reason}, again={again}"
        )


FEW = settings(
    max_examples=300, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@FEW
@given(BEGINNINGS, HISTORY)
def test_after_any_history_every_clause_is_what_the_model_says(
    ground: "psycopg.Connection[Any]", beginning: list[Any], history: list[Any]
) -> None:
    agree(ground, beginning + history)


@pytest.mark.whole
def test_after_thousands_of_histories_every_clause_is_what_the_model_says(
    ground: "psycopg.Connection[Any]", figure: Figure
) -> None:
    played = 0

    @settings(FEW, max_examples=3000, derandomize=False)
    @given(BEGINNINGS, HISTORY)
    def play(beginning: list[Any], history: list[Any]) -> None:
        nonlocal played
        played += 1
        agree(ground, beginning + history)

    play()
    figure("deletion rule:", f"0 of {played:,} random histories differ from the model")


# --- each clause alone ----------------------------------------------------------------------------


def copy_at(here: World, thing: str, location: str) -> int:
    """The number of a copy, for what happens to it."""
    (n,) = (n for n, c in enumerate(here.copies) if (c.thing, c.location) == (thing, location))
    return n


# Nominated to make room at a disk where nothing goes by age: how full it is decides.
PRESSED = [
    ("configure", "dome-disk", {"keep": None}),
    ("set_low_mark", "dome-disk", 0.4),
    ("nominate", "package", "pressure", HOUR),
]
# (clause, whose copy, where, what happens, what is said)
ALONE = [
    ("present", "f1", "dome-disk", [("set_state", "suspect")], "the copy is suspect"),
    ("place", "package", "cluster", [], "nothing is deleted from a PROCESSING"),
    ("enabled", "f1", "dome-disk", [("configure", "dome-disk", {"enabled": False})], "only plans"),
    ("policy", "f1", "dome-disk", [("configure", "dome-disk", {"keep": 300 * DAY})], "kept until"),
    ("policy", "f1", "dome-disk", [("configure", "dome-disk", {"keep": None})], "nothing go by age"),
    ("policy", "f1", "dome-disk", [*PRESSED, ("measure", "dome-disk", "dome1", MINUTE, 400)], "is 40 % full, and is emptied to 40 %"),
    ("policy", "f1", "dome-disk", [*PRESSED, ("measure", "dome-disk", "dome1", 10 * MINUTE, 950)], "was not measured"),
    ("policy", "ephemeral", "dome-disk", [("nominate", "ephemeral", "age", HOUR), ("keep_ephemeral", -HOUR)], "ephemeral, kept until"),
    ("version", "f1", "dome-disk", [("plan_again",)], "not packed yet"),
    ("version", "f1", "dome-disk", [("replace_at_path", "f1", "loose")], "was replaced"),
    ("copies", "f1", "dome-disk", [("read", "vault-b", MINUTE, "medium", "differs")], "1 of 2"),
    ("copies", "f1", "dome-disk", [("configure", "vault-b", {"domain": "hall-a"})], "1 of 2"),
    ("proof", "f1", "dome-disk", [("read", "vault-b", 8 * MINUTE, "cache", "good")], "1 of 2"),
    ("proof", "f1", "dome-disk", [("set_proof_max_age", timedelta(0))], "0 of 2"),
    ("proof", "f1", "dome-disk", [("nominate", "package", "age", 11 * MINUTE)], "0 of 2"),  # begun before, ended after
    ("unneeded", "f1", "dome-disk", [("unpack", True)], "cluster still waits"),
    ("unneeded", "package", "dome-buffer", [("send", True)], "centre-buffer still waits"),
    ("unneeded", "package", "centre-buffer", [("ask_archive", "", "vault-c", True)], "vault-c still"),
    ("hold", "f1", "dome-disk", [("hold", "f1", False)], "referee"),
    ("hold", "f1", "dome-disk", [("hold", "package", False)], "referee"),
    ("hold", "f1", "dome-disk", [("hold", str(NIGHT), False)], "referee"),
    ("hold", "package", "dome-buffer", [("hold", "f2", False)], "referee"),
    ("database", "f1", "dome-disk", [("restore", False)], "not audited yet"),
    ("switch", "f1", "dome-disk", [("stop", True)], "stopped by"),
]  # fmt: skip


def test_a_package_that_was_proven_may_go_from_source_and_buffers(proven: World) -> None:
    for (copy, deletion, _), answer in zip(proven.asks(), proven.answers(), strict=True):
        if deletion is not None and copy.location in EMPTIED and copy.thing != "ephemeral":
            assert all(answer.values()), (copy, answer)


@pytest.mark.parametrize(("clause", "thing", "location", "happens", "words"), ALONE)
def test_each_clause_alone_keeps_a_copy_and_nf_why_names_it(
    database: str, tmp_path: Path, clause: str, thing: str, location: str,
    happens: list[tuple[Any, ...]], words: str,
) -> None:  # fmt: skip
    build(database)
    with psycopg.connect(database) as connection:
        here = after(world(connection), PROVEN)
        n = copy_at(here, thing, location)
        after(here, [(e[0], n, *e[1:]) if e[0] == "set_state" else e for e in happens])
    nf = Nf(database, tmp_path)
    name = "f1.fits" if thing == "f1" else str(here.things[thing].id)
    rows = nf.json("why", name)["clauses"][str(here.copies[n].id)]
    assert [(r["clause"], words in r["detail"]) for r in rows if not r["holds"]] == [(clause, True)]
    said = next(r["detail"] for r in rows if not r["holds"])
    assert f"NO {clause} {said}" in nf("why", name).words
    decide(database, here)
    assert state_of(database, here.copies[n].id) != "deleting"


def decide(dsn: str, here: World) -> None:
    with psycopg.connect(dsn) as connection:
        for deletion in here.deletions.values():
            connection.execute("SELECT decide_deletion(%s)", (deletion.id,))


def state_of(dsn: str, copy: UUID) -> str:
    with psycopg.connect(dsn) as connection:
        state: str = connection.execute(
            "SELECT state::text FROM physical_copy WHERE id = %s", (copy,)
        ).fetchall()[0][0]
        return state


def test_no_copy_in_an_archive_may_go_however_many_others_hold_it(proven: World) -> None:
    after(proven, [
        ("configure", "vault-c", {"domain": "hall-c"}),
        ("read", "vault-c", 10 * MINUTE, "medium", "good"),
    ])  # fmt: skip
    for (copy, deletion, _), answer in zip(proven.asks(), proven.answers(), strict=True):
        if deletion is not None and copy.location in ARCHIVES:
            assert [c for c, holds in answer.items() if not holds] == ["place"]
