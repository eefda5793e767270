"""Two sites under daemons that run as processes, on a server that may be taken from them.

The daemons reach their database by a way that the test holds in its hand: it can lead to nothing, or
to another server.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from nightferry.migrate import migrate
from nightferry.testing.sites import wait_until

from tests.daemons.ground import ARCHIVES, Ground, frame, ground
from tests.daemons.proxy import Proxy
from tests.faults import checker
from tests.faults.stage import Stage

DAEMONS = {
    "dome": ("ingest", "package", "verify", "transfer"), "center": ("archive", "verify"),
}  # fmt: skip
STOPS_WITHIN = 10.0
PATIENCE = 120.0  # seconds: the machine may be busy
AWAY, BACK = "the database(?:'s disk is full| does not answer)", "the database is back"
# Frames that are whole in both archives: by their packages, or by a package of the same bytes.
ARCHIVED = """
SELECT f.path FROM raw_data_file f JOIN package_member m ON m.file = f.id
JOIN physical_copy c ON c.package = m.package AND c.state = 'present' AND c.location LIKE 'archive-%'
GROUP BY f.path HAVING count(DISTINCT c.location) = 2
"""


class World:
    """Sites, their daemons, and what the test asks of both. ``proxy`` is the daemons' way."""

    def __init__(self, site: Ground, proxy: Proxy, stage: Stage, dsn: str) -> None:
        self.site, self.proxy, self.stage, self.dsn = site, proxy, stage, dsn
        self.sums: dict[str, str] = {}
        self.pids: dict[tuple[str, str], int] = {}
        self.folder = site.sites.folder

    # --- daemons

    def start(self, daemons: Mapping[str, tuple[str, ...]] = DAEMONS) -> None:
        for where, names in daemons.items():
            for name in names:
                argv = [name, "--config", str(self.site.sites.config(where))]
                self.pids[where, name] = self.stage.start(argv, self.log(where, name))

    def stop(self) -> None:
        began = time.monotonic()
        for pid in self.pids.values():
            os.kill(pid, signal.SIGTERM)
        statuses = {name: self.stage.wait(pid, 30) for name, pid in self.pids.items()}
        self.pids.clear()
        assert set(statuses.values()) <= {0}, statuses
        assert time.monotonic() - began < STOPS_WITHIN

    def log(self, where: str, name: str) -> Path:
        return self.folder / f"log-{where}-{name}"

    def said(self, what: str) -> dict[tuple[str, str], int]:
        """How often each daemon has said something."""
        return {key: len(re.findall(what, self.log(*key).read_text())) for key in self.pids}

    def all_say(self, what: str, before: Mapping[tuple[str, str], int]) -> None:
        """Waits until every daemon has said it once more than before."""

        def said() -> bool:
            now = self.said(what)
            return all(now[key] > before[key] for key in now)

        wait_until(said, PATIENCE, f"the word {what!r} of {self.said(what)}")

    def all_live(self) -> bool:
        return all(
            ") Z " not in Path(f"/proc/{pid}/stat").read_text() for pid in self.pids.values()
        )

    # --- frames

    def expose(self, count: int = 3) -> None:
        """So many frames more."""
        for number in range(len(self.sums), len(self.sums) + count):
            content = frame(number)
            self.site.put(f"f{number:03d}.fits", content)
            self.sums[f"f{number:03d}.fits"] = sha256(content).hexdigest()

    def everything_is_archived(self) -> None:
        """Waits until it is."""

        def archived() -> bool:
            try:
                return {path for (path,) in self.ask(ARCHIVED)} == set(self.sums)
            except psycopg.Error:
                return False

        wait_until(archived, PATIENCE, f"both archives' copies of {len(self.sums)} frames")

    def ask(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Of the server itself, not by the daemons' way."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(text.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def wrong(self) -> list[str]:
        """What the independent checker finds lost, doubled, or half visible."""
        return checker.at_any_moment(self.folder, self.dsn, self.sums)


@contextmanager
def world(folder: Path, dsn: str, **changes: Any) -> Iterator[World]:
    """Two sites on the empty database ``dsn``; no daemon runs yet."""
    migrate(dsn)
    with Proxy(dsn) as proxy, Stage(dsn) as stage:
        proxy.plug_in()
        site = ground(folder, proxy.dsn, **{"keep": None, **changes})
        here = World(site, proxy, stage, dsn)
        try:
            yield here
        finally:
            proxy.lose_every = 0
            for pid in here.pids.values():
                os.kill(pid, signal.SIGKILL)
                stage.wait(pid, 20)
            site.db.close()


def away_and_back(here: World, take: Callable[[], None], give: Callable[[], None]) -> None:
    """The database is taken while frames travel, and given again when every daemon waits for it."""
    here.expose()
    away, back = here.said(AWAY), here.said(BACK)
    take()
    here.all_say(AWAY, away)
    here.expose()
    assert here.all_live(), "a daemon ended for want of its database"
    give()
    here.all_say(BACK, back)
    here.everything_is_archived()
    assert here.wrong() == []


__all__ = ["ARCHIVES", "AWAY", "BACK", "DAEMONS", "World", "away_and_back", "world"]
