"""nf cal run -- calibrates files, or again what was calibrated before."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

import click

from nightferry import calibrating, images
from nightferry.calibrating import Result, Source
from nightferry.catalogs import definitions, loading
from nightferry.cli import named, show
from nightferry.cli.calibrations.listing import HEADER, line
from nightferry.cli.calibrations.night import solve_nights, tell
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.errors import ConfigError
from nightferry.instruments.definitions import Instruments
from nightferry.instruments.photometry import Photometry
from nightferry.photometry import transformations
from nightferry.photometry.choices import PREFERRED, STARS
from nightferry.photometry.result import Request


@click.command(epilog=show.EXIT_CODES)
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

    FILE is a table of measured stars, or an image. An image is corrected with bias, dark and flat
    frames of its own instrument and location; one that was never registered, with those in its
    folder.

    Nothing is overwritten: each run adds rows, and the newest good one is the current one. The
    exposures of FILE, or with --night or --target of each field, are then solved together if they
    are enough, and targets have their magnitudes by that (see: nf cal night). Exits with 1 if an
    exposure failed.

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
    nights = {r.columns["night"] for _, r in done} - {None}
    alone = None if file is None else {identity for identity, _ in done}
    together = bool(nights) and (file is None or len(done) > 1)
    solved = solve_nights(nf, sorted(nights), said["min_stars"], alone) if together else []
    if as_json:
        show.emit_json([_told(identity, r) for identity, r in done])
    else:
        for row in solved:
            tell(row)
        _print(done, failed, said["night"])
    return show.NO if failed or not done else show.YES


def _run_one(nf: Context, path: Path, said: dict[str, Any]) -> list[tuple[str, Result]]:
    content = path.read_bytes()
    source = _source(nf, path, content, said["instrument"])
    instruments = Instruments.load(nf.config.instruments)
    known = {d.instrument: d for d in instruments.definitions}
    if said["instrument"] and said["instrument"] not in known:
        raise ConfigError(f"no instrument {said['instrument']!r}; known: {', '.join(known)}")
    photometry = known[source.instrument].photometry if source.instrument in known else Photometry()
    reading = calibrating.reading_of(photometry, _corrections(nf, source).items())
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
    results = images.run(
        content, source, reading, request, available, ask, _darkroom(nf, path, source, instruments)
    )
    identities = nf.db.run(lambda tx: [calibrating.record(tx, r) for r in results])
    return list(zip(identities, results, strict=True))


def _darkroom(nf: Context, path: Path, source: Source, instruments: Instruments) -> images.Darkroom:
    """Raw frames and masters for an image: of its location, else of its folder."""
    root = nf.config.locations.get(source.location)

    def open_file(name: str) -> BufferedReader:
        if root is None:
            raise FileNotFoundError(f"{source.location} is not mounted on this host")
        return (root / name).open("rb")

    return images.Darkroom(
        instruments, open_file, lambda new: nf.db.run(lambda tx: images.record_master(tx, new)),
        _corrections(nf, source), path.absolute().parent,
    )  # fmt: skip


def _corrections(nf: Context, source: Source) -> dict[str, Any]:
    """What people corrected of a registered file's header."""
    if source.file is None:
        return {}
    row = nf.db.run(lambda tx: tx.one("calibrate.corrections", file=source.file))
    return dict(row.corrections) if row is not None else {}


def _source(nf: Context, path: Path, content: bytes, instrument: str | None) -> Source:
    """The registered file with these bytes, else this host's."""
    location, _ = named.ledger_path(nf, str(path.absolute()))
    sha256 = hashlib.sha256(content).hexdigest()
    row = nf.db.run(lambda tx: tx.one("calibrate.source_of", sha256=sha256, location=location))
    if row is None:
        folder = f"{nf.config.host}:{path.absolute().parent}"
        return Source(path.name, folder, instrument=instrument or "")
    known = Source(
        row.path, row.location, str(row.id), instrument or row.instrument, registered=row.night
    )
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
    lines = [line({**r.columns, "id": i, "current": True}) for i, r in done]
    if lines:
        click.echo(show.table(lines, HEADER))
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
