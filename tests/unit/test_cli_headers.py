"""nf headers: whole headers, corrections, and columns derived again; the bytes stay."""

from pathlib import Path

import pytest
from nightferry.testing.camera import frames

from tests.ledger import Ledger
from tests.typed import Nf

NIGHT = "2026-03-14"


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, ledger: Ledger, tmp_path: Path) -> Nf:
    """Three frames of a night, registered with their headers."""
    vault = tmp_path / "vault"
    vault.mkdir()
    for name, content in frames(count=3):
        (vault / name).write_bytes(content)
    (vault / "broken.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 3000)
    nf = Nf(database, tmp_path, f"{{vault-a: {vault}}}")
    assert nf("locations", "init", "vault-a").code == 0
    assert nf("adopt", "vault-a").code == 0
    return nf


def columns(ledger: Ledger, path: str = "s0001.fits") -> dict[str, object]:
    row = ledger.execute("SELECT * FROM raw_data_file WHERE path = %s", path)[0]
    return dict(row._mapping)


def test_the_whole_header_is_shown(nf: Nf) -> None:
    answer = nf("headers", "show", "s0001.fits")
    assert "SIMPLE = T" in answer.words
    assert answer.last == f"s0001.fits of {NIGHT}: 1 HDU, 0 corrections."
    assert nf.json("headers", "show", "s0001.fits")["hdus"][0][0].startswith("SIMPLE")


def test_deriving_again_by_the_same_rules_changes_nothing(ledger: Ledger, nf: Nf) -> None:
    before = [columns(ledger, p) for p in ("s0001.fits", "broken.fits")]
    assert nf.json("headers", "rederive") == {"files": 4, "changed": 0, "other_night": 0}
    assert [columns(ledger, p) for p in ("s0001.fits", "broken.fits")] == before


def test_what_was_derived_by_worse_rules_is_mended(ledger: Ledger, nf: Nf) -> None:
    right = columns(ledger)
    ledger.execute(
        "UPDATE raw_data_file SET frame_type = 'science', object = 'nonsense', ra = NULL,"
        " exposure_start = NULL, attributes = '{}'"
    )
    assert nf.json("headers", "rederive", "--night", NIGHT)["changed"] == 3
    assert columns(ledger) == right
    assert nf.json("headers", "rederive", "--instrument", "nickel")["files"] == 0


def test_a_correction_of_one_file_changes_its_columns_and_nothing_else(
    ledger: Ledger, nf: Nf
) -> None:
    before, other = columns(ledger), columns(ledger, "s0002.fits")
    told = nf.json("headers", "correct", "s0001.fits", "object", "M13", "--why", "wrong list")
    assert told["changed"] == 1
    assert columns(ledger) == before | {"object": "M13"}
    assert columns(ledger, "s0002.fits") == other
    shown = nf.json("headers", "show", "s0001.fits")
    assert [(c["keyword"], c["value"], c["why"]) for c in shown["corrections"]] == [
        ("OBJECT", "M13", "wrong list")
    ]
    assert not any("M13" in card for card in shown["hdus"][0])


def test_a_correction_of_a_night_and_instrument_holds_for_all_its_files(
    ledger: Ledger, nf: Nf
) -> None:
    said = nf(
        "headers", "correct", NIGHT, "EXPTIME", "2.5", "--instrument", "simulated", "--why", "x"
    )
    assert "3 rows of 3 files changed" in said.last
    assert {columns(ledger, f"s000{n}.fits")["exposure_seconds"] for n in (1, 2, 3)} == {2.5}
    assert nf.json(
        "headers", "correct", NIGHT, "EXPTIME", "9", "--instrument", "nickel", "--why", "x"
    )["files"] == 0  # fmt: skip


def test_a_correction_of_the_file_stands_over_the_nights(ledger: Ledger, nf: Nf) -> None:
    nf("headers", "correct", "s0001.fits", "EXPTIME", "7", "--why", "its own")
    nf("headers", "correct", NIGHT, "EXPTIME", "2.5", "--why", "all")
    assert columns(ledger)["exposure_seconds"] == 7
    assert columns(ledger, "s0002.fits")["exposure_seconds"] == 2.5


def test_a_keyword_can_be_taken_away(ledger: Ledger, nf: Nf) -> None:
    nf("headers", "correct", "s0001.fits", "OBJECT", "--remove", "--why", "left from yesterday")
    assert columns(ledger)["object"] == ""
    assert nf("headers", "correct", "s0001.fits", "OBJECT", "--why", "x").code == 3


def test_a_withdrawn_correction_leaves_what_it_stood_over(ledger: Ledger, nf: Nf) -> None:
    before = columns(ledger)
    nf("headers", "correct", NIGHT, "EXPTIME", "2.5", "--why", "all")
    told = nf.json("headers", "correct", "s0001.fits", "EXPTIME", "7", "--why", "its own")
    own = told["correction"]
    assert own[-8:] in nf("headers", "show", "s0001.fits").words
    assert nf.json("headers", "withdraw", own)["changed"] == 1
    assert columns(ledger)["exposure_seconds"] == 2.5, "the night's"
    (left,) = nf.json("headers", "show", "s0001.fits")["corrections"]
    said = nf("headers", "withdraw", left["correction"][-8:])
    assert "Withdrawn: EXPTIME for 2026-03-14 was corrected because: all: 3 rows" in said.last
    assert columns(ledger) == before
    history = ledger.execute(
        "SELECT what, detail ? 'withdrawn' FROM event WHERE what LIKE 'correction%%' ORDER BY at"
    )
    assert [tuple(e) for e in history] == [("correction made", False)] * 2 + [
        ("correction changed", True)
    ] * 2
    again = nf("headers", "withdraw", own)
    assert again.code != 0
    assert "correction" in again.err


def test_a_corrected_date_leaves_the_night_as_it_was_registered(ledger: Ledger, nf: Nf) -> None:
    said = nf(
        "headers", "correct", "s0001.fits", "DATE-BEG", "2025-03-15T00:00:00", "--why", "year"
    )
    assert "1 file says another night now" in said.words
    row = columns(ledger)
    assert str(row["night"]) == NIGHT
    assert str(row["exposure_start"]).startswith("2025-03-15")


def test_an_unknown_file_is_said(nf: Nf) -> None:
    assert "knows no file 'x.fits'" in nf("headers", "show", "x.fits").err
