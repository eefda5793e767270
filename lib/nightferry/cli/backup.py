"""nf backup -- the database in one file, proven by restoring it."""

from pathlib import Path

import click

from nightferry.backup import Backup, backup
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row
from nightferry.errors import ConfigError
from nightferry.state import state_directory
from nightferry.stores import open_location
from nightferry.stores.base import Store

MOST_LISTED = 20


@click.command(epilog=show.EXIT_CODES)
@click.argument("location", required=False)
@click.option(
    "--scratch",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where it is restored to be proven; left out: this host's state directory.",
)
@click.option("--nightly", is_flag=True, help="To the location that nightferry.yaml names.")
@json_option
@pass_nf
def command(
    nf: Context, location: str | None, scratch: Path | None, nightly: bool, as_json: bool
) -> int:
    """Dumps the database into LOCATION, a buffer or an archive, and restores the dump to prove it.

    Run it as the owner of the database, each night. Without LOCATION: lists what there is. How to
    come back from one is in docs/recovery.md.

    JSON: {"location", "path", "sha256", "size", "taken", "tables", "rows"}; without LOCATION
    {"young": bool, "backups": [{"location", "path", "sha256", "size", "taken", "proven", "rows",
    "host"}]}
    """
    if nightly:
        location = nf.config.backup
        if location is None:
            raise ConfigError(f"{nf.config.path} names no location under backup:")
    if location is None:
        return _list(nf, as_json)
    store = _store(nf, location)
    try:
        done = backup(nf.db, store, scratch or state_directory(nf.config.state) / "proof")
    finally:
        store.close()
    if as_json:
        show.emit_json(vars(done))
    else:
        _conclude(done)
    return show.YES


def _store(nf: Context, location: str) -> Store:
    place = nf.db.run(lambda tx: tx.one("backup.place", location=location))
    if place is None:
        raise ConfigError(f"there is no location {location!r}; see: nf locations list")
    if place.type not in ("BUFFER", "LONG_TERM_ARCHIVE"):
        raise ConfigError(f"{location} is a {place.type}: back up to a buffer or an archive")
    path = nf.config.locations.get(location)
    if path is None:
        raise ConfigError(
            f"{location} is not mounted on this host: name it under locations: in {nf.config.path}"
        )
    return open_location(place.storage, location, place.settings, path, place.marker)


def _list(nf: Context, as_json: bool) -> int:
    rows = nf.db.run(lambda tx: tx.run("backup.listed", most=MOST_LISTED))
    young = bool(rows) and rows[0].young
    if as_json:
        show.emit_json({"young": young, "backups": [_plain(r) for r in rows]})
        return show.YES if young else show.NO
    if rows:
        lines = [
            (show.when(r.taken), r.location, r.path, show.size(r.size), f"{r.rows:,}") for r in rows
        ]
        click.echo(show.table(lines, ("TAKEN", "LOCATION", "PATH", "", "ROWS")))
    if young:
        show.verdict(f"YES: the last proven backup is {show.age(rows[0].taken)} old.", "nf status")
    else:
        last = f"is {show.age(rows[0].taken)} old" if rows else "was never made"
        show.verdict(f"NO: a proven backup of the database {last}.", "nf backup LOCATION")
    return show.YES if young else show.NO


def _conclude(done: Backup) -> None:
    show.say(f"{done.location}: {done.path} ({show.size(done.size)})")
    show.verdict(
        f"DONE: the database as of {show.when(done.taken)} is at {done.location}. It was restored, "
        f"and {done.rows:,} rows in {done.tables} tables are the same.",
        "nf status",
    )


def _plain(row: Row) -> dict[str, object]:
    columns = dict(row._mapping)
    del columns["backup_max_age"], columns["young"]
    return columns
