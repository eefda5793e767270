"""nf night: is this night safe?"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.ledger import NIGHT, NOON, NOON_AFTER, Ledger
from tests.typed import Nf


@pytest.fixture
def ledger(database: str) -> Ledger:
    return Ledger(database).observatory()


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def test_a_night_with_every_file_read_well_in_two_archives_is_safe(ledger: Ledger, nf: Nf) -> None:
    files = [ledger.file(f"d{n}.fits", frame_type="bias") for n in range(1001, 1004)]
    ledger.archive(ledger.package(*files))
    answer = nf("night", "2024-05-12")
    assert answer.code == 0
    assert answer.last.startswith("YES: 3 of 3 files of night 2024-05-12 are safe")
    assert answer.next.startswith("nf why d100")


def test_a_frame_from_a_clock_that_is_ahead_is_not_told_as_new(ledger: Ledger, nf: Nf) -> None:
    ledger.file("ahead.fits")
    ledger.execute("UPDATE raw_data_file SET exposure_start = now() + interval '365 days'")
    assert "365 d from now" in nf("night", "2024-05-12").words


def test_one_archive_of_two_is_not_enough_and_the_answer_says_which_lacks_it(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits"), ledger.file("b.fits")), "vault-a")
    answer = nf("night", "2024-05-12")
    assert answer.code == 1
    assert "2 files: at 1 of 2 archives (vault-b: no copy yet)" in answer.words
    assert answer.last.startswith("NO: 0 of 2 files")


def test_two_archives_that_fail_together_count_once(ledger: Ledger, nf: Nf) -> None:
    ledger.execute("UPDATE data_location SET failure_domain = 'hall-a' WHERE name = 'vault-b'")
    ledger.archive(ledger.package(ledger.file("a.fits")))
    answer = nf("night", "2024-05-12")
    assert answer.code == 1
    assert "at 1 of 2 archives, for some of them fail together" in answer.words


def test_a_copy_that_was_read_too_long_ago_is_no_proof(ledger: Ledger, nf: Nf) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")), ago=timedelta(days=91))
    answer = nf("night", "2024-05-12")
    assert answer.code == 1
    assert "only 0 of 2 read it well within 90 days" in answer.words


def test_files_on_their_way_are_told_by_how_far_they_are(ledger: Ledger, nf: Nf) -> None:
    ledger.package(ledger.file("planned.fits"), packed=False)
    package = ledger.package(ledger.file("arriving.fits"))
    ledger.copy(package, "vault-a", "arriving")
    ledger.file("alone.fits")
    answer = nf("night", "2024-05-12", "--unsafe", "2")
    assert "1 file: its package is not packed yet" in answer.words
    assert "1 file: in no package yet" in answer.words
    assert "vault-a: written, not read back yet; vault-b: no copy yet" in answer.words
    assert "and 1 more" in answer.words


def test_a_lost_file_makes_the_night_unsafe_until_a_person_accepts_it(
    ledger: Ledger, nf: Nf
) -> None:
    lost = ledger.file("gone.fits")
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.execute(
        "INSERT INTO lost_file (file, how) VALUES (%s, 'gone before it was packed')", lost.id
    )
    before = nf("night", "2024-05-12")
    assert before.code == 1
    assert "1 file is lost: gone before it was packed" in before.words
    assert before.next == "nf lost list"
    ledger.execute("UPDATE lost_file SET accepted = now(), accepted_by = 'ada', reason = 'a test'")
    after = nf("night", "2024-05-12")
    assert after.code == 0
    assert "YES: 1 of 1 files" in after.last
    assert "1 file lost, which a person accepted" in after.words


def test_what_lies_in_quarantine_beside_its_files_makes_the_night_unsafe_until_released(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.archive(ledger.package(ledger.file("2024-05-12/a.fits")))
    for path in ("2024-05-12/pipe", "elsewhere/pipe"):
        ledger.execute(
            "INSERT INTO quarantine (location, path, reason, advice)"
            " VALUES ('dome-disk', %s, 'a pipe', 'Remove it')",
            path,
        )
    before = nf("night", "2024-05-12")
    assert before.code == 1
    assert "quarantined at dome-disk: 2024-05-12/pipe: a pipe. Remove it" in before.words
    assert "1 file of other nights in quarantine" in before.words
    ledger.execute(
        "UPDATE quarantine SET released = now(), released_by = 'ada', release = 'ignore'"
    )
    assert nf("night", "2024-05-12").code == 0


def test_in_a_folder_of_many_nights_quarantine_counts_for_the_night_it_was_found_in(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.archive(ledger.package(ledger.file("b.fits", night=NIGHT + timedelta(days=9))))
    for path, found in (("p", NOON + timedelta(hours=3)), ("q", NOON + timedelta(days=9, hours=3))):
        ledger.execute(
            "INSERT INTO quarantine (location, path, reason, advice, found)"
            " VALUES ('dome-disk', %s, 'a pipe', 'Remove it', %s)",
            path, found,
        )  # fmt: skip
    assert nf.json("night", "2024-05-12")["no"] == [
        "quarantined at dome-disk: p: a pipe. Remove it"
    ]


@pytest.mark.parametrize(
    ("swept", "code"),
    [(NOON_AFTER + timedelta(minutes=1), 0), (NOON_AFTER - timedelta(minutes=1), 2)],
)
def test_only_a_full_sweep_that_began_after_the_night_ended_has_seen_all_of_it(
    ledger: Ledger, nf: Nf, swept: datetime, code: int
) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.sweep("dome-disk", began=swept)
    answer = nf("night", "2024-05-12")
    assert answer.code == code
    assert ("no full sweep of dome-disk began after the night ended" in answer.words) == (code == 2)


def test_with_a_source_that_does_not_answer_nobody_can_tell(ledger: Ledger, nf: Nf) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.sweep("dome-disk", state="unavailable", reason="no marker file")
    answer = nf("night", "2024-05-12")
    assert answer.code == 2
    assert "CANNOT TELL: dome-disk is unavailable since" in answer.last
    assert "no marker file" in answer.words


def test_a_source_that_nobody_ever_looked_at_leaves_it_open(ledger: Ledger, nf: Nf) -> None:
    ledger.execute(
        "INSERT INTO data_location (name, site, type, failure_domain)"
        " VALUES ('new-camera', 'dome', 'SOURCE', 'new')"
    )
    ledger.archive(ledger.package(ledger.file("a.fits")))
    answer = nf("night", "2024-05-12")
    assert answer.code == 2
    assert "new-camera was never looked at" in answer.words


def test_what_is_certainly_unsafe_is_no_even_if_more_may_be_missing(ledger: Ledger, nf: Nf) -> None:
    ledger.file("a.fits")
    ledger.sweep("dome-disk", state="unavailable", reason="no marker file")
    answer = nf("night", "2024-05-12")
    assert answer.code == 1
    assert "What can't be told" in answer.out


def test_a_night_of_which_no_file_is_known_is_not_called_safe(ledger: Ledger, nf: Nf) -> None:
    answer = nf("night", "2023-01-01")
    assert answer.code == 2
    assert "no file of this night is known" in answer.last


def test_a_running_night_says_how_many_are_safe_so_far(ledger: Ledger, nf: Nf) -> None:
    now = datetime.now(UTC)
    # A telescope whose local noon was an hour ago or some hours more: its night runs.
    offset = 13 - now.hour if now.hour > 0 else -12
    zone = f"Etc/GMT{-offset:+d}" if offset else "UTC"
    ledger.execute("UPDATE telescope SET zone = %s", zone)
    tonight = (now + timedelta(hours=offset)).date()
    ledger.archive(ledger.package(ledger.file("a.fits", night=tonight), night=tonight))
    ledger.file("b.fits", night=tonight)
    answer = nf("night")
    assert answer.code == 2
    assert f"CANNOT TELL yet, night {tonight} runs: so far 1 of 2 safe, seen until" in answer.last


def test_the_counts_that_an_observer_asks_for(ledger: Ledger, nf: Nf) -> None:
    start = datetime(2024, 5, 13, 1, 59, tzinfo=UTC)
    files = [
        ledger.file("a.fits", counter=1001, exposure_start=start),
        ledger.file("b.fits", counter=1003, exposure_start=start + timedelta(hours=5, minutes=14)),
        ledger.file("c.fits", counter=1066, header="broken", clock="doubtful"),
        ledger.file("d.dat", header="none", night_from="arrival", exposure_start=None),
    ]
    ledger.file("guide.fits", handling="ephemeral", ephemeral_until=NOON_AFTER)
    ledger.archive(ledger.package(*files))
    ledger.execute("UPDATE physical_copy SET state = 'deleted' WHERE file = %s", files[0].id)
    answer = nf("night", "2024-05-12")
    assert answer.code == 0
    for said in (
        "4 of 4 safe",
        "01:59-07:13 UTC",
        "63 gaps in the counter of nickel: 1002, 1004-1065",
        "1 file without a readable header",
        "1 file with a broken header",
        "1 file placed in this night by arrival",
        "1 file whose header clock is doubtful",
        "1 file ephemeral, never archived",
        "SOURCE: 6 B freed (1 file)",
    ):
        assert said in answer.words, said


def test_files_still_being_written_leave_the_newest_night_open(ledger: Ledger, nf: Nf) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.sweep("dome-disk", unsettled=2)
    assert nf("night", "last").code == 2
    ledger.archive(ledger.package(ledger.file("b.fits", night=NIGHT + timedelta(days=1))))
    assert nf("night", "2024-05-12").code == 0


def test_a_site_that_keeps_one_copy_is_told_so(ledger: Ledger, nf: Nf) -> None:
    ledger.execute("UPDATE policy SET copies = 1")
    ledger.archive(ledger.package(ledger.file("a.fits")), "vault-a")
    answer = nf("night", "2024-05-12")
    assert answer.code == 0
    assert "copies: 1. This site calls one archive copy safe" in answer.words
    assert "one archive (copies: 1)" in answer.last


def test_an_adopted_file_is_safe_by_its_own_copies(ledger: Ledger, nf: Nf) -> None:
    ledger.archive(ledger.file("old.fits", handling="adopted", location="vault-a"))
    assert nf("night", "2024-05-12").code == 0


def test_work_that_failed_for_good_is_told_with_the_package(ledger: Ledger, nf: Nf) -> None:
    package = ledger.package(ledger.file("a.fits"))
    ledger.execute(
        "INSERT INTO blocked (kind, subject, reason) VALUES ('archive', %s, 'no room')",
        f"{package.id}@vault-b",
    )
    answer = nf("night", "2024-05-12")
    assert f"archive of {package.name} is blocked at vault-b (no room)" in answer.words
    assert answer.next == "nf jobs list"


def test_a_word_that_is_no_date_is_a_usage_error(ledger: Ledger, nf: Nf) -> None:
    answer = nf("night", "yesterday")
    assert answer.code == 3
    assert "2024-05-12" in answer.err


def test_without_a_database_it_says_so_and_exits_with_four(tmp_path: Path) -> None:
    answer = Nf("host=/nowhere dbname=x", tmp_path)("night")
    assert answer.code == 4
    assert "the database does not answer" in answer.err
