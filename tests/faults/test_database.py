"""Whatever happens to the database, the daemons wait, say so, and come back: no row is lost or doubled
by an answer that got lost, and what an older database does not know is found again.

Where the database is another or an older one, nothing is deleted before an audit has passed.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from nightferry.embedded.binaries import find_binaries
from nightferry.state import server_account
from nightferry.testing.sites import wait_until

from tests.daemons.test_recovery import nf_on
from tests.database import open_directory
from tests.faults.disks import why_not_mounted
from tests.faults.servers import Server, behind, small_disk, standby_of, tell, tell_one
from tests.faults.world import ARCHIVES, AWAY, BACK, DAEMONS, PATIENCE, World, away_and_back, world

pytestmark = pytest.mark.slow
WITH_REAPERS = {site: (*names, "reap") for site, names in DAEMONS.items()}


@pytest.fixture(scope="module")
def database_server() -> Iterator[Server]:
    with open_directory() as place, small_disk(place) as disk, Server(disk) as server:
        yield server


@pytest.fixture(scope="module")
def night(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two sites whose daemons run."""
    with world(tmp_path_factory.mktemp("night"), database_server.dsn) as here:
        here.start()
        here.expose()
        here.everything_is_archived()
        yield here


def test_the_daemons_outlive_a_restart_of_the_database(
    night: World, database_server: Server
) -> None:
    away_and_back(night, database_server.stop, lambda: database_server.start() and None)


def test_the_daemons_outlive_a_kill_of_the_postmaster(
    night: World, database_server: Server
) -> None:
    def start() -> None:
        database_server.stop()  # what is left of it
        database_server.start()

    away_and_back(night, database_server.kill, start)


@pytest.mark.skipif(bool(why_not_mounted()), reason=why_not_mounted() or "never")
def test_the_daemons_wait_while_the_databases_disk_is_full(
    night: World, database_server: Server
) -> None:
    ballast = database_server.state / "ballast"

    def fill() -> None:
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * (1 << 20))
                    file.flush()
            except OSError:
                return

    def make_room() -> None:
        ballast.unlink()
        if database_server.ended() is not None:  # it could not even write its log
            database_server.stop()
            database_server.start()

    night.expose()
    before = night.said(AWAY)
    fill()
    fills_up(night)
    assert night.all_live(), "a daemon ended for want of room"
    make_room()
    night.everything_is_archived()
    assert night.said(AWAY) != before
    assert not night.ask("SELECT * FROM blocked")
    assert night.wrong() == []


def fills_up(here: World) -> None:
    """Until no row goes into it any more, and a daemon has met that."""

    def refused() -> bool:
        try:
            here.ask(
                "CREATE TABLE IF NOT EXISTS ballast AS SELECT repeat('x', 1000) FROM generate_series(1, 1)"
            )
            here.ask("INSERT INTO ballast SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
        except psycopg.Error:
            return any("disk is full" in here.log(*key).read_text() for key in here.pids)
        return False

    wait_until(refused, PATIENCE, "a database that can't take another row")


def test_an_answer_to_a_commit_that_gets_lost_loses_no_row_and_doubles_none(night: World) -> None:
    proxy = night.proxy
    proxy.lost, proxy.lose_every = 0, 7
    for _ in range(4):
        already = proxy.lost
        night.expose(1)
        wait_until(lambda n=already: proxy.lost > n + 5, PATIENCE, "answers that get lost")  # type: ignore[misc]
    proxy.lose_every = 0
    night.everything_is_archived()
    assert night.wrong() == []
    assert not night.ask("SELECT * FROM quarantine WHERE released IS NULL")
    assert not night.ask("SELECT * FROM blocked")


# --- another database, and an older one -----------------------------------------------------------


@pytest.fixture
def deleting(tmp_path: Path) -> Iterator[tuple[World, Server]]:
    """Two sites where a frame goes from the source as soon as it is proven; no daemon runs yet."""
    with (
        open_directory() as place,
        Server(place) as server,
        world(tmp_path / "sites", server.dsn, keep="0 s") as here,
    ):
        yield here, server


def source_of(here: World) -> set[str]:
    return {path.name for path in here.site.source.glob("*.fits")}


def test_a_failover_to_a_copy_that_is_behind_loses_no_frame_and_deletes_none_before_an_audit(
    deleting: tuple[World, Server], tmp_path: Path
) -> None:
    here, primary = deleting
    here.start(WITH_REAPERS)
    here.expose()
    here.everything_is_archived()
    wait_until(lambda: not source_of(here), PATIENCE, "the end of the first frames at the source")
    with standby_of(primary) as standby:
        here.ask("INSERT INTO deletion_stop (reason) VALUES ('what is exposed next is to stay')")
        wait_until(lambda: behind(primary, standby) == 0, PATIENCE, "a copy that follows")
        tell(standby, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        wait_until(
            lambda: not tell_one(standby, "SELECT count(*) FROM pg_stat_wal_receiver"),
            PATIENCE,
            "a cut",
        )
        here.expose()  # of these the copy will know nothing
        here.everything_is_archived()
        away, back = here.said(AWAY), here.said(BACK)
        primary.kill()
        here.all_say(AWAY, away)
        here.proxy.lead_to(standby.dsn)
        here.dsn = standby.dsn
        tell(standby, "SELECT pg_promote()")
        here.all_say(BACK, back)
        here.expose()
        here.everything_is_archived()
        lets_go_only_after_an_audit(here, tmp_path)


def lets_go_only_after_an_audit(here: World, folder: Path) -> None:
    """Deletion is not stopped by anybody, everything is archived and due, and yet nothing goes."""
    waiting = source_of(here)
    assert waiting
    here.ask(
        "UPDATE deletion_stop SET resumed = now(), resumed_by = 'a person' WHERE resumed IS NULL"
    )
    nf = nf_on(here.proxy.dsn, here.site, folder / "nf")
    stood = here.ask("SELECT count(*) FROM deletion")
    beats = "SELECT min(seen) FROM heartbeat WHERE daemon = 'reap'"
    began = here.ask("SELECT now()")[0][0]
    wait_until(lambda: here.ask(beats)[0][0] > began, PATIENCE, "signs of life of the reapers")
    assert here.ask("SELECT count(*) FROM deletion") == stood
    assert source_of(here) == waiting
    assert "restored and is not audited" in nf("status").words
    if not nf.json("audit")["agree"]:
        assert nf.json("audit", "--trust")["trusted"] is False
        nf("audit", "--apply", "--even-if-much")
        wait_until(lambda: nf.json("audit")["agree"], PATIENCE, "an audit that agrees")
    assert source_of(here) == waiting, "an audit alone lets nothing go"
    assert nf.json("audit", "--trust")["trusted"] is True
    wait_until(lambda: not source_of(here), PATIENCE, "the end of the frames at the source")
    held = here.ask(
        "SELECT count(*) FROM physical_copy WHERE location = ANY(%s) AND state = 'present'",
        list(ARCHIVES),
    )
    assert held[0][0] >= 2
    for path in here.sums:
        assert here.ask("SELECT path FROM raw_data_file WHERE path = %s", path)


def test_last_nights_backup_is_restored_and_what_it_does_not_know_is_found_again(
    deleting: tuple[World, Server], tmp_path: Path
) -> None:
    here, server = deleting
    here.start(WITH_REAPERS)
    here.expose()
    here.everything_is_archived()
    nf = nf_on(here.proxy.dsn, here.site, tmp_path / "before")
    with open_directory() as scratch:
        assert nf("backup", "archive-a", "--scratch", str(scratch)).code == 0
    here.expose()
    here.everything_is_archived()
    away = here.said(AWAY)
    server.kill()
    here.all_say(AWAY, away)
    here.stop()
    (dump,) = here.site.sites.path("archive-a").glob("nightferry-backup/*.dump")
    with open_directory() as place, Server(place) as restored:
        program = find_binaries(restored.home / "binaries", server_account()) / "pg_restore"
        subprocess.run(
            [
                str(program),
                "--exit-on-error",
                "--no-owner",
                "--no-acl",
                "-d",
                restored.dsn,
                str(dump),
            ],
            check=True,
        )
        here.proxy.lead_to(restored.dsn)
        here.dsn = restored.dsn
        # A night has gone by since: no daemon seems to be awake.
        here.ask("UPDATE heartbeat SET seen = seen - interval '12 hours'")
        nf = nf_on(here.proxy.dsn, here.site, tmp_path / "after")
        assert nf("rebuild", *ARCHIVES, "center-buffer", "dome-buffer").code == 0
        here.start(WITH_REAPERS)
        here.expose()
        here.everything_is_archived()
        lets_go_only_after_an_audit(here, tmp_path)
