"""The daemons beside the chain, with the rights that their units leave them: calibrate, stage,
transfer by ssh, metrics. A library that wants more than the unit gives fails here, not at a site."""

import io
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.table import Table
from nightferry.testing import camera
from nightferry.testing.sites import wait_until

from tests.systemd.host import DAEMONS, NIGHT, Host

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("systemd")]
FRAMES = list(camera.frames(seed=2, count=60))[-3:]
EYUMA = "photometry/eyuma"
AWAY = "/run/away.yaml"


def calibrations(host: Host, place: str) -> list[tuple[str, str]]:
    return host.ledger(
        "SELECT state::text, reason FROM calibration WHERE source_location = %s ORDER BY made",
        place,
    )


def test_a_table_of_measured_stars_is_calibrated(host: Host, night_data: Path) -> None:
    host.machine.write(
        "/run/stars.ecsv", (night_data / EYUMA / "all_refcat2_ey_uma.ecsv").read_text()
    )
    host.machine.sh("nf catalog load /run/stars.ecsv")
    table = Table.read(night_data / EYUMA / "2014-12-29-ey-uma-9.fits")
    text = io.StringIO()
    table[table["date-obs"] == min(table["date-obs"])].write(text, format="ascii.ecsv")
    host.machine.write("/data/tables/first.ecsv", text.getvalue())
    wait_until(lambda: calibrations(host, "tables") == [("good", "")], 90, "its zero point")


def test_an_image_is_measured_though_its_stars_are_in_no_catalogue(host: Host) -> None:
    name, content = FRAMES[0]
    host.machine.path(f"/data/sky/{name}").write_bytes(content)
    wait_until(lambda: calibrations(host, "sky") != [], 90, "what came of it")
    assert calibrations(host, "sky") == [("failed", "no catalogue tile")]
    (row,) = host.nf("cal", "list", "--failed")["calibrations"]
    ended = host.machine.ask("nf", "cal", "show", row["id"], "--plot", "/run/plot.png")
    assert ended.returncode == 1, ended.stderr
    assert host.machine.path("/run/plot.png").read_bytes()[:4] == b"\x89PNG"


def test_a_night_is_staged_and_a_command_is_run_on_it(host: Host) -> None:
    name, content = FRAMES[1]
    host.put(f"more/{name}", content)
    host.await_archived(f"more/{name}")
    asked = host.nf("stage", "add", "--night", NIGHT, "--override", "a test")
    folder = host.machine.path(f"/srv/processing/requests/{asked['request']}")
    wait_until((folder / ".done").exists, 90, "what was asked for")
    (package, *_) = [
        p for p in json.loads((folder / "manifest.json").read_text())["packages"]
        if any(file["path"].endswith(name) for file in p["files"])
    ]  # fmt: skip
    back = [p for p in host.machine.path(f"/srv/processing/{package['path']}").rglob(name)]
    assert [path.read_bytes() for path in back] == [content]


@pytest.fixture
def far_host(host: Host) -> Iterator[None]:
    """An sshd inside, on loopback, that lets the daemons' user in; and a disk behind it."""
    host.machine.sh(
        "mkdir -p /run/sshd /etc/nightferry/ssh /srv/far; cd /etc/nightferry/ssh;"
        " ssh-keygen -q -t ed25519 -N '' -f id; ssh-keygen -q -t ed25519 -N '' -f host;"
        ' chown nightferry id; echo "[127.0.0.1]:19751 $(cat host.pub)" >known_hosts;'
        " systemd-run --quiet --unit=far-sshd /usr/sbin/sshd -D -f /dev/null -p 19751"
        " -h $PWD/host -o AuthorizedKeysFile=$PWD/id.pub -o ListenAddress=127.0.0.1"
        " -o StrictModes=no -o UsePAM=no -o PidFile=none"
    )
    host.machine.write(AWAY, "site: away\nlocations: {far: /srv/far}\n")
    host.machine.run("nf", "--config", AWAY, "locations", "init", "far")
    yield
    host.systemctl("stop", "far-sshd")


@pytest.mark.usefixtures("far_host")
def test_a_package_crosses_by_ssh(host: Host) -> None:
    name, content = FRAMES[2]
    host.put(f"more/{name}", content.replace(b"2026A-017", b"2026F-099"))
    host.await_archived(f"more/{name}")
    wait_until(lambda: copy_at(host, "far") == "arriving", 90, "a package at the far end")
    host.machine.run(
        "/opt/nightferry/bin/nightferry-verify", "--once", "--config", AWAY, "--name", "away"
    )
    assert copy_at(host, "far") == "present"
    (tar,) = host.machine.path("/srv/far").rglob("*.tar")
    (here,) = host.machine.path("/srv/buffer").rglob(tar.name)
    assert tar.read_bytes() == here.read_bytes()


def copy_at(host: Host, place: str) -> str:
    rows = host.ledger("SELECT state::text FROM physical_copy WHERE location = %s", place)
    return rows[0][0] if rows else ""


def test_metrics_are_told(host: Host) -> None:
    with urllib.request.urlopen("http://127.0.0.1:19750/metrics", timeout=10) as answer:
        text = answer.read().decode()
    up = re.findall(r'^nightferry_daemon_up\{daemon="(\w+)".*\} 1\.0$', text, re.MULTILINE)
    assert set(up) == set(DAEMONS)
    assert "nightferry_database_up 1.0" in text
