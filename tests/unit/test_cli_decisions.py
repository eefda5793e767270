"""nf lost, quarantine, quality, owner: a person's word, with its history."""

from datetime import date
from pathlib import Path

import pytest

from tests.ledger import NIGHT, Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path, f"{{dome-disk: {tmp_path / 'disk'}}}")


# --- lost -----------------------------------------------------------------------------------------


@pytest.fixture
def lost(ledger: Ledger) -> None:
    for path, night in (("a.fits", NIGHT), ("b.fits", NIGHT), ("c.fits", date(2024, 5, 13))):
        file = ledger.file(path, night=night)
        ledger.execute("INSERT INTO lost_file (file, how) VALUES (%s, 'gone')", file.id)


def test_a_loss_waits_for_a_person(nf: Nf, lost: None) -> None:
    assert nf("lost", "list").code == 1
    assert nf("lost", "accept", "a.fits", "c.fits", "the disk died").last.startswith("2 losses")
    assert [f["path"] for f in nf.json("lost", "list")] == ["b.fits"]
    accepted = {f["path"]: f["reason"] for f in nf.json("lost", "list", "--all")}
    assert accepted == {"a.fits": "the disk died", "b.fits": None, "c.fits": "the disk died"}


def test_a_whole_nights_losses_are_accepted_at_once(nf: Nf, lost: None) -> None:
    assert nf.json("lost", "accept", str(NIGHT), "known")["accepted"] == ["a.fits", "b.fits"]


def test_what_is_not_lost_is_not_accepted(ledger: Ledger, nf: Nf) -> None:
    ledger.file("here.fits")
    answer = nf("lost", "accept", "here.fits", "why")
    assert answer.code == 1
    assert "'here.fits' is not lost" in answer.err


# --- quarantine -----------------------------------------------------------------------------------


@pytest.fixture
def quarantined(ledger: Ledger) -> None:
    for path in ("growing.fits", "sub/link"):
        ledger.execute(
            "INSERT INTO quarantine (location, path, reason, advice, evidence)"
            " VALUES ('dome-disk', %s, 'still changing', 'look', '{\"size\": 4}')",
            path,
        )


def test_quarantine_is_listed_shown_and_released(nf: Nf, quarantined: None, ledger: Ledger) -> None:
    assert nf("quarantine", "list").code == 1
    assert "size: 4" in nf("quarantine", "show", "growing.fits").words
    assert nf("quarantine", "release", "growing.fits", "--archive-as-is").code == 0
    assert nf("quarantine", "release", "link", "--ignore").code == 0
    released = ledger.execute("SELECT path, release FROM quarantine ORDER BY path")
    assert [tuple(r) for r in released] == [
        ("growing.fits", "archive as is"),
        ("sub/link", "ignore"),
    ]
    assert nf("quarantine", "list").code == 0


def test_a_path_is_found_as_it_stands_on_the_disk(
    nf: Nf, quarantined: None, tmp_path: Path
) -> None:
    shown = nf.json("quarantine", "show", str(tmp_path / "disk" / "sub" / "link"))
    assert shown["path"] == "sub/link"


def test_a_release_says_which_of_the_two(nf: Nf, quarantined: None) -> None:
    assert nf("quarantine", "release", "link").code == 3
    assert nf("quarantine", "release", "link", "--ignore", "--archive-as-is").code == 3


# --- quality and owner ----------------------------------------------------------------------------


def observation(ledger: Ledger) -> str:
    row = ledger.execute(
        "INSERT INTO executed_obs_unit (origin, instrument, night)"
        " VALUES ('filed', 'nickel', %s) RETURNING id",
        NIGHT,
    )[0]
    ledger.execute("UPDATE raw_data_file SET executed_obs_unit = %s", row.id)
    return str(row.id)


def test_quality_is_set_and_remembered(ledger: Ledger, nf: Nf) -> None:
    ledger.file("a.fits")
    unit = observation(ledger)
    assert nf("quality", "set", "a.fits", "doubtful", "clouds").code == 0
    assert nf("quality", "set", "a.fits", "bad", "dome closed").code == 0
    assert nf("quality", "set", unit[-8:], "good", "on the whole").code == 0
    history = nf.json("quality", "history", "a.fits")
    assert [(h["quality"], h["note"], h["of_observation"]) for h in history] == [
        ("doubtful", "clouds", False),
        ("bad", "dome closed", False),
        ("good", "on the whole", True),
    ]
    row = ledger.execute(
        "SELECT f.quality::text AS file, u.quality::text AS unit FROM raw_data_file f"
        " JOIN executed_obs_unit u ON u.id = f.executed_obs_unit"
    )[0]
    assert (row.file, row.unit) == ("bad", "good")


@pytest.mark.parametrize("what", ["file", "night", "observation"])
def test_an_owner_is_set_for_a_file_a_night_or_an_observation(
    ledger: Ledger, nf: Nf, what: str
) -> None:
    ledger.file("a.fits")
    ledger.file("b.fits")
    subject = {"file": "a.fits", "night": str(NIGHT), "observation": observation(ledger)}[what]
    told = nf.json("owner", "set", subject, "survey", "--public-after", "2026-01-01")
    assert told["files"] == (1 if what == "file" else 2)
    rows = ledger.execute("SELECT owner, public_after FROM raw_data_file WHERE owner IS NOT NULL")
    assert {(r.owner, r.public_after.date()) for r in rows} == {("survey", date(2026, 1, 1))}
    events = ledger.execute("SELECT FROM event WHERE what = 'owner changed'")
    assert len(events) == told["files"]
