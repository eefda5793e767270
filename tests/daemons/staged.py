"""A night that is safe and can be staged, for the tests of staging; and how they ask for it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner
from nightferry import staging
from nightferry.cli import nf as commands
from nightferry.rights import asker
from nightferry.staging import Placed, Request

from tests.daemons.ground import NIGHT, Ground, ground

NOTHING = {"night": None, "instrument": None, "target": None, "observation": None, "package": None}
ME = asker()


def safe_night(database: str, tmp_path: Path) -> Iterator[Ground]:
    """A night that is safe and its owner's, the tester's; and a place to work."""
    made = ground(tmp_path, database, work={})
    made.content = made.frames(3)  # type: ignore[attr-defined]
    made.travel()
    made.ask("UPDATE raw_data_file SET owner = %s", ME)
    yield made
    made.db.close()


def ask(
    site: Ground, days: float = 7.0, command: str = "", override: str = "", **words: object
) -> Placed:
    wanted = {**NOTHING, **(words or {"night": NIGHT})}
    request = Request(wanted, None, timedelta(days=days), command, override)
    return site.db.run(lambda tx: staging.place(tx, request))


def seen_at(site: Ground, host: str, *locations: str) -> None:
    """As a daemon of this host, that runs on and not once, has written it."""
    found = {"host": host, "reason": "", "state": "available", "total": None, "free": None}
    for name in locations:
        site.db.run(lambda tx, at=name: tx.run("daemon.set_state", location=at, **found))  # type: ignore[misc]


def work_at(site: Ground) -> Path:
    return site.sites.path("center-work")


def unpacked(site: Ground) -> dict[str, bytes]:
    below = work_at(site) / "staged"
    return {p.name: p.read_bytes() for p in below.rglob("*") if p.is_file()}


def nf(site: Ground, *words: str) -> str:
    config = str(site.sites.config("center"))
    done = CliRunner().invoke(commands, ["--config", config, *words], catch_exceptions=False)
    return " ".join(done.output.split())
