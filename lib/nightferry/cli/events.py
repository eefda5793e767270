"""nf events -- the history of everything, as it was and as it comes."""

import json
import shlex
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import click

from nightferry import events
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import DatabaseAway, Row
from nightferry.events import Cursor
from nightferry.yamlfile import duration

LOOK_EVERY = 1.0  # seconds


@click.command(epilog=show.EXIT_CODES)
@click.option("-n", "most", default=50, show_default=True, help="How many of the last ones.")
@click.option("--since", default="10 years", help="Not older than this, such as '2 h'.")
@click.option("--what", "patterns", multiple=True, help="Only these, such as 'lost*'; repeatable.")
@click.option("-f", "--follow", is_flag=True, help="Go on with those that come.")
@click.option("--run", "hook", help="A command for each, with the event as JSON on its input.")
@click.option(
    "--cursor",
    "cursor_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that remembers how far it came; the next run begins there, and misses none.",
)
@json_option
@pass_nf
def command(
    nf: Context,
    most: int,
    since: str,
    patterns: tuple[str, ...],
    follow: bool,
    hook: str | None,
    cursor_file: Path | None,
    as_json: bool,
) -> None:
    """What happened: files and copies, deletions, holds, breakers, decisions of people.

    With --run, a command that fails ends it with 2, and its event counts as unread. With --json
    each event is one line.

    JSON: {"id", "at", "site", "actor", "what", "subject", "location", "detail"}
    """
    saved = events.load(cursor_file) if cursor_file else None
    for event in _stream(nf, saved, most, _length(since), follow):
        if not patterns or any(fnmatchcase(event.what, pattern) for pattern in patterns):
            if hook:
                events.run(shlex.split(hook), event)
            else:
                _show(event, as_json)
        if cursor_file:
            events.save(cursor_file, Cursor.of(event))


def _length(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError:
        raise click.UsageError(f"--since: {text!r} is no length of time such as '2 h'") from None


def _stream(
    nf: Context, saved: Cursor | None, most: int, since: timedelta, follow: bool
) -> Iterator[Row]:
    cursor = saved or events.now(nf.db)
    first: Iterable[Row] = (
        events.following(nf.db, saved) if saved else events.lately(nf.db, most, since)
    )
    for event in first:
        cursor = Cursor.of(event)
        yield event
    while follow:
        time.sleep(LOOK_EVERY)
        try:
            for event in events.following(nf.db, cursor):
                cursor = Cursor.of(event)
                yield event
        except DatabaseAway:
            continue  # it comes back, and nothing was passed over


def _show(event: Row, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(events.document(event)))
        return
    at = event.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    where = f" at {event.location}" if event.location else ""
    detail = ", ".join(
        f"{k}: {v}" for k, v in event.detail.items() if not isinstance(v, dict | list)
    )
    more = f" ({detail})" if detail else ""
    show.say(f"{at} {event.actor}: {event.what}{where}: {event.subject}{more}")
