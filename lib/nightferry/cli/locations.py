"""nf locations -- the places of the ledger: are they there, may they take more, what is missing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from nightferry import locations
from nightferry.cli import capabilities, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row, Tx, json


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Places with data: their state, their marker files, draining, and files that vanished."""


@command.command("list", epilog=show.EXIT_CODES)
@json_option
@pass_nf
def list_locations(nf: Context, as_json: bool) -> int:
    """Every location and what its host last found. Exit code 1 if one is not available.

    \b
    JSON: [{"name", "site", "type", "storage", "active", "failure_domain", "marked",
      "best_reading", "reap_enabled", "keep", "file_system", "host", "state", "reason", "checked",
      "total_bytes", "free_bytes", "hints", "vanish_guard", "capabilities": {...}}]
    """
    rows = nf.db.run(lambda tx: tx.run("locations.listed"))
    away = [r for r in rows if r.state == "unavailable" or not r.marked]
    if as_json:
        show.emit_json([dict(r._mapping) for r in rows])
        return show.NO if away else show.YES
    header = ("location", "site", "type", "state", "free", "reaper", "fails with", "checked")
    click.echo(show.table([_line(r) for r in rows], header))
    for r in rows:
        if r.storage == "s3" and r.marked:
            show.say(f"{r.name}: {'; '.join(capabilities.of_bucket(r.capabilities))}")
        if r.state == "unavailable":
            show.say(f"{r.name}: {r.reason}")
        if r.vanish_guard:
            show.say(f"{r.name}: {_vanished(r)}")
    unmarked = [r.name for r in rows if not r.marked]
    if unmarked:
        show.verdict(
            f"{', '.join(unmarked)}: no marker yet, so nothing is done there.",
            f"nf locations init {unmarked[0]}",
        )
    elif away:
        show.verdict(f"Not available: {', '.join(r.name for r in away)}.", "nf status")
    else:
        show.verdict(f"{show.count(len(rows), 'location')}, none known to be away.", "nf status")
    return show.NO if away else show.YES


def _line(row: Row) -> tuple[str, ...]:
    state = row.state or "not seen yet"
    if not row.marked:
        state = "no marker"
    if not row.active:
        state += ", drained"
    free = ""
    if row.total_bytes:
        percent = 100 * row.free_bytes // row.total_bytes
        free = f"{show.size(row.free_bytes)} ({percent} %)"
    kind = "ARCHIVE" if row.type == "LONG_TERM_ARCHIVE" else row.type
    reaper = "" if row.type in ("LONG_TERM_ARCHIVE", "PROCESSING") else _reaper(row)
    return (
        row.name,
        row.site,
        kind,
        state,
        free,
        reaper,
        row.failure_domain,
        show.age(row.checked),
    )


def _reaper(row: Row) -> str:
    mode = "enabled" if row.reap_enabled else "plans"
    return f"{mode}, {show.age(row.keep)}" if row.keep is not None else mode


def _vanished(row: Row) -> str:
    guard = row.vanish_guard
    said = f"{guard['vanished']:,} of {guard['known']:,} files vanished at once"
    if "accepted" in guard:
        return f"{said}; accepted, and believed after the next sweep"
    return (
        f"{said}, for example {guard['example']}: nothing is concluded. If it is true, say "
        f"'nf locations accept-missing {row.name}'"
    )


@command.command(epilog=show.EXIT_CODES)
@click.argument("name")
@click.option(
    "--path", type=click.Path(file_okay=False, path_type=Path), help="Where it is mounted."
)
@click.option("--replace", is_flag=True, help="Another disk is this location from now on.")
@json_option
@pass_nf
def init(nf: Context, name: str, path: Path | None, replace: bool, as_json: bool) -> None:
    """Places the marker file of a location, once, and records what its storage can do.

    Without its marker a location is unavailable, never empty: a disk that is not mounted deletes
    nothing. For a bucket, --path is the file with this host's keys. Where a directory is
    read-only, it prints what to run on the host that owns it; run it again here afterwards. What
    has another location's marker is refused.

    JSON: {"location", "path", "capabilities": {...}}
    """
    where = path or nf.config.locations.get(name)
    if where is None:
        show.fail(
            f"{name} is not mounted here: name it under locations: in {nf.config.path}, or say "
            "--path DIR",
            show.USAGE,
        )

    def work(tx: Tx) -> Mapping[str, Any]:
        if replace:
            tx.run("locations.forget_marker", name=name)
        return locations.init(tx, name, where).as_json()

    found = nf.db.run(work)
    if as_json:
        answer = {"location": name, "path": str(where), "capabilities": dict(found)}
        show.emit_json(answer)
        return
    for line in capabilities.told(found):
        show.say(line)
    show.verdict(f"{where} is the location {name}.", "nf locations list")


@command.command(epilog=show.EXIT_CODES)
@click.argument("name")
@click.argument("reason")
@json_option
@pass_nf
def drain(nf: Context, name: str, reason: str, as_json: bool) -> None:
    """Puts nothing new at a location, for maintenance. What is there counts, and is still verified.

    JSON: {"location", "active", "present", "arriving"}
    """
    _set_active(nf, name, False, reason, as_json)


@command.command(epilog=show.EXIT_CODES)
@click.argument("name")
@json_option
@pass_nf
def resume(nf: Context, name: str, as_json: bool) -> None:
    """Lets a drained location take new copies again. JSON: as for drain."""
    _set_active(nf, name, True, "", as_json)


def _set_active(nf: Context, name: str, active: bool, reason: str, as_json: bool) -> None:
    def work(tx: Tx) -> tuple[bool, Row | None]:
        _known(tx, name)
        changed = locations.set_active(tx, name, active, reason)
        return changed, tx.one("locations.what_it_holds", name=name)

    changed, holds = nf.db.run(work)
    assert holds is not None  # an aggregate has one row
    if as_json:
        told = {"present": holds.present, "arriving": holds.arriving}
        show.emit_json({"location": name, "active": active, **told})
        return
    copies = show.count(holds.present, "copy", "copies")
    already = "" if changed else " already"
    if active:
        show.verdict(f"{name} takes new copies{already}.", "nf status")
    else:
        show.verdict(
            f"{name} is drained{already}: nothing new comes; what is there counts ({copies}).",
            f"nf locations resume {name}",
        )


def _known(tx: Tx, name: str) -> None:
    if tx.one("locations.marker", name=name) is None:
        show.fail(f"there is no location {name!r}; see: nf locations list", show.USAGE)


@command.command("accept-missing", epilog=show.EXIT_CODES)
@click.argument("name")
@json_option
@pass_nf
def accept_missing(nf: Context, name: str, as_json: bool) -> int:
    """A person's word that very many files that vanished at once from a SOURCE are really gone.

    Look at the mount first: an empty or a wrong disk looks the same. JSON: {"location", "accepted"}
    """

    def work(tx: Tx) -> Row | None:
        _known(tx, name)
        guard = tx.one("locations.accept_missing", name=name)
        if guard is not None:
            detail = json(guard.vanish_guard)
            tx.run("event.tell", what="missing files accepted", subject=name, detail=detail)
        return guard

    guard = nf.db.run(work)
    accepted = guard.vanish_guard["accepted"] if guard else 0
    if as_json:
        show.emit_json({"location": name, "accepted": accepted})
    elif guard is None:
        show.verdict(f"Nothing waits at {name}: no files vanished in bulk.", "nf status")
    else:
        show.verdict(
            f"{accepted:,} files may be gone from {name}: the next sweep believes it.",
            "nf lost list",
        )
    return show.YES if guard else show.NO
