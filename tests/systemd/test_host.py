"""A host under a real systemd, installed by the README's own steps: from a start to an upgrade.

One boot serves all: each test leaves every daemon ready. Over 300 lines: it is one host's life.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from nightferry.testing import camera
from nightferry.testing.sites import wait_until

from tests.systemd.conftest import HOST, build_wheel
from tests.systemd.host import CONFIG, DAEMONS, NIGHT, SOCKET, Host
from tests.tree import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("systemd")]
FRAMES = dict(camera.frames(count=64))
NAMES = iter(FRAMES)


@pytest.fixture(autouse=True)
def _all_is_ready(host: Host) -> Iterator[None]:
    yield
    host.machine.write(CONFIG, HOST)
    host.systemctl("reset-failed")
    host.systemctl("start", "nightferry.target")
    host.await_ready()


def take(host: Host, count: int = 1) -> list[str]:
    """The camera's next frames."""
    names = [next(NAMES) for _ in range(count)]
    for name in names:
        host.put(name, FRAMES[name])
    return names


def seconds_of(work: "subprocess.CompletedProcess[str]", since: float) -> float:
    assert work.returncode == 0, work.stderr
    return time.monotonic() - since


def test_frames_reach_both_archives(host: Host) -> None:
    host.await_archived(*take(host, 8))
    night = host.nf("night", NIGHT)
    assert night["answer"] == "YES", night


def test_every_daemon_says_what_it_does(host: Host) -> None:
    host.await_status("ingest", "watching camera")
    for daemon in ("package", "archive", "verify"):
        host.await_status(daemon, "nothing to do")


def test_the_journal_is_a_story_with_fields(host: Host) -> None:
    (name,) = take(host)
    host.await_archived(name)
    (package,) = host.ledger(
        "SELECT p.name FROM raw_data_package p JOIN package_member m ON m.package = p.id"
        " JOIN raw_data_file f ON f.id = m.file WHERE f.path = %s", name,
    )[0]  # fmt: skip
    of_file = host.machine.journal(f"NIGHTFERRY_FILE={name}")
    assert [e["SYSLOG_IDENTIFIER"] for e in of_file] == ["nightferry-ingest"]
    assert of_file[0]["NIGHTFERRY_LOCATION"] == "camera"
    of_package = [
        (e["SYSLOG_IDENTIFIER"], e["MESSAGE"])
        for e in host.machine.journal(f"NIGHTFERRY_PACKAGE={package}")
    ]
    assert ("nightferry-verify", f"{package}: present at disk-b (was arriving)") in of_package
    assert any(who == "nightferry-package" and "packed" in what for who, what in of_package)
    story = host.machine.journal(f"NIGHTFERRY_NIGHT={NIGHT}")
    assert {e["SYSLOG_IDENTIFIER"] for e in story} >= {
        f"nightferry-{d}" for d in ("ingest", "package", "archive", "verify")
    }


def test_a_header_or_name_can_forge_no_line_of_the_journal(host: Host) -> None:
    name = "x\n\x1b[31mnightferry is down\x07.txt"
    host.put(name, b"not a frame")
    wait_until(
        lambda: host.ledger("SELECT FROM raw_data_file WHERE path LIKE 'x%%nightferry is down%%'"),
        30, "its row",
    )  # fmt: skip
    said = host.machine.run("journalctl", "-t", "nightferry-ingest", "-o", "cat", "--all")
    assert "nightferry is down" in said
    assert "\x1b" not in said
    assert not re.search(r"^nightferry is down", said, re.MULTILINE)


def test_a_reload_reads_the_configuration_again_and_refuses_a_wrong_one(host: Host) -> None:
    pid, before = host.main_pid("verify"), host.machine.now()
    host.machine.write(CONFIG, HOST + "verify: {scrub_rat: 5 MB}\n")
    assert host.systemctl("reload", "nightferry-verify").returncode == 0
    wait_until(lambda: "the old configuration stays" in host.said("verify", before), 20, "its word")
    assert f"{CONFIG}, line 7: unknown key 'scrub_rat'" in host.said("verify", before)
    assert "did you mean 'scrub_rate'?" in host.said("verify", before)
    host.machine.write(CONFIG, HOST + "verify: {scrub_rate: 50 MB}\n")
    assert host.systemctl("reload", "nightferry-verify").returncode == 0
    wait_until(lambda: f"read {CONFIG} again" in host.said("verify", before), 20, "its word")
    assert host.main_pid("verify") == pid


def test_a_wrong_setting_ends_a_daemon_once_and_a_person_is_told(host: Host) -> None:
    host.machine.write("/etc/nightferry/on-failure", "#!/bin/sh\necho $1 >>/run/told\n")
    host.machine.path("/etc/nightferry/on-failure").chmod(0o755)
    before = host.machine.now()
    host.machine.write(CONFIG, HOST.replace("buffer: /srv", "bufer: /srv") + "raep: {}\n")
    assert host.systemctl("restart", "nightferry-reap").returncode != 0
    state = host.machine.show("nightferry-reap", "ActiveState", "ExecMainStatus", "NRestarts")
    assert state == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    assert f"{CONFIG}, line 7: unknown key 'raep'" in host.said("reap", before)
    assert "did you mean 'reap'?" in host.said("reap", before)
    told = host.machine.path("/run/told")
    wait_until(lambda: told.exists() and told.read_text() == "nightferry-reap\n", 10, "the hook")


def test_a_missing_or_refused_password_is_said_once_with_what_to_do(host: Host) -> None:
    access = "/var/lib/nightferry/postgres/18/pg_hba.conf"
    open_to_all = host.machine.path(access).read_text()
    host.ledger("CREATE ROLE guest LOGIN PASSWORD 'right'")
    host.machine.write(access, "local all guest scram-sha-256\n" + open_to_all)
    host.ledger("SELECT pg_reload_conf()")
    address = f"postgresql://guest@/nightferry?host={SOCKET}"
    host.machine.write(CONFIG, HOST + f"database: {address}\n")
    for password, word in (("", "no password supplied"), ("wrong", "password authentication")):
        host.machine.write("/etc/nightferry/pgpass", f"*:*:*:*:{password}\n" if password else "")
        host.machine.path("/etc/nightferry/pgpass").chmod(0o600)
        before = host.machine.now()
        assert host.systemctl("restart", "nightferry-reap").returncode != 0
        state = host.machine.show("nightferry-reap", "ActiveState", "ExecMainStatus", "NRestarts")
        assert state == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
        said = host.said("reap", before)
        assert f"{CONFIG}, line 7: " in said
        assert word in said
        assert "/etc/nightferry/pgpass" in said
        assert len(said.splitlines()) < 4
        host.systemctl("reset-failed", "nightferry-reap")
    # The right one lets it in, as a user that was given no rights yet: it waits, and says so.
    host.machine.write("/etc/nightferry/pgpass", "*:*:*:*:right\n")
    host.systemctl("start", "--no-block", "nightferry-reap")
    host.await_status("reap", "nf roles grant")
    everything = host.machine.run("journalctl", "--all", "-o", "json")
    assert "*:right" not in everything
    host.systemctl("stop", "nightferry-reap")
    host.machine.write(access, open_to_all)
    host.ledger("SELECT pg_reload_conf()")
    host.machine.path("/etc/nightferry/pgpass").write_text("")


def test_a_stop_in_the_middle_of_a_large_copy_takes_ten_seconds_at_most_and_loses_nothing(
    host: Host,
) -> None:
    with host.machine.path("/data/frames/large.raw").open("wb") as file:
        file.truncate(400_000_000)
    frozen: list[str] = []

    def freeze() -> bool:
        """Workers in the middle of it: they can't even be polite."""
        if not frozen and host.running("archive"):
            frozen.extend(host.workers("archive"))
            host.freeze(frozen)
        return bool(frozen)

    wait_until(freeze, 90, "a copy under way")
    assert host.await_status("archive", "archiving ").startswith("archiving ")
    began = time.monotonic()
    took = seconds_of(host.systemctl("stop", "nightferry-archive"), began)
    assert took < 12  # ten seconds, and what systemctl itself needs
    assert host.machine.value("nightferry-archive", "Result") == "success"
    host.systemctl("stop", "nightferry.target")
    host.systemctl("start", "nightferry.target")
    host.await_ready()
    host.await_archived("large.raw")


@pytest.fixture
def small_disk_b(host: Host) -> Iterator[None]:
    """disk-b on a disk of 700 MB, with all that is on it."""
    host.systemctl("stop", "nightferry.target")
    host.machine.sh(
        "mkdir -p /run/b; mount -t tmpfs -o size=700M,mode=755 small /run/b;"
        " cp -a /mnt/b/. /run/b; chown --reference=/mnt/b /run/b; mount --bind /run/b /mnt/b"
    )
    host.systemctl("start", "nightferry.target")
    host.await_ready()
    yield
    host.systemctl("stop", "nightferry.target")
    host.machine.sh("umount -l /mnt/b; umount -l /run/b")


@pytest.mark.usefixtures("small_disk_b")
def test_a_copy_of_4_gb_is_stopped_within_ten_seconds_and_goes_on_where_it_was(host: Host) -> None:
    # Sparse, and adopted where it lies; its copy is stopped long before it is whole, and meets the
    # end of the disk: so that 4 GB take no room.
    host.machine.sh(
        "mkdir /mnt/a/adopted; truncate -s 4G /mnt/a/adopted/large.raw;"
        " touch -d 2020-01-01 /mnt/a/adopted/large.raw; chown -R nightferry /mnt/a/adopted"
    )
    assert host.nf("adopt", "disk-a", "--under", "adopted")["registered"] == 1

    def written() -> int:
        return sum(p.stat().st_size for p in host.machine.path("/mnt/b").rglob(".large.raw.*.part"))

    frozen: list[str] = []

    def freeze() -> bool:
        if not frozen and written() > 0:
            frozen.extend(host.workers("archive"))
            host.freeze(frozen)
        return bool(frozen)

    wait_until(freeze, 90, "a copy under way")
    before, began = written(), time.monotonic()
    assert 0 < before < 4 << 30
    took = seconds_of(host.systemctl("stop", "nightferry-archive"), began)
    assert took < 12  # ten seconds, and what systemctl itself needs
    assert host.machine.value("nightferry-archive", "Result") == "success"
    assert written() == before  # what was written is kept
    assert host.machine.path("/mnt/a/adopted/large.raw").stat().st_size == 4 << 30
    host.systemctl("start", "nightferry-archive")
    wait_until(lambda: written() > before, 60, "more of the copy")
    wait_until(lambda: "is full" in host.said("archive"), 90, "the end of the small disk")
    (job,) = host.ledger("SELECT id FROM job WHERE kind = 'archive'")
    host.nf("jobs", "cancel", str(job[0]), "--why", "the disk is to stay small")


def test_what_is_killed_comes_back_and_goes_on(host: Host) -> None:
    pids = {daemon: host.main_pid(daemon) for daemon in DAEMONS}
    names = take(host, 2)
    units = [f"nightferry-{daemon}" for daemon in DAEMONS]
    host.systemctl("kill", "--signal=KILL", *units)
    wait_until(
        lambda: host.is_ready() and all(host.main_pid(d) != pid for d, pid in pids.items()),
        60, "new processes, ready",
    )  # fmt: skip
    host.await_archived(*names)


def test_a_daemon_that_hangs_is_killed_by_the_watchdog(host: Host) -> None:
    host.drop_in("verify", "[Service]\nWatchdogSec=5s\nRestartSec=1\n")
    host.systemctl("restart", "nightferry-verify")
    pid, before = host.main_pid("verify"), host.machine.now()
    host.freeze([pid])
    wait_until(lambda: host.main_pid("verify") not in (pid, 0), 40, "its successor")
    killed = host.machine.journal("--since", before, "UNIT=nightferry-verify.service")
    assert any("Watchdog timeout" in e["MESSAGE"] for e in killed)
    host.await_ready()


def hang(host: Host) -> tuple[str, list[str]]:
    """A frame whose copies are given to workers that hang, and these workers."""
    host.await_archived(*take(host))  # so that there are workers, and they wait
    workers = host.workers("archive")
    host.freeze(workers)
    (name,) = take(host)
    wait_until(lambda: len(host.running("archive")) == 2, 60, "copies that hang")
    return name, workers


def test_a_worker_that_hangs_is_ended_and_its_work_is_done_by_another(host: Host) -> None:
    before = host.machine.now()
    name, stuck = hang(host)
    host.await_archived(name)
    assert "no answer for 8 s" in host.said("archive", before)
    left = set(stuck) & set(host.workers("archive"))
    assert left < set(stuck)
    if left:  # they had nothing to do
        host.signal("CONT", sorted(left))


def test_a_worker_that_hangs_is_ended_also_while_the_database_is_away(host: Host) -> None:
    # The database is to go while the workers are still waited for, on a slow machine as well.
    host.machine.run("sed", "-i", "s/stall: 8 s/stall: 15 s/", CONFIG)
    host.systemctl("restart", "nightferry-archive")
    name, stuck = hang(host)
    pid = host.main_pid("archive")
    host.systemctl("stop", "nightferry-postgres")
    wait_until(lambda: len(set(stuck) & set(host.workers("archive"))) < len(stuck), 90, "its end")
    assert host.db_is_away()
    assert host.main_pid("archive") == pid
    left = set(stuck) & set(host.workers("archive"))
    if left:  # they had nothing to do
        host.signal("CONT", sorted(left))
    host.machine.run("sed", "-i", "s/stall: 15 s/stall: 8 s/", CONFIG)
    host.systemctl("start", "nightferry-postgres")
    host.await_archived(name)


def test_a_database_that_comes_late_is_waited_for_as_long_as_it_takes(host: Host) -> None:
    host.drop_in("package", "[Service]\nTimeoutStartSec=3s\n")
    host.systemctl("stop", "nightferry-postgres")
    host.systemctl("restart", "--no-block", "nightferry-package")
    for daemon in DAEMONS:
        said = host.await_status(daemon, "waiting for the database since ")
        assert re.search(r"since \d\d:\d\d[:,] ", said)
    began = float(host.machine.value("nightferry-package", "InactiveExitTimestampMonotonic"))
    wait_until(lambda: clock(host) - began / 1e6 > 8, 30, "more than its time to start")
    assert host.machine.value("nightferry-package", "ActiveState") == "activating"
    assert host.machine.value("nightferry-package", "NRestarts") == "0"
    names = take(host)
    host.systemctl("start", "nightferry-postgres")
    host.await_ready()
    host.await_archived(*names)


@pytest.fixture
def small_var(host: Host) -> Iterator[None]:
    """The database's directory on a disk of its own, with 64 MB more than it has."""
    state = "/var/lib/nightferry"
    services = ("nightferry.target", "nightferry-postgres")
    host.systemctl("stop", *services)
    host.machine.sh(
        f"mkdir -p /run/var; mount -t tmpfs -o size=$(( $(du -sk {state} | cut -f1) + 65536 ))k,mode=755"
        f" small /run/var; cp -a {state}/. /run/var; chown --reference={state} /run/var;"
        f" mount --bind /run/var {state}"
    )
    host.systemctl("start", *reversed(services))
    host.await_ready()
    yield
    host.systemctl("stop", *services)
    host.machine.sh(f"umount -l {state}; cp -a /run/var/. {state}; umount -l /run/var")
    host.systemctl("start", *reversed(services))


def refuses_rows(host: Host) -> bool:
    try:
        host.ledger("INSERT INTO ballast SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
    except psycopg.Error:
        return True
    return False


@pytest.mark.usefixtures("small_var")
def test_a_full_var_is_waited_for_and_said_and_nothing_is_lost(host: Host) -> None:
    host.ledger("CREATE TABLE ballast AS SELECT ''::text AS filler")
    ballast = host.machine.path("/var/lib/nightferry/ballast")
    host.machine.ask("dd", "if=/dev/zero", f"of=/var/lib/nightferry/{ballast.name}", "bs=1M")
    wait_until(lambda: refuses_rows(host), 60, "a database that takes no row")
    pids = {daemon: host.main_pid(daemon) for daemon in DAEMONS}
    names = take(host, 24)  # more than the pages hold that are there already

    def waits() -> bool:
        units = (f"nightferry-{daemon}" for daemon in DAEMONS)
        return any("waiting for the database since " in host.machine.status(u) for u in units)

    wait_until(waits, 90, "a daemon that waits for room")
    assert {daemon: host.main_pid(daemon) for daemon in DAEMONS} == pids, "a daemon ended"
    ballast.unlink()
    host.await_archived(*names, seconds=120)
    host.ledger("DROP TABLE ballast")


def clock(host: Host) -> float:
    return float(host.machine.path("/proc/uptime").read_text().split()[0])


@pytest.mark.parametrize("goes", ["umount --lazy /data/frames", "systemctl stop data-frames.mount"])
def test_a_mount_that_goes_is_away_and_one_that_returns_is_served(host: Host, goes: str) -> None:
    pid = host.main_pid("ingest")
    host.machine.sh(goes)
    wait_until(lambda: host.main_pid("ingest") not in (pid, 0), 30, "a new process")
    assert "no marker" in host.await_status("ingest", "camera is away (camera: ")
    host.await_ready()
    assert host.machine.value("data-frames.mount", "ActiveState") == "inactive"  # a person's word
    assert not host.ledger("SELECT FROM lost_file")
    host.machine.sh("mount /data/frames")
    host.await_status("ingest", "watching camera")
    host.await_archived(*take(host))


def test_ingest_can_write_to_no_location(host: Host) -> None:
    for path, own in (("/data/frames", "reap"), ("/srv/buffer", "reap")):
        for daemon, may in (("ingest", False), (own, True)):
            pid = host.main_pid(daemon)
            tried = host.machine.ask(
                "nsenter", "-t", str(pid), "-m", "touch", f"{path}/.tried.part"
            )
            assert (tried.returncode == 0) is may, f"{daemon} {path}: {tried.stderr}"
    refused = host.machine.ask(
        "nsenter", "-t", str(host.main_pid("reap")), "-m", "touch", "/etc/nightferry/x"
    )
    assert "Read-only file system" in refused.stderr
    host.machine.sh("rm /data/frames/.tried.part /srv/buffer/.tried.part")


def test_what_is_proven_is_let_go_with_the_rights_that_the_unit_has(host: Host) -> None:
    (name,) = take(host)
    host.await_archived(name)
    host.machine.sh("chown nightferry /disks/frames")
    lets_go = "UPDATE data_location SET reap_enabled = %s, keep = %s, trash_grace = '0 s' WHERE name = 'camera'"
    host.ledger(lets_go, True, "1 s")
    gone = host.machine.path(f"/data/frames/{name}")
    wait_until(lambda: not gone.exists(), 90, "the frame's deletion after proof")
    host.ledger(lets_go, False, None)
    assert host.nf("night", NIGHT)["answer"] == "YES"


def test_a_canary_is_sent_each_day_by_its_timer_and_leaves_nothing(host: Host) -> None:
    host.await_archived(*take(host))
    night = host.nf("night", NIGHT)["answer"]
    host.machine.sh("chown nightferry /disks/frames")
    host.machine.write(CONFIG, HOST + "canary: camera\n")
    host.machine.sh("nf install --apply")
    assert host.machine.value("nightferry-canary.timer", "UnitFileState") == "enabled"
    before = host.machine.now()
    host.systemctl("start", "--no-block", "nightferry-canary.service")

    def said() -> str:
        return " ".join(host.said("canary", before).split())

    wait_until(lambda: "Nothing of it is left." in said(), 110, "its verdict")
    assert "came back whole from disk-a, disk-b" in said()
    for place in ("/data/frames", "/srv/buffer", "/mnt/a", "/mnt/b"):
        left = host.machine.path(place).rglob("*nightferry-canary-*")
        assert not [path for path in left if path.is_file()], place
    checks = {check["name"]: check for check in host.nf("check")["checks"]}
    assert checks["canary"]["state"] == "OK"
    assert host.nf("night", NIGHT)["answer"] == night  # it counts in none


def test_all_comes_up_by_itself_and_in_order_after_a_power_cut(host: Host) -> None:
    names = take(host, 2)
    host.machine.halt()
    host.machine.boot()
    host.await_ready(120)
    entered = {
        unit: int(host.machine.value(unit, "ActiveEnterTimestampMonotonic"))
        for unit in ("data-frames.mount", "nightferry-postgres.service")
    }
    for daemon in DAEMONS:
        began = int(host.machine.value(f"nightferry-{daemon}", "ExecMainStartTimestampMonotonic"))
        assert all(began >= moment for moment in entered.values()), daemon
    assert host.machine.value("nightferry-migrate", "Result") == "success"
    host.await_archived(*names)


def test_a_new_version_is_installed_under_daemons_that_run(host: Host, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    skip = shutil.ignore_patterns(".*", "tests", "__pycache__")
    shutil.copytree(ROOT, tree, ignore=skip)
    for file in ("pyproject.toml", "lib/nightferry/__init__.py"):
        text = (tree / file).read_text()
        (tree / file).write_text(text.replace("0.1.0", "0.1.1"))
    build_wheel(host.machine.share, tree)
    pids = [host.main_pid(daemon) for daemon in DAEMONS]
    host.machine.run(
        "/opt/nightferry/bin/pip", "install", "--quiet", "--no-index",
        "/opt/share/nightferry-0.1.1-py3-none-any.whl",
    )  # fmt: skip
    names = take(host)
    host.await_archived(*names)
    assert [host.main_pid(daemon) for daemon in DAEMONS] == pids
    host.machine.sh("nf install --apply; systemctl restart nightferry.target")
    host.await_ready()
    wait_until(
        lambda: {d["version"] for d in host.nf("status")["daemons"]} == {"0.1.1"}, 30, "0.1.1"
    )
    host.await_archived(*take(host))


def test_removing_stops_all_and_keeps_the_data(host: Host) -> None:
    host.machine.sh("nf install --remove --apply")
    assert "nightferry" not in host.machine.run("systemctl", "list-units", "--plain", "*.service")
    assert host.machine.path(CONFIG).exists()
    assert host.machine.path("/var/lib/nightferry/postgres/18/PG_VERSION").exists()
    assert list(host.machine.path("/mnt/a").rglob("*.tar"))
    host.machine.sh("nf install --apply; systemctl start nightferry.target")
    host.await_ready()
    assert host.nf("night", NIGHT)["answer"] == "YES"
