"""nf backup: a dump that was restored and counted; nothing else gets its name."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from nightferry import backup as backing_up
from nightferry.db import Database, Tx
from nightferry.embedded.binaries import installed

from tests.daemons.ground import Ground, frame
from tests.daemons.rebuilding import every_column
from tests.faults.keeping import Figure
from tests.typed import Nf

pytestmark = pytest.mark.slow  # long, and the same on every Python


@pytest.fixture
def nf(two_sites: Ground, database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path, f"{{archive-a: '{two_sites.sites.path('archive-a')}'}}")


def lying_there(site: Ground) -> list[str]:
    folder = site.sites.path("archive-a") / "nightferry-backup"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def every_row(database: Database) -> dict[str, list[str]]:
    """Of every table of the ledger, its rows as the server writes them."""

    def read(tx: Tx) -> dict[str, list[str]]:
        return {
            table: [r[0] for r in tx.execute(f'SELECT t::text FROM "{table}" t ORDER BY 1')]
            for table in every_column(database)
        }

    return database.run(read)


@contextmanager
def restored(dump: Path, dsn: str) -> Iterator[Database]:
    """As docs/recovery.md has it, on a server that knows the same users."""
    restore = [str(installed("pg_restore")), "--exit-on-error", "-d", dsn]
    subprocess.run([*restore, str(dump)], check=True)
    database = Database(dsn, actor="test")
    yield database
    database.close()


def test_a_dump_that_is_being_made_is_left_alone_and_one_that_was_given_up_is_not(
    two_sites: Ground,
) -> None:
    folder = two_sites.sites.path("archive-a") / "nightferry-backup"
    folder.mkdir()
    names = [
        f".2026-03-1{n}T120000Z.dump.01234567-89ab-cdef-0123-00000000000{n}.part" for n in (4, 5)
    ]
    for name in names:
        (folder / name).write_bytes(b"half of a dump")
    long_ago = time.time() - 2 * 86_400
    os.utime(folder / names[0], (long_ago, long_ago))
    two_sites.once("center", "reap")
    assert lying_there(two_sites) == names[1:]


def test_a_backup_gives_back_every_row_in_an_empty_database(
    two_sites: Ground, nf: Nf, place: Path, empty_database: str, figure: Figure
) -> None:
    two_sites.frames(3)
    two_sites.travel()
    before = every_row(two_sites.db)
    assert sum(map(bool, before.values())) > 20, "so few tables have rows: it proves little"
    answer = nf("backup", "archive-a", "--scratch", str(place))
    assert answer.code == 0, answer.err
    assert answer.last.startswith("DONE: ")
    dump, sums = lying_there(two_sites)
    folder = two_sites.sites.path("archive-a") / "nightferry-backup"
    digest = sha256((folder / dump).read_bytes()).hexdigest()
    assert (folder / sums).read_text() == f"{digest}  {dump}\n"
    assert list(place.iterdir()) == [], "the server of the proof is gone"
    compared = sum(len(rows) for rows in before.values())
    with restored(folder / dump, empty_database) as again:
        after = every_row(again)
        differ = sum(len(set(before[t]) ^ set(after.get(t, ()))) for t in before)
        assert after == before, [t for t in before if after.get(t) != before[t]]
        figure("backup:", f"{differ} of {compared} rows in {len(before)} tables differ")
        trusted = again.run(lambda tx: tx.one("reap.incarnation_is_trusted"))
    assert trusted is not None
    assert trusted.trusted is False, "a restored database is another one, until it is audited"


def test_what_people_said_and_what_was_open_comes_back(
    two_sites: Ground, nf: Nf, place: Path, empty_database: str, tmp_path: Path
) -> None:
    """No archive holds this: the backup is all there is of it."""
    two_sites.put("f1.fits", frame(1))
    two_sites.put("f2.fits", frame(2))
    two_sites.ingest()
    job = "SELECT kind, subject FROM job ORDER BY kind, subject"
    two_sites.ask("INSERT INTO blocked (kind, subject, reason) VALUES ('archive', 'x@y', 'spent')")
    two_sites.ask(
        "INSERT INTO job (kind, subject, place, needs) VALUES ('verify', 'z@archive-a', 'archive-a', 'archive-a')"
    )
    for words in (
        ("hold", "add", "f1.fits", "the PI asked"),
        ("headers", "correct", "f2.fits", "OBJECT", "M 42", "--why", "the log says so"),
        ("quality", "set", "f2.fits", "bad", "clouds"),
    ):
        said = nf(*words)
        assert said.code == 0, said.err
    (open_jobs, asked) = (
        two_sites.ask(job),
        ("SELECT reason FROM blocked", "SELECT note FROM quality_note"),
    )
    assert nf("backup", "archive-a", "--scratch", str(place)).code == 0
    dump = two_sites.sites.path("archive-a") / "nightferry-backup" / lying_there(two_sites)[0]
    with restored(dump, empty_database) as again:
        assert [again.run(lambda tx, q=q: tx.execute(q))[0][0] for q in asked] == [
            "spent",
            "clouds",
        ]  # type: ignore[misc]
        assert again.run(lambda tx: tx.execute(job)) == open_jobs
    (tmp_path / "again").mkdir()
    nf = Nf(empty_database, tmp_path / "again")
    assert "the PI asked" in nf("hold", "list").words
    assert "the log says so" in nf("headers", "show", "f2.fits").words
    assert "NO hold" in nf("why", "f1.fits").words


def test_a_dump_that_gives_back_less_is_not_kept(
    two_sites: Ground, nf: Nf, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_sites.frames(1)
    two_sites.ingest()
    counts = backing_up._counts

    def one_file_more(tx: object) -> dict[str, int]:
        """As if a row had come between the count and the dump."""
        monkeypatch.setattr(backing_up, "_counts", counts)
        found = counts(tx)  # type: ignore[arg-type]
        return found | {"raw_data_file": found["raw_data_file"] + 1}

    monkeypatch.setattr(backing_up, "_counts", one_file_more)
    answer = nf("backup", "archive-a", "--scratch", str(place))
    assert answer.code == 2
    assert "gives back 1 rows of raw_data_file, and the database has 2" in answer.err
    assert lying_there(two_sites) == []
    assert two_sites.ask("SELECT FROM backup") == []


def test_a_backup_is_no_difference_and_no_file_of_the_archive(
    two_sites: Ground, nf: Nf, place: Path
) -> None:
    assert nf("backup", "archive-a", "--scratch", str(place)).code == 0
    assert nf("audit", "archive-a").code == 0
    assert nf.json("adopt", "archive-a")["registered"] == 0


def test_a_backup_goes_to_a_buffer_or_an_archive_of_this_host_alone(
    two_sites: Ground, nf: Nf
) -> None:
    for name, why in (("dome-source", "SOURCE"), ("archive-b", "not mounted"), ("no", "no loc")):
        answer = nf("backup", name)
        assert answer.code == 3
        assert why in answer.err


def test_its_age_is_asked_for_by_nf_status_and_told_by_nf_backup(
    two_sites: Ground, nf: Nf, place: Path
) -> None:
    assert "backed up" not in nf("status").words, "a new ledger has some time"
    assert nf("backup").last == "NO: a proven backup of the database was never made."
    two_sites.ask("UPDATE incarnation SET began = began - interval '3 days'")
    assert "the database was never backed up" in nf("status").words
    assert nf("backup", "archive-a", "--scratch", str(place)).code == 0
    assert "backed up" not in nf("status").words
    assert nf("backup").code == 0
    two_sites.ask("UPDATE backup SET taken = taken - %s::interval", timedelta(days=3))
    assert "the database was last backed up 3 d ago" in nf("status").words
    assert nf("backup").code == 1
