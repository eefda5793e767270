"""Two sites on one machine: a dome, and a data centre with two archives that fail apart.

What the demonstration, the tests and the benchmarks stand on. Each location is a folder with its
marker; each site is a host with a configuration of its own, and one observatory.yaml is applied.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from nightferry import locations, observatory
from nightferry.db import Database
from nightferry.errors import NightferryError

# Quick enough to be watched; a real site has the defaults of nightferry.config.Timing.
QUICK = {
    "lease": "6 s", "tick": "0.5 s", "wanted": "2 s", "poll": "0.5 s", "probe": "2 s",
    "put_off": "1 s", "stall": "60 s", }  # fmt: skip
DAEMONS = {
    "dome": ("ingest", "package", "transfer", "verify", "reap"),
    "center": ("archive", "verify", "reap"),
}
PLACES = {
    "dome": ("dome-source", "dome-buffer", "center-buffer"),
    "center": ("center-buffer", "archive-a", "archive-b"),
}


@dataclass(frozen=True)
class Sites:
    """The two sites below ``folder``, on the database ``dsn``."""

    folder: Path
    dsn: str
    timing: Mapping[str, str] = field(default_factory=lambda: dict(QUICK))
    settle: Mapping[str, object] = field(
        default_factory=lambda: {
            "quiet": "0.5 s",
            "looks": 2,
            "looks_apart": "0.3 s",
            "sweep_today": "1 s",
            "sweep_all": "5 s",
        }
    )
    group_quiet: str = "2 s"
    keep: str | None = "2 s"  # of SOURCE and BUFFER; None = nothing is deleted
    trash_grace: str = "1 s"
    replayed: bool = True
    marks: Mapping[str, object] = field(default_factory=dict)  # of dome-source: high and low
    source: Mapping[str, object] = field(default_factory=dict)  # more of dome-source's settings
    policy: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)  # more of observatory.yaml
    enqueue_at_commit: bool = True
    # Archives that are buckets: what observatory.yaml says of them, and the file with the keys.
    buckets: Mapping[str, tuple[Mapping[str, object], Path]] = field(default_factory=dict)
    work: Mapping[str, object] | None = None  # center-work, a PROCESSING; None = there is none

    @property
    def places(self) -> dict[str, tuple[str, ...]]:
        """The locations that each site's host has mounted."""
        more = ("center-work",) if self.work is not None else ()
        return {**PLACES, "center": (*PLACES["center"], *more)}

    def path(self, location: str) -> Path:
        if location in self.buckets:
            return self.buckets[location][1]
        site, _, rest = location.partition("-")
        return self.folder / (location if site == "archive" else f"{site}/{rest}")

    @property
    def database(self) -> Database:
        return Database(self.dsn, actor="sites", site="center", host="center")

    def config(self, site: str) -> Path:
        return self.folder / "etc" / f"{site}.yaml"

    def make(self) -> "Sites":
        """Writes folders and configurations, applies observatory.yaml and places the markers."""
        for names in self.places.values():
            for name in set(names) - set(self.buckets):
                self.path(name).mkdir(parents=True, exist_ok=True)
        (self.folder / "etc").mkdir(exist_ok=True)
        document = self.folder / "etc" / "observatory.yaml"
        document.write_text(yaml.safe_dump(self._observatory(), sort_keys=False))
        for site, names in self.places.items():
            host = {
                "site": site,
                "host": site,
                "database": self.dsn,
                "locations": {name: str(self.path(name)) for name in names},
                "enqueue_at_commit": self.enqueue_at_commit,
                "timing": dict(self.timing),
                "reap": {"again_after": "5 s"},
            }
            self.config(site).write_text(yaml.safe_dump(host, sort_keys=False))
        database = self.database
        try:
            database.run(lambda tx: observatory.apply(tx, observatory.load(document)))
            for name in sorted({n for names in self.places.values() for n in names}):
                database.run(lambda tx, n=name: locations.init(tx, n, self.path(n)))  # type: ignore[misc]
        finally:
            database.close()
        return self

    def _observatory(self) -> dict[str, object]:
        let_go: dict[str, object] = {"reap": "plan"}
        if self.keep is not None:
            let_go = {"keep": self.keep, "reap": "enabled", "trash_grace": self.trash_grace}
        source = {"settle": dict(self.settle), "replayed": self.replayed, **self.source}
        places: dict[str, dict[str, object]] = {
            "dome-source": {
                "site": "dome",
                "type": "SOURCE",
                "failure_domain": "dome",
                **let_go,
                **self.marks,
                **source,
            },
            "dome-buffer": {"site": "dome", "type": "BUFFER", "failure_domain": "dome", **let_go},
            "center-buffer": {
                "site": "center",
                "type": "BUFFER",
                "failure_domain": "center",
                **let_go,
            },
            "archive-a": {
                "site": "center",
                "type": "LONG_TERM_ARCHIVE",
                "failure_domain": "room-a",
            },
            "archive-b": {
                "site": "center",
                "type": "LONG_TERM_ARCHIVE",
                "failure_domain": "room-b",
            },
        }
        if self.work is not None:
            work = {"site": "center", "type": "PROCESSING", "failure_domain": "work"}
            places["center-work"] = {**work, **self.work}
        for name, (store, _) in self.buckets.items():
            places[name] = {**places[name], "storage": "s3", "store": dict(store)}
        lick = {"zone": "America/Los_Angeles"}
        return {
            "policy": {
                "group_quiet": self.group_quiet,
                "sweep_temporaries": "10 s",
                **self.policy,
            },
            "sites": {
                "dome": {"description": "where frames are taken"},
                "center": {"description": "where they are kept"},
            },
            "locations": places,
            "routes": {"dome-to-center": {"from": "dome-buffer", "to": "center-buffer"}},
            "observatories": {
                "simulated": {
                    "telescopes": {
                        "sim": {"zone": "America/Santiago", "instruments": {"simulated": {}}}
                    }
                },
                "lick": {
                    "telescopes": {
                        "nickel": {**lick, "instruments": {"nickel": {}}},
                        "shane": {**lick, "instruments": {"kast": {}}},
                    }
                },
                "panoptes": {
                    "telescopes": {
                        "panoptes": {"zone": "Pacific/Honolulu", "instruments": {"panoptes": {}}}
                    }
                },
            },
            **self.extra,
        }

    # --- its daemons ------------------------------------------------------------------------------

    def command(self, site: str, daemon: str, *options: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "nightferryd",
            daemon,
            "--config",
            str(self.config(site)),
            *options,
        ]

    def start(
        self, site: str, daemon: str, *options: str, log: int | None = None
    ) -> "subprocess.Popen[bytes]":
        """One daemon, as a unit would start it."""
        return subprocess.Popen(
            self.command(site, daemon, *options),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(),
        )

    def once(self, site: str, daemon: str, seconds: float = 60.0) -> None:
        """Runs a daemon with --once to its end.

        Raises:
            NightferryError: it failed; the text is what it said.
        """
        ended = subprocess.run(
            self.command(site, daemon, "--once"),
            capture_output=True,
            text=True,
            timeout=seconds,
            env=environment(),
            check=False,
        )
        if ended.returncode:
            raise NightferryError(
                f"{daemon} at {site} ended with {ended.returncode}: {ended.stderr}"
            )

    def once_all(self) -> None:
        """Every daemon once, in the order in which files travel."""
        for site, daemon in (
            ("dome", "ingest"), ("dome", "package"), ("dome", "verify"), ("dome", "transfer"),
            ("center", "verify"), ("center", "archive"), ("center", "verify"),
        ):  # fmt: skip
            self.once(site, daemon)


def environment() -> dict[str, str]:
    """Ours, with the interpreter's search path: a checkout that is not installed works too."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


class Running:
    """Daemons that run as under systemd: separate processes, started again when they end."""

    def __init__(self, sites: Sites, log: int | None = None) -> None:
        self.sites, self.log = sites, log
        self.processes: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self.restarts = 0

    def start(self, daemons: Mapping[str, tuple[str, ...]] = DAEMONS) -> "Running":
        for site, names in daemons.items():
            for name in names:
                self.processes[site, name] = self.sites.start(site, name, log=self.log)
        return self

    def keep_up(self) -> None:
        """Starts again what has ended."""
        for (site, name), process in self.processes.items():
            if process.poll() is not None:
                self.restarts += 1
                self.processes[site, name] = self.sites.start(site, name, log=self.log)

    def kill(self, site: str, name: str) -> None:
        self.processes[site, name].kill()

    def stop(self, patience: float = 10.0) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        end = time.monotonic() + patience
        for process in self.processes.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_until(true: Callable[[], object], seconds: float = 30.0, what: str = "it") -> None:
    """Waits for a condition, with a deadline.

    Raises:
        TimeoutError: it did not come true in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {seconds:.0f} s")
        time.sleep(0.05)
