"""What in the routes of observatory.yaml can't work: ends, settings, loops, archives unreached."""

from collections.abc import Iterator

from nightferry.errors import ConfigError, Unavailable
from nightferry.observatory.document import LocationType, Observatory, Route
from nightferry.observatory.finding import Finding, domains_of, listed, no, rules
from nightferry.stores import open_store
from nightferry.transports import Elsewhere, open_transport

_SOURCE, _BUFFER = LocationType.SOURCE, LocationType.BUFFER
_ARCHIVE = LocationType.LONG_TERM_ARCHIVE


def check_routes(it: Observatory) -> Iterator[Finding]:
    for name, route in it.routes.items():
        where = f"routes: {name}"
        for key, end in (("from", route.from_), ("to", route.to)):
            place = it.locations.get(end)
            if place is None:
                yield no(f"{where}: {key}", f"unknown location {end!r}")
            elif place.type is not _BUFFER:
                yield no(f"{where}: {key}", f"{end} is a {place.type.value}; routes join BUFFERs")
        if route.from_ == route.to:
            yield no(where, "leads from a location to itself")
        yield from _settings(it, name, route)
    yield from _loops(it)


def _settings(it: Observatory, name: str, route: Route) -> Iterator[Finding]:
    """What its transport says of them. Nothing is touched."""
    if route.from_ not in it.locations or route.to not in it.locations:
        return
    ends = [open_store("posix", end, {"path": "/"}) for end in (route.from_, route.to)]
    far = Elsewhere(route.to, None) if route.transport != "local" else ends[1]
    try:
        open_transport(route.transport, name, ends[0], far, route.settings)
    except (ConfigError, Unavailable) as error:
        yield no(f"routes: {name}", str(error))


def _loops(it: Observatory) -> Iterator[Finding]:
    """What a place sends must not come back to it over others. Two may exchange what they have."""
    ways: dict[str, list[tuple[str, str]]] = {}
    for name, route in it.routes.items():
        if route.active and route.from_ != route.to:
            ways.setdefault(route.from_, []).append((route.to, name))
    told: set[frozenset[str]] = set()
    for start in ways:
        for loop in _round(ways, start, [start], []):
            if len(loop[0]) < 3 or frozenset(loop[1]) in told:
                continue
            told.add(frozenset(loop[1]))
            yield no(
                f"routes: {loop[1][0]}",
                f"a loop: {' to '.join([*loop[0], start])} ({', '.join(loop[1])}). What is sent "
                "comes back: take one of these routes away",
            )


def _round(
    ways: dict[str, list[tuple[str, str]]], start: str, path: list[str], over: list[str]
) -> Iterator[tuple[list[str], list[str]]]:
    """The loops that lead from ``start`` to itself: their locations, and their routes."""
    for there, name in ways.get(path[-1], []):
        if there == start:
            yield path, [*over, name]
        elif there not in path:
            yield from _round(ways, start, [*path, there], [*over, name])


def check_feeding(it: Observatory) -> Iterator[Finding]:
    """Every archive that a rule asks for must be where a SOURCE's packages come."""
    fed = {place.site: _reached(it, place.site) for place in it.of_type(_SOURCE).values()}
    if not fed:
        return  # nothing comes in: an archive that was adopted as it stands
    asked = {name for program in rules(it) for name in it.archives_for(program)}
    for name in sorted(asked & set(it.of_type(_ARCHIVE))):
        if not any(it.locations[name].site in sites for sites in fed.values()):
            yield no(
                f"locations: {name}", "no route and no SOURCE of its site brings anything here"
            )
    for site, sites in fed.items():
        for program in rules(it):
            here = [n for n in it.archives_for(program) if n in it.locations]
            reached = domains_of(it, (n for n in here if it.locations[n].site in sites))
            copies = it.copies_for(program)
            if len(reached) < copies <= len(domains_of(it, here)):
                yield no(
                    f"sites: {site}",
                    f"what is taken here reaches {len(reached)} failure domain(s) of archives "
                    f"({listed(reached)}) for copies: {copies}"
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
