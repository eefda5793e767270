"""nf find: files by what is known of them."""

from datetime import date
from pathlib import Path

import pytest

from tests.ledger import Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    ledger = Ledger(database).observatory()
    ledger.archive(ledger.package(ledger.file("2024-05-12/m13_1.fits", object="M13", filter="R")))
    ledger.file("2024-05-12/m13x2.fits", object="m13 off", program="U042")
    ledger.file("2024-05-12/b.fits", frame_type="bias", header="broken")
    lost = ledger.file("2024-05-13/c.dat", night=date(2024, 5, 13), header="none")
    ledger.execute("INSERT INTO lost_file (file, how) VALUES (%s, 'gone')", lost.id)
    return ledger


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--night", "2024-05-12"], ["b.fits", "m13_1.fits", "m13x2.fits"]),
        (["--object", "m13*"], ["m13_1.fits", "m13x2.fits"]),
        (["--object", "M13"], ["m13_1.fits"]),
        (["--type", "bias"], ["b.fits"]),
        (["--program", "U042"], ["m13x2.fits"]),
        (["--path", "m13_?.fits"], ["m13_1.fits"]),
        (["--path", "2024-05-13/*"], ["c.dat"]),
        (["--state", "safe"], ["m13_1.fits"]),
        (["--state", "unsafe"], ["b.fits", "c.dat", "m13x2.fits"]),
        (["--state", "lost"], ["c.dat"]),
        (["--state", "no-header"], ["c.dat"]),
        (["--state", "broken-header", "--instrument", "nickel"], ["b.fits"]),
    ],
)
def test_files_are_found_by_what_is_known_of_them(
    ledger: Ledger, nf: Nf, words: list[str], found: list[str]
) -> None:
    files = nf.json("find", *words)["files"]
    assert sorted(f["path"].rpartition("/")[2] for f in files) == found
    answer = nf("find", *words)
    assert answer.code == 0
    assert all(name in answer.words for name in found)


def test_the_rest_is_counted_where_the_list_ends(ledger: Ledger, nf: Nf) -> None:
    for state in ([], ["--state", "unsafe"]):
        answer = nf("find", "--path", "*", "--limit", "1", *state)
        assert f"and {2 if state else 3} more" in answer.words


def test_nothing_found_is_said_and_is_exit_code_one(ledger: Ledger, nf: Nf) -> None:
    answer = nf("find", "--object", "M31")
    assert answer.code == 1
    assert "No file agrees" in answer.last


def test_it_wants_to_know_what_to_look_for(ledger: Ledger, nf: Nf) -> None:
    answer = nf("find")
    assert answer.code == 3
    assert "say what to look for" in answer.err


def test_a_name_of_any_length_fits_the_screen_and_is_shown_whole(ledger: Ledger, nf: Nf) -> None:
    long = "deep/" * 30 + "a" * 200 + ".fits"
    ledger.file(long)
    out = nf("find", "--path", "*.fits", "--state", "unsafe").out
    assert (out.count("deep/"), out.count("a") >= 200) == (30, True)
