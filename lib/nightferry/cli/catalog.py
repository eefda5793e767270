"""nf catalog -- catalogues of stars in the database: load them, and see what is there."""

from pathlib import Path

import click

from nightferry.catalogs import definitions, loading
from nightferry.catalogs.files import read
from nightferry.catalogs.sky import Coverage
from nightferry.cli import show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row
from nightferry.errors import ConfigError


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """The stars that photometry is calibrated by."""


@command.command(epilog=show.EXIT_CODES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--catalog", metavar="NAME", help="Which it is, where the file does not say.")
@click.option(
    "--within", metavar="RA,DEC,RADIUS",
    help="Degrees: the file has every star in this cone; or 'sky'.",
)  # fmt: skip
@click.option(
    "--tiles", type=click.IntRange(0, 15), metavar="ORDER",
    help="The file is whole tiles of this HEALPix order.",
)  # fmt: skip
@json_option
@pass_nf
def load(
    nf: Context, file: Path, catalog: str | None, within: str | None, tiles: int | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Loads FILE (FITS, ECSV, CSV, Parquet, VOTable, or IRAF's list of Landolt's stars).

    Which part of the sky is complete by it: what --within or --tiles say; else the cone that its
    stars fill, as the result of a search does. Stars outside of that are left out, and those that
    were there before are replaced. All of it is loaded, or nothing.

    JSON: {"catalog", "stars", "left_out", "square_degrees"}
    """
    known = definitions()
    if catalog is not None and catalog not in known:
        raise ConfigError(f"no catalogue {catalog!r}; known: {', '.join(known)}")
    definition, found = read(file, known, catalog, _cone(within), tiles)
    done = nf.db.run(lambda tx: loading.store(tx, definition, found, str(file.absolute())))
    if as_json:
        show.emit_json(
            {
                "catalog": definition.key,
                "stars": done.stars,
                "left_out": done.left_out,
                "square_degrees": done.square_degrees,
            }
        )
        return show.YES
    if done.left_out:
        outside = show.count(done.left_out, "star lies", "stars lie")
        show.say(f"{outside} in tiles that the file does not fill, and left out.")
    show.verdict(
        f"{definition.title}: {done.stars:,} stars, complete on {done.square_degrees:.4g} square "
        "degrees.",
        "nf catalog list",
    )
    return show.YES


def _cone(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    if text == "sky":
        return 0.0, 0.0, 180.0
    try:
        ra, dec, radius = (float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise click.UsageError(f"--within {text!r}: RA,DEC,RADIUS in degrees, or sky") from None
    if not (-90 <= dec <= 90 and 0 < radius <= 180):
        raise click.UsageError(f"--within {text!r} is no cone on the sky")
    return ra % 360, dec, radius


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_catalogs(nf: Context, as_json: bool) -> None:
    """What is cached. JSON: [{"name", "title", "stars", "square_degrees", "loaded"}]"""
    rows = nf.db.run(lambda tx: tx.run("catalogs.known"))
    known = definitions()

    def area(row: Row) -> float:
        return Coverage.from_text(row.covered).square_degrees

    def title(row: Row) -> str:
        return known[row.name].title if row.name in known else ""

    if as_json:
        show.emit_json(
            [
                {
                    "name": r.name,
                    "title": title(r),
                    "stars": r.stars,
                    "square_degrees": area(r),
                    "loaded": r.loaded,
                }
                for r in rows
            ]
        )
        return
    lines = [
        (r.name, title(r), f"{r.stars:,}", f"{area(r):.4g}", show.when(r.loaded)) for r in rows
    ]
    if lines:
        click.echo(show.table(lines, ("catalogue", "", "stars", "square degrees", "loaded")))
    stars = show.count(sum(r.stars for r in rows), "star")
    show.verdict(f"{show.count(len(rows), 'catalogue')}, {stars}.", "nf catalog load FILE")


@command.command(epilog=show.EXIT_CODES)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@json_option
@pass_nf
def loads(nf: Context, limit: int, as_json: bool) -> None:
    """What was loaded, newest first. JSON: [{"catalog", "source", "at", "by", "stars"}]"""
    rows = nf.db.run(lambda tx: tx.run("catalogs.loads", limit=limit))
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    lines = [(r.catalog, f"{r.stars:,}", show.when(r.at), r.by, r.source) for r in rows]
    if lines:
        click.echo(show.table(lines, ("catalogue", "stars", "loaded", "by", "from")))
    show.verdict(f"{show.count(len(rows), 'load')}.", "nf catalog list")
