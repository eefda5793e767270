"""nf audit: disk against ledger on real sites; rows follow the disk only when a person says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry import audit as auditing
from nightferry.db import Database

from tests.daemons.ground import Ground, frame
from tests.typed import Nf

pytestmark = pytest.mark.slow  # long, and the same on every Python


@pytest.fixture
def nf(two_sites: Ground, database: str, tmp_path: Path) -> Nf:
    """The commands at the data centre."""
    return at(two_sites, database, tmp_path, "archive-a", "archive-b", "center-buffer")


def at(site: Ground, dsn: str, folder: Path, *names: str) -> Nf:
    folder.mkdir(exist_ok=True)
    places = ", ".join(f"{n}: '{site.sites.path(n)}'" for n in names)
    return Nf(dsn, folder, f"{{{places}}}")


def packages(site: Ground, location: str) -> list[Path]:
    return sorted(site.sites.path(location).rglob("*.tar"))


def many_packages(site: Ground) -> None:
    """Eleven, each with one file of a night of its own."""
    for number in range(1, 12):
        site.put(f"f{number}.fits", frame(number, DATE_BEG=f"2026-04-{number:02d}T02:00:00.000"))
    site.travel()
    assert len(packages(site, "archive-a")) == 11


def test_a_strange_file_goes_to_quarantine_and_a_missing_one_is_repaired_when_it_is_said(
    two_sites: Ground, nf: Nf
) -> None:
    many_packages(two_sites)
    gone, *_ = packages(two_sites, "archive-a")
    gone.unlink()
    strange = two_sites.sites.path("archive-b") / "strange.tar"
    strange.write_bytes(b"?")
    assert nf("audit").code == 1
    assert two_sites.copies("archive-a").count("present") == 11
    answer = nf("audit", "--apply")
    assert answer.code == 1
    assert "1 file went to quarantine, 1 copy is missing and will be repaired" in answer.last
    assert strange.exists()
    assert two_sites.one("SELECT path FROM quarantine WHERE released IS NULL") == "strange.tar"
    two_sites.once("center", "archive")
    two_sites.once("center", "verify")
    assert gone.exists()
    assert nf("audit").code == 0


def test_a_copy_of_another_size_is_read_again_and_one_that_came_back_too(
    two_sites: Ground, nf: Nf
) -> None:
    many_packages(two_sites)
    short, away, *_ = packages(two_sites, "archive-a")
    short.write_bytes(short.read_bytes()[:-1000])
    content = away.read_bytes()
    away.unlink()
    assert nf.json("audit", "--apply", "--even-if-much")["locations"][0]["applied"] == {
        "quarantined": 0,
        "missing": 1,
        "doubted": 1,
    }
    away.write_bytes(content)
    assert nf.json("audit", "archive-a", "--apply")["locations"][0]["applied"]["doubted"] == 1
    two_sites.once("center", "verify")
    two_sites.once("center", "archive")
    two_sites.once("center", "verify")
    assert two_sites.copies("archive-a").count("present") == 11
    assert nf("audit").code == 0


def test_more_than_a_tenth_stops_and_asks(two_sites: Ground, nf: Nf) -> None:
    many_packages(two_sites)
    for tar in packages(two_sites, "archive-a")[:3]:
        tar.unlink()
    answer = nf("audit", "--apply")
    assert answer.code == 1
    assert "nothing was applied. 3 of" in answer.last
    assert answer.next == "nf audit archive-a --apply --even-if-much"
    assert two_sites.copies("archive-a").count("missing") == 0
    assert nf("audit", "archive-a", "--apply", "--even-if-much").code == 1
    assert two_sites.copies("archive-a").count("missing") == 3


def test_what_the_daemons_move_meanwhile_is_no_difference(
    two_sites: Ground, nf: Nf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the disk and the look at the ledger, a package comes and another goes."""
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    copies, moved = auditing._copies, []

    def while_they_move(database: Database, location: str) -> Iterator[tuple[str, int]]:
        if not moved:
            moved.append(location)
            two_sites.put("f2.fits", frame(2, DATE_BEG="2026-04-02T02:00:00.000"))
            two_sites.travel()
            two_sites.reap()
        return copies(database, location)

    monkeypatch.setattr(auditing, "_copies", while_they_move)
    before = len(packages(two_sites, "archive-a"))
    assert nf.json("audit", "archive-a")["agree"] is True, "one came"
    assert len(packages(two_sites, "archive-a")) == before + 1
    moved.clear()
    two_sites.put("f3.fits", frame(3, DATE_BEG="2026-04-03T02:00:00.000"))
    two_sites.travel()
    assert packages(two_sites, "center-buffer")
    assert nf.json("audit", "center-buffer")["agree"] is True, "all went"
    assert not packages(two_sites, "center-buffer")


def test_an_unmarked_or_wrong_disk_is_refused(two_sites: Ground, nf: Nf) -> None:
    two_sites.frames(1)
    two_sites.travel()
    marker = two_sites.sites.path("archive-a") / ".nightferry-location"
    marker.rename(marker.with_name("elsewhere"))
    answer = nf("audit", "archive-a", "--apply")
    assert answer.code == 2
    assert "no marker" in answer.err
    marker.write_bytes((two_sites.sites.path("archive-b") / marker.name).read_bytes())
    answer = nf("audit", "archive-a", "--apply")
    assert answer.code == 2
    assert "carries the marker of archive-b" in answer.err
    assert two_sites.copies("archive-a") == ["present"]


def test_nothing_of_an_instruments_disk_is_concluded(
    two_sites: Ground, database: str, tmp_path: Path
) -> None:
    nf = at(two_sites, database, tmp_path / "dome", "dome-source")
    two_sites.frames(1)
    two_sites.travel()
    next(two_sites.source.glob("s*.fits")).unlink()
    two_sites.put("new.fits", frame(5))
    nf("audit", "--apply", "--even-if-much")
    assert two_sites.copies("dome-source") == ["present"]
    assert two_sites.ask("SELECT FROM quarantine") == []


def test_a_restored_database_is_trusted_once_every_host_has_passed(
    two_sites: Ground, nf: Nf, database: str, tmp_path: Path
) -> None:
    dome = at(two_sites, database, tmp_path / "dome", "dome-source", "dome-buffer")
    two_sites.frames(1)
    two_sites.travel()
    assert dome("audit").code == 0
    two_sites.ask(
        "INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)"
        " VALUES (1, 1, 1, 'another server')"
    )
    two_sites.ask("UPDATE audit_result SET timeline = 99")  # what the lost server had passed
    answer = nf("audit", "--trust")
    assert answer.code == 0
    assert "Not passed yet, by this database: dome-buffer, dome-source." in answer.last
    assert two_sites.one("SELECT incarnation_is_trusted()") is False
    assert dome.json("audit", "--trust")["trusted"] is True
    assert two_sites.one("SELECT incarnation_is_trusted()") is True
