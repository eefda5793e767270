"""nf target -- what is watched: names, aliases, positions."""

import click

from nightferry.cli import show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row, Tx


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Targets: their magnitudes are kept from every calibrated exposure that shows them."""


@command.command(epilog=show.EXIT_CODES)
@click.argument("name")
@click.argument("ra", type=click.FloatRange(0, 360, max_open=True))
@click.argument("dec", type=click.FloatRange(-90, 90))
@click.option("--radius", type=click.FloatRange(0, min_open=True), default=2.0, show_default=True,
              help="Arcsec: the nearest star within is the target.")  # fmt: skip
@click.option(
    "--alias", "aliases", multiple=True, metavar="NAME", help="Another name; again for more."
)
@json_option
@pass_nf
def add(
    nf: Context, name: str, ra: float, dec: float, radius: float, aliases: tuple[str, ...],
    as_json: bool,
) -> int:  # fmt: skip
    """Registers NAME at RA DEC (degrees, ICRS). A declination south: -- before the arguments.

    JSON: {"target": id, "name"}
    """

    def work(tx: Tx) -> Row:
        made = tx.one("target.add", name=name, ra=ra, dec=dec, radius=radius)
        if made is None:
            show.fail(f"there is a target {name!r}; see: nf target list", show.USAGE)
        for alias in aliases:
            if not tx.run("target.alias", alias=alias, target=made.id):
                show.fail(f"{alias!r} is another target's name; see: nf target list", show.USAGE)
        return made

    made = nf.db.run(work)
    if as_json:
        show.emit_json({"target": made.id, "name": name})
    else:
        show.verdict(
            f"{name} is watched. For what is calibrated already: nf cal run --night DATE.",
            show.command("nf", "lightcurve", name),
        )
    return show.YES


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_targets(nf: Context, as_json: bool) -> None:
    """What is watched. JSON: [{"name", "ra", "dec", "radius", "aliases", "data", "newest"}]"""
    rows = nf.db.run(lambda tx: tx.run("target.listed"))
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    lines = [
        (r.name, f"{r.ra:.5f}", f"{r.dec:+.5f}", ", ".join(r.aliases) or "-", f"{r.data:,}",
         show.when(r.newest) if r.newest else "-")
        for r in rows
    ]  # fmt: skip
    if lines:
        click.echo(show.table(lines, ("target", "ra", "dec", "aliases", "magnitudes", "newest")))
    show.verdict(f"{show.count(len(rows), 'target')}.", "nf target add NAME RA DEC")
