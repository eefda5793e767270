"""Every store keeps the promises of ``stores/base.py``; and what only a POSIX store must do."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.durable import init_location
from nightferry.errors import ConfigError, Unavailable
from nightferry.filesystem import file_system_type
from nightferry.stores import PosixStore, Store, open_store
from nightferry.testing.store_contract import StoreContract, get, put


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[PosixStore]:
    init_location(tmp_path, "archive")
    with PosixStore("archive", tmp_path) as store:
        yield store


class TestPosixStoreOnDisk(StoreContract):
    @pytest.fixture
    def store(self, archive: PosixStore) -> Store:
        return archive


class TestPosixStoreInMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        if not Path("/dev/shm").is_dir() or file_system_type("/dev/shm") != "tmpfs":
            pytest.skip("no tmpfs at /dev/shm")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            init_location(Path(directory), "archive")
            with PosixStore("archive", Path(directory)) as store:
                yield store


def test_a_store_is_opened_by_its_kind_and_settings(tmp_path: Path) -> None:
    marker = init_location(tmp_path, "archive")
    store = open_store("posix", "archive", {"path": str(tmp_path), "marker": marker.marker})
    store.probe()
    store.close()


def test_an_unknown_kind_of_storage_names_those_known() -> None:
    with pytest.raises(ConfigError, match=r"'tape'.*known: posix"):
        open_store("tape", "archive", {})


def test_a_location_needs_an_absolute_path() -> None:
    with pytest.raises(ConfigError, match="absolute path"):
        open_store("posix", "archive", {"path": "data"})


def test_a_store_whose_disk_is_away_is_unavailable_and_heals_when_it_is_back(
    archive: PosixStore, tmp_path: Path
) -> None:
    put(archive, "a", b"bytes")
    disk, away = tmp_path, tmp_path.with_name("unmounted")
    disk.rename(away)
    disk.mkdir()
    with pytest.raises(Unavailable, match="no marker"):
        archive.probe()
    with pytest.raises(Unavailable, match="no marker"):
        archive.size("a")
    shutil.rmtree(disk)
    away.rename(disk)
    archive.probe()
    assert get(archive, "a") == b"bytes"


def test_the_first_use_finds_the_marker_of_another_location(tmp_path: Path) -> None:
    init_location(tmp_path, "buffer")
    with PosixStore("archive", tmp_path) as store, pytest.raises(Unavailable, match="buffer"):
        store.space()
