"""A request for archived packages: who may have them, whether there is room, what it reserves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from nightferry.db import Row, Tx
from nightferry.errors import ConfigError, NightferryError
from nightferry.rights import Rights, check_seen

# What a request has below the root of its location, once it is ready.
REQUESTS = "requests"
MANIFEST = "manifest.json"
DONE = ".done"


@dataclass(frozen=True)
class Request:
    """What is asked for (the words of ``stage.packages``), for how long, and what runs then."""

    words: Mapping[str, Any]
    location: str | None = None
    days: timedelta = timedelta(days=7)
    command: str = ""
    override: str = ""  # an operator's reason to see what is not public

    @property
    def asked(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.words.items() if value is not None)


@dataclass(frozen=True)
class Placed:
    """A request that stands: ``fresh`` bytes are unpacked for it, the rest is there already.
    ``waits`` says why no host can unpack something of it as things are."""

    id: UUID
    location: str
    expires: Any
    packages: int
    size: int
    fresh: int
    waits: str = ""


def place(tx: Tx, request: Request) -> Placed:
    """Writes the request and reserves its room, all or nothing.

    Raises:
        ConfigError: no such PROCESSING location.
        NightferryError: nothing matches, something of it may not be seen or is nowhere any more,
            or there is no room.
    """
    room = _room(tx, request.location)
    found = tx.run("stage.packages", location=room.name, **request.words)
    if not found:
        raise NightferryError(f"no package is known for: {request.asked}")
    check_seen([Rights(p.name, p.closed, p.public_after) for p in found], request.override)
    gone = [p.name for p in found if not p.copies]
    if gone:
        raise NightferryError(
            f"{_some(gone)} can't be staged: no copy is present anywhere: nf why {gone[0]}"
        )
    fresh = sum(p.size for p in found if p.staged is None)
    _fits(room, fresh)
    made = tx.run(
        "stage.request", location=room.name, asked=request.asked, override=request.override,
        command=request.command, days=request.days,
    )[0]  # fmt: skip
    for package in found:
        staged = package.staged
        if staged is None:
            staged = tx.run("stage.reserve", location=room.name, package=package.id)[0].id
        tx.run("stage.join", staging=made.id, staged=staged)
    whole = sum(p.size for p in found)
    waits = next((apart(p.name, room.name, room.hosts, p.copies) for p in found if p.apart), "")
    return Placed(made.id, room.name, made.expires, len(found), whole, fresh, waits)


def apart(
    name: str, location: str, hosts: Iterable[str], copies: Iterable[Mapping[str, Any]]
) -> str:
    """No host has both ``location`` and a copy of the package mounted: who has which of them."""
    where = "; ".join(f"{c['location']} at {_hosts(c['hosts'])}" for c in copies)
    return (
        f"{name} waits: no host with {location} ({_hosts(hosts)}) has a copy of it mounted. Its "
        f"copies: {where}. Run nightferry-stage on a host that has {location} and one of these "
        "mounted: name both under locations: in its nightferry.yaml"
    )


def _hosts(names: Iterable[str]) -> str:
    return ", ".join(names) or "no host that is known"


def _room(tx: Tx, location: str | None) -> Row:
    if location is None:
        names = [r.name for r in tx.run("stage.places")]
        if len(names) != 1:
            known = ", ".join(names) or "none"
            raise ConfigError(f"say which PROCESSING location with --to; there are: {known}")
        location = names[0]
    room = tx.one("stage.place", location=location)
    if room is None or room.type != "PROCESSING":
        raise ConfigError(f"{location} is no PROCESSING location of the ledger")
    if not room.active:
        raise NightferryError(f"{location} is drained: nothing new is staged there")
    return room


def _fits(room: Row, fresh: int) -> None:
    if room.quota is not None and room.reserved + fresh > room.quota:
        raise NightferryError(
            f"{fresh:,} bytes more do not fit into the quota of {room.name}: {room.reserved:,} of "
            f"{room.quota:,} are reserved. Give something back: nf stage list"
        )
    if room.free is not None and room.coming + fresh > room.free:
        raise NightferryError(
            f"{fresh:,} bytes more do not fit on {room.name}: {room.free:,} are free, of which "
            f"{room.coming:,} are reserved"
        )


def _some(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
