"""What every daemon does alike: it reads its configuration again, waits for its rights, and ends
where its password is refused."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from nightferry.testing.sites import environment, wait_until
from psycopg.sql import SQL, Identifier

from tests.daemons.doorman import doorman
from tests.daemons.ground import Ground, ground
from tests.daemons.proxy import Proxy
from tests.daemons.test_begin import listening, rewrite
from tests.daemons.test_processes import Daemon, through

KINDS = ("archive", "ingest", "metrics")  # one that has jobs, one that has places, one that serves
ANY_PORT = {"metrics": {"listen": "127.0.0.1:0", "every": "0.2 s"}}


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Ground]:
    site = ground(tmp_path, database, keep=None)
    rewrite(site, "dome", **ANY_PORT)
    yield site
    site.db.close()


def started(site: Ground, kind: str, tmp_path: Path) -> Daemon:
    """At the dome; what it says to systemd goes to ``tmp_path/notify``."""
    notify = str(tmp_path / "notify")
    return Daemon(site.sites.command("dome", kind), tmp_path / "log", NOTIFY_SOCKET=notify)


def reloads(heard: list[str]) -> list[list[str]]:
    """What came from each RELOADING=1 to the next READY=1, both included."""
    found: list[list[str]] = []
    for lines in (message.splitlines() for message in heard):
        if "RELOADING=1" in lines:
            found.append([])
        if found and (not found[-1] or found[-1][-1] != "READY=1"):
            found[-1] += lines
    return [said for said in found if said[-1] == "READY=1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_reload_is_told_with_its_beginning_and_its_end_and_a_wrong_file_changes_nothing(
    site: Ground, tmp_path: Path, kind: str
) -> None:
    with listening(tmp_path / "notify") as heard, started(site, kind, tmp_path) as daemon:
        wait_until(lambda: "READY=1" in heard, 30, "READY=1")
        path = rewrite(site, "dome", runs=["ingest"])
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(reloads(heard)) == 1, 30, "the end of the reload")
        assert f"read {path} again" in daemon.said()
        told = reloads(heard)[0]
        (began,) = (line for line in told if line.startswith("MONOTONIC_USEC="))
        # What systemd compares it with: the clock of this very boot, some seconds ago.
        now = time.monotonic_ns() // 1000
        assert 0 <= now - int(began.partition("=")[2]) < 60_000_000
        rewrite(site, "dome", **{kind: {"lissen": "127.0.0.1:1"}})
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(reloads(heard)) == 2, 30, "the end of the second reload")
        assert "the old configuration stays: " in daemon.said()
        assert "unknown key 'lissen'" in daemon.said()
        assert daemon.process.poll() is None
        assert daemon.stop() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_reload_ends_for_systemd_though_the_database_goes_away(
    site: Ground, tmp_path: Path, kind: str
) -> None:
    with Proxy(site.sites.dsn) as proxy, listening(tmp_path / "notify") as heard:
        proxy.plug_in()
        through(site, proxy.dsn)
        with started(site, kind, tmp_path) as daemon:
            wait_until(lambda: "READY=1" in heard, 30, "READY=1")
            proxy.unplug()
            waits = "STATUS=waiting for the database since "
            wait_until(lambda: any(m.startswith(waits) for m in heard), 30, "its word")
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: reloads(heard), 30, "the end of the reload")
            # The file may say another way, and that is taken.
            through(site, site.sites.dsn)
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "the database is back after" in daemon.said(), 30, "its return")
            assert daemon.said().count("the database does not answer") == 1
            assert daemon.stop() == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("user", "word"),
    [("dome", "no password supplied"), ("dome:s3cret", "password authentication failed")],
)
def test_a_password_that_is_refused_ends_it_with_78_and_says_where_it_belongs(
    site: Ground, kind: str, user: str, word: str
) -> None:
    with doorman() as port:
        path = rewrite(site, "dome", database=f"postgresql://{user}@127.0.0.1:{port}/nightferry")
        ended = subprocess.run(
            site.sites.command("dome", kind), capture_output=True, text=True,
            env=environment() | {"PGPASSFILE": os.devnull}, check=False, timeout=60,
        )  # fmt: skip
    assert ended.returncode == os.EX_CONFIG
    assert f"{path}, line 3: the database refuses us: " in ended.stderr
    assert word in ended.stderr
    assert "/etc/nightferry/pgpass" in ended.stderr
    assert "s3cret" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def user(server: str, site: Ground) -> Iterator[str]:
    """A database user without any right, whom the dome's daemons log in as."""
    name = f"nightferry_dome_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(SQL("CREATE ROLE {} LOGIN PASSWORD 'of-a-test'").format(Identifier(name)))
    parts = urlsplit(site.sites.dsn)
    host = parts.netloc.rpartition("@")[2]
    through(site, urlunsplit(parts._replace(netloc=f"{name}:of-a-test@{host}")))
    yield name
    site.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", name)
    site.db.run(lambda tx: tx.execute(f"DROP OWNED BY {name}"))
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def grant(site: Ground, user: str, *, reaps: bool) -> None:
    """As 'nf roles grant' does."""
    own = ["dome-source", "dome-buffer"]
    site.db.run(lambda tx: tx.run("roles.grant", role=user, locations=own, reaps=reaps))


@pytest.mark.parametrize("kind", [*KINDS, "reap"])
def test_a_user_without_rights_waits_for_them_and_says_so_once(
    site: Ground, tmp_path: Path, user: str, kind: str
) -> None:
    option = " --reaper" if kind == "reap" else ""
    command = f"nf roles grant USER --locations center-buffer,dome-buffer,dome-source{option}"
    with listening(tmp_path / "notify") as heard, started(site, kind, tmp_path) as daemon:

        def tries() -> list[str]:
            return [m for m in heard if m.startswith("STATUS=waiting for the database since ")]

        wait_until(lambda: len(tries()) >= 2, 30, "two tries")
        assert tries()[-1].splitlines()[0].endswith(command)
        grant(site, user, reaps=True)
        wait_until(lambda: "the database is back after" in daemon.said(), 30, "its beginning")
        wait_until(lambda: "READY=1" in heard, 30, "READY=1")
        assert daemon.stop() == 0
    assert daemon.said().count(command) == 1
    assert "Traceback" not in daemon.said()


def test_a_reaper_that_may_not_delete_says_what_would_let_it_and_waits(
    site: Ground, tmp_path: Path, user: str
) -> None:
    grant(site, user, reaps=False)
    with listening(tmp_path / "notify") as heard, started(site, "reap", tmp_path) as daemon:
        wait_until(lambda: "permission denied for table deletion" in daemon.said(), 30, "its word")
        assert "USER --locations dome-buffer,dome-source --reaper" in daemon.said()
        assert "READY=1" not in heard
        grant(site, user, reaps=True)
        wait_until(lambda: "READY=1" in heard, 30, "READY=1")
        assert daemon.stop() == 0
    assert daemon.said().count("permission denied for table deletion") == 1
    assert "Traceback" not in daemon.said()
