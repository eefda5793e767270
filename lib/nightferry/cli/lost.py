"""nf lost -- files that were gone before they were captured, and that somebody knows it."""

from datetime import date

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Files that were overwritten or removed before a package held them. A night with one is not
    safe until a person accepts the loss."""


@command.command("list", epilog=show.EXIT_CODES)
@click.option("--night", type=NIGHT)
@click.option("--all", "everything", is_flag=True, help="Accepted ones too.")
@json_option
@pass_nf
def list_files(nf: Context, night: date | None, everything: bool, as_json: bool) -> int:
    """What is lost; exit code 1 if anything is not accepted.

    JSON: [{"file", "path", "location", "night", "size", "at", "how", "accepted", "accepted_by",
    "reason"}]
    """
    rows = nf.db.run(lambda tx: tx.run("lost.listed", all=everything, night=night))
    waiting = [r for r in rows if r.accepted is None]
    if as_json:
        show.emit_json([_plain(r) for r in rows])
        return show.NO if waiting else show.YES
    if rows:
        lines = [(r.path, str(r.night), show.size(r.size), _how(r), show.when(r.at)) for r in rows]
        click.echo(show.table(lines, ("file", "night", "", "how", "when")))
    if waiting:
        show.verdict(
            f"{show.count(len(waiting), 'file is', 'files are')} lost and not accepted.",
            f"nf lost accept {waiting[0].path} REASON",
        )
    else:
        show.verdict("No loss waits for a person's word.", "nf night")
    return show.NO if waiting else show.YES


def _how(row: Row) -> str:
    if row.accepted is None:
        return str(row.how)
    return f"{row.how}; accepted by {row.accepted_by}: {row.reason}"


def _plain(row: Row) -> dict[str, object]:
    columns = dict(row._mapping)
    return {"file": columns.pop("id")} | columns


@command.command(epilog=show.EXIT_CODES)
@click.argument("files", metavar="FILE|NIGHT...", nargs=-1, required=True)
@click.argument("reason")
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def accept(
    nf: Context, files: tuple[str, ...], reason: str, night: date | None, as_json: bool
) -> int:
    """Says that these files are gone for good, and that it is known. A NIGHT means all of its own.

    JSON: {"accepted": [path]}
    """

    def work(tx: Tx) -> list[str]:
        lost = {r.id: r for r in tx.run("lost.listed", all=False, night=None)}
        meant = []
        for text in files:
            whole_night = named.night_or_none(text)
            if whole_night is not None:
                meant += [r for r in lost.values() if r.night == whole_night]
                continue
            found = [f for f in named.find_files(nf, tx, text, night) if f.id in lost]
            if not found:
                show.fail(f"{text!r} is not lost; see: nf lost list", show.NO)
            if len(found) > 1:
                lines = [(f.path, str(f.night), f.location, str(f.id)) for f in found]
                named.ambiguous(lines, ("file", "night", "location", "id"), text)
            meant += [lost[found[0].id]]
        tx.run("lost.accept", files=[r.id for r in meant], reason=reason)
        return [r.path for r in meant]

    accepted = nf.db.run(work)
    if as_json:
        show.emit_json({"accepted": accepted})
    else:
        show.verdict(
            f"{show.count(len(accepted), 'loss', 'losses')} accepted: {reason}.", "nf night"
        )
    return show.YES if accepted else show.NO
