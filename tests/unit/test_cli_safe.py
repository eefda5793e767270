"""nf safe: may this folder, on any disk, be erased?"""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from nightferry.marker import Marker

from tests.ledger import Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    disk = tmp_path / "usb disk"
    (disk / "deep").mkdir(parents=True)
    return disk


def write(disk: Path, ledger: Ledger, *, safe: bool = True) -> None:
    """A frame that the ledger knows, under another name than its own."""
    content = b"frame, safe" if safe else b"frame, not safe"
    (disk / "deep" / ("renamed.fits" if safe else "half.fits")).write_bytes(content)
    package = ledger.package(ledger.file("a.fits" if safe else "b.fits", content))
    ledger.archive(package, *(() if safe else ("vault-a",)))


def test_a_folder_of_safe_bytes_may_be_erased_whatever_their_names(
    ledger: Ledger, nf: Nf, disk: Path
) -> None:
    write(disk, ledger)
    answer = nf("safe", str(disk))
    assert answer.code == 0
    assert answer.last.startswith(f"YES: {disk} may be erased. 1 of 1 files are safe")
    assert answer.next == f"nf safe --all '{disk}'"


def test_one_file_of_unknown_bytes_is_no(ledger: Ledger, nf: Nf, disk: Path) -> None:
    write(disk, ledger)
    (disk / "notes.txt").write_text("mine")
    answer = nf("safe", str(disk))
    assert answer.code == 1
    assert "notes.txt" in answer.words
    assert "these bytes were never registered" in answer.words


def test_a_known_file_that_is_not_safe_is_no_with_its_reason(
    ledger: Ledger, nf: Nf, disk: Path
) -> None:
    write(disk, ledger, safe=False)
    answer = nf("safe", str(disk))
    assert answer.code == 1
    assert "b.fits of night 2024-05-12: at 1 of 2 archives" in answer.words


def test_one_safe_appearance_makes_the_same_bytes_safe(ledger: Ledger, nf: Nf, disk: Path) -> None:
    write(disk, ledger)
    ledger.file("again.fits", b"frame, safe")
    assert nf("safe", str(disk)).code == 0


def test_links_pipes_sockets_and_empty_files_are_named(
    ledger: Ledger, nf: Nf, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(disk, ledger)
    ledger.archive(ledger.package(ledger.file("empty", b"")))
    (disk / "nothing").touch()
    (disk / "link").symlink_to("/etc")
    os.mkfifo(disk / "pipe")
    monkeypatch.chdir(disk)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        answer = nf("safe", str(disk))
    assert answer.code == 0
    for said in ("a link to /etc", "a pipe", "a socket", "1 of them empty", "3 other things"):
        assert said in answer.words, said


def test_what_can_not_be_read_leaves_it_open(
    ledger: Ledger, nf: Nf, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(disk, ledger)
    really = os.listdir

    def deny(path: Any) -> Any:  # root may read everything
        if os.fsencode(path).endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return really(path)

    (disk / "locked").mkdir()
    monkeypatch.setattr(os, "listdir", deny)
    answer = nf("safe", str(disk))
    assert answer.code == 2
    assert "cannot be read: Permission denied" in answer.words


def test_an_empty_folder_may_be_a_disk_that_is_not_mounted(
    ledger: Ledger, nf: Nf, disk: Path
) -> None:
    answer = nf("safe", str(disk))
    assert answer.code == 2
    assert "Is the disk mounted?" in answer.last


def test_an_archive_is_never_called_erasable_nor_a_part_of_it_nor_what_holds_it(
    ledger: Ledger, nf: Nf, disk: Path
) -> None:
    write(disk, ledger)
    marker = disk / ".nightferry-location"
    marker.write_text(Marker.new("vault-a").document())
    for folder in (disk, disk / "deep", disk.parent):
        answer = nf("safe", str(folder))
        assert answer.code == 1
        assert "vault-a. Archives are never erased." in answer.last
    marker.write_text(Marker.new("dome-disk").document())
    assert nf("safe", str(disk)).code == 0


def test_an_archive_is_known_by_this_hosts_configuration_too(
    ledger: Ledger, database: str, tmp_path: Path, disk: Path
) -> None:
    write(disk, ledger)
    nf = Nf(database, tmp_path, locations=json.dumps({"vault-b": str(disk)}))
    assert nf("safe", str(disk / "deep")).code == 1


def test_every_file_is_listed_when_asked_and_always_in_json(
    ledger: Ledger, nf: Nf, disk: Path
) -> None:
    write(disk, ledger)
    assert "renamed.fits" not in nf("safe", str(disk)).words
    assert "a.fits of night 2024-05-12, at 2 archives" in nf("safe", str(disk), "--all").words
    document = nf.json("safe", str(disk))
    assert (document["answer"], document["safe"], document["files"]) == ("YES", 1, 1)
    assert document["things"][0]["outcome"] == "safe"


def test_it_changes_nothing(ledger: Ledger, nf: Nf, disk: Path) -> None:
    write(disk, ledger)

    def state() -> list[tuple[str, int, int]]:
        found = sorted(disk.rglob("*"))
        return [(str(p), p.lstat().st_mtime_ns, p.lstat().st_ctime_ns) for p in found]

    before, events = state(), ledger.execute("SELECT count(*) FROM event")
    nf("safe", str(disk))
    assert (state(), ledger.execute("SELECT count(*) FROM event")) == (before, events)
