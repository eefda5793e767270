"""What in observatory.yaml can't be safe, and what a person should know before applying it."""

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from nightferry.observatory.document import (
    BestReading,
    Location,
    LocationType,
    Observatory,
    Reap,
)

# A name is part of job subjects (id@location), of paths and of command lines.
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")
_SHORT_GRACE = timedelta(hours=1)
_SOURCE, _BUFFER = LocationType.SOURCE, LocationType.BUFFER
_ARCHIVE = LocationType.LONG_TERM_ARCHIVE

_PLAIN = Location("", _SOURCE, "")
_OF_SOURCES = ("settle", "ephemeral", "replayed", "content")
_OF_FRAMES = ("instrument", "program", "telescope")  # where files come into the ledger


class Weight(enum.Enum):
    REFUSED = "refused"  # nothing of the file is applied
    SAID = "said"  # allowed; a person should know


@dataclass(frozen=True)
class Finding:
    weight: Weight
    where: str  # such as "routes: dome-to-center"
    message: str


def check(observatory: Observatory) -> list[Finding]:
    """All findings, those that refuse the file first."""
    found: list[Finding] = []
    for part in (_names, _policy, _locations, _routes, _observatories, _archives, _feeding):
        found.extend(part(observatory))
    return sorted(found, key=lambda finding: finding.weight is not Weight.REFUSED)


def _no(where: str, message: str) -> Finding:
    return Finding(Weight.REFUSED, where, message)


def _say(where: str, message: str) -> Finding:
    return Finding(Weight.SAID, where, message)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


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
                yield _no(group, f"{name!r} is no name: letters, digits and . _ + - only")
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield _no(group, f"{name} stands twice")
    for name in set(it.routes) & set(it.locations):
        yield _no(
            f"routes: {name}", "a location has this name: a breaker could not tell them apart"
        )


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
            yield _no(f"policy: {key}", "must be more than 0")
    if policy.copies == 1:
        yield _say("policy: copies", "one copy is called safe here: one broken archive loses data")
    if policy.proof_max_age <= timedelta(0):
        yield _no("policy: proof_max_age", "must be more than 0: no proof could be young enough")
    elif policy.proof_max_age > timedelta(days=policy.scrub_days):
        yield _no(
            "policy: proof_max_age",
            f"a deletion would accept a proof older than the scrub ({policy.scrub_days:g} days): "
            "set it to hours or a few days",
        )
    if policy.bundle_size < policy.package_size:
        yield _say("policy: bundle_size", "smaller than package_size: every package crosses alone")


def _locations(it: Observatory) -> Iterator[Finding]:
    programs, instruments = set(it.programs), {name for _, name, _ in it.instruments}
    telescopes = {name for _, name, _ in it.telescopes}
    for name, place in it.locations.items():
        where = f"locations: {name}"
        if place.site not in it.sites:
            yield _no(f"{where}: site", f"unknown site {place.site!r}; known: {_list(it.sites)}")
        if not place.failure_domain.strip():
            yield _no(f"{where}: failure_domain", "must say what fails together with this location")
        if place.instrument is not None and place.instrument not in instruments:
            known = _list(instruments)
            yield _no(f"{where}: instrument", f"unknown {place.instrument!r}; known: {known}")
        if place.telescope is not None and place.telescope not in telescopes:
            known = _list(telescopes)
            yield _no(f"{where}: telescope", f"unknown {place.telescope!r}; known: {known}")
        if place.program is not None and place.program not in programs:
            yield _no(f"{where}: program", f"unknown {place.program!r}; known: {_list(programs)}")
        if place.type is _SOURCE:
            yield from _source(it, where, place)
        elif _has_any(place, _OF_SOURCES):
            yield _no(where, f"{', '.join(_OF_SOURCES)} are for a SOURCE only")
        if place.type not in (_SOURCE, _ARCHIVE) and _has_any(place, _OF_FRAMES):
            yield _no(where, f"{', '.join(_OF_FRAMES)} are for a SOURCE, or an archive to adopt")
        yield from _reaping(where, place)
        if place.type is _ARCHIVE and place.best_reading is BestReading.CACHE:
            yield _say(f"{where}: best_reading", "a reading here may only prove what memory holds")


def _has_any(place: Location, keys: Iterable[str]) -> bool:
    return any(getattr(place, key) != getattr(_PLAIN, key) for key in keys)


def _source(it: Observatory, where: str, place: Location) -> Iterator[Finding]:
    buffers = it.of_type(_BUFFER).values()
    if not any(b.site == place.site and b.takes_new for b in buffers):
        yield _no(where, f"site {place.site} has no active BUFFER: nothing could be packed there")
    settle = place.settle
    if settle.looks < 1:
        yield _no(f"{where}: settle: looks", "must be 1 or more")
    if settle.sweep_today <= timedelta(0) or settle.sweep_all <= timedelta(0):
        yield _no(f"{where}: settle", "sweep_today and sweep_all must be more than 0")
    if settle.ready_marker is not None and "{name}" not in settle.ready_marker:
        yield _no(f"{where}: settle: ready_marker", 'must hold {name}, such as "{name}.done"')
    for rule in place.ephemeral:
        if not rule.path.strip("*/ ") or rule.path.startswith("/"):
            yield _no(f"{where}: ephemeral", f"{rule.path!r} must name a part of the source")


def _reaping(where: str, place: Location) -> Iterator[Finding]:
    emptied = place.type in (_SOURCE, _BUFFER)
    lets_go = (place.keep, place.high, place.low) != (None, None, None)
    if not emptied and (place.reap is Reap.ENABLED or lets_go):
        yield _no(
            where,
            f"nothing is deleted from a {place.type.value}: take reap, keep, high and low away",
        )
    high, low = place.high, place.low
    marked = high is not None and low is not None and 0 < low < high < 1
    if not marked and (high, low) != (None, None):
        yield _no(f"{where}: high", "high and low stand together, low below high: 85 % and 75 %")
    if emptied and place.reap is Reap.ENABLED:
        if not lets_go:
            yield _say(f"{where}: reap", "enabled, but without keep and high: nothing goes")
        if place.trash_grace < _SHORT_GRACE:
            yield _say(f"{where}: trash_grace", "less than an hour to change one's mind")


def _routes(it: Observatory) -> Iterator[Finding]:
    for name, route in it.routes.items():
        where = f"routes: {name}"
        for key, end in (("from", route.from_), ("to", route.to)):
            place = it.locations.get(end)
            if place is None:
                yield _no(f"{where}: {key}", f"unknown location {end!r}")
            elif place.type is not _BUFFER:
                yield _no(f"{where}: {key}", f"{end} is a {place.type.value}; routes join BUFFERs")
        if route.from_ == route.to:
            yield _no(where, "leads from a location to itself")


def _observatories(it: Observatory) -> Iterator[Finding]:
    for place, name, telescope in it.telescopes:
        try:
            ZoneInfo(telescope.zone)
        except (KeyError, ValueError, OSError):
            yield _no(
                f"observatories: {place}: {name}: zone",
                f"{telescope.zone!r} is no IANA time zone such as America/Los_Angeles",
            )
        if telescope.turnover.tzinfo is not None:
            yield _no(f"observatories: {place}: {name}: turnover", "a local time has no zone")
    if it.of_type(_SOURCE) and not it.telescopes:
        yield _say("observatories", "no telescope: nights are from noon to noon UTC")


def _archives(it: Observatory) -> Iterator[Finding]:
    for program in _rules(it):
        where = "archives" if program is None else f"programs: {program}: archives"
        named = it.archives_for(program)
        for name in named:
            if name not in it.locations:
                yield _no(where, f"unknown location {name!r}")
            elif it.locations[name].type is not _ARCHIVE:
                kind = it.locations[name].type.value
                yield _no(where, f"{name} is a {kind}, no LONG_TERM_ARCHIVE")
        copies = it.copies_for(program)
        domains = _domains(it, named)
        if copies < 1:
            yield _no(where.replace("archives", "copies"), "must be 1 or more")
        elif len(domains) < copies:
            yield _no(
                where,
                f"{len(domains)} failure domain(s) ({_list(domains)}) for copies: {copies}; add an "
                "archive in another failure domain, or ask for fewer copies",
            )
    sources = {place.failure_domain for place in it.of_type(_SOURCE).values()}
    for name, place in it.of_type(_ARCHIVE).items():
        if place.failure_domain in sources:
            yield _say(f"locations: {name}", "fails together with a SOURCE: it saves nothing there")


def _rules(it: Observatory) -> Iterator[str | None]:
    """The programmes that have a rule of their own, after None: the rule for all others."""
    yield None
    for name, program in it.programs.items():
        if program.archives is not None or program.copies is not None:
            yield name


def _domains(it: Observatory, names: Iterable[str]) -> set[str]:
    places = [it.locations[name] for name in names if name in it.locations]
    return {p.failure_domain for p in places if p.type is _ARCHIVE and p.takes_new}


def _feeding(it: Observatory) -> Iterator[Finding]:
    """Every archive that a rule asks for must be where a SOURCE's packages come."""
    fed = {place.site: _reached(it, place.site) for place in it.of_type(_SOURCE).values()}
    if not fed:
        return  # nothing comes in: an archive that was adopted as it stands
    asked = {name for program in _rules(it) for name in it.archives_for(program)}
    for name in sorted(asked & set(it.of_type(_ARCHIVE))):
        if not any(it.locations[name].site in sites for sites in fed.values()):
            yield _no(
                f"locations: {name}", "no route and no SOURCE of its site brings anything here"
            )
    for site, sites in fed.items():
        for program in _rules(it):
            here = [n for n in it.archives_for(program) if n in it.locations]
            reached = _domains(it, (n for n in here if it.locations[n].site in sites))
            copies = it.copies_for(program)
            if len(reached) < copies <= len(_domains(it, here)):
                yield _no(
                    f"sites: {site}",
                    f"what is taken here reaches {len(reached)} failure domain(s) of archives "
                    f"({_list(reached)}) for copies: {copies}"
                    + (f" of {program}" if program else "")
                    + "; add a route",
                )


def _reached(it: Observatory, site: str) -> set[str]:
    """The sites that packages made at ``site`` come to, over any number of routes."""
    sites, new = {site}, True
    while new:
        new = False
        for route in it.routes.values():
            here, there = it.locations.get(route.from_), it.locations.get(route.to)
            if here is None or there is None or not route.active:
                continue
            if (
                here.takes_new
                and there.takes_new
                and here.site in sites
                and there.site not in sites
            ):
                sites.add(there.site)
                new = True
    return sites
