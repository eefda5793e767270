"""nf roles -- which host's database user may write about which places."""

import click

from nightferry.cli import show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row, Tx, json


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """A host's database user writes only about the places that are its own: a dome can't say that
    an archive was verified. Only a reaper's may let a copy go."""


@command.command(epilog=show.EXIT_CODES)
@click.argument("role")
@click.option("--locations", "names", required=True, help="Its own places: a,b,c.")
@click.option("--reaper", is_flag=True, help="It may delete, by the rule.")
@json_option
@pass_nf
def grant(nf: Context, role: str, names: str, reaper: bool, as_json: bool) -> None:
    """Gives an existing database user what the daemons of one host need, and no more.

    Run it as the owner of the database; again, to change its places. The user itself is made with
    PostgreSQL's CREATE ROLE. JSON: {"role", "locations", "reaper"}
    """
    places = [name.strip() for name in names.split(",") if name.strip()]

    def work(tx: Tx) -> None:
        there = tx.one("roles.exists", role=role)
        if there is None or not there.there:
            show.fail(f'no database user {role!r}: CREATE ROLE "{role}" LOGIN first', show.USAGE)
        unknown = [r.name for r in tx.run("roles.unknown_locations", locations=places)]
        if unknown:
            show.fail(f"no location {', '.join(unknown)}; see: nf locations list", show.USAGE)
        tx.run("roles.grant", role=role, locations=places, reaps=reaper)
        detail = json({"locations": places, "reaper": reaper})
        tx.run("event.tell", what="role granted", subject=role, detail=detail)

    nf.db.run(work)
    if as_json:
        show.emit_json({"role": role, "locations": places, "reaper": reaper})
        return
    deletes = "and may delete there" if reaper else "and may delete nothing"
    show.verdict(f"{role} writes about {', '.join(places)}, {deletes}.", "nf roles list")


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_roles(nf: Context, as_json: bool) -> None:
    """Who may write about what. JSON: [{"role", "reaps", "locations"}]"""
    rows: list[Row] = nf.db.run(lambda tx: tx.run("roles.listed"))
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    lines = [(r.role, ", ".join(r.locations), "yes" if r.reaps else "no") for r in rows]
    if lines:
        click.echo(show.table(lines, ("role", "its places", "may delete")))
    show.verdict(f"{show.count(len(rows), 'role')} granted.", "nf roles grant ROLE --locations a,b")
