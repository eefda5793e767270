"""What in observatory.yaml can't be safe, and what a person should know before applying it."""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from nightferry.errors import ConfigError
from nightferry.observatory.document import (
    BestReading,
    Location,
    LocationType,
    Observatory,
    Reap,
    Storage,
)
from nightferry.observatory.finding import Finding, Weight, domains_of, listed, no, rules, say
from nightferry.observatory.routes import check_feeding, check_routes
from nightferry.stores import open_store
from nightferry.transports.base import Settings, read_settings

__all__ = ["Finding", "Weight", "check"]

# A name is part of job subjects (id@location), of paths and of command lines.
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
_SHORT_GRACE = timedelta(hours=1)
_SOURCE, _BUFFER = LocationType.SOURCE, LocationType.BUFFER
_ARCHIVE = LocationType.LONG_TERM_ARCHIVE

_PLAIN = Location("", _SOURCE, "")
_OF_SOURCES = ("settle", "ephemeral", "replayed", "content")
_OF_FRAMES = ("instrument", "program", "telescope")  # where files come into the ledger


def check(observatory: Observatory) -> list[Finding]:
    """All findings, those that refuse the file first."""
    found: list[Finding] = []
    for part in (
        _names,
        _policy,
        _locations,
        check_routes,
        _observatories,
        _archives,
        check_feeding,
    ):
        found.extend(part(observatory))
    return sorted(found, key=lambda finding: finding.weight is not Weight.REFUSED)


def _names(it: Observatory) -> Iterator[Finding]:
    groups = {
        "sites": list(it.sites),
        "locations": list(it.locations),
        "routes": list(it.routes),
        "observatories": list(it.observatories),
        "telescopes": [name for _, name, _ in it.telescopes],
        "instruments": [name for _, name, _ in it.instruments],
        "programs": list(it.programs),
    }
    for group, names in groups.items():
        for name in names:
            if not _NAME.match(name):
                yield no(group, f"{name!r} is no name: letters, digits and . _ + - only")
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield no(group, f"{name} stands twice")
    for name in set(it.routes) & set(it.locations):
        yield no(f"routes: {name}", "a location has this name: a breaker could not tell them apart")


def _policy(it: Observatory) -> Iterator[Finding]:
    policy = it.policy
    numbers = {
        "copies": policy.copies,
        "scrub_days": policy.scrub_days,
        "package_size": policy.package_size,
        "bundle_size": policy.bundle_size,
        "reap_files": policy.reap_files,
        "reap_bytes": policy.reap_bytes,
    }
    for key, number in numbers.items():
        if number <= 0:
            yield no(f"policy: {key}", "must be more than 0")
    if policy.copies == 1:
        yield say("policy: copies", "one copy is called safe here: one broken archive loses data")
    if policy.proof_max_age <= timedelta(0):
        yield no("policy: proof_max_age", "must be more than 0: no proof could be young enough")
    elif policy.proof_max_age > timedelta(days=policy.scrub_days):
        yield no(
            "policy: proof_max_age",
            f"a deletion would accept a proof older than the scrub ({policy.scrub_days:g} days): "
            "set it to hours or a few days",
        )
    if policy.bundle_size < policy.package_size:
        yield say("policy: bundle_size", "smaller than package_size: every package crosses alone")


def _locations(it: Observatory) -> Iterator[Finding]:
    programs, instruments = set(it.programs), {name for _, name, _ in it.instruments}
    telescopes = {name for _, name, _ in it.telescopes}
    for name, place in it.locations.items():
        where = f"locations: {name}"
        if place.site not in it.sites:
            yield no(f"{where}: site", f"unknown site {place.site!r}; known: {listed(it.sites)}")
        if not place.failure_domain.strip():
            yield no(f"{where}: failure_domain", "must say what fails together with this location")
        if place.instrument is not None and place.instrument not in instruments:
            known = listed(instruments)
            yield no(f"{where}: instrument", f"unknown {place.instrument!r}; known: {known}")
        if place.telescope is not None and place.telescope not in telescopes:
            known = listed(telescopes)
            yield no(f"{where}: telescope", f"unknown {place.telescope!r}; known: {known}")
        if place.program is not None and place.program not in programs:
            yield no(f"{where}: program", f"unknown {place.program!r}; known: {listed(programs)}")
        if place.type is _SOURCE:
            yield from _source(it, where, place)
        elif _has_any(place, _OF_SOURCES):
            yield no(where, f"{', '.join(_OF_SOURCES)} are for a SOURCE only")
        if place.type not in (_SOURCE, _ARCHIVE) and _has_any(place, _OF_FRAMES):
            yield no(where, f"{', '.join(_OF_FRAMES)} are for a SOURCE, or an archive to adopt")
        yield from _reaping(where, place)
        yield from _storage(name, where, place)
        if place.quota is not None and place.type is not LocationType.PROCESSING:
            yield no(f"{where}: quota", "is for a PROCESSING only")
        if place.type is _ARCHIVE and place.best_reading is BestReading.CACHE:
            yield say(f"{where}: best_reading", "a reading here may only prove what memory holds")


def _storage(name: str, where: str, place: Location) -> Iterator[Finding]:
    try:
        open_store(place.storage.value, name, {**place.store, "path": Path("/")}).close()
    except ConfigError as error:
        yield no(f"{where}: store", str(error))
    try:
        read_settings(name, {"bandwidth": dict(place.bandwidth)}, Settings)
    except ConfigError as error:
        yield no(f"{where}: bandwidth", str(error))
    if place.bandwidth and place.type is not _ARCHIVE:
        yield no(f"{where}: bandwidth", "is for an archive; a link's stands in its route")
    if place.storage is Storage.S3 and place.type is not _ARCHIVE:
        yield no(f"{where}: storage", f"a bucket is a LONG_TERM_ARCHIVE, no {place.type.value}")


def _has_any(place: Location, keys: Iterable[str]) -> bool:
    return any(getattr(place, key) != getattr(_PLAIN, key) for key in keys)


def _source(it: Observatory, where: str, place: Location) -> Iterator[Finding]:
    buffers = it.of_type(_BUFFER).values()
    if not any(b.site == place.site and b.takes_new for b in buffers):
        yield no(where, f"site {place.site} has no active BUFFER: nothing could be packed there")
    settle = place.settle
    if settle.looks < 1:
        yield no(f"{where}: settle: looks", "must be 1 or more")
    if settle.sweep_today <= timedelta(0) or settle.sweep_all <= timedelta(0):
        yield no(f"{where}: settle", "sweep_today and sweep_all must be more than 0")
    if settle.ready_marker is not None and "{name}" not in settle.ready_marker:
        yield no(f"{where}: settle: ready_marker", 'must hold {name}, such as "{name}.done"')
    for rule in place.ephemeral:
        if not rule.path.strip("*/ ") or rule.path.startswith("/"):
            yield no(f"{where}: ephemeral", f"{rule.path!r} must name a part of the source")


def _reaping(where: str, place: Location) -> Iterator[Finding]:
    emptied = place.type in (_SOURCE, _BUFFER)
    lets_go = (place.keep, place.high, place.low) != (None, None, None)
    if not emptied and (place.reap is Reap.ENABLED or lets_go):
        yield no(
            where,
            f"nothing is deleted from a {place.type.value}: take reap, keep, high and low away",
        )
    high, low = place.high, place.low
    marked = high is not None and low is not None and 0 < low < high < 1
    if not marked and (high, low) != (None, None):
        yield no(f"{where}: high", "high and low stand together, low below high: 85 % and 75 %")
    if emptied and place.reap is Reap.ENABLED:
        if not lets_go:
            yield say(f"{where}: reap", "enabled, but without keep and high: nothing goes")
        if place.trash_grace < _SHORT_GRACE:
            yield say(f"{where}: trash_grace", "less than an hour to change one's mind")


def _observatories(it: Observatory) -> Iterator[Finding]:
    for place, name, telescope in it.telescopes:
        try:
            ZoneInfo(telescope.zone)
        except (KeyError, ValueError, OSError):
            yield no(
                f"observatories: {place}: {name}: zone",
                f"{telescope.zone!r} is no IANA time zone such as America/Los_Angeles",
            )
        if telescope.turnover.tzinfo is not None:
            yield no(f"observatories: {place}: {name}: turnover", "a local time has no zone")
    if it.of_type(_SOURCE) and not it.telescopes:
        yield say("observatories", "no telescope: nights are from noon to noon UTC")


def _archives(it: Observatory) -> Iterator[Finding]:
    for program in rules(it):
        where = "archives" if program is None else f"programs: {program}: archives"
        named = it.archives_for(program)
        for name in named:
            if name not in it.locations:
                yield no(where, f"unknown location {name!r}")
            elif it.locations[name].type is not _ARCHIVE:
                kind = it.locations[name].type.value
                yield no(where, f"{name} is a {kind}, no LONG_TERM_ARCHIVE")
        copies = it.copies_for(program)
        domains = domains_of(it, named)
        if copies < 1:
            yield no(where.replace("archives", "copies"), "must be 1 or more")
        elif len(domains) < copies:
            yield no(
                where,
                f"{len(domains)} failure domain(s) ({listed(domains)}) for copies: {copies}; add "
                "an archive in another failure domain, or ask for fewer copies",
            )
    sources = {place.failure_domain for place in it.of_type(_SOURCE).values()}
    for name, place in it.of_type(_ARCHIVE).items():
        if place.failure_domain in sources:
            yield say(f"locations: {name}", "fails together with a SOURCE: it saves nothing there")
