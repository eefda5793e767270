"""nf config and nf migrate: from an empty database to an observatory."""

from pathlib import Path

import pytest

from tests.typed import Nf
from tests.unit.test_observatory import GOOD


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    (tmp_path / "observatory.yaml").write_text(GOOD)
    return Nf(database, tmp_path)


def test_an_empty_database_is_brought_up_to_date(empty_database: str, tmp_path: Path) -> None:
    nf = Nf(empty_database, tmp_path)
    missing = nf("migrate", "--check")
    assert (missing.code, missing.next) == (1, "nf migrate")
    assert nf.json("migrate", "--check")["missing"][0] == "0001_ground"
    done = nf("migrate")
    assert done.code == 0
    assert "ran 0001_ground" in done.words
    again = nf.json("migrate")
    assert (again["ran"], again["missing"]) == ([], [])


def test_the_file_beside_the_hosts_own_is_checked_compared_and_applied(nf: Nf) -> None:
    assert nf("config", "check").last.startswith("YES")
    before = nf("config", "diff")
    assert (before.code, before.next.split()) == (1, ["nf", "config", "apply"])
    assert "new location disk" in before.words
    assert nf("config", "apply").code == 0
    assert nf("config", "diff").code == 0
    assert nf("config", "apply").last.startswith("Nothing to do")


def test_a_change_shows_what_was_and_what_will_be(nf: Nf, tmp_path: Path) -> None:
    nf("config", "apply")
    other = tmp_path / "other.yaml"
    other.write_text(GOOD.replace("7 days", "9 days"))
    assert "changes location disk keep 7 d → 9 d" in nf("config", "diff", str(other)).words
    (change,) = nf.json("config", "diff", str(other))["changes"]
    assert change["fields"]["keep"] == {"was": 7 * 86400, "is": 9 * 86400}


def test_what_cannot_be_safe_is_not_applied(nf: Nf, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD.replace("hall-b", "hall-a"))
    checked = nf("config", "check", str(other))
    assert checked.code == 1
    assert "1 failure domain(s) (hall-a) for copies: 2" in checked.words
    assert nf.json("config", "check", str(other))["ok"] is False
    applied = nf("config", "apply", str(other))
    assert applied.code == 3
    assert "failure domain" in applied.err
    assert nf("config", "diff").words.count("new location") == 5


def test_an_unknown_key_is_a_sentence_and_not_a_trace(nf: Nf, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD.replace("keep", "kep"))
    answer = nf("config", "check", str(other))
    assert answer.code == 3
    assert "did you mean 'keep'?" in answer.err
    assert "Traceback" not in answer.err
