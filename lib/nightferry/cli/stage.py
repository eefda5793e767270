"""nf stage -- archived packages back on a disk, unpacked, for a while."""

from datetime import date, timedelta

import click

from nightferry import staging
from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.cli.named import NIGHT
from nightferry.db import Row, Tx
from nightferry.staging import Placed, Request


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Archived packages, unpacked at a PROCESSING location until their time is over."""


@command.command(epilog=show.EXIT_CODES)
@click.option("--night", type=NIGHT)
@click.option("--instrument")
@click.option("--target", help="An object's name in a header, or a filed observation's target.")
@click.option("--observation", help="An id, or its end.")
@click.option("--package", help="A name, or an id.")
@click.option("--to", "location", help="Left out: the only PROCESSING location.")
@click.option("--days", default=7.0, show_default=True, help="How long it stays.")
@click.option("--run", default="", help="A command of the host's nightferry.yaml, run when ready.")
@click.option("--override", default="", help="An operator's reason to have what is not public.")
@json_option
@pass_nf
def add(
    nf: Context,
    night: date | None,
    instrument: str | None,
    target: str | None,
    observation: str | None,
    package: str | None,
    location: str | None,
    days: float,
    run: str,
    override: str,
    as_json: bool,
) -> None:
    """Asks for packages: all that match every option.

    They are read from the nearest copy, compared byte by byte, and unpacked once for all who ask.
    When all are there, requests/ID/ of the location has a manifest.json, and then a .done.

    JSON: {"request", "location", "expires", "packages", "size", "fresh", "waits"}
    """
    words = {
        "night": night,
        "instrument": instrument,
        "target": target,
        "observation": observation,
        "package": package,
    }
    if not any(words.values()):
        raise click.UsageError(
            "say what: --night, --instrument, --target, --observation, --package"
        )
    request = Request(words, location, timedelta(days=days), run, override)
    done: Placed = nf.db.run(lambda tx: staging.place(tx, request))
    if as_json:
        told = vars(done)
        show.emit_json({"request": done.id, **{k: v for k, v in told.items() if k != "id"}})
        return
    if done.waits:
        show.say(done.waits)
    show.verdict(
        f"Asked for {show.count(done.packages, 'package')}, {show.size(done.size)}; "
        f"{show.size(done.fresh)} of it are not at {done.location} yet. It stays until "
        f"{show.when(done.expires)}; ready when requests/{done.id}/.done is there.",
        "nf stage list",
    )


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_requests(nf: Context, as_json: bool) -> None:
    """The requests that stand.

    JSON: [{"id", "location", "asked", "by", "command", "created", "expires", "state", "outcome",
    "packages", "ready", "size"}]
    """
    rows = nf.db.run(lambda tx: tx.run("stage.listed"))
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return
    if not rows:
        show.verdict("Nothing is staged.", "nf stage add --night NIGHT")
        return
    lines = [
        (
            named.short(r.id), r.asked, r.location, f"{r.ready} of {r.packages}", show.size(r.size),
            f"{r.state}: {r.outcome}" if r.outcome else r.state, r.by, show.when(r.expires),
        )
        for r in rows
    ]  # fmt: skip
    header = ("id", "asked for", "at", "unpacked", "size", "state", "by", "until")
    click.echo(show.table(lines, header))
    show.verdict(f"{show.count(len(rows), 'request')}.", "nf stage extend ID --days 7")


@command.command(epilog=show.EXIT_CODES)
@click.argument("request", metavar="ID")
@click.option("--days", default=7.0, show_default=True)
@json_option
@pass_nf
def extend(nf: Context, request: str, days: float, as_json: bool) -> None:
    """Lets a request stand longer. JSON: {"request", "expires"}"""

    def work(tx: Tx) -> tuple[Row, list[Row]]:
        row = _one(tx, request)
        return row, tx.run("stage.extend", id=row.id, days=timedelta(days=days))

    row, extended = nf.db.run(work)
    if not extended:
        show.fail(f"{request} is over: ask again with nf stage add", show.NO)
    if as_json:
        show.emit_json({"request": row.id, "expires": extended[0].expires})
    else:
        show.verdict(f"It stays until {show.when(extended[0].expires)}.", "nf stage list")


@command.command("give-back", epilog=show.EXIT_CODES)
@click.argument("request", metavar="ID")
@json_option
@pass_nf
def give_back(nf: Context, request: str, as_json: bool) -> None:
    """Ends a request now: what no other asks for is removed. JSON: {"request", "ended"}"""

    def work(tx: Tx) -> tuple[Row, list[Row]]:
        row = _one(tx, request)
        return row, tx.run("stage.give_back", id=row.id)

    row, ended = nf.db.run(work)
    if as_json:
        show.emit_json({"request": row.id, "ended": bool(ended)})
    else:
        show.verdict(f"Given back: {row.asked}.", "nf stage list")


def _one(tx: Tx, request: str) -> Row:
    return named.by_end(tx.run("stage.listed"), request, "request")
