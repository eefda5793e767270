"""Every file of the instrument's disk is captured, whatever its name, its bytes or its fate.

Over 300 lines: each bad input of an instrument's disk has its outcome here.
"""

import gzip
import os
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nightferry.capture import Reader
from nightferry.errors import NightferryError

from tests.daemons.ground import NIGHT, Ground, card, fits_of, frame, ground, tree


def rewrite(site: Ground, name: str, content: bytes) -> None:
    """The file is written again, at another time of the disk's clock."""
    path = site.put(name, content)
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


def package_now(site: Ground) -> None:
    site.once("dome", "ingest")
    site.once("dome", "package")
    site.once("dome", "verify")


def test_a_header_that_is_rewritten_and_written_back_makes_three_versions_all_captured(
    two_sites: Ground,
) -> None:
    for note in ("A", "B", "A"):
        rewrite(two_sites, "f1.fits", frame(1, NOTE=note))
        package_now(two_sites)
    versions = two_sites.files("f1.fits")
    assert [(v.ordinal, v.relation) for v in versions] == [
        (1, "first"),
        (2, "version"),
        (3, "version"),
    ]
    assert versions[0].sha256 == versions[2].sha256
    assert two_sites.one("SELECT count(*) FROM package_member") == 3
    assert not two_sites.ask("SELECT FROM lost_file")
    two_sites.travel()
    assert two_sites.answer() == "YES"


def test_a_name_that_comes_again_the_next_night_is_another_exposure_and_both_nights_end_safe(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    package_now(two_sites)
    rewrite(two_sites, "f1.fits", frame(1, DATE_BEG="2026-03-16T02:01:00.000"))
    two_sites.travel()
    first, second = two_sites.files("f1.fits")
    assert (second.ordinal, second.relation) == (2, "exposure")
    assert (first.night, second.night) == (NIGHT, NIGHT + timedelta(days=1))
    assert not two_sites.ask("SELECT FROM lost_file")
    assert two_sites.answer() == two_sites.answer(NIGHT + timedelta(days=1)) == "YES"


def test_a_name_that_comes_again_after_its_file_was_deleted_is_registered(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    two_sites.reap()
    assert two_sites.copies("dome-source") == ["deleted"]
    two_sites.put("f1.fits", frame(1, DATE_BEG="2026-03-16T02:01:00.000"))
    two_sites.travel()
    assert [f.relation for f in two_sites.files("f1.fits")] == ["first", "exposure"]
    assert two_sites.answer(NIGHT + timedelta(days=1)) == "YES"


@pytest.mark.slow
def test_the_same_file_put_back_after_its_deletion_is_no_new_file_and_goes_again(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    two_sites.reap()
    two_sites.put("f1.fits", frame(1))
    two_sites.ingest()
    assert len(two_sites.files("f1.fits")) == 1
    assert sorted(two_sites.copies("dome-source")) == ["deleted", "present"]
    two_sites.reap()
    assert two_sites.copies("dome-source") == ["deleted", "deleted"]
    assert not (two_sites.source / "f1.fits").exists()


def test_a_file_overwritten_before_it_was_packaged_is_lost_until_a_person_accepts_it(
    two_sites: Ground,
) -> None:
    two_sites.put("f1.fits", frame(1, NOTE="A"))
    two_sites.put("f2.fits", frame(2))
    two_sites.ingest()
    rewrite(two_sites, "f1.fits", frame(1, NOTE="B"))
    two_sites.travel()
    assert two_sites.one("SELECT how FROM lost_file") == "overwritten before it was captured"
    assert two_sites.verdict().answer == "NO"
    two_sites.ask(
        "UPDATE lost_file SET accepted = now(), accepted_by = 'anna', reason = 'a test exposure'"
    )
    assert two_sites.answer() == "YES"


def test_a_file_gone_before_it_was_packaged_is_lost_and_found_when_it_comes_back(
    two_sites: Ground,
) -> None:
    path = two_sites.put("f1.fits", frame(1))
    two_sites.put("f2.fits", frame(2))
    two_sites.ingest()
    path.unlink()
    two_sites.ingest()
    assert two_sites.one("SELECT how FROM lost_file") == "gone before it was captured"
    two_sites.travel()
    assert two_sites.verdict().answer == "NO"
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    assert not two_sites.ask("SELECT FROM lost_file")
    assert two_sites.answer() == "YES"


def test_a_file_that_somebody_removed_after_it_was_packaged_is_not_lost(two_sites: Ground) -> None:
    path = two_sites.put("f1.fits", frame(1))
    package_now(two_sites)
    path.unlink()
    two_sites.travel()
    assert two_sites.copies("dome-source") == ["missing"]
    assert not two_sites.ask("SELECT FROM lost_file")
    assert two_sites.answer() == "YES"


def test_the_same_bytes_at_another_time_are_no_new_version(two_sites: Ground) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.ingest()
    (before,) = two_sites.files("f1.fits")
    rewrite(two_sites, "f1.fits", frame(1))
    two_sites.ingest()
    (after,) = two_sites.files("f1.fits")
    assert after.id == before.id
    assert after.mtime_ns == (two_sites.source / "f1.fits").stat().st_mtime_ns != before.mtime_ns


_NAMES = [
    b"with space.fits", b"two\nlines.fits", b"100%25.fits", b"back\\slash.fits", b"=41.fits",
    b"not-utf8-\xff\xfe.fits", b"x" * 250 + b".fits", "umlaut-\u00fc.fits".encode(), b"-rf.fits",
    b"'; DROP TABLE job;--.fits", b"Case.fits", b"case.fits",
]  # fmt: skip


def test_files_of_any_name_are_archived(two_sites: Ground) -> None:
    for number, name in enumerate(_NAMES):
        (Path(os.fsdecode(bytes(two_sites.source) + b"/" + name))).write_bytes(frame(number))
    two_sites.travel()
    assert two_sites.one("SELECT count(*) FROM raw_data_file") == len(_NAMES)
    assert two_sites.one("SELECT count(DISTINCT path) FROM raw_data_file") == len(_NAMES)
    assert two_sites.answer() == "YES"
    two_sites.reap()
    assert not list(two_sites.source.glob("*.fits"))


def test_what_is_no_regular_file_waits_in_quarantine_and_stops_nothing_else(
    two_sites: Ground,
) -> None:
    outside = two_sites.sites.folder / "secret"
    outside.write_bytes(b"not ours")
    (two_sites.source / "link.fits").symlink_to(outside)
    (two_sites.source / "linked-dir").symlink_to(two_sites.sites.folder)
    os.mkfifo(two_sites.source / "fifo.fits")
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(two_sites.source)
        s.bind("socket.fits")
        os.chdir(here)
    two_sites.put("f1.fits", frame(1))
    two_sites.travel()
    held = two_sites.ask(
        "SELECT path, reason, advice FROM quarantine WHERE released IS NULL ORDER BY path"
    )
    assert [r.path for r in held] == ["fifo.fits", "link.fits", "linked-dir", "socket.fits"]
    assert all(r.reason and r.advice for r in held)
    assert [r.path for r in two_sites.ask("SELECT path FROM raw_data_file")] == ["f1.fits"]
    assert set(two_sites.copies("archive-a")) == {"present"}


def test_a_quarantine_ends_when_what_was_there_is_gone(two_sites: Ground) -> None:
    os.mkfifo(two_sites.source / "fifo.fits")
    two_sites.put("f1.fits", frame(1))
    two_sites.ingest()
    (two_sites.source / "fifo.fits").unlink()
    two_sites.travel()
    assert two_sites.ask("SELECT release FROM quarantine") == [("gone",)]
    assert two_sites.answer() == "YES"


def bomb() -> bytes:
    """A compressed file of 1 MB that holds 1 GB."""
    return gzip.compress(frame(1) + bytes(1 << 20), 9) + gzip.compress(bytes(64 << 20), 9) * 16


_BYTES = {
    "truncated.fits": (frame(1, NAXIS=1, NAXIS1=100_000)[:4000], "broken"),
    "empty.fits": (b"", "none"),
    "text.txt": (b"the observer's notes\n", "none"),
    "noend.fits": (fits_of(iter([card("SIMPLE", True)] * 120), end=False), "broken"),
    "control.fits": (frame(2, OBJECT="M\x0731\x00\x1b[2J", OBSERVER="<script>"), "whole"),
    "quotes.fits": (frame(3, OBJECT="'); DROP TABLE job; --"), "whole"),
    "numbers.fits": (frame(4, EXPTIME="1E400", AIRMASS=float("nan"), OBSNUM=10**30), "whole"),
    "sky.fits": (frame(5, RA="99:99:99", DEC="-95:00:00"), "whole"),
    "cards.fits": (frame(6, **{f"K{n}": n for n in range(10_000)}), None),
    "bomb.fits.gz": (bomb(), None),
    "cut.fits.gz": (gzip.compress(frame(7) * 50)[:-20], None),
    "year.fits": (frame(8, DATE_BEG="99999-99-99T99:99:99"), "whole"),
    "old.fits": (frame(9, DATE_BEG="0001-01-01T00:00:00"), "whole"),
    "end.fits": (frame(10, DATE_BEG="9999-12-31T23:59:59.999"), "whole"),
}  # fmt: skip


def test_bytes_of_any_kind_are_archived_and_what_is_wrong_with_them_is_told(
    two_sites: Ground,
) -> None:
    for name, (content, _) in _BYTES.items():
        two_sites.put(name, content)
    two_sites.put("good.fits", frame(20))
    two_sites.travel()
    assert two_sites.one("SELECT count(*) FROM raw_data_file") == len(_BYTES) + 1
    for name, (content, header) in _BYTES.items():
        (file,) = two_sites.files(name)
        assert file.size == len(content), name
        assert header in (None, file.header), (name, file.header, file.defects)
    (good,) = two_sites.files("good.fits")
    assert good.defects == []
    for name in ("truncated.fits", "noend.fits", "cut.fits.gz"):
        assert two_sites.files(name)[0].defects, name
    nights = [r.night for r in two_sites.ask("SELECT DISTINCT night FROM raw_data_file")]
    assert {night: two_sites.ask("SELECT FROM quarantine") for night in nights} == {
        night: [] for night in nights
    }
    unsafe = two_sites.ask(
        "SELECT f.path, a.reason FROM raw_data_file f, file_answers(ARRAY[f.id]) a WHERE NOT a.safe"
    )
    assert unsafe == []


def test_a_header_clock_that_is_a_year_off_is_doubted_and_its_night_is_kept(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, replayed=False)
    site.put("year-off.fits", frame(1))
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    site.put("right.fits", frame(2, DATE_BEG=now))
    site.ingest()
    assert [(f.clock, f.night) for f in site.files("year-off.fits")] == [("doubtful", NIGHT)]
    assert [f.clock for f in site.files("right.fits")] == ["good"]
    site.db.close()


def test_the_clock_of_replayed_frames_is_not_judged(two_sites: Ground) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.ingest()
    assert two_sites.files("f1.fits")[0].clock == "unknown"


def test_a_source_that_is_read_only_is_captured_and_left_as_it_was(two_sites: Ground) -> None:
    two_sites.put("deep/er/f1.fits", frame(1))
    two_sites.put("f2.fits", frame(2))
    for folder in (two_sites.source / "deep" / "er", two_sites.source / "deep", two_sites.source):
        folder.chmod(0o555)
    before = tree(two_sites.source)
    two_sites.ask(
        "UPDATE data_location SET reap_enabled = false, keep = NULL WHERE name = 'dome-source'"
    )
    two_sites.travel()
    assert tree(two_sites.source) == before
    assert two_sites.answer() == "YES"
    for folder in (two_sites.source, two_sites.source / "deep", two_sites.source / "deep" / "er"):
        folder.chmod(0o755)


@pytest.mark.parametrize("marker", ["none", "another's"])
def test_a_source_without_its_marker_is_unavailable_and_never_empty(
    two_sites: Ground, marker: str
) -> None:
    two_sites.put("f1.fits", frame(1))
    two_sites.ingest()
    shutil.move(two_sites.source / "f1.fits", two_sites.sites.folder / "kept.fits")
    mark = two_sites.source / ".nightferry-location"
    if marker == "none":
        mark.unlink()
    else:
        mark.write_bytes(
            (two_sites.sites.path("dome-buffer") / ".nightferry-location").read_bytes()
        )
    loop = two_sites.once("dome", "ingest")
    assert loop.desk.watch_failed
    state = two_sites.ask(
        "SELECT state::text, reason FROM location_state WHERE location = 'dome-source'"
    )
    assert [s.state for s in state] == ["unavailable"]
    assert "dome-source" in state[0].reason
    assert two_sites.copies("dome-source") == ["present"]
    assert not two_sites.ask("SELECT FROM lost_file")
    assert two_sites.verdict().answer != "YES"


def test_very_many_files_gone_at_once_are_not_believed_until_a_person_says_so(
    two_sites: Ground,
) -> None:
    for number in range(120):
        two_sites.put(f"f{number}.txt", b"%d" % number)
    two_sites.ingest()
    for path in two_sites.source.glob("*.txt"):
        path.unlink()
    two_sites.put("new.fits", frame(1))
    two_sites.ingest()
    assert two_sites.copies("dome-source") == ["present"] * 121
    assert (
        two_sites.one(
            "SELECT vanish_guard ->> 'vanished' FROM location_state WHERE location = 'dome-source'"
        )
        == "120"
    )
    two_sites.db.run(lambda tx: tx.run("locations.accept_missing", name="dome-source"))
    two_sites.ingest()
    assert two_sites.copies("dome-source").count("missing") == 120


def test_files_that_are_there_again_need_no_persons_word(two_sites: Ground) -> None:
    for number in range(120):
        two_sites.put(f"night/f{number}.txt", b"%d" % number)
    two_sites.ingest()
    (two_sites.source / "night").rename(two_sites.sites.folder / "elsewhere")
    two_sites.ingest()
    assert two_sites.one(
        "SELECT vanish_guard IS NOT NULL FROM location_state WHERE location = 'dome-source'"
    )
    (two_sites.sites.folder / "elsewhere").rename(two_sites.source / "night")
    two_sites.ingest()
    assert two_sites.one(
        "SELECT vanish_guard IS NULL FROM location_state WHERE location = 'dome-source'"
    )
    assert two_sites.copies("dome-source") == ["present"] * 120


def test_a_directory_that_cannot_be_read_is_told_and_the_rest_goes_on(two_sites: Ground) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read every directory")
    two_sites.put("shut/f1.fits", frame(1))
    two_sites.put("f2.fits", frame(2))
    (two_sites.source / "shut").chmod(0)
    two_sites.travel()
    (two_sites.source / "shut").chmod(0o755)
    assert two_sites.ask("SELECT path FROM quarantine") == [("shut",)]
    assert two_sites.ask("SELECT path FROM raw_data_file") == [("f2.fits",)]


def test_a_failing_watch_ends_with_an_error_that_says_what_to_do(two_sites: Ground) -> None:
    (two_sites.source / ".nightferry-location").unlink()
    with pytest.raises(NightferryError, match="dome-source"):
        two_sites.sites.once("dome", "ingest")


def test_once_finds_what_came_where_it_had_looked_while_other_files_settled(
    two_sites: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hint tells of it: a sweep that left something to settle is followed by another one."""
    two_sites.put("f1.fits", frame(1))
    capture = Reader.capture
    left = ["f2.fits", "later/f3.fits"]

    def one_comes_meanwhile(self: Reader, *values: Any, **more: Any) -> Any:
        if left:
            two_sites.put(left.pop(0), frame(2 + len(left)))
        return capture(self, *values, **more)

    monkeypatch.setattr(Reader, "capture", one_comes_meanwhile)
    two_sites.ingest()
    rows = two_sites.ask("SELECT path FROM raw_data_file ORDER BY path")
    assert [r.path for r in rows] == ["f1.fits", "f2.fits", "later/f3.fits"]
