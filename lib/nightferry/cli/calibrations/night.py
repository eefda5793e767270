"""nf cal night -- a night's exposures solved together, and what came of it."""

from collections.abc import Container, Sequence
from datetime import date

import click

from nightferry import calibrating, ensembles
from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row
from nightferry.instruments.definitions import Instruments
from nightferry.photometry.choices import STARS
from nightferry.photometry.zeropoint import ColourTerm

_COLUMNS = (
    "id", "made", "state", "current", "reason", "advice", "night", "source_location", "instrument",
    "field", "band", "system", "unit", "catalog", "transformation", "zero_point",
    "zero_point_error", "fit_error", "at_colour_0", "colour", "colour_reference", "colour_term",
    "colour_term_error", "exposures", "stars", "used", "repeats", "repeats_worst", "flags",
)  # fmt: skip


@click.command(epilog=show.EXIT_CODES)
@click.argument("night", type=NIGHT)
@click.option("--solve", is_flag=True, help="Solves it, from its current calibrations.")
@click.option("--min-stars", type=click.IntRange(min=1), default=STARS, show_default=True)
@json_option
@pass_nf
def night(nf: Context, night: date, solve: bool, min_stars: int, as_json: bool) -> int:
    """The solutions of NIGHT, newest first: mean magnitudes of a field's stars and zero points of
    its exposures found together. Exits with 1 if there is none, or the last failed.

    JSON: [{"id", "made", "state", "current", "reason", "advice", "night", "source_location",
    "instrument", "field", "band", "system", "unit", "catalog", "transformation", "zero_point",
    "zero_point_error", "fit_error", "at_colour_0", "colour", "colour_reference", "colour_term",
    "colour_term_error", "exposures", "stars", "used", "repeats", "repeats_worst", "flags"}]
    """
    if solve:
        solve_nights(nf, [night], min_stars)
    rows = nf.db.run(
        lambda tx: tx.run("calibrate.solutions", night=night, solutions=None, limit=50)
    )
    if as_json:
        show.emit_json([{name: getattr(r, name) for name in _COLUMNS} for r in rows])
    else:
        for row in rows:
            tell(row)
        show.verdict(
            f"{show.count(len(rows), 'solution')} of {night}.",
            show.command("nf", "cal", "run", "--night", night),
        )
    return show.YES if rows and rows[0].state == "good" else show.NO


def solve_nights(
    nf: Context, nights: Sequence[date], min_stars: int, alone: Container[str] | None = None
) -> list[Row]:
    """Solves the current calibrations of some nights, or ``alone`` those of them with these ids:
    the rows of what came of it."""
    known = {d.instrument: d for d in Instruments.load(nf.config.instruments).definitions}

    def terms(instrument: str) -> dict[str, dict[str, ColourTerm]]:
        found = known.get(instrument)
        return calibrating.colour_terms(found.photometry) if found else {}

    rows = nf.db.run(lambda tx: tx.run("calibrate.of_nights", nights=list(nights)))
    rows = [row for row in rows if alone is None or str(row.id) in alone]
    targets = nf.db.run(lambda tx: [tuple(r) for r in tx.run("calibrate.targets")])
    found = list(ensembles.solutions(rows, targets, terms, min_stars))
    made = nf.db.run(lambda tx: [ensembles.record(tx, solution) for solution in found])
    return nf.db.run(
        lambda tx: tx.run("calibrate.solutions", night=None, solutions=made, limit=len(made))
    )


def tell(row: Row) -> None:
    """A solution in words."""
    about = f"{named.short(row.id)}: {row.night}, field {row.field}, {row.band}, {row.exposures} "
    if row.state == "failed":
        show.say(f"{about}exposures together: failed: {row.reason}. {row.advice}")
        return
    show.say(f"{about}exposures and {row.stars} stars together")
    at = f"{row.colour} = {row.colour_reference:g}"
    both = f"{row.zero_point:.4f} ± {row.zero_point_error:.4f} mag ({row.system})"
    show.say(f"zero point {both}: the magnitude of 1 {row.unit} of a star of {at}", 2)
    show.say(f"of the fit ± {row.fit_error:.4f}; at {row.colour} = 0: {row.at_colour_0:.4f}", 4)
    show.say(f"by {row.used} stars of {row.catalog}, {row.transformation}", 2)
    if row.repeats is not None:
        worst = f"{row.repeats:.4f} mag, the worst within {row.repeats_worst:.4f}"
        show.say(f"the brightest stars repeat within {worst}", 2)
    for flag in row.flags:
        show.say(f"flag: {flag}", 2)
