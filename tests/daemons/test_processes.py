"""Daemons as processes: they outlive the database, stop politely, and take over from the dead."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import yaml
from nightferry.migrate import migrate
from nightferry.testing.sites import environment, wait_until

from tests.daemons.ground import Ground, frame, ground
from tests.daemons.proxy import Proxy


class Daemon:
    """One running process, and what it says."""

    def __init__(self, command: list[str], log: Path, **environ: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment() | environ,
                cwd=Path(__file__).parents[2],
            )

    def said(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def slow_archive(site: Ground, gate: Path) -> Daemon:
    command = [
        sys.executable,
        "-m",
        "tests.daemons.slow",
        "--config",
        str(site.sites.config("center")),
    ]
    return Daemon(command, site.sites.folder / "archive.log", GATE=str(gate))


@pytest.fixture
def ready_to_archive(database: str, tmp_path: Path) -> Iterator[Ground]:
    site = ground(tmp_path, database, keep=None)
    site.put("f1.fits", frame(1))
    for where, daemon in (
        ("dome", "ingest"),
        ("dome", "package"),
        ("dome", "verify"),
        ("dome", "transfer"),
        ("center", "verify"),
    ):
        site.once(where, daemon)
    yield site
    site.db.close()


def running(site: Ground) -> list[str]:
    return [
        r.claimed_by
        for r in site.ask("SELECT claimed_by FROM job WHERE kind = 'archive' AND state = 'running'")
    ]


def test_a_daemon_that_is_stopped_in_a_copy_gives_its_work_back_with_its_attempt(
    ready_to_archive: Ground, tmp_path: Path
) -> None:
    with slow_archive(ready_to_archive, tmp_path / "gate") as daemon:
        wait_until(
            lambda: len(running(ready_to_archive)) == 2 and (tmp_path / "begun").exists(),
            30,
            "two copies under way",
        )
        assert daemon.stop() == 0
    assert (
        ready_to_archive.ask("SELECT state::text, attempts FROM job WHERE kind = 'archive'")
        == [("ready", 0)] * 2
    )
    assert not ready_to_archive.ask("SELECT FROM lease WHERE kind LIKE 'archive%%'")


def test_the_next_daemon_takes_over_at_once_from_one_that_was_killed(
    ready_to_archive: Ground, tmp_path: Path
) -> None:
    site = replace(
        ready_to_archive.sites, timing={**ready_to_archive.sites.timing, "lease": "10 min"}
    )
    config = yaml.safe_load(site.config("center").read_text()) | {"timing": dict(site.timing)}
    site.config("center").write_text(yaml.safe_dump(config))
    with slow_archive(ready_to_archive, tmp_path / "gate") as daemon:
        wait_until(lambda: len(running(ready_to_archive)) == 2, 30, "two copies under way")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    (tmp_path / "gate").touch()
    with slow_archive(ready_to_archive, tmp_path / "gate"):
        wait_until(
            lambda: (
                ready_to_archive.copies("archive-a")
                == ready_to_archive.copies("archive-b")
                == ["arriving"]
            ),
            30,
            "both copies",
        )
    assert ready_to_archive.ask(
        "SELECT DISTINCT attempts FROM job_done WHERE kind = 'archive'"
    ) == [(2,)]


def test_work_of_a_daemon_that_still_lives_is_not_taken_over(
    ready_to_archive: Ground, tmp_path: Path
) -> None:
    with slow_archive(ready_to_archive, tmp_path / "gate"):
        wait_until(lambda: len(running(ready_to_archive)) == 2, 30, "two copies under way")
        before = running(ready_to_archive)
        with slow_archive(ready_to_archive, tmp_path / "gate") as second:
            wait_until(
                lambda: ready_to_archive.ask(
                    "SELECT FROM heartbeat WHERE daemon = 'archive' AND pid = %s",
                    second.process.pid,
                ),
                30,
                "the second one's heartbeat",
            )
            assert running(ready_to_archive) == before


def through(site: Ground, dsn: str) -> None:
    """The dome's daemons reach the database by this way from now on."""
    path = site.sites.config("dome")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"database": dsn}))


def test_a_daemon_waits_for_a_database_that_is_away_at_its_start_and_outlives_a_cut(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database, keep=None)
    with Proxy(database) as proxy:
        through(site, proxy.dsn)
        with Daemon(site.sites.command("dome", "ingest"), tmp_path / "log") as daemon:
            wait_until(
                lambda: "the database does not answer" in daemon.said(),
                30,
                "its word that the database is away",
            )
            proxy.plug_in()
            site.put("f1.fits", frame(1))
            wait_until(lambda: site.files("f1.fits"), 30, "the file's row")
            proxy.unplug()
            site.put("f2.fits", frame(2))
            wait_until(
                lambda: daemon.said().count("the database does not answer") > 1,
                30,
                "its word on the cut",
            )
            proxy.plug_in()
            wait_until(lambda: site.files("f2.fits"), 40, "the second file's row")
            assert daemon.stop() == 0
    site.db.close()


def test_a_daemon_waits_for_a_missing_migration_and_says_what_to_run(
    database: str, empty_database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database)
    name = urlsplit(empty_database).path
    through(site, urlunsplit(urlsplit(database)._replace(path=name)))
    with Daemon(site.sites.command("dome", "package"), tmp_path / "log") as daemon:
        wait_until(lambda: "nf migrate" in daemon.said(), 30, "its word on the migration")
        assert daemon.process.poll() is None
        migrate(empty_database)
        wait_until(lambda: "nf config apply" in daemon.said(), 30, "its word on what comes next")
        assert daemon.stop() == 0
    site.db.close()


def test_an_unknown_settings_key_is_refused_with_its_file_line_and_the_nearest_key(
    database: str, tmp_path: Path
) -> None:
    site = ground(tmp_path, database)
    path = site.sites.config("dome")
    path.write_text(path.read_text().replace("again_after", "agein_after"))
    line = 1 + path.read_text().split("\n").index(
        next(x for x in path.read_text().split("\n") if "agein" in x)
    )
    ended = subprocess.run(
        site.sites.command("dome", "reap", "--once"),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
        timeout=30,
    )
    assert ended.returncode == os.EX_CONFIG
    assert f"{path}:{line}" in ended.stderr or (
        str(path) in ended.stderr and f"line {line}" in ended.stderr
    )
    assert "again_after" in ended.stderr
    site.db.close()


def test_ctrl_c_leaves_no_worker_behind(ready_to_archive: Ground, tmp_path: Path) -> None:
    with slow_archive(ready_to_archive, tmp_path / "gate") as daemon:
        wait_until(lambda: len(running(ready_to_archive)) == 2, 30, "two copies under way")
        known = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        wait_until(lambda: len(known.read_text().split()) >= 2, 30, "a worker for each")
        children = known.read_text().split()
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.process.wait(20) == 0
    wait_until(
        lambda: not any(os.path.exists(f"/proc/{c}") for c in children),
        10,
        "the end of its workers",
    )
