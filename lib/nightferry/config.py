"""etc/nightferry.yaml: what one host is, has mounted, and runs.

What the observatory is (sites, locations, routes, retention) stands in observatory.yaml, which only
``nf config`` reads; the daemons read rows.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from nightferry import yamlfile
from nightferry.errors import ConfigError

S = TypeVar("S")

SYSTEM = Path("/etc/nightferry/nightferry.yaml")


@dataclass(frozen=True)
class Timing:
    """How often the loop that all daemons share does what. A site has no reason to change these;
    a demonstration and the tests have."""

    lease: timedelta = timedelta(seconds=60)  # a silent worker's work is another's after this
    tick: timedelta = timedelta(seconds=5)  # what waits becomes ready
    wanted: timedelta = timedelta(seconds=60)  # the ledger is asked for missing work
    poll: timedelta = timedelta(seconds=2)  # ready work is looked for without a hint
    probe: timedelta = timedelta(seconds=60)  # a place whose breaker is open is tried
    put_off: timedelta = timedelta(seconds=15)  # work whose place was away is tried again
    stall: timedelta = timedelta(minutes=10)  # a worker without progress is ended
    idle: timedelta = timedelta(minutes=1)  # a worker without work is ended


@dataclass(frozen=True)
class HostConfig:
    """One host. ``locations`` says where its locations are mounted; each daemon has a section."""

    site: str
    locations: Mapping[str, Path] = field(default_factory=dict)
    host: str = field(default_factory=socket.gethostname)
    database: str = "embedded"  # or postgresql://…
    state: Path | None = None  # absent: systemd's, else XDG's
    instruments: Path | None = None  # absent: etc/instruments of the installation
    runs: tuple[str, ...] = ()  # the daemons that 'nf install' enables here
    backup: str | None = None  # the location that the database is backed up to each day, from here
    canary: str | None = None  # the SOURCE that a canary is sent from each day
    enqueue_at_commit: bool = True  # false only slows everything: the ledger is asked each minute
    timing: Timing = field(default_factory=Timing)
    ingest: Mapping[str, Any] = field(default_factory=dict)
    package: Mapping[str, Any] = field(default_factory=dict)
    transfer: Mapping[str, Any] = field(default_factory=dict)
    archive: Mapping[str, Any] = field(default_factory=dict)
    calibrate: Mapping[str, Any] = field(default_factory=dict)
    verify: Mapping[str, Any] = field(default_factory=dict)
    reap: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    stage: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None  # of the file, filled in by load()

    def settings(self, daemon: str, kind: type[S]) -> S:
        """The section of ``daemon`` as its settings class.

        Raises:
            ConfigError: an unknown key or a wrong value.
        """
        assert self.path is not None
        return _section(self.path, daemon, kind)

    @property
    def dsn(self) -> str:
        """The database's connection string.

        Raises:
            ConfigError: the embedded server is not running.
        """
        if self.database != "embedded":
            return self.database
        from nightferry.embedded import running_dsn
        from nightferry.state import state_directory

        dsn = running_dsn(state_directory(self.state))
        if dsn is None:
            raise ConfigError(
                f"the embedded database of {state_directory(self.state)} is not running: "
                "start nightferry-postgres, or set database: in " + str(self.path)
            )
        return dsn


def find(path: Path | None = None) -> Path:
    """The configuration that is meant: ``path``, else $NIGHTFERRY_CONFIG, else /etc/nightferry.

    Raises:
        ConfigError: there is none.
    """
    if path is not None:
        return path
    named = os.environ.get("NIGHTFERRY_CONFIG")
    if named:
        return Path(named)
    if SYSTEM.exists():
        return SYSTEM
    raise ConfigError(
        "no configuration: name one with --config FILE or NIGHTFERRY_CONFIG, or copy "
        f"etc/nightferry.yaml to {SYSTEM}"
    )


def load(path: Path | None = None) -> HostConfig:
    """Reads this host's configuration.

    Raises:
        ConfigError: missing, or wrong; the text names file, line and nearest key.
    """
    import dataclasses

    where = find(path)
    return dataclasses.replace(yamlfile.load(where, HostConfig), path=where.absolute())


def _section(path: Path, daemon: str, kind: type[S]) -> S:
    # The whole file is read again with this one section's class, so that errors name the line.
    import dataclasses

    typed = dataclasses.make_dataclass(
        "Host",
        [
            (f.name, kind if f.name == daemon else object, dataclasses.field(default=None))
            for f in dataclasses.fields(HostConfig)
        ],
        frozen=True,
    )
    section = getattr(yamlfile.load(path, typed), daemon)
    return section if section is not None else kind()
