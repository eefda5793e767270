"""nf check: one line a check, with what to do; days before a disk is full; and as a plug-in."""

from datetime import timedelta
from pathlib import Path

import pytest
from nightferry.db import Database
from nightferry.health import State, look

from tests.ledger import Ledger
from tests.typed import Nf

DAEMONS = ("ingest", "package", "transfer", "archive", "verify")
LOCATIONS = ("dome-disk", "dome-buffer", "centre-buffer", "vault-a", "vault-b")
GB = 10**9


@pytest.fixture
def ledger(database: str) -> Ledger:
    """Everything is well."""
    ledger = Ledger(database).observatory()
    ledger.execute("SELECT trust_incarnation('a clone for a test')")
    ledger.execute("UPDATE data_location SET marker = gen_random_uuid()")
    for daemon in DAEMONS:
        ledger.execute(
            "INSERT INTO heartbeat (daemon, host, pid, version) VALUES (%s, 'h1', 1, '1')", daemon
        )
    for location in LOCATIONS:
        measure(ledger, location, free=800 * GB)
    return ledger


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def measure(ledger: Ledger, location: str, free: int, ago: timedelta = timedelta()) -> None:
    """As a daemon found it, so long ago."""
    ledger.execute(
        "INSERT INTO location_state (location, host, state, total_bytes, free_bytes, measured)"
        " VALUES (%s, 'h1', 'available', %s, %s, now() - %s) ON CONFLICT (location, host)"
        " DO UPDATE SET free_bytes = EXCLUDED.free_bytes, measured = EXCLUDED.measured",
        location, 1000 * GB, free, ago,
    )  # fmt: skip


def forget(ledger: Ledger) -> None:
    """Nothing was measured yet."""
    ledger.execute("DELETE FROM space_measured")


def test_where_all_is_well_every_check_says_ok(ledger: Ledger, nf: Nf) -> None:
    answer = nf("check")
    assert answer.code == 0, answer.out
    assert answer.last.startswith("OK: all ")
    for line in (
        "database: OK", "schema: OK", "daemon verify on h1: OK", "location vault-a: OK",
        "space of vault-a: OK (800.0 GB free, 20 % full)", "route dome-centre: OK",
        "failed jobs: OK (none)", "backup: OK", "reading again: OK",
    ):  # fmt: skip
        assert line in answer.words, line


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("UPDATE heartbeat SET seen = now() - interval '5 min' WHERE daemon = 'verify'",
         "daemon verify on h1: FAILED (silent for 5 min): systemctl status nightferry-verify"),
        ("DELETE FROM heartbeat WHERE daemon = 'archive'",
         "daemon archive: FAILED (runs on no host): systemctl start nightferry-archive"),
        ("UPDATE data_location SET marker = NULL WHERE name = 'vault-a'",
         "location vault-a: FAILED (has no marker): nf locations init vault-a"),
        ("UPDATE location_state SET state = 'unavailable', reason = 'no answer' WHERE location = 'vault-b'",
         "location vault-b: FAILED (away: no answer): nf locations list"),
        ("UPDATE location_state SET checked = now() - interval '20 min' WHERE location = 'vault-b'",
         "location vault-b: WARNING (last looked at by h1, 20 min ago: nobody knows how it is now):"
         " systemctl status nightferry.target (on h1)"),
        ("DELETE FROM location_state WHERE location = 'vault-b'",
         "location vault-b: WARNING (no host has looked at it): name it under locations: in"),
        ("UPDATE data_location SET capabilities = '{\"writable\": false}' WHERE name = 'vault-b'",
         "location vault-b: FAILED (read-only)"),
        ("INSERT INTO breaker (name, state, reason) VALUES ('dome-centre', 'open', 'no route to host')",
         "route dome-centre: FAILED (no route to host): nf jobs list"),
        ("INSERT INTO breaker (name, state, reason, since)"
         " VALUES ('vault-a', 'open', 'stale handle', now() - interval '5 hours')",
         "breaker vault-a: FAILED (open for 5 h: stale handle)"),
        ("UPDATE location_state SET last_sweep_ended = now() - interval '7 h', unsettled = 3 WHERE location = 'dome-disk' AND host <> 'h1'",
         "work of ingest: WARNING (3 files not settled yet, dome-disk was looked through 7 h ago):"
         " systemctl status nightferry-ingest"),
        ("UPDATE location_state SET last_sweep_ended = now() - interval '3 days' WHERE location = 'dome-disk'",
         "work of ingest: FAILED"),
        ("UPDATE location_state SET last_sweep_ended = NULL WHERE location = 'dome-disk'",
         "work of ingest: WARNING (0 files not settled yet, dome-disk was never looked through)"),
        ("INSERT INTO job (kind, subject, created) VALUES ('archive', 'x', now() - interval '1 day')",
         "work of archive: WARNING (1 open, the oldest for 24 h): nf jobs list --kind archive"),
        ("INSERT INTO job (kind, subject, created) VALUES ('archive', 'x', now() - interval '9 days')",
         "work of archive: FAILED"),
        ("INSERT INTO blocked (kind, subject, reason) VALUES ('package', 'x', 'attempts spent')",
         "failed jobs: WARNING (1 job, such as package: attempts spent): nf jobs list"),
        ("UPDATE incarnation SET began = now() - interval '9 days'",
         "backup: WARNING (never made): nf backup LOCATION"),
        ("INSERT INTO backup (location, path, sha256, size, rows, taken, proven)"
         " VALUES ('vault-a', 'p', repeat('a', 64), 1, 1, now() - interval '60 h', now())",
         "backup: WARNING (60 h old, proven): nf backup LOCATION"),
        ("INSERT INTO backup (location, path, sha256, size, rows, taken, proven)"
         " VALUES ('vault-a', 'p', repeat('a', 64), 1, 1, now() - interval '40 days', now())",
         "backup: FAILED (40 d old, proven): nf backup LOCATION"),
        ("INSERT INTO incarnation (system_identifier, timeline, database_oid, reason) VALUES (1, 1, 1, '')",
         "identity of the database: FAILED (restored, and not audited: nothing is deleted): nf audit"),
    ],
)  # fmt: skip
def test_what_is_not_well_says_what_to_do(ledger: Ledger, nf: Nf, change: str, line: str) -> None:
    ledger.execute(change)
    answer = nf("check")
    assert answer.code == 1
    assert line in answer.words
    assert answer.last.startswith(line.partition(": ")[2].partition(" ")[0])


def test_what_one_host_said_long_ago_does_not_count_beside_what_another_says_now(
    ledger: Ledger, nf: Nf
) -> None:
    ledger.execute("UPDATE location_state SET checked = now() - interval '1 day'")
    ledger.execute(
        "INSERT INTO location_state (location, host, state, reason) VALUES"
        " ('vault-a', 'h2', 'unavailable', 'no marker'), ('vault-b', 'h2', 'available', '')"
    )
    answer = nf("check").words
    assert "location vault-a: FAILED (away: no marker)" in answer
    assert "location vault-b: OK" in answer
    assert "location dome-buffer: WARNING (last looked at by h1, 24 h ago" in answer


def test_a_bucket_whose_host_lives_was_not_forgotten(ledger: Ledger, nf: Nf) -> None:
    ledger.execute("UPDATE data_location SET storage = 's3' WHERE name = 'vault-b'")
    ledger.execute(
        "UPDATE location_state SET checked = now() - interval '1 h' WHERE location = 'vault-b'"
    )
    assert "location vault-b: OK" in nf("check").words
    ledger.execute("UPDATE heartbeat SET seen = now() - interval '1 h'")
    assert "location vault-b: WARNING (last looked at by h1, 60 min ago" in nf("check").words


@pytest.mark.parametrize(
    ("free", "high", "state"),
    [
        (110, None, "OK"), (90, None, "WARNING"), (20, None, "FAILED"),
        (90, 0.88, "OK"), (60, 0.88, "WARNING"), (20, 0.88, "FAILED"),
    ],
)  # fmt: skip
def test_a_full_disk_is_told_by_how_full_it_is_where_nothing_grows(
    ledger: Ledger, nf: Nf, free: int, high: float | None, state: str
) -> None:
    forget(ledger)
    ledger.execute(
        "UPDATE data_location SET high = %s, low = %s - 0.1 WHERE name = 'dome-disk'", high, high
    )
    measure(ledger, "dome-disk", free * GB)
    assert f"space of dome-disk: {state} ({free}.0 GB free, {100 - free // 10} % full)" in (
        nf("check").words
    )


def canary(ledger: Ledger, ended: str, outcome: str, why: str = "", daily: bool = True) -> None:
    """One that was sent so long ago, and what became of it."""
    ledger.execute(
        "INSERT INTO canary (location, path, sha256, size, daily, sent, ended, outcome, why)"
        " SELECT 'dome-disk', ago, repeat('a', 64), 1, %s, now() - ago::interval,"
        " now() - ago::interval, %s::canary_outcome, %s FROM (VALUES (%s::text)) v (ago)",
        daily, outcome, why, ended,
    )  # fmt: skip


def test_a_canary_that_stays_away_is_told_where_one_is_sent_each_day(
    ledger: Ledger, nf: Nf
) -> None:
    canary(ledger, "40 days", "stuck", "a person tried it", daily=False)
    assert "canary:" not in nf("check").out  # nobody said that others would follow
    canary(ledger, "60 hours", "returned")
    assert "canary: FAILED (came back 60 h ago): nf canary" in nf("check").out
    canary(ledger, "30 hours", "returned")
    assert "canary: WARNING (came back 30 h ago): nf canary" in nf("check").out
    canary(ledger, "3 hours", "returned")
    assert "canary: OK (came back 3 h ago)" in nf("check").out
    canary(ledger, "1 hour", "stuck", "archived: vault-b is away")
    said = "canary: WARNING (came back 3 h ago; the last did not: archived: vault-b is away): nf canary"
    assert said in " ".join(nf("check").out.split())


def test_one_that_never_came_back_is_told_by_the_first(ledger: Ledger, nf: Nf) -> None:
    canary(ledger, "3 days", "stuck", "registered: no nightferry-ingest runs")
    assert "canary: FAILED (none came back in 3 d; the last did not: registered:" in nf("check").out


def test_an_archived_copy_that_nobody_read_in_time_is_a_warning(ledger: Ledger, nf: Nf) -> None:
    package = ledger.package(ledger.file("a.fits"))
    ledger.copy(package, "vault-a")
    ledger.execute("UPDATE physical_copy SET created = now() - interval '91 days'")
    assert "reading again: WARNING (1 copy not read within 90 days): nf scrub" in nf("check").words


def test_a_disk_that_fills_up_is_told_days_before(ledger: Ledger, nf: Nf) -> None:
    forget(ledger)
    # Ten nights at 40 GB each; 320 GB are left.
    for night in range(10, 0, -1):
        free = 320 * GB + 40 * GB * night
        measure(ledger, "dome-disk", free, timedelta(days=night))
    measure(ledger, "dome-disk", 320 * GB)
    answer = nf("check")
    assert "space of dome-disk: WARNING (320.0 GB free, 68 % full, 8 days left at this rate)" in (
        answer.words
    )
    assert "nf reap plan" in answer.words
    measure(ledger, "dome-disk", 80 * GB, timedelta(minutes=-15))
    assert "space of dome-disk: FAILED" in nf("check").words


def test_a_disk_that_is_emptied_as_fast_as_it_fills_has_no_last_day(ledger: Ledger, nf: Nf) -> None:
    forget(ledger)
    for hour in range(72, 0, -6):
        measure(ledger, "dome-disk", (500 + hour % 12) * GB, timedelta(hours=hour))
    answer = nf("check")
    assert answer.code == 0, answer.out


def test_one_evening_is_not_a_rate(ledger: Ledger, nf: Nf) -> None:
    forget(ledger)
    for hour in range(6, 0, -1):
        measure(ledger, "dome-disk", (700 + 10 * hour) * GB, timedelta(hours=hour))
    measure(ledger, "dome-disk", 700 * GB)
    answer = nf("check")
    assert answer.code == 0, answer.out
    assert "days left" not in answer.words


def test_as_a_plug_in_it_is_one_line_and_its_codes_are_nagios(ledger: Ledger, nf: Nf) -> None:
    answer = nf("check", "--nagios")
    assert answer.code == 0
    assert answer.out.startswith("NIGHTFERRY OK - all ")
    ledger.execute("INSERT INTO blocked (kind, subject, reason) VALUES ('reap', 'x', 'a | pipe')")
    warned = nf("check", "--nagios")
    assert warned.code == 1
    assert warned.out.count("\n") == 1
    assert warned.out.startswith("NIGHTFERRY WARNING - failed jobs: 1 job, such as reap: a / pipe")
    assert warned.out.endswith("warnings=1 failed=0\n")
    ledger.execute("DELETE FROM heartbeat WHERE daemon = 'verify'")
    assert nf("check", "--nagios").code == 2


def test_without_a_database_the_answer_says_so_and_is_critical(tmp_path: Path) -> None:
    nf = Nf(f"postgresql://nobody@/nightferry?host={tmp_path}", tmp_path)
    answer = nf("check")
    assert answer.code == 1
    assert "database: FAILED (the database does not answer" in answer.words
    assert nf("check", "--nagios").code == 2


def test_a_schema_that_is_too_old_is_one_failed_check(empty_database: str, tmp_path: Path) -> None:
    answer = Nf(empty_database, tmp_path)("check")
    assert "schema: FAILED" in answer.words
    assert answer.next == "nf migrate"


@pytest.mark.parametrize(
    ("seconds", "state"), [(1, State.OK), (8, State.WARNING), (45, State.FAILED)]
)
def test_a_clock_that_is_off_is_told(
    database: str, monkeypatch: pytest.MonkeyPatch, seconds: int, state: State
) -> None:
    from datetime import datetime as real

    class Ahead(real):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return real.now(tz) + timedelta(seconds=seconds)

    monkeypatch.setattr("nightferry.health.datetime", Ahead)
    session = Database(database)
    try:
        clock = next(c for c in look(session) if c.name == "clock of the database")
    finally:
        session.close()
    assert clock.state is state
    assert float(clock.said.partition(" ")[0]) == pytest.approx(-seconds, abs=1.5)
    assert clock.todo == ("timedatectl status" if state else "")
