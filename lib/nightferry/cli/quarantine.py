"""nf quarantine -- what could not be captured faithfully, and a person's decision about it."""

import json
from typing import Any

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row, Tx


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """What can't be captured as it stands: still changing, unreadable, a link, a device; and files
    found where another was expected. A row each; nothing on a source was touched."""


@command.command("list", epilog=show.EXIT_CODES)
@click.option("--location")
@click.option("--all", "everything", is_flag=True, help="Released ones too.")
@click.option("--limit", default=200, show_default=True)
@json_option
@pass_nf
def list_rows(
    nf: Context, location: str | None, everything: bool, limit: int, as_json: bool
) -> int:
    """What is in quarantine; exit code 1 if anything.

    JSON: [{"id", "location", "path", "reason", "advice", "evidence", "found", "released",
    "released_by", "release"}]
    """

    def work(tx: Tx) -> tuple[list[Row], int]:
        rows = tx.run("quarantine.listed", all=everything, location=location, limit=limit)
        count = tx.one("quarantine.count_open")
        return rows, count.open if count else 0

    rows, count = nf.db.run(work)
    if as_json:
        show.emit_json([_plain(r) for r in rows])
        return show.NO if count else show.YES
    if rows:
        lines = [
            (named.short(r.id), r.location, r.path, r.release or r.reason, show.age(r.found))
            for r in rows
        ]
        click.echo(show.table(lines, ("id", "location", "path", "why", "age")))
    if count:
        show.verdict(f"{show.count(count, 'path')} in quarantine.", "nf quarantine show ID")
    else:
        show.verdict("Nothing is in quarantine.", "nf status")
    return show.NO if count else show.YES


@command.command("show", epilog=show.EXIT_CODES)
@click.argument("which", metavar="ID|PATH")
@json_option
@pass_nf
def show_row(nf: Context, which: str, as_json: bool) -> None:
    """Why a path is in quarantine, with the evidence. JSON: as in the list."""
    row = nf.db.run(lambda tx: _one(nf, tx, which))
    if as_json:
        show.emit_json(_plain(row))
        return
    show.say(f"{row.path} at {row.location}, found {show.when(row.found)}")
    show.say(f"why: {row.reason}")
    show.say(f"advice: {row.advice}")
    for key, value in row.evidence.items():
        show.say(f"{key}: {value if isinstance(value, str) else json.dumps(value)}", indent=2)
    if row.released:
        show.verdict(f"Released {show.when(row.released)} by {row.released_by}: {row.release}.")
    else:
        release = f"nf quarantine release {named.short(row.id)}"
        show.verdict("It waits for a decision.", f"{release} --ignore, or --archive-as-is")


@command.command(epilog=show.EXIT_CODES)
@click.argument("which", metavar="ID|PATH")
@click.option("--archive-as-is", "as_is", is_flag=True, help="Take the bytes that it has now.")
@click.option("--ignore", is_flag=True, help="Not data: leave it where it is, and say no more.")
@json_option
@pass_nf
def release(nf: Context, which: str, as_is: bool, ignore: bool, as_json: bool) -> None:
    """Decides about one path. It is read again by the next sweep if it changes after that.

    JSON: {"released", "location", "path", "release"}
    """
    if as_is == ignore:
        raise click.UsageError("say --archive-as-is or --ignore")
    decision = "archive as is" if as_is else "ignore"

    def work(tx: Tx) -> Row:
        row = _one(nf, tx, which)
        if not tx.run("quarantine.release", id=row.id, release=decision):
            show.fail(f"{row.path} was released before: {row.release}", show.NO)
        return row

    row = nf.db.run(work)
    if as_json:
        where = {"location": row.location, "path": row.path}
        show.emit_json({"released": row.id, **where, "release": decision})
    else:
        said = "archived as it is, by the next sweep" if as_is else "left alone"
        show.verdict(f"{row.path} is {said}.", "nf quarantine list")


def _one(nf: Context, tx: Tx, which: str) -> Row:
    location, path = named.ledger_path(nf, which)
    rows = tx.run("quarantine.meant", text=path, pattern=named.pattern(path))
    rows = [r for r in rows if location in (None, r.location)]
    waiting = [r for r in rows if r.released is None] or rows[:1]
    if not waiting:
        show.fail(f"{which!r} is not in quarantine; see: nf quarantine list", show.NO)
    if len(waiting) > 1:
        lines = [(named.short(r.id), r.location, r.path) for r in waiting]
        named.ambiguous(lines, ("id", "location", "path"), which)
    return waiting[0]


def _plain(row: Row) -> dict[str, Any]:
    return dict(row._mapping)
