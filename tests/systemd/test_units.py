"""Every unit is one that systemd accepts, and starts a command that the installation brings."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tree import ROOT, project

UNITS = sorted(path.name for path in (ROOT / "units").glob("nightferry*.*"))
PREFIX = "/opt/nightferry/bin"


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


@pytest.mark.parametrize("unit", [name for name in UNITS if name.endswith(".service")])
def test_a_service_comes_back_by_itself_as_its_own_user(unit: str) -> None:
    text = (ROOT / "units" / unit).read_text()
    assert text.startswith(f"# {unit.removesuffix('.service')}: ")
    assert "\nPartOf=nightferry.target\n" in text
    assert "\nUser=nightferry\n" in text
    # However long an outage was, it comes back without a person.
    assert "\nStartLimitIntervalSec=0\n" in text
    assert re.search(r"^Restart=(always|on-failure)\nRestartSec=\d+$", text, re.MULTILINE)
