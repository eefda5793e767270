"""nf reap -- what would be deleted and what stands in the way; stop; resume."""

from typing import Any

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import Row, Tx

MOST = 2000  # copies of a place that the rule is asked of: a plan is read, not waited for

_MEANS = {
    "enabled": "deletion is not enabled there",
    "proof": "the archives are read again first, once it is nominated",
    "copies": "too few archives hold it",
    "unneeded": "a transfer or archive still waits for it",
    "version": "not packed, or replaced since",
    "hold": "somebody holds it",
    "database": "the database was restored, and is not trusted yet",
    "switch": "deletion is stopped",
}


@click.group(epilog=show.EXIT_CODES)
def command() -> None:
    """Says what would be deleted, stops all deletion at once, and lets it go on."""


@command.command(epilog=show.EXIT_CODES)
@json_option
@pass_nf
def plan(nf: Context, as_json: bool) -> None:
    """What is due at each SOURCE and BUFFER, what would go, and what stands in the way.

    Deletes nothing. The rule is asked of the oldest 2,000 copies of a place that are due.

    \b
    JSON: {"stopped": [{"since", "by", "reason"}], "trusted": bool, "locations": [{"location",
      "enabled", "keep", "copies", "bytes", "due", "due_bytes", "asked", "would_go",
      "would_go_bytes", "in_the_way": [{"clause", "copies", "bytes", "example"}]}],
      "marks": [{"location", "reap_enabled", "high", "low", "total_bytes", "used_bytes",
      "above_high", "under_way", "needed"}]}
    """
    stops, trusted, places = nf.db.run(_plan)
    full = nf.db.run(lambda tx: tx.run("reap.pressure"))
    if as_json:
        stopped = [{"since": s.stopped, "by": s.stopped_by, "reason": s.reason} for s in stops]
        marks = [dict(row._mapping) for row in full]
        show.emit_json(
            {"stopped": stopped, "trusted": trusted, "locations": places, "marks": marks}
        )
        return
    _show_places(places)
    _show_ways(places)
    for row in full:
        _show_mark(row)
    _conclude(places, stops, trusted)


def _plan(tx: Tx) -> tuple[list[Row], bool, list[dict[str, Any]]]:
    trusted = tx.one("reap.incarnation_is_trusted")
    places = []
    for row in tx.run("reap.plan"):
        place = dict(row._mapping)
        clauses = tx.run("reap.plan_clauses", location=row.location, most=MOST) if row.due else []
        goes = next((c for c in clauses if c.clause == "would go"), None)
        place["asked"] = min(row.due, MOST)
        place["would_go"] = goes.copies if goes else 0
        place["would_go_bytes"] = goes.bytes if goes else 0
        place["in_the_way"] = [
            {"clause": c.clause, "copies": c.copies, "bytes": c.bytes, "example": c.detail}
            for c in clauses
            if c.clause != "would go"
        ]
        places.append(place)
    return tx.run("reap.stops"), trusted is not None and trusted.trusted, places


def _show_places(places: list[dict[str, Any]]) -> None:
    rows = [
        (
            p["location"],
            "enabled" if p["enabled"] else "plan only",
            show.age(p["keep"]),
            f"{p['copies']:,}",
            show.size(p["bytes"]),
            f"{p['due']:,}",
            show.size(p["due_bytes"]),
            f"{p['would_go']:,}",
            show.size(p["would_go_bytes"]),
        )
        for p in places
    ]
    header = ("location", "reaper", "keep", "copies", "", "due", "", "would go", "")
    click.echo(show.table(rows, header))


def _show_ways(places: list[dict[str, Any]]) -> None:
    rows = [
        (
            p["location"],
            f"{way['copies']:,}",
            _MEANS.get(way["clause"], way["clause"]),
            way["example"],
        )
        for p in places
        for way in p["in_the_way"]
    ]
    if rows:
        click.echo("\nWhat stands in the way of those that are due:")
        click.echo(show.table(rows, ("location", "copies", "why", "for example")))
    for p in places:
        if p["asked"] < p["due"]:
            show.say(f"{p['location']}: only the oldest {p['asked']:,} of {p['due']:,} were asked.")


def _show_mark(row: Row) -> None:
    """How full a place is that lets the oldest go when it is too full."""
    told = f"{row.location} is {show.share(row.used_bytes / row.total_bytes)} full"
    high, low = show.share(row.high), show.share(row.low)
    if not row.above_high:
        show.say(f"{told}: below its high mark of {high}.")
        return
    way = f", {show.size(row.under_way)} on the way" if row.under_way else ""
    show.say(
        f"{told}, above its high mark of {high}: {show.size(row.needed)} of the oldest go to come "
        f"down to {low}{way}. Nothing unproven goes."
    )


def _conclude(places: list[dict[str, Any]], stops: list[Row], trusted: bool) -> None:
    if stops:
        first = stops[0]
        show.verdict(
            f"Nothing is deleted: stopped by {first.stopped_by} at {show.when(first.stopped)}: "
            f"{first.reason}.",
            "nf reap resume",
        )
    elif not trusted:
        show.verdict(
            "Nothing is deleted: the database was restored or failed over, and may lag the disks.",
            "nf audit LOCATION, for each location",
        )
    elif any(p["would_go"] and not p["enabled"] for p in places):
        names = ", ".join(p["location"] for p in places if p["would_go"] and not p["enabled"])
        show.verdict(
            f"Nothing is deleted at {names} until 'reap: enabled' is applied there.",
            "nf config apply, after you changed observatory.yaml",
        )
    elif not any(p["due"] for p in places):
        show.verdict("Nothing is due: every copy is younger than its location keeps them.")
    else:
        copies = sum(p["would_go"] for p in places)
        freed = show.size(sum(p["would_go_bytes"] for p in places))
        show.verdict(
            f"{show.count(copies, 'copy', 'copies')} ({freed}) would go once the archives were "
            "read again.",
            "nf reap stop REASON, if that is wrong",
        )


@command.command(epilog=show.EXIT_CODES)
@click.argument("reason")
@json_option
@pass_nf
def stop(nf: Context, reason: str, as_json: bool) -> None:
    """Stops every deletion on all hosts, at once, until 'nf reap resume'.

    What lies in the trash stays there. JSON: {"stopped": true, "waiting", "condemned"}
    """

    def work(tx: Tx) -> Row | None:
        tx.run("reap.stop", reason=reason)
        return tx.one("reap.on_their_way")

    way = nf.db.run(work)
    assert way is not None  # an aggregate has one row
    if as_json:
        show.emit_json({"stopped": True, "waiting": way.waiting, "condemned": way.condemned})
        return
    if way.waiting:
        waiting = show.count(way.waiting, "copy waits", "copies wait")
        click.echo(f"{waiting} in the trash or on the way to it, and can still be put back.")
    if way.condemned:
        gone = show.count(way.condemned, "copy was", "copies were")
        click.echo(f"{gone} already past recall: the last unlink may have happened.")
    show.verdict("Deletion is stopped on all hosts.", "nf reap resume, when it may go on")


@command.command(epilog=show.EXIT_CODES)
@click.option(
    "--incarnation",
    metavar="REASON",
    help="The database was restored or failed over, and you know that it agrees with the disks.",
)
@json_option
@pass_nf
def resume(nf: Context, incarnation: str | None, as_json: bool) -> int:
    """Lets deletion go on; each copy must still pass the whole rule.

    After a restore it stands still until 'nf audit --trust' passed, or --incarnation says why not.
    JSON: {"resumed": [reason], "trusted": bool}
    """

    def work(tx: Tx) -> tuple[list[str], bool]:
        if incarnation is not None:
            tx.run("reap.trust", reason=incarnation)
        trusted = tx.one("reap.incarnation_is_trusted")
        return [r.reason for r in tx.run("reap.resume")], trusted is not None and trusted.trusted

    ended, trusted = nf.db.run(work)
    if as_json:
        show.emit_json({"resumed": ended, "trusted": trusted})
    elif not trusted:
        show.verdict(
            "NO: the database was restored or failed over, so the reaper still stands still.",
            "nf audit LOCATION --trust, or nf reap resume --incarnation REASON",
        )
    else:
        for reason in ended:
            show.say(f"No longer stopped for: {reason}")
        show.verdict("Deletion goes on." if ended else "Deletion was not stopped.", "nf reap plan")
    return show.YES if trusted else show.NO
