"""nf migrate -- brings the database's schema to what this program understands."""

import click

from nightferry import migrate
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.connections import OneConnection
from nightferry.db import Database


@click.command(epilog=show.EXIT_CODES)
@click.option("--check", is_flag=True, help="Only say what is missing; exit code 1 if anything.")
@json_option
@pass_nf
def command(nf: Context, check: bool, as_json: bool) -> int:
    """Runs the migrations that the database lacks, each in a transaction of its own.

    A lock that another session holds is waited for a few seconds, never for long.
    JSON: {"ran": [name], "missing": [name], "newest": name}
    """
    missing, newest = _missing(nf)
    ran: list[str] = []
    if missing and not check:
        ran, missing = migrate.migrate(nf.dsn), []
        newest = ran[-1]
    if as_json:
        show.emit_json({"ran": ran, "missing": missing, "newest": newest})
        return show.NO if missing else show.YES
    for name in ran:
        click.echo(f"ran {name}")
    for name in missing:
        click.echo(f"missing {name}")
    if missing:
        lacks = show.count(len(missing), "migration")
        show.verdict(f"NO: the database lacks {lacks}.", "nf migrate")
        return show.NO
    show.verdict(
        f"The database is up to date ({newest}).", "nf config apply" if ran else "nf status"
    )
    return show.YES


def _missing(nf: Context) -> tuple[list[str], str]:
    database = Database(nf.dsn, actor=nf.person, site=nf.config.site, connections=OneConnection)
    try:
        have = database.run(migrate.applied)
    finally:
        database.close()
    known = [m.name for m in migrate.migrations()]
    newest = max(have, default="nothing yet")
    return [name for name in known if name not in have], newest
