"""A route by rsync to a host that shares no disk with ours: packages cross, and cuts cost little."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from nightferry.marker import MARKER_FILE
from nightferry.testing.sites import Running, wait_until

from tests.daemons.ground import Ground, ground
from tests.sshd import Sshd, sshd

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def far_host() -> Iterator[Sshd]:
    with sshd() as started:
        yield started


@pytest.fixture
def apart(far_host: Sshd, database: str, tmp_path: Path) -> Iterator[Ground]:
    """The dome has not mounted the centre's buffer."""
    route = {
        "from": "dome-buffer",
        "to": "center-buffer",
        "transport": "rsync",
        "settings": far_host.settings(tmp_path / "center/buffer", streams=2),
    }
    made = ground(tmp_path, database, extra={"routes": {"dome-to-center": route}})
    host = yaml.safe_load(made.sites.config("dome").read_text())
    del host["locations"]["center-buffer"]
    made.sites.config("dome").write_text(yaml.safe_dump(host))
    yield made
    made.db.close()


def test_a_night_crosses_to_a_host_that_shares_no_disk(apart: Ground) -> None:
    apart.frames(6)
    apart.travel()
    assert apart.answer() == "YES"
    assert set(apart.copies("center-buffer")) == {"present"}


def test_a_wrong_host_key_is_the_routes_trouble_and_heals(apart: Ground, far_host: Sshd) -> None:
    known = far_host.known_hosts.read_text()
    apart.frames(2)
    for daemon in ("ingest", "package", "verify"):
        apart.once("dome", daemon)
    far_host.known_hosts.write_text("")
    try:
        apart.once("dome", "transfer")
    finally:
        far_host.known_hosts.write_text(known)
    assert apart.copies("center-buffer") == []
    assert apart.ask("SELECT FROM blocked") == []
    (broken,) = apart.ask("SELECT state::text, reason FROM breaker WHERE name = 'dome-to-center'")
    assert broken.state == "open", "one bundle is all that waits, and it has asked"
    assert "far host's key" in broken.reason
    whole = "SELECT count(*) FROM breaker WHERE name = 'dome-to-center' AND state = 'closed'"
    with Running(apart.sites).start({"dome": ("transfer",)}):  # it probes what is broken
        wait_until(lambda: apart.one(whole) == 1, 180, "the route's breaker, closed again")
    apart.ask("UPDATE job SET due = now() WHERE state = 'waiting'")
    apart.travel()
    assert apart.answer() == "YES"


def test_a_far_disk_with_less_room_than_it_said_is_waited_for_and_nothing_is_blocked(
    apart: Ground, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small file system")
    apart.frames(9)
    for daemon in ("ingest", "package", "verify"):
        apart.once("dome", daemon)
    far = tmp_path / "center/buffer"
    marker = (far / MARKER_FILE).read_bytes()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1100k", "tmpfs", far], check=True)
    try:
        (far / MARKER_FILE).write_bytes(marker)
        apart.once("dome", "transfer")
        (waits,) = apart.ask("SELECT state::text, attempts, error FROM job WHERE kind = 'transfer'")
        assert (waits.state, waits.attempts) == ("waiting", 0)
        assert "center-buffer has" in waits.error["message"]
        assert "make room there" in waits.error["message"]
        assert apart.ask("SELECT FROM blocked") == []
        assert apart.ask("SELECT FROM breaker WHERE state = 'open'") == []
    finally:
        subprocess.run(["umount", far], check=True)
    apart.ask("UPDATE job SET due = now() WHERE state = 'waiting'")
    apart.travel()
    assert apart.answer() == "YES"
