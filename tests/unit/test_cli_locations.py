"""nf locations: markers, draining, and files that vanished."""

import json
from pathlib import Path

import pytest
from nightferry.marker import MARKER_FILE

from tests.ledger import Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    made = tmp_path / "vault"
    made.mkdir()
    return made


@pytest.fixture
def nf(database: str, tmp_path: Path, vault: Path) -> Nf:
    return Nf(database, tmp_path, f"{{vault-a: {vault}}}")


def state(nf: Nf, name: str) -> dict[str, object]:
    rows: list[dict[str, object]] = nf.json("locations", "list")
    return next(r for r in rows if r["name"] == name)


def test_a_marker_is_placed_once_and_what_the_disk_can_do_is_recorded(
    ledger: Ledger, nf: Nf, vault: Path
) -> None:
    listed = nf("locations", "list")
    assert listed.code == 1
    assert "no marker" in listed.words
    assert nf("locations", "init", "vault-a").code == 0
    placed = (vault / MARKER_FILE).read_text()
    row = ledger.execute(
        "SELECT marker::text, capabilities FROM data_location WHERE name = 'vault-a'"
    )[0]
    assert json.loads(placed) == json.loads(placed) | {"location": "vault-a", "marker": row.marker}
    assert row.capabilities["renameat2"] in (True, False)
    assert nf("locations", "init", "vault-a").code == 0
    assert (vault / MARKER_FILE).read_text() == placed
    assert state(nf, "vault-a")["marked"] is True


def test_the_directory_of_another_location_is_refused(ledger: Ledger, nf: Nf, vault: Path) -> None:
    nf("locations", "init", "vault-a")
    refused = nf("locations", "init", "vault-b", "--path", str(vault))
    assert refused.code == 2
    assert "is the location vault-a" in refused.err


def test_a_new_disk_becomes_the_location_only_by_a_persons_word(
    ledger: Ledger, nf: Nf, tmp_path: Path
) -> None:
    nf("locations", "init", "vault-a")
    new = tmp_path / "new"
    new.mkdir()
    refused = nf("locations", "init", "vault-a", "--path", str(new))
    assert refused.code == 3
    assert "--replace" in refused.err
    assert nf("locations", "init", "vault-a", "--path", str(new), "--replace").code == 0


def test_what_is_not_mounted_here_cannot_be_marked(ledger: Ledger, nf: Nf) -> None:
    answer = nf("locations", "init", "vault-b")
    assert answer.code == 3
    assert "not mounted here" in answer.err


def test_a_drained_location_takes_nothing_new_and_still_counts(ledger: Ledger, nf: Nf) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    drained = nf("locations", "drain", "vault-a", "new shelves")
    assert "what is there counts (1 copy)" in drained.last
    asked = ledger.execute("SELECT archives_for(NULL) AS name")
    assert [r.name for r in asked] == ["vault-b"]
    assert ledger.execute("SELECT proven FROM safety")[0].proven == 2
    assert nf("locations", "resume", "vault-a").code == 0
    assert len(ledger.execute("SELECT archives_for(NULL)")) == 2
    assert nf("locations", "drain", "nowhere", "why").code == 3


def test_what_is_on_its_way_to_a_drained_location_is_stopped(ledger: Ledger, nf: Nf) -> None:
    ledger.execute(
        "INSERT INTO job (kind, subject, place, needs) VALUES ('transfer', 'b1@vault-a', 'x', 'link'),"
        " ('archive', 'p1@vault-a', 'vault-a', 'vault-a'), ('archive', 'p1@vault-b', 'vault-b', 'vault-b'),"
        " ('verify', 'c1@vault-a', 'vault-a', 'vault-a')"
    )
    left = "SELECT kind || ' ' || subject AS job FROM job ORDER BY 1"
    nf("locations", "resume", "vault-a")
    assert len(ledger.execute(left)) == 4
    nf("locations", "drain", "vault-a", "new shelves")
    assert [row.job for row in ledger.execute(left)] == ["archive p1@vault-b", "verify c1@vault-a"]


def test_a_mass_of_missing_files_is_believed_on_a_persons_word(ledger: Ledger, nf: Nf) -> None:
    assert nf("locations", "accept-missing", "dome-disk").code == 1
    ledger.execute(
        "UPDATE location_state SET vanish_guard ="
        """ '{"vanished": 500, "known": 600, "example": "a.fits"}'"""
    )
    assert "500 of 600 files vanished at once" in nf("locations", "list").words
    assert "500 files may be gone" in nf("locations", "accept-missing", "dome-disk").last
    guard = ledger.execute("SELECT vanish_guard FROM location_state")[0].vanish_guard
    assert guard["accepted"] == 500
