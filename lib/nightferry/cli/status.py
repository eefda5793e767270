"""``nf status``: does it run, does anything wait for a person, and what to type next.

Over 300 lines: one screen's rows, their verdict and their document, which change together.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import click

from nightferry import jobs
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.db import DatabaseAway, Row, Tx
from nightferry.health import SILENT

STAGES = ("ingest", "package", "transfer", "archive", "verify", "reap")
WATCH_EVERY = 2.0  # seconds


@dataclass
class Stage:
    """One kind of work. ``out``: jobs done in a day; for ingest, files registered."""

    name: str
    waiting: int = 0
    running: int = 0
    out: int = 0
    failed: int = 0
    oldest: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Trouble:
    """What waits for a person, and the command that tells more."""

    text: str
    command: str


@dataclass(frozen=True)
class Found:
    stages: list[Stage]
    in_no_package: int
    daemons: list[Row]
    locations: list[Row]
    breakers: list[Row]
    blocked: list[Row]
    troubles: Row
    nights: list[Row]
    waits: list[Trouble] = field(default_factory=list)


@click.command(epilog=show.EXIT_CODES)
@click.option("-w", "--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@json_option
@pass_nf
def command(nf: Context, watch: bool, as_json: bool) -> int:
    """Stages, daemons, places, and whether anything waits for a person.

    Exits with 1 if something does.

    JSON keys: stages, in_no_package, daemons, locations, breakers, blocked, troubles, nights,
    waits; with -w, while the database is away, away alone.
    """
    database = nf.db
    while True:
        try:
            waits = _tell(database.run(_look), as_json, clear=watch)
        except DatabaseAway as error:
            if not watch:
                raise
            _tell_away(error, as_json)
        if not watch:
            return show.NO if waits else show.YES
        time.sleep(WATCH_EVERY)


def _tell(found: Found, as_json: bool, clear: bool) -> bool:
    """True if something waits for a person."""
    found.waits.extend(_waits(found))
    if as_json:
        show.emit_json(_document(found))
    else:
        if clear:
            click.clear()
        _print(found)
    return bool(found.waits)


def _tell_away(error: DatabaseAway, as_json: bool) -> None:
    """Nobody who watches is sent away: what he waits for may be its return."""
    if as_json:
        show.emit_json({"away": str(error)})
        return
    click.clear()
    at = time.strftime("%H:%M:%S")
    show.say(f"At {at}: {error}. It is asked again every {WATCH_EVERY:.0f} s, until Ctrl-C.")


# --- gathering ----------------------------------------------------------------------------------


def _look(tx: Tx) -> Found:
    locations = tx.run("status.locations")
    blocked = tx.run("status.blocked")
    return Found(
        stages=_stages(tx, locations, blocked),
        in_no_package=tx.run("status.in_no_package")[0].files,
        daemons=tx.run("status.daemons"),
        locations=locations,
        breakers=jobs.open_breakers(tx),
        blocked=blocked,
        troubles=tx.run("status.troubles")[0],
        nights=tx.run("status.nights"),
    )


def _stages(tx: Tx, locations: list[Row], blocked: list[Row]) -> list[Stage]:
    stages: dict[str, Stage] = {name: Stage(name) for name in STAGES}
    for row in jobs.counts(tx):
        stage = stages.setdefault(row.kind, Stage(row.kind))
        if row.state == "running":
            stage.running += row.jobs
        else:
            stage.waiting += row.jobs
        stage.oldest = min(filter(None, (stage.oldest, row.oldest)))
    for row in jobs.done_lately(tx, list(stages)):
        stages[row.kind].out, stages[row.kind].last = row.done, row.last
    for row in blocked:
        stages.setdefault(row.kind, Stage(row.kind)).failed += row.subjects
    ingest = stages["ingest"]
    ingest.waiting = sum(int(loc.unsettled or 0) for loc in locations)
    ingest.out = tx.run("status.registered")[0].files
    ingest.last = max((loc.sweep_ended for loc in locations if loc.sweep_ended), default=None)
    return list(stages.values())


def _waits(found: Found) -> list[Trouble]:
    """Most urgent first."""
    t = found.troubles
    waits = []
    if t.lost:
        waits.append(Trouble(f"{show.count(t.lost, 'file')} lost", "nf lost list"))
    if t.bad_copies:
        copies = show.count(t.bad_copies, "archive copy", "archive copies")
        waits.append(Trouble(f"{copies} bad, missing or unreadable", "nf find --state unsafe"))
    if not t.trusted:
        waits.append(Trouble("the database was restored and is not audited", "nf audit"))
    for loc in found.locations:
        if loc.active and loc.hosts and not loc.available:
            waits.append(Trouble(f"{loc.name} is unavailable", "nf locations list"))
        if loc.guarded:
            command = f"nf locations accept-missing {loc.name}"
            waits.append(Trouble(f"many files of {loc.name} are gone at once", command))
    for d in found.daemons:
        if _state(d).startswith("silent"):
            command = f"systemctl status nightferry-{d.daemon}   (on {d.host})"
            waits.append(Trouble(f"{d.daemon} on {d.host} is {_state(d)}", command))
    running = {d.daemon for d in found.daemons if d.stopped is None}
    if missing := [name for name in _needed(found) if name not in running]:
        command = f"systemctl start nightferry-{missing[0]}"
        waits.append(Trouble(f"no daemon runs for {', '.join(missing)}", command))
    unopened = {loc.name for loc in found.locations if loc.hosts and not loc.available}
    for b in found.breakers:
        if b.name not in unopened:
            waits.append(Trouble(f"{b.name} fails: {b.reason}", "nf jobs list"))
    if failed := sum(b.subjects for b in found.blocked):
        waits.append(Trouble(f"{show.count(failed, 'job')} blocked", "nf jobs list"))
    if t.quarantined:
        waits.append(
            Trouble(f"{show.count(t.quarantined, 'file')} in quarantine", "nf quarantine list")
        )
    if t.backup_is_due:
        last = f"last backed up {show.age(t.backed_up)} ago" if t.backed_up else "never backed up"
        waits.append(Trouble(f"the database was {last}", "nf backup LOCATION"))
    if t.stopped:
        waits.append(Trouble(f"deletion is {t.stopped}", "nf reap resume"))
    return waits


def _needed(found: Found) -> list[str]:
    """The daemons that this observatory can't do without."""
    types = {loc.type for loc in found.locations if loc.active}
    needed = ["ingest", "package"] if "SOURCE" in types else []
    needed += ["transfer"] if found.troubles.routes else []
    needed += ["archive", "verify"] if "LONG_TERM_ARCHIVE" in types else []
    return needed + (["reap"] if any(loc.reap_enabled for loc in found.locations) else [])


def _state(d: Row) -> str:
    if d.stopped is not None:
        return "stopped"
    silent = d.now - d.seen
    return "up" if silent < SILENT else f"silent for {show.age(silent)}"


# --- telling ------------------------------------------------------------------------------------


def _print(found: Found) -> None:
    rows = [
        (s.name, str(s.waiting), str(s.running), str(s.out), str(s.failed), show.age(s.oldest),
         f"{show.age(s.last)} ago" if s.last else "never")
        for s in found.stages
    ]  # fmt: skip
    header = ("STAGE", "IN", "IN PROGRESS", "OUT IN 24 H", "FAILED", "OLDEST", "LAST SUCCESS")
    click.echo(show.table(rows, header))
    if found.in_no_package:
        show.say(f"{show.count(found.in_no_package, 'file')} of the last nights in no package yet")
    show.say()
    if found.daemons:
        daemons = [(d.daemon, d.host, _state(d), d.version, d.status) for d in found.daemons]
        click.echo(show.table(daemons, ("DAEMON", "HOST", "STATE", "VERSION", "DOES")))
        show.say()
    if found.locations:
        places = [_location(loc) for loc in found.locations]
        click.echo(show.table(places, ("PLACE", "TYPE", "STATE", "FREE", "OF", "REMARKS")))
        show.say()
    if found.nights:
        nights = [
            (str(n.night), f"{n.packages:,}", f"{n.safe:,}", f"{n.files:,}", show.size(n.bytes))
            for n in found.nights
        ]
        click.echo(show.table(nights, ("NIGHT", "PACKAGES", "SAFE", "FILES", "SIZE")))
    details: dict[str, list[str]] = defaultdict(list)
    for b in found.breakers:
        details["no work is sent to"].append(
            f"{b.name} since {show.age(b.since)}: {b.reason}; it is tried each minute"
        )
    for b in found.blocked:
        details["blocked"].append(f"{b.kind}: {show.count(b.subjects, 'job')}, {b.reason}")
    if found.troubles.holds:
        details["held"].append(show.count(found.troubles.holds, "hold"))
    if found.troubles.deletions:
        details["deletion"].append(f"{show.count(found.troubles.deletions, 'decision')} under way")
    if details:
        show.say()
    for title, lines in details.items():
        for line in lines:
            show.say(f"{title}: {line}")
    _print_verdict(found)


def _location(loc: Row) -> tuple[str, ...]:
    remarks = []
    state = "never seen" if not loc.hosts else "available" if loc.available else "UNAVAILABLE"
    if state == "UNAVAILABLE":
        remarks.append(f"since {show.age(loc.since)}: {loc.reason}")
    if not loc.active:
        remarks.append("drained")
    if not loc.marked:
        remarks.append("no marker yet: nf locations init")
    if loc.hints:
        remarks.append(loc.hints)
    if loc.unsettled:
        remarks.append(f"{loc.unsettled} not settled")
    if loc.sweep_ended:
        remarks.append(f"swept {show.age(loc.sweep_ended)} ago")
    if loc.guarded:
        remarks.append("many files gone at once")
    if loc.high is not None and loc.free_bytes is not None:
        used = 1 - loc.free_bytes / loc.total_bytes
        if used >= loc.high:
            remarks.append(
                f"{show.share(used)} full, above its high mark of {show.share(loc.high)}"
            )
    if loc.type in ("SOURCE", "BUFFER"):
        remarks.append("deletes" if loc.reap_enabled else "deletes nothing")
    free, of = show.size(loc.free_bytes), show.size(loc.total_bytes)
    return loc.name, loc.type, state, free, of, "; ".join(remarks)


def _print_verdict(found: Found) -> None:
    if not found.waits:
        work = sum(s.waiting + s.running for s in found.stages)
        doing = f"{work:,} things to do, none waits for a person" if work else "all is done"
        show.verdict(f"ALL WELL: every daemon runs, {doing}.", "nf night")
        return
    first = "; ".join(w.text for w in found.waits[:4])
    more = f"; and {len(found.waits) - 4} more" if len(found.waits) > 4 else ""
    n = len(found.waits)
    does = "thing waits" if n == 1 else "things wait"
    show.verdict(f"LOOK: {n} {does} for a person: {first}{more}.", found.waits[0].command)


def _document(found: Found) -> dict[str, Any]:
    def plain(rows: list[Row]) -> list[dict[str, Any]]:
        return [dict(r._mapping) for r in rows]

    return {
        "stages": [vars(s) for s in found.stages],
        "in_no_package": found.in_no_package,
        "daemons": [dict(d._mapping) | {"state": _state(d)} for d in found.daemons],
        "locations": plain(found.locations),
        "breakers": plain(found.breakers),
        "blocked": plain(found.blocked),
        "troubles": dict(found.troubles._mapping),
        "nights": plain(found.nights),
        "waits": [vars(w) for w in found.waits],
    }
