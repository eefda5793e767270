"""nf lightcurve -- the magnitudes of a target, as a plot and a table."""

import csv
from pathlib import Path

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row

_COLUMNS = (
    "time", "mjd", "bjd_tdb", "band", "system", "magnitude", "error", "zero_point_error",
    "limiting", "flags", "source_name", "source_location", "catalog", "transformation",
)  # fmt: skip


@click.command(epilog=show.EXIT_CODES)
@click.argument("target")
@click.option("--band", metavar="BAND", help="Of one band alone.")
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), default=Path(),
    help="The folder for TARGET.png, TARGET.svg and TARGET.csv; else this one.",
)  # fmt: skip
@json_option
@pass_nf
def command(nf: Context, target: str, band: str | None, out: Path, as_json: bool) -> int:
    """Writes what is current of TARGET (its name or an alias): PNG, SVG and CSV.

    Times are of mid-exposure: UTC, MJD (UTC), and BJD (TDB) as seen from the geocentre. Errors are
    random; that of the zero point, which a night's points share, stands beside them.

    JSON: {"target", "points": [{"time", "mjd", "bjd_tdb", "band", "system", "magnitude", "error",
    "zero_point_error", "limiting", "flags", "source_name", "source_location", "catalog",
    "transformation"}]}, and nothing is written.
    """
    found = nf.db.run(lambda tx: tx.one("target.find", text=target))
    if found is None:
        show.fail(f"no target {target!r}; see: nf target list", show.NO)
    rows = nf.db.run(lambda tx: tx.run("target.light_curve", target=found.id, band=band))
    if as_json:
        show.emit_json({"target": found.name, "points": [_plain(r) for r in rows]})
        return show.YES if rows else show.NO
    if not rows:
        show.verdict(f"{found.name} has no magnitude yet.", "nf cal list")
        return show.NO
    stem = out / "".join(c if c.isalnum() or c in "-+." else "_" for c in found.name)
    _write(found.name, rows, stem)
    bands = ", ".join(sorted({r.band for r in rows}))
    show.verdict(
        f"{found.name}: {show.count(len(rows), 'magnitude')} in {bands}: {stem}.png, svg, csv.",
        show.command("nf", "cal", "list", "--current"),
    )
    return show.YES


def _plain(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in _COLUMNS}


def _write(name: str, rows: list[Row], stem: Path) -> None:
    from nightferry.photometry import plots

    stem.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{stem}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in rows:
            told = _plain(row) | {"time": row.time.isoformat(), "flags": "; ".join(row.flags)}
            writer.writerow(["" if v is None else v for v in told.values()])
    points = {
        band: plots.Points(
            *zip(*[(r.bjd_tdb, r.magnitude, r.error) for r in rows if r.band == band], strict=True)
        )
        for band in {r.band for r in rows}
    }
    for form in ("png", "svg"):
        Path(f"{stem}.{form}").write_bytes(plots.light_curve(points, name, form))
