"""What all commands share on the screen: tables, the verdict, JSON, errors.

Everything fits 100 columns. Nothing is coloured unless a person's terminal is on the other side.
"""

import json
import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NoReturn
from uuid import UUID

import click

from nightferry.wording import age as age
from nightferry.wording import count as count
from nightferry.wording import share as share
from nightferry.wording import size as size
from nightferry.wording import when as when

WIDTH = 100
GAP = "  "

# The exit codes, as every command's help publishes them.
YES = 0
NO = 1
CANNOT_TELL = 2
USAGE = 3
AWAY = 4
EXIT_CODES = (
    "Exit codes: 0 yes or done, 1 no, 2 cannot tell or cannot do, 3 usage or configuration, "
    "4 the database does not answer."
)

_NUMBER = re.compile(r"^(-|[\d.,]+ ?([kMGTPE]?B|%|s|min|h|d)?)$")


def safe(text: str) -> str:
    """``text`` on one line, without what a terminal would obey. The ledger's own %XX stay."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else "".join(f"%{b:02X}" for b in c.encode("utf-8", "surrogateescape"))
        for c in text
    )


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """``rows`` in aligned columns below ``header``; nothing is cut off: what is too wide for
    100 columns goes on in the next line of its own column. Numbers stand to the right."""
    header = [name.upper() for name in header]
    cells = [[safe(cell) for cell in row] for row in rows]
    columns = range(len(header))
    right = [
        all(_NUMBER.match(row[i]) for row in cells) and any(row[i] != "-" for row in cells)
        for i in columns
    ]
    widths = [max([len(header[i])] + [len(row[i]) for row in cells]) for i in columns]
    while sum(widths) + len(GAP) * (len(widths) - 1) > WIDTH:
        widest = widths.index(max(widths))
        if widths[widest] <= 8:
            break
        widths[widest] -= 1
    lines = []
    for row in [list(header), *cells]:
        pieces = [_pieces(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(len(p) for p in pieces)):
            parts = []
            for i in columns:
                text = pieces[i][line] if line < len(pieces[i]) else ""
                parts.append(text.rjust(widths[i]) if right[i] else text.ljust(widths[i]))
            lines.append(GAP.join(parts).rstrip())
    return "\n".join(lines)


def _pieces(text: str, width: int) -> list[str]:
    """``text`` in pieces of at most ``width``, broken after a space or '/' where there is one."""
    pieces = []
    while len(text) > width:
        cut = max(text.rfind(" ", 0, width + 1), text.rfind("/", 0, width) + 1)
        if cut < width // 2:
            cut = width
        pieces.append(text[:cut].rstrip(" "))
        text = text[cut:].lstrip(" ")
    return [*pieces, text]


def say(text: str = "", indent: int = 0) -> None:
    """Prints ``text`` within 100 columns, ``indent`` columns in; what goes on stands deeper."""
    click.echo(
        textwrap.fill(
            safe(text),
            WIDTH,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def verdict(text: str, next_command: str | None = None) -> None:
    """The last lines of every answer: one sentence, and what to type next."""
    click.echo()
    click.secho(
        textwrap.fill(safe(text), WIDTH, break_long_words=False, break_on_hyphens=False), bold=True
    )
    if next_command:
        click.echo(f"Next: {safe(next_command)}")


def fail(message: str, code: int) -> NoReturn:
    """One plain sentence on stderr, and the end.

    Raises:
        SystemExit: always, with ``code``.
    """
    click.echo(f"nf: {safe(message)}", err=True)
    sys.exit(code)


def command(*words: object) -> str:
    """A command line as a shell takes it, whatever is in its words."""
    return shlex.join(str(word) for word in words)


def emit_json(document: object) -> None:
    """One JSON document on stdout: times as ISO 8601 in UTC, lengths of time in seconds."""
    click.echo(json.dumps(document, indent=2, default=_plain))


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date() | UUID():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
