"""nf rebuild -- the ledger again, out of the archives alone."""

import os
import sys
import time

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.rebuilding import FROM_BACKUP, NOT_WRITTEN, Damaged, Rebuilt, rebuild

MOST_LISTED = 30
EVERY = 5.0  # seconds between two lines of progress


@click.command(epilog=show.EXIT_CODES)
@click.argument("locations", metavar="LOCATION...", nargs=-1, required=True)
@json_option
@pass_nf
def command(nf: Context, locations: tuple[str, ...], as_json: bool) -> int:
    """Writes packages, files, headers, observations, owners and copies into a database that lacks
    them, from what the packages at LOCATION say of themselves.

    Before: an empty database (nf migrate), observatory.yaml applied (nf config apply), markers read
    (nf locations init), daemons stopped. Nothing that a row says is changed: it may be run
    again, and after the restore of an older backup. Where a package is added, deletion is stopped.

    JSON: {"whole": bool, "locations": {name: {"packages", "files", "observations", "copies",
    "known", "loose", "damaged": [{"path", "why"}], "refused": [{"path", "why"}]}},
    "not_written": {table: {column: why}}, "from_backup": [what]}
    """
    me = f"rebuild@{nf.config.host}#{os.getpid()}"
    done = rebuild(nf.db, locations, nf.config.locations, me=me, tell=_Progress())
    whole = all(one.whole for one in done.values())
    if as_json:
        show.emit_json(
            {
                "whole": whole,
                "locations": {name: _plain(one) for name, one in done.items()},
                "not_written": NOT_WRITTEN,
                "from_backup": [*FROM_BACKUP],
            }
        )
        return show.YES if whole else show.NO
    rows = [
        (
            name, f"{one.packages:,}", f"{one.files:,}", f"{one.observations:,}", f"{one.copies:,}",
            f"{one.known:,}", f"{len(one.damaged):,}", f"{len(one.refused):,}", f"{one.loose:,}",
        )
        for name, one in done.items()
    ]  # fmt: skip
    header = (
        "LOCATION", "PACKAGES", "FILES", "OBSERVATIONS", "COPIES", "KNOWN", "DAMAGED", "REFUSED",
        "LOOSE",
    )  # fmt: skip
    click.echo(show.table(rows, header))
    for name, one in done.items():
        _list("damaged", name, one.damaged)
        _list("at odds with the ledger", name, one.refused)
    show.say()
    show.say("What no archive holds, and comes from the backup of the database (nf backup):")
    for what in FROM_BACKUP:
        show.say(f"- {what}", 2)
    show.say("Columns of what came back that are not as they were:")
    for table, columns in NOT_WRITTEN.items():
        for column, why in columns.items():
            show.say(f"- {table}.{column}: {why}", 2)
    _conclude(done, whole)
    return show.YES if whole else show.NO


def _list(what: str, location: str, bad: list[Damaged]) -> None:
    for one in bad[:MOST_LISTED]:
        show.say(f"{what}: {location} {one.path}: {one.why}")
    if len(bad) > MOST_LISTED:
        show.say(f"{what}: and {len(bad) - MOST_LISTED:,} more at {location} (--json)")


def _conclude(done: dict[str, Rebuilt], whole: bool) -> None:
    packages = sum(one.packages for one in done.values())
    files = sum(one.files for one in done.values())
    copies = sum(one.copies for one in done.values())
    stopped = ", and nothing is deleted before nf reap resume" if packages else ""
    told = (
        f"{show.count(packages, 'package')} with {show.count(files, 'file')} and "
        f"{show.count(copies, 'copy', 'copies')} are in the ledger again. No copy is proven before "
        f"verify has read it{stopped}."
    )
    if whole:
        show.verdict(f"DONE: {told}", "nf audit")
        return
    bad = sum(len(one.damaged) + len(one.refused) for one in done.values())
    show.verdict(
        f"NOT ALL: {told} {show.count(bad, 'thing')} named above could not be taken.", "nf audit"
    )


def _plain(one: Rebuilt) -> dict[str, object]:
    return vars(one) | {
        "damaged": [vars(d) for d in one.damaged],
        "refused": [vars(d) for d in one.refused],
    }


class _Progress:
    """A line on stderr now and then."""

    def __init__(self) -> None:
        self.told = time.monotonic()

    def __call__(self, location: str, done: Rebuilt) -> None:
        now = time.monotonic()
        if now - self.told < EVERY:
            return
        self.told = now
        sys.stderr.write(f"{location}: {done.packages:,} packages, {done.files:,} files\n")
