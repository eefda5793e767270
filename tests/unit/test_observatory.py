"""observatory.yaml: what can't be safe is refused, and what is applied stands in rows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry import yamlfile
from nightferry.db import Database, Row, Tx
from nightferry.errors import ConfigError
from nightferry.observatory import Observatory, Weight, apply, check, diff, load
from nightferry.observatory.rows import Action
from nightferry.yamlfile import shipped

GOOD = """\
sites: {dome: {}, center: {}}
locations:
  disk: {site: dome, type: SOURCE, failure_domain: dome, keep: 7 days}
  dome-buffer: {site: dome, type: BUFFER, failure_domain: dome}
  center-buffer: {site: center, type: BUFFER, failure_domain: center}
  vault-a: {site: center, type: LONG_TERM_ARCHIVE, failure_domain: hall-a}
  vault-b: {site: center, type: LONG_TERM_ARCHIVE, failure_domain: hall-b}
routes:
  link: {from: dome-buffer, to: center-buffer}
observatories:
  Lick: {telescopes: {Nickel: {zone: America/Los_Angeles, instruments: {nickel: {modules: [a]}}}}}
programs:
  U042: {owner: somebody, proprietary: 18 months}
"""


def read(text: str) -> Observatory:
    return yamlfile.parse(text, Observatory, "observatory.yaml")


def changed(old: str, new: str) -> Observatory:
    assert old in GOOD
    return read(GOOD.replace(old, new))


def refused(observatory: Observatory) -> str:
    found = check(observatory)
    return " ".join(f"{f.where}: {f.message}" for f in found if f.weight is Weight.REFUSED)


def said(observatory: Observatory) -> str:
    found = check(observatory)
    return " ".join(f"{f.where}: {f.message}" for f in found if f.weight is Weight.SAID)


def test_the_shipped_example_is_safe() -> None:
    assert check(load(shipped("observatory.yaml"))) == []


def test_a_whole_observatory_has_nothing_to_complain_of() -> None:
    assert check(read(GOOD)) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("hall-a}", "hall-a, bandwidth: {rat: 5}}", "unknown key 'rat'"),
        ("hall-a}", "hall-a, bandwidth: {rate: 5 MB, zone: Nowhere}}", "no IANA time zone"),
        (
            "BUFFER, failure_domain: dome}",
            "BUFFER, failure_domain: dome, bandwidth: {rate: 5 MB}}",
            "is for an archive",
        ),
        ("sites:", "policy: {copies: 3}\nsites:", "2 failure domain(s) (hall-a, hall-b)"),
        ("hall-b", "hall-a", "1 failure domain(s) (hall-a) for copies: 2"),
        ("hall-b}", "hall-b, active: false}", "1 failure domain(s) (hall-a) for copies: 2"),
        ("sites:", "policy: {copies: 0}\nsites:", "must be more than 0"),
        (
            "sites:",
            "policy: {scrub_days: 10, proof_max_age: 11 days}\nsites:",
            "a proof older than the scrub (10 days)",
        ),
        ("site: dome, type: SOURCE", "site: doom, type: SOURCE", "unknown site 'doom'"),
        ("to: center-buffer", "to: centre-buffer", "unknown location 'centre-buffer'"),
        ("to: center-buffer", "to: vault-a", "vault-a is a LONG_TERM_ARCHIVE; routes join BUFFERs"),
        ("from: dome-buffer", "from: disk", "disk is a SOURCE; routes join BUFFERs"),
        ("to: center-buffer", "to: dome-buffer", "leads from a location to itself"),
        ("site: dome, type: BUFFER", "site: center, type: BUFFER", "dome has no active BUFFER"),
        ("dome}\n  center", "dome, active: false}\n  center", "dome has no active BUFFER"),
        ("routes:\n  link: {from: dome-buffer, to: center-buffer}\n", "", "vault-a: no route"),
        ("to: center-buffer}", "to: center-buffer, active: false}", "vault-a: no route"),
        ("Los_Angeles", "Los_Angles", "'America/Los_Angles' is no IANA time zone"),
        ("owner: somebody", "archives: [vault-c]", "unknown location 'vault-c'"),
        ("owner: somebody", "archives: [disk]", "disk is a SOURCE, no LONG_TERM_ARCHIVE"),
        ("owner: somebody", "archives: [vault-a]", "U042: archives: 1 failure domain(s)"),
        ("owner: somebody", "copies: 3", "U042: archives: 2 failure domain(s)"),
        ("hall-a}", "hall-a, reap: enabled}", "nothing is deleted from a LONG_TERM_ARCHIVE"),
        ("hall-a}", "hall-a, keep: 1 day}", "nothing is deleted from a LONG_TERM_ARCHIVE"),
        (
            "hall-a}",
            "hall-a, high: 85 %, low: 75 %}",
            "nothing is deleted from a LONG_TERM_ARCHIVE",
        ),
        ("7 days}", "7 days, high: 85 %}", "high and low stand together"),
        ("7 days}", "7 days, high: 75 %, low: 85 %}", "low below high"),
        ("7 days}", "7 days, settle: {looks: 0}}", "must be 1 or more"),
        ("7 days}", "7 days, settle: {ready_marker: done}}", "must hold {name}"),
        ("7 days}", '7 days, ephemeral: [{path: "*", keep: 1 day}]}', "must name a part"),
        ("7 days}", "7 days, instrument: kast}", "unknown 'kast'; known: nickel"),
        ("7 days}", "7 days, program: U043}", "unknown 'U043'; known: U042"),
        ("7 days}", "7 days, telescope: Shane}", "unknown 'Shane'; known: Nickel"),
        ("failure_domain: center}", "failure_domain: center, replayed: true}", "for a SOURCE only"),
        ("link:", "disk:", "a location has this name"),
        ("vault-b:", "vault b:", "is no name"),
        ("vault-b:", "vault@b:", "is no name"),
    ],
)
def test_what_cannot_be_safe_is_refused(old: str, new: str, complaint: str) -> None:
    assert complaint in refused(changed(old, new))


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("sites:", "policy: {copies: 1}\nsites:", "one copy is called safe here"),
        ("dome, keep: 7 days", "dome, reap: enabled", "without keep and high: nothing goes"),
        ("7 days}", "7 days, reap: enabled, trash_grace: 1 s}", "less than an hour"),
        ("hall-a}", "dome}", "fails together with a SOURCE"),
        ("hall-a}", "hall-a, best_reading: cache}", "may only prove what memory holds"),
    ],
)
def test_what_a_person_should_know_is_said_and_allowed(old: str, new: str, word: str) -> None:
    assert word in said(changed(old, new))
    assert refused(changed(old, new)) == ""


def test_a_relay_feeds_an_archive_behind_two_routes() -> None:
    relay = GOOD.replace("sites: {", "sites: {city: {}, ").replace(
        "routes:",
        "  city-buffer: {site: city, type: BUFFER, failure_domain: city}\n"
        "  vault-c: {site: city, type: LONG_TERM_ARCHIVE, failure_domain: city}\n"
        "routes:\n  on: {from: center-buffer, to: city-buffer}\n"
        "  back: {from: city-buffer, to: center-buffer}",
    )
    assert refused(read(relay)) == ""
    assert "vault-c: no route" in refused(
        read(relay.replace("from: center-buffer, ", "from: city-buffer, "))
    )


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"line 3: unknown key 'kep'.*did you mean 'keep'"):
        read(GOOD.replace("keep: 7 days", "kep: 7 days"))


# --- its rows -------------------------------------------------------------------------------------


@pytest.fixture
def ledger(database: str) -> Iterator[Database]:
    made = Database(database, actor="somebody")
    yield made
    made.close()


def put(ledger: Database, text: str) -> list[tuple[str, str, Action]]:
    changes = ledger.run(lambda tx: apply(tx, read(text)))
    return [(c.kind, c.name, c.action) for c in changes]


def rows(ledger: Database, query: str) -> list[Row]:
    return ledger.run(lambda tx: tx.execute(query))


def test_what_is_applied_stands_in_rows(ledger: Database) -> None:
    put(ledger, GOOD)
    (disk,) = rows(ledger, "SELECT * FROM data_location WHERE name = 'disk'")
    assert (disk.type, disk.keep.days, disk.reap_enabled, disk.active) == ("SOURCE", 7, False, True)
    assert disk.settings["settle"] == {
        "looks": 2, "looks_apart": 5.0, "sweep_today": 60.0, "sweep_all": 21600.0,
    }  # fmt: skip
    (telescope,) = rows(ledger, "SELECT * FROM telescope")
    assert (telescope.zone, str(telescope.turnover)) == ("America/Los_Angeles", "12:00:00")
    (route,) = rows(ledger, "SELECT origin, destination FROM route")
    assert tuple(route) == ("dome-buffer", "center-buffer")
    assert [
        r.location for r in rows(ledger, "SELECT location FROM program_archive ORDER BY 1")
    ] == [
        "vault-a",
        "vault-b",
    ]


def test_applying_twice_changes_nothing_the_second_time(ledger: Database) -> None:
    assert put(ledger, GOOD)
    assert put(ledger, GOOD) == []


def test_a_difference_is_found_before_it_is_applied(ledger: Database) -> None:
    put(ledger, GOOD)
    other = read(GOOD.replace("7 days", "9 days").replace("sites:", "policy: {copies: 1}\nsites:"))
    changes = ledger.run(lambda tx: diff(tx, other))
    assert {(c.kind, c.name): set(c.fields) for c in changes} == {
        ("location", "disk"): {"keep"},
        ("policy", ""): {"copies"},
    }


def test_every_change_is_told_in_the_history(ledger: Database) -> None:
    put(ledger, GOOD)
    put(
        ledger,
        GOOD.replace("7 days", "9 days").replace(
            "to: center-buffer", "to: center-buffer, priority: 5"
        ),
    )
    told = rows(ledger, "SELECT what, subject, actor, detail FROM event ORDER BY id DESC LIMIT 2")
    assert {(r.what, r.subject, r.actor) for r in told} == {
        ("location changed", "disk", "somebody"),
        ("route changed", "link", "somebody"),
    }


def test_a_location_that_leaves_the_file_is_removed_if_the_ledger_never_used_it(
    ledger: Database,
) -> None:
    put(ledger, GOOD)
    without = GOOD.replace(
        "  vault-b: {site: center, type: LONG_TERM_ARCHIVE, failure_domain: hall-b}\n", ""
    )
    assert ("location", "vault-b", Action.REMOVE) in put(ledger, without)
    assert rows(ledger, "SELECT FROM data_location WHERE name = 'vault-b'") == []


def test_a_location_with_copies_that_leaves_the_file_is_drained_and_comes_back(
    ledger: Database,
) -> None:
    put(ledger, GOOD)
    ledger.run(_a_copy)
    without = GOOD.replace(
        "  vault-b: {site: center, type: LONG_TERM_ARCHIVE, failure_domain: hall-b}\n", ""
    )
    assert ("location", "vault-b", Action.DRAIN) in put(ledger, without)
    assert (
        rows(ledger, "SELECT active FROM data_location WHERE name = 'vault-b'")[0].active is False
    )
    assert put(ledger, without) == []
    put(ledger, GOOD)
    assert rows(ledger, "SELECT active FROM data_location WHERE name = 'vault-b'")[0].active is True


def _a_copy(tx: Tx) -> None:
    tx.execute(
        "WITH f AS (INSERT INTO raw_data_file (location, path, handling, sha256, size, mtime_ns,"
        " ctime_ns, header, night, night_from, instrument) VALUES ('vault-b', 'a', 'adopted',"
        " repeat('0', 64), 1, 1, 1, 'none', '2024-05-12', 'arrival', 'nickel') RETURNING *)"
        " INSERT INTO physical_copy (file, location, path, state, sha256, size)"
        " SELECT id, location, path, 'present', sha256, size FROM f"
    )


def test_a_location_with_copies_cannot_become_another_kind_of_place(ledger: Database) -> None:
    put(ledger, GOOD)
    ledger.run(_a_copy)
    with pytest.raises(ConfigError, match=r"vault-b.*can't change"):
        put(ledger, GOOD.replace("vault-b: {site: center", "vault-b: {site: dome"))


def test_what_a_person_drained_stays_drained(ledger: Database) -> None:
    put(ledger, GOOD)
    ledger.run(
        lambda tx: tx.execute("UPDATE data_location SET active = false WHERE name = 'vault-a'")
    )
    assert put(ledger, GOOD) == []


def test_a_programme_that_needs_no_rule_of_its_own_any_more_has_the_others(
    ledger: Database,
) -> None:
    put(ledger, GOOD.replace("owner: somebody", "archives: [vault-a], copies: 1"))
    assert put(ledger, GOOD)
    asked = ledger.run(lambda tx: tx.execute("SELECT archives_for('U042') AS name"))
    assert sorted(r.name for r in asked) == ["vault-a", "vault-b"]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "observatory.yaml")
