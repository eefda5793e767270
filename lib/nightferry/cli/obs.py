"""nf obs -- tells the database that an observation happened, and which files are its own."""

import json as json_text
from datetime import date
from typing import IO, Any

import click

from nightferry import filing
from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx
from nightferry.errors import NightferryError
from nightferry.filing import Filed


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Observations. Nothing has to be filed: frames that nobody filed are grouped by header."""


@command.command(epilog=show.EXIT_CODES)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--file", "document", type=click.File(), help="A JSON document; - is stdin.")
@click.option("--program")
@click.option("--unit", help="The planned unit's name, within the programme.")
@click.option("--target")
@click.option("--instrument")
@click.option("--module")
@click.option("--frame-type", metavar="TYPE")
@click.option("--night", metavar="DATE", help="Left out: the night of its beginning.")
@click.option("--began", metavar="TIME", help="UTC unless it says otherwise: 2024-05-13T03:15.")
@click.option("--ended", metavar="TIME")
@click.option("--owner", help="Left out: the programme's.")
@click.option("--public-after", metavar="TIME")
@click.option("--location", help="Where the files are; left out: the site's only SOURCE.")
@click.option("--id", metavar="UUID", help="Yours, so that filing twice is filing once.")
@click.option("--complete", is_flag=True, default=None, help="Nothing more comes: package it now.")
@json_option
@pass_nf
def add(
    nf: Context, /, paths: tuple[str, ...], document: IO[str] | None, as_json: bool, **told: Any
) -> None:
    """Files an observation with its files, which may not have arrived yet.

    The keys of the JSON document are the options' names (with _ for -), and "files", a list of
    paths below the location's root. Options stand over the document.

    JSON: {"observation", "night", "attached", "awaited", "packaged": [path]}
    """
    whole = _read(document) if document is not None else {}
    whole |= {key: value for key, value in told.items() if value is not None}
    if paths:
        whole["location"], whole["files"] = _place(nf, whole.get("location"), paths)
    observation = filing.read(whole)
    site = nf.config.site
    done = nf.db.run(lambda tx: filing.file_observation(tx, observation, site, whole))
    _tell(done, as_json)


def _read(document: IO[str]) -> dict[str, Any]:
    try:
        whole = json_text.load(document)
    except ValueError as error:
        raise NightferryError(f"{document.name}: no JSON: {error}") from error
    if not isinstance(whole, dict):
        raise NightferryError(f"{document.name}: one JSON object is meant")
    return whole


def _place(
    nf: Context, location: str | None, paths: tuple[str, ...]
) -> tuple[str | None, list[str]]:
    """The location of the paths, and the paths below its root, as the ledger writes them."""
    places = [named.ledger_path(nf, path) for path in paths]
    roots = {root for root, _ in places if root is not None} | ({location} if location else set())
    if len(roots) > 1:
        raise NightferryError(f"the files are at {', '.join(sorted(roots))}: one location is meant")
    return next(iter(roots), None), [path for _, path in places]


def _tell(done: Filed, as_json: bool) -> None:
    if as_json:
        show.emit_json(
            {
                "observation": done.id,
                "night": done.night,
                "attached": done.attached,
                "awaited": done.awaited,
                "packaged": list(done.packaged),
            }
        )
        return
    if done.packaged:
        late = show.count(len(done.packaged), "file is", "files are")
        show.say(f"{late} in a package already, and stay there: {', '.join(done.packaged[:5])}")
    show.verdict(
        f"Observation {named.short(done.id)} of {done.night}: {show.count(done.attached, 'file')} "
        f"joined now, {done.awaited} not come yet.",
        f"nf obs show {named.short(done.id)}",
    )


@command.command(epilog=show.EXIT_CODES)
@click.argument("observation", metavar="OBS")
@click.option("--ended", metavar="TIME")
@json_option
@pass_nf
def complete(nf: Context, observation: str, ended: str | None, as_json: bool) -> None:
    """Nothing more comes: its packages are closed at once. JSON: {"observation", "completed"}"""
    moment = filing.moment("ended", ended) if ended else None

    def work(tx: Tx) -> Row:
        found = _one(tx, observation)
        if not tx.run("obs.complete", id=found.id, ended=moment):
            show.fail("it was made from headers: only what was filed is declared complete", show.NO)
        return found

    found = nf.db.run(work)
    if as_json:
        show.emit_json({"observation": found.id, "completed": True})
    else:
        show.verdict(f"Observation {named.short(found.id)} is complete.", f"nf night {found.night}")


@command.command("list", epilog=show.EXIT_CODES)
@click.option("--night", type=NIGHT)
@click.option("--all", "everything", is_flag=True, help="Those made from headers too.")
@click.option("--limit", default=100, show_default=True)
@json_option
@pass_nf
def list_observations(
    nf: Context, night: date | None, everything: bool, limit: int, as_json: bool
) -> None:
    """Observations, the newest night first.

    JSON: [{"id", "origin", "program", "instrument", "night", "frame_type", "target", "began",
    "completed", "quality", "files", "filed"}]
    """
    rows = nf.db.run(lambda tx: tx.run("obs.listed", night=night, all=everything, limit=limit))
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    if rows:
        lines = [_line(r) for r in rows]
        header = ("id", "night", "instrument", "programme", "target", "type", "files", "state")
        click.echo(show.table(lines, header))
    show.verdict(
        f"{show.count(len(rows), 'observation')}.",
        f"nf obs show {named.short(rows[0].id)}" if rows else "nf obs add --help",
    )


def _line(row: Row) -> tuple[str, ...]:
    state = "complete" if row.completed else "open"
    if row.origin == "grouped":
        state = "from headers"
    files = f"{row.files}/{row.filed}" if row.filed else str(row.files)
    return (
        named.short(row.id),
        str(row.night),
        row.instrument,
        row.program or "",
        row.target,
        row.frame_type,
        files,
        state,
    )


@command.command("show", epilog=show.EXIT_CODES)
@click.argument("observation", metavar="OBS")
@json_option
@pass_nf
def show_observation(nf: Context, observation: str, as_json: bool) -> None:
    """One observation and its files. JSON: the columns, and "files": [{"path", "id", "size",
    "frame_type", "packaged", "attached"}]"""

    def work(tx: Tx) -> tuple[Row, list[Row]]:
        found = _one(tx, observation)
        whole = tx.one("obs.one", id=found.id)
        assert whole is not None
        return whole, tx.run("obs.files", id=found.id)

    row, files = nf.db.run(work)
    if as_json:
        told = dict(row._mapping) | {"files": [dict(f._mapping) for f in files]}
        show.emit_json(told)
        return
    for key in ("program", "unit", "target", "instrument", "module", "owner", "quality"):
        if value := getattr(row, key):
            show.say(f"{key}: {value}")
    show.say(f"taken {show.when(row.began)} to {show.when(row.ended)}, night {row.night}")
    if files:
        lines = [(f.path, show.size(f.size), f.frame_type or "", _state(f)) for f in files]
        click.echo(show.table(lines, ("file", "", "type", "state")))
    state = "complete" if row.completed else "open"
    next_command = None if row.completed or row.origin == "grouped" else "nf obs complete "
    show.verdict(
        f"{show.count(len(files), 'file')}; {state if row.origin == 'filed' else 'from headers'}.",
        next_command + named.short(row.id) if next_command else f"nf night {row.night}",
    )


def _state(file: Row) -> str:
    if file.id is None:
        return "not come yet"
    if file.packaged:
        return "packaged" if file.attached else "packaged without it"
    return "registered" if file.attached else "registered, not joined"


def _one(tx: Tx, text: str) -> Row:
    found = named.one_observation(tx, text)
    if found is None:
        show.fail(f"no observation has the id {text!r}; see: nf obs list --all", show.NO)
    return found
