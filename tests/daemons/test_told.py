"""What a daemon tells of itself: who stands by, how long an end may take, which schema it waits
for, which job a line is about; and never a password."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightferry.migrate import migrations
from nightferry.testing.sites import environment, wait_until

from tests.daemons.ground import Ground, frame, ground
from tests.daemons.proxy import Proxy
from tests.daemons.test_begin import listening, rewrite
from tests.daemons.test_processes import Daemon, running, through


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    site = ground(tmp_path, database, keep=None)
    yield site
    site.db.close()


def told_by(site: Ground, where: str, kind: str, log: Path, *options: str) -> Daemon:
    """A daemon whose words to systemd go to a socket beside its log."""
    return Daemon(
        site.sites.command(where, kind, *options),
        log,
        NOTIFY_SOCKET=str(log.with_suffix(".notify")),
    )


def test_a_second_daemon_on_a_place_stands_by_says_so_and_takes_over(
    site: Ground, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with (
        listening(first.with_suffix(".notify")) as of_first,
        listening(second.with_suffix(".notify")) as of_second,
        told_by(site, "dome", "ingest", first) as one,
    ):
        wait_until(lambda: any("STATUS=watching dome-source" in m for m in of_first), 30, "a watch")
        with told_by(site, "dome", "ingest", second, "--name", "other") as other:
            stands = f"STATUS=standing by for dome-source: dome/ingest/:{one.process.pid}."
            wait_until(lambda: any(m.startswith(stands) for m in of_second), 30, "its standing by")
            assert "READY=1" in of_second
            assert not any("watching dome-source" in m for m in of_second)
            assert one.stop() == 0
            wait_until(
                lambda: any("STATUS=watching dome-source" in m for m in of_second), 30, "its turn"
            )
            assert "standing by" not in of_second[-1]
            site.put("f1.fits", frame(1))
            wait_until(lambda: site.files("f1.fits"), 30, "the file's row")
            assert other.stop() == 0


def ready_to_archive(site: Ground) -> None:
    site.put("f1.fits", frame(1))
    for where, daemon in (
        ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
        ("center", "verify"),
    ):  # fmt: skip
        site.once(where, daemon)


def test_an_end_that_has_to_wait_for_its_workers_asks_for_more_time(
    site: Ground, tmp_path: Path
) -> None:
    ready_to_archive(site)
    command = site.sites.command("center", "archive")
    with (
        listening(tmp_path / "notify") as heard,
        Daemon(
            [command[0], "-m", "tests.daemons.slow", *command[4:]], tmp_path / "log",
            NOTIFY_SOCKET=str(tmp_path / "notify"), GATE=str(tmp_path / "gate"),
        ) as daemon,
    ):  # fmt: skip
        wait_until(lambda: len(running(site)) == 2, 30, "two copies under way")
        wait_until(lambda: (tmp_path / "begun").exists(), 30, "a worker at work")
        workers = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        for worker in workers.read_text().split():  # they can't be polite
            signal.pidfd_send_signal(os.pidfd_open(int(worker)), signal.SIGSTOP)
        assert daemon.stop() == 0
    stops = [m.splitlines() for m in heard if m.startswith("STOPPING=1")]
    asks = [m for m in stops if "EXTEND_TIMEOUT_USEC=30000000" in m]
    assert len(asks) > 5, "again and again, for as long as it waits"
    assert all("STATUS=stopping: SIGTERM" in m for m in asks)
    assert site.ask("SELECT state::text FROM job WHERE kind = 'archive'") == [("ready",)] * 2


@pytest.mark.parametrize("kind", ["package", "ingest", "metrics"])
def test_a_schema_that_is_too_old_or_too_new_is_waited_for_and_told_once(
    site: Ground, tmp_path: Path, kind: str
) -> None:
    rewrite(site, "dome", metrics={"listen": "127.0.0.1:0", "every": "0.2 s"})
    newest = migrations()[-1].name
    for change, undo, word in (
        (
            f"DELETE FROM schema_migration WHERE name = '{newest}'",
            f"INSERT INTO schema_migration VALUES ('{newest}', 'x')",
            f"the database lacks 1 migration(s), the first is {newest}: run 'nf migrate'",
        ),
        (
            "INSERT INTO schema_migration VALUES ('9999_of_tomorrow', 'x')",
            "DELETE FROM schema_migration WHERE name = '9999_of_tomorrow'",
            "the database is newer than this program (9999_of_tomorrow): upgrade nightferry",
        ),
    ):
        site.ask(change)
        log = tmp_path / word.replace(" ", "-")[:24]
        with (
            listening(log.with_suffix(".notify")) as heard,
            told_by(site, "dome", kind, log) as daemon,
        ):
            waits = "STATUS=waiting for the database since "
            told = word  # as the body of a loop must have it
            wait_until(
                lambda: sum(m.startswith(waits) and told in m for m in heard) > 2,  # noqa: B023
                30, "three tries",
            )  # fmt: skip
            assert daemon.said().count(word) == 1
            assert ("READY=1" in heard) is (kind == "metrics")
            site.ask(undo)
            wait_until(lambda: "the database is back after" in daemon.said(), 30, "its beginning")
            wait_until(lambda: "READY=1" in heard, 30, "READY=1")
            assert daemon.stop() == 0


def test_a_database_that_is_away_is_told_once_however_often_it_is_tried(
    site: Ground, tmp_path: Path
) -> None:
    with Proxy(site.sites.dsn) as proxy:
        proxy.plug_in()
        through(site, proxy.dsn)
        log = tmp_path / "log"
        with (
            listening(log.with_suffix(".notify")) as heard,
            told_by(site, "dome", "ingest", log) as daemon,
        ):
            wait_until(lambda: "READY=1" in heard, 30, "READY=1")
            proxy.unplug()
            waits = "STATUS=waiting for the database since "
            wait_until(lambda: sum(m.startswith(waits) for m in heard) > 3, 30, "four tries")
            assert daemon.said().count("the database does not answer") == 1
            assert "the database is back" not in daemon.said()
            proxy.plug_in()
            wait_until(lambda: "the database is back after" in daemon.said(), 30, "its return")
            assert daemon.stop() == 0


def test_a_line_about_a_job_has_the_job_as_a_field(site: Ground, tmp_path: Path) -> None:
    ready_to_archive(site)
    site.sites.path("archive-a").rename(tmp_path / "elsewhere")
    ended = subprocess.run(
        site.sites.command("center", "archive", "--once"),
        capture_output=True, text=True, check=False, timeout=60,
        env=environment() | {"NIGHTFERRY_LOG": "json"},
    )  # fmt: skip
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    package = site.one("SELECT id::text FROM raw_data_package")
    about = [x for x in lines if x.get("NIGHTFERRY_JOB") == f"{package}@archive-a"]
    assert about, ended.stderr
    assert about[0]["MESSAGE"].startswith(f"archive {package}@archive-a: ")
    assert about[0]["NIGHTFERRY_ATTEMPT"] == "1"


SECRET = "correct-horse-battery"


@pytest.mark.parametrize(
    "kind",
    ["ingest", "package", "transfer", "archive", "verify", "calibrate", "stage", "reap", "metrics"],
)
def test_no_daemon_ever_says_the_password(site: Ground, tmp_path: Path, kind: str) -> None:
    rewrite(
        site, "dome", database=f"postgresql://dome:{SECRET}@127.0.0.1:9/nightferry",
        metrics={"listen": "127.0.0.1:0"},
    )  # fmt: skip
    log = tmp_path / "log"
    with (
        listening(log.with_suffix(".notify")) as heard,
        told_by(site, "dome", kind, log, "--once") as daemon,
    ):
        wait_until(lambda: any("waiting for the database" in m for m in heard), 30, "its word")
        if kind != "metrics":  # which has read once, then
            daemon.process.terminate()
        assert daemon.process.wait(20) == 0
    assert "the database does not answer" in daemon.said()
    assert SECRET not in daemon.said() + "".join(heard)


def test_neither_a_check_nor_the_metrics_tell_the_password(site: Ground, tmp_path: Path) -> None:
    rewrite(site, "dome", database=f"postgresql://dome:{SECRET}@127.0.0.1:9/nightferry")
    command = site.sites.command("dome", "x")[:2]
    said = subprocess.run(
        [*command, "nightferry.cli", "--config", str(site.sites.config("dome")), "check", "--json"],
        capture_output=True, text=True, env=environment(), check=False, timeout=60,
    )  # fmt: skip
    assert '"FAILED"' in said.stdout
    assert SECRET not in said.stdout + said.stderr
    textfile = tmp_path / "nightferry.prom"
    rewrite(site, "dome", metrics={"listen": "127.0.0.1:0", "textfile": str(textfile)})
    with told_by(site, "dome", "metrics", tmp_path / "log", "--once") as daemon:
        assert daemon.process.wait(60) == 0
    assert "nightferry_database_up 0.0" in textfile.read_text()
    assert SECRET not in textfile.read_text()
