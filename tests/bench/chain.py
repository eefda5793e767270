"""A dome and a data centre whose daemons run as under systemd, and how long a job of theirs took.

The daemons are up, and have done one job, before anything is measured: what counts is the way from
the job's enqueue to the commit of what follows from it, by the database's clock.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nightferry import grouping, jobs
from nightferry.db import Database
from nightferry.testing.sites import Sites

from tests.bench.ground import Ground, stop, until

AT_ONCE = {
    "quiet": "0 s",
    "looks": 1,
    "looks_apart": "0.05 s",
    "sweep_today": "1 h",
    "sweep_all": "6 h",
}


@dataclass
class Chain:
    sites: Sites
    database: Database
    _running: ExitStack = field(default_factory=ExitStack)

    @property
    def source(self) -> Path:
        return self.sites.path("dome-source")

    def start(self, site: str, daemon: str) -> "subprocess.Popen[bytes]":
        process = self.sites.start(site, daemon, log=subprocess.DEVNULL)
        self._running.callback(stop, process)
        return process

    def stop(self) -> None:
        self._running.close()

    def rows(self, text: str, **values: object) -> list[Any]:
        return self.database.run(lambda tx: tx.execute(text, values))

    def plan(self) -> None:
        """Plans the packages of all that was ingested; enqueues nothing."""
        self.database.run(lambda tx: list(grouping.plan_packages(tx)))

    def enqueue_wanted(self, kind: str) -> None:
        self.database.run(lambda tx: jobs.enqueue(tx, kind, jobs.wanted(tx, kind)))

    def seconds_to_present(self, first: str, location: str) -> float:
        """Seconds from the enqueue of the ``first`` job to the commit by which its copy is present
        at ``location``."""
        self.rows("TRUNCATE job_done")
        self.enqueue_wanted(first)
        done = until(
            lambda: self.rows(
                "SELECT extract(epoch FROM pg_xact_commit_timestamp(v.xmin) - f.created)::float8 AS seconds"
                " FROM job_done f, job_done v, physical_copy c"
                " WHERE f.kind = %(first)s AND v.kind = 'verify' AND c.location = %(location)s"
                "   AND c.state = 'present' AND v.subject = c.id || '@' || c.location",
                first=first, location=location,
            ),
            f"{first} and verify at {location}",
        )  # fmt: skip
        return float(done[0].seconds)

    def wait_for_packages(self) -> None:
        """Until every file is in a package."""
        until(
            lambda: self.rows(
                "SELECT count(*) AS files FROM raw_data_file HAVING count(*) > 0 AND bool_and("
                "EXISTS (SELECT FROM package_member m WHERE m.file = raw_data_file.id))"
            ),
            "a package of each file",
        )

    def wait_for_copies(self, archives: int) -> None:
        """Until so many archives hold every package."""
        until(
            lambda: not self.rows(
                "SELECT p.id FROM raw_data_package p WHERE (SELECT count(*) FROM physical_copy c"
                " JOIN data_location l ON l.name = c.location WHERE c.package = p.id"
                " AND c.state = 'present' AND l.type = 'LONG_TERM_ARCHIVE') < %(n)s", n=archives,
            ),
            f"a copy of each package in {archives} archives",
        )  # fmt: skip

    def forget_packages_at(self, locations: Sequence[str]) -> None:
        """Their packages there are gone: what makes them is wanted again."""
        for location in locations:
            for child in self.sites.path(location).iterdir():
                if child.is_dir() and not child.name.startswith("."):
                    shutil.rmtree(child)
        self.rows(
            "UPDATE physical_copy SET state = 'missing' WHERE package IS NOT NULL AND location = ANY(%(at)s)",
            at=list(locations),
        )


@contextmanager
def chain(ground: Ground, **more: Any) -> Iterator[Chain]:
    """Two sites, made and empty. Nothing is ever deleted there."""
    options = {"settle": AT_ONCE, "keep": None, "group_quiet": "0 s"} | more
    with ground.ledger() as dsn, ground.place("sites") as folder:
        found = Chain(Sites(folder, dsn, **options).make(), Database(dsn, actor="bench"))
        try:
            yield found
        finally:
            found.stop()
            found.database.close()
