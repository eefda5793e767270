"""nf check -- one line a check, with what to do; for a person and for a monitor."""

import click

from nightferry import health
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.connections import OneConnection
from nightferry.db import Database
from nightferry.health import Check, State

_NAGIOS = {State.OK: "OK", State.WARNING: "WARNING", State.FAILED: "CRITICAL"}


@click.command(epilog=f"{show.EXIT_CODES} With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")
@click.option("--nagios", is_flag=True, help="One line and the exit code of a Nagios plug-in.")
@json_option
@pass_nf
def command(nf: Context, nagios: bool, as_json: bool) -> int:
    """Is everything as it should be? Exits with 1 if a check is not OK.

    JSON: {"state", "checks": [{"name", "state": "OK"|"WARNING"|"FAILED", "said", "todo"}]}
    """
    database = Database(
        lambda: nf.config.dsn, actor=nf.person, site=nf.config.site, connections=OneConnection
    )
    try:
        checks = health.look(database)
    finally:
        database.close()
    worst = max(check.state for check in checks)
    if as_json:
        told = [vars(c) | {"state": c.state.name} for c in checks]
        show.emit_json({"state": worst.name, "checks": told})
    elif nagios:
        click.echo(_nagios(checks, worst))
        return int(worst)
    else:
        _print(checks, worst)
    return show.YES if worst is State.OK else show.NO


def _print(checks: list[Check], worst: State) -> None:
    for check in checks:
        todo = f": {check.todo}" if check.todo else ""
        show.say(f"{check.name}: {check.state.name} ({check.said}){todo}")
    bad = [check for check in checks if check.state is not State.OK]
    if worst is State.OK:
        show.verdict(f"OK: all {len(checks)} checks.", "nf status")
        return
    first = max(bad, key=lambda check: check.state)
    show.verdict(f"{worst.name}: {len(bad)} of {len(checks)} checks are not OK.", first.todo)


def _nagios(checks: list[Check], worst: State) -> str:
    bad = [c for c in checks if c.state is not State.OK]
    bad.sort(key=lambda c: -c.state)
    said = "; ".join(f"{c.name}: {c.said}" for c in bad) or f"all {len(checks)} checks are OK"
    failed = sum(c.state is State.FAILED for c in bad)
    numbers = f"checks={len(checks)} warnings={len(bad) - failed} failed={failed}"
    return show.safe(f"NIGHTFERRY {_NAGIOS[worst]} - {said.replace('|', '/')}") + f" | {numbers}"
