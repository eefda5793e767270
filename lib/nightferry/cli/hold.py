"""nf hold -- nobody deletes this night, package or file, because of a reason."""

from datetime import date
from typing import Any

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Holds a night, a package or a file: nothing of it is deleted until the hold is lifted."""


@command.command(epilog=show.EXIT_CODES)
@click.argument("subject", metavar="NIGHT|PACKAGE|FILE")
@click.argument("reason")
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def add(nf: Context, subject: str, reason: str, night: date | None, as_json: bool) -> None:
    """Places a hold, and says what it comes too late for.

    JSON: {"hold", "subject", "copies", "recalled", "condemned", "deleted"}
    """

    def work(tx: Tx) -> tuple[Row, Row, str]:
        about, called = _about(nf, tx, subject, night)
        placed = tx.one("hold.place", reason=reason, **about)
        reach = tx.one("hold.reach", **about)
        assert placed is not None
        assert reach is not None
        return placed, reach, called

    placed, reach, called = nf.db.run(work)
    if as_json:
        show.emit_json(
            {
                "hold": placed.id,
                "subject": called,
                "copies": reach.present,
                "recalled": reach.recalled,
                "condemned": reach.condemned,
                "deleted": reach.deleted,
            }
        )
        return
    if reach.recalled:
        back = show.count(reach.recalled, "copy is", "copies are")
        show.say(f"{back} on the way out, and will be put back.")
    if reach.condemned:
        late = show.count(reach.condemned, "copy is", "copies are")
        show.say(f"{late} past recall: the last unlink is under way.")
    if reach.deleted:
        gone = show.count(reach.deleted, "copy was", "copies were")
        show.say(f"{gone} deleted before; what is archived of it is held.")
    held = show.count(reach.present, "copy", "copies")
    lift = f"nf hold lift {named.short(placed.id)}"
    show.verdict(f"Held: {called}, {held} on disk.", f"{lift}, when it may go again")


def _about(nf: Context, tx: Tx, subject: str, night: date | None) -> tuple[dict[str, Any], str]:
    """The hold's columns, and the subject as a person says it."""
    about: dict[str, Any] = {"night": None, "package": None, "file": None}
    held_night = named.night_or_none(subject)
    if held_night is not None:
        return about | {"night": held_night}, f"the night {held_night}"
    package = named.one_package(tx, subject)
    if package is not None:
        return about | {"package": package.id}, package.name
    file = named.one_file(nf, tx, subject, night)
    if file is None:
        named.unknown("night, package or file", subject)
    return about | {"file": file.id}, f"{file.path} of {file.night}"


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_holds(nf: Context, as_json: bool) -> None:
    """The holds that stand. JSON: [{"hold", "subject", "reason", "placed", "by"}]"""
    rows = nf.db.run(lambda tx: tx.run("hold.open"))
    if as_json:
        show.emit_json(
            [
                {
                    "hold": r.id,
                    "subject": _called(r),
                    "reason": r.reason,
                    "placed": r.placed,
                    "by": r.placed_by,
                }
                for r in rows
            ]
        )
        return
    if not rows:
        show.verdict("Nothing is held.", "nf hold add NIGHT REASON")
        return
    lines = [
        (named.short(r.id), _called(r), r.reason, r.placed_by, show.when(r.placed)) for r in rows
    ]
    click.echo(show.table(lines, ("id", "held", "because", "by", "since")))
    show.verdict(f"{show.count(len(rows), 'hold')} in force.", "nf hold lift ID")


def _called(row: Row) -> str:
    if row.night is not None:
        return f"night {row.night}"
    return str(row.package or f"{row.file} of {row.file_night}")


@command.command(epilog=show.EXIT_CODES)
@click.argument("hold", metavar="ID")
@json_option
@pass_nf
def lift(nf: Context, hold: str, as_json: bool) -> None:
    """Lifts a hold by its id, as 'nf hold list' shows it. JSON: {"lifted", "subject"}"""

    def work(tx: Tx) -> Row:
        row = named.by_end(tx.run("hold.open"), hold, "open hold")
        tx.run("hold.lift", id=row.id)
        return row

    row = nf.db.run(work)
    if as_json:
        show.emit_json({"lifted": row.id, "subject": _called(row)})
    else:
        show.verdict(f"Lifted: {_called(row)} was held for: {row.reason}.", "nf reap plan")
