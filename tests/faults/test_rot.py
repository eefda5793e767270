"""One byte that rots, wherever it lies, is found by the next pass that reads it anyway; nothing is
made of the bad bytes, nothing is deleted on their word, and a good copy takes their place.

Over 300 lines: every place where a byte can rot, from the source to the archives, in its order.
"""

import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.faults import checker, scenes, tracing
from tests.faults.course import Course, pid_of_worker
from tests.faults.night import Night, night, rot, rot_at_source
from tests.faults.scenes import Step
from tests.faults.stage import worker_file

pytestmark = pytest.mark.slow
ARCHIVES = ("archive-a", "archive-b")
MEMBERS = """SELECT f.sha256 FROM raw_data_file f JOIN package_member m ON m.file = f.id
 JOIN raw_data_package p ON p.id = m.package WHERE p.name = %s"""
READS = "read,pread64,readv,preadv,preadv2"


def corrupt(night: Night, location: str) -> tuple[object, ...]:
    """(path, when, what was read) of the only copy there that is corrupt."""
    return night.one(
        "SELECT c.path, v.ended, v.detail FROM physical_copy c JOIN verification v ON v.copy = c.id"
        " AND v.outcome = 'differs' WHERE c.location = %s AND c.state = 'corrupt'", location,
    )  # fmt: skip


def in_json(package: Path) -> int:
    """The place of a byte of nightferry.json, in the tar."""
    with tarfile.open(package) as tar:
        *_, last = tar
        assert last.name.endswith("/nightferry.json")
        return last.offset_data + last.size // 2


# --- at the source --------------------------------------------------------------------------------


def test_a_frame_that_rots_before_it_is_packed_is_lost_and_said_and_what_is_left_of_it_is_kept(
    course: Course,
) -> None:
    with night(course, scenes.INGESTED) as here:
        name = sorted(course.scenery.sums)[0]
        bad = rot_at_source(here, name)
        here.run(("dome", "package"), ("dome", "ingest"))
        assert here.one(
            "SELECT c.state::text, c.path, c.changed > now() - interval '1 minute', l.how"
            " FROM raw_data_file f JOIN physical_copy c ON c.file = f.id"
            " JOIN lost_file l ON l.file = f.id WHERE f.sha256 = %s", course.scenery.sums[name],
        ) == ("corrupt", name, True, "rotten before it was captured")  # fmt: skip
        here.goes_on()
        status, told = here.answer()
        assert (status, "1 file is lost: rotten before it was captured" in told) == (1, True), told
        assert not here.ask(
            "SELECT FROM package_member m JOIN raw_data_file f ON f.id = m.file"
            " WHERE f.sha256 = %s", course.scenery.sums[name],
        )  # fmt: skip
        left = here.one("SELECT relation::text, defects FROM raw_data_file WHERE sha256 = %s", bad)
        assert (left[0], course.scenery.sums[name] in str(left[1])) == ("version", True)
        assert here.type("center", "lost", "accept", name, "the disk was failing")[0] == 0
        assert here.answer()[0] == 0


def test_a_frame_that_rots_after_it_was_archived_is_not_deleted_and_not_archived_again(
    course: Course,
) -> None:
    with night(course, scenes.LET_GO) as here:
        here.ask("UPDATE data_location SET trash_grace = '0 s'")
        name = sorted(course.scenery.sums)[0]
        bad = rot_at_source(here, name)
        here.run(("dome", "reap"), ("center", "verify"), ("dome", "reap"))
        source = here.at("dome-source") / name
        assert checker.sum_of(source) == bad
        detail = here.one(
            "SELECT dc.detail FROM deletion_copy dc JOIN physical_copy c ON c.id = dc.copy"
            " WHERE c.path = %s AND c.state = 'corrupt' AND dc.stage = 'kept'", name,
        )  # fmt: skip
        assert detail == (f"in the trash it has the SHA-256 {bad}",)
        for _ in range(2):  # the sweep sees that it was moved, and that it is the same
            here.run(("dome", "ingest"), ("dome", "package"))
        assert not here.ask("SELECT FROM raw_data_file WHERE sha256 = %s", bad)
        _, told = here.type("dome", "why", name)
        assert "the copy is corrupt" in told, told
        assert here.answer()[0] == 0
        source.write_bytes(course.scenery.frames[name])  # a person brings it back
        here.run(("dome", "ingest"))
        assert here.one(
            "SELECT state::text FROM physical_copy WHERE path = %s AND location = 'dome-source'",
            name,
        ) == ("present",)


def test_a_package_that_rots_in_a_buffer_when_all_is_archived_is_not_deleted(
    course: Course,
) -> None:
    with night(course, scenes.TRASHED) as here:
        entry = min((here.at("center-buffer") / ".nightferry" / "trash").rglob("*.tar"))
        bad = rot(entry)
        here.run(("center", "reap"), ("center", "verify"))
        assert bad in str(corrupt(here, "center-buffer")[2])
        assert [checker.sum_of(p) for p in here.packages("center-buffer")] == [bad]
        assert here.answer()[0] == 0


# --- on its way -----------------------------------------------------------------------------------


# By state: where the package rots, who carries it on and finds it, and who has the last word on it.
IN_BUFFERS = (
    (scenes.AT_BUFFER, "dome-buffer", (("dome", "transfer"), ("dome", "verify"))),
    (scenes.AT_CENTER, "center-buffer", (("center", "archive"), ("center", "verify"))),
)


@pytest.mark.parametrize(("state", "location", "found_by"), IN_BUFFERS)
def test_a_package_that_rots_in_a_buffer_is_found_by_who_carries_it_on_and_made_again(
    course: Course, state: Step, location: str, found_by: tuple[tuple[str, str], ...]
) -> None:
    with night(course, state) as here:
        bad = rot(here.package(location))
        here.run(*found_by)
        assert bad in str(corrupt(here, location)[2])
        assert here.answer()[0] == 1
        here.goes_on()
        assert here.answer()[0] == 0
        assert bad not in here.sums()


@pytest.mark.parametrize(
    ("state", "location"), [(scenes.ACROSS, "center-buffer"), (scenes.IN_ARCHIVES, "archive-b")]
)
def test_a_package_that_rots_in_transit_never_gets_its_name_and_is_sent_again(
    course: Course, state: Step, location: str
) -> None:
    with night(course, state) as here:
        temporary = min(here.at(location).rglob("*.part"))
        bad = rot(temporary)
        here.run(("center", "verify"))
        assert bad in str(corrupt(here, location)[2])
        assert not temporary.exists()
        assert here.answer()[0] == 1
        here.goes_on()
        assert bad not in here.sums()
        assert here.answer()[0] == 0


def test_what_is_staged_is_never_of_bytes_that_rotted(course: Course) -> None:
    """The nearest copy is read, found bad and passed over: what lies there to be used is compared."""
    with night(course, scenes.ASKED_FOR) as here:
        bad = rot(here.package("center-buffer"))
        here.run(("center", "stage"))
        frames = (here.at("center-work") / "staged").rglob("*.fits")
        assert sorted(map(checker.sum_of, frames)) == sorted(course.scenery.sums.values())
        assert here.one("SELECT state::text FROM staging") == ("ready",)
        assert here.states("center-buffer").count("suspect") == 1
        here.run(("center", "verify"))
        assert bad in str(corrupt(here, "center-buffer")[2])


# --- in the archives ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["a frame", "nightferry.json"])
def test_an_archive_copy_that_rots_after_it_was_read_well_is_found_said_and_replaced(
    course: Course, where: str
) -> None:
    with night(course, scenes.ARCHIVED) as here:
        package = here.package("archive-a")
        good = checker.sum_of(package)
        bad = rot(package, in_json(package) if where == "nightferry.json" else None)
        here.days_go_by()
        here.run(("center", "verify"))
        path, _, detail = corrupt(here, "archive-a")
        assert (here.at("archive-a") / str(path), bad in str(detail)) == (package, True)
        status, told = here.answer()
        assert (status, "archive-a: the copy is corrupt" in told) == (1, True), told
        here.run(("center", "archive"), ("center", "verify"))
        assert checker.sum_of(package) == good
        assert bad not in here.sums()
        assert here.answer()[0] == 0


def test_one_of_two_archives_that_rots_stops_a_deletion_until_it_is_repaired(
    course: Course,
) -> None:
    with night(course, scenes.NOMINATED) as here:
        name = here.package("archive-a").stem
        frames = {str(row[0]) for row in here.ask(MEMBERS, name)}
        rot(here.package("archive-a"))
        here.run(("center", "verify"), ("dome", "reap"), ("center", "reap"))
        assert frames <= here.sums(("dome-source",))
        _, told = here.type("center", "why", name)
        assert "NO copies 1 of 2 archives hold it: archive-b" in told, told
        here.run(("center", "archive"), ("center", "verify"))
        here.ask("UPDATE data_location SET trash_grace = '0 s'")
        here.run(("dome", "reap"), ("center", "reap"))
        assert not frames & here.sums(("dome-source",))
        assert here.answer()[0] == 0


def test_the_last_but_one_copy_that_rots_is_replaced_from_the_last(course: Course) -> None:
    with night(course, scenes.GONE) as here:
        assert not here.packages("dome-buffer") + here.packages("center-buffer")
        good = here.sums(("archive-b",))
        bad = rot(here.package("archive-a"))
        here.days_go_by()
        here.run(("center", "verify"))
        status, told = here.answer()
        assert (status, "archive-a: the copy is corrupt" in told) == (1, True), told
        here.goes_on()
        assert here.sums(ARCHIVES) == good
        assert bad in str(corrupt(here, "archive-a")[2])
        assert here.answer()[0] == 0


def test_a_bad_or_missing_sidecar_is_made_again_from_the_ledger_and_its_package_stays_good(
    course: Course,
) -> None:
    """Else bad sidecars alone, at each archive, could leave no copy that anybody may read from."""
    with night(course, scenes.GONE) as here:
        bad, missing = (p.with_name(p.name + ".sha256") for p in map(here.package, ARCHIVES))
        good = bad.read_bytes()
        rot(bad)
        rotten = bad.read_bytes()
        missing.unlink()
        here.days_go_by()
        here.run(("center", "verify"))
        assert bad.read_bytes() == missing.read_bytes() == good
        aside = (here.at("archive-a") / ".nightferry" / "set-aside").rglob("*.sha256")
        assert [p.read_bytes() for p in aside] == [rotten]
        assert set(here.states("archive-a") + here.states("archive-b")) == {"present"}
        told = here.ask(
            "SELECT e.location, e.detail ->> 'path', c.id IS NOT NULL FROM event e LEFT JOIN"
            " physical_copy c ON c.id::text = e.detail ->> 'copy' WHERE e.what = 'sidecar corrupt'"
            " AND e.at > now() - interval '1 minute' ORDER BY 1"
        )
        paths = [
            str(p.relative_to(here.at(a))) for a, p in zip(ARCHIVES, (bad, missing), strict=True)
        ]
        assert told == [("archive-a", paths[0], True), ("archive-b", paths[1], True)]
        _, why = here.type("center", "why", here.package("archive-a").stem)
        assert "did not say what the ledger says" in why
        assert "was not there; it was made again" in why
        assert here.answer()[0] == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace what it did not start")
def test_a_copy_that_cannot_be_read_is_in_doubt_and_not_corrupt(course: Course) -> None:
    with night(course, scenes.OLD_READINGS) as here:
        package, stage, out = here.package("archive-a"), course.scenery.stage, here.place.log
        pid = stage.start(here.place.argv("center", "verify"), out, "archive-a")
        worker = pid_of_worker(worker_file(out), pid)
        assert worker is not None
        broken = ["-e", f"trace={READS}", "-P", str(package), "-e", f"inject={READS}:error=EIO"]
        tracer = tracing.attach(worker, broken, here.place.folder / "trace", threads=True)
        assert stage.wait(pid) == 0
        tracer.wait(10)
        assert here.one(
            "SELECT c.state::text, v.outcome::text FROM physical_copy c JOIN verification v"
            " ON v.copy = c.id WHERE c.location = 'archive-a' AND v.outcome <> 'good'"
        ) == ("suspect", "unreadable")
        status, told = here.answer()
        assert (status, "archive-a: the copy is suspect" in told) == (1, True), told
        here.goes_on()
        assert here.states("archive-a").count("corrupt") == 0
        assert here.answer()[0] == 0


# --- the long form --------------------------------------------------------------------------------

STATES = (
    scenes.PACKED, scenes.AT_BUFFER, scenes.ACROSS, scenes.AT_CENTER, scenes.IN_ARCHIVES,
    scenes.ARCHIVED, scenes.GONE,
)  # fmt: skip
FLIPS = 24


@pytest.mark.whole
def test_a_byte_that_rots_anywhere_at_any_moment_is_found_and_replaced(course: Course) -> None:
    chance = random.Random("rot")
    for number in range(FLIPS):
        with night(course, chance.choice(STATES)) as here:
            files = [
                path
                for location in ("dome-buffer", "center-buffer", *ARCHIVES)
                for path in sorted(here.at(location).rglob("*"))
                if path.is_file() and path.name != ".nightferry-location"
            ]
            path = chance.choice(files)
            good = checker.sum_of(path)
            bad = rot(path, chance.randrange(path.stat().st_size))
            here.days_go_by()
            for _ in range(3):
                here.goes_on()
                status, told = here.answer()
                if status == 0:
                    break
            what = f"flip {number}: {path.relative_to(here.place.folder)}"
            assert status == 0, f"{what}: {told}"
            assert bad not in here.sums(ARCHIVES), what
            assert path.suffix == ".part" or good in here.sums(), what
            wrong = checker.at_the_end(here.place.folder, here.place.dsn)
            assert not [w for w in wrong if "/set-aside/" not in w], what
