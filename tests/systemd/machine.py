"""A real systemd, booted in a few seconds over this machine's own root; what it changes is gone
with it. It needs root, and the binaries of Debian's systemd and util-linux."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

from nightferry.testing.sites import wait_until

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")
_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # no machine outlives its test
_PROGRAMS = (
    "setpriv",
    "unshare",
    "nsenter",
    "pivot_root",
    "systemctl",
    "journalctl",
    "systemd-sysusers",
)


def why_not() -> str | None:
    """Why no systemd can be booted here; None if it can."""
    if os.geteuid() != 0:
        return "a real systemd is booted by root only"
    if not SYSTEMD.exists() or not all(map(shutil.which, _PROGRAMS)):
        return "no real systemd here: it takes Debian's packages systemd and util-linux"
    tried = subprocess.run(
        ["unshare", "--pid", "--mount", "--fork", "--uts", "--ipc", "--cgroup", "sh", "-c",
         "mount -t cgroup2 none /mnt && mount -t overlay -o lowerdir=/etc:/usr none /mnt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else "no namespaces, cgroup2 or overlay for a systemd here"


class Machine:
    """One machine; its disk lasts over its boots."""

    def __init__(self, folder: Path, share: Path) -> None:
        self.folder, self.share = folder, share
        libraries = Path(sysconfig.get_path("purelib"))
        _link_libraries(libraries, share / "libraries")
        self._seen = (Path(sys.base_prefix), libraries, share)
        self._disk = subprocess.Popen(
            [*_WITH_US, "unshare", "--mount", "--propagation", "private", "sh", "-c",
             f"mount -t tmpfs -o mode=755 disk {folder} && mkdir {folder}/cgroup"
             f" && mount -t cgroup2 none {folder}/cgroup && echo made && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._disk.stdout is not None
        assert self._disk.stdout.readline() == b"made\n"
        # The root of all its control groups: two machines side by side see nothing of each other.
        self._groups = folder / "cgroup" / f"nightferry-test-{self._disk.pid}"
        self._boot: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def boot(self) -> None:
        """Returns when systemd answers."""
        self._boot = subprocess.Popen(
            [*_WITH_US, *self._beside_disk, "sh", "-ec",
             'mkdir -p "$0"; echo $$ >"$0/cgroup.procs"; exec "$@"', self._groups,
             "unshare", "--pid", "--mount", "--fork", "--uts", "--ipc", "--cgroup", "--kill-child",
             HERE / "boot.sh", self.folder, *self._seen],
            cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._answers, 30, "systemd")

    def _answers(self) -> bool:
        assert self._boot is not None
        assert self._boot.poll() is None, "systemd did not start"
        found = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
        if not found or Path(f"/proc/{found[0]}/exe").resolve() != SYSTEMD.resolve():
            return False
        self.pid = int(found[0])
        said = self.ask("systemctl", "is-system-running").stdout.strip()
        return said in ("starting", "running", "degraded")

    def halt(self) -> None:
        """As if the power went."""
        if self._boot is not None:
            self._boot.kill()
            self._boot.wait()
            self._boot = None

    def close(self) -> None:
        self.halt()
        wait_until(self._no_groups, 10, "the end of everything inside")
        self._disk.kill()
        self._disk.wait()

    def _no_groups(self) -> bool:
        remove = [*self._beside_disk, "find", self._groups, "-depth", "-type", "d", "-delete"]
        return subprocess.run(remove, capture_output=True, check=False).returncode == 0

    @property
    def _beside_disk(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self._disk.pid), "-m")

    # --- inside

    def path(self, path: str) -> Path:
        """A path inside, as it is reached from here."""
        return Path(f"/proc/{self.pid}/root") / path.lstrip("/")

    def ask(self, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command inside."""
        settings = {
            "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            **environ,
        }
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-p", "-m", "-u", "-i", "-C", *command],
            capture_output=True, text=True, check=False, cwd="/", env=settings, timeout=120,
        )  # fmt: skip

    def run(self, *command: str, **environ: str) -> str:
        """Runs a command inside that has to work, and returns what it says."""
        ended = self.ask(*command, **environ)
        assert ended.returncode == 0, f"{command}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def sh(self, text: str) -> str:
        return self.run("sh", "-ec", text)

    def write(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.run("systemctl", "show", unit, *(f"--property={n}" for n in names))
        return dict(line.split("=", 1) for line in said.splitlines())

    def value(self, unit: str, name: str) -> str:
        return self.show(unit, name)[name]

    def status(self, unit: str) -> str:
        """What the unit says of itself."""
        return self.value(unit, "StatusText")

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries with all their fields, the oldest first; every field that is there twice is a
        list."""
        self.run("journalctl", "--sync")
        said = self.run("journalctl", "-o", "json", "--all", "--no-pager", *matches)
        return [json.loads(line) for line in said.splitlines()]

    def now(self) -> str:
        """For ``journal("--since", now)``."""
        return f"@{time.time():.6f}"


def _link_libraries(real: Path, links: Path) -> None:
    """Everything that is installed beside us but ourselves: so that the wheel is installed alone."""
    links.mkdir(parents=True)
    for entry in real.iterdir():
        if not entry.name.lower().startswith(("nightferry", "_nightferry")):
            (links / entry.name).symlink_to(f"/opt/libraries/{entry.name}")
