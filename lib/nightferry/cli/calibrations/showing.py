"""nf cal show -- one calibration: what was fitted, or why it failed."""

from pathlib import Path

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row


@click.command("show", epilog=show.EXIT_CODES)
@click.argument("identity", metavar="ID")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Draws it: .png, .svg or .pdf.")  # fmt: skip
@click.option("--table", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Writes its stars: a FITS table.")  # fmt: skip
@json_option
@pass_nf
def show_one(
    nf: Context, identity: str, plot: Path | None, table: Path | None, as_json: bool
) -> int:
    """One calibration, by its ID or the end of it: what was fitted, or why it failed.

    JSON: every column of it, and "data": how many magnitudes of targets it gave.
    """
    rows = nf.db.run(lambda tx: tx.run("calibrate.shown", text=identity.lower()))
    row = named.by_end(rows, identity, "calibration")
    for path, what in ((plot, "plot"), (table, "table")):
        if path is not None and row.content is None:
            show.fail(f"{identity} has no stars to {what}: {row.advice}", show.CANNOT_TELL)
    if plot is not None:
        from nightferry.photometry import plots

        form = plot.suffix.lstrip(".").lower() or "png"
        plot.write_bytes(plots.calibration(row.content, f"{row.source_name} {row.part}", form))
    if table is not None:
        table.write_bytes(row.content)
    columns = {k: v for k, v in row._mapping.items() if k not in ("content", "how")}
    if as_json:
        show.emit_json(columns)
    else:
        _tell(row)
    return show.YES if row.how == "good" else show.NO


def _tell(row: Row) -> None:
    show.say(f"{row.source_name} of {row.source_location}, exposure {row.part or '-'}")
    if row.middle is not None:
        air = "" if row.airmass is None else f", airmass {row.airmass:.3f}"
        show.say(f"middle {show.when(row.middle)}, {row.exposure_seconds:g} s, filter "
                 f"{row.filter or '-'}{air}, night {row.night}", 2)  # fmt: skip
    show.say(f"calibrated {show.when(row.made)} by {row.by}", 2)
    if row.how == "good":
        at = f"{row.colour} = {row.colour_reference:g}"
        both = f"{row.zero_point:.4f} ± {row.zero_point_error:.4f} mag ({row.system})"
        show.say(f"zero point {both}: the magnitude of 1 {row.unit} of a star of {at}", 2)
        zero, error = row.detail["at colour 0"]
        show.say(
            f"of the fit ± {row.fit_error:.4f}; at {row.colour} = 0: {zero:.4f} ± {error:.4f}", 4
        )
        term = f"{row.colour_term:+.4f} ± {row.colour_term_error:.4f} by {row.colour}"
        show.say(f"colour term {term}; scatter {row.scatter:.4f} mag", 4)
        limit = "unknown" if row.limiting is None else f"{row.limiting:.2f} mag"
        stars = f"{row.used} stars of {row.matched} matched and {row.measured} measured"
        data = show.count(row.data, "magnitude")
        show.say(f"{stars}; 5 sigma at {limit}; {data} of targets", 2)
    if row.catalog:
        show.say(f"by {row.catalog}, {row.transformation}", 2)
    for why, count in row.detail.get("not used", {}).items():
        show.say(f"not used: {count} {why}", 2)
    for star in row.detail.get("rejected", [])[:5]:
        show.say(f"rejected: {star['star']}, {star['residual']:+.3f} mag, z = {star['z']:+.1f}", 2)
    for flag in row.flags:
        show.say(f"flag: {flag}", 2)
    verdict = "it is the current one" if row.current else "a newer one is current"
    if row.how == "failed":
        verdict = f"failed: {row.reason}. {row.advice}"
    short = named.short(row.id)
    show.verdict(
        f"{short}: {verdict}.", show.command("nf", "cal", "show", short, "--plot", f"{short}.png")
    )
