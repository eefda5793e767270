"""One machine with a real systemd for all tests that need one: installed as the README says."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.host import Host
from tests.systemd.machine import Machine, why_not
from tests.tree import ROOT

HOST = """\
site: home
runs: [ingest, package, transfer, archive, verify, calibrate, stage, reap, metrics]
locations: {camera: /data/frames, buffer: /srv/buffer, disk-a: /mnt/a, disk-b: /mnt/b,
            tables: /data/tables, sky: /data/sky, work: /srv/processing}
timing: {lease: 10 s, tick: 0.5 s, wanted: 2 s, poll: 0.5 s, probe: 2 s, put_off: 1 s, stall: 8 s}
metrics: {listen: "127.0.0.1:19750"}
"""
OBSERVATORY = """\
policy: {group_quiet: 1 s}
sites: {home: {description: one machine}, away: {description: another}}
locations:
  camera: {site: home, type: SOURCE, failure_domain: camera, reap: plan, replayed: true,
           settle: {quiet: 0.5 s, looks: 2, looks_apart: 0.3 s, sweep_today: 1 s, sweep_all: 5 s}}
  buffer: {site: home, type: BUFFER, failure_domain: camera, reap: plan}
  disk-a: {site: home, type: LONG_TERM_ARCHIVE, failure_domain: disk-a}
  disk-b: {site: home, type: LONG_TERM_ARCHIVE, failure_domain: disk-b, bandwidth: {rate: 60 MB}}
  tables: {site: home, type: SOURCE, failure_domain: camera, content: photometry,
           settle: {quiet: 0.5 s, looks: 2, looks_apart: 0.3 s}}
  sky: {site: home, type: SOURCE, failure_domain: camera, content: images,
        settle: {quiet: 0.5 s, looks: 2, looks_apart: 0.3 s}}
  work: {site: home, type: PROCESSING, failure_domain: camera}
  far: {site: away, type: BUFFER, failure_domain: away}
  far-archive: {site: away, type: LONG_TERM_ARCHIVE, failure_domain: away}
routes:
  to-far: {from: buffer, to: far, transport: rsync, settings: {account: root@127.0.0.1, port: 19751,
           path: /srv/far, key: /etc/nightferry/ssh/id, known_hosts: /etc/nightferry/ssh/known_hosts}}
archives: [disk-a, disk-b]
programs: {2026F-099: {title: what is kept elsewhere too, archives: [disk-a, disk-b, far-archive]}}
observatories:
  simulated: {telescopes: {sim: {zone: America/Santiago, instruments: {simulated: {}}}}}
"""


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """A host with a camera and two archives, whose target runs and whose daemons are ready."""
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="nightferry-machine-") as folder:
        share = Path(folder) / "share"
        (disk := Path(folder) / "disk").mkdir()
        share.mkdir()
        os.chmod(folder, 0o755)
        build_wheel(share)
        machine = Machine(disk, share)
        try:
            machine.boot()
            yield installed(machine)
        finally:
            machine.close()


def build_wheel(into: Path, tree: Path = ROOT) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", into, tree],
        check=True, capture_output=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip


def readme_steps() -> tuple[list[str], list[str]]:
    """The commands that the README has for one computer with everything: before nightferry.yaml is
    written, and after."""
    text = (ROOT / "README.md").read_text()
    section = text.partition("**One computer with everything**")[2].partition(
        "**A database host**"
    )[0]
    before, after = (
        [line.strip() for line in block.splitlines()]
        for block in re.findall(r"\n\n((?: {4}.*\n)+)", section)
    )
    return before, after


def installed(machine: Machine) -> Host:
    before, after = readme_steps()
    machine.write("/etc/fstab", "/disks/frames /data/frames none bind,nofail 0 0\n")
    machine.sh("mkdir -p /disks/frames /data/frames /srv/buffer /mnt/a /mnt/b")
    machine.sh("mkdir -p /data/tables /data/sky /srv/processing")
    python = f"{sys.base_prefix}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for command in before:
        machine.run("sh", "-ec", f"cd /opt/share; {command}", PATH=python, PIP_NO_INDEX="1")
        if "venv" in command:  # what the wheel stands on is here already: it is installed alone
            site = machine.sh("ls -d /opt/nightferry/lib/python*/site-packages").strip()
            machine.write(f"{site}/libraries.pth", "/opt/share/libraries\n")
    machine.write("/etc/nightferry/nightferry.yaml", HOST)
    machine.write("/etc/nightferry/observatory.yaml", OBSERVATORY)
    machine.sh("systemctl daemon-reload; systemctl start data-frames.mount")
    machine.sh("chown nightferry /srv/buffer /srv/processing /mnt/a /mnt/b")
    for command in after:
        ended = machine.ask("sh", "-ec", command)
        assert ended.returncode in (0, 1), f"{command}: {ended.stdout}{ended.stderr}"  # 1: a plan
    machine.sh("for place in tables sky work; do nf locations init $place; done")
    host = Host(machine)
    host.await_ready()
    return host
