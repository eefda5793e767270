"""``nf canary``: a small file through the whole chain and back, each stage with its time."""

import time
from datetime import timedelta

import click

from nightferry import yamlfile
from nightferry.canary import Canary, Step, Stuck, Trip, send, source_of
from nightferry.cli import show
from nightferry.cli.context import Context, json_option, pass_nf
from nightferry.errors import ConfigError

LOOK_EVERY = 0.5  # seconds


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A length of time, as in the configuration."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return yamlfile.duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time such as '15 min'", param, ctx)


@click.command(epilog=show.EXIT_CODES)
@click.argument("source", required=False)
@click.option(
    "--within", type=Duration(), default="15 min", show_default=True,
    help="How long the whole trip may take.",
)  # fmt: skip
@click.option(
    "--daily", is_flag=True,
    help="From the SOURCE that nightferry.yaml names; nf check tells when one stays away.",
)  # fmt: skip
@json_option
@pass_nf
def command(nf: Context, source: str | None, within: timedelta, daily: bool, as_json: bool) -> int:
    """Sends a small file from SOURCE, of this host, to every archive and back, and takes it out.

    It goes through the same daemons as all frames; archives that are mounted here give it back, and
    it is compared. Then the rule of deletion lets its copies go. It counts in no night. Exits with
    1 if it did not come back, or is stuck.

    JSON: {"answer": "YES"|"NO", "source", "path", "stages": [{"stage", "place", "seconds"}],
    "not_fetched": [location], "stuck": {"stage", "place", "why", "todo"} or null, "kept": why}
    """
    if daily:
        source = source or nf.config.canary
        if source is None:
            raise ConfigError(f"{nf.config.path} names no SOURCE under canary:")
    place = nf.db.run(lambda tx: source_of(tx, nf.config.locations, source))
    canary = send(nf.db, place, nf.config.locations[place.name], daily)
    trip = Trip(nf.db, canary, nf.config.locations)
    if not as_json:
        show.say(f"{canary.path} of {canary.location}, {canary.size} bytes")
        click.echo()
    steps, stuck, kept = _travel(trip, within, quiet=as_json)
    if as_json:
        show.emit_json(_document(trip, steps, stuck, kept))
    else:
        _conclude(trip, steps, stuck, kept)
    return show.NO if stuck or trip.wrong else show.YES


def _travel(trip: Trip, within: timedelta, quiet: bool) -> tuple[list[Step], Stuck | None, str]:
    """Looks again and again until the trip is over: the steps, what it is stuck in, and why it is
    kept where it is."""
    told: set[tuple[str, str]] = set()
    by = time.monotonic() + within.total_seconds()
    while True:
        steps = trip.look()
        for step in steps:
            if step.at and (step.stage, step.place) not in told:
                told.add((step.stage, step.place))
                if not quiet:
                    click.echo(_line(trip.canary, step))
        waits = next((s for s in steps if s.at is None), None)
        if trip.wrong:
            trip.end("wrong", trip.wrong)
            return steps, None, ""
        if waits is None:
            return steps, None, ""
        if waits.stage == "taken out" and (kept := trip.why_kept()):
            return steps, None, kept
        if time.monotonic() > by:
            stuck = trip.stuck(waits)
            trip.end("stuck", f"{waits.stage}: {stuck.why}")
            return steps, stuck, ""
        time.sleep(LOOK_EVERY)


def _line(canary: Canary, step: Step) -> str:
    return f"{_seconds(canary, step):6.1f} s  {step.stage:<10}  {step.place}"


def _seconds(canary: Canary, step: Step) -> float:
    assert step.at is not None
    return (step.at - canary.sent).total_seconds()


def _conclude(trip: Trip, steps: list[Step], stuck: Stuck | None, kept: str) -> None:
    if trip.wrong:
        show.verdict(f"NO: other bytes came back. {trip.wrong}", "nf scrub")
        return
    if stuck is not None:
        what = f"{stuck.step.stage} at {stuck.step.place}"
        if stuck.step.stage == "taken out":
            what = "came back, and is not taken out"
        else:
            what = f"is not {what}"
        show.verdict(f"NO: the canary {what}. {stuck.why}.", stuck.todo)
        return
    took = max(_seconds(trip.canary, s) for s in steps if s.at and s.stage != "taken out")
    archives = [s.place for s in steps if s.stage == "verified"]
    text = f"YES: within {took:.0f} s it was read well at {', '.join(archives)}"
    if back := [s.place for s in steps if s.stage == "returned"]:
        text += f", and came back whole from {', '.join(back)}"
    if trip.not_here:
        text += f" (not mounted here, so not fetched: {', '.join(trip.not_here)})"
    text += f". It waits to be taken out: {kept}." if kept else ". Nothing of it is left."
    show.verdict(text, "nf reap plan" if kept else "nf status")


def _document(trip: Trip, steps: list[Step], stuck: Stuck | None, kept: str) -> dict[str, object]:
    told = stuck and {
        "stage": stuck.step.stage, "place": stuck.step.place, "why": stuck.why, "todo": stuck.todo
    }  # fmt: skip
    return {
        "answer": "NO" if stuck or trip.wrong else "YES",
        "source": trip.canary.location,
        "path": trip.canary.path,
        "stages": [
            {"stage": s.stage, "place": s.place, "seconds": s.at and _seconds(trip.canary, s)}
            for s in steps
        ],
        "not_fetched": trip.not_here,
        "wrong": trip.wrong,
        "stuck": told,
        "kept": kept,
    }
