"""nf headers -- whole headers, corrections of them, and the columns derived from them."""

import json as json_text
from datetime import date
from typing import Any
from uuid import UUID

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx, json
from nightferry.rederive import Done, Which, rederive


@click.group(epilog=show.EXIT_CODES)
def command() -> None:
    """The headers as the files have them, in the ledger. Bytes are never changed: a correction is
    a row, with who, when and why, and is applied when columns are derived."""


@command.command("show", epilog=show.EXIT_CODES)
@click.argument("file")
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def show_header(nf: Context, file: str, night: date | None, as_json: bool) -> None:
    """The cards of every HDU, and what was corrected.

    JSON: {"file", "path", "hdus": [[card]], "corrections": [{"correction", "keyword", "value",
    "by", "at", "why", "of_night"}]}
    """

    def work(tx: Tx) -> tuple[Row, list[Row], list[Row]]:
        found = _one(nf, tx, file, night)
        headers = tx.run("headers.of_file", file=found.id)
        return found, headers, tx.run("headers.corrections_of", file=found.id)

    found, headers, corrections = nf.db.run(work)
    if as_json:
        told = [dict(c._mapping) for c in corrections]
        hdus = [h.cards.split("\n") for h in headers]
        show.emit_json({"file": found.id, "path": found.path, "hdus": hdus, "corrections": told})
        return
    for header in headers:
        click.echo(f"HDU {header.hdu}")
        for card in header.cards.split("\n"):
            click.echo(f"  {show.safe(card)}")
    if corrections:
        lines = [
            (named.short(c.correction), c.keyword, _value(c.value), c.why, c.by, show.when(c.at))
            for c in corrections
        ]
        click.echo(show.table(lines, ("id", "corrected", "to", "because", "by", "when")))
    show.verdict(
        f"{found.path} of {found.night}: {show.count(len(headers), 'HDU')}, "
        f"{show.count(len(corrections), 'correction')}.",
        f"nf why {found.path}",
    )


@command.command(epilog=show.EXIT_CODES)
@click.argument("subject", metavar="FILE|NIGHT")
@click.argument("keyword")
@click.argument("value", required=False)
@click.option("--instrument", help="Of a NIGHT: only this instrument's files.")
@click.option("--remove", is_flag=True, help="As if the keyword were not there; instead of VALUE.")
@click.option("--why", required=True)
@click.option("--night", type=NIGHT, help="Which night's file, where a name comes again.")
@json_option
@pass_nf
def correct(
    nf: Context,
    subject: str,
    keyword: str,
    value: str | None,
    instrument: str | None,
    remove: bool,
    why: str,
    night: date | None,
    as_json: bool,
) -> None:
    """Corrects KEYWORD to VALUE for a file, or for a whole night, and derives its columns again.

    A VALUE that is a number, true or false is taken as such. JSON: {"correction", "files",
    "changed", "other_night"}
    """
    if (value is None) != remove:
        raise click.UsageError("say a VALUE, or --remove")

    def work(tx: Tx) -> tuple[UUID, Which]:
        whole_night = named.night_or_none(subject)
        file = None if whole_night else _one(nf, tx, subject, night).id
        correction = tx.one(
            "headers.correct",
            file=file,
            night=whole_night,
            instrument=instrument if whole_night else None,
            keyword=keyword.upper(),
            value=None if value is None else json(_typed(value)),
            why=why,
        )
        assert correction is not None
        return correction.id, Which(file, whole_night, instrument if whole_night else None)

    correction, which = nf.db.run(work)
    done = rederive(nf.db, which, nf.config.instruments)
    if as_json:
        show.emit_json({"correction": correction} | _plain(done))
        return
    said = "is not there" if value is None else f"is {value}"
    _conclude(done, f"{keyword.upper()} {said} for {subject}")


@command.command(epilog=show.EXIT_CODES)
@click.argument("correction", metavar="ID")
@json_option
@pass_nf
def withdraw(nf: Context, correction: str, as_json: bool) -> None:
    """Withdraws a correction by its id, as 'nf headers show' shows it, and derives columns again.

    What it stood over counts again: an older correction, or the header itself. JSON: {"withdrawn",
    "files", "changed", "other_night"}
    """

    def work(tx: Tx) -> Row:
        row = named.by_end(tx.run("headers.standing"), correction, "correction")
        tx.run("headers.withdraw", id=row.id)
        return row

    row = nf.db.run(work)
    done = rederive(nf.db, Which(row.file, row.night, row.instrument), nf.config.instruments)
    if as_json:
        show.emit_json({"withdrawn": row.id} | _plain(done))
        return
    subject = row.night or f"{row.path} of {row.file_night}"
    _conclude(done, f"Withdrawn: {row.keyword} for {subject} was corrected because: {row.why}")


@command.command("rederive", epilog=show.EXIT_CODES)
@click.option("--night", type=NIGHT)
@click.option("--instrument")
@click.option("--file")
@json_option
@pass_nf
def rederive_columns(
    nf: Context, night: date | None, instrument: str | None, file: str | None, as_json: bool
) -> None:
    """Derives the columns again from the stored headers, after etc/instruments changed.

    Of one night, instrument or file, or of everything. Reads no archive; never changes ids, bytes
    or nights. JSON: {"files", "changed", "other_night"}
    """
    one = None
    if file is not None:
        one = nf.db.run(lambda tx: _one(nf, tx, file, night)).id
    done = rederive(nf.db, Which(one, night, instrument), nf.config.instruments)
    if as_json:
        show.emit_json(_plain(done))
    else:
        _conclude(done, "Derived again")


def _conclude(done: Done, what: str) -> None:
    if done.other_night:
        many = show.count(done.other_night, "file says", "files say")
        show.say(f"{many} another night now; a file's night stays as it was registered.")
    changed = f"{show.count(done.changed, 'row')} of {show.count(done.seen, 'file')} changed"
    show.verdict(f"{what}: {changed}.", "nf night")


def _plain(done: Done) -> dict[str, int]:
    return {"files": done.seen, "changed": done.changed, "other_night": done.other_night}


def _one(nf: Context, tx: Tx, text: str, night: date | None) -> Row:
    found = named.one_file(nf, tx, text, night)
    if found is None:
        named.unknown("file", text)
    return found


def _typed(text: str) -> Any:
    try:
        value = json_text.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


def _value(value: Any) -> str:
    return "(not there)" if value is None else str(value)
