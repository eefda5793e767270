"""nf routes -- the links between sites: what waits, what crosses, and when each was broken."""

from typing import Any

import click

from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row, Tx
from nightferry.wording import pace


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Routes and their breakers."""


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_routes(nf: Context, as_json: bool) -> int:
    """Every route. Exit code 1 if one is broken.

    \b
    JSON: [{"name", "origin", "destination", "transport", "priority", "active", "settings",
      "breaker": "closed" or "open", "since", "reason", "probed", "packages", "bytes", "oldest",
      "bundles", "last", "crossing": [{"done", "of", "rate", "eta"}]}]
    """
    rows = nf.db.run(lambda tx: tx.run("routes.listed"))
    under_way = nf.db.run(lambda tx: tx.run("jobs.under_way", kind="transfer"))
    crossing = {
        r.name: [
            {"done": j.done, "of": j.done_of, "rate": j.rate, "eta": j.eta}
            for j in under_way
            if j.needs == r.name
        ]
        for r in rows
    }
    broken = [r for r in rows if r.breaker == "open"]
    if as_json:
        show.emit_json([{**r._mapping, "crossing": crossing[r.name]} for r in rows])
        return show.NO if broken else show.YES
    if not rows:
        show.verdict("There are no routes: all is at one site.", "nf status")
        return show.YES
    lines = [
        (
            r.name, f"{r.origin} to {r.destination}", r.transport, _state(r),
            f"{r.packages:,}", show.size(r.bytes), _far(crossing[r.name]), show.age(r.last),
        )
        for r in rows
    ]  # fmt: skip
    header = ("route", "from, to", "by", "state", "waiting", "bytes", "crossing", "last")
    click.echo(show.table(lines, header))
    for name, jobs in crossing.items():
        for told in (pace(j["done"], j["of"], j["rate"], j["eta"]) for j in jobs):
            if told:
                show.say(f"{name} carries {told}")
    for r in broken:
        show.say(
            f"{r.name}: open since {show.when(r.since)}, probed {show.age(r.probed)}: {r.reason}"
        )
    if broken:
        show.verdict(
            f"Broken: {', '.join(r.name for r in broken)}. Each is tried again by itself.",
            show.command("nf", "routes", "history", broken[0].name),
        )
    else:
        show.verdict(f"{show.count(len(rows), 'route')}, none known to be broken.", "nf status")
    return show.NO if broken else show.YES


def _state(row: Row) -> str:
    if not row.active:
        return "drained"
    return "BROKEN" if row.breaker == "open" else "whole"


def _far(jobs: list[dict[str, Any]]) -> str:
    told = [f"{100 * (j['done'] or 0) // j['of']} %" if j["of"] else "begins" for j in jobs]
    return ", ".join(told) or "-"


@command.command(epilog=show.EXIT_CODES)
@click.argument("name", metavar="ROUTE|LOCATION")
@click.option("--most", default=20, show_default=True)
@json_option
@pass_nf
def history(nf: Context, name: str, most: int, as_json: bool) -> None:
    """When a breaker opened and closed, the newest first.

    JSON: [{"at", "state", "reason", "actor"}]
    """
    rows = nf.db.run(lambda tx: tx.run("routes.history", name=name, most=most))
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    if not rows:
        show.verdict(f"{name} was never broken.", "nf routes")
        return
    lines = [(show.when(r.at), r.state, r.reason or "", r.actor) for r in rows]
    click.echo(show.table(lines, ("at", "became", "because", "found by")))
    show.verdict(f"{name} is {'broken' if rows[0].state == 'open' else 'whole'}.", "nf routes")


@command.command(epilog=show.EXIT_CODES)
@click.argument("package")
@click.option(
    "--priority", default=10, show_default=True, type=click.IntRange(1, 999),
    help="The lower goes first; 100 is any other's.",
)  # fmt: skip
@json_option
@pass_nf
def hurry(nf: Context, package: str, priority: int, as_json: bool) -> None:
    """Lets PACKAGE (a name, an id) overtake: a target of opportunity's, before a long backlog.

    What is under way gives way to it, and is gone on with afterwards. JSON: {"package", "priority"}
    """

    def work(tx: Tx) -> Row:
        found = named.one_package(tx, package)
        if found is None:
            named.unknown("package", package)
        tx.run("routes.hurry", package=found.id, priority=priority)
        tx.run("routes.hurry_bundles", package=found.id, priority=priority)
        return found

    found = nf.db.run(work)
    if as_json:
        show.emit_json({"package": found.name, "priority": priority})
    else:
        show.verdict(f"{found.name} goes before what is less urgent than {priority}.", "nf routes")
