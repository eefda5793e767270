"""The append-only history as a stream that misses nothing, and a command for each event.

The cursor is a transaction and an event in it. Only events of transactions that every open one has
left behind are read: else one that commits late would be passed over.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from uuid import UUID

from nightferry.db import Database, Row
from nightferry.errors import ConfigError, NightferryError

AT_ONCE = 500
_FIRST = UUID(int=0)


@dataclass(frozen=True)
class Cursor:
    """All before, and with, this event has been read."""

    xid: str
    id: UUID

    @classmethod
    def of(cls, event: Row) -> "Cursor":
        return cls(event.xid, event.id)


def lately(database: Database, most: int, since: timedelta) -> list[Row]:
    """The last events, the oldest first."""
    rows = database.run(lambda tx: tx.run("event.newest", most=most, since=since))
    return rows[::-1]


def now(database: Database) -> Cursor:
    """After all that is there."""
    last = lately(database, 1, timedelta(days=36500))
    return Cursor.of(last[0]) if last else Cursor("0", _FIRST)


def following(database: Database, cursor: Cursor) -> Iterator[Row]:
    """All that is there after the cursor, now."""
    while True:
        at = cursor
        rows = database.run(
            lambda tx, at=at: tx.run("event.following", xid=at.xid, id=at.id, most=AT_ONCE)  # type: ignore[misc]
        )
        yield from rows
        if len(rows) < AT_ONCE:
            return
        cursor = Cursor.of(rows[-1])


def document(event: Row) -> dict[str, object]:
    """An event as JSON: times as ISO 8601 in UTC."""
    return {
        "id": str(event.id),
        "at": event.at.astimezone(UTC).isoformat(),
        "site": event.site,
        "actor": event.actor,
        "what": event.what,
        "subject": event.subject,
        "location": event.location,
        "detail": event.detail,
    }


def run(command: Sequence[str], event: Row) -> None:
    """The command, with the event on its standard input and in NIGHTFERRY_WHAT and the like.

    Raises:
        NightferryError: it failed; the event counts as unread.
    """
    told = {
        "NIGHTFERRY_WHAT": event.what,
        "NIGHTFERRY_SUBJECT": event.subject,
        "NIGHTFERRY_LOCATION": event.location or "",
        "NIGHTFERRY_ACTOR": event.actor,
    }
    try:
        ended = subprocess.run(
            command,
            input=json.dumps(document(event)) + "\n",
            text=True,
            env=os.environ | told,
            check=False,
        )
    except OSError as error:
        raise NightferryError(f"{command[0]}: {error.strerror}") from error
    if ended.returncode:
        raise NightferryError(
            f"{command[0]} ended with {ended.returncode} at the event {event.id} ({event.what}): "
            "with --cursor the next run begins with it"
        )


def load(path: Path) -> Cursor | None:
    """The cursor that was saved; None where there is none yet.

    Raises:
        ConfigError: the file is none of ours.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        xid, identity = text.split()
        return Cursor(str(int(xid)), UUID(identity))
    except ValueError:
        raise ConfigError(f"{path} is no cursor of 'nf events': name another file") from None


def save(path: Path, cursor: Cursor) -> None:
    """In place: a torn line is refused when it is read, and short enough never to be torn."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        text = f"{cursor.xid} {cursor.id}\n".encode()
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    finally:
        os.close(descriptor)
