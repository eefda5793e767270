"""A host as a sysadmin and an astronomer see it: units, files, and the ledger."""

import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from nightferry.testing.sites import wait_until

from tests.systemd.machine import Machine

DAEMONS = (
    "ingest", "package", "transfer", "archive", "verify", "calibrate", "stage", "reap", "metrics"
)  # fmt: skip
SOCKET = "/var/lib/nightferry/postgres/socket"
CONFIG = "/etc/nightferry/nightferry.yaml"
NIGHT = "2026-03-14"  # the simulated camera's


class Host:
    """All daemons of one host, on a machine with a real systemd."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    # --- units

    def main_pid(self, daemon: str) -> int:
        return int(self.machine.value(f"nightferry-{daemon}", "MainPID"))

    def workers(self, daemon: str) -> list[str]:
        """The process ids, inside, of a daemon's workers."""
        group = self.machine.value(f"nightferry-{daemon}", "ControlGroup")
        found = self.machine.sh(f"cat /sys/fs/cgroup{group}/cgroup.procs").split()
        return [pid for pid in found if int(pid) != self.main_pid(daemon)]

    def signal(self, name: str, pids: Sequence[str | int]) -> None:
        """A signal to processes inside. 0 would be our own."""
        assert pids
        assert all(int(pid) > 1 for pid in pids)
        self.machine.run("kill", f"-{name}", *map(str, pids))

    def freeze(self, pids: Sequence[str]) -> None:
        """They stand still when this returns: a write that is under way ends before its process
        stops."""
        self.signal("STOP", pids)
        threads = " ".join(f"/proc/{pid}/task/*/stat" for pid in pids)

        def stopped() -> bool:
            stats = self.machine.sh(f"cat {threads}").splitlines()
            return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

        wait_until(stopped, 30, "processes that are stopped")

    def is_ready(self, daemons: Sequence[str] = DAEMONS) -> bool:
        units = [f"nightferry-{daemon}" for daemon in daemons]
        said = self.machine.ask("systemctl", "is-active", *units).stdout.split()
        return said == ["active"] * len(units)

    def await_ready(self, seconds: float = 60) -> None:
        wait_until(self.is_ready, seconds, "all daemons ready")

    def await_status(self, daemon: str, words: str, seconds: float = 30) -> str:
        unit = f"nightferry-{daemon}"
        wait_until(lambda: words in self.machine.status(unit), seconds, f"{daemon} says {words!r}")
        return self.machine.status(unit)

    def drop_in(self, daemon: str, text: str) -> None:
        """For the life of this boot."""
        place = f"/run/systemd/system/nightferry-{daemon}.service.d/test.conf"
        self.machine.write(place, text)
        self.machine.run("systemctl", "daemon-reload")

    def systemctl(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.machine.ask("systemctl", *arguments)

    def said(self, daemon: str, after: str = "") -> str:
        """All that a daemon wrote into the journal, one line an entry."""
        match = ("--since", after) if after else ()
        entries = self.machine.journal("-t", f"nightferry-{daemon}", *match)
        return "\n".join(str(entry["MESSAGE"]) for entry in entries)

    # --- files and the ledger

    def put(self, name: str, content: bytes) -> None:
        """As the camera writes it."""
        path = self.machine.path(f"/data/frames/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def nf(self, *words: str) -> Any:
        """The document that a command answers with."""
        ended = self.machine.ask("nf", *words, "--json")
        assert ended.returncode in (0, 1, 2), ended.stderr
        return json.loads(ended.stdout)

    def ledger(self, query: str, *values: object) -> list[Any]:
        socket = self.machine.path(SOCKET)
        with psycopg.connect(host=str(socket), user="nightferry", dbname="nightferry") as session:
            found = session.execute(query, values)
            return [] if found.description is None else found.fetchall()

    def db_is_away(self) -> bool:
        try:
            self.ledger("SELECT 1")
        except psycopg.OperationalError:
            return True
        return False

    def archived(self, name: str) -> list[str]:
        """The archives where the package with this file is present."""
        rows = self.ledger(
            "SELECT c.location FROM raw_data_file f JOIN package_member m ON m.file = f.id"
            " JOIN physical_copy c ON c.package = m.package JOIN data_location l ON l.name = c.location"
            " WHERE f.path = %s AND c.state = 'present' AND l.type = 'LONG_TERM_ARCHIVE' ORDER BY 1",
            name,
        )
        return [row[0] for row in rows]

    def await_archived(self, *names: str, seconds: float = 90) -> None:
        both = ["disk-a", "disk-b"]
        end = time.monotonic() + seconds
        for name in names:
            left = max(1.0, end - time.monotonic())
            wait_until(lambda n=name: self.archived(n) == both, left, f"{name} at both archives")

    def running(self, kind: str) -> list[Any]:
        return self.ledger("SELECT subject FROM job WHERE kind = %s AND state = 'running'", kind)
