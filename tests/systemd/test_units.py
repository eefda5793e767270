"""Every unit is one that systemd accepts, and starts a command that the installation brings."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from nightferry.config import HostConfig
from nightferry.installing.units import of_daemon

from tests.tree import ROOT, project

UNITS = sorted(path.name for path in (ROOT / "units").glob("nightferry*.*"))
SERVICES = [name for name in UNITS if name.endswith(".service") and "@" not in name]
PREFIX = "/opt/nightferry/bin"
# What systemd-analyze calls exposure, from 0 to 10. Of what reaches other hosts, and of the rest.
ON_THE_NETWORK, LOCAL = 1.5, 0.8


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All units as on a host where the wheel is installed below another prefix."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine (Debian package systemd)")
    place = tmp_path_factory.mktemp("units")
    for command in project()["project"]["scripts"]:
        (place / command).symlink_to("/bin/true")
    for name in UNITS:
        text = (ROOT / "units" / name).read_text()
        text = text.replace("=/etc/nightferry/on-failure", "=/bin/true")  # a site's own
        (place / name).write_text(text.replace(PREFIX, str(place)))
    return place


def verify(place: Path, unit: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", place / unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_the_unit(installed: Path, unit: str) -> None:
    said = verify(installed, unit)
    assert (said.returncode, said.stderr) == (0, "")


def test_a_unit_with_a_fault_is_not_accepted(installed: Path) -> None:
    text = (installed / "nightferry-verify.service").read_text()
    (installed / "broken.service").write_text(re.sub(r"ExecStart=.*", "ExecStart=/no/such", text))
    assert verify(installed, "broken.service").returncode != 0
    (installed / "broken.service").write_text(text.replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in verify(installed, "broken.service").stderr


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_comes_back_by_itself_as_its_own_user(unit: str) -> None:
    text = (ROOT / "units" / unit).read_text()
    assert text.startswith(f"# {unit.removesuffix('.service')}: ")
    assert "\nPartOf=nightferry.target\n" in text
    assert "\nUser=nightferry\n" in text
    # However long an outage was, it comes back without a person.
    assert "\nStartLimitIntervalSec=0\n" in text
    assert re.search(r"^Restart=(always|on-failure)\nRestartSec=\d+$", text, re.MULTILINE)


def exposure(unit: Path) -> float:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert found, said.stderr
    return float(found[1])


def reaches_other_hosts(text: str) -> bool:
    return "AF_INET" in text


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_hardly_exposed(installed: Path, unit: str) -> None:
    text = (installed / unit).read_text()
    assert exposure(installed / unit) <= (ON_THE_NETWORK if reaches_other_hosts(text) else LOCAL)


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_whose_database_is_on_another_host_is_hardly_exposed(
    installed: Path, unit: str
) -> None:
    host = HostConfig("dome", {"buffer": Path("/srv/buffer")}, database="postgresql://db.example/n")
    name = unit.removeprefix("nightferry-").removesuffix(".service")
    opened = installed / f"nightferry-{name}-opened.service"
    opened.write_text((installed / unit).read_text() + "[Service]\n" + of_daemon(name, host, []))
    assert exposure(opened) <= ON_THE_NETWORK


def test_a_service_without_its_hardening_is_noticed(installed: Path) -> None:
    text = (installed / "nightferry-verify.service").read_text()
    bare = installed / "bare.service"
    for word in ("Private", "Protect", "SystemCall"):
        bare.write_text("\n".join(x for x in text.splitlines() if not x.startswith(word)))
        assert exposure(bare) > LOCAL
