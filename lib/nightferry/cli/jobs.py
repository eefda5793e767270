"""nf jobs -- open work, what failed for good, and how to cancel or release it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from nightferry import jobs
from nightferry.cli import named, show
from nightferry.cli.context import Context, Lists, json_option, pass_nf
from nightferry.db import Row, Tx
from nightferry.wording import pace

COUNTED = ("reap",)  # how far these are is no matter of bytes

kind_option = click.option("--kind", help="Only jobs of this daemon: archive, verify, ...")
reason_option = click.option("--reason", help="All whose last error or block has this reason.")


@click.group(cls=Lists, epilog=show.EXIT_CODES)
def command() -> None:
    """Open jobs, and work that is blocked because it failed for good or was cancelled.

    Jobs are derived: the ledger asks each minute for what is missing, less what is blocked.
    """


@command.command("list", epilog=show.EXIT_CODES)
@kind_option
@click.option("--state", type=click.Choice(["ready", "waiting", "running"]))
@click.option("--limit", default=50, show_default=True, help="At most so many lines.")
@json_option
@pass_nf
def list_jobs(nf: Context, kind: str | None, state: str | None, limit: int, as_json: bool) -> int:
    """Open jobs and blocked work. Exit code 1 if work is blocked.

    \b
    JSON: {"open": [{"kind", "state", "jobs", "oldest"}], "jobs": [{"id", "kind", "subject",
      "about", "location", "place", "needs", "state", "due", "attempts", "max_attempts", "worker",
      "done", "done_of", "rate", "eta", "error", "created"}], "blocked": [{"kind", "subject",
      "about", "location", "reason", "message", "at", "by"}]}
    """

    def work(tx: Tx) -> tuple[list[Row], list[Row], list[Row], dict[str, str]]:
        listed = jobs.listed(tx, kind, state, limit=limit)
        stuck = tx.run("blocked.listed", kind=kind, reason=None, subject=None, limit=limit)
        called = _called(tx, [r.subject for r in (*listed, *stuck)])
        return jobs.counted(tx), listed, stuck, called

    counts, listed, stuck, called = nf.db.run(work)
    if as_json:
        show.emit_json(
            {
                "open": [dict(r._mapping) for r in counts],
                "jobs": [_job(r, called) for r in listed],
                "blocked": [_block(r, called) for r in stuck],
            }
        )
        return show.NO if stuck else show.YES
    if listed:
        rows = [_line(r, called) for r in listed]
        click.echo(show.table(rows, ("id", "kind", "about", "at", "state", "try", "what")))
    if stuck:
        rows = [_blocked_line(r, called) for r in stuck]
        click.echo(("\n" if listed else "") + "Blocked, until a person releases it:")
        click.echo(show.table(rows, ("kind", "about", "at", "reason", "what", "since")))
    total = sum(r.jobs for r in counts)
    _conclude(total, stuck, limit)
    return show.NO if stuck else show.YES


def _conclude(total: int, stuck: Sequence[Row], limit: int) -> None:
    opened = show.count(total, "open job")
    if stuck:
        many = f"{limit} or more" if len(stuck) == limit else f"{len(stuck)}"
        show.verdict(f"{opened}; {many} blocked.", f'nf jobs release --reason "{stuck[0].reason}"')
    else:
        show.verdict(f"{opened}; nothing is blocked.", "nf status")


def _line(row: Row, called: dict[str, str]) -> tuple[str, ...]:
    about, at = _split(row.subject, called)
    return (
        str(row.id),
        row.kind,
        about,
        at,
        row.state,
        f"{row.attempts}/{row.max_attempts}",
        _doing(row),
    )


def _doing(row: Row) -> str:
    error = (row.error or {}).get("message", "")
    match row.state:
        case "running":
            return f"{row.claimed_by} {_far(row)}".rstrip()
        case "waiting":
            left = max((row.due - datetime.now(UTC)).total_seconds(), 0)
            return f"again in {left:.0f} s: {error}"
    return str(error)


def _far(row: Row) -> str:
    if row.kind in COUNTED:
        return f"{row.done:,} of {row.done_of:,}" if row.done and row.done_of else ""
    return pace(row.done, row.done_of, row.rate, row.eta)


def _blocked_line(row: Row, called: dict[str, str]) -> tuple[str, ...]:
    about, at = _split(row.subject, called)
    return row.kind, about, at, row.reason, row.evidence.get("message", ""), show.age(row.at)


def _job(row: Row, called: dict[str, str]) -> dict[str, Any]:
    about, at = _split(row.subject, called)
    told = {k: v for k, v in row._mapping.items() if k != "claimed_by"}
    return told | {"about": about, "location": at, "worker": row.claimed_by}


def _block(row: Row, called: dict[str, str]) -> dict[str, Any]:
    about, at = _split(row.subject, called)
    message = row.evidence.get("message", "")
    told = {k: v for k, v in row._mapping.items() if k != "evidence"}
    return told | {"about": about, "location": at, "message": message}


def _split(subject: str, called: dict[str, str]) -> tuple[str, str]:
    about, _, at = subject.rpartition("@")
    return called.get(about, about), at


def _called(tx: Tx, subjects: Iterable[str]) -> dict[str, str]:
    """The names that people use for what jobs are about, by id."""
    ids = {about for s in subjects if named.is_id(about := s.rpartition("@")[0])}
    return {str(r.id): r.called for r in tx.run("named.subjects", ids=sorted(ids))}


@command.command("show", epilog=show.EXIT_CODES)
@click.argument("job", metavar="ID", type=int)
@json_option
@pass_nf
def show_job(nf: Context, job: int, as_json: bool) -> int:
    """One open job, its last error in full, and what was done about its subject before.

    JSON: as in the list, with "history": [{"at", "worker", "attempts"}]
    """

    def work(tx: Tx) -> tuple[Row, dict[str, str], list[Row]] | None:
        rows = jobs.listed(tx, id=job)
        if not rows:
            return None
        return rows[0], _called(tx, [rows[0].subject]), jobs.history(tx, rows[0].subject)

    found = nf.db.run(work)
    if found is None:
        show.fail(
            f"no open job {job}: it is done, cancelled or blocked; see: nf jobs list", show.NO
        )
    row, called, past = found
    if as_json:
        before = [{"at": p.at, "worker": p.claimed_by, "attempts": p.attempts} for p in past]
        show.emit_json(_job(row, called) | {"history": before})
        return show.YES
    about, at = _split(row.subject, called)
    show.say(f"{row.kind} {about} at {at}")
    show.say(
        f"{row.state}, attempt {row.attempts} of {row.max_attempts}, made {show.when(row.created)}"
    )
    if row.state == "waiting":
        show.say(f"tried again at {show.when(row.due)}")
    if row.claimed_by:
        show.say(", ".join(filter(None, (f"worker {row.claimed_by}", _far(row)))))
    for key, value in (row.error or {}).items():
        show.say(f"{key}: {value}", indent=2)
    for p in past:
        show.say(f"done before: {show.when(p.at)} by {p.claimed_by}, attempt {p.attempts}")
    show.verdict(f"Job {row.id} is {row.state}.", f"nf jobs cancel {row.id} --why REASON")
    return show.YES


@command.command(epilog=show.EXIT_CODES)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@kind_option
@reason_option
@click.option("--why", required=True, help="Why: it stands beside the blocked work.")
@json_option
@pass_nf
def cancel(
    nf: Context, ids: tuple[int, ...], kind: str | None, reason: str | None, why: str, as_json: bool
) -> None:
    """Cancels jobs, by id or in bulk by --reason. They stay blocked until they are released.

    A worker that is at one hears of it within seconds. JSON: {"cancelled": [subject]}
    """
    if bool(ids) == bool(reason):
        raise click.UsageError("name jobs by their ids, or in bulk by --reason")

    def work(tx: Tx) -> list[str]:
        meant = list(ids) if reason is None else [r.id for r in jobs.failing(tx, kind, reason)]
        return jobs.cancel(tx, meant, why)

    subjects = nf.db.run(work)
    if as_json:
        show.emit_json({"cancelled": subjects})
    else:
        show.verdict(
            f"{show.count(len(subjects), 'job')} cancelled.", "nf jobs release --reason cancelled"
        )


@command.command(epilog=show.EXIT_CODES)
@click.argument("subject", required=False, metavar="[SUBJECT]")
@kind_option
@reason_option
@json_option
@pass_nf
def release(
    nf: Context, subject: str | None, kind: str | None, reason: str | None, as_json: bool
) -> int:
    """Lets blocked work be wanted again: one SUBJECT (a name or id), or in bulk by --reason.

    JSON: {"released": [subject]}
    """
    if bool(subject) == bool(reason):
        raise click.UsageError("name a SUBJECT, or release in bulk by --reason")

    def work(tx: Tx) -> list[str]:
        if subject is None:
            return jobs.release(tx, kind, None, reason)
        stuck = tx.run("blocked.listed", kind=kind, reason=None, subject=None, limit=None)
        called = _called(tx, [r.subject for r in stuck])
        meant = [r for r in stuck if subject in (r.subject, *_split(r.subject, called)[:1])]
        about = [r for r in stuck if r.subject.rpartition("@")[0] == subject]
        return [s for r in meant or about for s in jobs.release(tx, r.kind, r.subject)]

    subjects = nf.db.run(work)
    if as_json:
        show.emit_json({"released": subjects})
    elif subjects:
        show.verdict(
            f"{show.count(len(subjects), 'piece')} of work released: it is wanted again within a "
            "minute.",
            "nf jobs list",
        )
    else:
        show.verdict("Nothing like that is blocked.", "nf jobs list")
    return show.YES if subjects else show.NO
