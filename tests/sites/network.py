"""Four hosts in namespaces of their own: a dome, a data centre, a second archive, and the database's.

Each has its own network, processes, mounts and name; the folder of another is empty to it. The
centre is the router; the link from the dome to it is the thin one. Nothing outlives its test: a host
is a process, and all that runs there ends with it.

The kernels that tests run on may lack netem: a link is thin by ``tbf``, loses packets by nftables,
and is slow by a proxy (delay.py).
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from nightferry.testing.sites import environment, wait_until

_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # no host outlives its test
_PROGRAMS = ("setpriv", "unshare", "nsenter", "ip", "tc", "nft")
NAMES = ("dome", "center", "vault", "ledger")
CENTER = "10.77.{}.1"  # as each of the others sees it
ADDRESS = {"dome": "10.77.1.2", "vault": "10.77.2.2", "ledger": "10.77.3.2"}
_PATIENCE = 10.0  # seconds for a process to end by itself


def why_not() -> str | None:
    """Why no hosts can be made here; None if they can."""
    if os.geteuid() != 0:
        return "hosts in network namespaces are made by root only"
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)} here: it takes Debian's iproute2, nftables and util-linux"
    for what, command in (
        ("network namespaces", ["true"]),
        ("tbf", ["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "4kb", "latency", "1s"]),
        ("nftables", ["nft", "add table inet probe"]),
    ):  # fmt: skip
        tried = subprocess.run(
            ["unshare", "--net", "--pid", "--fork", *command], capture_output=True, check=False
        )
        if tried.returncode:
            return f"the kernel has no {what} here"
    return None


class Process:
    """A program that runs on a host. ``popen`` waits for it; the program is its only child."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen

    @property
    def pid(self) -> int | None:
        """As we see it; None if it has ended."""
        at = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children")
        try:
            found = at.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None

    def ended(self) -> bool:
        return self._popen.poll() is not None

    def signal(self, number: int) -> None:
        pid = self.pid
        if pid is not None and not self.ended():
            os.kill(pid, number)

    def kill(self) -> None:
        """As the kernel would: it can't say goodbye."""
        self.signal(signal.SIGKILL)
        self._popen.wait(_PATIENCE)

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        try:
            self._popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()


class Host:
    """One machine: ``folder`` is its disk, ``log`` is what its programs say."""

    def __init__(self, name: str, disks: Path, hosts: Path) -> None:
        self.name, self.folder = name, disks / name
        self.log = disks / f"{name}.log"
        hidden = " && ".join(
            f"mount -t tmpfs -o mode=755 none {disks / other}" for other in NAMES if other != name
        )
        self._made = subprocess.Popen(
            [*_WITH_US, "unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child",
             "--mount-proc", "--propagation", "private", "sh", "-c",
             f"hostname {name} && ip link set lo up && mount --bind {hosts} /etc/hosts && {hidden}"
             " && echo made && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._made.stdout is not None
        assert self._made.stdout.readline() == b"made\n", f"{name} could not be made"
        children = Path(f"/proc/{self._made.pid}/task/{self._made.pid}/children")
        self.pid = int(children.read_text().split()[0])

    def _inside(self, command: Sequence[str | Path]) -> list[str]:
        enter = ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--"]
        return [*_WITH_US, *enter, *_WITH_US, *map(str, command)]

    def ask(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._inside(command), capture_output=True, text=True, check=False, cwd="/",
            timeout=300, env=environment(),
        )  # fmt: skip

    def run(self, *command: str | Path) -> str:
        """A command that has to work; what it says."""
        ended = self.ask(*command)
        assert ended.returncode == 0, (
            f"{self.name}: {command}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        )
        return ended.stdout

    def start(self, *command: str | Path) -> Process:
        with open(self.log, "ab") as log:
            return Process(
                subprocess.Popen(
                    self._inside(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd="/", env=environment(),
                )
            )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """All that runs there is killed with it."""
        self._made.kill()
        self._made.wait()


class Network:
    """The hosts and the links between them."""

    def __init__(self, disks: Path) -> None:
        self.disks = disks
        hosts = disks / "hosts"
        told = {**ADDRESS, "center": CENTER.format(1)}
        hosts.write_text("127.0.0.1 localhost satellite\n")
        with hosts.open("a") as file:
            file.writelines(f"{address} {name}\n" for name, address in told.items())
        for name in NAMES:
            (disks / name).mkdir()
        self.hosts: dict[str, Host] = {}
        try:
            for name in NAMES:
                self.hosts[name] = Host(name, disks, hosts)
            for number, name in enumerate(ADDRESS, start=1):
                self._join(name, number)
            self["center"].run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
            self.heal()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def _join(self, name: str, number: int) -> None:
        here, there = self["center"], self[name]
        subprocess.run(
            ["ip", "link", "add", name, "netns", str(here.pid), "type", "veth", "peer", "name",
             "center", "netns", str(there.pid)],
            check=True,
        )  # fmt: skip
        here.run("ip", "address", "add", f"{CENTER.format(number)}/30", "dev", name)
        here.run("ip", "link", "set", name, "up")
        there.run("ip", "address", "add", f"{ADDRESS[name]}/30", "dev", "center")
        there.run("ip", "link", "set", "center", "up")
        there.run("ip", "route", "add", "default", "via", CENTER.format(number))

    # --- what happens to the link between the dome and the centre

    def thin(self, rate: str) -> None:
        """As many bits a second as a mountain has, each way: ``tc``'s words."""
        for host, device in (("dome", "center"), ("center", "dome")):
            self[host].run(
                "tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", rate,
                "burst", "64kb", "latency", "400ms",
            )  # fmt: skip

    def lose(self, percent: int) -> None:
        """So many packets of a hundred get lost, each way."""
        for host, device in (("dome", "center"), ("center", "dome")):
            self[host].run(
                "nft",
                "add table inet loss; "
                "add chain inet loss come { type filter hook prerouting priority 0; }; "
                f"add rule inet loss come iifname {device} numgen random mod 100 < {percent} drop",
            )

    def unplug(self) -> None:
        self["center"].run("ip", "link", "set", "dome", "down")

    def plug_in(self) -> None:
        self["center"].run("ip", "link", "set", "dome", "up")

    def away(self, seconds: float) -> None:
        """The link is down for so long, and nothing comes over it."""
        self.unplug()
        came, back = self.came(), time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > back, seconds + 5, "the end of the cut")
        assert self.came() == came, "something crossed a link that is down"
        self.plug_in()

    def forget(self, port: int, seconds: float = 1.0) -> None:
        """Whatever stands between forgets the connections to ``port`` of the dome's, which are
        reset, and takes no new ones for so long."""
        rule = f"iifname dome tcp dport {port} reject with tcp reset"
        self["center"].run(
            "nft",
            "add table inet cut; "
            "add chain inet cut here { type filter hook input priority 0; }; "
            "add chain inet cut through { type filter hook forward priority 0; }; "
            f"add rule inet cut here {rule}; add rule inet cut through {rule}",
        )
        back = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > back, seconds + 5, "the end of the cut")
        self["center"].run("nft", "delete table inet cut")

    def sent(self) -> int:
        """Bytes of ssh that left the dome by its interface since it was healed."""
        return self._counted("dome", "sent")

    def came(self) -> int:
        """Bytes of ssh from the dome that the centre got, for itself or to pass on."""
        return self._counted("center", "came")

    def _counted(self, host: str, name: str) -> int:
        said = self[host].run("nft", "-j", "list", "counter", "inet", "count", name)
        return int(json.loads(said)["nftables"][-1]["counter"]["bytes"])

    def heal(self) -> None:
        """As it was made: wide, whole and plugged in, with nothing counted."""
        self.plug_in()
        for host, device in (("dome", "center"), ("center", "dome")):
            self[host].run("nft", "flush ruleset")
            self[host].ask("tc", "qdisc", "del", "dev", device, "root")
        self["dome"].run(
            "nft",
            "add table inet count; add counter inet count sent; "
            "add chain inet count go { type filter hook output priority 0; }; "
            "add rule inet count go oifname center tcp dport 22 counter name sent",
        )
        self["center"].run(
            "nft",
            "add table inet count; add counter inet count came; "
            "add chain inet count come { type filter hook prerouting priority 10; }; "
            "add rule inet count come iifname dome tcp dport 22 counter name came",
        )

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()
