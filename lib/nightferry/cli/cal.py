"""nf cal -- calibrate files of photometry, and see what came of it.

Over 300 lines: a third of it is the options of run and the keys of JSON, said where they belong.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from nightferry import calibrating
from nightferry.calibrating import Result, Source
from nightferry.catalogs import definitions, loading
from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row
from nightferry.errors import ConfigError
from nightferry.instruments.definitions import Instruments
from nightferry.instruments.photometry import Photometry
from nightferry.photometry import transformations
from nightferry.photometry.result import PREFERRED, Request
from nightferry.photometry.zeropoint import STARS

_LISTED = (
    "id", "made", "state", "current", "reason", "night", "source_location", "source_name", "part",
    "middle", "filter", "band", "system", "unit", "catalog", "transformation", "zero_point",
    "zero_point_error", "fit_error", "colour", "colour_reference", "colour_term",
    "colour_term_error", "scatter", "used", "matched", "measured", "limiting", "flags",
)  # fmt: skip


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Zero points and standard magnitudes from tables of measured stars."""


@command.command(epilog=show.EXIT_CODES)
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--night", type=NIGHT, help="Again: all that was calibrated of this night.")
@click.option("--target", metavar="NAME", help="Again: all that gave magnitudes of this target.")
@click.option(
    "--band", metavar="BAND", help="R, V, g, rP1 ...; or auto: try all. Else the file's filter."
)
@click.option(
    "--catalog", "catalogs", multiple=True, metavar="NAME", help="Of these alone, in this order."
)
@click.option(
    "--transformation", metavar="NAME|FILE", help="This one alone; a file of one's own too."
)
@click.option("--min-stars", type=click.IntRange(min=1), default=STARS, show_default=True)
@click.option(
    "--gain", type=click.FloatRange(0, min_open=True), metavar="E/ADU", help="Gives e-/s."
)
@click.option("--exposure", type=click.FloatRange(0, min_open=True), metavar="SECONDS")
@click.option("--start", metavar="TIME", help="When the exposure began: ISO 8601, UTC.")
@click.option(
    "--column", "columns", multiple=True, metavar="MEANING=NAME",
    help="Which column is ra, dec, flux, magnitude, magnitude_error, band, start ...",
)  # fmt: skip
@click.option("--per-second", is_flag=True, help="Its magnitudes are of one second already.")
@click.option("--electrons", is_flag=True, help="Its magnitudes are of electrons already.")
@click.option(
    "--instrument", metavar="NAME", help="Whose file says gain, columns and colour terms."
)
@click.option(
    "--remote", is_flag=True, help="Ask the catalogues' archives for tiles that are missing."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Writes each exposure's table (FITS) and plot (PNG) there too.")  # fmt: skip
@json_option
@pass_nf
def run(nf: Context, /, file: Path | None, as_json: bool, out: Path | None, **said: Any) -> int:
    """Calibrates each exposure of FILE, or again what was calibrated of a night or a target.

    Nothing is overwritten: each run adds rows, and the newest good one is the current one. Exits
    with 1 if an exposure failed.

    JSON: [{"id", "state", "reason", "advice", "source_name", "part", "band", "zero_point",
    "zero_point_error", "fit_error", "colour", "colour_reference", "colour_term",
    "colour_term_error", "unit", "system", "catalog", "transformation", "scatter", "used",
    "matched", "limiting", "flags", "detail", "targets"}]
    """
    if sum(x is not None for x in (file, said["night"], said["target"])) != 1:
        raise click.UsageError("say a FILE, --night DATE or --target NAME")
    paths = [file] if file is not None else _again(nf, said["night"], said["target"])
    done = [item for path in paths for item in _run_one(nf, path, said)]
    if out is not None:
        _write(out, done)
    failed = [r for _, r in done if r.columns["state"] == "failed"]
    if as_json:
        show.emit_json([_told(identity, r) for identity, r in done])
    else:
        _print(done, failed, said["night"])
    return show.NO if failed or not done else show.YES


def _run_one(nf: Context, path: Path, said: dict[str, Any]) -> list[tuple[str, Result]]:
    content = path.read_bytes()
    source = _source(nf, path, content, said["instrument"])
    known = {d.instrument: d for d in Instruments.load(nf.config.instruments).definitions}
    if said["instrument"] and said["instrument"] not in known:
        raise ConfigError(f"no instrument {said['instrument']!r}; known: {', '.join(known)}")
    photometry = known[source.instrument].photometry if source.instrument in known else Photometry()
    reading = calibrating.reading_of(photometry)
    band = said["band"]
    reading = replace(
        reading,
        columns={**reading.columns, **dict(_pair(text) for text in said["columns"])},
        band=band,
        exposure=said["exposure"],
        start=_time(said["start"]),
        gain=said["gain"] if said["gain"] is not None else reading.gain,
        per_second=said["per_second"] or reading.per_second,
        electrons=said["electrons"] or reading.electrons,
    )
    request = Request(
        band=band,
        catalogs=said["catalogs"] or PREFERRED,
        transformations=(
            transformations.named(name)
            if (name := said["transformation"])
            else transformations.load()
        ),
        min_stars=said["min_stars"],
        colour_terms=calibrating.colour_terms(photometry),
    )

    def ask(statement: str, **values: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in nf.db.run(lambda tx: tx.run(statement, **values))]

    def keep(definition: Any, found: Any) -> None:
        url = definition.tap.url if definition.tap else ""
        nf.db.run(lambda tx: loading.store(tx, definition, found, url))

    remote = request.catalogs if said["remote"] else ()
    available = calibrating.catalogs(definitions(), ask, remote, keep)
    for name in said["catalogs"]:
        if name not in available:
            raise ConfigError(f"no catalogue {name!r}; known: {', '.join(available)}")
    results = calibrating.run(content, source, reading, request, available, ask)
    identities = nf.db.run(lambda tx: [calibrating.record(tx, r) for r in results])
    return list(zip(identities, results, strict=True))


def _source(nf: Context, path: Path, content: bytes, instrument: str | None) -> Source:
    """The registered file with these bytes, else this host's."""
    import hashlib

    location, _ = named.ledger_path(nf, str(path.absolute()))
    sha256 = hashlib.sha256(content).hexdigest()
    row = nf.db.run(lambda tx: tx.one("calibrate.source_of", sha256=sha256, location=location))
    if row is None:
        folder = f"{nf.config.host}:{path.absolute().parent}"
        return Source(path.name, folder, instrument=instrument or "")
    known = Source(row.path, row.location, str(row.id), instrument or row.instrument)
    if row.zone is None:
        return known
    return replace(known, zone=row.zone, turnover=row.turnover, label=row.label)


def _again(nf: Context, night: date | None, target: str | None) -> list[Path]:
    """The files that were calibrated, as far as this host has them."""
    about = None
    if target is not None:
        row = nf.db.run(lambda tx: tx.one("target.find", text=target))
        if row is None:
            show.fail(f"no target {target!r}; see: nf target list", show.NO)
        about = row.id
    rows = nf.db.run(lambda tx: tx.run("calibrate.sources", night=night, target=about))
    paths = []
    for row in rows:
        host, _, folder = row.source_location.partition(":")
        root = nf.config.locations.get(row.source_location)
        if root is None and host == nf.config.host:
            root = Path(folder)
        path = None if root is None else root / row.source_name
        if path is None or not path.is_file():
            show.say(f"{row.source_name} of {row.source_location} is not on this host: left alone.")
        else:
            paths.append(path)
    return paths


def _pair(text: str) -> tuple[str, str]:
    meaning, _, column = text.partition("=")
    from nightferry.photometry.tables import NAMES

    if meaning not in NAMES or not column:
        raise click.UsageError(f"--column {text!r}: one of {', '.join(NAMES)} = a column's name")
    return meaning, column


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--start {text!r} is no time such as 2014-12-30T04:29:23") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _write(out: Path, done: list[tuple[str, Result]]) -> None:
    from nightferry.photometry import plots

    out.mkdir(parents=True, exist_ok=True)
    for identity, result in done:
        if result.table is None:
            continue
        stem = out / f"{Path(result.columns['source_name']).stem}-{identity[-named.SHORT :]}"
        Path(f"{stem}.fits").write_bytes(result.table)
        title = f"{result.columns['source_name']} {result.columns['part']}"
        Path(f"{stem}.png").write_bytes(plots.calibration(result.table, title))


def _told(identity: str, result: Result) -> dict[str, object]:
    wanted = (
        *("state", "reason", "advice", "source_name", "part", "band", "zero_point"),
        *("zero_point_error", "fit_error", "colour", "colour_reference", "colour_term"),
        *("colour_term_error", "unit", "system", "catalog", "transformation", "scatter", "used"),
        *("matched", "limiting", "flags", "detail"),
    )
    return {
        "id": identity,
        **{name: result.columns[name] for name in wanted},
        "targets": len(result.data),
    }


def _print(done: list[tuple[str, Result]], failed: list[Result], night: date | None) -> None:
    lines = [_line({**r.columns, "id": i, "current": True}) for i, r in done]
    if lines:
        click.echo(show.table(lines, _HEADER))
    for reason in dict.fromkeys(r.columns["reason"] for r in failed):
        first = next(r for r in failed if r.columns["reason"] == reason)
        show.say(f"{reason}: {first.columns['advice']}")
    good = len(done) - len(failed)
    data = sum(len(r.data) for _, r in done)
    told = f", {show.count(data, 'magnitude')} of targets" if data else ""
    bad = f", {len(failed)} failed" if failed else ""
    first_id = next((i for i, r in done if r in failed), done[0][0] if done else "ID")
    show.verdict(
        f"{show.count(good, 'exposure')} calibrated{bad}{told}.",
        show.command("nf", "cal", "show", first_id[-named.SHORT :]),
    )


_HEADER = (
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


def _line(r: dict[str, Any]) -> tuple[str, ...]:
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


@command.command("list", epilog=show.EXIT_CODES)
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
        click.echo(show.table([_line(dict(r._mapping)) for r in rows], _HEADER))
    if matching > len(rows):
        show.say(f"and {matching - len(rows):,} more (--limit {matching})")
    following = (
        ("nf", "cal", "show", named.short(rows[0].id)) if rows else ("nf", "cal", "run", "FILE")
    )
    show.verdict(f"{show.count(matching, 'calibration')}.", show.command(*following))
    return show.YES if rows else show.NO


@command.command("show", epilog=show.EXIT_CODES)
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
    for flag in row.flags:
        show.say(f"flag: {flag}", 2)
    verdict = "it is the current one" if row.current else "a newer one is current"
    if row.how == "failed":
        verdict = f"failed: {row.reason}. {row.advice}"
    short = named.short(row.id)
    show.verdict(
        f"{short}: {verdict}.", show.command("nf", "cal", "show", short, "--plot", f"{short}.png")
    )
