"""What a commit added to the history, as lines for the journal: the two tell the same story.

One line a change. Files are the exception: those of one night that came in together share a line,
which carries all their names as fields.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nightferry.db import Row, Tx
from nightferry.log import tell
from nightferry.wording import count, size

_BAD = {"suspect", "missing", "corrupt"}
_MOST_NAMES = 500  # of files on one line


@dataclass(frozen=True)
class Line:
    level: int
    text: str
    fields: dict[str, Any] = field(default_factory=dict)


def lines(tx: Tx) -> list[Line]:
    """Of the running transaction, whose commit makes them true. Nothing without changes."""
    rows = tx.run("event.of_this_commit")
    return [_line(group) for group in _grouped(rows)]


def tell_all(told: Iterable[Line]) -> None:
    for line in told:
        tell(line.level, line.text, **line.fields)


def _grouped(rows: Iterable[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for row in rows:
        last = groups[-1] if groups else None
        if last and row.file is not None and len(last) < _MOST_NAMES and _kin(last[0], row):
            last.append(row)
        else:
            groups.append([row])
    return groups


def _kin(one: Row, other: Row) -> bool:
    return bool(
        one.file is not None
        and (one.what, one.location, one.night) == (other.what, other.location, other.night)
    )


def _line(group: list[Row]) -> Line:
    row = group[0]
    names = [r.file for r in group if r.file is not None]
    fields = {
        "job": row.subject if row.what.startswith("blocked") else None,
        "file": names or None,
        "package": row.package,
        "location": row.location,
        "night": row.night,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return Line(_level(row), _text(group), known)


def _level(row: Row) -> int:
    bad = row.what.removeprefix("copy ") in _BAD or row.what.startswith(
        ("quarantine made", "blocked", "lost made", "deletion stop")
    )
    return logging.WARNING if bad else logging.INFO


def _text(group: list[Row]) -> str:
    row, detail = group[0], group[0].detail
    thing = _thing(group)
    at = f" at {row.location}" if row.location else ""
    match row.what.split(" ", 1):
        case ["file", "registered"]:
            return f"registered {thing}{at}, night {row.night}"
        case ["copy", state]:
            was = f" (was {detail['was']})" if "was" in detail else ""
            return f"{thing}: {state}{at}{was}"
        case ["package", "made"]:
            members = count(detail.get("members", 0), "file")
            return f"planned {thing}: {members}, night {row.night}"
        case ["package", "changed"] if detail.get("state") == "packed":
            return f"packed {thing}: {size(detail.get('size'))}"
    said = "; ".join(f"{key}: {detail[key]}" for key in _SAID if detail.get(key))
    return f"{row.what}{at}: {thing}" + (f" ({said})" if said else "")


_SAID = ("state", "path", "reason", "advice", "how", "outcome")


def _thing(group: list[Row]) -> str:
    row = group[0]
    if row.file is None:
        return str(row.package or row.subject)
    if len(group) == 1:
        return str(row.file)
    total = sum(r.size or 0 for r in group)
    return f"{count(len(group), 'file')}, {size(total)}, {row.file} ... {group[-1].file}"
