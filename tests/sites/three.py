"""Three sites on hosts of their own, one night of a simulated camera, and what became of it.

The dome has the camera. The centre has two buffers, a relay and archives; the vault an archive. Each
host has its daemons, its nightferry.yaml and its own user of the one database.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from nightferry import locations, observatory
from nightferry.db import Database, Row
from nightferry.night_answer import judge, look
from nightferry.testing.sites import QUICK, wait_until

from tests.sites.large import large_frame
from tests.sites.ledger import Ledger
from tests.sites.network import Network, Process
from tests.sshd import Sshd

NIGHT = date(2026, 3, 14)  # the simulated camera's
PASSWORD = "of-a-test"
PATIENCE = 300.0  # seconds; a scene takes thirty on a machine that does nothing else
SITES = ("dome", "center", "vault")
DAEMONS = {
    "dome": ("ingest", "package", "verify", "transfer"),
    "center": ("verify", "transfer", "archive"),
    "vault": ("verify", "archive"),
}
BUFFERS = {"dome-buffer": 100, "center-buffer": 10, "center-spare": 20, "vault-buffer": 100}
SATELLITE = 2222  # the port on the dome of the proxy that adds delay
_SETTLE = {
    "quiet": "0.5 s",
    "looks": 2,
    "looks_apart": "0.3 s",
    "sweep_today": "1 s",
    "sweep_all": "5 s",
}


@dataclass(frozen=True)
class Ground:
    """What all scenes share: the hosts, the database's server, an sshd at each far end."""

    network: Network
    ledger: Ledger
    sshd: Mapping[str, Sshd]
    frames: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Of a night, in bytes."""
        return sum(map(len, self.frames.values()))


@dataclass
class ThreeSites:
    """One scene: ``routes`` are those of observatory.yaml, each with its end and settings;
    ``archives`` say at which site each is."""

    ground: Ground
    dsn: str
    routes: Mapping[str, Mapping[str, object]]
    archives: Mapping[str, str]
    running: dict[tuple[str, str], Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.db = Database(self.dsn, actor="test", site="center", host="test")
        self.name = urlsplit(self.dsn).path[1:]
        self._said_before = {site: len(self.ground.network[site].said()) for site in SITES}
        self.size = self.ground.size
        self._make()

    # --- what is there

    def path(self, location: str) -> Path:
        return self.ground.network.disks / self.site(location) / self.name / location

    def site(self, location: str) -> str:
        return self.archives.get(location) or location.partition("-")[0]

    def places(self, site: str) -> list[str]:
        return [n for n in ("dome-source", *BUFFERS, *self.archives) if self.site(n) == site]

    def config(self, site: str) -> Path:
        return self.ground.network.disks / site / self.name / "nightferry.yaml"

    def _make(self) -> None:
        for site in SITES:
            for name in self.places(site):
                self.path(name).mkdir(parents=True)
            self.config(site).write_text(yaml.safe_dump(self._host(site)))
        self.apply()
        for site in SITES:
            own = self.places(site)
            for name in own:
                self.db.run(lambda tx, n=name: locations.init(tx, n, self.path(n)))  # type: ignore[misc]
            self.db.run(
                lambda tx, s=site, o=own: tx.run("roles.grant", role=s, locations=o, reaps=False)
            )  # type: ignore[misc]

    def _host(self, site: str) -> dict[str, object]:
        return {
            "site": site,
            "host": site,
            "database": self._dsn(site),
            "locations": {name: str(self.path(name)) for name in self.places(site)},
            "timing": {**QUICK, "lease": "30 s"},
        }

    def _dsn(self, site: str, **how: object) -> str:
        return self.ground.ledger.dsn_for(self.name, user=site, **{"password": PASSWORD, **how})

    def apply(self) -> None:
        """observatory.yaml, as the routes are now."""
        places: dict[str, dict[str, object]] = {
            "dome-source": {
                "site": "dome", "type": "SOURCE", "failure_domain": "dome", "replayed": True,
                "settle": _SETTLE,
            }
        }  # fmt: skip
        for name, priority in BUFFERS.items():
            site = self.site(name)
            places[name] = {
                "site": site, "type": "BUFFER", "failure_domain": site, "priority": priority,
            }  # fmt: skip
        for name, site in self.archives.items():
            places[name] = {"site": site, "type": "LONG_TERM_ARCHIVE", "failure_domain": name}
        simulated = {"zone": "America/Santiago", "instruments": {"simulated": {}}}
        document = self.ground.network.disks / f"{self.name}.yaml"
        document.write_text(
            yaml.safe_dump(
                {
                    "policy": {"group_quiet": "0 s", "package_size": "1500 kB"},
                    "sites": {name: {} for name in SITES},
                    "locations": places,
                    "routes": {name: self._route(dict(r)) for name, r in self.routes.items()},
                    "observatories": {"simulated": {"telescopes": {"sim": simulated}}},
                },
                sort_keys=False,
            )
        )
        self.db.run(lambda tx: observatory.apply(tx, observatory.load(document)))

    def _route(self, route: dict[str, object]) -> dict[str, object]:
        end = str(route["to"])
        far = self.ground.sshd[self.site(end)]
        settings = far.settings(self.path(end), **dict(route.pop("settings", {})))  # type: ignore[call-overload]
        return {"transport": "rsync", **route, "settings": settings}

    # --- what happens

    def take(self) -> None:
        """The camera's night, all at once."""
        for name, content in self.ground.frames.items():
            (self.path("dome-source") / name).write_bytes(content)

    def take_large(self, size: int) -> None:
        """One more frame of the night, too large for one command: rsync itself carries it."""
        content = large_frame(size)
        (self.path("dome-source") / "large.fits").write_bytes(content)
        self.size += len(content)

    def start(self) -> None:
        for site in ("dome", *sorted(set(self.archives.values()))):
            self.start_at(site)

    def start_at(self, site: str) -> None:
        for name in DAEMONS[site]:
            self.running[site, name] = self.ground.network[site].start(
                sys.executable, "-m", "nightferryd", name, "--config", self.config(site)
            )

    def kill_at(self, site: str) -> None:
        """As the power goes."""
        for (where, name), process in list(self.running.items()):
            if where == site:
                process.kill()
                del self.running[where, name]

    def stop(self) -> None:
        for process in self.running.values():
            process.signal(signal.SIGTERM)
        for process in self.running.values():
            process.stop()
        self.running.clear()

    def close(self) -> None:
        self.stop()
        self.db.close()

    @contextmanager
    def unmounted(self, location: str) -> Iterator[None]:
        """Another directory is there in its place, as when a disk is not mounted."""
        path = self.path(location)
        path.rename(path.with_suffix(".off"))
        path.mkdir()
        try:
            yield
        finally:
            path.rmdir()  # nothing was written below the missing mount
            path.with_suffix(".off").rename(path)

    def drain(self, location: str) -> None:
        """A person's word, on the database's own machine."""
        self.db.run(lambda tx: locations.set_active(tx, location, False, "a test"))

    # --- what came of it

    def ask(self, text: str, *values: object) -> list[Row]:
        return self.db.run(lambda tx: tx.execute(text, values))

    def copies(self, location: str) -> list[str]:
        found = self.ask("SELECT state::text FROM physical_copy WHERE location = %s", location)
        return [row[0] for row in found]

    def partial(self, location: str) -> int:
        """Bytes of the largest temporary file there."""
        found = self.path(location).rglob("*.part")
        return max((path.stat().st_size for path in found), default=0)

    def packages(self) -> int:
        return len(self.ask("SELECT FROM raw_data_package"))

    def answer(self) -> str:
        """YES, or every reason why not."""
        verdict = self.db.run(lambda tx: judge(look(tx, NIGHT)))
        return "; ".join([verdict.answer, *verdict.no, *verdict.unknown])

    def nf(self, site: str, *words: str) -> str:
        """What nf says on a host, as that host's user; its exit code must be 0."""
        return self.ground.network[site].run(*self._nf(site, *words))

    def ask_nf(self, site: str, *words: str) -> tuple[int, str]:
        done = self.ground.network[site].ask(*self._nf(site, *words))
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def ask_nf_with(self, site: str, how: Mapping[str, object], *words: str) -> tuple[int, str]:
        """The same, by another way to the database."""
        right = self.config(site).read_text()
        wrong = {**yaml.safe_load(right), "database": self._dsn(site, **how)}
        self.config(site).write_text(yaml.safe_dump(wrong))
        try:
            return self.ask_nf(site, *words)
        finally:
            self.config(site).write_text(right)

    def _nf(self, site: str, *words: str) -> list[str]:
        config = str(self.config(site))
        return [sys.executable, "-m", "nightferry.cli", "--config", config, *words]

    def await_part(self, part: float, seconds: float = PATIENCE) -> None:
        """Until so much of the night has left the dome."""
        network = self.ground.network
        enough = part * self.size
        self.wait_for(lambda: network.sent() > enough, f"{part:.0%} of the night", seconds)

    def said(self, site: str) -> str:
        """By the daemons of this scene."""
        return self.ground.network[site].said()[self._said_before[site] :]

    def await_safe(self, seconds: float = PATIENCE) -> None:
        """'nf night' says YES at the centre; and nothing was blocked on the way."""
        self.wait_for(lambda: self.answer() == "YES", "a safe night", seconds)
        assert self.ask("SELECT kind, subject, reason FROM blocked") == []
        assert "YES" in self.nf("center", "night", NIGHT.isoformat())

    def wait_for(self, true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        """With a deadline, and all that is known where it passes."""
        try:
            wait_until(true, seconds, what)
        except TimeoutError as error:
            raise AssertionError(f"{error}: {self.answer()}\n{self._story()}") from error

    def _story(self) -> str:
        jobs = self.ask("SELECT kind, subject, needs, state::text, due, error FROM job")
        breakers = self.ask("SELECT name, state::text, reason FROM breaker")
        said = [self.ground.network[site].said()[-3000:] for site in SITES]
        return "\n".join([*map(str, jobs), *map(str, breakers), *said])
