"""nf obs: an observation is filed, before or after its files came."""

import json
from pathlib import Path

import pytest

from tests.ledger import NIGHT, Ledger
from tests.typed import Nf

BEGAN = "2024-05-13T04:00"  # UTC: the evening of the 12th at Lick


@pytest.fixture
def ledger(database: str) -> Ledger:
    ledger = Ledger(database).observatory()
    ledger.execute(
        "INSERT INTO observing_program (name, owner, proprietary) VALUES ('U042', 'kim', '1 year')"
    )
    return ledger


@pytest.fixture
def nf(database: str, ledger: Ledger, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path, f"{{dome-disk: {tmp_path / 'disk'}}}")


def add(nf: Nf, *words: str) -> dict[str, object]:
    told: dict[str, object] = nf.json(
        "obs", "add", "--instrument", "nickel", "--program", "U042", "--began", BEGAN, *words
    )
    return told


def test_an_observation_takes_its_files_that_came_and_waits_for_the_others(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.file("n1/a.fits")
    told = add(nf, "n1/a.fits", "n1/b.fits", "--target", "M13")
    assert (told["night"], told["attached"], told["awaited"]) == (str(NIGHT), 1, 1)
    row = ledger.execute(
        "SELECT f.owner, f.program, f.public_after::date::text AS public, u.target, u.completed"
        " FROM raw_data_file f JOIN executed_obs_unit u ON u.id = f.executed_obs_unit"
    )[0]
    assert (row.owner, row.program, row.target, row.completed) == ("kim", "U042", "M13", None)
    assert row.public == "2025-05-13"
    shown = nf("obs", "show", str(told["observation"])[-8:])
    assert "n1/b.fits - not come yet" in shown.words
    assert "n1/a.fits 9 B science registered" in shown.words


def test_a_file_is_named_as_it_stands_on_the_disk(ledger: Ledger, nf: Nf, tmp_path: Path) -> None:
    ledger.file("n1/a.fits")
    assert add(nf, str(tmp_path / "disk" / "n1" / "a.fits"))["attached"] == 1


def test_a_document_files_the_same(ledger: Ledger, nf: Nf, tmp_path: Path) -> None:
    ledger.file("a.fits")
    document = {
        "id": "01890000-0000-7000-8000-000000000001", "instrument": "nickel", "program": "U042",
        "unit": "field 7", "target": "M13", "began": BEGAN + "Z", "files": ["a.fits"],
        "frame_type": "science", "complete": True,
    }  # fmt: skip
    path = tmp_path / "observation.json"
    path.write_text(json.dumps(document))
    told = nf.json("obs", "add", "--file", str(path))
    assert (told["observation"], told["attached"]) == (document["id"], 1)
    row = ledger.execute(
        "SELECT u.completed IS NOT NULL AS complete, o.name, u.document FROM executed_obs_unit u"
        " JOIN obs_unit o ON o.id = u.obs_unit"
    )[0]
    assert (row.complete, row.name, row.document) == (True, "field 7", document)


def test_filing_twice_with_the_same_id_is_filing_once(ledger: Ledger, nf: Nf) -> None:
    identity = "01890000-0000-7000-8000-000000000001"
    add(nf, "a.fits", "--id", identity)
    ledger.file("a.fits")
    told = add(nf, "a.fits", "b.fits", "--id", identity, "--complete")
    assert (told["attached"], told["awaited"]) == (1, 1)
    assert len(ledger.execute("SELECT FROM executed_obs_unit")) == 1
    assert ledger.execute("SELECT FROM executed_obs_unit WHERE completed IS NOT NULL")


def test_what_was_grouped_by_headers_is_the_filed_observations_now(ledger: Ledger, nf: Nf) -> None:
    ledger.file("a.fits")
    group = ledger.execute(
        "INSERT INTO executed_obs_unit (origin, instrument, night) VALUES ('grouped', 'nickel', %s)"
        " RETURNING id",
        NIGHT,
    )[0]
    ledger.execute("UPDATE raw_data_file SET executed_obs_unit = %s", group.id)
    assert add(nf, "a.fits")["attached"] == 1
    assert ledger.execute("SELECT FROM executed_obs_unit WHERE origin = 'grouped'") == []


def test_a_packaged_file_stays_in_its_package(ledger: Ledger, nf: Nf) -> None:
    ledger.package(ledger.file("a.fits"))
    told = add(nf, "a.fits")
    assert (told["attached"], told["packaged"]) == (0, ["a.fits"])


def test_an_observation_is_declared_complete(ledger: Ledger, nf: Nf) -> None:
    told = add(nf, "a.fits")
    listed = nf.json("obs", "list", "--night", str(NIGHT))
    assert [(o["filed"], o["files"], o["completed"]) for o in listed] == [(1, 0, None)]
    assert nf("obs", "complete", str(told["observation"])).code == 0
    assert nf.json("obs", "list")[0]["completed"] is not None
    assert "complete" in nf("obs", "list").words


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--instrument", "kast"], "unknown instrument 'kast'"),
        (["--instrument", "nickel", "--program", "U043"], "unknown programme 'U043'"),
        (["--instrument", "nickel", "--began", "today"], "is no time such as"),
        (["--instrument", "nickel", "--frame-type", "flats"], "none of bias, dark, flat"),
        (["--instrument", "nickel", "../a.fits"], "paths are below the root"),
        (["--program", "U042"], "names no instrument"),
    ],
)
def test_what_cannot_be_filed_is_said(nf: Nf, words: list[str], complaint: str) -> None:
    answer = nf("obs", "add", *words)
    assert answer.code == 2
    assert complaint in answer.err


def test_an_unknown_key_of_a_document_is_named_with_the_nearest(nf: Nf, tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    path.write_text('{"instrument": "nickel", "programme": "U042"}')
    assert "did you mean 'program'?" in nf("obs", "add", "--file", str(path)).err
    path.write_text("[]")
    assert "one JSON object is meant" in nf("obs", "add", "--file", str(path)).err
