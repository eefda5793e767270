"""nf bench-link -- how fast a route is, and what to write into observatory.yaml for it."""

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row
from nightferry.errors import ConfigError
from nightferry.link import Link, measure
from nightferry.stores import Store, open_location
from nightferry.transports import Elsewhere, open_transport
from nightferry.yamlfile import size as size_of


@click.command(epilog=show.EXIT_CODES)
@click.argument("route")
@click.option("--size", default="64 MB", show_default=True, help="Sent for each number of streams.")
@json_option
@pass_nf
def command(nf: Context, route: str, size: str, as_json: bool) -> None:
    """Sends random bytes over ROUTE, with 1, 2, 4 and 8 streams, and proposes its settings.

    Run it where the route begins, when the link is free: what crosses meanwhile is measured too.
    Nothing of it stays at either end.

    JSON: {"route", "setup_seconds", "measured": [{"streams", "size", "seconds", "rate"}],
    "streams", "rate", "package_size_least", "bundle_size"}
    """
    row = nf.db.run(lambda tx: tx.one("routes.one", name=route))
    if row is None:
        raise ConfigError(f"there is no route {route!r}; see: nf routes")
    origin = _origin(nf, row)
    try:
        there = _destination(nf, row)
        transport = open_transport(row.transport, route, origin, there, row.settings)
        found = measure(transport, origin, int(size_of(size)))
    finally:
        origin.close()
    if as_json:
        show.emit_json(_document(route, found))
        return
    rows = [
        (str(m.streams), show.size(m.streams * m.size), f"{m.seconds:.2f} s", _rate(m.rate))
        for m in found.measured
    ]
    click.echo(show.table(rows, ("streams", "sent", "took", "rate")))
    show.say(f"A package costs {found.setup:.2f} s, however small it is.")
    show.verdict(
        f"Write streams: {found.best.streams} into the route's settings "
        f"({_rate(found.best.rate)}); let bundle_size be about {show.size(found.bundle)}, ten "
        f"minutes of it, and most packages larger than {show.size(found.least)}.",
        "nf config diff",
    )


def _origin(nf: Context, row: Row) -> Store:
    path = nf.config.locations.get(row.origin)
    if path is None:
        raise ConfigError(
            f"{row.name} begins at {row.origin}, which is not mounted here: measure it where it is"
        )
    return open_location(row.storage, row.origin, row.here_settings, path, row.origin_marker)


def _destination(nf: Context, row: Row) -> Store | Elsewhere:
    path = nf.config.locations.get(row.destination)
    if path is None:
        return Elsewhere(row.destination, row.marker)
    return open_location(row.there_storage, row.destination, row.there_settings, path, row.marker)


def _rate(rate: float) -> str:
    return f"{show.size(round(rate))}/s"


def _document(route: str, found: Link) -> dict[str, object]:
    return {
        "route": route,
        "setup_seconds": found.setup,
        "measured": [vars(one) | {"rate": one.rate} for one in found.measured],
        "streams": found.best.streams,
        "rate": found.best.rate,
        "package_size_least": found.least,
        "bundle_size": found.bundle,
    }
