"""What is proven elsewhere goes, and nothing else.

Over 300 lines: a test for each clause of the rule, and for each stage of a deletion.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nightferry.db import Database
from nightferry.testing.sites import wait_until

from tests.daemons.ground import Ground, frame, ground


@pytest.fixture
def safe_night(two_sites: Ground) -> Ground:
    """Three frames that both archives hold and have read; the dome may let its copies go."""
    for number in range(3):
        two_sites.put(f"f{number}.fits", frame(number))
    two_sites.travel()
    two_sites.once("dome", "transfer")
    assert two_sites.answer() == "YES"
    return two_sites


def nominate(site: Ground) -> None:
    """Nominated, and the survivors read again: only the decision is missing."""
    site.once("dome", "reap")
    site.once("center", "verify")
    assert site.ask("SELECT FROM deletion WHERE state = 'nominated'")


def frames_at_source(site: Ground) -> int:
    return len(list(site.source.glob("*.fits")))


def test_a_night_that_two_archives_hold_leaves_the_instruments_disk_and_the_buffers(
    safe_night: Ground,
) -> None:
    safe_night.reap()
    assert frames_at_source(safe_night) == 0
    for place in ("dome-source", "dome-buffer", "center-buffer"):
        assert set(safe_night.copies(place)) == {"deleted"}, place
        assert not [p for p in safe_night.sites.path(place).rglob("*.tar*")], place
    assert set(safe_night.copies("archive-a")) == set(safe_night.copies("archive-b")) == {"present"}
    assert safe_night.answer() == "YES"


def test_the_reaper_only_plans_until_it_is_enabled(database: str, tmp_path: Path) -> None:
    site = ground(tmp_path, database, keep=None)
    site.put("f.fits")
    site.travel()
    site.ask("UPDATE data_location SET keep = '0' WHERE type IN ('SOURCE', 'BUFFER')")
    site.reap()
    assert not site.ask("SELECT FROM deletion")
    assert frames_at_source(site) == 1


_RESTORED = (
    "INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)"
    " VALUES (1, 1, 1, 'another server')"
)
# By clause: what makes it false for the file, and the words that say so.
_BREAKS = {
    "present": (
        "UPDATE physical_copy SET state = 'suspect' WHERE file = %(file)s",
        "the copy is suspect",
    ),
    "enabled": (
        "UPDATE data_location SET reap_enabled = false WHERE name = 'dome-source'",
        "only plans",
    ),
    "policy": (
        "UPDATE data_location SET keep = '1 day' WHERE name = 'dome-source'",
        "kept until",
    ),
    "version": (
        "UPDATE raw_data_file SET replaced_by ="
        " (SELECT id FROM raw_data_file WHERE id <> %(file)s LIMIT 1) WHERE id = %(file)s",
        "was replaced",
    ),
    "copies": (
        "UPDATE physical_copy SET state = 'corrupt' WHERE location = 'archive-b'",
        "1 of 2 archives hold it",
    ),
    "proof": (
        "UPDATE policy SET proof_max_age = '0'",
        "0 of 2 archives were read well",
    ),
    "hold": (
        "INSERT INTO hold (file, reason, placed_by) VALUES (%(file)s, 'referee', 'anna')",
        "held by anna: referee",
    ),
    "database": (_RESTORED, "restored or failed over"),
    "switch": (
        "INSERT INTO deletion_stop (reason, stopped_by) VALUES ('fire', 'ben')",
        "stopped by ben: fire",
    ),
}


@pytest.mark.parametrize("clause", _BREAKS)
def test_a_copy_stays_when_one_clause_of_the_rule_is_false_at_the_decision(
    safe_night: Ground, clause: str
) -> None:
    nominate(safe_night)
    statement, reason = _BREAKS[clause]
    row = safe_night.ask(
        "SELECT c.id AS copy, c.file FROM physical_copy c WHERE c.path = 'f1.fits'"
    )[0]
    safe_night.ask(statement.replace("%(file)s", f"'{row.file}'"))
    false = safe_night.ask(
        "SELECT r.clause, r.detail FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id,"
        " deletion_clauses(dc.copy, d.id) r"
        " WHERE dc.copy = %s AND d.state = 'nominated' AND NOT r.holds", row.copy,
    )  # fmt: skip
    assert [(r.clause, reason in r.detail) for r in false if r.clause == clause] == [(clause, True)]
    safe_night.ask("SELECT decide_deletion(id) FROM deletion WHERE state = 'nominated'")
    kept = safe_night.ask(
        "SELECT stage::text, detail FROM deletion_copy WHERE copy = %s", row.copy
    )[0]
    assert (kept.stage, reason in kept.detail) == ("kept", True)
    safe_night.once("dome", "reap")
    assert (safe_night.source / "f1.fits").exists()


def test_nothing_is_ever_nominated_at_an_archive(safe_night: Ground) -> None:
    safe_night.ask(
        "UPDATE data_location SET reap_enabled = true, keep = '0' WHERE type = 'LONG_TERM_ARCHIVE'"
    )
    safe_night.reap()
    assert set(safe_night.copies("archive-a")) == set(safe_night.copies("archive-b")) == {"present"}
    places = safe_night.ask(
        "SELECT r.holds FROM physical_copy c, deletion_clauses(c.id) r"
        " WHERE c.location = 'archive-a' AND r.clause = 'place'"
    )
    assert {r.holds for r in places} == {False}


@pytest.fixture
def in_the_trash(database: str, tmp_path: Path) -> Iterator[Ground]:
    """Three files of a safe night in the trash of the instrument's disk, their grace not over."""
    site = ground(tmp_path, database, trash_grace="1 h")
    for number in range(3):
        site.put(f"f{number}.fits", frame(number))
    site.travel()
    site.once("dome", "transfer")
    nominate(site)
    site.once("dome", "reap")
    assert frames_at_source(site) == 0
    assert len(trash(site)) == 3
    yield site
    site.db.close()


def trash(site: Ground) -> list[Path]:
    return [p for p in (site.source / ".nightferry" / "trash").rglob("*.fits")]


def end_grace(site: Ground) -> None:
    site.ask("UPDATE data_location SET trash_grace = '0'")


_SECOND_THOUGHTS = {
    "the stop switch": "INSERT INTO deletion_stop (reason) VALUES ('fire')",
    "a hold on the night": "INSERT INTO hold (night, reason) VALUES ('2026-03-14', 'referee')",
    "an archive's bad reading": _BREAKS["copies"][0],
    "a restored database": _RESTORED,
}


@pytest.mark.parametrize("thought", _SECOND_THOUGHTS)
def test_what_lies_in_the_trash_is_put_back_after(in_the_trash: Ground, thought: str) -> None:
    in_the_trash.ask(_SECOND_THOUGHTS[thought])
    end_grace(in_the_trash)
    in_the_trash.once("dome", "reap")
    assert frames_at_source(in_the_trash) == 3
    assert trash(in_the_trash) == []
    assert set(in_the_trash.copies("dome-source")) == {"present"}
    kept = in_the_trash.ask(
        "SELECT DISTINCT dc.stage::text, dc.detail <> '' AS told FROM deletion_copy dc"
        " JOIN physical_copy c ON c.id = dc.copy AND c.file IS NOT NULL"
    )
    assert kept == [("kept", True)]


def test_a_hold_is_heard_though_its_copy_was_condemned_by_a_daemon_that_then_died(
    in_the_trash: Ground,
) -> None:
    end_grace(in_the_trash)
    in_the_trash.ask("UPDATE deletion_copy SET stage = 'condemned' WHERE stage = 'trashed'")
    in_the_trash.ask("INSERT INTO hold (night, reason) VALUES ('2026-03-14', 'referee')")
    in_the_trash.once("dome", "reap")
    assert frames_at_source(in_the_trash) == 3


def test_other_bytes_in_the_trash_are_put_back(in_the_trash: Ground) -> None:
    changed = trash(in_the_trash)[0]
    changed.write_bytes(b"written through an open descriptor")
    end_grace(in_the_trash)
    in_the_trash.once("dome", "reap")
    assert [p.read_bytes() for p in in_the_trash.source.glob("*.fits")] == [
        b"written through an open descriptor"
    ]


def test_what_somebody_writes_to_in_the_trash_is_put_back(in_the_trash: Ground) -> None:
    """A writer that opened it by its old name goes on writing to the same file."""
    with trash(in_the_trash)[0].open("r+b"):
        end_grace(in_the_trash)
        in_the_trash.once("dome", "reap")
    assert frames_at_source(in_the_trash) == 1
    detail = in_the_trash.one("SELECT detail FROM deletion_copy WHERE detail LIKE '%%writing%%'")
    assert detail == "a process has it open for writing"


def test_a_new_file_under_the_old_name_stays_when_the_old_one_is_called_back(
    in_the_trash: Ground,
) -> None:
    in_the_trash.put("f1.fits", frame(41))
    in_the_trash.ask("INSERT INTO deletion_stop (reason) VALUES ('fire')")
    end_grace(in_the_trash)
    in_the_trash.once("dome", "reap")
    assert (in_the_trash.source / "f1.fits").read_bytes() == frame(41)
    assert [p.name for p in trash(in_the_trash)] == ["f1.fits"]


def test_what_was_decided_is_not_even_moved_while_deletion_is_stopped(safe_night: Ground) -> None:
    nominate(safe_night)
    safe_night.ask("SELECT decide_deletion(id) FROM deletion WHERE state = 'nominated'")
    safe_night.ask("INSERT INTO deletion_stop (reason) VALUES ('fire')")
    safe_night.once("dome", "reap")
    assert frames_at_source(safe_night) == 3


def test_nothing_is_nominated_in_a_database_that_was_restored(safe_night: Ground) -> None:
    safe_night.ask(_RESTORED)
    safe_night.reap()
    assert not safe_night.ask("SELECT FROM deletion")
    assert frames_at_source(safe_night) == 3


def changed_in_place(site: Ground) -> None:
    site.put("f1.fits", frame(41))


def same_size_and_time(site: Ground) -> None:
    path = site.source / "f1.fits"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"NGC 3115", b"NGC 3116"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [changed_in_place, same_size_and_time])
def test_a_file_that_is_not_the_archived_one_any_more_is_kept_and_registered_anew(
    safe_night: Ground, change: Callable[[Ground], None]
) -> None:
    nominate(safe_night)
    change(safe_night)
    written = (safe_night.source / "f1.fits").read_bytes()
    safe_night.once("dome", "reap")
    assert (safe_night.source / "f1.fits").read_bytes() == written
    assert frames_at_source(safe_night) == 1
    safe_night.ingest()
    first, second = safe_night.files("f1.fits")
    assert first.replaced_by == second.id
    safe_night.travel()
    assert safe_night.answer() == "YES"


def test_a_file_that_somebody_has_open_for_writing_is_kept_and_left_in_peace_for_a_while(
    safe_night: Ground,
) -> None:
    nominate(safe_night)
    with (safe_night.source / "f1.fits").open("r+b"):
        safe_night.once("dome", "reap")
        assert frames_at_source(safe_night) == 1
        row = safe_night.ask(
            "SELECT detail, trash FROM deletion_copy WHERE stage = 'kept' AND detail LIKE '%%writing%%'"
        )[0]
        assert (row.detail, row.trash) == ("a process has it open for writing", None)
        safe_night.once("dome", "reap")
    assert not safe_night.ask("SELECT FROM deletion WHERE state = 'nominated'")


def decide_while(site: Ground, change: str) -> int:
    """Decides while ``change`` of another transaction is not committed yet: how many go."""
    waits = (
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%%decide_deletion%%' AND datname = current_database()"
    )
    decide = "SELECT decide_deletion(id) AS n FROM deletion WHERE state = 'nominated'"
    one, other = Database(site.sites.dsn), Database(site.sites.dsn)
    going: list[int] = []
    decision = threading.Thread(
        target=lambda: going.append(other.run(lambda tx: tx.execute(decide))[0].n)
    )
    with one.begin() as tx:
        tx.execute(change)
        decision.start()
        wait_until(lambda: site.ask(waits), 20, "the decision waits")
    decision.join(20)
    one.close()
    other.close()
    return going[0]


def test_a_hold_placed_while_the_decision_waits_for_the_lock_is_seen(safe_night: Ground) -> None:
    """In one statement the rule would read the snapshot from before the wait."""
    nominate(safe_night)
    hold = "INSERT INTO hold (night, reason) VALUES ('2026-03-14', 'referee')"
    assert decide_while(safe_night, hold) == 0
    assert set(safe_night.copies("dome-source")) == {"present"}


def test_an_archive_copy_that_fails_while_the_decision_waits_is_not_counted(
    safe_night: Ground,
) -> None:
    nominate(safe_night)
    fails = "UPDATE physical_copy SET state = 'missing' WHERE location = 'archive-b'"
    assert decide_while(safe_night, fails) == 0


def test_an_ephemeral_file_goes_after_its_days_and_is_never_archived(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, source={"ephemeral": [{"path": "guider/*", "keep": "0 s"}]})
    site.put("guider/g1.fits", frame(1))
    site.put("f1.fits", frame(2))
    site.travel()
    site.once("dome", "reap")
    assert not (site.source / "guider" / "g1.fits").exists()
    assert site.files("guider/g1.fits")[0].handling == "ephemeral"
    assert site.one("SELECT count(*) FROM package_member") == 1
    assert site.answer() == "YES"
