"""nf adopt and nf audit: an archive that was there before, and disk against ledger."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from nightferry import audit
from nightferry.db import Database
from nightferry.testing.camera import frames

from tests.ledger import Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def vaults(tmp_path: Path) -> Path:
    """Two archives: two frames, a text, and one file that is still being written."""
    for name in ("vault-a", "vault-b"):
        night = tmp_path / name / "2026" / "night one"
        night.mkdir(parents=True)
        for frame, content in frames(count=2):
            (night / frame).write_bytes(content)
        (night / "log.txt").write_text("clouds")
        os.utime(night / "log.txt", (1715500000, 1715500000))  # 12 May, 00:46 at Lick
        (night / "later.fits.part").write_bytes(b"half")
    return tmp_path


@pytest.fixture
def nf(database: str, ledger: Ledger, vaults: Path, tmp_path: Path) -> Nf:
    nf = Nf(database, tmp_path, f"{{vault-a: {vaults / 'vault-a'}, vault-b: {vaults / 'vault-b'}}}")
    for name in ("vault-a", "vault-b"):
        assert nf("locations", "init", name).code == 0
    return nf


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def test_an_archive_is_registered_as_it_lies(ledger: Ledger, nf: Nf, vaults: Path) -> None:
    before = everything(vaults / "vault-a")
    assert nf("adopt", "vault-a").last.startswith("3 files adopted")
    assert everything(vaults / "vault-a") == before
    rows = ledger.execute(
        "SELECT f.path, f.sha256, f.handling::text, f.instrument, f.night::text, f.clock::text,"
        " c.state::text, v.outcome::text, v.how::text, v.sha256 AS read"
        " FROM raw_data_file f JOIN physical_copy c ON c.file = f.id AND c.location = 'vault-a'"
        " JOIN verification v ON v.copy = c.id ORDER BY f.path"
    )
    night = vaults / "vault-a" / "2026" / "night one"
    assert [r.path.rpartition("/")[2] for r in rows] == ["log.txt", "s0001.fits", "s0002.fits"]
    for r in rows:
        content = (night / r.path.rpartition("/")[2]).read_bytes()
        assert r.sha256 == r.read == sha256(content).hexdigest()
        assert (r.handling, r.state, r.outcome) == ("adopted", "present", "good")
        assert r.clock == "unknown"
    assert (rows[0].night, rows[1].night) == ("2024-05-11", "2026-03-14")
    assert rows[1].instrument == "simulated"


def test_a_second_archive_with_the_same_files_holds_copies_of_them(ledger: Ledger, nf: Nf) -> None:
    nf("adopt", "vault-a")
    told = nf.json("adopt", "vault-b")
    assert (told["registered"], told["copies"]) == (0, 3)
    assert len(ledger.execute("SELECT FROM raw_data_file")) == 3
    assert {r.proven for r in ledger.execute("SELECT proven FROM safety")} == {2}


def test_an_interrupted_run_goes_on_where_it_was(ledger: Ledger, nf: Nf, vaults: Path) -> None:
    assert nf.json("adopt", "vault-a", "--under", "2026/night one")["registered"] == 3
    (vaults / "vault-a" / "new.fits").write_bytes(b"new")
    again = nf.json("adopt", "vault-a")
    assert (again["registered"], again["known"]) == (1, 3)


def test_a_directory_is_named_as_it_stands_on_the_disk(nf: Nf, vaults: Path) -> None:
    (vaults / "vault-a" / "other.txt").write_text("x")
    where = str(vaults / "vault-a" / "2026")
    assert nf.json("adopt", "vault-a", "--under", where)["registered"] == 3


def test_other_bytes_under_an_adopted_name_are_doubted_and_not_believed(
    ledger: Ledger, nf: Nf, vaults: Path
) -> None:
    nf("adopt", "vault-a")
    frame = vaults / "vault-a" / "2026" / "night one" / "s0001.fits"
    frame.write_bytes(frame.read_bytes()[:-1] + b"x")
    answer = nf("adopt", "vault-a")
    assert answer.code == 1
    assert "other bytes than those that were adopted" in answer.words
    doubted = ledger.execute("SELECT path FROM physical_copy WHERE state = 'suspect'")
    assert [r.path.rpartition("/")[2] for r in doubted] == ["s0001.fits"]


def test_the_packages_of_nightferry_are_left_alone(ledger: Ledger, nf: Nf, vaults: Path) -> None:
    package = ledger.package(ledger.file("a.fits"))
    ledger.copy(package, "vault-a")
    tar = vaults / "vault-a" / package.path
    tar.parent.mkdir(parents=True)
    tar.write_bytes(b"a package")
    Path(f"{tar}.sha256").write_text("its sidecar")
    told = nf.json("adopt", "vault-a")
    assert (told["registered"], told["known"]) == (3, 2)


def test_a_rate_is_kept(ledger: Ledger, nf: Nf, vaults: Path) -> None:
    size = sum(p.stat().st_size for p in (vaults / "vault-a").rglob("*.*") if p.is_file())
    told = nf.json("adopt", "vault-a", "--rate", f"{size} B", "--processes", "1")
    assert told["registered"] == 3
    row = ledger.execute(
        "SELECT extract(epoch FROM max(ended) - min(began)) AS s FROM verification"
    )
    assert row[0].s > 0.5
    assert nf("adopt", "vault-a", "--rate", "fast").code == 3


def test_only_an_archive_that_is_mounted_here_is_adopted(ledger: Ledger, nf: Nf) -> None:
    assert "not mounted on this host" in nf("adopt", "dome-disk").err


def test_an_archive_without_its_marker_is_not_adopted(ledger: Ledger, nf: Nf, vaults: Path) -> None:
    (vaults / "vault-a").rename(vaults / "gone")
    (vaults / "vault-a").mkdir()
    answer = nf("adopt", "vault-a")
    assert answer.code == 2
    assert "no marker" in answer.err


# --- audit ----------------------------------------------------------------------------------------


@pytest.fixture
def adopted(nf: Nf) -> Nf:
    for name in ("vault-a", "vault-b"):
        assert nf("adopt", name).code == 0
    return nf


def test_disk_and_ledger_agree(adopted: Nf) -> None:
    assert adopted("audit").last == "YES: disk and ledger agree."


def test_what_no_row_knows_and_what_is_not_on_disk_are_named(adopted: Nf, vaults: Path) -> None:
    night = vaults / "vault-a" / "2026" / "night one"
    (night / "s0001.fits").unlink()
    (night / "log.txt").write_text("more clouds")
    (night / "found.fits").write_bytes(b"?")
    told = adopted.json("audit", "vault-a")["locations"][0]
    assert told["absent"] == ["2026/night one/s0001.fits"]
    assert told["other_size"] == ["2026/night one/log.txt"]
    assert told["unknown"] == ["2026/night one/found.fits"]
    answer = adopted("audit", "vault-a")
    assert answer.code == 1
    assert "in no row: vault-a 2026/night one/found.fits" in answer.words
    assert adopted("audit", "vault-b").code == 0


def test_a_restored_database_is_trusted_after_a_clean_audit_of_all_its_locations(
    ledger: Ledger, adopted: Nf, vaults: Path
) -> None:
    ledger.execute(
        "INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)"
        " VALUES (1, 1, 1, 'another server')"
    )
    assert adopted.json("audit", "vault-a", "--trust")["trusted"] is False
    extra = vaults / "vault-b" / "newer.tar"
    extra.write_bytes(b"?")
    assert adopted.json("audit", "--trust")["trusted"] is False
    extra.unlink()
    assert adopted.json("audit", "--trust")["trusted"] is True
    assert ledger.execute("SELECT incarnation_is_trusted() AS yes")[0].yes is True


def test_what_is_deleted_and_made_while_it_looks_is_no_difference(
    ledger: Ledger, adopted: Nf, vaults: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = vaults / "vault-a" / "2026" / "night one"
    listed = audit._copies

    def then_a_daemon_works(database: Database, location: str) -> Iterator[tuple[str, int]]:
        """The disk was listed; now one copy goes and another comes."""
        ledger.execute("UPDATE physical_copy SET state = 'deleted' WHERE path LIKE '%%s0001.fits'")
        (night / "s0001.fits").unlink()
        yield from listed(database, location)
        (night / "s0002.fits").rename(night / "moved.fits")
        ledger.execute(
            "UPDATE physical_copy SET path = replace(path, 's0002', 'moved')"
            " WHERE location = 'vault-a' AND path LIKE '%%s0002.fits'"
        )

    monkeypatch.setattr(audit, "_copies", then_a_daemon_works)
    told = adopted.json("audit", "vault-a")["locations"][0]
    assert (told["unknown"], told["absent"], told["other_size"]) == ([], [], [])
