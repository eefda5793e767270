"""nf status: does it run, and does anything wait for a person?"""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.daemons.proxy import Proxy
from tests.ledger import Ledger
from tests.typed import Nf

DAEMONS = ("ingest", "package", "transfer", "archive", "verify")


@pytest.fixture
def ledger(database: str) -> Ledger:
    ledger = Ledger(database).observatory()
    for daemon in DAEMONS:
        beat(ledger, daemon)
    return ledger


@pytest.fixture
def nf(database: str, tmp_path: Path) -> Nf:
    return Nf(database, tmp_path)


def beat(ledger: Ledger, daemon: str, ago: timedelta = timedelta()) -> None:
    ledger.execute(
        "INSERT INTO heartbeat (daemon, host, pid, version, seen)"
        " VALUES (%s, 'h1', 1, '1', now() - %s)"
        " ON CONFLICT (daemon, host, name) DO UPDATE SET seen = EXCLUDED.seen",
        daemon, ago,
    )  # fmt: skip


def test_with_every_daemon_up_and_nothing_open_all_is_well(ledger: Ledger, nf: Nf) -> None:
    answer = nf("status")
    assert answer.code == 0
    assert answer.last == "ALL WELL: every daemon runs, all is done."
    assert answer.next == "nf night"


def test_ingest_is_told_by_the_files_of_a_day_of_whatever_night(ledger: Ledger, nf: Nf) -> None:
    for name in ("a.fits", "b.fits"):
        ledger.file(name)
    ledger.execute(
        "INSERT INTO raw_data_file (id, location, path, sha256, size, mtime_ns, ctime_ns, header, night,"
        " night_from, instrument) SELECT overlay(id::text PLACING '01900000' FROM 1 FOR 8)::uuid, location,"
        " 'old.fits', sha256, size, 1, 1, header, night, night_from, instrument FROM raw_data_file LIMIT 1"
    )
    (ingest,) = (s for s in nf.json("status")["stages"] if s["name"] == "ingest")
    assert ingest["out"] == 2


def test_a_silent_daemon_is_told_with_how_long(ledger: Ledger, nf: Nf) -> None:
    beat(ledger, "verify", timedelta(minutes=10))
    answer = nf("status")
    assert answer.code == 1
    assert "verify on h1 is silent for 10 min" in answer.last
    assert answer.next.startswith("systemctl status nightferry-verify")


def test_a_stopped_daemon_that_is_needed_is_missed(ledger: Ledger, nf: Nf) -> None:
    ledger.execute("UPDATE heartbeat SET stopped = now() WHERE daemon = 'transfer'")
    assert "no daemon runs for transfer" in nf("status").last
    ledger.execute("UPDATE route SET active = false")
    assert nf("status").code == 0


def test_the_reaper_is_missed_only_where_deletion_is_enabled(ledger: Ledger, nf: Nf) -> None:
    ledger.execute("UPDATE data_location SET reap_enabled = true WHERE name = 'dome-disk'")
    assert "no daemon runs for reap" in nf("status").last


def test_open_work_is_counted_by_stage(ledger: Ledger, nf: Nf) -> None:
    ledger.execute(
        "INSERT INTO job (kind, subject, state, claim, claimed_by) VALUES"
        " ('archive', 'a@vault-a', 'ready', NULL, NULL),"
        " ('archive', 'b@vault-a', 'waiting', NULL, NULL),"
        " ('archive', 'c@vault-a', 'running', gen_random_uuid(), 'w')"
    )
    stages = {s["name"]: s for s in nf.json("status")["stages"]}
    assert (stages["archive"]["waiting"], stages["archive"]["running"]) == (2, 1)
    assert nf("status").last == (
        "ALL WELL: every daemon runs, 3 things to do, none waits for a person."
    )


@pytest.mark.parametrize(
    ("trouble", "said", "command"),
    [
        (
            "INSERT INTO lost_file (file, how) SELECT id, 'gone' FROM raw_data_file",
            "1 file lost", "nf lost list",
        ),
        (
            "INSERT INTO blocked (kind, subject, reason) VALUES ('archive', 'x@vault-a', 'full')",
            "1 job blocked", "nf jobs list",
        ),
        (
            "INSERT INTO quarantine (location, path, reason, advice)"
            " VALUES ('dome-disk', 'p', 'a pipe', 'look')",
            "1 file in quarantine", "nf quarantine list",
        ),
        (
            "UPDATE location_state SET state = 'unavailable', reason = 'no marker'",
            "dome-disk is unavailable", "nf locations list",
        ),
        (
            "INSERT INTO breaker (name, state, reason) VALUES ('vault-a', 'open', 'no answer')",
            "vault-a fails: no answer", "nf jobs list",
        ),
        (
            "INSERT INTO deletion_stop (stopped_by, reason) VALUES ('ada', 'a fire')",
            "deletion is stopped by ada: a fire", "nf reap resume",
        ),
        (
            "UPDATE incarnation SET timeline = timeline + 1",
            "the database was restored and is not audited", "nf audit",
        ),
        (
            "UPDATE physical_copy SET state = 'corrupt' WHERE location = 'vault-a'",
            "1 archive copy bad, missing or unreadable", "nf find --state unsafe",
        ),
        (
            """UPDATE location_state SET vanish_guard = '{"gone": 500}'""",
            "many files of dome-disk are gone at once", "nf locations accept-missing dome-disk",
        ),
    ],
)  # fmt: skip
def test_what_waits_for_a_person_is_the_verdict(
    ledger: Ledger, nf: Nf, trouble: str, said: str, command: str
) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.execute(trouble)
    answer = nf("status")
    assert answer.code == 1
    assert answer.last.startswith("LOOK: 1 thing waits for a person")
    assert said in answer.last
    assert answer.next == command


def test_places_show_their_room_and_what_they_lack(ledger: Ledger, nf: Nf) -> None:
    ledger.execute("UPDATE data_location SET active = false WHERE name = 'vault-b'")
    answer = nf("status")
    assert "dome-disk SOURCE available 1.0 TB 4.0 TB" in answer.words
    assert "vault-b LONG_TERM_ARCHIVE never seen - - drained" in answer.words


def test_finished_work_is_told_by_package(ledger: Ledger, nf: Nf) -> None:
    ledger.archive(ledger.package(ledger.file("a.fits")))
    ledger.package(ledger.file("b.fits"))
    assert nf.json("status")["nights"][0] | {"bytes": 0} == {
        "night": "2024-05-12", "packages": 2, "files": 2, "safe": 1, "bytes": 0,
    }  # fmt: skip


def test_who_watches_is_told_that_the_database_is_away_and_sees_it_come_back(
    ledger: Ledger, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(database) as proxy:
        proxy.plug_in()
        then = iter((proxy.unplug, lambda: None, proxy.plug_in))

        def next_look(_: float) -> None:
            """Two seconds pass, and something happens to the database."""
            happens = next(then, None)
            if happens is None:
                raise KeyboardInterrupt
            happens()

        monkeypatch.setattr("nightferry.cli.status.time.sleep", next_look)
        answer = Nf(proxy.dsn, tmp_path)("status", "-w")
    assert answer.code == 130
    told = [
        "well" if line.startswith("ALL WELL") else "away"
        for line in answer.out.splitlines()
        if line.startswith(("ALL WELL", "At "))
    ]
    assert told == ["well", "away", "away", "well"]
    assert "It is asked again every 2 s, until Ctrl-C." in answer.words
