"""nf install -- this host's units: a plan, and the doing of it."""

import os
from dataclasses import replace
from pathlib import Path

import click

from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.config import SYSTEM, HostConfig, load
from nightferry.installing import Step, Write, do, installation, removal
from nightferry.installing.plan import may_apply
from nightferry.installing.units import checked_runs


@click.command(epilog=show.EXIT_CODES)
@click.option("--apply", is_flag=True, help="Do it; left out: only say what would be done.")
@click.option("--remove", is_flag=True, help="Take it away again. Configuration and data stay.")
@click.option(
    "--root",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=Path("/"),
    help="The root of a host that does not run, such as an image.",
)
@json_option
@pass_nf
def command(nf: Context, apply: bool, remove: bool, root: Path, as_json: bool) -> int:
    """Lays the units, and enables what nightferry.yaml names under runs:.

    Each daemon may write to this host's locations and to nothing else; it is restarted when a disk
    that one of them lies on goes or comes. Without a nightferry.yaml it lays all and enables
    nothing. Doing it twice does nothing; do it again after a change of nightferry.yaml or a new
    version. Exit code 1: there is something to do, and it was not done.

    JSON: {"steps": [str], "done": bool, "runs": [daemon]}
    """
    host = _host(nf, root)
    steps = removal(root) if remove else installation(host, root)
    if apply and steps:
        if not may_apply(root):
            show.fail("only root may do this: sudo nf install --apply", show.CANNOT_TELL)
        do(steps)
    runs = list(host.runs) if host is not None else []
    if as_json:
        told = [str(step) for step in steps]
        show.emit_json({"steps": told, "done": apply or not steps, "runs": runs})
    else:
        _print(steps, apply, remove, runs)
    return show.YES if apply or not steps else show.NO


def _host(nf: Context, root: Path) -> HostConfig | None:
    """The host's configuration; None where there is none yet, and none was named."""
    if nf.config_path is not None or "NIGHTFERRY_CONFIG" in os.environ:
        return nf.config
    inside = root / SYSTEM.relative_to("/")
    if not inside.exists():
        return None
    host = load(inside)
    checked_runs(host)  # while its path is the one that a person can open
    return replace(host, path=SYSTEM)


def _print(steps: list[Write | Step], applied: bool, remove: bool, runs: list[str]) -> None:
    for step in steps:
        show.say(str(step))
    if remove:
        what = "nothing of Nightferry starts here any more; its configuration and data are kept"
        again = "nf install --remove --apply"
    elif runs:
        what = f"this host runs {', '.join(runs)}"
        again = "nf install --apply"
    else:
        what = f"all units are laid, and none is enabled: {SYSTEM} names no daemon under runs:"
        again = "nf install --apply"
    if steps and not applied:
        show.verdict(f"{show.count(len(steps), 'step')} to do.", again)
    elif remove or not runs:
        show.verdict(f"DONE: {what}.")
    else:
        start = "systemctl restart nightferry.target" if steps else "nf status"
        show.verdict(f"DONE: {what}.", start)
