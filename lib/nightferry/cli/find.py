"""``nf find``: files by night, instrument, object, type, programme, state and path."""

from uuid import UUID

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row

STATES = (
    "safe", "unsafe", "lost", "ephemeral", "adopted", "by-arrival", "clock-doubtful", "no-header",
    "broken-header", "replaced", "canary",
)  # fmt: skip
HEADER = ("NIGHT", "PATH", "TYPE", "OBJECT", "FILTER", "SECONDS", "SIZE", "SAFE")


@click.command(epilog=show.EXIT_CODES)
@click.option("--night", type=NIGHT)
@click.option("--instrument", metavar="NAME")
@click.option("--object", "target", metavar="GLOB", help="As the header has it, any letter case.")
@click.option("--type", "frame_type", metavar="TYPE", help="bias, flat, science ...")
@click.option("--program", metavar="NAME")
@click.option(
    "--state", type=click.Choice(STATES), metavar="STATE", help=f"One of: {', '.join(STATES)}."
)
@click.option("--path", metavar="GLOB", help="Of the whole path, or of its end.")
@click.option("--product", metavar="NAME", help="Files of a data product.")
@click.option("--made-from", metavar="FILE", help="Files of the data products made from this one.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@json_option
@pass_nf
def command(nf: Context, /, as_json: bool, limit: int, **wanted: object) -> int:
    """Files that agree with all that is given. * stands for any letters, ? for one.

    Exits with 1 if there is none.

    JSON keys: matching (how many there are), files (id, night, location, path, ordinal, instrument,
    frame_type, object, filter, exposure_start, exposure_seconds, program, size, sha256, header,
    quality, safe, reason, product, made_from: of how many files).
    """
    if all(value is None for value in wanted.values()):
        raise click.UsageError("say what to look for: a night, an object, a state, a path ...")
    values = {
        "night": wanted["night"],
        "instrument": wanted["instrument"],
        "object": _like(wanted["target"]),
        "type": wanted["frame_type"],
        "program": wanted["program"],
        "state": wanted["state"],
        "path": _like(wanted["path"]),
        "product": wanted["product"],
        "made_from": _source(nf, wanted["made_from"]),
        "limit": limit,
    }
    rows = nf.db.run(lambda tx: tx.run("find.files", **values))
    matching = rows[0].matching if rows else 0
    if as_json:
        files = [{k: v for k, v in r._mapping.items() if k != "matching"} for r in rows]
        show.emit_json({"matching": matching, "files": files})
    else:
        _print(rows, matching)
    return show.YES if rows else show.NO


def _source(nf: Context, text: object) -> UUID | None:
    if text is None:
        return None
    found = nf.db.run(lambda tx: named.one_file(nf, tx, str(text)))
    if found is None:
        named.unknown("file", str(text))
    identity: UUID = found.id
    return identity


def _like(glob: object) -> str | None:
    """The LIKE pattern of a person's pattern."""
    if glob is None:
        return None
    text = str(glob).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return text.replace("*", "%").replace("?", "_")


def _print(rows: list[Row], matching: int) -> None:
    if not rows:
        show.verdict("No file agrees with all of that.", "nf night last")
        return
    click.echo(show.table([_line(r) for r in rows], HEADER))
    if matching > len(rows):
        show.say(f"and {matching - len(rows):,} more (--limit {matching})")
    for name, files in {r.product: r.made_from for r in rows if r.product}.items():
        show.say(f"{name} was made from {show.count(files, 'file')}: nf why says which")
    safe = "" if matching > len(rows) else f", {sum(r.safe for r in rows):,} of them safe"
    total = f", {show.size(sum(r.size for r in rows))}" if matching == len(rows) else ""
    first = rows[0]
    show.verdict(
        f"{show.count(matching, 'file')}{total}{safe}.",
        show.command("nf", "why", first.path, "--night", first.night),
    )


def _line(r: Row) -> tuple[str, ...]:
    return (
        str(r.night),
        r.path if r.ordinal == 1 else f"{r.path} ({r.ordinal})",
        r.frame_type,
        r.object or "-",
        r.filter or "-",
        "-" if r.exposure_seconds is None else f"{r.exposure_seconds:g}",
        show.size(r.size),
        "yes" if r.safe else "no",
    )
