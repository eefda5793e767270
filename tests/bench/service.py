"""The daemons as a service, under a real systemd: until all are ready, and what they cost idle.

The peers are promises; beside the start, as many empty Python units that say READY at once.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightferry.testing.sites import wait_until

from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, result
from tests.systemd.conftest import HOST, OBSERVATORY, build_wheel, installed
from tests.systemd.host import CONFIG, DAEMONS, Host
from tests.systemd.machine import Machine, why_not

READY, IDLE_CPU, IDLE_PSS = 5.0, 1.0, 60.0  # seconds, % of a core of all, MB of each
EMPTY = """\
[Service]
Type=notify
ExecStart=/opt/nightferry/bin/python3 -c "import os, socket, time; \\
 socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(9999)"
"""


def measure(ground: Ground) -> Iterator[Result]:
    if reason := why_not():
        ground.tell(f"service: {reason}")
        return
    with _host(ground) as host:
        starts, empties = [], []
        for _ in range(ground.runs):
            ground.tell("service: starting")
            host.systemctl("stop", "nightferry.target")
            ours = [f"nightferry-{daemon}" for daemon in DAEMONS]
            starts.append(_seconds(host, ["nightferry.target"], ours))
            units = [f"empty-{daemon}.service" for daemon in DAEMONS]
            empties.append(_seconds(host, units, units))
            host.systemctl("stop", *units)
        promised = Line(
            "service.ready", "from the target's start to all daemons, and the database, ready",
            "what is promised", "s", "at most", 1.0,
        )  # fmt: skip
        yield result(promised, [(seconds, READY) for seconds in starts])
        beside = Line(
            "service.ready beside", "the same", "as many empty Python units", "s", "at most", 20.0
        )
        yield result(beside, list(zip(starts, empties, strict=True)))
        yield from _idle(ground, host)


def _idle(ground: Ground, host: Host) -> Iterator[Result]:
    ground.tell("service: waiting until they are idle")
    time.sleep(100)
    began, used = time.monotonic(), _cpu(host)
    time.sleep(30 if ground.quick else 120)
    seconds = time.monotonic() - began
    shares = {daemon: 100 * (now - used[daemon]) / seconds for daemon, now in _cpu(host).items()}
    each = ", ".join(f"{daemon} {share:.2f}" for daemon, share in shares.items())
    ground.tell(f"service: % of a core while idle: {each}")
    cpu = Line(
        "service.idle cpu", "of all daemons that have nothing to do", "what is promised",
        "% of a core", "at most", 1.0,
    )  # fmt: skip
    yield result(cpu, [(sum(shares.values()), IDLE_CPU)])
    for daemon in DAEMONS:
        pss = Line(
            f"service.idle {daemon}", "PSS of a daemon that has nothing to do, children counted",
            "what is promised", "MB", "at most", 1.0,
        )  # fmt: skip
        yield result(pss, [(_pss(host, daemon), IDLE_PSS)])


@contextmanager
def _host(ground: Ground) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="nightferry-bench-") as folder:
        os.chmod(folder, 0o755)
        (share := Path(folder) / "share").mkdir()
        (disk := Path(folder) / "disk").mkdir()
        ground.tell("service: installing")
        build_wheel(share)
        machine = Machine(disk, share)
        try:
            machine.boot()
            host = installed(machine)
            # As a real site has it: no timing of its own.
            text = "\n".join(x for x in HOST.splitlines() if not x.startswith("timing"))
            text = text.replace("tables: /data/tables, sky: /data/sky, ", "")  # one camera
            machine.write(CONFIG, text + "\n")
            observatory = re.sub(r",\n +settle: \{.*\}(?=\})", "", OBSERVATORY)
            machine.write("/etc/nightferry/observatory.yaml", observatory)
            machine.run("nf", "config", "apply")
            for daemon in DAEMONS:
                machine.write(f"/etc/systemd/system/empty-{daemon}.service", EMPTY)
            machine.run("systemctl", "daemon-reload")
            yield host
        finally:
            machine.close()


def _seconds(host: Host, started: list[str], watched: list[str]) -> float:
    began = time.monotonic()
    host.systemctl("start", *started)
    wait_until(
        lambda: all(host.machine.value(u, "ActiveState") == "active" for u in watched), 120, "ready"
    )
    return time.monotonic() - began


def _processes(host: Host, daemon: str) -> list[Path]:
    return [
        host.machine.path(f"/proc/{pid}")
        for pid in [host.main_pid(daemon), *map(int, host.workers(daemon))]
    ]


def _cpu(host: Host) -> dict[str, float]:
    """Seconds that each daemon, its workers and its short children have used so far."""
    ticks = dict.fromkeys(DAEMONS, 0)
    for daemon in DAEMONS:
        for process in _processes(host, daemon):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            ticks[daemon] += sum(map(int, fields[11:15]))
    return {daemon: each / os.sysconf("SC_CLK_TCK") for daemon, each in ticks.items()}


def _pss(host: Host, daemon: str) -> float:
    total = 0
    for process in _processes(host, daemon):
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1000
