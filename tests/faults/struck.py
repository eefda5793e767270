"""Two sites whose instrument's disk and one of whose archives can be struck, under daemons that run."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nightferry.testing.sites import wait_until

from tests.daemons.ground import Ground, frame, ground
from tests.database import new_database
from tests.faults.disks import Disk, disks
from tests.faults.stage import Stage

DAEMONS = (("dome", "ingest"), ("center", "archive"), ("center", "verify"))
BEFORE = (
    ("dome", "ingest"),
    ("dome", "package"),
    ("dome", "verify"),
    ("dome", "transfer"),
    ("center", "verify"),
)
WORKERS = {"ingest": 1, "archive": 3, "verify": 3}  # one a place that it has mounted
STOPS_WITHIN = 10.0
PATIENCE = 60.0  # seconds: the machine may be busy


@dataclass
class Struck:
    """Two sites whose daemons run, and the two disks that trouble comes to."""

    site: Ground
    source: Disk
    archive: Disk
    log: Path
    pids: dict[tuple[str, str], int]
    stage: Stage

    def start(self) -> None:
        for where, daemon in DAEMONS:
            argv = [daemon, "--config", str(self.site.sites.config(where))]
            self.pids[where, daemon] = self.stage.start(argv, self.log)

    def stop(self) -> dict[tuple[str, str], tuple[int | None, float]]:
        """All are asked at once: the exit status of each, and after how many seconds it had ended."""
        for pid in self.pids.values():
            os.kill(pid, signal.SIGTERM)
        began = time.monotonic()
        ended = {}
        for name, pid in self.pids.items():
            ended[name] = (self.stage.wait(pid, 30), time.monotonic() - began)
        self.pids.clear()
        return ended

    @property
    def disks(self) -> tuple[Disk, Disk]:
        return self.source, self.archive

    def said(self) -> str:
        return self.log.read_text()

    def state(self, location: str) -> list[str]:
        """What the hosts say of a location."""
        return [r[0] for r in self.site.ask(
            "SELECT state::text || ': ' || reason FROM location_state WHERE location = %s", location)]  # fmt: skip

    def present(self, location: str) -> int:
        return self.site.copies(location).count("present")

    def is_away(self, location: str) -> bool:
        return any(said.startswith("unavailable") for said in self.state(location))

    def lose_the_archived_copies(self) -> None:
        """So that there is work at both archives, the sound one and the other."""
        self.site.ask("UPDATE physical_copy SET state = 'missing' WHERE location LIKE 'archive-%%'")

    def workers(self) -> list[str]:
        """The daemons that have more workers than places, dying ones among them."""
        found = []
        for (_, daemon), pid in self.pids.items():
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if len(children) > WORKERS[daemon]:
                found.append(f"{daemon} has {len(children)}")
        return found

    def stalls_after(self, patience: str) -> None:
        """How long a worker of a daemon that is started from now on may be silent."""
        for path in self.site.sites.config("center"), self.site.sites.config("dome"):
            path.write_text(re.sub("stall: .*", f"stall: {patience}", path.read_text()))

    def answers(self) -> None:
        """Every daemon hears a signal, and does what it asks."""
        for where, daemon in self.pids:
            told = f"nightferry-{daemon}: read {self.site.sites.config(where)} again"
            heard = self.said().count(told)
            os.kill(self.pids[where, daemon], signal.SIGHUP)
            wait_until(lambda t=told, n=heard: self.said().count(t) > n, STOPS_WITHIN, told)  # type: ignore[misc]


@contextmanager
def running(
    server: str, template: str, folder: Path, stage: Stage, mount: Callable[[Disk], None]
) -> Iterator[Struck]:
    """A night of three frames in both archives; the daemons run, and have seen every disk."""
    with (
        new_database(server, template) as database,
        disks(folder / "dome" / "source", folder / "archive-b") as (source, archive),
    ):
        mount(source)
        mount(archive)
        site = ground(folder, database, keep=None, policy={"package_size": "3 kB"})
        for number in range(3):
            site.put(f"night/f{number}.fits", frame(number))
        for where, daemon in BEFORE:
            site.once(where, daemon)
        here = Struck(site, source, archive, folder / "log", {}, stage)
        here.stalls_after("3 s")
        try:
            here.start()
            for name in ("archive-a", "archive-b"):
                wait_until(lambda n=name: here.present(n) == 3, PATIENCE, name)  # type: ignore[misc]
            wait_until(lambda: "available: " in here.state("dome-source"), PATIENCE, "a sweep")
            yield here
        finally:
            for disk in here.disks:
                disk.answer()
            here.stop()
            site.db.close()
