"""How every daemon conducts itself: its configuration read at start and on SIGHUP, and what it says
while its database is of no use to it."""

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psycopg

from nightferry import address, config, yamlfile
from nightferry.attention import Attention
from nightferry.config import HostConfig
from nightferry.db import DatabaseAway, Refused, SchemaMismatch, Tx, first_line
from nightferry.errors import ConfigError, NightferryError
from nightferry.log import tell
from nightferry.yamlfile import nearest

MORE_TIME = "EXTEND_TIMEOUT_USEC=30000000"  # of systemd, while we wait for what we can name

# What a daemon waits out: it can't work with the database, and needs no new start once it can.
NoRights = psycopg.errors.InsufficientPrivilege


class NotApplied(NightferryError):
    """No observatory.yaml was ever applied: nobody can know yet what this host is."""


OF_NO_USE = (DatabaseAway, SchemaMismatch, NotApplied, NoRights)


def load(path: Path | None) -> HostConfig:
    """This host's configuration, as far as it can be checked without a database.

    Raises:
        ConfigError: it is wrong; the text names file, line and key.
    """
    host = config.load(path)
    address.check(host)
    if host.instruments is not None and not host.instruments.is_dir():
        raise ConfigError(
            f"{yamlfile.place_of(host.path, 'instruments')}: instruments: {host.instruments} is no "
            f"folder{_nearest_folder(host.instruments)}"
        )
    return host


def check_names(tx: Tx, host: HostConfig) -> None:
    """Returns if the observatory has the site and the locations that this host names.

    Raises:
        ConfigError: it has another; the text names file, line and the nearest name.
        NotApplied: it has no site at all.
    """
    known: dict[str, list[str]] = {"site": [], "location": []}
    for row in tx.run("daemon.known"):
        known[row.what].append(row.name)
    if not known["site"]:
        raise NotApplied("no site is in it yet: nf config apply observatory.yaml")
    named: list[tuple[str, str, tuple[str, ...]]] = [("site", host.site, ("site",))]
    named += [("location", name, ("locations", name)) for name in host.locations]
    for what, name, keys in named:
        if name not in known[what]:
            raise ConfigError(
                f"{yamlfile.place_of(host.path, *keys)}: the observatory has no {what} {name!r}"
                f"{nearest(name, sorted(known[what]))}. If it is new: nf config apply first"
            )


def _nearest_folder(missing: Path) -> str:
    try:
        beside = [p.name for p in missing.parent.iterdir() if p.is_dir()]
    except OSError:
        return ""
    return nearest(missing.name, sorted(beside))


def read_again(attention: Attention, host: HostConfig, take: Callable[[HostConfig], None]) -> None:
    """On SIGHUP: ``take`` is given the fresh configuration. One that is wrong changes nothing."""
    with attention.reloading():
        try:
            fresh = load(host.path)
            take(fresh)
            tell(logging.INFO, f"read {fresh.path} again")
        except ConfigError as error:
            tell(logging.ERROR, f"the old configuration stays: {error}")


class Outage:
    """A time in which the database is of no use: said once in the journal, and in the status for
    as long as it lasts."""

    def __init__(self, attention: Attention, kind: str) -> None:
        self.since: float | None = None
        self._attention, self._kind = attention, kind
        self._met = False  # was it of use once?
        self._told: set[object] = set()

    def goes_on(
        self, error: Exception, host: HostConfig, own: Iterable[str] = (), meanwhile: str = ""
    ) -> None:
        """Another try failed with one of OF_NO_USE. ``own``: the places of this host's site, as far
        as they are known.

        Raises:
            ConfigError: our password is refused, and was never taken.
        """
        if isinstance(error, Refused) and not self._met:
            raise address.refused(host, error) from error
        said = str(error)
        if isinstance(error, NoRights):
            said = _without_rights(error, own or host.locations, self._kind)
        if self.since is None:
            self.since = time.time()
        # It answers, say, and has an old schema then; of one that is away the words change.
        about = type(error) if isinstance(error, DatabaseAway) else said
        if about not in self._told:
            self._told.add(about)
            tell(logging.WARNING, said)
        since = time.strftime("%H:%M", time.localtime(self.since))
        self._attention.tell_systemd(
            f"STATUS=waiting for the database since {since}{meanwhile}: {said}", MORE_TIME
        )

    def is_over(self) -> None:
        """The database was of use: what was said of it is taken back."""
        self._met = True
        if self.since is not None:
            told = f"the database is back after {time.time() - self.since:.0f} s"
            tell(logging.INFO, told)
            self.since = None
            self._told.clear()


def _without_rights(error: NoRights, places: Iterable[str], kind: str) -> str:
    option = " --reaper" if kind == "reap" else ""
    return (
        f"this host's database user has no rights, or too few for {kind}: {first_line(error)}. As "
        f"the database's owner: nf roles grant USER --locations {','.join(sorted(places))}{option}"
    )
