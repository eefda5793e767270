"""Things by the names that a person types: file, package, observation, night, a row's id."""

import os
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import NoReturn
from uuid import UUID

import click

from nightferry.cli import show
from nightferry.cli.context import Context
from nightferry.db import Row, Tx
from nightferry.names import to_text

SHORT = 8  # the last digits of a UUIDv7 are random: enough to tell a person's rows apart


class Night(click.ParamType):  # type: ignore[type-arg]
    """A night by its date."""

    name = "NIGHT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        if isinstance(value, date):
            return value
        night = night_or_none(str(value))
        if night is None:
            self.fail(f"{value!r} is no date such as 2024-05-12", param, ctx)
        return night


NIGHT = Night()


def night_or_none(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def short(identity: UUID) -> str:
    """What a person types for a row without a name: the end of its id."""
    return str(identity)[-SHORT:]


def by_end(rows: Iterable[Row], text: str, what: str) -> Row:
    """The one row whose id is, or ends with, ``text``; exits if there is none, or more."""
    found = [row for row in rows if str(row.id).endswith(text.lower())]
    if len(found) != 1:
        many = "more than one" if found else "no"
        show.fail(f"{many} {what} has the id {text!r}", show.USAGE)
    return found[0]


def ledger_path(nf: Context, text: str) -> tuple[str | None, str]:
    """``text`` as the ledger writes it, and the location below whose mount here it lies."""
    given = Path(text)
    if given.is_absolute():
        for name, root in nf.config.locations.items():
            if given.is_relative_to(root):
                return name, to_text(os.fsencode(given.relative_to(root)))
    return None, text


def find_files(
    nf: Context, tx: Tx, text: str, night: date | None = None, location: str | None = None
) -> list[Row]:
    """All appearances that ``text`` (an id, a path, a name) may mean."""
    if is_id(text):
        return tx.run("named.file_with_id", id=text)
    below, path = ledger_path(nf, text)
    for name in dict.fromkeys((path, to_text(os.fsencode(path)))):  # as shown, or as on the disk
        rows = tx.run(
            "named.files",
            text=name,
            last=name.rpartition("/")[2],
            night=night,
            location=location or below,
        )
        if rows:
            return rows
    return []


def one_file(nf: Context, tx: Tx, text: str, night: date | None = None) -> Row | None:
    """The file that ``text`` means, None if there is none; exits with all that it may mean."""
    rows = find_files(nf, tx, text, night)
    exact = [row for row in rows if text in (row.path, str(row.id))]
    candidates = exact or rows
    if len(candidates) > 1:
        ambiguous(
            [
                (row.path, str(row.night), row.location, _appearance(row), str(row.id))
                for row in candidates
            ],
            ("file", "night", "location", "", "id"),
            text,
        )
    return candidates[0] if candidates else None


def one_package(tx: Tx, text: str) -> Row | None:
    rows = tx.run("named.packages", text=text, pattern=pattern(text))
    if len(rows) > 1:
        ambiguous([(r.name, str(r.night)) for r in rows], ("package", "night"), text)
    return rows[0] if rows else None


def one_observation(tx: Tx, text: str) -> Row | None:
    """By its id, or the end of it."""
    if len(text) < SHORT or not set(text.lower()) <= set("0123456789abcdef-"):
        return None
    rows = tx.run("named.observations", pattern=pattern(text.lower()))
    if len(rows) > 1:
        ambiguous([(str(r.id), str(r.night), r.target) for r in rows], ("id", "night", ""), text)
    return rows[0] if rows else None


def ambiguous(rows: Sequence[Sequence[str]], header: Sequence[str], text: str) -> NoReturn:
    click.echo(show.table(rows, header), err=True)
    show.fail(f"{text!r} may mean each of these: say --night, a longer path, or the id", show.USAGE)


def unknown(what: str, text: str) -> NoReturn:
    show.fail(f"the ledger knows no {what} {text!r}; look with: nf find", show.NO)


def _appearance(row: Row) -> str:
    return "current" if row.current else f"replaced, number {row.ordinal}"


def pattern(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
