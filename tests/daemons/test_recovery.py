"""docs/recovery.md, done: last night's backup and the archives together give back the ledger."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.db import Database
from nightferry.embedded.binaries import installed

from tests.daemons.ground import Ground, frame, ground
from tests.daemons.test_rebuild import TABLES, rows
from tests.typed import Nf

pytestmark = pytest.mark.slow  # long, and the same on every Python

PLACES = ("dome-source", "dome-buffer", "center-buffer", "archive-a", "archive-b")


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    made = ground(tmp_path / "sites", database, keep=None)
    yield made
    made.db.close()


def nf_on(dsn: str, site: Ground, folder: Path) -> Nf:
    folder.mkdir()
    return Nf(dsn, folder, json.dumps({name: str(site.sites.path(name)) for name in PLACES}))


def test_an_older_backup_and_the_archives_give_back_what_came_since(
    site: Ground, database: str, empty_database: str, place: Path, tmp_path: Path
) -> None:
    site.frames(2)
    site.travel()
    site.put("registered-only.fits", frame(21))
    site.ingest()
    nf = nf_on(database, site, tmp_path / "before")
    assert nf("backup", "archive-a", "--scratch", str(place)).code == 0
    site.put("later.fits", frame(31))
    site.travel()  # both are packed and archived after the backup
    (dump,) = site.sites.path("archive-a").glob("nightferry-backup/*.dump")
    restore = [str(installed("pg_restore")), "--exit-on-error", "-d", empty_database, str(dump)]
    subprocess.run(restore, check=True)

    nf = nf_on(empty_database, site, tmp_path / "after")
    restored = Database(empty_database, actor="test")
    try:
        assert nf("audit").code == 1, "the disks know more than the database"
        assert nf("rebuild", "archive-a", "archive-b", "center-buffer", "dome-buffer").code == 0
        for table in TABLES:
            assert rows(restored, table) == rows(site.db, table), table
        assert nf.json("audit", "--trust")["trusted"] is True
        stops = restored.run(lambda tx: tx.run("reap.stops"))
        assert len(stops) == 1, "holds placed since the backup are not known"
    finally:
        restored.close()
