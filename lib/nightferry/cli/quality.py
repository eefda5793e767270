"""nf quality -- what a frame or an observation is worth, said by a person, with its history."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx


@dataclass(frozen=True)
class Judged:
    """A file or an observation."""

    id: UUID
    kind: str  # file, observation
    called: str


@click.group(epilog=show.EXIT_CODES)
def command() -> None:
    """Good, doubtful or bad: of a file, or of an observation and so of all its files."""


@command.command("set", epilog=show.EXIT_CODES)
@click.argument("subject", metavar="FILE|OBS")
@click.argument("quality", type=click.Choice(["good", "doubtful", "bad", "unknown"]))
@click.argument("note")
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def set_quality(
    nf: Context, subject: str, quality: str, note: str, night: date | None, as_json: bool
) -> None:
    """Judges one file or observation. Deletes nothing, hides nothing; the notes are kept.

    JSON: {"subject", "kind", "quality", "note"}
    """

    def work(tx: Tx) -> Judged:
        judged = _find(nf, tx, subject, night)
        tx.run(f"quality.of_{judged.kind}", id=judged.id, quality=quality, note=note)
        return judged

    judged = nf.db.run(work)
    if as_json:
        told = {"subject": judged.id, "kind": judged.kind, "quality": quality, "note": note}
        show.emit_json(told)
    else:
        show.verdict(f"{judged.called} is {quality}: {note}.", f"nf quality history {subject}")


@command.command(epilog=show.EXIT_CODES)
@click.argument("subject", metavar="FILE|OBS")
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def history(nf: Context, subject: str, night: date | None, as_json: bool) -> None:
    """Who judged it how, and why; of a file, its observation's notes too.

    JSON: [{"quality", "note", "by", "at", "of_observation"}]
    """

    def work(tx: Tx) -> tuple[Judged, list[Row]]:
        judged = _find(nf, tx, subject, night)
        return judged, tx.run("quality.history", id=judged.id)

    judged, rows = nf.db.run(work)
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    if rows:
        lines = [
            (show.when(r.at), r.quality, "observation" if r.of_observation else "", r.note, r.by)
            for r in rows
        ]
        click.echo(show.table(lines, ("when", "quality", "of", "note", "by")))
    show.verdict(
        f"{judged.called} was judged {show.count(len(rows), 'time')}.",
        f"nf quality set {subject} good|doubtful|bad NOTE",
    )


def _find(nf: Context, tx: Tx, subject: str, night: date | None) -> Judged:
    observation = named.one_observation(tx, subject)
    if observation is not None:
        called = f"observation {named.short(observation.id)} of {observation.night}"
        return Judged(observation.id, "observation", called)
    file = named.one_file(nf, tx, subject, night)
    if file is None:
        named.unknown("file or observation", subject)
    return Judged(file.id, "file", f"{file.path} of {file.night}")
