"""nf cal list -- calibrations, newest first."""

from typing import Any

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT

_LISTED = (
    "id", "made", "state", "current", "reason", "night", "source_location", "source_name", "part",
    "middle", "filter", "band", "system", "unit", "catalog", "transformation", "zero_point",
    "zero_point_error", "fit_error", "colour", "colour_reference", "colour_term",
    "colour_term_error", "scatter", "used", "matched", "measured", "limiting", "flags",
)  # fmt: skip

HEADER = (
    "id",
    "file",
    "exposure",
    "band",
    "zero point",
    "error",
    "colour term",
    "stars",
    "by",
    "",
)


def line(r: dict[str, Any]) -> tuple[str, ...]:
    good = r["state"] == "good"
    return (
        str(r["id"])[-named.SHORT :],
        str(r["source_name"]).rpartition("/")[2],
        str(r["part"])[:19] or "-",
        f"{r['band'] or r['filter'] or '-'}",
        f"{r['zero_point']:.4f}" if good else "-",
        f"{r['zero_point_error']:.4f}" if good else "-",
        f"{r['colour_term']:+.3f}" if good else "-",
        f"{r['used']}/{r['matched']}",
        f"{r['catalog']} {r['transformation']}" if r["catalog"] else "-",
        "" if good and r["current"] else "replaced" if good else f"failed: {r['reason']}",
    )


@click.command("list", epilog=show.EXIT_CODES)
@click.option("--night", type=NIGHT)
@click.option("--file", "source", metavar="NAME")
@click.option("--failed", "state", flag_value="failed", help="What failed alone.")
@click.option("--current", is_flag=True, help="The newest good one of each exposure alone.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@json_option
@pass_nf
def list_calibrations(nf: Context, /, limit: int, as_json: bool, **wanted: object) -> int:
    """Calibrations, newest first. Exits with 1 if there is none.

    JSON: {"matching", "calibrations": [{"id", "made", "state", "current", "reason", "night",
    "source_location", "source_name", "part", "middle", "filter", "band", "system", "unit",
    "catalog", "transformation", "zero_point", "zero_point_error", "fit_error", "colour",
    "colour_reference", "colour_term", "colour_term_error", "scatter", "used", "matched",
    "measured", "limiting", "flags"}]}
    """
    rows = nf.db.run(lambda tx: tx.run("calibrate.listed", limit=limit, **wanted))
    matching = rows[0].matching if rows else 0
    if as_json:
        told = [{name: getattr(r, name) for name in _LISTED} for r in rows]
        show.emit_json({"matching": matching, "calibrations": told})
        return show.YES if rows else show.NO
    if rows:
        click.echo(show.table([line(dict(r._mapping)) for r in rows], HEADER))
    if matching > len(rows):
        show.say(f"and {matching - len(rows):,} more (--limit {matching})")
    following = (
        ("nf", "cal", "show", named.short(rows[0].id)) if rows else ("nf", "cal", "run", "FILE")
    )
    show.verdict(f"{show.count(matching, 'calibration')}.", show.command(*following))
    return show.YES if rows else show.NO
