"""The archives alone give back the ledger: every row is compared with the original's."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nightferry import locations, observatory
from nightferry.db import Database
from nightferry.filing import Filing, file_observation
from nightferry.rebuilding import NOT_WRITTEN

from tests.daemons.ground import Ground, frame, ground
from tests.database import new_database
from tests.typed import Nf

pytestmark = pytest.mark.slow  # long, and the same on every Python

ARCHIVES = ("archive-a", "archive-b")
# How the rows of each table are found in both ledgers, and put in the same order.
TABLES = {
    "raw_data_package": "SELECT * FROM raw_data_package WHERE state = 'packed' ORDER BY id",
    "raw_data_file": "SELECT f.* FROM raw_data_file f JOIN package_member m ON m.file = f.id ORDER BY f.id",
    "file_header": "SELECT h.* FROM file_header h JOIN package_member m USING (file) ORDER BY file, hdu",
    "package_member": "SELECT * FROM package_member ORDER BY file",
    "executed_obs_unit": "SELECT * FROM executed_obs_unit ORDER BY id",
    "obs_unit": "SELECT * FROM obs_unit ORDER BY id",
    "filed_file": "SELECT x.* FROM filed_file x JOIN raw_data_file f USING (location, path) ORDER BY x.path",
    "physical_copy": "SELECT * FROM physical_copy WHERE location LIKE 'archive-%%' ORDER BY location, path",
    "instrument": "SELECT * FROM instrument ORDER BY name",
}  # fmt: skip


def rows(database: Database, table: str) -> list[dict[str, Any]]:
    """All rows, less the columns that a rebuild says it can't give back."""
    lacking = NOT_WRITTEN.get(table, {})
    found = database.run(lambda tx: tx.execute(TABLES[table], ()))
    return [{k: v for k, v in r._mapping.items() if k not in lacking} for r in found]


PROGRAMS = {
    "programs": {
        "U042": {"title": "Clusters", "owner": "mira", "proprietary": "1 year"},
        "U043": {},
    }
}


@pytest.fixture
def original(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A site whose nights are archived: versions, a filed observation, an owner, odd files."""
    site = ground(tmp_path / "sites", database, keep=None, extra=PROGRAMS)
    yield site
    site.db.close()


def two_nights(site: Ground) -> None:
    site.frames(4)
    site.put("u/d1.fits", frame(11, PROPID="U042", EXPTIME=30.5, RA="05:30:00", DEC="-5:00:00"))
    site.put("u/d2.fits", frame(12, PROPID="U042", OBJECT="M 42"))
    site.put("filed/f1.fits", frame(21))
    site.put("notes.txt", b"no frame at all\n")
    site.put("broken.fits", frame(31)[:1000])
    site.put("caf\xe9 100% \\ odd.fits", frame(32))
    filing = Filing(
        "simulated", program="U042", unit="M42 deep", target="M 42", owner="mira",
        began=datetime(2026, 3, 15, 2, tzinfo=UTC), location="dome-source",
        files=("filed/f1.fits", "filed/never-came.fits"),
    )  # fmt: skip
    site.db.run(lambda tx: file_observation(tx, filing, "dome", {"instrument": "simulated"}))
    site.travel()
    # A late file, a rewritten header, a reused name: supplementary packages.
    site.put("late.fits", frame(41))
    site.put("u/d1.fits", frame(11, PROPID="U042", OBSERVER="corrected"))
    site.put("u/d2.fits", frame(13, PROPID="U042"))
    site.travel()


@pytest.fixture
def rebuilt(original: Ground, server: str, template: str, tmp_path: Path) -> Iterator["Empty"]:
    with new_database(server, template) as dsn:
        empty = Empty(original, dsn, tmp_path)
        yield empty
        empty.database.close()


class Empty:
    """An empty database, with the same observatory and the same archives."""

    def __init__(self, site: Ground, dsn: str, folder: Path) -> None:
        self.database = Database(dsn, actor="test", site="center", host="center")
        document = observatory.load(site.sites.folder / "etc" / "observatory.yaml")
        self.database.run(lambda tx: observatory.apply(tx, document))
        for name in ARCHIVES:
            self.database.run(lambda tx, n=name: locations.init(tx, n, site.sites.path(n)))  # type: ignore[misc]
        places = {name: str(site.sites.path(name)) for name in ARCHIVES}
        self.nf = Nf(dsn, folder, json.dumps(places))
        self.dsn = dsn

    def one(self, text: str) -> Any:
        ((value,),) = self.database.run(lambda tx: tx.execute(text))
        return value


def test_two_archives_give_back_every_row(original: Ground, rebuilt: Empty) -> None:
    two_nights(original)
    answer = rebuilt.nf("rebuild", *ARCHIVES)
    assert answer.code == 0, answer.out + answer.err
    for table in TABLES:
        before = rows(original.db, table)
        assert before, f"the original has no {table}: it proves nothing"
        assert rows(rebuilt.database, table) == before, table
    assert "holds on nights" in answer.words


def test_what_two_nights_hold_is_worth_comparing(original: Ground) -> None:
    two_nights(original)
    assert (
        original.one("SELECT count(*) FROM raw_data_package WHERE supplement_of IS NOT NULL") >= 1
    )
    assert original.one("SELECT count(*) FROM raw_data_file WHERE replaced_by IS NOT NULL") == 2
    relations = original.ask("SELECT DISTINCT relation::text FROM raw_data_file ORDER BY 1")
    assert [r[0] for r in relations] == ["exposure", "first", "version"]
    assert original.one("SELECT count(*) FROM raw_data_file WHERE header = 'broken'") == 1
    assert original.one("SELECT count(*) FROM raw_data_file WHERE owner = 'mira'") >= 3


def test_a_rebuild_done_twice_changes_nothing(original: Ground, rebuilt: Empty) -> None:
    two_nights(original)
    rebuilt.nf("rebuild", "archive-a")
    first = {table: rows(rebuilt.database, table) for table in TABLES}
    events = rebuilt.one("SELECT count(*) FROM event")
    answer = rebuilt.nf.json("rebuild", "archive-a")
    assert answer["locations"]["archive-a"]["copies"] == 0
    assert {table: rows(rebuilt.database, table) for table in TABLES} == first
    assert rebuilt.one("SELECT count(*) FROM event") == events


def test_rebuilt_copies_are_unproven_and_verify_reads_them_by_itself(
    original: Ground, rebuilt: Empty
) -> None:
    original.frames(2)
    original.travel()
    rebuilt.nf("rebuild", *ARCHIVES)
    assert rebuilt.one("SELECT count(*) FROM verification") == 0
    assert rebuilt.one("SELECT count(*) FROM safety WHERE proven > 0") == 0
    wanted = rebuilt.database.run(lambda tx: tx.run("verify.wanted"))
    assert len(wanted) == rebuilt.one("SELECT count(*) FROM physical_copy") == 2


def test_nothing_is_deleted_after_a_rebuild_before_a_person_says_so(
    original: Ground, rebuilt: Empty
) -> None:
    original.frames(1)
    original.travel()
    rebuilt.nf("rebuild", "archive-a")
    assert rebuilt.one("SELECT count(*) FROM deletion_stop WHERE resumed IS NULL") == 1
    assert "place them again" in rebuilt.one("SELECT reason FROM deletion_stop")
    rebuilt.database.run(lambda tx: tx.run("reap.resume"))
    rebuilt.nf("rebuild", *ARCHIVES)  # which finds nothing new
    assert rebuilt.one("SELECT count(*) FROM deletion_stop WHERE resumed IS NULL") == 0


def packages(site: Ground, location: str) -> list[Path]:
    return sorted(site.sites.path(location).rglob("*.tar"))


def test_a_damaged_archive_gives_what_is_whole_and_lists_the_rest(
    original: Ground, rebuilt: Empty
) -> None:
    two_nights(original)
    cut, no_sidecar, rotten = packages(original, "archive-a")[:3]
    cut.write_bytes(cut.read_bytes()[:-5000])
    Path(f"{no_sidecar}.sha256").unlink()
    whole = bytearray(rotten.read_bytes())
    whole[whole.rindex(b"OBJECT")] ^= 1  # in a header that nightferry.json holds
    rotten.write_bytes(whole)
    (original.sites.path("archive-a") / "loose.fits").write_bytes(b"adopted once")
    answer = rebuilt.nf("rebuild", "archive-a")
    assert answer.code == 1
    assert answer.last.startswith("NOT ALL: ")
    assert cut.name in answer.words
    assert rotten.name in answer.words
    whole_ones = {p.name for p in packages(original, "archive-a")} - {cut.name, rotten.name}
    assert rebuilt.one("SELECT count(*) FROM raw_data_package") == len(whole_ones)
    paths = rebuilt.database.run(lambda tx: tx.execute("SELECT path FROM physical_copy"))
    assert {r.path.rpartition("/")[2] for r in paths} == whole_ones
    assert rebuilt.nf.json("rebuild", "archive-a")["locations"]["archive-a"]["loose"] == 1


def test_what_one_archive_has_whole_is_read_again_and_mended_at_the_other(
    original: Ground, rebuilt: Empty
) -> None:
    original.frames(2)
    original.travel()
    (bad,) = packages(original, "archive-a")
    bad.write_bytes(bad.read_bytes()[:-5000])
    assert rebuilt.nf("rebuild", *ARCHIVES).code == 1
    states = rebuilt.database.run(
        lambda tx: tx.execute("SELECT location, state::text FROM physical_copy ORDER BY location")
    )
    assert [tuple(s) for s in states] == [("archive-a", "suspect"), ("archive-b", "present")]
    assert len(rows(rebuilt.database, "raw_data_file")) == 2


def test_a_package_of_an_unknown_programme_is_refused_in_words_and_the_rest_is_taken(
    original: Ground, rebuilt: Empty
) -> None:
    two_nights(original)
    rebuilt.one(
        "WITH gone AS (DELETE FROM observing_program WHERE name = 'U042' RETURNING 1) SELECT count(*) FROM gone"
    )
    answer = rebuilt.nf("rebuild", "archive-a")
    assert answer.code == 1
    assert "observatory.yaml lacks the programme U042" in answer.words
    assert rebuilt.one("SELECT count(*) FROM raw_data_package") > 0


def test_a_rebuild_refuses_while_daemons_run_and_a_location_that_is_not_here(
    original: Ground, rebuilt: Empty
) -> None:
    answer = rebuilt.nf("rebuild", "dome-source")
    assert answer.code == 3
    assert "SOURCE" in answer.err
    rebuilt.database.run(
        lambda tx: tx.execute(
            "INSERT INTO heartbeat (daemon, host, pid, version) VALUES ('ingest', 'dome', 1, '0')"
        )
    )
    answer = rebuilt.nf("rebuild", "archive-a")
    assert answer.code == 2
    assert "Stop the daemons" in answer.err
